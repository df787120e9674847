import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt

from sgmse.audio import read
from sgmse.metrics import pesq_wb
from sgmse.training.losses.perceptual import disturbances, quality_loss

RATE = 16000


@pytest.fixture(scope="module")
def speech(request):
    audio, about = read(request.config.rootpath / "tests" / "data" / "clean.wav")
    assert about.sample_rate == RATE
    return audio[0].astype(np.float64)


def noisy(speech, decibel, color=None):
    noise = np.random.default_rng(0).standard_normal(len(speech))
    if color is not None:
        noise = sosfilt(butter(2, color, "low", fs=RATE, output="sos"), noise)
    return speech + noise * np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (decibel / 10))


def losses(speech, *estimates):
    batch = torch.from_numpy(np.stack(estimates))
    return quality_loss(batch, torch.from_numpy(speech).expand_as(batch)).numpy()


@pytest.mark.slow
def test_follows_pesq(speech):
    """Correlated with raw PESQ above 0.9 over noises of several levels, colours and band limits."""
    estimates = [noisy(speech, d, c) for d in (0, 8, 16, 24, 32) for c in (None, 500, 2000)]
    low = butter(4, 3000, "low", fs=RATE, output="sos")
    estimates += [sosfilt(low, e) for e in (noisy(speech, 10), noisy(speech, 30))]
    opinion = np.array([pesq_wb(speech, e, RATE) for e in estimates])
    raw = (3.8224 - np.log((4.999 - opinion) / (opinion - 0.999))) / 1.3669  # P.862.2, eq. 1
    assert np.corrcoef(raw, -losses(speech, *estimates))[0, 1] > 0.9


def test_nothing_between_equals_and_more_with_more_noise(speech):
    values = losses(speech, speech, *(noisy(speech, d) for d in (40, 30, 20, 10, 0)))
    assert values[0] < 1e-4
    assert (np.diff(values) > 0).all()


def test_independent_of_levels(speech):
    estimate = noisy(speech, 10)
    expected = losses(speech, estimate)
    assert losses(speech, 0.1 * estimate) == pytest.approx(expected, rel=1e-9)
    assert losses(0.1 * speech, estimate) == pytest.approx(expected, rel=1e-9)


def test_asymmetric_counts_what_is_added_and_not_what_is_missing(speech):
    reference = torch.from_numpy(speech)[None]
    gap = butter(4, (1000, 1500), "bandstop", fs=RATE, output="sos")
    symmetric, added = disturbances(torch.from_numpy(noisy(speech, 20))[None], reference)
    also, missing = disturbances(torch.from_numpy(sosfilt(gap, speech))[None], reference)
    assert also > symmetric / 4  # both are heard
    assert added / symmetric > 3 * missing / also


@pytest.mark.parametrize("kind", ["noisy", "equal", "silent estimate", "both silent"])
def test_slopes_are_finite(speech, kind):
    reference = torch.from_numpy(speech[: 2 * RATE]).float()[None]
    estimate = {
        "noisy": reference + 0.01 * torch.randn(reference.shape, generator=torch.manual_seed(0)),
        "equal": reference.clone(),
        "silent estimate": torch.zeros_like(reference),
        "both silent": torch.zeros_like(reference),
    }[kind].requires_grad_()
    if kind == "both silent":
        reference = torch.zeros_like(reference)
    quality_loss(estimate, reference).sum().backward()
    assert estimate.grad.isfinite().all()
    assert (estimate.grad.abs().max() > 0) == (kind == "noisy")


def test_short_audio_is_refused(speech):
    short = torch.zeros(1, 511)
    with pytest.raises(ValueError, match="512"):
        quality_loss(short, short)
