"""Lists and audiofolders in place of folders, in every command that takes recordings."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, info, write
from sgmse.cli.planning import make_plan
from sgmse.scoring import scores as scoring

RATE = 16000
SPEECH = [0.1 * np.random.default_rng(i).standard_normal(RATE) for i in range(3)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: the recordings p and q, clean and noisy, anywhere, and lists of them.

    By order p and q would be pairs the wrong way round.
    """
    monkeypatch.chdir(tmp_path)
    for place, speech, level in (
        ("disk1/one.wav", 0, 0.0),
        ("disk2/deep/two.wav", 1, 0.0),
        ("disk2/x.v1.wav", 0, 0.1),
        ("disk1/y.wav", 1, 0.2),
    ):
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        signal = SPEECH[speech] + level * SPEECH[2]
        write(path, signal[None].astype(np.float32), Info(RATE, subtype="FLOAT"))
    Path("lists").mkdir()
    Path("lists/clean.scp").write_text("# clean\np ../disk1/one.wav\nq ../disk2/deep/two.wav\n")
    Path("lists/noisy.scp").write_text("q ../disk1/y.wav\np ../disk2/x.v1.wav\n")
    return tmp_path


@pytest.fixture
def score(monkeypatch, call):
    """Runs `sgmse score`, SI-SDR alone, without worker processes: (exit code, stdout, stderr)."""
    work = scoring.map_unordered
    monkeypatch.setattr(
        scoring, "map_unordered", lambda f, items, workers, died=None: work(f, items, 0)
    )
    return partial(call, "score", "--measures", "si-sdr")


def planned(*inputs: str, **options) -> dict[str, str]:
    plan = make_plan(inputs, **options).checked()
    assert plan.ended == []
    return {job.target.as_posix(): job.source.as_posix() for job in plan.jobs}


def audiofolder(name: str = "hf") -> str:
    for i, speech in enumerate(SPEECH):
        path = Path(name, "audio", f"{i}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, speech[None].astype(np.float32), Info(RATE))
    Path(name, "metadata.csv").write_text("file_name,snr_db\naudio/0.wav,5\naudio/1.wav,0\n")
    return name


def test_results_of_a_list_are_called_by_its_ids(call, model):
    Path("lists/noisy.scp").write_text("s/q.v2 ../disk1/y.wav\np ../disk2/x.v1.wav\n")
    code, _, err = call("enhance", "--model", str(model), "lists/noisy.scp", "-o", "out")
    assert code == 0
    assert err[-1].startswith("sgmse: 2 done")
    assert {path.as_posix() for path in Path("out").rglob("*.wav")} == {
        *("out/p.wav", "out/s/q.v2.wav")
    }
    assert info("out/p.wav").frames == RATE


def test_what_is_planned_of_a_list():
    assert planned("lists/noisy.scp", output="out", format="flac") == {
        "out/q.flac": "lists/../disk1/y.wav",
        "out/p.flac": "lists/../disk2/x.v1.wav",
    }
    Path("lists/twice.scp").write_text("a ../disk1/y.wav\nb ../disk1/y.wav\n")
    assert set(planned("lists/twice.scp", output="out")) == {"out/a.wav", "out/b.wav"}
    Path("lists/one.scp").write_text("a ../disk1/y.wav\n")
    assert set(planned("lists/one.scp", output="out.v1")) == {"out.v1/a.wav"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lists/noisy.scp"], "called by its ids; name a folder for them: -o DIR"),
        (["lists/noisy.scp", "-o", "x.wav"], "2 inputs cannot all be written to x.wav"),
        (["lists/noisy.scp", "lists/clean.scp", "-o", "out"], "to out/p.wav, which is where"),
        (["disk1", "lists/pipe.scp", "-o", "out"], "line 1: 'sox x.wav - |' is a command"),
        (["lists/lost.scp", "disk1", "-o", "out"], "there is no file lists/no.wav for 'a'"),
    ],
)
def test_lists_are_refused_before_any_work(call, arguments, says):
    Path("lists/pipe.scp").write_text("a sox x.wav - |\n")
    Path("lists/lost.scp").write_text("a no.wav\n")
    code, out, err = call("enhance", *arguments)
    assert (code, out, len(err)) == (1, "", 1)
    assert says in err[0]
    assert not Path("out").exists()


def test_an_audiofolder_is_a_selection_of_its_files():
    folder = audiofolder()
    with pytest.warns(UserWarning, match=r"does not name 1 recordings .* such as 2.wav"):
        assert planned(folder, output="out") == {
            "out/audio/0.wav": "hf/audio/0.wav",
            "out/audio/1.wav": "hf/audio/1.wav",
        }


def test_lists_are_scored_by_their_ids(score):
    code, _, err = score("lists/clean.scp", "mine=lists/noisy.scp", "-o", "scores")
    assert (code, err) == (0, [])
    lines = Path("scores/scores.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    found = {row["name"]: float(row["SI-SDR"]) for row in rows}
    # noise of 0.1 and of 0.2 on speech as strong: 20 and 14 dB
    assert found == {"p": pytest.approx(20, abs=0.3), "q": pytest.approx(14, abs=0.3)}


def test_a_list_and_the_folder_of_its_results(score):
    assert planned("lists/noisy.scp", output="out")
    Path("out").mkdir()
    Path("disk1/y.wav").rename("out/q.wav")
    Path("disk2/x.v1.wav").rename("out/p.wav")
    code, out, err = score("lists/clean.scp", "out")
    assert (code, err) == (0, [])
    assert "| 2 " in out


@pytest.mark.parametrize(
    ("clean", "noisy", "says"),
    [
        ("pq", "p", "lists/noisy.scp lacks 'q' of lists/clean.scp (1 such); add a line"),
        ("p", "pq", "lists/clean.scp lacks 'q' of lists/noisy.scp (1 such); add a line"),
    ],
)
def test_an_id_that_one_list_lacks(score, clean, noisy, says):
    for name, ids in (("clean", clean), ("noisy", noisy)):
        text = "".join(f"{id_} ../disk1/one.wav\n" for id_ in ids)
        Path(f"lists/{name}.scp").write_text(text)
    code, out, err = score("lists/clean.scp", "lists/noisy.scp")
    assert (code, out, len(err)) == (1, "", 1)
    assert says in err[0]
