"""The latent of an autoencoder as what a process runs in: shapes, solvers, files, trainings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SOLVERS
from problems import Formula
from tiny import RATE, latent, latent_checkpoint as checkpoint
from torch import Tensor

from sgmse.bench.models import model_digest
from sgmse.checkpoints import load, save
from sgmse.checkpoints.native import AUTOENCODER
from sgmse.enhancer import Enhancer, load as enhancer_of
from sgmse.errors import ArgumentError, CheckpointError
from sgmse.estimates import Estimate
from sgmse.front import FrontEnd
from sgmse.inference import Decoded
from sgmse.latent import Latent
from sgmse.live._frames import by_frames
from sgmse.networks import Autoencoder, BandAutoencoder, Posterior
from sgmse.sdes import OUVE, expand
from sgmse.solvers import Exponential, Uniform, solve
from sgmse.transforms import Power, Spectrogram

SPECTROGRAM = latent().spectrogram


class Turned(Autoencoder):
    """One to one: each number turned by a right angle, and twice as large."""

    frequencies = bands = 32

    def __init__(self) -> None:
        super().__init__()
        self.config = {}

    def posterior(self, x: Tensor) -> Posterior:
        return Posterior(2j * x, torch.ones_like(x.real))

    def decode(self, z: Tensor) -> Tensor:
        return z / 2j

    @property
    def noise(self) -> Tensor:
        return torch.ones(())


def audio(*shape: int, dtype=torch.float32) -> Tensor:
    return 0.1 * torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


def test_where_nothing_is_lost_audio_comes_back_exactly():
    transform = Latent(SPECTROGRAM, Turned(), 0.7)
    x = audio(2, 3, 1000, dtype=torch.float64)
    z = transform.forward(x)
    assert z.shape == (2, 3, 32, transform.frames(1000))
    torch.testing.assert_close(z, 1.4j * SPECTROGRAM.forward(x))
    torch.testing.assert_close(transform.inverse(z, 1000), x, atol=1e-12, rtol=0)


@pytest.mark.parametrize("samples", [1, 31, 32, 500, 1001])
def test_a_front_end_gives_as_many_samples_as_it_took(samples):
    front = FrontEnd(latent(), RATE)
    x = audio(2, samples)
    z = front.forward(x, 2)
    assert z.is_complex()
    assert z.shape == (2, 1, 8, front.frames(samples, 2))
    assert front.inverse(z, samples).shape == x.shape


def test_the_latent_is_the_mean_of_the_posterior_times_the_factor():
    transform, x = latent(0.5), audio(1, 500)
    mean = transform.autoencoder.posterior(SPECTROGRAM.forward(x)[:, None]).mean
    torch.testing.assert_close(transform.forward(x)[:, None], 0.5 * mean)
    other = replace(transform, factor=2.0)
    torch.testing.assert_close(other.forward(x), 4 * transform.forward(x))
    decoded = [t.inverse(t.forward(x), 500) for t in (transform, other)]
    torch.testing.assert_close(*decoded)
    assert transform.compression == Power(1.0, 0.5)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_every_solver_runs_in_a_latent(solver):
    """With an estimate of clean audio that is exact, a flow ends there, as in any other space."""
    front, sde = FrontEnd(latent(), RATE), OUVE()
    x0, y = front.forward(audio(1, 400), 2), front.forward(audio(1, 400) + 0.05, 2)

    def exact(x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        return Estimate(x0, (x - a * x0 - b * y) / sigma)

    grid = Uniform(steps=4, start=1.0, end=0.05)
    if solver.refusal(sde, grid.start):
        pytest.skip("not of this process, in any space")
    result = solve(Formula(sde, exact), y, solver, grid).x
    assert result.shape == x0.shape
    assert result.isfinite().all()
    assert front.inverse(result, 400).shape == (1, 400)
    if isinstance(solver, Exponential) and solver.eta == 0:
        torch.testing.assert_close(result, x0, atol=1e-5, rtol=1e-4)


def test_recordings_are_enhanced_in_it_from_wav_to_wav():
    enhancer = replace(Enhancer.of(checkpoint()), force=True)
    noisy = audio(2, 9000).numpy()
    clean = enhancer(noisy, RATE)
    assert clean.shape == noisy.shape
    assert np.isfinite(clean).all()
    assert clean.any()
    one = enhancer(noisy[1], RATE)
    np.testing.assert_allclose(clean[1], one, atol=1e-6)
    more = enhancer.with_sampler(steps=3)(noisy[0], RATE)
    assert np.isfinite(more).all()


def test_a_file_of_a_model_holds_the_weights_of_its_latent(tmp_path: Path):
    ours = checkpoint()
    folder = save(ours, tmp_path / "tiny")
    theirs = load(folder)
    transform = theirs.front.transform
    assert isinstance(transform, Latent)
    assert transform.autoencoder.config == ours.front.transform.learned.config
    x = audio(1, 700)
    assert torch.equal(transform.forward(x), ours.front.transform.forward(x))
    assert not any(p.requires_grad for p in transform.autoencoder.parameters())
    before = model_digest(folder)
    with torch.no_grad():
        next(ours.front.transform.learned.parameters()).add_(1)
    assert model_digest(save(ours, folder)) != before
    save(replace(ours, front=FrontEnd(SPECTROGRAM, RATE)), folder)
    assert not (folder / AUTOENCODER).exists()


def test_a_file_without_them_is_refused(tmp_path: Path):
    folder = save(checkpoint(), tmp_path)
    (folder / AUTOENCODER).unlink()
    with pytest.raises(CheckpointError, match=f"has no {AUTOENCODER}"):
        load(folder)


def test_the_weights_go_where_the_model_goes(tmp_path: Path):
    enhancer = enhancer_of(save(checkpoint(), tmp_path), device="meta")
    assert all(p.is_meta for p in enhancer.front.transform.learned.parameters())


def test_an_autoencoder_of_another_size_is_refused():
    with pytest.raises(ArgumentError, match=r"takes 64 frequencies, .* has 32; set n_fft to 126"):
        Latent(SPECTROGRAM, BandAutoencoder(64, 4, 4))
    with pytest.raises(ArgumentError, match="factor must be positive, not 0"):
        latent(0.0)
    front = FrontEnd(Latent(SPECTROGRAM, BandAutoencoder(32, 16, 4)), RATE)
    assert "2 bands, and the network needs a multiple of 4" in str(front.refusal(4))


def test_what_takes_a_latent_for_a_spectrogram_is_told():
    front = FrontEnd(latent(), RATE)
    assert not Decoded(front, 400).linear
    assert FrontEnd(Spectrogram(62, 16, Power(1.0)), RATE).transform.linear
    assert not by_frames(
        Enhancer.of(replace(checkpoint(), front=replace(front, level="published")))
    )
