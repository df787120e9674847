"""A stream gives the same however it is cut, later by what it says, in bounded memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings, strategies as st

from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ArgumentTypeError, ResultError
from sgmse.live import Pieces, Stream
from sgmse.live._resampling import Resampler
from sgmse.networks import Network
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Spectrogram

RATE = tiny.RATE
PIECES = Pieces(piece=0.1, ahead=0.08, before=0.3, fade=0.03)


class Seen(Network):
    """Each frame has a little of the magnitudes of all frames."""

    def forward(self, x, y, t):
        return y * (0.5 + 0.1 * y.abs().mean(dim=-1, keepdim=True))


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    return tiny.enhancer(Seen())


def sound(seconds: float, rate: int = RATE, channels: int = 2) -> np.ndarray:
    """Noise whose level changes, without what lies near half of a rate."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((channels, round(seconds * rate)))
    z = np.apply_along_axis(np.convolve, 1, z, np.hanning(9) / 4, "same")
    swell = 0.2 + np.sin(np.linspace(0, 9, z.shape[1])) ** 2
    return (0.1 * swell * z).astype(np.float32)


def in_blocks(stream: Stream, audio: np.ndarray, sizes) -> np.ndarray:
    """What comes out in blocks of such sizes, which are repeated, and at the end."""
    out, start, number = [], 0, 0
    while start < audio.shape[-1]:
        block = audio[..., start : start + sizes[number % len(sizes)]]
        made = stream(block)
        assert made.shape == block.shape
        out.append(made)
        start, number = start + block.shape[-1], number + 1
    return np.concatenate([*out, stream.flush()], axis=-1)


@pytest.fixture(scope="module", params=[16000, 44100], ids="{} Hz".format)
def streamed(request, enhancer):
    """A stream, a recording, and what it makes of that in one block."""
    stream = Stream(enhancer, request.param, pieces=PIECES)
    audio = sound(0.4, request.param)
    return stream, audio, stream.whole(audio)


@settings(max_examples=4)
@given(sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=8).filter(any))
def test_any_blocks_give_the_same(streamed, sizes):
    stream, audio, whole = streamed
    out = in_blocks(stream, audio, sizes)
    assert np.abs(out[:, : stream.delay]).max() == 0
    np.testing.assert_array_equal(out[:, stream.delay :], whole)


def test_single_samples_give_the_same(enhancer):
    stream = Stream(enhancer, RATE, pieces=PIECES)
    audio = sound(0.4)
    whole = stream.whole(audio)
    np.testing.assert_array_equal(in_blocks(stream, audio, [1])[:, stream.delay :], whole)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_clicks_come_after_the_latency(rate):
    """The largest sample is as late as is said, wherever in a piece the click lies."""
    stream = Stream(tiny.enhancer(tiny.Identity()), rate, pieces=PIECES)
    assert stream.latency == stream.delay / rate
    for place in (1000, 2345):
        clicks = np.zeros(rate // 2, np.float32)
        clicks[place] = 0.5
        out = in_blocks(stream, clicks, [441])
        assert np.abs(out).argmax() == place + stream.delay


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 47999, 48000])
def test_no_shorter_delay_would_do(enhancer, rate):
    """Just before a piece is due, the last sample that was ready has gone out."""
    plan = Stream(enhancer, rate, pieces=PIECES)._plan
    spare = [
        max(plan.up.ready(j * plan.piece), 0) + plan.delay - (plan.due(j) - 1)
        for j in range(1, 2000)
    ]
    assert min(spare) == 0


def test_a_latency_is_kept_and_nearly_used(enhancer):
    for latency in (0.1, 0.25, 0.5):
        stream = Stream(enhancer, 48000, latency)
        assert latency - 0.01 < stream.latency <= latency
        assert abs(stream.pieces.piece + stream.pieces.ahead - latency) < 0.02
    with pytest.raises(ArgumentError, match=r"latency must be at least 0\.0\d\d s"):
        Stream(enhancer, 48000, 0.01)


