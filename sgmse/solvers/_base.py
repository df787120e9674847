"""`solve`: from an observation to a clean estimate, with any solver on any grid."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import TypeVar, override

from sgmse._checks import arguments, kinds, shown
from sgmse._device import sent
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE
from sgmse.solvers._grids import Grid

#: Draws CN(0, 1) noise of the shape, precision and device of its argument.
Randn = Callable[[Tensor], Tensor]
#: What a solver remembers from step to step; `Begun` if that is no more than that it has begun.
M = TypeVar("M", default=Any)
Begun = tuple[()]


class Model(Protocol):
    """What a solver needs: a process and an estimate at any of its states."""

    @property
    def sde(self) -> SDE:
        """The process."""

    @property
    def latest(self) -> float:
        """The largest time at which it is asked, at most 1."""

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x, y (batch, ...) and t (batch,); y is None without an observation."""


class TwoTimes(Model, Protocol):
    """A model that can be told the time s to which a step leads.

    Its estimate is then that of the whole step: the one with which the first-order step from t to s
    is exact. Without s it is that at t, as of any model.
    """

    def __call__(
        self, x: Tensor, y: Tensor | None, t: Tensor, *, s: Tensor | None = None
    ) -> Estimate:
        """See `Model`; s (batch,)."""


@runtime_checkable
class OfItems(Protocol):
    """A model that has seen a batch of observations of its own, as that of a `Regeneration` has."""

    def for_items(self, items: Tensor) -> Model:
        """The model of these items of them, whole numbers (items,) in any order and number."""


def of_items(model: Model, items: Tensor) -> Model:
    """The model for these items of the batch that it is for; most are for any."""
    return model.for_items(items) if isinstance(model, OfItems) else model


class Around:
    """A model around another one, `model`: of its process, and asked as late as that one."""

    model: Model

    @property
    def sde(self) -> SDE:
        """The process."""
        return self.model.sde

    @property
    def latest(self) -> float:
        """The largest time at which it is asked."""
        return self.model.latest


class Solver(ABC, Generic[M]):
    """One step of a solver; subclasses are frozen dataclasses without state."""

    def __post_init__(self) -> None:
        kinds(self)

    @property
    @abstractmethod
    def order(self) -> int:
        """Global order of convergence of the paths without noise; 0 if there is none.

        Unless `weak_order` differs, of mean and variance with noise. A test measures it.
        """

    @property
    def weak_order(self) -> int:
        """Global order of mean and variance where the solver draws noise."""
        return self.order

    @property
    def evaluations(self) -> int:
        """Of the model in a step; the first step and the one to t = 0 may need fewer."""
        return 1

    @property
    def once(self) -> int:
        """Evaluations of the model in a whole run beside those of its steps."""
        return 0

    @property
    def fewest_steps(self) -> int:
        """Steps below which the result is worse than the observation."""
        return 1

    @property
    def whole(self) -> bool:
        """Whether it asks a model of `TwoTimes` for the estimate of a whole step."""
        return False

    @property
    def moves_start(self) -> bool:
        """Whether the first step takes its state for a draw from the prior and moves it."""
        return False

    @property
    def apart(self) -> bool:
        """Whether what becomes of an item does not depend on the others of its batch."""
        return True

    @abstractmethod
    def step(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: M | None,
        randn: Randn,
    ) -> tuple[Tensor, M]:
        """From the state x at times t (batch,) to the state at s < t.

        The memory is None at the first step, and then what the step before returned: not None. A
        step to s = 0 returns the clean estimate x0, also where sigma(0) > 0; a solver whose step
        cannot reach it overrides `finish`.
        """

    def finish(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: M | None,
        randn: Randn,
    ) -> tuple[Tensor, M | None]:
        """The step of `solve` to s = 0: there, the host knows that it is the last."""
        return self.step(model, x, y, t, s, memory, randn)

    def for_step(self, t: float, s: float) -> "Solver[M]":
        """What takes the step from t to s: itself, or for this step another one.

        They are numbers, in the precision of the state: `solve` has the grid on the host. For one
        who acts at some times alone; to look for them in the step makes the host wait for a device.
        """
        return self

    @abstractmethod
    def draws(self, sde: SDE) -> bool:
        """Whether sampling that process from t = 1 needs noise beside that of the start."""

    def refusal(self, sde: SDE, start: float) -> str | None:
        """Why sampling that process cannot start at that time, with the remedy; None if it can."""
        return None


#: A step of a solver: `Solver.step` or `Solver.finish`.
Take = Callable[[Model, Tensor, Tensor, Tensor, Tensor, Any, Randn], tuple[Tensor, Any]]


