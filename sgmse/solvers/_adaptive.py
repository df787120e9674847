"""Runge-Kutta with the step size that a tolerance asks for, for each item of a batch by itself.

A method of order 5 carries one of order 4 with the weights w_i - e_i in the same stages, so that

    error = rms(h sum_i e_i k_i / scale),      scale = atol + rtol max(|x|, |x_new|)

estimates what a step misses, over the item. A step with error <= 1 is taken, another one tried
again; either way the next one has the length

    h min(max(SAFETY error^(-1/5), SHRINK), GROW),

and at most h after a second try.
"""

from dataclasses import dataclass
from math import isfinite, log
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError, ResultError
from sgmse.sdes import expand, positive
from sgmse.solvers._base import Model, Randn
from sgmse.solvers._runge_kutta import ProbabilityFlow, Tableau, advance, combine, velocity

#: Dormand and Prince 1980; its seventh stage is the first one of the next step.
DORMAND_PRINCE = Tableau(
    nodes=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1),
    rows=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    weights=(35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
#: e_i of the six stages and the seventh: the weights less those of order 4.
ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
#: A step that would end this little before the time to reach is stretched to it.
STRETCH = 1.01
#: Roundings in the state below which no error is told from zero, and in t, no step.
STATE_ROUNDINGS, TIME_ROUNDINGS = 10, 16


class StepControl(NamedTuple):
    """What `DormandPrince` did, each (batch,), and what it goes on with; on the state's device."""

    #: Steps taken and steps tried in vain.
    accepted: Tensor
    rejected: Tensor
    #: Lengths in t of the shortest and the longest step taken.
    smallest: Tensor
    largest: Tensor
    #: Length of the next step, whether it is another try, and dx/dt (batch, ...) where it starts.
    stepsize: Tensor
    again: Tensor
    velocity: Tensor


#: None at the first step.
Memory = StepControl | None


def rms(x: Tensor) -> Tensor:
    """The root mean square of each item, (batch,)."""
    return x.abs().square().reshape(len(x), -1).mean(dim=1).sqrt()


@dataclass(frozen=True)
class DormandPrince(ProbabilityFlow[StepControl]):
    """The adaptive method of order 5 with an estimate of order 4 (Dormand and Prince 1980).

    From each time of the grid to the next it takes as many steps as the tolerance asks for; the
    step size goes on from one to the next, so that a grid of two times and 0, such as
    `Uniform(2)`, leaves most to the solver. Each item has its own steps, and waits when it is done.
    `Solution.memory` is a `StepControl`.

    A step calls the model 6 times, for all items together; the first one, and the choice of its
    length, once each. Tolerances finer than the precision of the state are taken for it.

    Args:
        rtol: tolerated error of a step as a share of the state.
        atol: the same in its units, where it is near 0.
        first_step: length of the first step in t; absent, it is chosen from the velocity and its
            change, at the cost of one evaluation (Hairer, Norsett, Wanner 1993, II.4).
        limit: most steps, taken and rejected, from one time of the grid to the next.

    Raises:
        RuntimeError: a `limit` too low for the tolerance; or the flow is not finite or not smooth.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    first_step: float | None = None
    limit: int = 1000

    order = 5
    evaluations = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, rtol=self.rtol, atol=self.atol)
        if self.first_step is not None:
            positive(self, first_step=self.first_step)
        if self.limit < 1:
            raise ArgumentError(f"DormandPrince: limit must be at least 1, not {self.limit}")

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Memory, randn: Randn
    ) -> tuple[Tensor, StepControl]:
        control = self.begin(model, x, y, t, s) if memory is None else memory
        tried = 0
        while ahead := self.ahead(t, s, control.stepsize):
            tried += ahead
            if tried > self.limit:
                raise ResultError(
                    f"{self} did not get to t = {float(s[0]):g} in {self.limit} steps; "
                    "raise rtol and atol, or the limit"
                )
            for _ in range(ahead):
                x, t, control = self.attempt(model, x, y, t, s, control)
        return x, control

    def ahead(self, t: Tensor, s: Tensor, h: Tensor) -> int:
        """At least so many steps are needed before all items are at s, were h to grow at most.

        This looks at the device, once for that many steps. Looking after each would empty its
        queue of work every time, and not looking in time would evaluate the model for nothing. So
        a run calls the model as often on any device.
        """
        steps = (1 + (GROW - 1) * (t - s) / (STRETCH * h)).log() / log(GROW)
        # A thousandth for the rounding of a whole number.
        steps = torch.where(t > s, (steps - 1e-3).ceil().clamp(min=1), 0.0)
        most = float(steps.max())
        if not isfinite(most):
            raise ResultError(
                f"{self} stands still, with an error above the tolerance however small the step: "
                "the estimates are not finite, or jump; raise rtol and atol, or check the model"
            )
        return int(most)

    def attempt(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, control: StepControl
    ) -> tuple[Tensor, Tensor, StepControl]:
        """A step towards s, for each item taken or not: the state, its time, and the lengths."""
        accepted, rejected, smallest, largest, h, again, k = control
        active = t > s
        reaches = t - s <= STRETCH * h
        u = torch.where(reaches, s, t - h)
        new, stages = advance(model, x, y, t, u, DORMAND_PRINCE, first=k)
        stages.append(velocity(model, new, y, u))
        tried = t - u
        with torch.no_grad():  # gradients are those of the steps, not of their lengths
            error = self.error(x, new, combine(torch.zeros_like(x), tried, ERROR, stages))
            good = active & (error <= 1)
            factor = (SAFETY * error**-0.2).nan_to_num(nan=SHRINK).clamp(SHRINK, GROW)
            factor = torch.where(again, factor.clamp(max=1), factor)
            proposed = (tried * factor).clamp(max=1)
            # The end of an interval may cut a step short, which says nothing against its length.
            cut = good & reaches & (tried < h)
            proposed = torch.where(cut, torch.maximum(h, proposed), proposed)
            # Standing still: `ahead` finds that out.
            lost = ~good & (tried <= TIME_ROUNDINGS * torch.finfo(t.dtype).eps * t)
            h = torch.where(active, torch.where(lost, 0.0, proposed), h)
        taken = expand(good, x)
        control = StepControl(
            accepted + good,
            rejected + (active & ~good),
            torch.where(good, torch.minimum(smallest, tried), smallest),
            torch.where(good, torch.maximum(largest, tried), largest),
            h,
            active & ~good,
            torch.where(taken, stages[-1], k),
        )
        return torch.where(taken, new, x), torch.where(good, u, t), control

    def begin(self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor) -> StepControl:
        """Nothing done yet, and the first step."""
        k = velocity(model, x, y, t)
        if self.first_step is None:
            h = self.opening(model, x, y, t, s, k)
        else:
            h = torch.full_like(t, self.first_step)
        none = torch.zeros_like(t, dtype=torch.int64)
        endless = torch.full_like(t, torch.inf)
        return StepControl(none, none, endless, torch.zeros_like(t), h, none > 0, k)

    @torch.no_grad()
    def opening(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, k: Tensor
    ) -> Tensor:
        """The length of the first step, from |x|, |v| and |v'| in units of what is tolerated.

        An Euler step of |x| / (100 |v|) measures v'. With it a step of order 5 misses about
        h^5 max(|v|, |v'|), of which a hundredth is asked for.
        """
        size, speed = self.error(x, x, x), self.error(x, x, k)
        h = torch.where((size > 1e-5) & (speed > 1e-5), size / (100 * speed), 1e-6)
        h = torch.minimum(h, t - s)
        change = velocity(model, x - expand(h, x) * k, y, t - h) - k
        most = torch.maximum(speed, self.error(x, x, change) / h)
        longest = torch.where(most > 1e-15, (0.01 / most) ** 0.2, (h / 1000).clamp(min=1e-6))
        return torch.minimum(100 * h, longest)

    def error(self, x: Tensor, new: Tensor, missed: Tensor) -> Tensor:
        """What a step from x to new missed, in units of what is tolerated, (batch,)."""
        size = torch.maximum(x.abs(), new.abs())
        finest = STATE_ROUNDINGS * torch.finfo(size.dtype).eps * rms(size)
        scale = torch.maximum(self.atol + self.rtol * size, expand(finest, x))
        return rms(missed.abs() / scale)
