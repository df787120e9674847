"""A result that is noise of the model, and not what is left of its recording, is none."""

import warnings

import numpy as np
import pytest
import tiny
import torch
from sounds import RATE, noise, speechlike, tone

from sgmse.audio import Info, read, write
from sgmse.enhancer import Enhancer
from sgmse.errors import ResultError, ResultWarning
from sgmse.networks import Network
from sgmse.postprocessing import LIKELY, POSSIBLE, Plausibility


def excess(clean: np.ndarray, noisy: np.ndarray, rate: int = RATE) -> float:
    return Plausibility().judge(np.atleast_2d(clean), np.atleast_2d(noisy), rate)


SPEECH = speechlike(3)
RECORDING = SPEECH + noise(len(SPEECH)) / 10


@pytest.mark.parametrize("seconds", [0, 1, 5, 511, 16000, 40000])
def test_what_is_kept_and_what_is_taken_away_is_plausible(seconds):
    recording = RECORDING[: max(seconds, 1)]
    for result in (recording, 0 * recording, recording / 2, 1.9 * recording):
        assert excess(result, recording) == 0
    assert excess(SPEECH, RECORDING) < LIKELY / 10


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_margin_is_six_decibels(rate):
    recording = noise(rate)
    assert excess(10 ** (5.9 / 20) * recording, recording, rate) == 0
    assert 0 < excess(10 ** (6.2 / 20) * recording, recording, rate) < 0.1
    assert excess(10 ** (7.0 / 20) * recording, recording, rate) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("decibels", [0, 6, 30])
def test_noise_of_the_model_is_not(decibels):
    """As loud as the recording, or louder."""
    made = noise(len(SPEECH), 1)
    made *= 10 ** (decibels / 20) * SPEECH.std() / made.std()
    assert excess(made, SPEECH) > POSSIBLE
    assert excess(SPEECH + made, SPEECH) > POSSIBLE
    assert excess(SPEECH + made / 3, SPEECH) < excess(SPEECH + made, SPEECH)


def test_a_tone_where_nothing_was_is_not():
    low, high = tone(300), tone(5000)
    assert excess(low + 0.5 * high, low) == pytest.approx(0.2, abs=0.01)  # of the energy
    assert excess(low, low + 0.5 * high) == 0


def test_a_second_of_noise_counts_by_its_energy():
    recording = np.tile(speechlike(1), 4)
    made = recording.copy()
    made[16000:32000] = recording.std() * noise(16000) / 0.2
    assert excess(made, recording) == pytest.approx(0.4 / 4, abs=0.02)


def test_what_is_below_the_floor_is_no_matter():
    quiet = 2e-4 * noise(16000)
    assert excess(quiet, np.zeros(16000)) == 0
    assert excess(1000 * quiet, np.zeros(16000)) > 0.9


def test_one_bad_channel_is_found_and_segments_add_up():
    both = np.stack([RECORDING, SPEECH])
    bad = np.stack([RECORDING, noise(len(SPEECH), 1)])
    plausibility = Plausibility()
    assert plausibility.judge(both, both, RATE) == 0
    assert plausibility.excess == 0
    worst = plausibility.judge(bad, both, RATE)
    assert worst > 0.5 > plausibility.excess > 0.1


def test_arguments_stay_as_they_are():
    clean, noisy = RECORDING[None].copy(), SPEECH[None].copy()
    before = clean.copy(), noisy.copy()
    Plausibility().judge(clean, noisy, RATE)
    np.testing.assert_array_equal(clean, before[0])
    np.testing.assert_array_equal(noisy, before[1])


# Through an enhancer


class Noisemaker(Network):
    """Adds noise of its own, `level` times the mean magnitude, to what it hears."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, x, y, t):
        z = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
        return y + self.level * y.abs().mean() * z


def test_noise_is_an_error_and_no_file(tmp_path):
    enhancer = tiny.enhancer(Noisemaker(10.0))
    with pytest.raises(ResultError, match=r"noise: 99% of its .* louder; .*force=True") as e:
        enhancer(SPEECH, RATE)
    assert "\n" not in str(e.value)
    write(tmp_path / "a.wav", SPEECH[None], Info(RATE, subtype="PCM_16"))
    with pytest.raises(ResultError):
        enhancer.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    with pytest.warns(ResultWarning, match=r"b\.wav: 99% of its energy"):
        enhancer.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav", force=True)
    assert np.abs(read(tmp_path / "b.wav")[0]).max() > 0


def test_the_first_segment_of_noise_ends_the_work():
    done = []
    enhancer = tiny.enhancer(Noisemaker(10.0))
    recording = np.tile(SPEECH, 30)
    with pytest.raises(ResultError):
        enhancer(recording, RATE, progress=done.append)
    assert sum(done) < 70  # of 90 s: two segments side by side at most, and the next ones begun


def test_a_little_noise_is_said():
    enhancer = tiny.enhancer(Noisemaker(1.3))
    with pytest.warns(ResultWarning, match=r"the result: \d+% of its energy .*listen") as said:
        enhancer(SPEECH, RATE)
    assert len(said) == 1


@pytest.mark.parametrize("gain", [1e-3, 1.0])
@pytest.mark.parametrize("dry", [0.0, 0.5])
def test_the_level_of_a_recording_and_the_mix_do_not_matter(gain, dry):
    with pytest.raises(ResultError):
        tiny.enhancer(Noisemaker(10.0))(gain * SPEECH, RATE, dry=dry)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResultWarning)
        tiny.enhancer(tiny.Identity())(gain * SPEECH, RATE, dry=dry)


def test_what_is_not_finite_is_an_error_even_by_force():
    enhancer = tiny.enhancer(Noisemaker(float("inf")))
    assert isinstance(enhancer, Enhancer)
    with pytest.raises(ResultError, match="not finite; sample the model as it recommends"):
        enhancer(SPEECH, RATE, force=True)
