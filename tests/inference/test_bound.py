"""The evidence bound, held to laws that are known: where all is linear and normal."""

from math import log, pi

import pytest
import torch
from problems import Gaussian
from torch import Tensor

from sgmse.inference import Normal, bound, log_likelihood
from sgmse.inference._bound import log_normal
from sgmse.networks import Autoencoder, LinearAutoencoder, Posterior
from sgmse.sdes import VP

NOISE = 0.3


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.complex128, generator=generator)


class Linear(Autoencoder):
    """x = W z + m + noise, each frame for itself, with orthogonal columns of W (f, b) of norm^2 s.

    With z ~ CN(0, v) the true posterior is CN(W^H (x - m) v / (v s + noise), v noise / (v s +
    noise)), whose numbers are apart; `off` is added to its mean, and its variance multiplied.
    """

    def __init__(
        self, variance: float = 1.0, off: complex = 0.0, times: float = 1.0, size: int = 5
    ) -> None:
        super().__init__()
        columns, _ = torch.linalg.qr(draw(size, 3))
        self.scales = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
        self.w = columns * self.scales.sqrt()
        self.m = draw(size, 1, seed=3)
        self.v, self.off, self.times = variance, off, times
        self.frequencies, self.bands, self.config = size, 3, {}

    def posterior(self, x: Tensor) -> Posterior:
        total = (self.v * self.scales + NOISE)[:, None]
        mean = self.v * (self.w.mH @ (x - self.m)) / total + self.off
        variance = self.times * self.v * NOISE / total
        return Posterior(mean, variance.expand(mean.shape))

    def decode(self, z: Tensor) -> Tensor:
        return self.w @ z + self.m

    @property
    def noise(self) -> Tensor:
        return torch.tensor([[NOISE]], dtype=torch.float64)

    def exact(self, x: Tensor) -> Tensor:
        """ln CN(x; m, v W W^H + noise), (batch,), of all frames."""
        law = self.v * self.w @ self.w.mH + NOISE * torch.eye(len(self.w), dtype=torch.float64)
        r = (x - self.m)[:, 0]
        fit = (r.conj() * torch.linalg.solve(law, r)).real.sum((1, 2))
        each = len(self.w) * log(pi) + torch.linalg.slogdet(law).logabsdet
        return -fit - each * x.shape[-1]


def normal(variance: float):
    """ln CN(z; 0, variance)."""
    return lambda z: log_normal(z, torch.zeros_like(z), torch.tensor(variance, dtype=torch.float64))


@pytest.mark.parametrize("variance", [1.0, 0.4, 3.0])
def test_at_the_true_posterior_the_bound_is_the_likelihood_whatever_is_drawn(variance):
    linear, x = Linear(variance), draw(4, 1, 5, 6, seed=1)
    for seed in range(3):
        given = bound(
            linear, x, randn=lambda like, s=seed: draw(*like.shape, seed=s), law=normal(variance)
        )
        torch.testing.assert_close(given.nats, linear.exact(x), rtol=1e-12, atol=1e-11)
    bits = -linear.exact(x) / (2 * 5 * 6 * log(2))
    torch.testing.assert_close(given.bits, bits)
    torch.testing.assert_close(given.nats, given.reconstruction - given.divergence)


def test_with_the_divergence_in_closed_form_it_is_so_in_the_mean():
    linear, x = Linear(), draw(1, 1, 5, 6, seed=1)
    nats = bound(linear, x.expand(20_000, 1, 5, 6)).nats
    error = nats.std() / len(nats) ** 0.5
    assert error < 0.05
    assert abs(nats.mean() - linear.exact(x)) < 4 * error


@pytest.mark.parametrize(("off", "times"), [(0.2 - 0.1j, 1.0), (0.0, 1.7), (0.0, 0.5)])
def test_another_posterior_costs_its_divergence_from_the_true_one(off, times):
    linear, other = Linear(), Linear(off=off, times=times)
    x = draw(1, 1, 5, 6, seed=1)
    nats = bound(other, x.expand(20_000, 1, 5, 6)).nats
    p, q = linear.posterior(x), other.posterior(x)
    ratio = q.variance / p.variance
    lost = ((q.mean - p.mean).abs().square() / p.variance + ratio - 1 - ratio.log()).sum()
    error = nats.std() / len(nats) ** 0.5
    assert lost > 10 * error  # it is seen
    assert abs(linear.exact(x) - nats.mean() - lost) < 4 * error


def test_the_fitted_linear_autoencoder_has_the_largest_bound_which_is_the_likelihood():
    """That of a normal law with the first components and the mean of the other eigenvalues."""
    mixed = torch.linspace(1, 0.1, 12, dtype=torch.float64)[:, None] * draw(4, 1, 12, 100)
    x = mixed + 0.5 * mixed.roll(1, dims=2)
    fitted = LinearAutoencoder.fitted(x, 5)
    frames = x[:, 0].transpose(0, 1).flatten(1)
    values = torch.linalg.eigvalsh(torch.cov(frames, correction=0))
    law = values[:7].mean().log() * 7 + values[7:].log().sum()
    best = -frames.shape[1] * (12 * log(pi) + law + 12)  # at the maximum, tr(C^-1 S) = 12
    own = bound(fitted, x, randn=lambda like: draw(*like.shape, seed=2), law=normal(1.0))
    torch.testing.assert_close(own.nats.sum(), best, rtol=1e-6, atol=0)  # of weights in float32
    fitted.w.mul_(1.05)
    assert bound(fitted, x, randn=lambda like: draw(*like.shape, seed=2)).nats.sum() < best


@pytest.mark.slow
def test_the_law_of_the_latent_may_be_that_of_a_flow():
    """Of a model that is exact for CN(0, 0.4): then the bound is the likelihood of both."""
    linear, x = Linear(0.4), draw(2, 1, 5, 4, seed=1)
    model, end = Gaussian(VP(), 0.0, torch.tensor(0.4, dtype=torch.float64)), Normal(0.0, 0.4)

    def law(z: Tensor) -> Tensor:
        return log_likelihood(model, z, None, steps=64, end=1e-5, prior=end).nats

    given = bound(linear, x, randn=lambda like: draw(*like.shape, seed=2), law=law)
    # What the flow leaves of noise at its end, and the error of its steps, of 24 numbers.
    torch.testing.assert_close(given.nats, linear.exact(x), atol=1e-3, rtol=0)


def test_gradients_reach_what_is_learned():
    linear, x = Linear(), draw(1, 1, 5, 6, seed=1)
    linear.w.requires_grad_(True)
    bound(linear, x).nats.sum().backward()
    assert linear.w.grad is not None
    assert linear.w.grad.abs().min() > 0