class Wrapping(Solver):
    """A solver around another one, which takes the steps: what it leaves unsaid is as there."""

    @property
    @abstractmethod
    def inner(self) -> Solver:
        """The solver that takes the steps; its memory is that of the whole."""

    @abstractmethod
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Any,
        randn: Randn,
    ) -> tuple[Tensor, Any]:
        """A step: what is done beside it, and `take`, the step of the inner solver."""

    @override
    def step(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Any, randn: Randn
    ) -> tuple[Tensor, Any]:
        return self.around(self.inner.step, model, x, y, t, s, memory, randn)

    @override
    def finish(
        self, model: Model, x: Tensor, y: Tensor, t: Tensor, s: Tensor, memory: Any, randn: Randn
    ) -> tuple[Tensor, Any]:
        return self.around(self.inner.finish, model, x, y, t, s, memory, randn)

    @property
    @override
    def order(self) -> int:
        return self.inner.order

    @property
    @override
    def weak_order(self) -> int:
        return self.inner.weak_order

    @property
    @override
    def evaluations(self) -> int:
        return self.inner.evaluations

    @property
    @override
    def once(self) -> int:
        return self.inner.once

    @property
    @override
    def fewest_steps(self) -> int:
        return self.inner.fewest_steps

    @property
    @override
    def whole(self) -> bool:
        return self.inner.whole

    @property
    @override
    def moves_start(self) -> bool:
        return self.inner.moves_start

    @property
    @override
    def apart(self) -> bool:
        return self.inner.apart

    @override
    def draws(self, sde: SDE) -> bool:
        return self.inner.draws(sde)

    @override
    def refusal(self, sde: SDE, start: float) -> str | None:
        return self.inner.refusal(sde, start)

    @override
    def for_step(self, t: float, s: float) -> Solver:
        inner = self.inner
        taking = inner.for_step(t, s)
        return self if taking is inner else Inside(self, taking)


@dataclass(frozen=True)
class Inside(Wrapping):
    """What another one does around the steps, with these steps in place of its own."""

    outer: Wrapping
    taking: Solver

    @property
    @override
    def inner(self) -> Solver:
        return self.taking

    @override
    def around(
        self,
        take: Take,
        model: Model,
        x: Tensor,
        y: Tensor,
        t: Tensor,
        s: Tensor,
        memory: Any,
        randn: Randn,
    ) -> tuple[Tensor, Any]:
        return self.outer.around(take, model, x, y, t, s, memory, randn)


#: From here every solver can leave every process of the library.
LAST_START = 0.999


def needs_score(solver: Solver, sde: SDE, start: float) -> str | None:
    """The refusal of a solver that divides by a(t) and sigma(t)."""
    a, _, sigma = sde.scales(torch.tensor([start], dtype=torch.float64))
    missing = [name for name, value in (("a", a), ("sigma", sigma)) if value == 0]
    if not missing:
        return None
    zero = " = ".join(f"{name}({start:g})" for name in missing)
    return (
        f"{type(solver).__name__} needs the drift and the score of {sde} at t = {start:g}, where "
        f"{zero} = 0; start the grid before it (start={LAST_START}) or use an exponential solver"
    )


def needs_flow(solver: Solver, sde: SDE, start: float) -> str | None:
    """The refusal of a solver that needs finite a', b' and sigma'."""
    if all(rate.isfinite() for rate in sde.rates(torch.tensor([start], dtype=torch.float64))):
        return None
    return (
        f"{type(solver).__name__} needs the probability flow of {sde} at t = {start:g}, where it "
        f"is infinite; start the grid before it (start={LAST_START}) or use an exponential solver"
    )


def too_late(latest: float, start: float) -> str | None:
    """The refusal of a start after the latest time at which a model is asked."""
    if start <= latest:
        return None
    return (
        f"the model is asked up to t = {latest:g}, and the grid starts at {start:g}: start "
        f"it there (start={latest:g})"
    )


def modelled(model: Model) -> SDE:
    """The process of a model; `ArgumentTypeError` for what is none."""
    sde = getattr(model, "sde", None)
    if not (callable(model) and isinstance(sde, SDE)):
        raise ArgumentTypeError(
            f"model must be an object such as a ScoreModel, which has a process, not {shown(model)}"
        )
    return sde


def two_timed(model: Model) -> TwoTimes:
    """A model as what it has to be for a solver that asks for whole steps."""
    return cast(TwoTimes, model)


def needs_two_times(solver: Solver, model: Model) -> str | None:
    """The refusal of a solver that asks for whole steps by a model that knows one time."""
    if not solver.whole or getattr(model, "two_times", False):
        return None
    return (
        f"{solver} asks for the estimate of a whole step, and the network takes one time; leave "
        'out whole=True, or use a network of two (NCSNpp(end="length"))'
    )


