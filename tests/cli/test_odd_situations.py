"""Names, streams and ends that are unusual, and no reason for a fault or for harm."""

import io
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from sgmse._pieces import Drawing
from sgmse.audio import Info, info, write
from sgmse.cli.main import main
from sgmse.corpus.jobs import Job, Outcome
from sgmse.errors import ResultError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(model, call):
    """Runs `sgmse enhance` with the tiny model: (exit code, stdout, lines of stderr)."""

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        return call("enhance", "--model", str(model), *arguments)

    return run


def make(name: str, channels: int = 1) -> None:
    z = np.random.default_rng(0).standard_normal((channels, 1000))
    write(name, 0.03 * z, Info(16000, channels))


def test_two_dashes_end_the_options(run):
    make("-x.wav")
    code, out, _ = run("-o", "o/", "--", "-x.wav")
    assert code == 0
    assert out.startswith("-x.wav -> o/-x.wav ")


def test_a_file_that_looks_like_an_option_is_named(run, capsys):
    make("-x.wav")
    with pytest.raises(SystemExit, match="2"):
        run("-x.wav")
    assert "did you mean the file './-x.wav'?" in capsys.readouterr().err


def test_help_is_a_word_too(capsys):
    for words, usage in ((["help"], "COMMAND"), (["help", "enhance"], "enhance INPUT")):
        with pytest.raises(SystemExit, match="0"):
            main(words)
        assert capsys.readouterr().out.startswith(f"usage: sgmse {usage}")


def test_links_in_a_circle_are_no_files(run):
    Path("loop.wav").symlink_to("loop.wav")
    code, out, err = run("loop.wav")
    assert (code, out) == (1, "")
    assert "loop.wav: cannot be read" in err[0]
    make("a.wav")
    assert run("a.wav", "-o", "loop.wav")[0] == 0
    assert info("loop.wav").frames == 1000


def test_a_name_in_two_lines_is_shown_in_one(run):
    make("two\nlines.wav")
    code, out, _ = run("two\nlines.wav")
    assert code == 0
    assert out.startswith("two\\nlines.wav -> two\\nlines_enhanced.wav ")
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_may_be_closed(name, model, monkeypatch):
    make("a.wav")
    monkeypatch.setattr(sys, name, None)
    assert main(["enhance", "a.wav", "--model", str(model)]) == 0
    assert info("a_enhanced.wav").frames == 1000


def test_a_reader_of_the_result_who_goes_ends_the_command_without_a_word(
    model, monkeypatch, capsys
):
    make("a.wav")
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as stream, monkeypatch.context() as patch:  # noqa: PTH123
        patch.setattr(sys, "stdout", io.TextIOWrapper(stream))
        code = main(["enhance", "a.wav", "-o", "-", "--model", str(model)])
    assert code == 141
    assert "error" not in capsys.readouterr().err


@pytest.fixture(params=["SIGTERM", "SIGHUP"])
def number(request):
    """Of a signal that is not ignored, though these tests may have been started by nohup."""
    number = signal.Signals[request.param]
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


def test_what_ends_a_command_leaves_no_part_of_a_file(number, run, monkeypatch):
    make("a.wav")

    def ended(*_):
        os.kill(os.getpid(), number)
        raise AssertionError("not reached")

    monkeypatch.setattr(Drawing, "sampled", ended)
    code, _, err = run("a.wav")
    assert code == 130
    assert "interrupted; finished files are kept" in err[-1]
    assert os.listdir() == ["a.wav"]  # noqa: PTH208
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored(number, run, monkeypatch):
    signal.signal(number, signal.SIG_IGN)
    make("a.wav")
    sampled = Drawing.sampled

    def told(*given):
        os.kill(os.getpid(), number)
        return sampled(*given)

    monkeypatch.setattr(Drawing, "sampled", told)
    assert run("a.wav")[0] == 0
    assert sorted(os.listdir()) == ["a.wav", "a_enhanced.wav"]  # noqa: PTH208
    assert signal.getsignal(number) == signal.SIG_IGN


def test_a_failure_has_no_speed():
    job = Job(Path("a.wav"), seconds=2.0)
    assert '"times_real_time": 4.0' in Outcome(job, elapsed=0.5).as_json()
    failed = Outcome(job, ResultError("no"), elapsed=0.5)
    assert '"times_real_time": null' in failed.as_json()
