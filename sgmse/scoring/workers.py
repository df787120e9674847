"""Work spread over processes, each with one thread, so that their number changes no result.

Not `concurrent.futures`: its pool, once broken, does not say over which item a worker died, and
its shutdown waits for what is running, so that Ctrl-C would, too.
"""

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from sgmse._pool import Death, Item, Pool, Result
from sgmse.errors import ArgumentError, WorkerError

__all__ = ["THREADS", "Death", "Pool", "at_most", "cores", "map_unordered"]

# What decides how many threads numerical libraries start; read when they are loaded.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    "NUMBA_NUM_THREADS",
)

READY = "ready"  # what a worker says first


def cores() -> int:
    """How many processes this one may keep busy."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def at_most(workers: int | Pool, most: int) -> int | Pool:
    """No more processes of this machine than there is work; machines elsewhere see to that."""
    return workers if isinstance(workers, Pool) else min(workers, most)


def map_unordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | Pool,
    died: Callable[[Item, Death], Result] | None = None,
) -> Generator[tuple[Item, Result], None, None]:
    """(item, function(item)) of each item, as they are done.

    Closing the iterator, or an exception at its consumer such as Ctrl-C, ends the workers at once.

    Args:
        function: can be pickled, as are items and results; what it raises is raised here.
        items: taken one by one, when a worker is free.
        workers: processes; 0 does the work here, in order. New interpreters are started (spawn),
            which import the main script: it must do its work below `if __name__ == "__main__"`.
            Or a pool, which does it elsewhere.
        died: gives the result of an item over which a worker died, and another worker goes on; an
            error if absent.

    Raises:
        ArgumentError: the function cannot be pickled.
        WorkerError: a worker could not be started, or died over an item.
    """
    if isinstance(workers, Pool):
        yield from workers.map_unordered(function, items, died)
        return
    if workers < 0:
        raise ArgumentError(f"workers must be at least 0, not {workers}")
    if workers == 0:
        for item in items:
            yield item, function(item)
        return
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ArgumentError(
            f"worker processes cannot import what they shall do ({error}); define it in a module, "
            "or set workers=0"
        ) from error
    waiting = iter(items)
    pool: dict[Connection, _Worker] = {}

    def feed(worker: _Worker | None = None) -> None:
        """Give a worker, a new one if absent, the next item, if there is one."""
        for item in waiting:
            if worker is None or not worker.give(item):  # one that died at rest is replaced
                worker = _started(function)
                worker.give(item)
            pool[worker.connection] = worker
            return

    try:
        for _ in range(workers):
            feed()
        while busy := [connection for connection, worker in pool.items() if worker.busy]:
            for ready in wait(busy):
                worker = pool[cast("Connection[Any, Any]", ready)]
                try:
                    answer = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    del pool[worker.connection]
                    (item,), death = worker.busy, worker.ended()
                    if died is None or not worker.ready:
                        raise _error(item, death, worker.ready) from None
                    feed()
                    yield item, died(item, death)
                    continue
                if answer == READY:
                    worker.ready = True
                    continue
                result, failure = answer
                if failure is not None:
                    raise failure
                item = worker.busy.pop()
                feed(worker)  # before the result is used: no worker waits for the consumer
                yield item, result
    finally:
        for worker in pool.values():
            worker.process.kill()
        for worker in pool.values():
            worker.process.join()


@dataclass
class _Worker:
    """A process, and what it does now: nothing or one item."""

    connection: Connection
    process: BaseProcess
    busy: list[Any] = field(default_factory=list)
    ready: bool = False  # whether it has said that it was started

    def give(self, item: object) -> bool:
        """Let it do something. Returns whether it is there to do it."""
        try:
            self.connection.send(item)
        except (BrokenPipeError, ConnectionResetError):
            if self.ready:
                self.ended()
                return False
        self.busy.append(item)  # of one that could not be started, too, which is noticed later
        return True

    def ended(self) -> Death:
        """How a process ended whose other side is closed."""
        self.connection.close()
        self.process.join()
        return Death(self.process.exitcode)


def _error(item: object, death: Death, ready: bool) -> WorkerError:
    what = f"a worker process died over {item}" if ready else "a worker process could not start"
    return WorkerError(
        f"{what} ({death}); start fewer (-j) if memory ran out, and in a script "
        'work below if __name__ == "__main__": only'
    )


def _started(function: Callable[[Item], Result]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, function), daemon=True)
    with _one_thread(), _undisturbed():
        process.start()
    there.close()  # so that its end is noticed when the worker dies
    return _Worker(here, process)


def _serve(connection: Connection, function: Callable[[Item], Result]) -> None:
    """Say READY, and answer each item with (result, None) or (None, error) while it is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send(READY)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        answer: tuple[Result | None, Exception | None]
        try:
            answer = function(item), None
        except Exception as error:
            answer = None, error
        try:
            connection.send(answer)
        except Exception as error:  # what cannot be pickled is sent as text
            connection.send((None, RuntimeError(f"{error} (of {answer})")))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started meanwhile use one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C, which their parent answers."""
    try:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    except AttributeError:  # not on Windows
        yield
        return
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
