"""Estimates that err, as those of every trained network do, and where the equation leads with them.

With an exact estimate all eta have one law, which hides what a solver does wrong with its noise.
Here x0 is not the exact x0_hat but a function of it, of the state and of the time; the noise is
what is left of the state, so that x = a x0 + b y + sigma noise still holds.

An `Affine` one is linear in the state, and so mean and variance of the reverse SDE of strength eta
have equations of their own. In lambda = ln r, r = a / sigma, with U = (x - b y) / sigma,

    dU = [(1 + eta^2) r x0 - eta^2 U] dlambda + sqrt(2) eta dw,      x0 = A U / r + B

    mean' = (1 + eta^2) (A mean + r B) - eta^2 mean
    variance' = 2 [(1 + eta^2) A - eta^2] variance + 2 eta^2

which start at r = 0, from the end of a bridge or a flow, as well as anywhere; eta may be a function
of lambda. For others the truth is what ever finer steps approach.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log

import numpy as np
import torch
from problems import Gaussian, square
from scipy.integrate import solve_ivp
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.sdes import SDE, expand
from sgmse.solvers import Between, Strength

#: From here on the equations are integrated, where they start at r = 0; what is left out is r^2.
NEAR_ZERO = 1e-6
#: How near to a jump eta^2 is read.
EPSILON = 1e-9


def with_noise(sde: SDE, x0: Tensor, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
    """x0 and the noise that belongs to it at x; 0 at a pinned end, which has none."""
    a, b, sigma = (expand(scale, x) for scale in sde.scales(t))
    rest = x - a * x0 if y is None else x - a * x0 - b * y
    return Estimate(x0, torch.where(sigma > 0, rest / torch.where(sigma > 0, sigma, 1.0), 0.0))


def squared(eta: float | Strength, sde: SDE) -> tuple[Callable[[float], float], list[float]]:
    """eta^2 as a function of lambda, and where it jumps; there it may be either value."""
    if not isinstance(eta, Strength):
        return lambda log_snr: eta**2, []
    if isinstance(eta, Between):
        times = torch.tensor([eta.high, eta.low], dtype=torch.float64)
        first, last = sde.log_snr(times).tolist()
        return lambda log_snr: eta.eta**2 * (first <= log_snr <= last), [first, last]

    def slope_of_phi(log_snr: float) -> float:
        grown = exp(-log_snr) ** eta.power
        return eta.power * grown * exp(grown) / (exp(grown) + eta.offset)

    return slope_of_phi, []


@dataclass(frozen=True)
class Affine:
    """scale x0_hat + offset + early / (1 + r^2) + late r^2 / (1 + r^2), of a Gaussian posterior.

    Args:
        problem: has the exact x0_hat; its variances broadcast over the elements.
        early: a bias near t = 1.
        late: one near t = 0.
    """

    problem: Gaussian
    scale: float = 0.8
    offset: complex = 0.1 - 0.05j
    early: complex = 0.0
    late: complex = 0.0

    latest = 1.0

    @property
    def sde(self) -> SDE:
        return self.problem.sde

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        clean = expand(torch.sigmoid(2 * self.sde.log_snr(t)), x)  # r^2 / (1 + r^2)
        bias = self.offset + self.early * (1 - clean) + self.late * clean
        return with_noise(self.sde, self.scale * self.problem(x, y, t).x0 + bias, x, y, t)

    def moments(
        self,
        y: Tensor,
        mean: Tensor,
        variance: Tensor,
        t: Tensor,
        s: Tensor,
        eta: float | Strength,
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance at s of the SDE of strength eta from those at t, all like y.

        t and s are (1,). From r = 0 with a strength all that was there is forgotten; at the end of
        a bridge variance is that of U, 1 for the law of the process.
        """
        (_, b_t, sigma_t), (_, b, sigma) = self.sde.scales(t), self.sde.scales(s)
        mean, variance, v = np.broadcast_arrays(
            ((mean - b_t * y) / torch.where(sigma_t > 0, sigma_t, 1.0)).numpy(),
            (variance / torch.where(sigma_t > 0, sigma_t**2, 1.0)).numpy(),
            torch.as_tensor(self.problem.variance).numpy(),
        )
        shape, m = v.shape, complex(self.problem.mean)
        first, last = float(self.sde.log_snr(t)), float(self.sde.log_snr(s))

        def bias(r: float) -> np.ndarray:
            clean = r**2 / (1 + r**2)
            held = self.scale * m / (1 + v * r**2)
            return held + self.offset + self.early * (1 - clean) + self.late * clean

        share, jumps = squared(eta, self.sde)
        if first == -inf:
            first = log(NEAR_ZERO)
            kept = share(first) == 0  # the noise of a flow; without a strength it stays
            mean = mean * kept + bias(0.0) * NEAR_ZERO
            variance = variance * kept + (1 - kept)

        def change(log_snr: float, state: np.ndarray, low: float, high: float) -> np.ndarray:
            r = np.exp(log_snr)
            mean, variance = state.reshape(2, *shape)
            A = self.scale * v * r**2 / (1 + v * r**2)
            fresh = share(min(max(log_snr, low), high))
            rate = (1 + fresh) * A - fresh
            drift = rate * mean + (1 + fresh) * r * bias(r)
            return np.stack([drift, 2 * rate * variance + 2 * fresh]).ravel()

        state = np.stack([mean.astype(complex), variance.astype(complex)]).ravel()
        inside = sorted(jump for jump in jumps if first < jump < last)
        for part in pairwise([first, *inside, last]):
            within = (part[0] + EPSILON, part[1] - EPSILON)  # eta^2 is that between the jumps
            state = solve_ivp(change, part, state, "DOP853", args=within, rtol=1e-12, atol=1e-14).y[
                :, -1
            ]
        mean, variance = (torch.from_numpy(part) for part in state.reshape(2, *shape))
        return sigma * mean + b * y, sigma**2 * variance.real


