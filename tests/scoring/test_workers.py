"""Work in other processes: all of it, each result with its item, and an end when it is wanted."""

import math
import operator
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from sgmse.errors import WorkerError
from sgmse.scoring.workers import THREADS, cores, map_unordered

# What a worker imports is of the standard library, so that it starts quickly.


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_item_with_its_result(workers):
    items = [float(i) for i in range(20)]
    assert dict(map_unordered(math.sqrt, items, workers)) == {i: math.sqrt(i) for i in items}
    assert list(map_unordered(math.sqrt, [], workers)) == []


def test_workers_have_one_thread_and_leave_this_process_as_it_was(monkeypatch):
    monkeypatch.setenv(THREADS[0], "7")
    monkeypatch.delenv(THREADS[1], raising=False)
    found = dict(map_unordered(os.getenv, THREADS, 1))
    assert found == dict.fromkeys(THREADS, "1")
    assert os.environ[THREADS[0]] == "7"
    assert THREADS[1] not in os.environ


@pytest.mark.slow
def test_workers_work_at_the_same_time_and_in_other_processes():
    # The item stands for the globals.
    slow = partial(eval, "(__import__('time').sleep(0.3), __import__('os').getpid())[1]")
    pids = [pid for _, pid in map_unordered(slow, [{}, {}, {}, {}], 2)]
    assert len(pids) == 4
    assert len(set(pids)) == 2
    assert os.getpid() not in pids


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_come_back(workers):
    with pytest.raises(ValueError, match="math domain error"):
        list(map_unordered(math.sqrt, [4.0, -1.0], workers))


def test_a_worker_that_dies_is_named_with_its_item():
    with pytest.raises(WorkerError, match=r"a worker process died over 3 \(exit code 3\);"):
        list(map_unordered(os._exit, [3], 1))


def test_a_worker_that_dies_costs_its_item_and_another_goes_on():
    # The item stands for the globals.
    work = partial(eval, "__import__('os').kill(__import__('os').getpid(), end) if end else 0")
    items = [{"end": int(end)} for end in (0, signal.SIGSEGV, 0, 0, signal.SIGKILL, 0)]
    found = [
        (item["end"], result)
        for item, result in map_unordered(work, items, 2, died=lambda _, death: death)
    ]
    assert sorted(end for end, _ in found) == [0, 0, 0, 0, 9, 11]
    assert all(result == 0 for end, result in found if not end)
    deaths = {end: (str(death), death.by_system) for end, death in found if end}
    assert deaths == {9: ("SIGKILL", True), 11: ("SIGSEGV", False)}


def test_a_worker_that_cannot_start_is_no_item_that_failed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom sgmse.scoring.workers import map_unordered\n"
        "print(list(map_unordered(math.sqrt, [1.0], 1, died=lambda item, death: 0.0)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WorkerError: a worker process could not start (exit code 1);" in done.stderr
    assert "work below if __name__" in done.stderr


def test_what_a_worker_cannot_import_is_refused():
    with pytest.raises(ValueError, match="define it in a module, or set workers=0"):
        list(map_unordered(lambda item: item, [1], 1))


def test_closing_ends_the_workers_at_once():
    start = time.monotonic()
    outcomes = map_unordered(time.sleep, [0.0, 60.0, 60.0], 2)
    assert next(outcomes) == (0.0, None)
    outcomes.close()
    assert time.monotonic() - start < 20


def test_items_are_taken_when_a_worker_is_free():
    taken = []

    def items():
        for i in range(10):
            taken.append(i)
            yield i

    outcomes = map_unordered(operator.neg, items(), 1)
    assert next(outcomes) == (0, 0)
    assert len(taken) <= 3
    outcomes.close()


def test_numbers_of_workers():
    assert cores() >= 1
    with pytest.raises(ValueError, match="workers must be at least 0, not -1"):
        list(map_unordered(math.sqrt, [1.0], -1))
