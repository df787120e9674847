"""Pieces of work side by side, one share of the cores each, on a machine that others use too.

Threads that share the operations of a network wait for each other after every one of them, some
thousands of times a second of audio. They spin while they wait: fast on an idle machine, and many
times slower than one thread alone as soon as another program wants a core
(benchmarks/results/threads.md). Threads that each do a whole piece never wait.

    with lanes(pieces=2) as side_by_side:
        results = list(side_by_side.map(function, items))
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

T = TypeVar("T")

MOST = 4  # pieces at the same time, whose memory is needed at the same time
_setting_up = threading.Lock()


class Stopped(Exception):  # noqa: N818
    """Ends a piece of work whose result is no longer wanted."""


@dataclass(frozen=True, eq=False)
class Lanes:
    """Where pieces of work go; without a pool they are done one after the other by the caller."""

    pool: ThreadPoolExecutor | None = None
    ahead: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def map(self, function: Callable[..., T], *items: Iterable[Any]) -> Iterator[T]:
        """As the built-in: results in order, each when it is asked for; a few are done before."""
        if self.pool is None:
            yield from map(function, *items)
            return
        waiting: deque[Future[T]] = deque()
        for arguments in zip(*items, strict=False):  # as the built-in, to the end of the shortest
            # The context tells which of several recordings a warning belongs to.
            waiting.append(self.pool.submit(copy_context().run, function, *arguments))
            if len(waiting) > self.ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def check(self) -> None:
        """End the piece that calls this if another one failed or the caller gave up."""
        if self.stopping.is_set():
            raise Stopped


@contextmanager
def lanes(pieces: int) -> Iterator[Lanes]:
    """Threads for so many pieces: as many as torch has, at most `MOST`, of an equal share each.

    When the block ends, what is not begun is left out, and what has begun ends at its next `check`.
    What torch was told of threads stays as it is for all other threads.
    """
    cores = torch.get_num_threads()
    count = min(pieces, cores, MOST)
    if count < 2:
        yield Lanes()
        return
    ready = threading.Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # the first question sets a thread to the number of all threads
        torch.set_num_threads(cores // count)
        ready.wait()

    pool = ThreadPoolExecutor(count, "sgmse", begin)
    made = Lanes(pool, count)
    try:
        with _setting_up:
            for _ in range(count):
                pool.submit(ready.wait)  # a thread that is idle would take the work of another
            ready.wait()
            torch.set_num_threads(cores)  # for threads that begin later, and for MKL
            ready.wait()
        yield made
    finally:
        made.stopping.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def callers(count: int) -> Iterator[Lanes]:
    """Threads that mostly wait for others, such as for a device; torch's are none of theirs."""
    if count < 2:
        yield Lanes()
        return
    pool = ThreadPoolExecutor(count, "sgmse-callers")
    made = Lanes(pool, count)
    try:
        yield made
    finally:
        made.stopping.set()
        pool.shutdown(cancel_futures=True)
