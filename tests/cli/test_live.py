"""sgmse live: sound through pipes, as it comes."""

import io
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from tqdm import tqdm

from sgmse.audio import CODINGS, Pcm, info, read, read_header
from sgmse.checkpoints import Quality, save
from sgmse.cli.main import main, parsed
from sgmse.cli.passing import Status
from sgmse.cli.streaming import enhancer_of, stream_of
from sgmse.errors import AudioError
from sgmse.live import Stream
from sgmse.live._frames import networks_of

RATE, LENGTH = 16000, 6000
S16 = Pcm("s16", RATE)
NOISY = Path(__file__).parents[1] / "data" / "noisy.wav"


def sound(samples: int = LENGTH, channels: int = 1) -> np.ndarray:
    swell = 0.3 + np.sin(np.linspace(0, 9, samples)) ** 2
    return 0.03 * swell * np.random.default_rng(0).standard_normal((channels, samples))


class Slow(io.BytesIO):
    """A pipe that gives a few bytes at a time, and of which nobody knows how long it goes on."""

    name = "<stdin>"

    def __init__(self, content: bytes, sizes: tuple[int, ...]) -> None:
        super().__init__(content)
        self.sizes, self.reads = sizes, 0

    def seekable(self) -> bool:
        return False

    def read1(self, size: int = -1) -> bytes:
        self.reads += 1
        return super().read(min(size, self.sizes[self.reads % len(self.sizes)]))


@pytest.fixture
def piped(model, monkeypatch, capfdbinary):
    """Runs `sgmse live` with bytes at stdin: (exit code, bytes of stdout, text of stderr)."""

    class Text(io.TextIOWrapper):
        terminal = False

        def isatty(self) -> bool:
            return self.terminal

    def run(content: bytes, *arguments: str, terminal: str = "", sizes=(4097,)):
        out = io.BytesIO()
        for name, stream in (("stdin", Slow(content, sizes)), ("stdout", out)):
            text = Text(stream, write_through=True)
            text.terminal = name == terminal
            monkeypatch.setattr(sys, name, text)
        code = main(["live", "--model", str(model), "--latency", "0.2", *arguments])
        return code, out.getvalue(), capfdbinary.readouterr().err.decode()

    return run


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """What a stream makes of the sound, as it is written with 16 bits."""
    return Stream(tiny.enhancer(), RATE, 0.2).whole(S16.samples(S16.content(sound())))


@pytest.mark.parametrize("sizes", [(1, 3, 1000), (7001,)])
def test_raw_samples_come_out_as_many_and_in_their_place(piped, expected, sizes):
    content = S16.content(sound())
    code, out, err = piped(content, "--raw", "s16", "--rate", str(RATE), sizes=sizes)
    assert (code, err) == (0, "")
    assert len(out) == len(content)
    np.testing.assert_allclose(S16.samples(out), expected, atol=2**-14)


