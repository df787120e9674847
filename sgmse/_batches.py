"""Pieces of work in batches: what waits and is alike is done at once, as much as memory bears.

On a device one piece alone leaves most of it idle. Recordings, their channels, segments and shifts
are pieces that do not depend on each other, and whoever has some hands them in and waits:

    for future in batches.submit([Task(piece, kind, size, run) for piece in pieces]):
        future.result()

One thread takes the oldest piece that waits with all that are of its kind, up to a bound of their
sizes. Meanwhile others decode, cut, join and encode, and what they hand in is the next batch. Where
memory does not suffice, the bound of all of that `family` is halved, and kept.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from sgmse._device import out_of_memory

T = TypeVar("T")
R = TypeVar("R")

MOST = 64  # pieces in a batch: more are no faster on any device


@dataclass(frozen=True)
class Kind:
    """What may be in one batch.

    Args:
        family: what needs the same memory for the same size, such as a model and its sampler.
        form: what else must be alike, such as the shape of the pieces.
    """

    family: Hashable
    form: Hashable


@dataclass(frozen=True, eq=False)
class Task(Generic[T, R]):
    """A piece that is handed in.

    Args:
        item: the piece.
        kind: with which others it may be done.
        size: in a unit of memory of its family, such as frames; the same for all of a kind.
        run: does some of a kind: a result each, or what went wrong with it. What it raises went
            wrong with all.
    """

    item: T
    kind: Kind
    size: int
    run: Callable[[list[T]], Sequence[R | BaseException]]
    future: Future[R] = field(default_factory=Future, init=False)


@dataclass(eq=False)
class Batches:
    """What waits for one device.

    Args:
        most: pieces in a batch.
        counts: how many batches there were of each number of pieces.
    """

    most: int = MOST
    counts: Counter[int] = field(default_factory=Counter)
    bounds: dict[Hashable, int] = field(default_factory=dict)
    waiting: deque[Task[Any, Any]] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: bool = False

    def submit(self, tasks: Sequence[Task[T, R]]) -> list[Future[R]]:
        """Hand in pieces at once; what becomes of each, in their order."""
        with self.lock:
            self.waiting.extend(tasks)
            idle, self.busy = not self.busy and bool(tasks), self.busy or bool(tasks)
        if idle:
            threading.Thread(target=self._work, name="sgmse-batches").start()
        return [task.future for task in tasks]

    def _work(self) -> None:
        """Do what waits until nothing does."""
        while batch := self._taken():
            if self._done(batch):
                continue
            with self.lock:  # half of them at once, in their order
                self.waiting.extendleft(reversed(batch))

    def _taken(self) -> list[Task[Any, Any]]:
        """The oldest that waits and those of its kind, up to the bound; none ends the work."""
        with self.lock:
            if not self.waiting:
                self.busy = False
                return []
            kind = self.waiting[0].kind
            bound = self.bounds.get(kind.family)
            taken: list[Task[Any, Any]] = []
            left: deque[Task[Any, Any]] = deque()
            for one in self.waiting:
                fits = bound is None or (len(taken) + 1) * one.size <= bound or not taken
                alike = one.kind == kind and len(taken) < self.most
                (taken if alike and fits else left).append(one)
            self.waiting = left
        return taken

    def _done(self, batch: list[Task[Any, Any]]) -> bool:
        """Do a batch; false if it is to be done again in smaller ones."""
        try:
            results = batch[0].run([one.item for one in batch])
        except BaseException as error:
            if out_of_memory(error) and len(batch) > 1:
                self.bounds[batch[0].kind.family] = len(batch) // 2 * batch[0].size
            else:
                for one in batch:
                    one.future.set_exception(error)
                return True
        else:
            self.counts[len(batch)] += 1
            for one, result in zip(batch, results, strict=True):
                if isinstance(result, BaseException):
                    one.future.set_exception(result)
                else:
                    one.future.set_result(result)
            return True
        # The error is gone, and with it what it held.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return False
