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
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from sgmse.errors import ArgumentError, WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")

# What decides how many threads numerical libraries start; read when they are loaded.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def cores() -> int:
    """How many processes this one may keep busy."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def map_unordered(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[tuple[Item, Result], None, None]:
    """(item, function(item)) of each item, as they are done.

    Closing the iterator, or an exception at its consumer such as Ctrl-C, ends the workers at once.

    Args:
        function: can be pickled, as are items and results; what it raises is raised here.
        items: taken one by one, when a worker is free.
        workers: processes; 0 does the work here, in order. New interpreters are started (spawn),
            which import the main script: it must do its work below `if __name__ == "__main__"`.

    Raises:
        ArgumentError: the function cannot be pickled.
        WorkerError: a worker died, because the system killed it or could not start it.
    """
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
    pool: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, Item] = {}

    def feed(connection: Connection) -> None:
        for item in waiting:
            busy[connection] = item
            try:
                connection.send(item)
            except BrokenPipeError:
                raise _died(item) from None
            return

    try:
        for _ in range(workers):
            connection, process = _started(function)
            pool[connection] = process
            feed(connection)
            if connection not in busy:
                break
        while busy:
            for ready in wait(list(busy)):
                free = cast("Connection[Any, Any]", ready)
                item = busy.pop(free)
                try:
                    result, failure = free.recv()
                except (EOFError, ConnectionResetError):
                    raise _died(item) from None
                if failure is not None:
                    raise failure
                feed(free)  # before the result is used: no worker waits for the consumer
                yield item, result
    finally:
        for process in pool.values():
            process.kill()
        for process in pool.values():
            process.join()


def _died(item: object) -> WorkerError:
    return WorkerError(
        f"a worker process died over {item}; start fewer (-j) if memory ran out, and in a script "
        'work below if __name__ == "__main__": only'
    )


def _started(function: Callable[[Item], Result]) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, function), daemon=True)
    with _one_thread(), _undisturbed():
        process.start()
    there.close()  # so that its end is noticed when the worker dies
    return here, process


def _serve(connection: Connection, function: Callable[[Item], Result]) -> None:
    """Answer each item with (result, None) or (None, error), until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