class Solution(NamedTuple, Generic[M]):
    """The last state, how often the model was called for it, and what the solver remembered."""

    x: Tensor
    nfe: int
    memory: M | None = None


class Step(NamedTuple):
    """A step that was taken; what a `callback` is told. Its tensors are not to be changed.

    Args:
        done, steps: how many steps are done, of how many.
        t, s: the times from which and to which it led, on the host.
        x: the state at s, (batch, ...).
        before: the state at t.
    """

    done: int
    steps: int
    t: float
    s: float
    x: Tensor
    before: Tensor


#: Called after each step.
Callback = Callable[[Step], object]


class Path(ABC):
    """Noise that belongs to times, so that runs with different steps follow the same path."""

    @abstractmethod
    def __call__(self, like: Tensor) -> Tensor:
        """The noise of the start."""

    @abstractmethod
    def between(self, t: float, s: float) -> Randn:
        """The noise of a step from t to s; numbers, as the grid is made on the host."""


class Counted(Around):
    """A model that counts its evaluations; `blind` hides the observation that there is not."""

    def __init__(self, model: Model, blind: bool) -> None:
        self.model = model
        self.blind = blind
        self.calls = 0

    def __call__(
        self, x: Tensor, y: Tensor | None, t: Tensor, *, s: Tensor | None = None
    ) -> Estimate:
        self.calls += 1
        y = None if self.blind else y
        return self.model(x, y, t) if s is None else two_timed(self.model)(x, y, t, s=s)


def solve(
    model: Model,
    y: Tensor | None,
    solver: Solver[M],
    grid: Grid,
    *,
    x: Tensor | None = None,
    randn: Randn | Path = torch.randn_like,
    callback: Callback | None = None,
) -> Solution[M]:
    """Run the reverse process from the grid's first time to its last.

    Gradients flow if they are enabled; enhancement runs under `torch.inference_mode()`.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        y: the observation, (batch, ...), complex or real; None for a process without one.
        solver: takes the steps.
        grid: the times.
        x: the state at the first time; drawn from the process's prior around y if absent.
        randn: draws the noise; pass your own to replay a run, or a `Path`.
        callback: called with the `Step` that was taken, after each; a `Trajectory` keeps states.

    Raises:
        ValueError: the solver cannot start there (`Solver.refusal`), the model is not asked so late
            (`Model.latest`) or knows one time of two, or the process needs y, or x in its place.

    >>> from sgmse.estimates import Data
    >>> from sgmse.model import ScoreModel
    >>> from sgmse.sdes import SBVE
    >>> from sgmse.solvers import Exponential, Uniform
    >>> class Half(torch.nn.Module):
    ...     def forward(self, x, y, t):
    ...         return y / 2
    >>> y = torch.ones(1, 1, 4, 4, dtype=torch.complex64)
    >>> solution = solve(ScoreModel(Half(), SBVE(), Data()), y, Exponential(), Uniform(4, end=0.0))
    >>> solution.nfe, bool(solution.x.allclose(y / 2))
    (4, True)
    """
    arguments(solve, locals())
    sde = modelled(model)
    if why := solver.refusal(sde, grid.start) or too_late(model.latest, grid.start):
        raise ArgumentError(why)
    if why := needs_two_times(solver, model):
        raise ArgumentError(why)
    counted = Counted(model, blind=y is None)
    times = grid.times(sde)
    if y is None:
        if sde.observed:
            raise ArgumentError(f"{sde} leads to an observation: pass it as y")
        if x is None:
            raise ArgumentError(
                "without an observation the shape is not known: pass the start, "
                "x=sde.prior(None, torch.randn(shape))"
            )
        y = torch.zeros_like(x)
    elif x is None:
        # Exactly y at a pinned end, without a draw.
        x = y if sde.pinned and grid.start == 1 else sde.prior(y, randn(y), grid.start)
    # One row a time, (steps + 1, batch), on the device at once: no transfer inside the loop.
    own = times.to(y.real.dtype)
    rows = sent(own, y.device)[:, None].expand(-1, len(y))
    memory: M | None = None
    for i, (t, s) in enumerate(pairwise(times.tolist())):  # numbers, where the grid was made
        draw = randn.between(t, s) if isinstance(randn, Path) else randn
        taking = solver.for_step(float(own[i]), float(own[i + 1]))
        step = taking.finish if s == 0 else taking.step
        before = x
        x, memory = step(counted, before, y, rows[i], rows[i + 1], memory, draw)
        if callback is not None:
            callback(Step(i + 1, len(rows) - 1, t, s, x, before))
    return Solution(x, counted.calls, memory)
