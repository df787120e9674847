"""How likely clean audio is under a model, by the probability flow.

The flow carries x0 to a latent of known density, and the change of variables counts what was
stretched on the way (Song et al. 2021, arXiv:2011.13456, section 4.3, appendix D.2). For data of a
size S (`scale`) with D real dimensions,

    r = sqrt(S^2 a^2 + sigma^2),    w = (x - b y) / r,    kappa = asinh(S a / sigma)

turn every process into the same rotation of x0 / S and z:

    w = tanh(kappa) x0 / S + sech(kappa) z
    dw / dkappa = x0_hat / S - tanh(kappa) w
    d ln p(w) / dkappa = D tanh(kappa) - (r / S) tr(d x0_hat / d x)

which is finite everywhere. kappa is 0 where nothing is left of x0, also at the pinned end of a
bridge: there x is the point y, but w is CN(0, 1). Where little is left, kappa is about S a / sigma,
and where there is little noise, about ln(2 S a / sigma): the time in which data of each variance
take their turn. Equal steps in kappa with the classic Runge-Kutta rule solve for w and ln p(w).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import arguments
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, Scales, expand
from sgmse.solvers import modelled
from sgmse.solvers._base import Model
from sgmse.solvers._grids import time_of


class Divergence(ABC):
    """A trace over real dimensions, tr(J), from the products <v, J v> with some directions v."""

    @abstractmethod
    def directions(self, x: Tensor) -> Tensor:
        """The directions v (count, ...) in the space of an item of x (batch, ...)."""

    @abstractmethod
    def gather(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """The trace and its standard error, (batch,), of the products (count, batch)."""


@dataclass(frozen=True)
class Exact(Divergence):
    """One backward pass for each real dimension of an item.

    Args:
        most: dimensions above which this is refused.
    """

    most: int = 1024

    @override
    def directions(self, x: Tensor) -> Tensor:
        size = dimensions(x)
        if size > self.most:
            raise ArgumentError(
                f"Exact takes {size} backward passes in each evaluation, one a real dimension, and "
                f"its limit is {self.most}: use Hutchinson() or raise most"
            )
        basis = torch.eye(size, dtype=x.real.dtype, device=x.device)
        return as_items(basis, x)

    @override
    def gather(self, products: Tensor) -> tuple[Tensor, Tensor]:
        total = products.sum(dim=0)
        return total, torch.zeros_like(total)


@dataclass(frozen=True)
class Hutchinson(Divergence):
    """The mean over random directions of E[v v^T] = 1, the same ones all along the flow.

    Without bias (Hutchinson 1990; Grathwohl et al. 2019, arXiv:1810.01367). The directions depend
    on the seed alone, so that an item has the same likelihood in any batch; give every batch a seed
    of its own for errors that cancel in the mean over many.

    Args:
        samples: number of directions, a backward pass each.
        seed: of the directions.
        gaussian: whether they are normal; signs (Rademacher) if not, of the least variance.
    """

    samples: int = 1
    seed: int = 0
    gaussian: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ArgumentError(f"Hutchinson: samples must be at least 1, not {self.samples}")

    @override
    def directions(self, x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.samples, dimensions(x))
        if self.gaussian:
            probes = torch.randn(shape, generator=generator, dtype=torch.float64)
        else:
            probes = torch.randint(2, shape, generator=generator) * 2.0 - 1
        return as_items(probes.to(x.device, x.real.dtype), x)

    @override
    def gather(self, products: Tensor) -> tuple[Tensor, Tensor]:
        mean = products.mean(dim=0)
        if len(products) == 1:
            return mean, torch.full_like(mean, torch.nan)
        return mean, products.std(dim=0) / len(products) ** 0.5


def dimensions(x: Tensor) -> int:
    """The real dimensions of an item of x (batch, ...): two of a complex element."""
    return x[0].numel() * (2 if x.is_complex() else 1)


def as_items(vectors: Tensor, like: Tensor) -> Tensor:
    """Real vectors (count, dimensions) as items of `like`: (count, ...)."""
    if like.is_complex():
        vectors = torch.view_as_complex(vectors.reshape(len(vectors), -1, 2))
    return vectors.reshape(len(vectors), *like.shape[1:])


class Prior(Protocol):
    """A law of x0 given y, asked for what is left of it in the state where the flow ends."""

    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        """ln of the density (batch,) of a x0 + b y + sigma z at x, for any scales (batch,)."""


@dataclass(frozen=True)
class Normal:
    """x0 ~ CN(mean, variance).

    The law of x0 is what the model has learnt and nobody knows, so something must stand in for it.
    By default it is a point, the observation or 0, from where sampling starts (`SDE.prior`). That
    is exact where the process forgets x0 (a = 0: bridges), and near to it where a is small (VP);
    elsewhere the likelihood is as good as this law: pass mean and variance of the data.

    Args:
        mean: of x0, to broadcast with it; a function of y; or None for y, 0 without an observation.
        variance: E|x0 - mean|^2, to broadcast with x0.
    """

    mean: Tensor | complex | Callable[[Tensor | None], Tensor] | None = None
    variance: Tensor | float = 0.0

    def log_prob(self, x: Tensor, y: Tensor | None, scales: Scales) -> Tensor:
        """ln CN(x; a mean + b y, a^2 variance + sigma^2), or of N for real x, (batch,)."""
        a, b, sigma = (expand(s, x) for s in scales)
        mean: Tensor | complex | None = self.mean(y) if callable(self.mean) else self.mean
        if mean is None:
            mean = 0.0 if y is None else y
        r = x - a * mean if y is None else x - a * mean - b * y
        variance = a**2 * self.variance + sigma**2
        if x.is_complex():
            density = -(r.real**2 + r.imag**2) / variance - (torch.pi * variance).log()
        else:
            density = -(r**2) / (2 * variance) - (2 * torch.pi * variance).log() / 2
        return density.flatten(1).sum(dim=1)


class Likelihood(NamedTuple):
    """Of each item (batch,); a complex element is two of the D real dimensions.

    Attributes:
        nats: ln p(x0 | y).
        error: standard error of nats by a random divergence: nan for one sample, 0 for `Exact`.
        bits: -nats / (D ln 2), the bits per dimension.
        latent: w at the start, (batch, ...).
        nfe: evaluations of the model.
    """

    nats: Tensor
    error: Tensor
    bits: Tensor
    latent: Tensor
    nfe: int


def log_likelihood(
    model: Model,
    x0: Tensor,
    y: Tensor | None,
    *,
    steps: int = 32,
    start: float = 1.0,
    end: float = 1e-3,
    scale: float = 1.0,
    divergence: Divergence = Exact(),
    prior: Prior = Normal(),
) -> Likelihood:
    """ln p(x0 | y) under a model, with four evaluations a step.

    A density of recordings without any noise need not exist, so this is that of x0 + rho z with
    rho = (sigma / a)(end), the clean audio as seen at time `end`, at the point x0. It has no
    gradients.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        x0: clean audio as the model sees it, (batch, ...), complex or real.
        y: the observation, like x0; None for a process without one.
        steps: of the flow.
        start: time of the latent. At 1 `prior` matters least.
        end: time of the data, no earlier than what the model was trained for.
        scale: the largest standard deviation of the data, where the short steps begin. Gaussian
            data up to 3 times as large cost 1e-4 nats per dimension in 32 steps, of 30 times 0.05.
        divergence: `Exact()`, or `Hutchinson()` where the items are large.
        prior: the law of x0 by which the latent is judged.

    Raises:
        ValueError: times or a scale that make no sense, shapes that differ, a process that needs y,
            too many dimensions for `Exact`, or a result that is not finite.
    """
    arguments(log_likelihood, locals())
    modelled(model)
    check(model.sde, x0, y, steps, start, end, scale)
    nodes = rotation(model.sde, steps, start, end, scale)
    # Tensors of the inference mode could not be differentiated.
    with torch.inference_mode(False), torch.no_grad():
        x0, y = x0.clone(), None if y is None else y.clone()
        directions = divergence.directions(x0)

        def rates(w: Tensor, i: int) -> tuple[Tensor, Tensor]:
            """dw / dkappa and the products of the trace, (count, batch), at node i."""
            t, r, b, tanh = nodes.t[i], nodes.r[i], nodes.b[i], nodes.tanh[i]
            x = r * w if y is None else r * w + b * y
            x0_hat, products = along(model, x, y, filled(t, w), directions)
            return x0_hat / scale - tanh * w, r / scale * products

        w = nodes.tanh[0] / scale * x0
        stretch = torch.zeros(len(directions), len(w), dtype=w.real.dtype, device=w.device)
        for i in range(0, 2 * steps, 2):
            h = nodes.kappa[i + 2] - nodes.kappa[i]
            w1, p1 = rates(w, i)
            w2, p2 = rates(w + h / 2 * w1, i + 1)
            w3, p3 = rates(w + h / 2 * w2, i + 1)
            w4, p4 = rates(w + h * w3, i + 2)
            w = w + h / 6 * (w1 + 2 * (w2 + w3) + w4)
            stretch = stretch + h / 6 * (p1 + 2 * (p2 + p3) + p4)
        trace, error = divergence.gather(stretch)
        left = Scales(*(filled(s, w) for s in (nodes.tanh[-1] / scale, 0.0, nodes.sech[-1])))
        # With the density of x0 = w S / tanh(kappa) in place of w's, and the integral of D tanh.
        size = dimensions(x0)
        units = size * (log(nodes.tanh[0] / nodes.sech[0] / scale) + log(nodes.sech[-1]))
        nats = prior.log_prob(w, y, left) + trace + units
    if not nats.isfinite().all():
        raise ArgumentError(
            f"the likelihood is not finite: nats = {nats.tolist()}; the model may not be able to "
            f"answer at t = {start:g} or {end:g}: use a smaller start or a larger end"
        )
    return Likelihood(nats, error, -nats / (size * log(2)), w, 4 * steps)


def along(
    model: Model, x: Tensor, y: Tensor | None, t: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """x0_hat and, for each direction v, <v, J v> (count, batch) with J = d x0_hat / d x."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers only train
            x0 = model(x, y, t).x0
        # An estimate that does not depend on x has no graph.
        output = x0 if x0.requires_grad else x0 + 0 * x
        products = []
        for v in directions:
            (g,) = torch.autograd.grad(
                output, x, v.expand_as(x), retain_graph=True, materialize_grads=True
            )
            # torch's gradients are those of the real and the imaginary part: g = J^T v.
            products.append((g.conj() * v).real.flatten(1).sum(dim=1))
    return x0.detach(), torch.stack(products)


