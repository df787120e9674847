"""A limit on the attenuation: noise alone is the input at the limit, speech as without one."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter
from tiny import Gain, enhancer

import sgmse
from sgmse.audio import read
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.postprocessing import at_least, share_of

RATE = 16000
DATA = Path(__file__).parent.parent / "data"
LIMITS = [6.0, 12.0, 20.0]


def decibels(out: np.ndarray, audio: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(out**2) / np.sum(audio**2)))


def white(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((1, round(seconds * rate)))


def traffic(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Low noise whose level comes and goes."""
    t = np.arange(round(seconds * rate)) / rate
    return lfilter([1], [1, -0.95], white(seconds, rate)) * (0.2 + np.sin(7 * t) ** 2)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("noise", [white, traffic])
@pytest.mark.parametrize("residue", ["none", "alike", "other", "spikes"])
def test_noise_alone_is_lower_by_the_limit(limit, noise, residue):
    y = noise()
    left = {
        "none": 0 * y,
        "alike": 10 ** (-(limit + 3) / 20) * y,
        "other": 10 ** (-(limit + 12) / 20) * y[:, ::-1],
        "spikes": 10 ** (-(limit + 12) / 20) * y.std() * np.sin(0.5 * np.arange(y.shape[1]))[None],
    }[residue]
    out = at_least(left, y, share_of(limit), RATE)
    assert decibels(out, y) == pytest.approx(-limit, abs=0.5)


@pytest.mark.parametrize("limit", LIMITS)
def test_speech_is_as_without_a_limit_and_better_than_mixed(limit):
    t = np.arange(RATE) / RATE
    s = (np.sin(2 * np.pi * 300 * t) + np.sin(2 * np.pi * 900 * t)) * (np.sin(12 * t) > 0)
    n = white()
    f = share_of(limit)
    out = at_least(s[None], s + n, f, RATE)
    mix = (1 - f) * s + f * (s + n)
    assert decibels(out - s, s) < decibels(mix - s, s) - 0.3


def test_the_ends_of_the_range():
    y, x = white(0.1), 0.1 * traffic(0.1)
    assert share_of(None) == share_of(np.inf) == 0
    assert share_of(0) == 1
    np.testing.assert_allclose(at_least(x, y, 0.0, RATE), x, atol=1e-12)
    np.testing.assert_allclose(at_least(0 * x, y, 1.0, RATE), y, atol=1e-12)
    assert at_least(x[:, :1].astype("f"), y[:, :1].astype("f"), 0.5, RATE).shape == (1, 1)
    assert at_least(x.astype("f"), y.astype("f"), 0.5, RATE).dtype == np.float32


# In an enhancer: a network that leaves a thousandth


@pytest.mark.parametrize("rate", [8000, RATE, 22050, 44100, 48000])
@pytest.mark.parametrize("upper_band", [True, False])
def test_the_limit_holds_in_the_whole_band(rate, upper_band):
    y = white(0.5, rate)[0]
    out = enhancer(Gain(1e-3))(y, rate, max_attenuation=12, upper_band=upper_band)
    power = [np.abs(np.fft.rfft(a)) ** 2 for a in (out, y)]
    band = np.fft.rfftfreq(len(y), 1 / rate)
    for low in np.arange(200, rate / 2 - 1500, 1700):
        inside = (band >= low) & (band < low + 1700)
        lost = 10 * np.log10(power[0][inside].sum() / power[1][inside].sum())
        assert lost == pytest.approx(-12, abs=0.5), low


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_none_is_no_limit_and_zero_the_input(rate):
    model, y = enhancer(Gain(0.1)), np.vstack([white(0.1, rate), traffic(0.1, rate)])
    out = model(y, rate)
    assert decibels(out, y) < -15
    np.testing.assert_array_equal(model(y, rate, max_attenuation=None), out)
    np.testing.assert_array_equal(model(y, rate, max_attenuation=np.inf), out)
    np.testing.assert_array_equal(model(y, rate, max_attenuation=0), y)


@pytest.mark.slow  # the shipped model, twice
@pytest.mark.parametrize("kind", ["recorded", "white"])
def test_the_limit_holds_between_words(kind):
    """In a gap of a second and a half; without a limit noise is 38 and 32 dB lower there."""
    clean, noisy = (read(DATA / name)[0][0] for name in ("clean.wav", "noisy.wav"))
    speech = np.concatenate([clean[:32000], np.zeros(24000, "f"), clean[32000:64000]])
    noise = {
        "recorded": (noisy - clean)[: len(speech)],
        "white": 0.02 * np.random.default_rng(0).standard_normal(len(speech)).astype("f"),
    }[kind]
    model, gap = sgmse.load(device="cpu", shifts=1), slice(33600, 54400)
    for limit in LIMITS:
        out = model(speech + noise, RATE, max_attenuation=limit)
        assert decibels(out[gap], noise[gap]) == pytest.approx(-limit, abs=0.5)
        share = float(out @ speech / (speech @ speech))
        assert 20 * np.log10(share) == pytest.approx(0, abs=0.5)


def test_limits_that_are_none_are_refused():
    model, y = enhancer(Gain(0.1)), white(0.1)
    with pytest.raises(ArgumentError, match="max_attenuation must be at least 0, not -3"):
        model(y, RATE, max_attenuation=-3)
    with pytest.raises(ArgumentError, match=r"max_attenuation must .*nan"):
        model(y, RATE, max_attenuation=np.nan)
    with pytest.raises(ArgumentTypeError, match="max_attenuation must be a number"):
        model(y, RATE, max_attenuation="12")
    with pytest.raises(ArgumentTypeError, match="upper_band must be True or False"):
        model(y, RATE, upper_band="no")
