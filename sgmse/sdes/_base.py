"""Every process is one equation between clean audio x0 (t = 0) and the observation y (t = 1),

    x_t = a(t) x0 + b(t) y + sigma(t) z,      z ~ CN(0, 1),  E|z|^2 = 1,

and a subclass of `SDE` states its three functions of time. All else follows: with f = a'/a,

    dx = (f x + h y) dt + g dw,      h = b' - f b,      g^2 = (sigma^2)' - 2 f sigma^2.

Where nothing is left of x0, f and h are infinite as they must be: a bridge ends in a point,
a(1) = sigma(1) = 0, a flow in noise, a(1) = 0 < sigma(1), and there g is infinite too.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse._checks import real, shown
from sgmse.errors import ArgumentError, ArgumentTypeError


class Scales(NamedTuple):
    """a, b and sigma (or their derivatives), each shaped like t."""

    a: Tensor
    b: Tensor
    sigma: Tensor


class Coefficients(NamedTuple):
    """Of dx = (f x + h y) dt + g dw, each shaped like t."""

    f: Tensor
    h: Tensor
    g: Tensor


def expand(scale: Tensor, like: Tensor) -> Tensor:
    """A scale of shape (batch,) with trailing axes of 1, to multiply a (batch, ...) tensor."""
    return scale.reshape(scale.shape + (1,) * (like.ndim - scale.ndim))


def weighted(*terms: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of tensors (batch, ...) by their weights (batch,): pairs of a weight and a tensor."""
    (w, x), *others = terms
    total = expand(w, x) * x
    for w, x in others:
        total.addcmul_(expand(w, x).to(x.dtype), x)  # a state for each term would cost more
    return total


def positive(owner: object, **values: float) -> None:
    """Refuse constants that are no positive and finite numbers, by name."""
    for name, value in values.items():
        real(f"{type(owner).__name__}: {name}", value)
        if not (isfinite(value) and value > 0):
            raise ArgumentError(f"{type(owner).__name__}: {name} must be positive, not {value}")


def rising(owner: object, **values: float) -> None:
    """Refuse constants that are not positive, or of which one does not exceed that before it."""
    positive(owner, **values)
    for low, high in pairwise(values):
        if values[high] <= values[low]:
            raise ArgumentError(
                f"{type(owner).__name__}: {high} {values[high]} must exceed {low} {values[low]}"
            )


