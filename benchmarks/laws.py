"""The laws that solvers are to sample in `solver_quality`, with estimates that are exact or err."""

from dataclasses import dataclass
from functools import cached_property
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.sdes import SDE, Scales

Y = 0.4 + 0.2j


@dataclass(frozen=True, eq=False)
class Law:
    """x0 | y = y / 2 + a mixture of Gaussians of full covariance, in `size` elements.

    With the eigenvectors U and eigenvalues v of a covariance and c = U^H (x - a m - b y), the
    posterior of a mode has x0_hat = m + U (a v c / (a^2 v + sigma^2)); modes are weighed by their
    probability at x.

    Args:
        offsets: of the means from y / 2, (modes, size).
        covariances: (modes, size, size).
        weights: the probability of each mode.
        is_complex: whether elements are complex; y has a real part only where they are not.
        error: what the estimate has wrong: "" (exact), "shrunk" or "rough".
    """

    offsets: NDArray[np.complex128]
    covariances: NDArray[np.complex128]
    weights: NDArray[np.float64]
    is_complex: bool = True
    error: str = ""

    @property
    def size(self) -> int:
        """Elements of an item."""
        return self.offsets.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Of states and observations."""
        return torch.complex64 if self.is_complex else torch.float32

    def tensor(self, array: NDArray[np.complex128]) -> Tensor:
        """An array in the type of the states."""
        return torch.from_numpy(np.asarray(array if self.is_complex else array.real)).to(self.dtype)

    @property
    def y(self) -> complex:
        """The observation, in every element."""
        return Y if self.is_complex else Y.real

    @cached_property
    def axes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Eigenvectors (modes, size, size), eigenvalues and means in them (modes, size)."""
        values, vectors = np.linalg.eigh(self.covariances)
        means = self.offsets + self.y / 2
        turned = np.einsum("kij,ki->kj", vectors.conj(), means)
        return (
            self.tensor(vectors),
            torch.from_numpy(values.clip(min=0)).float(),
            self.tensor(turned),
        )

    def posterior(self, x: Tensor, y: Tensor, scales: Scales) -> Tensor:
        """x0_hat at x (1, count, size) for scales (1,)."""
        vectors, v, means = self.axes
        a, b, sigma = scales
        c = torch.einsum("kij,ni->knj", vectors.conj(), (x - b * y)[0]) - a * means[:, None]
        w = (a**2 * v + sigma**2)[:, None]
        safe = torch.where(w > 0, w, 1.0)
        size = (c.abs() if self.is_complex else c).square()
        logs = (-size / safe - safe.log()).sum(dim=2) / (1 if self.is_complex else 2)
        shares = torch.softmax(logs + torch.from_numpy(self.weights).float().log()[:, None], dim=0)
        inside = means[:, None] + a * v[:, None] * c / safe
        return torch.einsum("kn,kij,knj->ni", shares.to(self.dtype), vectors, inside)[None]

    def directions(self) -> NDArray[np.complex128]:
        """Unit vectors (count, size): 6 turns of one plane, or 8 fixed draws of more."""
        if self.size == 1 and not self.is_complex:
            return np.ones((1, 1), dtype=complex)
        if self.size == 1:
            return np.exp(1j * pi * np.arange(6) / 6)[:, None]
        drawn = np.random.default_rng(0).standard_normal((2, 8, self.size))
        u = drawn[0] + 1j * drawn[1] * self.is_complex
        return u / np.linalg.norm(u, axis=1, keepdims=True)

    @cached_property
    def projected(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and deviations (directions, modes) of Re(u^H x0)."""
        u = self.directions()
        means = (u.conj() @ (self.offsets + self.y / 2).T).real
        variances = np.einsum("di,kij,dj->dk", u.conj(), self.covariances, u).real
        return means, np.sqrt(variances / (2 if self.is_complex else 1))

    def quantiles(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each direction (directions, count), and the deviation there (directions,)."""
        means, deviations = self.projected
        found = []
        for m, s in zip(means, deviations, strict=True):
            x = np.linspace((m - 8 * s).min(), (m + 8 * s).max(), 40_001)
            below = (self.weights * ndtr((x[:, None] - m) / s)).sum(axis=1)
            found.append(np.interp((np.arange(count) + 0.5) / count, below, x))
        middle = (self.weights * means).sum(axis=1, keepdims=True)
        variances = (self.weights * (deviations**2 + (means - middle) ** 2)).sum(axis=1)
        return np.stack(found), np.sqrt(variances)

    def distance(self, x: Tensor, seeds: int) -> list[float]:
        """Sliced W1 of each seed's share of x (1, seeds x count, size), in deviations."""
        points = x[0].numpy().astype(complex) @ self.directions().conj().T
        runs = points.real.reshape(seeds, -1, points.shape[1])
        if not np.isfinite(runs).all():
            return [float("inf")] * seeds
        truth, sd = self.quantiles(runs.shape[1])
        off = np.abs(np.sort(runs, axis=1) - truth.T).mean(axis=1) / sd
        return [float(w1) for w1 in off.mean(axis=1)]


@dataclass(frozen=True)
class Model:
    """The estimate of a law on a process; one that errs is also of one state;

    shrunk: x0_hat is drawn to the mean of the law by 1/50, as of a network trained too little;
    rough: sin(40 x) / 50 is added to it, an error that changes from state to state.
    """

    sde: SDE
    law: Law
    latest: float = 1.0

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (1, count, size), y and t (1,)."""
        a, b, sigma = scales = self.sde.scales(t)
        assert y is not None
        x0 = self.law.posterior(x, y, scales)
        if self.law.error == "shrunk":
            mean = (self.law.weights @ self.law.offsets)[None, None] + self.law.y / 2
            x0 = x0 + (self.law.tensor(mean) - x0) / 50
        elif self.law.error == "rough":
            parts = torch.view_as_real(x) if self.law.is_complex else x
            wave = torch.sin(40 * parts) / 50
            x0 = x0 + (torch.view_as_complex(wave) if self.law.is_complex else wave)
        noise = (x - a * x0 - b * y) / torch.where(sigma > 0, sigma, 1.0)
        return Estimate(x0, torch.where(sigma > 0, noise, 0.0))


def scalar(values: list[float]) -> NDArray[np.complex128]:
    return np.asarray(values, dtype=complex)[:, None]


TWO = (scalar([-0.25, 0.25]), scalar([0.08**2] * 2)[..., None], np.full(2, 0.5))
TURN = np.array([[1, 0.8j], [-0.8j, 1]])  # covariances of two elements: correlated by 0.8, ...
MODES = np.array([[-0.3, 0.1], [0.2, 0.25], [0.15, -0.3j]])
FULL = np.stack([0.01 * TURN, 0.01 * TURN.conj(), 0.004 * np.array([[1, -0.5], [-0.5, 2]])])
REAL = np.array([[[1, 0.8], [0.8, 1]], [[1, -0.8], [-0.8, 1]], [[0.4, -0.2], [-0.2, 0.8]]]) * 0.01
SHARES = np.array([0.5, 0.3, 0.2])
TAILS = np.array([0.05, 0.1, 0.2, 0.5])  # deviations, the widest ten times the narrowest

LAWS = {
    "two modes": Law(*TWO),
    "three modes": Law(MODES, FULL, SHARES),
    "three modes, real": Law(
        np.array([[-0.3, 0.1], [0.2, 0.25], [0.15, -0.3]]), REAL, SHARES, False
    ),
    "heavy tails, real": Law(
        scalar([0.0] * 4),
        scalar(list(TAILS**2))[..., None],
        np.array([0.4, 0.4, 0.15, 0.05]),
        False,
    ),
    "two modes, shrunk": Law(*TWO, error="shrunk"),
    "three modes, rough": Law(MODES, FULL, SHARES, error="rough"),
}
