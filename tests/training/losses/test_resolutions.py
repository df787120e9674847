import numpy as np
import pytest
import torch

from sgmse.training.losses.resolutions import FLOOR, WINDOWS, magnitudes, multi_resolution_loss


def by_hand(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Eq. 4 to 6 of the paper, frame by frame."""
    losses = []
    for n in WINDOWS:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        window /= np.sqrt((window**2).sum())
        spectra = []
        for audio in (estimate, reference):
            padded = np.pad(audio, n // 2)
            starts = range(0, len(audio) + 1, n // 4)
            frames = np.stack([window * padded[s : s + n] for s in starts])
            spectra.append(np.maximum(np.abs(np.fft.rfft(frames)), FLOOR))
        x, x0 = spectra
        convergence = np.linalg.norm(x - x0) / np.linalg.norm(x0)
        losses.append(convergence + np.abs(np.log(x) - np.log(x0)).mean())
    return float(np.mean(losses))


def test_it_is_the_formula_of_each_item():
    rng = np.random.default_rng(0)
    estimate, reference = rng.standard_normal((2, 3, 5000)) * [[[0.1], [1e-2], [1.0]]]
    ours = multi_resolution_loss(torch.from_numpy(estimate), torch.from_numpy(reference))
    theirs = [by_hand(*pair) for pair in zip(estimate, reference, strict=True)]
    # the 1e-16 under the root of the numerator, which is 1e-6 at least
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)


def test_white_noise_has_magnitudes_of_the_size_of_its_samples():
    noise = 0.1 * torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))
    for window in WINDOWS:
        rms = magnitudes(noise, window).square().mean().sqrt()
        assert float(rms) == pytest.approx(0.1, rel=0.02)  # 200,000 samples, and both ends


def test_silence_and_equality_have_finite_slopes():
    audio = torch.randn(2, 3000)
    audio[0] = 0
    for estimate in (torch.zeros(2, 3000), audio.clone()):
        estimate.requires_grad_()
        loss = multi_resolution_loss(estimate, audio)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert estimate.grad.isfinite().all()
    assert multi_resolution_loss(audio, audio).max() <= 1e-5  # sqrt(1e-16) over 1e-3
    loud = multi_resolution_loss(torch.randn(1, 3000), torch.zeros(1, 3000))
    assert float(loud) < 1100  # 1 over 1e-3, and the logarithm of 1 over 1e-4


def test_less_than_a_window_is_enough():
    assert multi_resolution_loss(torch.randn(1, 100), torch.randn(1, 100)).isfinite().all()


def test_the_estimate_is_drawn_to_the_reference():
    t = torch.arange(2000) / 16000
    reference = (2 * torch.pi * 440 * t).sin()[None]
    estimate = (0.5 * reference + 0.1 * torch.randn(1, 2000)).requires_grad_()
    losses = []
    for _ in range(10):
        loss = multi_resolution_loss(estimate, reference).sum()
        (slope,) = torch.autograd.grad(loss, estimate)
        estimate = (estimate - 0.03 * slope.sign()).detach().requires_grad_()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
