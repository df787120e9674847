"""What a solver is, the model that it asks, and why it may refuse."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import TypeVar

from sgmse._checks import kinds, shown
from sgmse.errors import ArgumentTypeError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE

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