def filled(value: float, like: Tensor) -> Tensor:
    """(batch,) of a value, in the real precision of `like`."""
    return torch.full((len(like),), value, dtype=like.real.dtype, device=like.device)


class Rotation(NamedTuple):
    """The nodes of the Runge-Kutta rule, from the data to the latent, two a step."""

    t: list[float]
    kappa: list[float]
    b: list[float]
    r: list[float]
    tanh: list[float]
    sech: list[float]


def rotation(sde: SDE, steps: int, start: float, end: float, scale: float) -> Rotation:
    """Equal steps in kappa."""
    a, _, sigma = sde.scales(torch.tensor([end, start], dtype=torch.float64))
    first, last = torch.where(a > 0, torch.asinh(scale * a / sigma), 0.0).tolist()
    kappa = torch.linspace(first, last, 2 * steps + 1, dtype=torch.float64)
    t = time_of(sde, kappa.sinh().log() - log(scale))
    t[0], t[-1] = end, start
    a, b, sigma = sde.scales(t)
    r = torch.hypot(scale * a, sigma)
    there = r > 0  # but at a pinned end
    tanh, sech = torch.where(there, scale * a / r, 0.0), torch.where(there, sigma / r, 1.0)
    return Rotation(*(column.tolist() for column in (t, kappa, b, r, tanh, sech)))


def check(
    sde: SDE,
    x0: Tensor,
    y: Tensor | None,
    steps: int,
    start: float,
    end: float,
    scale: float,
) -> None:
    """Refuse what `log_likelihood` cannot do, with the remedy."""
    if y is None and sde.observed:
        raise ArgumentError(f"{sde} leads to an observation: pass it as y")
    if y is not None and y.shape != x0.shape:
        raise ArgumentError(f"x0 {tuple(x0.shape)} and y {tuple(y.shape)} must have the same shape")
    if steps < 1:
        raise ArgumentError(f"steps must be at least 1, not {steps}")
    if not 0 <= end < start <= 1:
        raise ArgumentError(f"0 <= end < start <= 1 is needed, not end {end}, start {start}")
    if sde.scales(torch.tensor([end], dtype=torch.float64)).sigma == 0:
        raise ArgumentError(
            f"{sde} has no noise at t = {end:g}, and without noise the data may have no density; "
            "use a later end, such as 1e-3"
        )
    if not scale > 0:
        raise ArgumentError(f"scale must be positive, not {scale}")