def test_a_network_that_takes_many_frames_at_once_needs_no_longer_pieces():
    class Many(tiny.Identity):
        divisor = (1, 64)

    stream = Stream(tiny.enhancer(Many()), RATE, 0.1)
    assert stream.latency > 0.09
    audio = sound(0.3)
    np.testing.assert_allclose(stream.whole(audio), audio, atol=1e-6)


def test_in_one_piece_it_is_what_the_enhancer_gives(enhancer):
    audio = sound(0.7)
    stream = Stream(enhancer, RATE, pieces=Pieces(piece=2.0, ahead=0.1))
    np.testing.assert_allclose(stream.whole(audio), enhancer(audio, RATE), atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_what_a_model_leaves_alone_comes_back(rate):
    """At its own level, whatever the running level is, with the band above the model's."""
    stream = Stream(tiny.enhancer(tiny.Identity()), rate, pieces=PIECES)
    audio = sound(0.6, rate)
    audio[:, audio.shape[1] // 2 :] *= 0.03
    out = stream.whole(audio)
    edge = 0.01 if rate == RATE else 0.05  # where the track of gains begins and ends
    inner = slice(round(edge * rate), -round(edge * rate))
    assert np.abs(out - audio)[:, inner].max() < 1e-5


def test_pieces_are_made_of_a_look_back_and_a_look_ahead():
    """Sound beyond them changes nothing, and sound within them does."""
    stream = Stream(tiny.enhancer(Seen()), RATE, pieces=replace(PIECES, fade=0.0))
    plan = stream._plan
    audio = sound(1.2, channels=1)
    place = 5 * plan.piece
    whole = stream.whole(audio)[0, place : place + plan.piece]
    for at, seen in (
        (place - plan.before - 1, False),
        (place - plan.before + 200, True),
        (place + plan.piece + plan.ahead - 200, True),
        (place + plan.piece + plan.ahead, False),
    ):
        louder = audio.copy()
        louder[0, at] += 0.02  # not so much that the level rises
        changed = stream.whole(louder)[0, place : place + plan.piece]
        assert bool(np.abs(changed - whole).max() > 1e-7) == seen, at


def test_a_frame_has_the_same_noise_in_every_window():
    """So a model that draws noise agrees with itself from piece to piece."""
    enhancer = tiny.with_sampler(
        tiny.enhancer(tiny.Pointwise()), solver=Exponential(eta=1.0), grid=Uniform(2, end=0.01)
    )
    short, long = (
        Stream(enhancer, RATE, pieces=replace(PIECES, piece=piece)).whole(sound(0.7))
        for piece in (0.05, 0.3)
    )
    other = Stream(enhancer, RATE, pieces=PIECES, seed=1).whole(sound(0.7))
    inner = slice(800, -800)
    assert np.abs(short - long)[:, inner].max() < 0.2 * np.abs(other - long)[:, inner].max()


def test_channels_are_streams_of_their_own(enhancer):
    audio = sound(0.5)
    stream = Stream(enhancer, RATE, pieces=PIECES)
    both = stream.whole(audio)
    for channel in range(2):
        np.testing.assert_allclose(both[channel], stream.whole(audio[channel]), atol=1e-6)
    audio[1] = 0
    assert np.abs(stream.whole(audio)[1]).max() == 0
    assert np.abs(stream.whole(np.zeros(9000, np.float32))).max() == 0


def test_silence_between_sounds_is_silent_and_passes(enhancer):
    audio = sound(1.5, channels=1)
    audio[:, 6000:20000] = 0
    out = Stream(enhancer, RATE, pieces=PIECES).whole(audio)
    assert np.isfinite(out).all()
    assert np.abs(out[:, 12000:18000]).max() == 0
    assert np.abs(out[:, 21000:]).max() > 0.01


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int32"])
def test_types_stay(enhancer, dtype):
    stream = Stream(enhancer, RATE, pieces=PIECES)
    audio = sound(0.3, channels=1)[0]
    scale = 1 if dtype.startswith("float") else 2.0 ** (np.iinfo(dtype).bits - 1)
    given = (scale * audio).astype(dtype)
    kept = given.copy()
    outs = stream(given), stream.flush()
    assert [out.dtype for out in outs] == [given.dtype] * 2
    np.testing.assert_array_equal(given, kept)
    whole = np.concatenate(outs)[stream.delay :] / scale
    np.testing.assert_allclose(whole, stream.whole(audio), atol=2**-14)


def test_tensors_stay_tensors(enhancer):
    stream = Stream(enhancer, RATE, pieces=PIECES)
    audio = torch.from_numpy(sound(0.3))
    out = stream.whole(audio)
    assert isinstance(out, torch.Tensor)
    np.testing.assert_array_equal(out.numpy(), stream.whole(audio.numpy()))


def test_a_block_that_cannot_be_is_refused_and_the_stream_goes_on(enhancer):
    stream = Stream(enhancer, RATE, pieces=PIECES)
    audio = sound(0.5)
    whole = stream.whole(audio)
    bad = audio[:, :100].copy()
    bad[1, 7] = np.nan
    out = [stream(audio[:, :4000])]
    with pytest.raises(ArgumentError, match="block holds nan in channel 1 at sample 7"):
        stream(bad)
    with pytest.raises(ArgumentError, match=r"shape \(1, 100\), and those before \(2, samples\)"):
        stream(audio[:1, :100])
    with pytest.raises(ArgumentError, match=r"shape \(100,\), and those before \(2, samples\)"):
        stream(audio[0, :100])
    with pytest.raises(ArgumentTypeError, match="block holds float64 in ndarray, and those before"):
        stream(audio.astype(float))
    with pytest.raises(ArgumentTypeError, match="masked"):
        stream(np.ma.masked_array(audio))
    out += [stream(audio[:, 4000:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(out, 1)[:, stream.delay :], whole)
    assert stream(audio[0, :50]).shape == (50,)  # a new recording may have other channels
    stream.reset()
    assert stream(audio).shape == audio.shape


@pytest.mark.parametrize("shape", [(2, 2, 10), (0, 10), ()])
def test_shapes_that_are_no_block(enhancer, shape):
    with pytest.raises(ArgumentError, match="block"):
        Stream(enhancer, RATE)(np.zeros(shape, np.float32))


def test_options_are_checked(enhancer):
    for wrong in (
        {"latency": "0.5"},
        {"dry": 2.0},
        {"seed": -1},
        {"max_attenuation": -1.0},
        {"upper_band": 1},
        {"pieces": 0.5},
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError), match=next(iter(wrong))):
            Stream(enhancer, RATE, **wrong)
    with pytest.raises(ArgumentError, match="sample_rate"):
        Stream(enhancer, 0)
    with pytest.raises(ArgumentTypeError, match="enhancer"):
        Stream("default", RATE)
    with pytest.raises(ArgumentError, match="fade"):
        Pieces(piece=0.1, ahead=0.1, fade=0.2)
    with pytest.raises(ArgumentError, match="piece"):
        Pieces(piece=0.0, ahead=0.1)


def test_little_is_no_trouble(enhancer):
    stream = Stream(enhancer, RATE, pieces=PIECES)
    assert stream.flush().shape == (0,)
    assert stream.whole(np.zeros((2, 0), np.float32)).shape == (2, 0)
    for samples in (1, 10, 2879, 2880, 2881):
        audio = sound(0.2)[:, :samples]
        assert stream.whole(audio).shape == audio.shape


def test_the_mix_is_that_of_the_enhancer(enhancer):
    audio = sound(0.5, 48000)
    whole = Stream(enhancer, 48000, pieces=PIECES).whole(audio)
    half = Stream(enhancer, 48000, pieces=PIECES, dry=0.5).whole(audio)
    np.testing.assert_allclose(half, (whole + audio) / 2, atol=1e-6)
    same = Stream(enhancer, 48000, pieces=PIECES, max_attenuation=0).whole(audio)
    np.testing.assert_allclose(same, audio, atol=1e-6)
    quiet = tiny.enhancer(tiny.Gain(0.01))
    limited = Stream(quiet, RATE, pieces=PIECES, max_attenuation=12).whole(sound(0.5))
    share = np.sqrt(np.mean(limited**2) / np.mean(sound(0.5) ** 2))
    assert abs(20 * np.log10(share) + 12) < 0.5


def test_noise_of_the_model_is_an_error():
    class Loud(Network):
        def forward(self, x, y, t):
            return 3 * torch.randn_like(y)

    with pytest.raises(ResultError, match="the result is noise"):
        Stream(tiny.enhancer(Loud()), RATE, pieces=PIECES).whole(sound(2.0))

    class Wrong(Network):
        def forward(self, x, y, t):
            return y * torch.nan

    with pytest.raises(ResultError, match="not finite"):
        Stream(tiny.enhancer(Wrong()), RATE, pieces=PIECES).whole(sound(0.5))


@pytest.mark.slow
def test_memory_stays_flat():
    """Over minutes, of which one would be 23 MB as it is held."""
    front = replace(tiny.FRONT, transform=Spectrogram(510, 255))
    identity = replace(tiny.enhancer(tiny.Identity()), front=front)
    stream = Stream(identity, 48000, pieces=Pieces(1.0, 0.1, before=0.1))
    block = sound(0.5, 48000, channels=1)

    def minutes(count: int) -> int:
        for _ in range(120 * count):
            stream(block)
        return tracemalloc.get_traced_memory()[0]

    minutes(1)
    tracemalloc.start()
    try:
        first, last = minutes(1), minutes(3)
    finally:
        tracemalloc.stop()
    assert last - first < 1e6


def test_work_is_done_when_it_is_due_and_not_before(enhancer, monkeypatch):
    stream = Stream(enhancer, 48000, pieces=PIECES)
    made = []
    piece = stream._windows.piece
    monkeypatch.setattr(stream._windows, "piece", lambda n: made.append(n) or piece(n))
    for number in range(3):
        stream(np.zeros(stream.due - 1, np.float32))
        assert (made, stream.due) == ([*range(number)], 1)
        stream(np.zeros(1, np.float32))
        assert made == [*range(number + 1)]


def test_what_is_held_is_bounded(enhancer):
    """Whatever the length of the blocks, what waits between them is no longer than a window."""
    stream = Stream(enhancer, 48000, pieces=PIECES)
    plan, windows = stream._plan, stream._windows
    stream(sound(2.5, 48000, channels=1))
    assert stream._out.waiting <= stream.delay
    assert windows._original.waiting <= stream.delay + plan.due(1) - plan.due(0)
    window = plan.before + plan.piece + plan.ahead
    assert windows._heard.shape[1] <= window + plan.piece


@pytest.mark.parametrize(
    ("source", "target"), [(48000, 16000), (16000, 44100), (11025, 16000), (2000, 2003)]
)
def test_resampling_is_exact_and_without_delay(source, target):
    """Sines below the slope come out as they are at the other rate, others not at all."""

    def through(hertz: float) -> np.ndarray:
        resampler = Resampler(source, target)
        audio = np.sin(2 * np.pi * hertz * np.arange(source // 2) / source)[None]
        out = [resampler(audio[:, :177]), resampler(audio[:, 177:])]
        out.append(resampler(audio[:, :0], target // 2))
        return np.concatenate(out, axis=1)[0]

    def inner(audio: np.ndarray) -> np.ndarray:
        return audio[target // 10 : 2 * target // 5]

    lower = min(source, target)
    for hertz in (100.0, 0.3 * lower, 0.46 * lower):
        exact = np.sin(2 * np.pi * hertz * np.arange(target // 2) / target)
        assert np.abs(inner(through(hertz)) - inner(exact)).max() < 3e-5
    if source > target:
        assert np.abs(inner(through(0.51 * target))).max() < 3e-5
