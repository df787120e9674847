"""`sgmse enhance --plot`: a picture beside each result, or a line why there is none."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import RATE

from sgmse import plot
from sgmse.corpus import settings

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def run(model, call, tmp_path, monkeypatch):
    """Runs `sgmse enhance --plot` on two recordings: (exit code, stdout, lines of stderr)."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.wav", "b.flac")):
        z = np.random.default_rng(number).standard_normal(4000)
        soundfile.write(name, (0.03 * z).clip(-1, 1), RATE)

    return lambda *arguments: call("enhance", "--model", str(model), "--plot", *arguments)


def names() -> list[str]:
    return sorted(p.relative_to(".").as_posix() for p in Path().rglob("*") if p.is_file())


@pytest.mark.slow
def test_the_picture_is_of_the_recording_and_its_result(run, monkeypatch):
    drawn = []
    made = plot.sounds.before_after
    monkeypatch.setattr(settings, "before_after", lambda *both: drawn.append(both) or made(*both))
    code, out, err = run("a.wav")
    assert (code, err) == (0, [])
    assert out.startswith("a.wav -> a_enhanced.wav, a_enhanced.png  (")
    assert drawn == [(Path("a.wav"), Path("a_enhanced.wav"))]
    assert names() == ["a.wav", "a_enhanced.png", "a_enhanced.wav", "b.flac"]
    with Image.open("a_enhanced.png") as picture:
        assert picture.size == (1350, 1080)
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 20


@pytest.mark.slow
def test_several_at_the_same_time(run):
    code, out, err = run("a.wav", "b.flac", "-o", "clean/", "-j", "2", "--json")
    assert (code, err[0].split(";")[0]) == (0, "sgmse: 2 done")
    assert [json.loads(line)["picture"] for line in sorted(out.splitlines())] == [
        "clean/a.png",
        "clean/b.png",
    ]
    assert names() == [
        "a.wav",
        "b.flac",
        "clean/a.png",
        "clean/a.wav",
        "clean/b.flac",
        "clean/b.png",
    ]


@pytest.mark.slow
def test_a_picture_that_exists_is_kept_and_nothing_done(run, monkeypatch):
    Path("a_enhanced.png").write_text("mine")
    code, out, err = run("a.wav")
    says = (
        "sgmse: error: a_enhanced.png: exists already; use --overwrite (overwrite=True) or choose"
    )
    assert (code, out) == (1, "")
    assert err[0].startswith(says)
    assert Path("a_enhanced.png").read_text() == "mine"
    assert "a_enhanced.wav" not in names()
    assert run("a.wav", "--overwrite")[0] == 0
    assert Path("a_enhanced.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_fails_leaves_no_part_of_itself(run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    code, out, err = run("a.wav")
    assert (code, out) == (1, "")
    assert err == ["sgmse: error: a.wav: No space left on device"]
    assert names() == ["a.wav", "a_enhanced.wav", "b.flac"]


def test_what_cannot_be_drawn_is_refused_before_any_work(run, monkeypatch):
    monkeypatch.setattr("sgmse.load", None)
    for arguments, says in (
        (("a.wav", "-o", "-"), "a picture lies beside a result in a file; name one with -o"),
        (("a.wav", "a.wav", "b.flac", "-o", "x.wav"), "cannot all be written to x.wav"),
    ):
        code, _, err = run(*arguments)
        assert code == 1
        assert says in err[0]
    Path("in").mkdir()
    for name in ("in/a.wav", "in/a.flac"):
        soundfile.write(name, np.zeros(100), RATE)
    code, _, err = run("in", "-o", "out")
    assert code == 1
    assert "out/a.png would be the picture of both out/a.flac and out/a.wav; use two" in err[0]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = run("a.wav")
    says = "--plot needs the package 'matplotlib': pip install 'sgmse-toolkit[plot]'"
    assert (code, err) == (1, [f"sgmse: error: {says}"])
    assert not Path("out").exists()
