"""Lists and audiofolders in place of folders, in every command that takes recordings."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, info, write
from sgmse.bench import Folder, Noisy, NoisySet, Suite, Wiener, run_suite
from sgmse.corpus.planning import make_plan
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.paired import Paired
from sgmse.errors import RecipeError, SuiteError
from sgmse.scoring import scores as scoring
from sgmse.training.validation import Validation

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


def test_metadata_say_more_of_the_recordings(score):
    folder = audiofolder()
    Path("out").mkdir()
    for i in range(2):
        noisy = SPEECH[i] + (0.1 + 0.1 * i) * SPEECH[2]
        write(f"out/{i}.wav", noisy[None].astype(np.float32), Info(RATE))
    code, out, err = score(folder, "out", "--by", "snr_db")
    assert code == 0
    assert "| snr_db" in out
    assert [line for line in err if "does not name 1 recordings" in line]


def test_lists_are_mixed(call):
    Path("lists/noise.scp").write_text("hum/1 ../disk1/y.wav\n")
    code, out, err = call("mix", "lists/clean.scp", "lists/noise.scp", "set", "--snr", "5")
    assert (code, err) == (0, [])
    assert "2 mixtures" in out
    lines = Path("set/index.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert sorted(row["speech"] for row in rows) == ["p", "q"]
    assert {(row["noise"], row["noise_source"]) for row in rows} == {("hum/1", "hum")}


def test_a_set_never_replaces_what_its_lists_name(call):
    Path("lists/noise.scp").write_text("n ../disk1/y.wav\n")
    code, _, err = call("mix", "lists/clean.scp", "lists/noise.scp", "disk2", "--overwrite")
    assert (code, len(err)) == (1, 1)
    assert "lie in one another" in err[0]
    assert Path("disk2/deep/two.wav").exists()


def test_a_suite_pairs_lists_by_their_ids(tmp_path):
    recordings = NoisySet(Path("lists/clean.scp"), Path("lists/noisy.scp"))
    assert {pair.name: (pair.clean.name, pair.enhanced.name) for pair in recordings.pairs()} == {
        "p": ("one.wav", "x.v1.wav"),
        "q": ("two.wav", "y.wav"),
    }
    assert set(Folder(Path("lists/noisy.scp")).files(recordings.pairs(), "set")) == {"p", "q"}
    Path("lists/noisy.scp").write_text("q ../disk1/y.wav\n")
    suite = Suite({"a": recordings}, {"noisy": Noisy()}, measures=("si-sdr",))
    with pytest.raises(SuiteError, match=r"sets.a: .*one.wav has no partner \(1 such\)"):
        suite.pairs()


def test_a_suite_runs_on_lists():
    recordings = NoisySet(Path("lists/clean.scp"), Path("lists/noisy.scp"))
    systems = {"noisy": Noisy(), "wiener": Wiener()}
    suite = Suite({"a": recordings}, systems, measures=("si-sdr",))
    results = run_suite(suite, "results")
    assert {(row.system, row.name) for row in results.scores.rows} == {
        *(("noisy", "p"), ("noisy", "q"), ("wiener", "p"), ("wiener", "q"))
    }
    assert Path("results/a/wiener/unseeded/p.wav").exists()


def test_a_recipe_trains_on_lists(tmp_path):
    Path("lists/noise.scp").write_text("n ../disk1/y.wav\n")
    places = {"clean": Path("lists/clean.scp"), "noise": Path("lists/noise.scp")}
    pairs = MixedSpeech(2016, **places).open(tmp_path, tmp_path / "cache", RATE, 0)
    assert pairs.summary.startswith("2 files of speech")
    assert pairs[0][0].shape == (2016,)
    kept = {path.name.partition("-")[0] for path in Path("cache").glob("*.json")}
    assert kept == {"clean.scp", "noise.scp"}  # lists of one folder keep caches of their own
    again = MixedSpeech(2016, **places).open(tmp_path, tmp_path / "cache", RATE, 0)
    assert (again[3][1] == pairs[3][1]).all()
    paired = Paired(2016, clean=places["clean"], noisy=Path("lists/noisy.scp"))
    clean, noisy = paired.files(tmp_path)
    assert [path.name for path in clean] == ["one.wav", "two.wav"]
    assert [path.name for path in noisy] == ["x.v1.wav", "y.wav"]
    paired.open(tmp_path, tmp_path / "cache", RATE, 0)[0]


def test_validation_on_lists_is_named_by_ids(tmp_path):
    validation = Validation(clean=Path("lists/clean.scp"), noisy=Path("lists/noisy.scp"))
    assert [pair.name for pair in validation.pairs(tmp_path)] == ["p", "q"]
    Path("lists/noisy.scp").write_text("q sox a.wav - |\n")
    with pytest.raises(RecipeError, match=r"validation.noisy: .*line 1: .* is a command"):
        validation.pairs(tmp_path)
