"""What is meant by names on the command line, and what is refused before any work."""

import re
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, write
from sgmse.corpus.planning import make_plan


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a.wav, b.flac, in/c.wav, in/deep/c.wav, in/deep/d.ogg and texts."""
    monkeypatch.chdir(tmp_path)
    Path("in/deep").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "in/c.wav", "in/deep/c.wav", "in/deep/d.ogg"):
        make(name)
    for name in ("in/notes.txt", "notes.txt"):
        Path(name).write_text("no audio")
    return tmp_path


def make(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write(name, np.full((1, 800), 0.1, np.float32), Info(16000))


def planned(*inputs: str, **options) -> dict[str, str]:
    plan = make_plan(inputs, **options)
    assert plan.ended == []
    return {job.source.as_posix(): job.target.as_posix() for job in plan.jobs}


def problems(*inputs: str, **options) -> list[str]:
    plan = make_plan(inputs, **options)
    assert plan.jobs == []
    return [str(outcome.error) for outcome in plan.ended]


def test_results_go_beside_their_inputs():
    assert planned("a.wav", "in/c.wav") == {
        "a.wav": "a_enhanced.wav",
        "in/c.wav": "in/c_enhanced.wav",
    }
    assert planned("in") == {"in/c.wav": "in/c_enhanced.wav"}
    assert planned("b.flac", format="mp3") == {"b.flac": "b_enhanced.mp3"}


def test_a_folder_keeps_names_and_places():
    assert planned("a.wav", "in", output="out", recursive=True) == {
        "a.wav": "out/a.wav",
        "in/c.wav": "out/c.wav",
        "in/deep/c.wav": "out/deep/c.wav",
        "in/deep/d.ogg": "out/deep/d.ogg",
    }
    assert planned("in", output="out", format="flac") == {"in/c.wav": "out/c.flac"}
    assert planned("in/deep/d.ogg", output=Path("out")) == {"in/deep/d.ogg": "out/d.ogg"}


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("out", "out/a.wav"),
        ("out/", "out/a.wav"),
        ("out.wav/", "out.wav/a.wav"),
        ("out.v2/", "out.v2/a.wav"),
        ("in", "in/a.wav"),
        (".", "a.wav"),
        ("out.wav", "out.wav"),
        ("out.FLAC", "out.FLAC"),
        ("new/out.mp3", "new/out.mp3"),
        ("out.m4a", "out.m4a"),
        ("notes.txt", "notes.txt"),  # there already, as a file
        ("b.flac", "b.flac"),
        ("old.2024", "old.2024/a.wav"),  # there already, as a folder
    ],
)
def test_file_or_folder(output, target):
    Path("old.2024").mkdir()
    assert planned("a.wav", output=output) == {"a.wav": target}


@pytest.mark.parametrize("output", ["x.xyz", "results.2024", "out.v2", "new/a.b"])
def test_a_name_that_may_be_of_a_file_or_a_folder_is_refused(output):
    end = r" is no format; use one of wav, .*, or end the name with / for a folder"
    with pytest.raises(ValueError, match=re.escape(Path(output).suffix) + end):
        make_plan(["a.wav"], output)
    # for several results it can only be a folder
    for inputs in (["a.wav", "b.flac"], ["in"], ["*.wav"]):
        assert set(planned(*inputs, output=output).values()) & {
            f"{output}/a.wav",
            f"{output}/c.wav",
        }


@pytest.mark.parametrize("names", [[""], ["a.wav", ""]])
def test_an_empty_name_is_no_folder(names):
    with pytest.raises(ValueError, match="a name is empty"):
        make_plan(names)
    with pytest.raises(ValueError, match="a name is empty"):
        make_plan(["a.wav"], "")


def test_no_inputs_are_no_jobs():
    assert make_plan([]) == make_plan([], "out") == make_plan([], "out.wav")


def test_a_folder_named_like_a_file_is_a_folder():
    Path("set.wav").mkdir()
    assert planned("a.wav", output="set.wav") == {"a.wav": "set.wav/a.wav"}


@pytest.mark.parametrize("pattern", ["*.wav", "*", "[ab].*", "**/*.wav"])
def test_patterns(pattern):
    jobs = planned(pattern, output="out") if pattern != "**/*.wav" else planned(pattern)
    assert "a.wav" in jobs
    assert ("b.flac" in jobs) == (pattern in ("*", "[ab].*"))
    assert not any(name.endswith(".txt") for name in jobs)


def test_earlier_results_are_no_inputs():
    for name in ("a_enhanced.wav", "in/c_enhanced.flac", "other_enhanced.wav", "_enhanced.wav"):
        make(name)
    # other_enhanced.wav has no original here: someone's own name
    own = {
        "other_enhanced.wav": "other_enhanced_enhanced.wav",
        "_enhanced.wav": "_enhanced_enhanced.wav",
    }
    everything = {"a.wav": "a_enhanced.wav", "b.flac": "b_enhanced.flac"} | own
    assert planned(".") == planned("*.*") == everything
    assert planned("in") == {"in/c.wav": "in/c_enhanced.wav"}
    assert planned("in", output="out") == {"in/c.wav": "out/c.wav"}
    assert planned("a_enhanced.wav") == {"a_enhanced.wav": "a_enhanced_enhanced.wav"}


def test_a_file_that_is_named_is_an_input_whatever_its_name():
    make("a_enhanced.wav")
    both = {"a.wav": "out/a.wav", "a_enhanced.wav": "out/a_enhanced.wav"}
    assert planned("a.wav", "a_enhanced.wav", output="out") == both
    assert planned("a_enhanced.wav", "a*.wav", output="out") == both
    assert planned("a*.wav", "./a_enhanced.wav", output="out") == both
    assert planned("a*.wav", output="out") == {"a.wav": "out/a.wav"}
    with pytest.raises(
        ValueError, match=r"written to a_enhanced\.wav, which is an input; .* quotes"
    ):
        make_plan(["a.wav", "a_enhanced.wav"])


def test_the_output_folder_is_no_input():
    make("in/out/c.wav")
    make("in/out/deep/c.wav")
    assert planned("in", output="in/out", recursive=True) == {
        "in/c.wav": "in/out/c.wav",
        "in/deep/c.wav": "in/out/deep/c.wav",
        "in/deep/d.ogg": "in/out/deep/d.ogg",
    }
    # around the input, or the input itself, it excludes nothing
    assert planned("in", output=".") == {"in/c.wav": "c.wav"}
    assert planned("in", output="in") == {"in/c.wav": "in/c.wav"}
    make("only/out/x.wav")
    said = problems("only", output="only/out", recursive=True)
    assert said == ["only: holds only earlier results; name another one"]


def test_a_file_named_twice_is_done_once():
    Path("link.wav").symlink_to("a.wav")
    names = ["a.wav", "./a.wav", "in/../a.wav", str(Path("a.wav").absolute()), "*.wav", "link.wav"]
    assert planned(*names) == {"a.wav": "a_enhanced.wav"}


def test_what_is_not_there_stops_no_other():
    plan = make_plan(["absent.wav", "*.aiff", "a.wav", "notes.txt", "x" * 300]).checked()
    assert [(job.source.name, job.seconds, job.sample_rate, job.channels) for job in plan.jobs] == [
        ("a.wav", 0.05, 16000, 1)
    ]
    said = [f"{outcome.job.source}|{outcome.error}" for outcome in plan.ended]
    assert said[0].startswith("*.aiff|*.aiff: no audio files there; check the folder")
    assert said[1].startswith("xxx")
    assert said[2].startswith("absent.wav|absent.wav: no such file")
    assert said[3].startswith("notes.txt|notes.txt: is not audio")
    assert len(said) == 4


@pytest.mark.parametrize(
    ("inputs", "options", "says"),
    [
        (["a.wav", "b.flac"], {"output": "x.wav"}, r"2 inputs cannot all be written to x\.wav"),
        (["in/c.wav", "in/deep/c.wav"], {"output": "out"}, "out/c.wav, which is where in/c.wav go"),
        (["a.wav", "b.flac"], {"output": "in", "format": "c"}, "format must be one of wav"),
        (["a.wav"], {"output": "x.wav", "format": "flac"}, r"x\.wav is no name for flac"),
        (["a.wav"], {"output": "x.m4a", "format": "flac"}, r"x\.m4a is no name for flac"),
        (["a.wav", "in/a.wav"], {"output": "in"}, r"written to in/a\.wav, which is an input"),
    ],
)
def test_contradictions_are_refused_before_any_work(inputs, options, says):
    make("in/a.wav")
    with pytest.raises(ValueError, match=says):
        make_plan(inputs, **options)


def test_twins_by_format_are_refused():
    make("b.wav")
    with pytest.raises(ValueError, match=r"b_enhanced\.wav, which is where b"):
        make_plan(["b.wav", "b.flac"], format="wav")
    assert len(planned("b.wav", "b.flac")) == 2
    assert planned("a.wav", output="x.oga", format="ogg") == {"a.wav": "x.oga"}


# Before the work


def test_existing_results_are_found_at_once():
    for name in ("a_enhanced.wav", "b_enhanced.flac", "in/c_enhanced.wav"):
        make(name)
    plan = make_plan(["a.wav"])
    with pytest.raises(ValueError, match=r"^a_enhanced\.wav: exists already; use --skip-existing"):
        plan.checked()
    plan = make_plan(["a.wav", "b.flac", "in", "in/deep/c.wav", "in/deep/d.ogg"])
    with pytest.raises(ValueError, match=r"a_enhanced\.wav, b_enhanced\.flac, in/c_enhanced\.wav:"):
        plan.checked()
    with pytest.raises(ValueError, match=r"exist already \(3 of 5 results\); use --skip"):
        plan.checked()
    make("in/deep/c_enhanced.wav")
    with pytest.raises(ValueError, match=r" and 1 more: exist already \(4 of 5 results\)"):
        plan.checked()
    done = plan.checked(skip_existing=True)
    assert [job.source.name for job in done.jobs] == ["d.ogg"]
    assert [outcome.skipped for outcome in done.ended] == [True] * 4
    assert len(plan.checked(overwrite=True).jobs) == 5
    with pytest.raises(ValueError, match="--overwrite and --skip-existing contradict"):
        plan.checked(overwrite=True, skip_existing=True)


def test_an_absent_input_is_absent_whatever_exists():
    make("out/absent.wav")
    for options in ({}, {"skip_existing": True}, {"overwrite": True}):
        plan = make_plan(["absent.wav"], "out").checked(**options)
        assert [str(o.error).split(";")[0] for o in plan.ended] == ["absent.wav: no such file"]


def test_what_cannot_be_written_is_found_before_the_work():
    Path("out/b.flac").mkdir(parents=True)
    plan = make_plan(["a.wav", "b.flac"], "out").checked()
    assert [job.source.name for job in plan.jobs] == ["a.wav"]
    assert [str(o.error) for o in plan.ended] == ["out/b.flac: is a folder; name a file in it"]
    plan = make_plan(["a.wav"], "x.amr").checked()
    assert "AMR_NB cannot be written at 16000 Hz" in str(plan.ended[0].error)
