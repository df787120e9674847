"""Pieces in batches, on the CPU by force: each as alone, whatever it meets."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
import tiny
import torch
from conftest import together

from sgmse._batches import Batches, Kind, Task
from sgmse._noise import Draws, ManyDraws
from sgmse.bench._together import Together
from sgmse.enhancer import Enhancer
from sgmse.errors import DeviceError
from sgmse.front import FrontEnd
from sgmse.inference import Guided, best_of, ensemble, steer
from sgmse.solvers import (
    AnnealedLangevin,
    DormandPrince,
    Exponential,
    Langevin,
    Multistep,
    PredictorCorrector,
    Restart,
    Sampler,
    Uniform,
)
from sgmse.transforms import Spectrogram

ALIKE = Kind("one model", "one length")
RATE = tiny.RATE


@dataclass(eq=False)
class Gathering(Batches):
    """Waits before each batch, so that what is handed in meets: for so many before the first."""

    least: int = 0

    def _taken(self):
        before, end = -1, time.monotonic() + 60
        while before != (before := len(self.waiting)) or before < self.least:
            time.sleep(0.02)
            if time.monotonic() > end:
                break
        self.least = 0
        return super()._taken()


def tasks(items, run, kind=ALIKE, size=10):
    return [Task(item, kind, size, run) for item in items]


def twice(items):
    return [2 * item for item in items]


def results(futures):
    return [future.result(10) for future in futures]


def test_what_is_alike_is_a_batch_and_results_are_in_order():
    batches = Gathering(most=4)
    other = Kind("one model", "another length")
    mixed = [Task(i, other if i in (1, 2) else ALIKE, 10, twice) for i in range(8)]
    assert results(batches.submit(mixed)) == [2 * i for i in range(8)]
    assert batches.counts == {4: 1, 2: 2}  # 0 3 4 5, then 1 2, which waited longest, then 6 7
    assert results(batches.submit([])) == []


def test_the_bound_is_halved_where_memory_ends_and_kept():
    batches, seen = Gathering(), []

    def run(items):
        seen.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return twice(items)

    assert results(batches.submit(tasks(range(8), run))) == [2 * i for i in range(8)]
    assert seen == [8, 4, 2, 2, 2, 2]
    assert batches.bounds == {"one model": 20}
    long = Kind("one model", "a length of 20")
    results(batches.submit(tasks(range(2), run, long, size=20)))
    assert seen[-2:] == [1, 1]
    results(batches.submit(tasks(range(3), run, Kind("another", 0))))
    assert seen[-1] == 3


def test_what_fails_fails_alone_and_all_fail_where_nothing_says_which():
    batches = Gathering()

    def run(items):
        return [ValueError(i) if i == 1 else i for i in items]

    first, second, third = batches.submit(tasks(range(3), run))
    assert (first.result(10), third.result(10)) == (0, 2)
    with pytest.raises(ValueError, match="1"):
        second.result(10)

    def full(items):
        raise MemoryError

    for future in batches.submit(tasks(range(2), full)):
        with pytest.raises(MemoryError):
            future.result(10)
    assert results(batches.submit(tasks(range(2), twice))) == [0, 2]  # and it goes on
    time.sleep(0.2)
    assert "sgmse-batches" not in {thread.name for thread in threading.enumerate()}


def test_each_item_of_a_batch_has_the_noise_it_has_alone():
    like = torch.zeros(4, 1, 6, 9, dtype=torch.complex64)
    keys = [(0, 0, 0), (0, 1, 0), (0, 0, 0), (5, 0, 1)]
    many, alone = ManyDraws([Draws(*key) for key in keys]), [Draws(*key) for key in keys]
    for _ in range(3):
        expected = torch.cat([one(like[:1]) for one in alone])
        assert torch.equal(many(like), expected)
    assert len({one.count for one in many.kinds}) == 1


FRONTS = (tiny.FRONT, FrontEnd(Spectrogram(62, 16), RATE, padding="reflect", multiple=8))
SAMPLERS = {
    "one step": Sampler(Exponential(start=0.0), Uniform(1, end=0.0)),
    "shifts": Sampler(Exponential(start=0.0), Uniform(1, end=0.0), shifts=3),
    "noise": Sampler(Exponential(eta=1.0), Uniform(3, end=0.0), shifts=2),
    "memory": Sampler(Multistep(eta=0.5), Uniform(3)),
    "corrector": Sampler(PredictorCorrector(corrector=AnnealedLangevin(0.3)), Uniform(2, 0.9)),
    "coupled": Sampler(PredictorCorrector(corrector=Langevin(0.3, coupled=True)), Uniform(2, 0.9)),
    "restart": Sampler(Restart(), Uniform(4)),
    "adaptive": Sampler(DormandPrince(rtol=1e-3, atol=1e-3), Uniform(2, 0.9, 0.1)),
}
MODELS = {
    "slim": lambda: tiny.checkpoint().model,
    "regeneration": tiny.regeneration,
    "post": lambda: tiny.regeneration("post"),
    "moved": lambda: tiny.regeneration(moved=0.5),
}


def test_solvers_say_whose_items_depend_on_each_other():
    apart = {name: sampler.solver.apart for name, sampler in SAMPLERS.items()}
    assert apart == {name: name != "coupled" for name in SAMPLERS}


def recordings():
    """Mono and stereo, silent on one side, of lengths that share frames and that do not."""
    rng = np.random.default_rng(0)
    shapes = [(400,), (400,), (404,), (2, 600), (2, 1901), (434,)]
    made = [0.1 * rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    made[3][1] = 0
    return made


KINDS = [
    ("slim", "shifts"),
    ("moved", "noise"),
    *(
        pytest.param((model, sampler), marks=pytest.mark.slow)
        for model, sampler in [
            ("slim", "one step"),
            ("slim", "coupled"),
            ("slim", "noise"),
            ("slim", "memory"),
            ("slim", "corrector"),
            ("slim", "restart"),
            ("slim", "adaptive"),
            ("regeneration", "noise"),
            ("post", "noise"),
            ("moved", "one step"),
        ]
    ),
]


@pytest.mark.slow
@together(kind=KINDS)
def test_in_batches_as_one_by_one(kind):
    """Cut into pieces of 50 ms: the longest recording has several."""
    model, sampler = kind
    plain = Enhancer(
        MODELS[model](), FRONTS[len(sampler) % 2], SAMPLERS[sampler], 0.05, 0.01, force=True
    )
    batched = replace(Together.like(plain, 8), own=Gathering(8))
    audio = recordings()
    with ThreadPoolExecutor(len(audio)) as pool:
        made = list(pool.map(lambda samples: batched(samples, RATE, seed=3), audio))
    for samples, result in zip(audio, made, strict=True):
        expected = plain(samples, RATE, seed=3)
        np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())
    assert (max(batched.own.counts) > 1) == (sampler != "coupled")


def test_recordings_of_an_array_and_a_file_meet_too(tmp_path):
    plain = tiny.enhancer()
    batched = replace(Together.like(plain, 8), own=Gathering(8, least=6))
    audio = np.random.default_rng(1).standard_normal((3, 2, 900)).astype(np.float32) * 0.1
    expected, done = plain(audio, RATE), []
    result = batched(audio, RATE, progress=done.append)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert batched.own.counts == {6: 1}
    assert sum(done) == pytest.approx(3 * 900 / RATE)


def test_an_exception_in_progress_ends_its_recording_alone():
    batched = replace(Together.like(tiny.enhancer(), 8), own=Gathering(8, least=2))
    audio = np.random.default_rng(1).standard_normal(900).astype(np.float32) * 0.1

    def stop(seconds):
        raise KeyError(seconds)

    def work(progress):
        try:
            return batched(audio, RATE, progress=progress)
        except KeyError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        fine, ended = pool.map(work, [None, stop])
    assert batched.own.counts == {2: 1}
    np.testing.assert_allclose(fine, tiny.enhancer()(audio, RATE), atol=1e-5)
    assert isinstance(ended, KeyError)


def test_memory_that_does_not_suffice_for_one_is_an_error_for_users(monkeypatch):
    batched = replace(Together.like(tiny.enhancer(), 8), own=Gathering(8))

    def full(self, x, y, t):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(type(batched.model.network), "forward", full)
    with pytest.raises(DeviceError, match=r"out of memory.*; enhance fewer"):
        batched(np.ones((2, 900), np.float32), RATE)


def test_samples_of_a_regeneration_are_drawn_in_any_batches():
    """Its state holds the batch that it has observed, of which `ensemble` asks for parts."""
    regeneration = tiny.regeneration().requires_grad_(False)
    y = torch.randn(2, 1, 32, 4, dtype=torch.complex64) * 0.2
    seeing, anchor = regeneration.observe(y)
    weak, _ = tiny.regeneration("post").requires_grad_(False).observe(y)
    seeing = Guided(seeing, weak, 1.5)
    solver, grid = Exponential(eta=1.0), Uniform(2)
    one, many = (ensemble(seeing, anchor, solver, grid, 2, batch=n) for n in (1, 16))
    torch.testing.assert_close(one.mean, many.mean, rtol=1e-4, atol=1e-5)

    def reward(x0, y):
        return -x0.abs().mean(dim=(1, 2, 3))

    one, many = (best_of(seeing, anchor, solver, grid, 2, reward, batch=n) for n in (1, 16))
    torch.testing.assert_close(one.x, many.x, rtol=1e-4, atol=1e-5)
    assert steer(seeing, anchor, solver, grid, 2, reward).x.shape == (2, *anchor.shape)


def test_bfloat16_is_near_and_leaves_the_frames_of_a_refiner_exact():
    """The transform that moves the frames, and the sampler, stay in float32."""
    sampler = Sampler(Exponential(start=0.0), Uniform(2))
    plain = Enhancer(tiny.regeneration(moved=0.5), tiny.FRONT, sampler, force=True)
    audio = recordings()[0]
    exact, half = (replace(plain, precision=p)(audio, RATE) for p in ("float32", "bf16"))
    assert half.dtype == np.float32
    off = np.abs(exact - half).max() / np.abs(exact).max()
    assert 1e-5 < off < 0.05
    with pytest.raises(ValueError, match=r"precision must be 'float32', .* not 'fp8'"):
        replace(plain, precision="fp8")
