"""`sgmse generate`, and the commands that a prior is refused by before any work."""

from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from test_prior import checkpoint

from sgmse.audio import Info, info, read, write
from sgmse.checkpoints import save


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a prior of random weights in it."""
    monkeypatch.chdir(tmp_path)
    return save(checkpoint(), Path("model"))


MINE = ("--model", "model", "--seconds", "0.05")


def test_a_sound_is_written_and_said_to_have_no_words(call):
    code, out, err = call("generate", "new/voice.wav", *MINE, "--seed", "2")
    assert (code, err) == (0, [])
    assert out == (
        "new/voice.wav: 0.05 s that sound like speech and have no words, drawn from the model "
        "model with seed 2\n"
    )
    about = info("new/voice.wav")
    assert (about.sample_rate, about.channels, about.frames) == (16000, 1, 800)
    assert np.abs(read("new/voice.wav")[0]).max() > 1e-3


def test_a_seed_gives_the_same_file_and_others_others(call):
    call("generate", "a.wav", *MINE, "--count", "2", "--seed", "1", "-q")
    call("generate", "b.wav", *MINE, "--seed", "2", "-q")
    call("generate", "c.wav", *MINE, "--seed", "2", "--steps", "6", "--solver", "sde", "-q")
    a1, a2, b, c = (Path(name).read_bytes() for name in ("a_1.wav", "a_2.wav", "b.wav", "c.wav"))
    assert a2 == b
    assert a1 != a2
    assert c != b


def test_what_is_there_stays_there(call):
    call("generate", "a.flac", *MINE)
    before = Path("a.flac").read_bytes()
    code, out, err = call("generate", "a.flac", *MINE, "--seed", "1")
    assert (code, out, len(err)) == (1, "", 1)
    assert "a.flac: exists already; use --overwrite" in err[0]
    assert Path("a.flac").read_bytes() == before
    assert call("generate", "a.flac", *MINE, "--seed", "1", "--overwrite")[0] == 0
    assert Path("a.flac").read_bytes() != before
    Path("b_2.wav").touch()
    assert call("generate", "b.wav", *MINE, "--count", "2")[0] == 1
    assert not Path("b_1.wav").exists()


def test_what_fails_leaves_nothing(call, monkeypatch):
    def broken(*_, **__):
        raise OSError("no more")

    monkeypatch.setattr("sgmse.prior.Prior.generate", broken)
    assert call("generate", "a.wav", *MINE)[0] == 1
    assert [path.name for path in Path().iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a.wav", "--seconds", "40"], "seconds must lie above 0 and up to 30, not 40"),
        (["a.wav", "--model", "live"], "the model hears a recording, and is no prior"),
        (["a.wav", "--model", "pior"], "no model 'pior' (did you mean 'prior'?)"),
        (["a.opus", *MINE, "--count", "1", "--model", "nowhere"], "no model 'nowhere'"),
        (["model", *MINE], "model: is a folder"),
    ],
)
def test_mistakes_are_one_line_and_no_file(words, says, call):
    before = sorted(Path().iterdir())
    code, out, err = call("generate", *words)
    assert (code, out, len(err)) == (1, "", 1)
    assert says in err[0]
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [
        ["enhance", "a.wav"],
        ["enhance", "a.wav", "--force"],
        ["live"],
        ["export"],
    ],
    ids=" ".join,
)
def test_a_prior_enhances_nothing(words, call, monkeypatch):
    """Said in a line, before any work; forced, it would answer with a voice that it makes up."""
    write("a.wav", 0.1 * np.ones((1, 1600)), Info(16000))
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(Path("a.wav").read_bytes())))
    before = sorted(path.name for path in Path().iterdir())
    words = [words[0], "model", "x.onnx"] if words == ["export"] else [*words, "--model", "model"]
    code, out, err = call(*words)
    assert (code, out, len(err)) == (1, "", 1)
    assert "prior of clean audio" in err[0]
    assert "sgmse generate" in err[0]
    assert sorted(path.name for path in Path().iterdir()) == before
