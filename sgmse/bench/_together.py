"""Recordings that a model enhances at once: their pieces of equal size in one batch.

A GPU is hardly busy with one recording of some seconds. Each recording has a thread, which does all
but the network (`sgmse._batches`). Nothing is padded for it, so that a result is that of the
recording alone but for rounding.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Self, TypeVar

from typing_extensions import override

from sgmse._batches import Batches
from sgmse.enhancer import Enhancer

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False, repr=False)
class Together(Enhancer):
    """An enhancer whose pieces are done in batches, on any device."""

    own: Batches = field(default_factory=Batches)

    @classmethod
    def like(cls, enhancer: Enhancer, most: int) -> Self:
        """An enhancer that takes batches of so many pieces."""
        same = {f.name: getattr(enhancer, f.name) for f in fields(enhancer)}
        return cls(**same, own=Batches(most))

    @property
    @override
    def _batches(self) -> Batches:
        return self.own

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """work(item) of each item, which calls this enhancer, all at once."""
        if not items:
            return []
        with ThreadPoolExecutor(len(items), "recording") as pool:
            return list(pool.map(work, items))
