"""Between a microphone and a loudspeaker nothing is lost unseen; the devices here are played."""

import threading

import numpy as np
import pytest
from played_devices import OVERFLOW, UNDERFLOW, Module

from sgmse.errors import ArgumentError, AudioError, MissingPackageError
from sgmse.live import devices as room, line as lines
from sgmse.live.devices import devices, loudspeaker, microphone
from sgmse.live.line import HELD, PLAYED, RESERVE, Line

RATE = 1000


@pytest.fixture
def module(monkeypatch) -> Module:
    made = Module(("HDMI", 0, 8), ("Headset", 1, 2), ("USB mic", 2, 0), ("USB card", 2, 2))
    for place in (room, lines):
        monkeypatch.setattr(place, "sounddevice", lambda: made)
    return made


def ramp(start: int, stop: int, channels: int = 1) -> np.ndarray:
    return np.tile(np.arange(start, stop) / 1e6, (channels, 1)).astype(np.float32)


def test_devices_are_found_by_number_name_or_as_the_default(module):
    assert [d.name for d in devices()] == ["HDMI", "Headset", "USB mic", "USB card"]
    assert microphone("default").name == loudspeaker("default").name == "Headset"
    assert microphone("2").name == microphone("usb MIC").name == microphone("mic").name == "USB mic"
    assert loudspeaker("usb").name == "USB card"
    assert loudspeaker("0").rate == 48000
    with pytest.raises(ArgumentError, match="several are a microphone 'usb': 2 USB mic, 3 USB ca"):
        microphone("usb")
    for word in ("HDMI", "0", "7", "nothing"):  # of which some hear nothing
        with pytest.raises(ArgumentError, match=f"no microphone '{word}'; sgmse live --devices"):
            microphone(word)


def test_without_devices_or_their_default(module, monkeypatch):
    module.default.device = (-1, -1)
    assert (microphone("default").name, loudspeaker("default").name) == ("Headset", "HDMI")
    module.listed = (("HDMI", 0, 8),)
    with pytest.raises(ArgumentError, match="finds no microphone on this machine"):
        microphone("default")
    monkeypatch.undo()

    def without(*_):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(room, "imported", without)
    with pytest.raises(MissingPackageError, match=r"library PortAudio \(PortAudio library not fo"):
        devices()


def test_what_is_heard_is_read_in_order(module):
    with Line(RATE, 2, microphone("mic"), None) as line:
        (stream,) = module.streams
        assert stream.kind == "RawInputStream"
        assert (stream.settings["device"], stream.settings["channels"]) == (2, 2)
        assert line.read(0) is None
        sound = np.stack([ramp(0, 500)[0], -ramp(0, 500)[0]])
        for start in range(0, 500, 100):
            stream.hear(sound[:, start : start + 100])
            if start == 200:
                first = line.read(0)
        got = np.concatenate([first, line.read(0)], axis=1)
        np.testing.assert_array_equal(got, sound.astype(np.float64))
        assert line.losses == []
    assert stream.events == ["start", "stop", "close"]


def test_a_reader_is_woken(module):
    with Line(RATE, 1, microphone("mic"), None) as line:
        threading.Timer(0.05, lambda: module.streams[0].hear(ramp(0, 10))).start()
        assert line.read(5.0).shape == (1, 10)


def test_what_nobody_takes_is_bounded_and_its_place_is_silent(module):
    most = round(HELD * RATE)
    with Line(RATE, 1, microphone("mic"), None) as line:
        (stream,) = module.streams
        for start in range(0, most + 3000, 100):
            stream.hear(ramp(start + 1, start + 101))
        stream.hear(ramp(0, 10), OVERFLOW)
        np.testing.assert_array_equal(line.read(0), ramp(1, most + 1))
        gap = [line.read(0) for _ in range(4)]
        assert [block.shape[1] for block in gap] == [1000, 1000, 1000, 10]
        assert not np.any(np.concatenate(gap, axis=1))
        assert line.read(0) is None
        stream.hear(ramp(5, 9))
        np.testing.assert_array_equal(line.read(0), ramp(5, 9))
        assert (line.overruns, line.lost) == (2, 3010)
        assert line.losses == [
            "2 overruns of the microphone, 3.01 s of it as the work took too long"
        ]


