"""Problems whose exact answer is known: posteriors of x0 given y with closed-form estimates.

With x0 | y ~ CN(m, v) the state is CN(a m + b y, w), w = a^2 v + sigma^2, and, r = x - a m - b y,

    x0_hat = m + a v r / w,        noise_hat = sigma r / w.

The probability flow keeps r / sqrt(w). A mixture of such posteriors weighs these estimates with the
probability of each mode at x.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.sdes import SDE, expand


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> Tensor:
    """CN(0, 1) (N(0, 1) for a real dtype), the same at every call."""
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def times(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@dataclass(frozen=True)
class Gaussian:
    """x0 | y ~ CN(mean, variance), for any y."""

    sde: SDE
    mean: Tensor | float = 0.0
    variance: Tensor | float = 1.0

    def moments(self, y: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of x_t given y."""
        a, b, sigma = (expand(s, y) for s in self.sde.scales(t))
        return a * self.mean + b * y, a**2 * self.variance + sigma**2

    def __call__(self, x: Tensor, y: Tensor, t: Tensor) -> Estimate:
        a, _, sigma = (expand(s, x) for s in self.sde.scales(t))
        mean, variance = self.moments(y, t)
        # At a pinned end x is its mean and has no noise.
        r = (x - mean) / torch.where(variance > 0, variance, 1.0)
        return Estimate(self.mean + a * self.variance * r, sigma * r)

    def score(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        mean, variance = self.moments(y, t)
        return -(x - mean) / variance

    def flow(self, x: Tensor, y: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The exact solution at s of the probability-flow ODE from x at t."""
        (mean_t, variance_t), (mean_s, variance_s) = self.moments(y, t), self.moments(y, s)
        return mean_s + (variance_s / variance_t).sqrt() * (x - mean_t)


@dataclass(frozen=True)
class Mixture:
    """Modes CN(mean, variance) with equal weights, for complex x."""

    sde: SDE
    means: tuple[complex, ...]
    variance: float

    def __call__(self, x: Tensor, y: Tensor, t: Tensor) -> Estimate:
        modes = [Gaussian(self.sde, mean, self.variance) for mean in self.means]
        estimates = [mode(x, y, t) for mode in modes]
        moments = [mode.moments(y, t) for mode in modes]
        distances = [(x - m).abs() ** 2 / torch.where(v > 0, v, 1.0) for m, v in moments]
        weights = torch.softmax(-torch.stack(distances), dim=0)
        return Estimate(
            sum(w * e.x0 for w, e in zip(weights, estimates, strict=True)),
            sum(w * e.noise for w, e in zip(weights, estimates, strict=True)),
        )


def slope(steps: list[int], errors: list[float]) -> float:
    """The observed order: minus the slope of log error over log steps, of the finest pair."""
    (n, e), (m, f) = zip(steps[-2:], errors[-2:], strict=True)
    return float(np.log(e / f) / np.log(m / n))


def vectors(file: Path) -> tuple[dict, dict[str, Tensor]]:
    """Settings and arrays of a file of parity vectors, in 64 or 2 x 64 bits."""
    with np.load(file) as arrays:
        tensors = {
            key: torch.from_numpy(
                arrays[key].astype(np.complex128 if np.iscomplexobj(arrays[key]) else np.float64)
            )
            for key in arrays.files
            if key != "settings_json"
        }
        return json.loads(str(arrays["settings_json"])), tensors
