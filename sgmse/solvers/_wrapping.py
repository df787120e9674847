"""Solvers around others, which take the steps."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from typing_extensions import override

from sgmse.sdes import SDE
from sgmse.solvers._base import Model, Randn, Solver

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
