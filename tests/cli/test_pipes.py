"""sgmse enhance between stdin and stdout."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import RATE

from sgmse.audio import Info, info, read, write


@pytest.fixture
def piped(model, tmp_path, monkeypatch, capfdbinary):
    """Runs `sgmse enhance` with bytes at stdin: (exit code, bytes of stdout, text of stderr)."""
    from sgmse.cli.main import main

    monkeypatch.chdir(tmp_path)

    class Text(io.TextIOWrapper):
        terminal = False

        def isatty(self) -> bool:
            return self.terminal

    def run(content: bytes, *arguments: str, terminal: str = "") -> tuple[int, bytes, str]:
        class NoSeek(io.BytesIO):
            name = "<stdin>"

            def seekable(self) -> bool:
                return False

        out = io.BytesIO()
        for name, stream in (("stdin", NoSeek(content)), ("stdout", out)):
            text = Text(stream, write_through=True)
            text.terminal = name == terminal
            monkeypatch.setattr(sys, name, text)
        code = main(["enhance", "--model", str(model), *arguments])
        return code, out.getvalue(), capfdbinary.readouterr().err.decode()

    return run


@pytest.fixture(scope="module")
def wav() -> bytes:
    z = np.random.default_rng(0).standard_normal((1, 2000))
    content = io.BytesIO()
    write(content, (0.03 * z).clip(-1, 1).astype(np.float32), Info(RATE))
    return content.getvalue()


@pytest.mark.parametrize(
    ("arguments", "container"),
    [(("-",), "WAV"), (("-", "-o", "-"), "WAV"), (("-", "-o", "-", "--format", "flac"), "FLAC")],
)
def test_from_stdin_to_stdout(piped, wav, tmp_path, arguments, container):
    code, out, err = piped(wav, *arguments)
    assert code == 0
    assert info(io.BytesIO(out)) == Info(RATE, 1, 2000, container)
    assert "- -> -  (0.1 s in" in err  # results are said where the sound does not go
    assert list(tmp_path.iterdir()) == []


def test_one_of_them_is_a_file(piped, wav):
    code, out, _ = piped(wav, "-", "-o", "y.flac")
    assert (code, info("y.flac").frames) == (0, 2000)
    assert b"- -> y.flac" in out
    Path("x.wav").write_bytes(wav)
    code, out, err = piped(b"", "x.wav", "-o", "-", "--json")
    assert (code, json.loads(err)["target"]) == (0, "-")
    np.testing.assert_allclose(read(io.BytesIO(out))[0], read("y.flac")[0], atol=2**-14)


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (b"", ("-",), "<stdin>: is empty (0 bytes)"),
        (b"no sound", ("-",), "<stdin>: is not audio that can be read"),
        (b"no sound", ("-", "-o", "out/"), "what comes from stdin has no name in out; name a file"),
        (b"no sound", ("a.wav", "b.wav", "-o", "-"), "2 inputs cannot all be written to -"),
        (b"no sound", ("http://a.b/c.wav",), "http://a.b/c.wav: is a URL; name a file"),
    ],
)
def test_what_cannot_be_is_said_and_stdout_stays_empty(piped, content, arguments, words):
    code, out, err = piped(content, *arguments)
    assert (code, out) == (1, b"")
    assert words in err


@pytest.mark.parametrize("terminal", ["stdin", "stdout"])
def test_no_sound_comes_from_a_terminal_or_goes_there(piped, wav, terminal):
    code, out, err = piped(wav, "-", terminal=terminal)
    assert (code, out) == (1, b"")
    assert f"{terminal} is a terminal" in err


@pytest.mark.slow  # loads everything anew
def test_in_a_real_pipe(model, wav, tmp_path):
    command = [sys.executable, "-m", "sgmse", "enhance", "-", "--model", str(model), "-q"]
    done = subprocess.run(command, input=wav, capture_output=True, cwd=tmp_path, check=True)
    assert info(io.BytesIO(done.stdout)).frames == 2000
    assert done.stderr == b""