@pytest.mark.parametrize("frames", [None, LENGTH])
def test_wav_gives_wav_of_known_or_unknown_length(piped, expected, frames):
    content = S16.header(frames) + S16.content(sound())
    code, out, err = piped(content + b"LIST\4\0\0\0info" * (frames is not None), "-")
    assert (code, err) == (0, "")
    assert read_header(io.BytesIO(out)) == (S16, frames)
    about = info(io.BytesIO(out))
    assert (about.sample_rate, about.channels, about.frames) == (RATE, 1, LENGTH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a length that is not stated
        np.testing.assert_allclose(read(io.BytesIO(out))[0], expected, atol=2**-14)


def test_the_header_of_a_wav_that_is_said_to_be_raw_is_said(piped):
    content = S16.header(LENGTH) + S16.content(sound())
    code, out, err = piped(content, "--raw", "s16", "--rate", str(RATE))
    assert (code, len(out)) == (0, len(content))
    assert "<stdin>: begins with the header of a WAV file, which is taken as sound; leave" in err


def test_clipping_is_said_once_at_the_end(piped):
    speech = read(NOISY)[0][:1, :LENGTH]
    for x, told in ((speech, 0), (speech.clip(-0.05, 0.05), 1)):
        code, _, err = piped(S16.header() + S16.content(x))
        assert code == 0
        assert err.count("warning: <stdin>: this is clipped, and stays so; lower its level") == told


def test_a_file_is_no_stream(call):
    code, out, err = call("live", "a talk.wav")
    assert (code, out) == (1, "")
    assert "pipe it, sgmse live < 'a talk.wav' > clean.wav, or enhance it" in err[0]
    assert err[0].endswith("sgmse enhance 'a talk.wav'")


def test_channels_and_mixes(piped):
    pcm = Pcm("f32", 48000, 2)
    audio = sound(channels=2).astype(np.float32)
    content = pcm.header() + pcm.content(audio)
    code, out, _ = piped(content, "--max-attenuation", "0")
    assert code == 0
    np.testing.assert_allclose(pcm.samples(out[len(pcm.header()) :]), audio, atol=1e-6)


def test_a_header_that_promises_more_is_said(piped):
    code, out, err = piped(S16.header(LENGTH + 1600) + S16.content(sound()))
    assert (code, len(out)) == (0, 44 + 2 * LENGTH)
    assert "warning: <stdin>: ends 0.10 s before its header says" in err


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (b"", (), "<stdin>: is empty (0 bytes)"),
        (b"fLaC" + bytes(100), (), "<stdin>: is no WAV file, whose header says the rate; pipe it"),
        (b"RIFF\0\0\0\0WAVEfmt ", (), "<stdin>: ends within its header"),
        (b"", ("--raw", "s16"), "--raw needs --rate"),
        (b"", ("--rate", "16000"), "--rate is that of --raw"),
        (b"", ("--raw", "s16", "--rate", "16000", "--latency", "0.001"), "latency must be at"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(piped, content, arguments, words):
    code, out, err = piped(content, *arguments)
    assert (code, out) == (1, b"")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("terminal", ["stdin", "stdout"])
def test_no_sound_comes_from_a_terminal_or_goes_there(piped, terminal):
    code, out, err = piped(b"", terminal=terminal)
    assert (code, out) == (1, b"")
    assert f"{terminal} is a terminal" in err
    assert len(err.splitlines()) == 1


def test_nan_ends_it_with_what_was_heard(piped):
    pcm = Pcm("f32", RATE)
    content = pcm.content(sound())
    bad = content[:16000] + struct.pack("<f", float("nan")) + content[16004:]
    code, out, err = piped(bad, "--raw", "f32", "--rate", str(RATE), sizes=(4000,))
    assert code == 1
    assert len(out) == 16000
    assert "<stdin>: after 0.25 s, block holds nan in channel 0 at sample 0" in err


def test_half_a_sample_at_the_end_is_no_sound(piped):
    content = S16.content(sound(5000))
    code, out, err = piped(content + b"x", "--raw", "s16", "--rate", str(RATE))
    assert (code, len(out)) == (0, len(content))
    assert "warning: <stdin>: ends within a frame of 2 bytes; 1 byte left out" in err


@pytest.mark.parametrize("coding", CODINGS)
def test_codings_are_those_of_wav_files(coding):
    pcm = Pcm(coding, 8000, 2)
    audio = np.clip(20 * sound(50, 2), -1, 1)
    content = pcm.header(50) + pcm.content(audio)
    assert read_header(io.BytesIO(content)) == (pcm, 50)
    whole, about = read(io.BytesIO(content))
    assert (about.sample_rate, about.frames) == (8000, 50)
    np.testing.assert_allclose(whole, pcm.samples(content[len(pcm.header(50)) :]), atol=1e-6)
    steps = {"u8": 2.0**-7, "s16": 2.0**-15}.get(coding, 2.0**-20)
    np.testing.assert_allclose(whole, audio, atol=1.01 * steps)


def test_headers_of_others_are_read():
    def wav(form: bytes, size: int, before: bytes = b"") -> io.BytesIO:
        head = b"RIFF\xff\xff\xff\xffWAVE" + before + struct.pack("<4sI", b"fmt ", len(form)) + form
        return io.BytesIO(head + struct.pack("<4sI", b"data", size) + bytes(8))

    plain = struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16)
    expected = Pcm("s16", 44100, 2)
    listed = b"LIST\3\0\0\0abc\0"  # with a byte that makes it even
    assert read_header(wav(plain, 0xFFFFFFFF, listed)) == (expected, None)  # as ffmpeg writes it
    assert read_header(wav(plain, 0x7FFFF000)) == (expected, None)  # SoX
    assert read_header(wav(plain, 0)) == (expected, None)
    tail = bytes.fromhex("000000001000800000aa00389b71")
    extensible = struct.pack("<HHIIHHHHIH", 0xFFFE, 2, 44100, 176400, 4, 16, 22, 16, 3, 1) + tail
    assert read_header(wav(extensible, 8)) == (expected, 2)
    with pytest.raises(AudioError, match="samples of format 0x2 with 4 bits"):
        read_header(wav(struct.pack("<HHIIHH", 2, 1, 8000, 4000, 1, 4), 8))


def test_a_terminal_shows_what_was_heard_and_the_load():
    shown = io.StringIO()
    with tqdm(bar_format="{desc}", file=shown) as bar:
        Status(bar).tell(63.0, 12.6, 0.478)
    assert "1:03 heard, load 20%, latency 0.48 s" in shown.getvalue()


# In processes of their own, which load everything anew


def started(model, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "sgmse", "live", "--model", str(model), "--latency", "0.2"]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *arguments], stdin=pipe, stdout=pipe, stderr=pipe)