@dataclass(frozen=True)
class LinearBeta:
    """The constants of beta = beta_min + t (beta_max - beta_min), a part of some processes."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        positive(self, beta_min=self.beta_min, beta_max=self.beta_max)
        if self.beta_max < self.beta_min:
            raise ArgumentError(
                f"{type(self).__name__}: beta_max {self.beta_max} is below beta_min {self.beta_min}"
            )

    def integral(self, t: Tensor) -> Tensor:
        """B(t), the integral of beta from 0 to t."""
        return t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2)


def _slope(scale: Tensor, step: Tensor) -> Tensor:
    """The derivative of a scale by a step in time, element by element."""
    if not scale.requires_grad:  # a constant
        return torch.zeros_like(step)
    return torch.autograd.grad(scale, step, torch.ones_like(scale), retain_graph=True)[0]


def _unlike(found: tuple[object, ...], t: Tensor) -> str | None:
    """What of some scales is no tensor like t, or not finite."""
    if len(found) != 3:
        return f"there are {len(found)} of them"
    for symbol, value in zip(Scales._fields, found, strict=True):
        if not isinstance(value, Tensor):
            return f"{symbol} is {shown(value)}; use torch.full_like(t, value) for a constant"
        if value.shape != t.shape:
            return f"{symbol} has the shape {tuple(value.shape)} at t of shape {tuple(t.shape)}"
        if value.dtype != t.dtype:
            return f"{symbol} is of {value.dtype} at t of {t.dtype}"
        if not value.isfinite().all():
            return f"{symbol} is {value[~value.isfinite()][0]} at t = {t[~value.isfinite()][0]:g}"
    return None


def _no_process(t: Tensor, scales: Scales) -> str | None:
    """Why scales (times,) at ascending times from 0 to 1 are those of no process."""
    a, b, sigma = scales
    if abs(a[0] - 1) > 1e-6:
        return f"a(0) must be 1, as t = 0 is clean audio, not {a[0]:g}"
    if abs(b[0]) > 1e-6:
        return f"b(0) must be 0, as t = 0 is clean audio, not {b[0]:g}"
    if (rising := a.diff() > 1e-9).any():
        return f"a must not rise with t, and does so after t = {t[:-1][rising][0]:g}"
    if (gone := a[:-1] <= 0).any():
        return f"a must be positive before t = 1, and is {a[:-1][gone][0]:g} at {t[:-1][gone][0]:g}"
    if (negative := sigma < 0).any():
        return f"sigma must not be negative, as it is at t = {t[negative][0]:g}"
    if sigma[0] > sigma.max() / 2:
        return (
            f"sigma(0) must be 0 or small, as t = 0 is clean audio, not {sigma[0]:g} where it is "
            f"at most {sigma.max():g}"
        )
    ratio = sigma[:-1] / a[:-1]
    if (falling := ratio.diff() < -1e-9 * ratio[1:]).any():
        return (
            "sigma / a must not fall, or g^2 is negative: the noise goes away faster than the "
            f"audio after t = {t[:-2][falling][0]:g}"
        )
    return None


class SDE(ABC):
    """A process; subclasses are frozen dataclasses of its constants."""

    @abstractmethod
    def scales(self, t: Tensor) -> Scales:
        """a, b, sigma at the times t in [0, 1], in closed form.

        Differentiable in t, unless the process states its `rates` itself.
        """

    def rates(self, t: Tensor) -> Scales:
        """a', b', sigma' at t, by automatic differentiation of `scales`; constants for autograd.

        sigma' is infinite where sigma leaves or reaches 0 like a square root. Their own slopes are
        known to forward mode (`torch.func.jvp`), where those of the scales are.
        """
        # Forward mode would name infinity itself, but takes a millisecond for these few numbers.
        with torch.inference_mode(False), torch.enable_grad():
            step = torch.zeros(t.shape, dtype=t.dtype, device=t.device, requires_grad=True)
            a, b, sigma = (_slope(scale, step) for scale in self.scales(t.clone() + step))
        # The chain rule reads 0 times infinity at a square root of 0.
        infinite = torch.where(t < 0.5, torch.inf, -torch.inf)
        return Scales(a, b, torch.where(sigma.isnan(), infinite, sigma))

    def coefficients(self, t: Tensor) -> Coefficients:
        """f, h, g at t.

        Where a(t) = 0 they are infinite, but h = 0 without an observation, and g has its limit
        where sigma = 0 too.
        """
        if not isinstance(t, Tensor):
            remedy = "torch.tensor([0.5], dtype=torch.float64)"
            raise ArgumentTypeError(
                f"t must be a tensor of times, such as {remedy}, not {shown(t)}"
            )
        # Where sigma = 0 g^2 may read 0 times infinity: its limit is one rounding away.
        eps = torch.finfo(t.dtype).eps
        both = torch.stack([t, t.clamp(eps, 1 - eps)])
        (a, b, sigma), (da, db, dsigma) = self.scales(both), self.rates(both)
        f = torch.where(a > 0, da / a, -torch.inf)  # a' may be 0 there as well
        g2 = 2 * sigma * (dsigma - f * sigma)
        g2 = torch.where(g2[0].isnan(), g2[1], g2[0])
        h = torch.where(b == 0, db, db - f * b)
        return Coefficients(f[0], h[0], g2.clamp(min=0).sqrt())

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda = ln(a / sigma): the time in which solvers of higher order are polynomial.

        It falls with t; infinite where sigma = 0, and minus infinity where a = 0, as its limit.
        """
        a, _, sigma = self.scales(t)
        return torch.where(a > 0, a.log() - sigma.log(), -torch.inf)

    def sample(self, x0: Tensor, y: Tensor | None, t: Tensor, z: Tensor) -> Tensor:
        """x_t = a x0 + b y + sigma z for (batch, ...) tensors and times (batch,).

        y may be None where b = 0; else that is a `ValueError`.
        """
        a, b, sigma = (expand(s, x0) for s in self.scales(t))
        if y is None:
            if self.observed:
                raise ArgumentError(f"{self} leads to an observation: pass it as y")
            return a * x0 + sigma * z
        return a * x0 + b * y + sigma * z

    def prior(self, y: Tensor | None, z: Tensor, t: float = 1.0) -> Tensor:
        """What sampling starts from at time t: x_t with y, or 0, in place of the unknown x0."""
        times = torch.full((len(z),), t, dtype=z.real.dtype, device=z.device)
        return self.sample(torch.zeros_like(z) if y is None else y, y, times, z)

    @property
    def pinned(self) -> bool:
        """Whether the process ends in the point y: a(1) = sigma(1) = 0."""
        a, _, sigma = self.scales(torch.ones(1, dtype=torch.float64))
        return bool(a == 0) and bool(sigma == 0)

    @property
    def forgets(self) -> bool:
        """Whether nothing is left of x0 at the end: a(1) = 0."""
        return bool(self.scales(torch.ones(1, dtype=torch.float64)).a == 0)

    @property
    def observed(self) -> bool:
        """Whether the process leads to an observation: b is not 0 everywhere."""
        return bool((self.scales(torch.tensor([0.5, 1.0], dtype=torch.float64)).b != 0).any())

    def refusal(self) -> str | None:
        """Why this is no process from clean audio to noise or an observation; None if it is one.

        Of the scales it is asked, at some times in [0, 1] and in float64 and float32, that

            each is finite, shaped like t and of its precision, and the same in any batch;
            a(0) = 1 and a never rises, b(0) = 0, 0 <= sigma, sigma(0) <= half of its largest;
            sigma / a never falls, as g^2 = a^2 ((sigma / a)^2)' must not be negative.

        `ScoreModel` asks for it; it takes less than a millisecond.
        """
        name = type(self).__name__
        t = torch.linspace(0, 1, 33, dtype=torch.float64, device="cpu")
        why: str | None
        for times in (t, t.float(), t[5:6]):
            try:
                found = tuple(self.scales(times))
            except Exception as error:  # whatever somebody's own process raises
                why = " ".join(f"{type(error).__name__}: {error}".split())
                return f"{name}.scales fails for t of shape {tuple(times.shape)}: {why}"
            if why := _unlike(found, times):
                return f"{name}.scales must give a, b and sigma as tensors like t: {why}"
        scales, turned = Scales(*self.scales(t)), self.scales(t.flip(0))
        for symbol, value, other in zip(Scales._fields, scales, turned, strict=True):
            if not torch.allclose(value, other.flip(0), rtol=1e-9, atol=1e-12):
                return f"{name}: {symbol} at a time must not depend on the other times of a batch"
        why = _no_process(t, scales)
        return why and f"{name}: {why}"
