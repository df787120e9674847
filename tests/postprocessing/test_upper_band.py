"""Sound above the band of a model: kept with the gains of the band below, or left out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt
from tiny import Gain, Identity, enhancer

from sgmse.errors import RecordingWarning
from sgmse.postprocessing import AboveBand, gains

RATES = [22050, 24000, 32000, 44100, 48000, 96000]
RATE = 16000


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def above(audio: np.ndarray, rate: int, low: float = 8300) -> np.ndarray:
    """The share of the energy of a recording above a frequency."""
    power = np.abs(np.fft.rfft(audio * np.hanning(audio.shape[-1]))) ** 2
    return power[..., np.fft.rfftfreq(audio.shape[-1], 1 / rate) > low].sum(-1) / power.sum(-1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("segment", [0.1, 20.0])
def test_what_a_model_leaves_alone_stays_whole(rate, segment):
    model = replace(enhancer(Identity()), segment=segment, overlap=0.02)
    audio = noise(2, rate // 2)
    out = model(audio, rate)
    inside = slice(rate // 20, -rate // 20)  # the filters ring at the ends
    error = np.sum((out - audio)[:, inside] ** 2) / np.sum(audio[:, inside] ** 2)
    assert 10 * np.log10(error) < -60
    with pytest.warns(RecordingWarning, match="sound above 8 kHz is left out"):
        left_out = model(audio, rate, upper_band=False)
    assert (above(left_out, rate) < 1e-6).all()
    assert (above(audio, rate) > 0.1).all()


@pytest.mark.parametrize("rate", RATES)
def test_the_band_above_is_lowered_with_the_band_below(rate):
    audio = noise(rate // 2)
    out = enhancer(Gain(0.01))(audio, rate)
    high = butter(8, 8300, "high", fs=rate, output="sos")
    lost = [np.sum(sosfilt(high, x) ** 2) for x in (out, audio)]
    assert 10 * np.log10(lost[0] / lost[1]) == pytest.approx(-40, abs=1)


def test_the_gain_follows_the_band_below_within_a_tenth_of_a_second():
    noisy = noise(2, RATE)
    clean = noisy.copy()
    clean[0, : RATE // 2] *= 0.03
    clean[1] *= 3
    g = gains(clean, noisy, RATE)
    assert g.shape == noisy.shape
    np.testing.assert_allclose(g[0, : RATE // 2 - RATE // 20], 0.03, rtol=1e-3)
    np.testing.assert_allclose(g[0, RATE // 2 + RATE // 20 :], 1, rtol=1e-3)
    np.testing.assert_array_equal(g[1], 1)  # never louder
    low = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)[None]
    np.testing.assert_allclose(gains(noisy[:1], noisy[:1] + low, RATE), 1, rtol=1e-3)
    np.testing.assert_array_equal(gains(0 * low, 0 * low, RATE), 1)
    assert gains(low[:, :1], low[:, :1], RATE).shape == (1, 1)


def test_dry_and_the_other_channels_are_as_without_it():
    audio = noise(3, 24000)
    audio[1] = 0
    model = enhancer(Gain(0.1))
    out = model(audio, 48000)
    assert (out[1] == 0).all()
    np.testing.assert_allclose(model(audio[0], 48000), out[0], atol=1e-6)
    mix = model(audio, 48000, dry=0.3)
    np.testing.assert_allclose(mix, 0.7 * out + 0.3 * audio, atol=1e-12)


@pytest.mark.parametrize(("cutoff", "heard"), [(None, True), (9500, True), (4000, False)])
def test_a_recording_has_sound_above_or_not(cutoff, heard):
    audio = noise(1, 48000)
    if cutoff is not None:
        audio = sosfilt(butter(12, cutoff, fs=48000, output="sos"), audio)
    audio += 1e-5 * noise(1, 48000, seed=1)  # the last bits
    listener = AboveBand(48000, 8000)
    for block in (audio[:, :30000], audio[:, 30000:]):
        np.testing.assert_array_equal(*listener.passing([block]), block)
    assert listener.heard is heard


def test_nothing_lies_above_half_a_rate_and_silence_has_no_sound():
    for rate, audio in ((RATE, noise(1, 5000)), (48000, np.zeros((2, 5000)))):
        listener = AboveBand(rate, 8000)
        list(listener.passing([audio]))
        assert not listener.heard