RAW = ("--raw", "s16", "--rate", str(RATE))


@pytest.mark.slow
def test_in_a_real_pipe_from_a_slow_writer_of_blocks_of_any_size(model, expected):
    content = S16.header() + S16.content(sound())
    rng = np.random.default_rng(0)
    with started(model) as process:
        start = 0
        while start < len(content):
            size = int(rng.integers(1, 5000))
            process.stdin.write(content[start : start + size])
            process.stdin.flush()
            start += size
            time.sleep(0.03)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    np.testing.assert_allclose(S16.samples(out[44:]), expected, atol=2**-14)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_heard_comes_while_more_is_waited_for_and_an_interrupt_gives_the_rest(
    model, expected, number
):
    content = S16.content(sound())
    with started(model, *RAW) as process:
        process.stdin.write(content)
        process.stdin.flush()
        early = b""
        while len(early) < len(content) - 2 * int(0.2 * RATE + 1):
            early += os.read(process.stdout.fileno(), 1 << 16)
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert err == b"sgmse: interrupted; what was heard until then is written\n"
    np.testing.assert_allclose(S16.samples(early + out), expected, atol=2**-14)


@pytest.mark.slow
def test_nobody_who_reads_ends_it_without_a_word(model):
    with started(model, *RAW) as process:
        process.stdout.close()
        process.stdin.write(S16.content(sound()))
        process.stdin.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_a_stream_is_fast_unless_another_quality_is_asked_for(tmp_path):
    plain = tiny.checkpoint()
    quick, slow = (Quality(replace(plain.sampler, shifts=shifts)) for shifts in (2, 3))
    save(replace(plain, qualities={"fast": quick, "best": slow}), tmp_path / "offering")
    save(plain, tmp_path / "without")

    def shifts(name: str, *words: str) -> int:
        options = parsed(["live", "--model", str(tmp_path / name), *words])
        return stream_of(options, RATE).enhancer.sampler.shifts

    assert shifts("offering") == 2
    assert shifts("offering", "--quality", "best") == 3
    assert shifts("offering", "--shifts", "4") == 4
    assert shifts("without") == 1


@pytest.mark.slow
def test_the_causal_model_is_taken_unless_more_is_asked_for():
    def causal(command: str, *words: str) -> bool:
        options = parsed([command, *words])
        latency = options.latency if command == "live" else None
        networks = networks_of(enhancer_of(options, 1, latency).model).values()
        return all(network.causal for network in networks)

    assert causal("live")
    assert causal("serve")
    for words in (("--latency", "0.3"), ("--quality", "fast"), ("--shifts", "1")):
        assert not causal("live", *words)
    assert not causal("live", "--model", "default")
