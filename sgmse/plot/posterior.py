"""A posterior of one number, whose estimates are exact: to see solvers at work.

    x0 | y  ~  sum_k w_k N(m_k, d_k^2)

Of a process the state at t is then a mixture, too, with the same shares,

    x_t ~ sum_k w_k N(a m_k + b y, v_k),      v_k = a^2 d_k^2 + sigma^2,

and given x_t each mode has the estimate m_k + a d_k^2 (x_t - a m_k - b y) / v_k, whose mean over
the modes, by their probability at x_t, is that of x0 (the posterior mean of a Gaussian mixture).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sgmse._checks import an, kinds, number
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE

TINY = 1e-300  # of variances that are 0: a point


@dataclass(frozen=True)
class Posterior:
    """A law of one real number given the observation `y`.

    Args:
        means, deviations, weights: of its modes; weights are shares, equal ones if absent.
        y: what is observed.

    Raises `ArgumentError` for numbers of other lengths, or deviations and weights below 0.
    """

    means: tuple[float, ...] = (-0.25, 0.65)
    deviations: tuple[float, ...] = (0.08, 0.08)
    weights: tuple[float, ...] | None = None
    y: float = 0.4

    def __post_init__(self) -> None:
        kinds(self)
        counts = {len(self.means), len(self.deviations), len(self.weights or self.means)}
        if len(counts) > 1 or not self.means:
            raise ArgumentError(f"{self}: each mode has a mean, a deviation and a weight")
        for name, values in (("deviations", self.deviations), ("weights", self.weights or ())):
            for value in values:
                number(name, value, 0)
        if self.weights is not None and sum(self.weights) <= 0:
            raise ArgumentError(f"{self}: some weight must be above 0")

    @property
    def shares(self) -> Tensor:
        """The probability of each mode, (modes,)."""
        weights = torch.tensor(self.weights or [1.0] * len(self.means), dtype=torch.float64)
        return weights / weights.sum()

    def density(self, x: Tensor, t: Tensor, sde: SDE) -> Tensor:
        """Of the states x at each time t, (times, states); at t = 0 that of the posterior."""
        return self._logs(x[None], t, sde).logsumexp(dim=0).exp()

    def draw(self, count: int, seed: int = 0) -> Tensor:
        """Samples of x0, (count,)."""
        generator = torch.Generator().manual_seed(seed)
        modes = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        means, deviations = (torch.tensor(v).double() for v in (self.means, self.deviations))
        z = torch.randn(count, dtype=torch.float64, generator=generator)
        return means[modes] + deviations[modes] * z

    def model(self, sde: SDE) -> "ExactModel":
        """The exact estimate of a process, as `solve` takes it."""
        return ExactModel(self, sde)

    def modes(self, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the state at t (times,): its a d^2, centres and variances, (modes, times, 1); m."""
        a, b, sigma = (scale.double()[None, :, None] for scale in sde.scales(t))
        m, d = (torch.tensor(v).double()[:, None, None] for v in (self.means, self.deviations))
        return a * d**2, a * m + b * self.y, (a * d) ** 2 + sigma**2, m

    def _logs(self, x: Tensor, t: Tensor, sde: SDE) -> Tensor:
        """ln(share x density) of each mode at x (1 or times, states): (modes, times, states)."""
        _, centre, variance, _ = self.modes(t, sde)
        safe = variance.clamp(min=TINY)
        shares = self.shares.log()[:, None, None]
        return shares - (x - centre) ** 2 / (2 * safe) - (2 * torch.pi * safe).log() / 2


@dataclass(frozen=True)
class ExactModel:
    """The estimate of a posterior for states of a process; see `Posterior.model`."""

    posterior: Posterior
    sde: SDE
    latest: float = 1.0

    def __post_init__(self) -> None:
        an("sde", self.sde, SDE, "SBVE()")

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """Of states x (batch, ...) at times t (batch,); y is what the posterior observes."""
        flat = x.double().flatten(1)
        gain, centre, variance, mean = self.posterior.modes(t, self.sde)
        chance = self.posterior._logs(flat, t, self.sde).softmax(dim=0)
        residual = (flat - centre) / variance.clamp(min=TINY)
        x0 = (chance * (mean + gain * residual)).sum(dim=0)
        sigma = self.sde.scales(t).sigma.double()[:, None]
        noise = (chance * sigma * residual).sum(dim=0)
        return Estimate(x0.to(x).reshape(x.shape), noise.to(x).reshape(x.shape))
