"""sgmse live with a microphone, a loudspeaker or a file; the devices are played by the test."""

import io
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import tiny
from played_devices import OVERFLOW, Module
from tqdm import tqdm

from sgmse.audio import Pcm, info, read
from sgmse.cli import passing
from sgmse.cli.main import main
from sgmse.cli.passing import Status, from_line, meter
from sgmse.cli.streaming import Ending
from sgmse.errors import RecordingWarning, ResultError
from sgmse.live import Stream, devices as room, line as lines
from sgmse.live._windows import Windows
from sgmse.live.devices import microphone
from sgmse.live.line import Line

RATE, LENGTH, BLOCK = 16000, 6000, 500
ENDED = "sgmse: interrupted; what was heard until then is written"


def sound() -> np.ndarray:
    swell = 0.3 + np.sin(np.linspace(0, 9, LENGTH)) ** 2
    z = np.random.default_rng(0).standard_normal((1, LENGTH))
    return (0.03 * swell * z).astype(np.float32)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return Stream(tiny.enhancer(), RATE, 0.2).whole(sound())


@pytest.fixture
def module(monkeypatch) -> Module:
    made = Module(("Headset", 1, 2), ("USB mic", 2, 0), default=(0, 0))
    for place in (room, lines):
        monkeypatch.setattr(place, "sounddevice", lambda: made)
    return made


class Player(threading.Thread):
    """Somebody who speaks into the microphone, hears the loudspeaker, and then presses Ctrl-C.

    `end` is called when all was spoken, by default an interrupt.
    """

    def __init__(self, module: Module, end=lambda: os.kill(os.getpid(), signal.SIGINT)) -> None:
        super().__init__(daemon=True)
        self.module, self.end = module, end
        self.played: list[np.ndarray] = []

    def run(self) -> None:
        while not (self.module.streams and self.module.streams[-1].active):
            time.sleep(0.005)
        place, asked = 0, False
        while all(stream.active for stream in self.module.streams):
            part = sound()[:, place : place + BLOCK]
            for stream in self.module.streams:
                if stream.kind == "RawOutputStream":
                    self.played.append(stream.play(BLOCK))
                elif part.size:
                    stream.hear(part)
            place += BLOCK
            if place >= LENGTH and not asked:
                asked = True
                time.sleep(0.2)  # so that it is taken
                if all(stream.active for stream in self.module.streams):
                    self.end()
            time.sleep(0.002)

    def heard(self) -> np.ndarray:
        """What was played, without the silence around it and within it."""
        whole = np.concatenate(self.played, axis=1)
        return whole[:, np.any(whole, axis=0)]


