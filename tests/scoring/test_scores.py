"""Folders in, a table out: every file has its row, whoever scored it and when."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, write
from sgmse.data.pairs import Pair, Unmatched
from sgmse.metrics import si_sdr
from sgmse.metrics.measures import Measure, select
from sgmse.scoring import scores as scoring
from sgmse.scoring.scores import Scorer, Task, match_folders, name_systems, score, score_tasks

RATE = 8000
CLEAN = {f"s{i}": 0.1 * np.random.default_rng(i).standard_normal(400 + i) for i in range(6)}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch) -> Path:
    """clean/, and what two systems made of it: near/ and far/."""
    monkeypatch.chdir(tmp_path)
    for folder, level in (("clean", 0.0), ("near", 0.1), ("far", 1.0)):
        for i, (name, clean) in enumerate(CLEAN.items()):
            noise = 0.1 * np.random.default_rng(100 + i).standard_normal(len(clean))
            save(f"{folder}/{name}.wav", clean + level * noise)
    return tmp_path


def save(path: str, signal: np.ndarray) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    write(path, np.atleast_2d(signal).astype(np.float32), Info(RATE, subtype="FLOAT"))


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """The files that are scored from now on."""
    seen = []

    def score_pair(pair, measures, **options):
        seen.append(f"{pair.enhanced} {' '.join(m.name for m in measures)}")
        return original(pair, measures, **options)

    original = scoring.score_pair
    monkeypatch.setattr(scoring, "score_pair", score_pair)
    return seen


def test_every_file_of_every_system():
    scores = score("clean", ["near", "far"], measures=["si-sdr"])
    assert scores.systems == ("near", "far")
    assert [(row.system, row.name) for row in scores.rows] == [
        (system, name) for system in ("near", "far") for name in CLEAN
    ]
    assert all(r.seconds == len(CLEAN[r.name]) / RATE and r.problems == {} for r in scores.rows)
    near, far = (scores.values(system, "SI-SDR") for system in ("near", "far"))
    assert near.keys() == far.keys() == {("", name) for name in CLEAN}
    assert all(near[key] > far[key] for key in near)
    assert scores.rows_of("far") == list(scores.rows[6:])


def test_what_is_scored_can_be_asked_for_before():
    Path("index.csv").write_text("name,snr_db\ns0,5\n")
    Path("far/s5.wav").unlink()
    tasks, unmatched = match_folders("clean", ["near", "far"])
    scores = score("clean", ["near", "far"], measures=["si-sdr"])
    assert [task.key for task in tasks] == [row.key for row in scores.rows]
    assert [task.pair.facts for task in tasks] == [row.facts for row in scores.rows]
    assert unmatched == scores.unmatched
    assert [len(files) for files in unmatched.values()] == [0, 1]
    assert match_folders("clean", "near", noisy="far")[0][0].pair.noisy == Path("far/s0.wav")


def test_one_system_and_two_files():
    alone = score("clean", "near", measures=select(["si-sdr"]))
    assert alone.systems == ("near",)
    two = score("clean/s3.wav", Path("near/s3.wav"), measures=["si-sdr"])
    assert [row.values for row in two.rows] == [alone.rows[3].values]


@pytest.mark.slow
def test_it_does_not_matter_which_process_scores():
    here, there = (score("clean", "far", measures=["si-sdr"], workers=w) for w in (0, 1))
    assert there == here  # signals so short are summed by one thread everywhere


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing_of_long_files():
    long = np.random.default_rng(0).standard_normal((4, 500_000))
    for i, sound in enumerate(long):
        save(f"clean/long{i}.wav", 0.1 * sound)
        save(f"far/long{i}.wav", 0.1 * sound + 0.05 * long[i - 1])
    one, three = (score("clean", "far", measures=["si-sdr"], workers=w) for w in (1, 3))
    assert one == three


def test_what_cannot_be_scored_keeps_its_row_and_what_is_alone_is_listed():
    save("near/s1.wav", 0 * CLEAN["s1"])
    Path("near/s2.wav").write_bytes(b"RIFF")
    Path("near/s4.wav").unlink()
    save("near/t.wav", CLEAN["s1"])
    scores = score("clean", "near", measures=["si-sdr"])
    assert [row.name for row in scores.rows] == ["s0", "s1", "s2", "s3", "s5"]
    assert [row.values["SI-SDR"] is None for row in scores.rows] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert "silent" in scores.rows[1].problems["SI-SDR"]
    assert "damaged" in scores.rows[2].problems["SI-SDR"]
    assert scores.values("near", "SI-SDR").keys() == {("", "s0"), ("", "s3"), ("", "s5")}
    assert scores.unmatched == {
        "near": (
            Unmatched(Path("clean/s4.wav"), "has no partner in near"),
            Unmatched(Path("near/t.wav"), "has no partner in clean"),
        )
    }


def test_facts_come_from_the_index_of_the_set():
    Path("index.csv").write_text("name,snr_db\ns0,10\ns1,2.5\ns2,10\n")
    scores = score("clean", "near", measures=["si-sdr"])
    assert [row.facts for row in scores.rows[:2]] == [{"snr_db": "10"}, {"snr_db": "2.5"}]
    assert scores.labels("snr_db") == ["2.5", "10", ""]
    assert [r.name for r in scores.where("snr_db", "10").rows] == ["s0", "s2"]
    assert [r.name for r in scores.where("snr_db", "").rows] == ["s3", "s4", "s5"]
    Path("mine.csv").write_text("name,noise\ns0,cafe\n")
    named_one = score("clean", "near", measures=["si-sdr"], index="mine.csv")
    assert named_one.rows[0].facts == {"noise": "cafe"}


def test_seeds_of_a_recording_are_one_value():
    tasks = [
        Task(Pair("s0", Path("clean/s0.wav"), Path(f"{folder}/s0.wav")), "mine", "set", seed)
        for seed, folder in enumerate(["near", "far"])
    ]
    scores = score_tasks(tasks, Scorer(select(["si-sdr"])))
    both = [row.values["SI-SDR"] for row in scores.rows]
    assert scores.values("mine", "SI-SDR") == {("set", "s0"): pytest.approx(np.mean(both))}
    assert [(row.set, row.seed) for row in scores.rows] == [("set", 0), ("set", 1)]
    with pytest.raises(ValueError, match="two tasks have the same set, system, seed and name"):
        score_tasks([tasks[0], tasks[0]], Scorer(select(["si-sdr"])))


# Journals


def test_an_interrupted_run_goes_on_and_scores_nothing_twice(calls):
    def stop(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt

    whole = score("clean", ["near", "far"], measures=["si-sdr"])
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        score("clean", ["near", "far"], measures=["si-sdr"], journal="out/j", progress=stop)
    assert len(calls) == 3
    stages = []
    again = score(
        "clean",
        ["near", "far"],
        measures=["si-sdr"],
        journal="out/j",
        progress=lambda *stage: stages.append(stage),
    )
    assert stages == [("scoring", done, 12) for done in range(3, 13)]
    assert len(calls) == len(set(calls)) == 12
    assert again == replace(whole, reused=3)


def test_only_what_changed_is_scored_again(calls):
    arguments = {"measures": ["si-sdr"], "journal": "j"}
    score("clean", "near", **arguments)
    calls.clear()
    assert score("clean", "near", **arguments).reused == 6
    assert calls == []
    Path("near/s0.wav").touch()  # the same contents
    save("near/s1.wav", CLEAN["s2"][: len(CLEAN["s1"])])
    save("clean/s2.wav", CLEAN["s1"])
    found = score("clean", "near", **arguments)
    assert sorted(calls) == ["near/s1.wav SI-SDR", "near/s2.wav SI-SDR"]
    assert found == replace(score("clean", "near", measures=["si-sdr"]), reused=4)


def test_a_further_measure_is_scored_by_itself(calls):
    first = score("clean", "near", measures=["si-sdr"], journal="j")
    calls.clear()
    both = score("clean", "near", measures=["lsd", "si-sdr"], journal="j")
    assert calls == [f"near/{name}.wav LSD" for name in reversed(CLEAN)]  # the longest first
    assert both == score("clean", "near", measures=["lsd", "si-sdr"])
    calls.clear()
    assert score("clean", "near", measures=["si-sdr"], journal="j") == replace(first, reused=6)
    assert calls == []


@pytest.mark.parametrize("options", [{"align": True}, {"tolerance": 0.2}, {"noisy": "far"}])
def test_other_conditions_are_scored_anew(options, calls):
    score("clean", "near", measures=["si-sdr"], journal="j")
    calls.clear()
    assert score("clean", "near", measures=["si-sdr"], journal="j", **options).reused == 0
    assert len(calls) == 6


def test_other_versions_are_scored_anew(calls, monkeypatch):
    score("clean", "near", measures=["si-sdr"], journal="j")
    monkeypatch.setattr(scoring, "versions", lambda: {"pesq": "another"})
    assert score("clean", "near", measures=["si-sdr"], journal="j").reused == 0


def test_problems_are_remembered_and_facts_are_not(calls):
    save("near/s1.wav", 0 * CLEAN["s1"])
    first = score("clean", "near", measures=["si-sdr"], journal="j")
    Path("index.csv").write_text("name,snr_db\ns1,10\n")
    again = score("clean", "near", measures=["si-sdr"], journal="j")
    assert again.rows[1].problems == first.rows[1].problems != {}
    assert again.rows[1].facts == {"snr_db": "10"}
    assert again.reused == 6


def test_hashes_tell_contents():
    before = score("clean", ["near", "far"], measures=["si-sdr"]).hashes
    assert set(before) == {"references", "near", "far"}
    save("far/s1.wav", CLEAN["s1"] + 0.01)
    after = score("clean", ["near", "far"], measures=["si-sdr"], noisy="far").hashes
    assert set(after) == {*before, "noisy references"}
    assert {name for name in before if before[name] != after[name]} == {"far"}


# Measures that end their process


def fatal(reference, estimate, sample_rate, end=signal.SIGSEGV):
    """A measure whose native code fails on one recording."""
    if len(reference) == len(CLEAN["s2"]):
        os.kill(os.getpid(), end)
    return 1.0


FATAL = Measure("Fatal", fatal)


@pytest.mark.slow
def test_a_file_over_which_a_process_dies_is_listed_and_the_run_goes_on():
    found = score("clean", "near", measures=[FATAL, "si-sdr"], workers=2, journal="j")
    assert [row.values["Fatal"] for row in found.rows] == [1, 1, None, 1, 1, 1]
    problem = "the process that scored it died (SIGSEGV)"
    assert [row.problems for row in found.rows if row.problems] == [{"Fatal": problem}]
    # the other measures of the file have their scores, and the row what is known of it
    alone = score("clean", "near", measures=["si-sdr"])
    assert found.values("near", "SI-SDR") == alone.values("near", "SI-SDR")
    assert [row.seconds for row in found.rows] == [row.seconds for row in alone.rows]
    assert ("", "s2") not in found.values("near", "Fatal")
    # another run does not die of it again: it would, here
    again = score("clean", "near", measures=[FATAL, "si-sdr"], workers=0, journal="j")
    assert again == replace(found, reused=6)


@pytest.mark.slow
def test_what_the_system_ended_is_tried_again_by_the_next_run():
    killed = Measure("Fatal", partial(fatal, end=signal.SIGKILL))
    first = score("clean", "near", measures=[killed], workers=1, journal="j")
    assert [row.problems for row in first.rows if row.problems] == [
        {"Fatal": "the process that scored it died (SIGKILL); free some memory, and call again"}
    ]
    well = Measure("Fatal", partial(fatal, end=0))
    second = score("clean", "near", measures=[well], journal="j")
    assert [row.values["Fatal"] for row in second.rows] == [1] * 6
    assert second.reused == 5


# What is refused, before any work


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"measures": ["nothing"]}, "no measure is called 'nothing'"),
        ({"measures": []}, "name at least one measure"),
        ({"measures": ["si-sir"]}, r"SI-SIR needs the noisy recordings; .*--noisy DIR"),
        ({"enhanced": "absent"}, "there is no folder absent"),
        ({"enhanced": []}, "name at least one folder"),
        ({"tolerance": -1}, "tolerance must be at least 0 s, not -1"),
        ({"tolerance": float("nan")}, "tolerance must be at least 0 s, not nan"),
        ({"index": "absent.csv"}, "absent.csv cannot be read as an index"),
        ({"workers": -1}, "workers must be at least 0, not -1"),
    ],
)
def test_refusals(arguments, says, calls):
    with pytest.raises(ValueError, match=says):
        score("clean", **{"enhanced": "near", "journal": "j"} | arguments)
    assert calls == []


def needy(reference, estimate, sample_rate):
    return 0.0


def test_a_missing_package_is_told_before_any_work(calls):
    measure = Measure("Mine", needy, extra="metrics", packages=("no_such_package",))
    with pytest.raises(ImportError, match="no_such_package"):
        score("clean", "near", measures=["si-sdr", measure])
    assert calls == []


def test_measures_of_ones_own():
    mine = Measure("Half", lambda r, e, rate: si_sdr(r, e, rate) / 2)
    found = score("clean", "near", measures=["SI-SDR", mine, "si-sdr"])
    assert [m.name for m in found.measures] == ["SI-SDR", "Half"]
    assert all(r.values["Half"] == r.values["SI-SDR"] / 2 for r in found.rows)
    assert [m.name for m in select(["pesq-wb", mine])] == ["PESQ-WB", "Half"]


def test_names_of_systems():
    assert name_systems("runs/a") == {"a": Path("runs/a")}
    assert list(name_systems(["x/a/out", "x/b/out", "c"])) == ["a/out", "b/out", "c"]
    assert name_systems({"mine": "x"}) == {"mine": Path("x")}
    with pytest.raises(ValueError, match="named twice"):
        name_systems(["near", "./near"])


def test_labels_in_order():
    assert scoring.ordered(["10", "2.5", "-5", "10"]) == ["-5", "2.5", "10"]
    assert scoring.ordered(["10", "cafe", "2.5"]) == ["10", "2.5", "cafe"]


@pytest.mark.slow
def test_the_table_of_the_corpus(shared):
    """Against an independent script, whose numbers are in the notes of the corpus."""
    folder = shared / "corpus" / "test"
    scores = score(folder / "clean", folder / "noisy", workers=2)
    means = {
        m.name: np.mean(list(scores.values("noisy", m.name).values())) for m in scores.measures
    }
    assert means == {
        "PESQ-WB": pytest.approx(1.332, abs=5e-4),
        "STOI": pytest.approx(0.831, abs=5e-4),
        "ESTOI": pytest.approx(0.640, abs=5e-4),
        "SI-SDR": pytest.approx(5.16, abs=5e-3),
    }
    assert len(scores.values("noisy", "STOI")) == 95
    assert {row.delay for row in scores.rows} <= {0, None}
