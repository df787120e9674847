"""Losses of whole steps: of the estimate with which the first-order step from t to s is exact.

A model of two times says where the probability flow leads from x_t until s <= t,

    x_s = a_s x0 + b_s y + sigma_s noise,      a_t x0 + b_t y + sigma_t noise = x_t,

which for a straight flow is x_t - (t - s) u with the average velocity u. What x_s should be is
nowhere in the data; it is found from what the model says itself, taken as given. Two laws of a flow
say it, each with the instantaneous velocity, at s = t, as its start:

    MeanFlow        d/dt x_s = 0        along the flow the end of a step stays where it is
    Composition     x_s(x_t) = x_s(x_m)     a step is two steps, by way of x_m = x_m(x_t)

Both compare average velocities u = (x_t - x_s) / (t - s), whose error is that of the estimate with
the mean slopes of the scales: e_u = A e_x0 + S e_noise, A = (a_t - a_s) / (t - s) and S alike.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import cast

import torch
from torch import Generator, Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE, Scales, expand, weighted
from sgmse.solvers import Model, TwoTimes, two_timed
from sgmse.training.losses.base import Loss, Truth, infinite_velocity

#: Below this length the mean slope of a scale is that in the middle, where a difference has lost
#: more digits of single precision than that is off.
SHORT = 1e-2


def slopes(sde: SDE, t: Tensor, s: Tensor) -> Scales:
    """(a_t - a_s) / (t - s) and alike, each (batch,), and where s = t their limits, the rates."""
    gap = (t - s).clamp(min=SHORT)
    ends = zip(sde.scales(t), sde.scales(s), sde.rates((t + s) / 2), strict=True)
    return Scales(*(torch.where(t - s < SHORT, rate, (p - q) / gap) for p, q, rate in ends))


def reached(estimate: Estimate, y: Tensor, sde: SDE, s: Tensor) -> Tensor:
    """x_s of a step with that estimate, like y (batch, ...)."""
    a, b, sigma = sde.scales(s)
    return weighted((a, estimate.x0), (b, y), (sigma, estimate.noise))


class WholeSteps(Loss):
    """mean w |u - u*|^2 for the average velocity u; subclasses say what the model is pulled to.

    w = 1 / (L + floor)^power, of the L = mean |u - u*|^2 of each item, and no gradient goes through
    it (Geng et al. 2025, arXiv:2505.13447): items whose target is far off pull less. The
    curves show mean L as `velocity`.
    """

    share: float
    power: float
    floor: float

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not 0 < self.share < 1:
            raise ArgumentError(
                f"{name}: share must lie between 0 and 1, as steps of a length are learned from "
                f"those of none, not {self.share}"
            )
        if not (0 <= self.power <= 1 and isfinite(self.floor) and self.floor > 0):
            raise ArgumentError(
                f"{name}: power must lie in [0, 1] and floor be positive, not {self.power}, "
                f"{self.floor}"
            )

    @property
    @override
    def two_times(self) -> bool:
        return True

    @override
    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        why = infinite_velocity(sde, t)
        return why and (
            f"{type(self).__name__}: {why}; train and start at earlier times (times.high and "
            "sampler.grid.start), or use another process"
        )

    @override
    def untimed(self) -> str | None:
        return f"{type(self).__name__} compares whole steps from a time; use Reconstruction"

    @override
    def ask(
        self, model: Model, y: Tensor, truth: Truth, generator: Generator
    ) -> tuple[Estimate, Truth]:
        """The estimate of steps from t to s, and the one that it is pulled to.

        s = t for all but the `share` of the items, of which s is uniform between 0 and t, or 0.
        """
        sde, t, told = truth.sde, truth.t, two_timed(model)
        chance, place = torch.rand(2, len(t), generator=generator, device=t.device).to(t)
        far = chance < self.share
        s = torch.where(far, t * place, t)
        x = sde.sample(truth.x0, y, t, truth.z)
        # First of all, as autocast keeps weights as it has cast them first: with gradients.
        estimate = told(x, y, t, s=s)
        x0, noise = truth.x0.clone(), truth.z.clone()
        if far.any():
            own = Estimate(estimate.x0[far].detach(), estimate.noise[far].detach())
            some = truth._replace(x0=truth.x0[far], z=truth.z[far], t=t[far])
            with torch.no_grad():
                pull = self.pull(told, x[far], y[far], s[far], own, some, generator)
            a, _, sigma = slopes(sde, t[far], s[far])
            a_t, _, sigma_t = sde.scales(t[far])
            # Moves x_s by (t - s) pull, and x_t not at all.
            k = expand(1 / (a_t * sigma - sigma_t * a), pull) * pull
            x0[far] = own.x0 + expand(sigma_t, k) * k
            noise[far] = own.noise - expand(a_t, k) * k
        return estimate, truth._replace(x0=x0, z=noise, s=s)

    @abstractmethod
    def pull(
        self,
        model: TwoTimes,
        x: Tensor,
        y: Tensor,
        s: Tensor,
        own: Estimate,
        truth: Truth,
        generator: Generator,
    ) -> Tensor:
        """Where x_s should be, less where the model's `own` estimate at x has it, by t - s.

        x, y like x0 of the truth; s (batch,) is less than the t of the truth. Without gradients.
        """

    @override
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        if truth.s is None:
            raise ArgumentError(f"{self} needs the end of the steps: take the truth from `ask`")
        a, _, sigma = slopes(truth.sde, truth.t, truth.s)
        off = weighted((a, estimate.x0 - truth.x0), (sigma, estimate.noise - truth.z))
        squares = off.abs().square().flatten(1).mean(1)
        weights = (squares.detach() + self.floor) ** -self.power
        return {"loss": (weights * squares).mean(), "velocity": squares.mean().detach()}


@dataclass(frozen=True)
class MeanFlow(WholeSteps):
    """The end of a step stays where it is along the flow: d/dt x_s(x_t, y, t) = 0.

    Geng et al. 2025 (arXiv:2505.13447) have it for the average velocity u, which it is

        u* = v - (t - s) d/dt u = u + d/dt x_s,      d/dt = d/dt + (v d/dx),

    for every process, with the velocity v = a' x0 + b' y + sigma' z of the pair in place of that of
    the flow, which is its mean. The derivative takes one pass of forward mode through the network,
    and only of the items with s < t; it is computed in single precision, whatever the rest is in.

    Args:
        share: of the items with s < t; the others train the velocity, s = t.
        power, floor: of the weights, see `WholeSteps`.
    """

    share: float = 0.25
    power: float = 1.0
    floor: float = 1e-3

    @override
    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        if why := super().refusal(sde, t):
            return why
        try:
            known = SDE.rates(sde, t)
        except (RuntimeError, ValueError):  # torch of a value that leaves it, or the process
            known = None
        if known is not None and all(
            torch.allclose(own, rate, 1e-2) for own, rate in zip(known, sde.rates(t), strict=True)
        ):
            return None
        return (
            f"MeanFlow: the scales of {sde} are not computed by torch alone, which cannot "
            "differentiate them; use Composition, or another process"
        )

    @override
    def pull(
        self,
        model: TwoTimes,
        x: Tensor,
        y: Tensor,
        s: Tensor,
        own: Estimate,
        truth: Truth,
        generator: Generator,
    ) -> Tensor:
        a, b, sigma = truth.sde.rates(truth.t)
        v = weighted((a, truth.x0), (b, y), (sigma, truth.z))

        def end(x: Tensor, t: Tensor) -> Tensor:
            return reached(model(x, y, t, s=s), y, truth.sde, s)

        # The fused kernels of attention have no forward mode, and neither have autocast's weights.
        with sdpa_kernel(SDPBackend.MATH), torch.autocast(x.device.type, enabled=False):
            moved = torch.func.jvp(end, (x, truth.t), (v, torch.ones_like(truth.t)))[1]
        return -cast(Tensor, moved)


@dataclass(frozen=True)
class Composition(WholeSteps):
    """A step is two steps: x_s(x_t) = x_s(x_m), x_m = x_m(x_t), with m uniform between s and t.

    For average velocities it is (t - s) u(x_t, t, s) = (t - m) u(x_t, t, m) + (m - s) u(x_m, m, s)
    (Yang et al. 2025, COSE, arXiv:2509.15952). It takes two more evaluations of the items with
    s < t, and no derivative.

    Any flow fulfils it, also one that is far from the data: with a power of 1 those items, whose L
    is soon 0, would outweigh the velocities, which alone say where the data are.

    Args:
        share: of the items with s < t; the others train the velocity, s = t.
        power, floor: of the weights, see `WholeSteps`; COSE trains the two kinds in turns, and has
            the power 0.5.
    """

    share: float = 0.5
    power: float = 0.0
    floor: float = 1e-3

    @override
    def pull(
        self,
        model: TwoTimes,
        x: Tensor,
        y: Tensor,
        s: Tensor,
        own: Estimate,
        truth: Truth,
        generator: Generator,
    ) -> Tensor:
        t, sde = truth.t, truth.sde
        m = s + (t - s) * torch.rand(len(t), generator=generator, device=t.device).to(t)
        halfway = reached(model(x, y, t, s=m), y, sde, m)
        end = reached(model(halfway, y, m, s=s), y, sde, s)
        gap = (t - s).clamp(min=torch.finfo(t.dtype).tiny)
        return (end - reached(own, y, sde, s)) / expand(gap, x)