@dataclass(frozen=True)
class Bent:
    """A function of the exact x0_hat and the time, element by element."""

    problem: Gaussian
    bend: Callable[[Tensor, Tensor], Tensor]

    latest = 1.0

    @property
    def sde(self) -> SDE:
        return self.problem.sde

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        clean = expand(torch.sigmoid(2 * self.sde.log_snr(t)), x)  # r^2 / (1 + r^2)
        return with_noise(self.sde, self.bend(self.problem(x, y, t).x0, clean), x, y, t)


def shrunk(x0: Tensor, clean: Tensor) -> Tensor:
    """Nonlinear: loud parts are too quiet."""
    return 1.1 * x0 / (1 + 0.3 * square(x0)).sqrt() + 0.05


def noisy(x0: Tensor, clean: Tensor) -> Tensor:
    """An error like noise: waves in the state and the time that have nothing to do with x0_hat."""
    real = x0.real if x0.is_complex() else x0
    waves = [(7.1, 3.3, 0.4), (5.3, -6.7, 1.9), (9.7, 4.9, 4.0), (3.9, 8.3, 5.2)]
    return 0.95 * x0 + sum(0.02 * (u * real + v * clean + phase).cos() for u, v, phase in waves)


#: The kinds of errors; the linear ones have moments.
LINEAR: dict[str, Callable[[Gaussian], Affine]] = {
    "linear": Affine,
    "early": lambda problem: Affine(problem, 0.9, 0.0, early=0.3 - 0.1j),
    "late": lambda problem: Affine(problem, 1.1, 0.0, late=-0.2 + 0.1j),
}
OTHER: dict[str, Callable[[Gaussian], Bent]] = {
    "nonlinear": lambda problem: Bent(problem, shrunk),
    "noisy": lambda problem: Bent(problem, noisy),
}