@pytest.fixture
def live(model, monkeypatch, capsys):
    """Runs `sgmse live`: (exit code, stdout, lines of stderr)."""

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        code = main(["live", "--model", str(model), "--latency", "0.2", *arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


def test_a_microphone_becomes_a_file(module, live, expected, tmp_path):
    Player(module).start()
    target = tmp_path / "clean.wav"
    code, out, err = live("--input", "usb", "--rate", str(RATE), "-o", str(target))
    assert (code, out, err) == (130, "", [ENDED])
    assert module.streams[0].settings["device"] == 1
    assert info(target).frames == LENGTH
    np.testing.assert_allclose(read(target)[0], expected, atol=2**-14)
    code, _, (line,) = live("--input", "usb", "-o", str(target))
    assert code == 1
    assert "exists already; use --overwrite" in line


def test_a_microphone_is_heard_at_a_loudspeaker(module, live, expected):
    player = Player(module)
    player.start()
    code, out, err = live("--input", "default", "-o", "headset", "--rate", str(RATE))
    player.join(10)
    assert (code, out) == (130, "")
    assert err[-1] == ENDED
    heard = player.heard()
    np.testing.assert_array_equal(heard[0], heard[1])
    np.testing.assert_allclose(heard[:1], expected[:, np.any(expected, axis=0)], atol=1e-6)


def test_a_pipe_is_heard_at_a_loudspeaker(module, live, expected, monkeypatch):
    pcm = Pcm("f32", RATE)
    stdin = io.TextIOWrapper(
        io.BufferedReader(io.BytesIO(pcm.header(LENGTH) + pcm.content(sound())))
    )
    monkeypatch.setattr(sys, "stdin", stdin)
    player = Player(module, end=lambda: None)
    player.start()
    assert live("-o", "default")[0] == 0
    player.join(10)
    heard = player.heard()
    np.testing.assert_allclose(heard[:1], expected[:, np.any(expected, axis=0)], atol=1e-6)


def test_a_microphone_is_piped_and_overruns_are_said(module, live, expected, monkeypatch, capsys):
    def end() -> None:
        module.streams[0].hear(np.zeros((1, 0), np.float32), OVERFLOW)
        os.kill(os.getpid(), signal.SIGINT)

    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
    Player(module, end).start()
    code, _, err = live("--input", "usb", "--rate", str(RATE), "--raw", "f32")
    assert code == 130
    np.testing.assert_allclose(Pcm("f32", RATE).samples(out.getvalue()), expected, atol=1e-6)
    assert err[0].startswith("sgmse: warning: 1 overrun of the microphone; with a lower load")


def test_a_microphone_that_is_pulled_out_leaves_what_it_heard(module, live, expected, tmp_path):
    def pulled() -> None:
        module.streams[0].active = False

    Player(module, pulled).start()
    target = tmp_path / "clean.flac"
    code, _, (line,) = live("--input", "usb", "--rate", str(RATE), "-o", str(target))
    assert code == 1
    assert "USB mic: has stopped" in line
    np.testing.assert_allclose(read(target)[0], expected, atol=2**-14)


def test_a_model_that_fails_leaves_what_it_gave(module, live, expected, tmp_path, monkeypatch):
    piece = Windows.piece

    def failing(self, number: int):
        if number > 0 and self.seed == 0 and module.streams:
            raise ResultError("the result is noise")
        return piece(self, number)

    monkeypatch.setattr(Windows, "piece", failing)
    player = Player(module, end=lambda: None)
    player.start()
    target = tmp_path / "clean.wav"
    code, _, (line,) = live("--input", "usb", "--rate", str(RATE), "-o", str(target))
    player.join(10)
    assert (code, line) == (1, "sgmse: error: the result is noise")
    given = read(target)[0]
    assert given.shape[1] > 0
    np.testing.assert_allclose(given, expected[:, : given.shape[1]], atol=2**-14)


def test_a_microphone_that_says_nothing_is_said(module, monkeypatch):
    monkeypatch.setattr(passing, "STALLED", 0.01)
    monkeypatch.setattr(passing, "WAIT", 0.01)
    ending = Ending()
    line = Line(RATE, 1, microphone("usb"), None)

    def end() -> None:
        module.streams[0].hear(sound())
        ending.asked = True

    threading.Timer(0.1, end).start()
    with line, pytest.warns(RecordingWarning, match="nothing has come from the microphone") as said:
        assert sum(block.shape[1] for block in from_line(line, ending)) in (0, LENGTH)
    assert len(said) == 1


def test_what_there_is_is_listed(module, live):
    code, out, err = live("--devices")
    assert (code, err) == (0, [])
    assert out.splitlines() == [
        "  0  Headset: 1 in, 2 out, 48000 Hz, the default microphone and loudspeaker",
        "  1  USB mic: 2 in, 0 out, 48000 Hz",
    ]
    module.listed = ()
    assert live("--devices") == (
        0,
        "",
        ["sgmse: PortAudio finds no microphone and no loudspeaker on this machine"],
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--input", "nothing", "-o", "x.wav"), "there is no microphone 'nothing'; sgmse live"),
        (("--input", "default", "-o", "nothing"), "there is no loudspeaker 'nothing'"),
        (("--input", "default", "-o", "nowhere/../x.xyz"), "xyz"),
        (
            ("--input", "default", "--rate", "22050", "-o", "x.wav"),
            "does not open: Invalid sample rat",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_line(module, live, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module.refused = [22050]
    code, out, err = live(*arguments)
    assert (code, out) == (1, "")
    assert words in err[-1]
    assert not list(tmp_path.iterdir())


def test_a_terminal_shows_levels_and_losses(module):
    line = Line(RATE, 1, microphone("usb"), None)
    shown = io.StringIO()
    with tqdm(bar_format="{desc}", file=shown) as bar:
        status = Status(bar, line)
        line.overruns = 3
        status.levels(np.full((1, 5), 0.1), np.full((1, 5), -0.5))
        status.tell(63.0, 12.6, 0.478)
    text = "1:03 heard, load 20%, latency 0.49 s, in #######... -20 dB, out #########.  -6 dB"
    assert f"{text}, 3 overruns of the microphone" in shown.getvalue()
    assert meter(1.0) == "##########   0 dB"
    assert meter(0.0) == ".......... -100 dB"
