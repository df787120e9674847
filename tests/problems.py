"""Problems whose exact answer is known: laws of x0 given y with closed-form estimates.

With x0 | y ~ CN(m, v) the state is CN(a m + b y, w), w = a^2 v + sigma^2, and, r = x - a m - b y,

    score = -r / w,        x0_hat = m + a v r / w,        noise_hat = sigma r / w.

The probability flow keeps r / sqrt(w). With a full covariance the same holds along each of its
eigenvectors. A mixture weighs these estimates with the probability of each mode at x.

Every problem takes real states (E z^2 = 1) and complex ones (E|z|^2 = 1), y = None where b = 0, and
the ends of time, where a, sigma or w may be 0.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.sdes import SDE, Scales, expand

#: A mean of x0: the same for any y, or a function of it.
Mean = Tensor | complex | Callable[[Tensor], Tensor]


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> Tensor:
    """CN(0, 1) (N(0, 1) for a real dtype), the same at every call."""
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def times(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def covariance(size: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> Tensor:
    """A random covariance (size, size) with eigenvalues from 0.02 to about 1."""
    factor = noise(size, size, seed=seed, dtype=dtype)
    return factor @ factor.mH / (4 * size) + 0.02 * torch.eye(size, dtype=dtype)


def square(x: Tensor) -> Tensor:
    """|x|^2."""
    return x.real**2 + x.imag**2 if x.is_complex() else x**2


def log_normal(r: Tensor, variance: Tensor) -> Tensor:
    """ln of CN(r; 0, variance), or of N for real r, element by element; a point where it is 0."""
    safe = torch.where(variance > 0, variance, 1.0)
    if r.is_complex():
        density = -square(r) / safe - (pi * safe).log()
    else:
        density = -square(r) / (2 * safe) - (2 * pi * safe).log() / 2
    return torch.where(variance > 0, density, torch.where(r == 0, torch.inf, -torch.inf))


class Problem(ABC):
    """A law of x0 given y, and so of x_t = a x0 + b y + sigma z at any scales (a, b, sigma)."""

    sde: SDE
    latest = 1.0

    @abstractmethod
    def answer(self, x: Tensor, y: Tensor | None, scales: Scales) -> tuple[Tensor, Tensor]:
        """x0_hat and the score at the state x."""

    @abstractmethod
    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        """ln of the density of the state x, (batch,), in nats."""

    @abstractmethod
    def moments(
        self, y: Tensor | None, t: Tensor, like: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of each element of x_t given y; `like` has their shape if y is None."""

    @abstractmethod
    def draw(self, like: Tensor, y: Tensor | None, seed: int = 0) -> Tensor:
        """x0 given y, in the shape of `like`."""

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        scales = self.sde.scales(t)
        x0, score = self.answer(x, y, scales)
        return Estimate(x0, -expand(scales.sigma, x) * score)

    def score(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """d ln p / d conj(x), for real x d ln p / dx; 0 where p is a point."""
        return self.answer(x, y, self.sde.scales(t))[1]

    def log_density(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """ln p_t(x | y), (batch,), in nats; infinite where p is a point."""
        return self.log_prob(x, y, self.sde.scales(t))


@dataclass(frozen=True)
class Gaussian(Problem):
    """x0 | y ~ CN(mean, variance), each element by itself."""

    sde: SDE
    mean: Mean = 0.0
    variance: Tensor | float = 1.0

    def law(self, y: Tensor | None, scales: Scales, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the state at scales (batch,)."""
        a, b, sigma = (expand(s, like) for s in scales)
        centre = a * at(self.mean, y) if y is None else a * at(self.mean, y) + b * y
        return centre, a**2 * self.variance + sigma**2

    def answer(self, x: Tensor, y: Tensor | None, scales: Scales) -> tuple[Tensor, Tensor]:
        mean, variance = self.law(y, scales, x)
        score = -(x - mean) / torch.where(variance > 0, variance, 1.0)
        return at(self.mean, y) - expand(scales.a, x) * self.variance * score, score

    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        return self.log_elements(x, y, scales).flatten(1).sum(dim=1)

    def log_elements(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        """ln of the density of each element."""
        mean, variance = self.law(y, scales, x)
        return log_normal(x - mean, variance)

    def moments(
        self, y: Tensor | None, t: Tensor, like: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.law(y, self.sde.scales(t), y if like is None else like)

    def draw(self, like: Tensor, y: Tensor | None, seed: int = 0) -> Tensor:
        z = noise(*like.shape, seed=seed, dtype=like.dtype)
        return at(self.mean, y) + self.variance**0.5 * z

    def flow(self, x: Tensor, y: Tensor | None, t: Tensor, s: Tensor) -> Tensor:
        """The exact solution at s of the probability-flow ODE from x at t."""
        (mean_t, variance_t), (mean_s, variance_s) = (self.moments(y, u, x) for u in (t, s))
        return mean_s + (variance_s / variance_t).sqrt() * (x - mean_t)


@dataclass(frozen=True)
class Correlated(Problem):
    """x0 | y ~ CN(mean, covariance) over the flattened elements of an item.

    The covariance (size, size) is Hermitian, for real states real; it may be singular.
    """

    sde: SDE
    covariance: Tensor
    mean: Mean = 0.0

    @cached_property
    def axes(self) -> tuple[Gaussian, Tensor]:
        """The centred problem along the eigenvectors, and these as columns."""
        variances, vectors = torch.linalg.eigh(self.covariance)
        return Gaussian(self.sde, 0.0, variances.clamp(min=0)), vectors

    def onto(self, x: Tensor) -> Tensor:
        """The coordinates (batch, size) along the eigenvectors."""
        return x.flatten(1) @ self.axes[1].conj()

    def back(self, coordinates: Tensor, like: Tensor) -> Tensor:
        """The inverse of `onto`."""
        return (coordinates @ self.axes[1].T).reshape(like.shape)

    def centred(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        """x - a m - b y, along the eigenvectors."""
        a, b, _ = (expand(s, x) for s in scales)
        r = x - a * at(self.mean, y)
        return self.onto(r if y is None else r - b * y)

    def answer(self, x: Tensor, y: Tensor | None, scales: Scales) -> tuple[Tensor, Tensor]:
        x0, score = self.axes[0].answer(self.centred(x, y, scales), None, scales)
        return at(self.mean, y) + self.back(x0, x), self.back(score, x)

    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        return self.axes[0].log_prob(self.centred(x, y, scales), None, scales)

    def moments(
        self, y: Tensor | None, t: Tensor, like: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        like = y if like is None else like
        variance = self.covariance.diagonal().real.reshape(like.shape[1:])
        return Gaussian(self.sde, self.mean, variance).moments(y, t, like)

    def draw(self, like: Tensor, y: Tensor | None, seed: int = 0) -> Tensor:
        return at(self.mean, y) + self.back(self.axes[0].draw(like.flatten(1), None, seed), like)

    def flow(self, x: Tensor, y: Tensor | None, t: Tensor, s: Tensor) -> Tensor:
        """The exact solution at s of the probability-flow ODE from x at t."""
        centred = self.centred(x, y, self.sde.scales(t))
        mean, _ = self.moments(y, s, x)
        return mean + self.back(self.axes[0].flow(centred, None, t, s), x)


@dataclass(frozen=True)
class Mixture(Problem):
    """Modes CN(mean, variance) of each element by itself, or, `joint`, of whole items."""

    sde: SDE
    means: tuple[Mean, ...]
    variance: Tensor | float
    weights: tuple[float, ...] | None = None
    joint: bool = False

    @property
    def modes(self) -> list[Gaussian]:
        return [Gaussian(self.sde, mean, self.variance) for mean in self.means]

    @property
    def shares(self) -> list[float]:
        """The probability of each mode."""
        return list(self.weights or [1 / len(self.means)] * len(self.means))

    def logs(self, elements: list[Tensor]) -> Tensor:
        """ln of (share x density) of each mode, (modes, batch, ...)."""
        logs = torch.stack(elements)
        if self.joint:
            logs = logs.flatten(2).sum(dim=2).reshape(logs.shape[:2] + (1,) * (logs.ndim - 2))
        shares = torch.tensor(self.shares, dtype=logs.dtype).log()
        return logs + shares.reshape((-1,) + (1,) * (logs.ndim - 1))

    def answer(self, x: Tensor, y: Tensor | None, scales: Scales) -> tuple[Tensor, Tensor]:
        laws = [mode.law(y, scales, x) for mode in self.modes]
        # All modes are one point where the variance is 0, and none is likelier.
        elements = [log_normal(x - mean, torch.where(v > 0, v, 1.0)) for mean, v in laws]
        answers = [mode.answer(x, y, scales) for mode in self.modes]
        shares = torch.softmax(self.logs(elements), dim=0)
        x0s, scores = zip(*answers, strict=True)
        return (
            sum(p * x0 for p, x0 in zip(shares, x0s, strict=True)),
            sum(p * score for p, score in zip(shares, scores, strict=True)),
        )

    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        elements = [mode.log_elements(x, y, scales) for mode in self.modes]
        return torch.logsumexp(self.logs(elements), dim=0).flatten(1).sum(dim=1)

    def moments(
        self, y: Tensor | None, t: Tensor, like: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        laws = [mode.moments(y, t, like) for mode in self.modes]
        mean = sum(p * m for p, (m, _) in zip(self.shares, laws, strict=True))
        spread = (v + square(m - mean) for m, v in laws)
        return mean, sum(p * s for p, s in zip(self.shares, spread, strict=True))

    def draw(self, like: Tensor, y: Tensor | None, seed: int = 0) -> Tensor:
        draws = torch.stack([mode.draw(like, y, seed) for mode in self.modes])
        shape = (len(like),) + (1,) * (like.ndim - 1) if self.joint else like.shape
        generator = torch.Generator().manual_seed(seed + 1)
        shares = torch.tensor(self.shares, dtype=torch.float64)
        count = int(np.prod(shape))
        picks = shares.multinomial(count, replacement=True, generator=generator).reshape(shape)
        return draws.gather(0, picks.expand(like.shape)[None])[0]

    def flow(self, x: Tensor, y: Tensor | None, t: Tensor, s: Tensor) -> Tensor:
        """The exact probability flow of real elements by themselves: it keeps their quantiles."""
        laws = [mode.moments(y, s, x) for mode in self.modes]
        reach = max(float(v.max()) for _, v in laws) ** 0.5 * 40  # more than any quantile is off
        low = torch.stack([(m - reach).expand_as(x) for m, _ in laws]).amin(dim=0)
        high = torch.stack([(m + reach).expand_as(x) for m, _ in laws]).amax(dim=0)
        level = self.logit(x, y, t)
        for _ in range(100):
            middle = (low + high) / 2
            below = self.logit(middle, y, s) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def logit(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """ln(F / (1 - F)) of the distribution function F of real elements, exact in both tails."""
        if x.is_complex() or self.joint:
            raise ValueError("only the flow of real elements by themselves is known")
        laws = [mode.moments(y, t, x) for mode in self.modes]
        z = torch.stack([((x - m) / v.sqrt()).expand_as(x) for m, v in laws])
        below, above = (
            torch.logsumexp(self.logs(list(torch.special.log_ndtr(q))), dim=0) for q in (z, -z)
        )
        return below - above


@dataclass
class Formula:
    """A model by its formula, estimate(x, y, t)."""

    sde: SDE
    estimate: Callable[[Tensor, Tensor | None, Tensor], Estimate]
    latest: float = 1.0

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        return self.estimate(x, y, t)


class Recorded:
    """A model that notes its states, times and estimates."""

    latest = 1.0

    def __init__(self, model: Problem) -> None:
        self.model, self.sde = model, model.sde
        self.states, self.times, self.estimates = [], [], []

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        self.states.append(x)
        self.times.append(t)
        self.estimates.append(self.model(x, y, t))
        return self.estimates[-1]


class Draws:
    """A fixed sequence of pseudo-random draws, none of them that of `noise`."""

    def __init__(self, seed: int = 100) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=self.generator)


def bimodal(sde: SDE) -> Mixture:
    """y / 2 +- 1/4 with a standard deviation of 0.08 around each: the benchmark of the solvers."""
    return Mixture(sde, (lambda y: y / 2 - 0.25, lambda y: y / 2 + 0.25), 0.08**2)


def at(mean: Mean, y: Tensor | None) -> Tensor | complex:
    """A mean given y."""
    return mean(y) if callable(mean) else mean


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
