"""A causal model streams frame by frame: the whole recording's result, one window later."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from sgmse.enhancer import Enhancer
from sgmse.errors import ResultError
from sgmse.front import FrontEnd
from sgmse.live import Pieces, Stream
from sgmse.live._frames import Frames
from sgmse.model import Regeneration, ScoreModel
from sgmse.solvers import Exponential, Sampler, Uniform
from sgmse.transforms import Power, Spectrogram

RATE = tiny.RATE


def enhancer(hop: int = 15, steps: int = 1, predictor: bool = False) -> Enhancer:
    plain = tiny.enhancer()
    core = (plain.model.sde, plain.model.parametrization)
    model = ScoreModel(tiny.causal_network(1 + predictor), *core)
    return replace(
        plain,
        model=Regeneration(tiny.causal_network(), model) if predictor else model,
        front=FrontEnd(Spectrogram(30, hop, Power(0.3, 0.3)), RATE, level="published"),
        sampler=Sampler(Exponential(start=0.0), Uniform(steps, end=0.0), shifts=1),
        samplers=(),
        force=True,  # random weights
    )


def sound(samples: int) -> np.ndarray:
    z = np.random.default_rng(samples).standard_normal((2, samples))
    swell = 0.02 + np.sin(np.linspace(0, 9, samples)) ** 2
    return (0.1 * swell * z).astype(np.float32)


def in_blocks(stream: Stream, audio: np.ndarray) -> np.ndarray:
    rng, out, start = np.random.default_rng(0), [], 0
    while start < audio.shape[1]:
        out.append(stream(audio[:, start : (start := start + int(rng.integers(0, 70)))]))
    return np.concatenate([*out, stream.flush()], axis=1)[:, stream.delay :]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("samples", [3, 16, 100, 997])
@pytest.mark.parametrize(
    ("hop", "steps", "predictor"),
    [(15, 1, False), (8, 1, False), (20, 1, False), (15, 2, False), (15, 1, True)],
)
def test_any_blocks_give_what_the_recording_gives(hop, steps, predictor, samples):
    made, audio = enhancer(hop, steps, predictor), sound(samples)
    stream = Stream(made, RATE)
    assert stream.delay <= 30 + hop - 1
    whole = stream.whole(audio)
    np.testing.assert_allclose(whole, made(audio, RATE), rtol=0, atol=3e-6 * np.abs(whole).max())
    assert np.array_equal(in_blocks(stream, audio), whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_noise_of_the_model_is_an_error_within_a_second():
    """A head that makes the recording thirty times as loud is as unlike it as noise is."""
    made = enhancer()
    network = made.model.network
    with torch.no_grad():
        network.head.bias[network.observations] = 30.0  # of y alone, thirty times as loud
    audio = sound(3 * RATE)
    assert Stream(made, RATE).whole(audio).shape == audio.shape  # which is forced
    stream = Stream(replace(made, force=False), RATE)
    stream(audio[:, : round(0.9 * RATE)])
    with pytest.raises(ResultError, match="the result is noise"):
        stream(audio[:, round(0.9 * RATE) : round(1.1 * RATE)])


@pytest.mark.filterwarnings("ignore")
def test_a_click_is_heard_after_the_latency_and_not_before():
    made = enhancer()
    stream = Stream(made, RATE)
    assert stream.delay == 29  # a window of 30: the sample that completes it gives the first of it
    audio = np.zeros((1, 300), np.float32)
    audio[0, 150] = 0.5
    before = np.concatenate([stream(audio[:, :150]), stream(np.zeros((1, 1), np.float32))], axis=1)
    assert np.abs(before).max() < 1e-20
    stream.reset()
    out = np.concatenate([stream(audio), stream.flush()], axis=1)[0]
    assert 150 + 30 - 15 <= np.argmax(np.abs(out)) <= 150 + 30


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_at_another_rate_with_what_lies_above():
    made = enhancer()
    rate, audio = 3 * RATE, sound(2000)
    for options in ({}, {"max_attenuation": 12.0}, {"dry": 0.3}):
        stream = Stream(made, rate, **options)
        assert np.array_equal(in_blocks(stream, audio), stream.whole(audio))
    assert isinstance(stream._windows, Frames)
    with_band = Stream(made, rate).whole(audio)
    assert np.abs(with_band - Stream(made, rate, upper_band=False).whole(audio)).max() > 1e-3


@pytest.mark.filterwarnings("ignore")
def test_a_limit_holds_in_every_bin():
    made, audio = enhancer(), sound(997)
    limited = Stream(made, RATE, max_attenuation=6.0).whole(audio)
    spectra = [
        made.front.transform.compression.expand(made.front.transform.forward(torch.tensor(part)))
        for part in (limited, Stream(made, RATE).whole(audio), audio)
    ]
    energy = [s.abs().square().sum() for s in spectra]
    assert energy[0] > energy[2] / 4.5  # of a spectrum that no sound has quite, as bins overlap
    assert np.array_equal(Stream(made, RATE, max_attenuation=0.0).whole(audio), audio)


def test_what_hears_ahead_streams_in_windows():
    causal = enhancer()
    kept = replace(causal, front=replace(causal.front, level="kept"))
    for other in (tiny.enhancer(), kept, causal.with_sampler(shifts=2, force=True)):
        assert not isinstance(Stream(other, RATE)._windows, Frames)
    asked = Pieces(piece=0.1, ahead=0.05)
    assert not isinstance(Stream(causal, RATE, pieces=asked)._windows, Frames)
    assert isinstance(Stream(causal, RATE)._windows, Frames)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("predictor", [False, True])
def test_weights_may_be_of_another_precision(predictor):
    made, audio = enhancer(predictor=predictor), sound(300)
    plain = Stream(made, RATE).whole(audio)
    half = replace(made, precision="bf16")
    rough = Stream(half, RATE).whole(audio)
    largest = np.abs(plain).max()
    assert 0 < np.abs(rough - plain).max() < 0.02 * largest  # 8 bits of 24, in some layers
    np.testing.assert_allclose(rough, half(audio, RATE), rtol=0, atol=0.02 * largest)
    made.model.double()
    np.testing.assert_allclose(Stream(made, RATE).whole(audio), plain, rtol=0, atol=3e-6 * largest)
