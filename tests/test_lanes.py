"""Pieces side by side: the results of one after the other, the threads of others untouched."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sgmse
from sgmse._lanes import Stopped, lanes
from sgmse._noise import Draws
from sgmse.solvers import Exponential, Sampler, Uniform
from tests.tiny import enhancer as tiny

RECORDING = Path(__file__).parent / "data" / "noisy.wav"


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("pieces", "count", "share"), [(1, 1, 4), (2, 2, 2), (3, 3, 1), (9, 4, 1)])
def test_the_cores_are_shared(four_threads, pieces, count, share):
    everyone = threading.Barrier(count)
    with lanes(pieces) as side_by_side:

        def piece(i):
            everyone.wait(30)  # so that nobody does two
            return threading.get_ident(), torch.get_num_threads()

        threads, shares = zip(*side_by_side.map(piece, range(count)), strict=True)
        assert torch.get_num_threads() == 4
    assert len(set(threads)) == count
    assert set(shares) == {share}
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]  # a thread that begins later


def test_results_come_in_order_and_little_is_done_ahead(four_threads):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    with lanes(4) as side_by_side:
        results = side_by_side.map(lambda i, j: i * j, items(), range(1000))
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert len(taken) <= 3 + 5
        assert list(results) == [i * i for i in range(3, 100)]


def test_a_failure_ends_what_is_under_way(four_threads):
    begun, ended = threading.Event(), []
    with lanes(2) as side_by_side:

        def piece(i):
            if i == 0:
                begun.wait(30)
                raise KeyError(i)
            begun.set()
            try:
                while True:
                    side_by_side.check()
            except Stopped:
                ended.append(i)

        results = side_by_side.map(piece, range(50))
        with pytest.raises(KeyError):
            next(results)
        assert not ended
    assert 1 in ended  # and perhaps what the idle thread had taken
    assert len(ended) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.2])  # one segment, three
@pytest.mark.parametrize("steps", [1, 3])
def test_a_result_does_not_depend_on_threads(four_threads, seconds, steps):
    """Not even where noise is drawn: it belongs to a segment and a place of the frames."""
    sampler = Sampler(Exponential(eta=1.0), Uniform(steps=steps, end=0.1), shifts=3)
    enhancer = replace(tiny(), sampler=sampler, segment=0.1, overlap=0.02)
    rate = enhancer.front.sample_rate
    audio = np.random.default_rng(0).normal(0, 0.1, (5, round(seconds * rate)))
    told = []
    out = enhancer(audio, rate, progress=told.append)
    assert sum(told) == pytest.approx(seconds)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(out, enhancer(audio, rate))


def test_places_have_noise_of_their_own():
    like = torch.zeros(1, 1, 8, 9, dtype=torch.complex64)
    keys = [(s, n, p) for s in (0, 1) for n in (0, 1) for p in (0, 1, 2)]
    draws = [Draws(*key) for key in keys]
    noises = [draw(like) for draw in draws for _ in range(3)]
    firsts = {noise[0, 0, 0, 0].item() for noise in noises}
    assert len(firsts) == len(keys) * 3


FIRST = """
import os, sys

class Loading:
    def find_spec(self, name, *rest):
        if name == "torch":
            print({name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")})
            sys.meta_path.remove(self)

sys.meta_path.insert(0, Loading())
from sgmse.cli.main import main
main(["enhance", sys.argv[1], "--model", ".", "-q"])
"""


@pytest.mark.parametrize("before", [None, "ACTIVE"])
def test_threads_wait_shortly_in_the_command_line(before, tmp_path):
    """Unless the user says otherwise, and before torch is loaded, which reads it then."""
    rest = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    rest |= {} if before is None else {"OMP_WAIT_POLICY": before}
    command = [sys.executable, "-c", FIRST, str(RECORDING)]
    where = str(Path(sgmse.__file__).parents[1])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=rest | {"PYTHONPATH": where},
        capture_output=True,
        text=True,
        check=False,  # there is no such model
    )
    spins = "3000" if before is None else None
    assert done.stdout.splitlines()[0] == str({"OMP_WAIT_POLICY": before, "GOMP_SPINCOUNT": spins})
