"""Autoencoders: what a posterior is, and that of the convolutions."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.networks import BandAutoencoder, LinearAutoencoder, Posterior


def autoencoder(**changes) -> BandAutoencoder:
    """A random one, all of whose weights have an effect."""
    torch.manual_seed(0)
    made = BandAutoencoder(**({"frequencies": 16, "stride": 4, "channels": 6} | changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval().requires_grad_(False)


def spectrogram(*shape: int, dtype=torch.complex64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def test_the_divergence_is_that_of_two_normal_laws_a_number():
    mean = spectrogram(2, 1, 3, 4, dtype=torch.complex128)
    variance = 0.1 + torch.rand(2, 1, 3, 4, dtype=torch.float64)
    # CN(m, v) has N(Re m, v / 2) and N(Im m, v / 2), and CN(0, 1) variances of 1 / 2.
    root, half = (variance / 2).sqrt(), torch.tensor(0.5, dtype=torch.float64).sqrt()
    law = Normal(torch.zeros((), dtype=torch.float64), half)
    parts = [kl_divergence(Normal(m, root), law) for m in (mean.real, mean.imag)]
    torch.testing.assert_close(Posterior(mean, variance).divergence, sum(parts))


def test_a_draw_has_the_mean_and_the_variance():
    mean, variance = torch.tensor([1 + 2j]), torch.tensor([0.25])
    z = Posterior(mean, variance).sample(spectrogram(200_000))
    # Three standard errors of 200 000 draws.
    assert (z.mean() - mean).abs() < 3 * (0.25 / 200_000) ** 0.5
    assert abs((z - mean).abs().square().mean() - 0.25) < 3 * 0.25 / 200_000**0.5


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("frames", [1, 5])
def test_a_band_of_frequencies_is_a_number_and_frames_stay(stride, frames):
    made = autoencoder(stride=stride)
    x = spectrogram(3, 1, 16, frames)
    q = made.posterior(x)
    assert q.mean.shape == q.variance.shape == (3, 1, 16 // stride, frames)
    assert q.mean.is_complex()
    assert (q.variance > 0).all()
    assert made.bands == 16 // stride
    decoded = made.decode(q.mean)
    assert decoded.shape == x.shape
    assert decoded.dtype == x.dtype
    assert made.noise.shape == (16, 1)
    assert (made.noise > 0).all()


def test_items_are_apart_and_positions_are_not_all_alike():
    made = autoencoder()
    x = spectrogram(2, 1, 16, 6)
    both, one = made.posterior(x).mean, made.posterior(x[1:]).mean
    torch.testing.assert_close(both[1:], one)
    same = torch.ones(1, 1, 16, 6, dtype=torch.complex64)
    means = made.posterior(same).mean
    assert not torch.allclose(means[..., 1, 3], means[..., 2, 3])  # each band is told its place


def test_the_precision_is_that_of_the_spectrogram():
    made, x = autoencoder().double(), spectrogram(1, 1, 16, 4, dtype=torch.complex128)
    assert made.decode(made.posterior(x).mean).dtype == torch.complex128
    plain = autoencoder()
    near = plain.posterior(x)
    assert near.mean.dtype == torch.complex128
    torch.testing.assert_close(near.mean, made.posterior(x).mean, atol=1e-5, rtol=1e-5)


def test_all_weights_learn_and_the_config_rebuilds_it():
    made = BandAutoencoder(16, 4, channels=6, blocks=1)
    x = spectrogram(1, 1, 16, 4)
    assert not made.decode(made.posterior(x).mean).any()  # silence
    again = autoencoder(blocks=1)
    again.requires_grad_(True)
    q = again.posterior(x)
    loss = (again.decode(q.sample(spectrogram(*q.mean.shape))) - x).abs().square() / again.noise
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in again.parameters())
    twin = BandAutoencoder(**again.config)
    twin.load_state_dict(again.state_dict())
    torch.testing.assert_close(twin.posterior(x).mean, q.mean)
    assert repr(twin) == "BandAutoencoder(frequencies=16, stride=4, channels=6, blocks=1)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stride": 3}, "stride must be an even number"),
        ({"stride": 32}, "not 32 of 16"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"blocks": -1}, "blocks not negative"),
    ],
)
def test_what_no_network_can_have_is_refused(changes, words):
    with pytest.raises(ArgumentError, match=words):
        autoencoder(**changes)


def test_what_is_no_spectrogram_and_no_latent_is_refused():
    made = autoencoder()
    with pytest.raises(
        ArgumentTypeError, match=r"a spectrogram must be complex, not torch.float32"
    ):
        made.posterior(torch.zeros(1, 1, 16, 4))
    with pytest.raises(ArgumentError, match=r"a spectrogram must have the shape .*16, frame"):
        made.posterior(spectrogram(1, 1, 8, 4))
    with pytest.raises(ArgumentError, match=r"a latent must have the shape .*4, frame"):
        made.decode(spectrogram(1, 2, 4, 4))


def frames_of(size: int, count: int) -> torch.Tensor:
    """Spectrograms (2, 1, size, count) whose frames have a covariance of their own, and a mean."""
    mixed = torch.linspace(1, 0.1, size, dtype=torch.float64)[:, None] * spectrogram(
        2, 1, size, count, dtype=torch.complex128
    )
    return mixed + 0.5 * mixed.roll(1, dims=2) + 0.3


def test_the_linear_one_has_latents_of_size_one_in_the_order_of_frequencies():
    x = frames_of(12, 300)
    made = LinearAutoencoder.fitted(x, 5)
    q = made.posterior(x)
    assert q.mean.shape == (2, 1, 5, 300)
    seen = (q.mean.abs().square() + q.variance).mean((0, 1, 3))
    torch.testing.assert_close(seen, torch.ones(5, dtype=torch.float64), atol=1e-5, rtol=0)
    assert q.mean.mean((0, 1, 3)).abs().max() < 1e-5
    apart = torch.cov(q.mean[:, 0].transpose(0, 1).flatten(1), correction=0)
    assert (apart - torch.diag(apart.diagonal())).abs().max() < 1e-5
    w, _ = made.components(x)
    place = torch.arange(12.0).double() @ (w.abs().square() / w.abs().square().sum(0))
    assert (place.diff() > 0).all()


def test_what_the_linear_one_loses_is_its_noise():
    """The projection on the first components is the best: left are the other eigenvalues."""
    x = frames_of(12, 300)
    made = LinearAutoencoder.fitted(x, 5)
    w, mean = made.components(x)
    basis, _ = torch.linalg.qr(w)
    lost = x - mean - basis @ (basis.mH @ (x - mean))
    torch.testing.assert_close(
        lost.abs().square().sum(2).mean(), 7 * made.noise.double(), rtol=1e-5, atol=0
    )


def test_the_linear_one_is_rebuilt_and_refuses_what_it_cannot_fit():
    x = frames_of(12, 20)
    made = LinearAutoencoder.fitted(x, 5)
    twin = LinearAutoencoder(**made.config)
    twin.load_state_dict(made.state_dict())
    assert torch.equal(twin.decode(twin.posterior(x).mean), made.decode(made.posterior(x).mean))
    with pytest.raises(ArgumentError, match="10 frames do not tell the covariance of 12"):
        LinearAutoencoder.fitted(x[..., :5], 5)
    with pytest.raises(ArgumentError, match="bands must lie between 1 and 11"):
        LinearAutoencoder.fitted(x, 12)