def test_what_is_written_is_played_in_order_and_pauses_are_counted(module):
    reserve = round(RESERVE * RATE)
    with Line(RATE, 1, None, loudspeaker("Headset")) as line:
        (stream,) = module.streams
        assert (stream.kind, stream.settings["channels"]) == ("RawOutputStream", 2)
        assert not np.any(stream.play(10))
        line.write(ramp(1, reserve), wait=False)
        assert not np.any(stream.play(10))  # a little more is waited for
        line.write(ramp(reserve, 201), wait=False)
        np.testing.assert_array_equal(stream.play(150), ramp(1, 151, 2))
        assert line.latency == pytest.approx(0.01 + 0.05)
        out = stream.play(80)
        np.testing.assert_array_equal(out[:, :50], ramp(151, 201, 2))
        assert not np.any(out[:, 50:])
        stream.play(80)
        assert line.underruns == 1  # a pause is one, however long it is
        line.write(ramp(1, 2 * reserve), wait=False)
        assert not np.any(stream.play(10))  # of which more is waited for now
        line.write(ramp(2 * reserve, 101), wait=False)
        np.testing.assert_array_equal(stream.play(100, UNDERFLOW), ramp(1, 101, 2))
        assert line.losses == ["2 underruns of the loudspeaker"]


def test_what_is_too_late_is_skipped_and_what_comes_too_early_waits(module):
    most = round(PLAYED * RATE)
    with Line(RATE, 1, None, loudspeaker("Headset")) as line:
        (stream,) = module.streams
        line.write(ramp(0, most + 300), wait=False)
        half = most // 2  # of which a part would be the next to be too late
        np.testing.assert_array_equal(stream.play(half), ramp(half + 300, most + 300, 2))
        assert line.losses == ["0.80 s too late to be played"]
        line.write(ramp(0, most + 1), wait=True)
        writing = threading.Thread(target=line.write, args=(ramp(0, 50), True))
        writing.start()
        writing.join(0.2)
        assert writing.is_alive()
        stream.play(1)
        writing.join(5)
        assert not writing.is_alive()
        ending = threading.Thread(target=line.drain)
        ending.start()
        while ending.is_alive():
            stream.play(100)
        assert line.skipped == 300 + half


def test_each_direction_has_its_stream(module):
    with Line(RATE, 1, microphone("mic"), loudspeaker("HDMI")) as line:
        heard, played = module.streams
        assert (heard.settings["device"], heard.settings["channels"]) == (2, 1)
        assert (played.settings["device"], played.settings["channels"]) == (0, 2)
        line.write(ramp(0, 100), wait=False)
        heard.hear(ramp(7, 107))
        np.testing.assert_array_equal(line.read(0), ramp(7, 107))
        np.testing.assert_array_equal(played.play(100), ramp(0, 100, 2))
        assert line.latency == pytest.approx(0.02)
    assert heard.events == played.events == ["start", "stop", "close"]


def stopped(line: Line) -> None:
    with line:
        line._streams[1].active = False
        line.read(0)


def test_a_device_that_does_not_open_or_stops_is_said(module):
    module.refused = [RATE]
    with pytest.raises(AudioError, match=r"USB mic: does not open: Invalid sample rate \[.*--rate"):
        Line(RATE, 1, microphone("mic"), None)
    line = Line(RATE + 1, 1, microphone("mic"), None)
    assert len(module.streams) == 1
    module.streams.clear()
    module.refused = []
    line = Line(RATE, 1, microphone("mic"), loudspeaker("usb"))
    with pytest.raises(AudioError, match="USB card: has stopped; see whether"):
        stopped(line)
    assert [stream.events for stream in module.streams] == [["start", "abort", "close"]] * 2


def test_a_device_that_does_not_start_leaves_none_open(module):
    line = Line(RATE, 1, microphone("mic"), loudspeaker("usb"))
    module.busy = [3]
    with pytest.raises(AudioError, match=r"card: does not start: Device unavailable \[.*--rate"):
        line.__enter__()
    heard, played = module.streams
    assert (heard.events, played.events) == (["start", "abort", "close"], ["abort", "close"])


def test_to_a_loudspeaker_nothing_becomes_later_and_later(module):
    """Work that takes twice the time of the sound: some is lost, and the rest is not held back."""
    with Line(RATE, 1, microphone("mic"), loudspeaker("Headset")) as line:
        stream, said, done, latest = module.streams[0], 0, 0.0, 0
        while said < 60 * RATE:
            stream.hear(ramp(said + 1, said + 101))
            said += 100
            if done <= said and (block := line.read(0)) is not None:
                assert np.all(block)
                latest = said - round(block[0, 0] * 1e6)
                done = said + 2 * block.shape[1]
        assert latest <= 2.1 * HELD * RATE
        assert line.lost > 20 * RATE
