"""Recordings that are enhanced at once, on the CPU by force: as one by one, in batches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from recordings import save

from sgmse import checkpoints
from sgmse._pieces import Drawing
from sgmse.audio import read
from sgmse.bench import Model, NoisySet, Suite, run_suite
from sgmse.bench._together import Together
from sgmse.enhancer import Enhancer
from sgmse.solvers import Exponential, Sampler, Uniform

LENGTHS = (4000, 4000, 4000, 5200, 4000, 9001)


def recordings() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(n).astype(np.float32) for n in LENGTHS]


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    """Three steps that draw noise, two places of the frames, pieces of a quarter of a second."""
    sampler = Sampler(Exponential(eta=1.0, start=1.0), Uniform(steps=3, end=0.0), shifts=2)
    whole = Enhancer.of(tiny.checkpoint())
    return replace(whole, sampler=sampler, segment=0.25, overlap=0.05, force=True)


@pytest.mark.slow
def test_results_are_those_of_one_by_one_in_batches(enhancer):
    together = Together.like(enhancer, 8)
    audio = recordings()
    made = together.map(lambda samples: together(samples, tiny.RATE, seed=3), audio)
    for samples, result in zip(audio, made, strict=True):
        np.testing.assert_allclose(result, enhancer(samples, tiny.RATE, seed=3), atol=1e-4)
    assert max(together.own.counts) > 1
    assert np.abs(made[0] - made[1]).max() > 1e-3


@pytest.mark.slow
def test_frames_of_a_refiner_that_lie_elsewhere_meet_too(enhancer):
    own = replace(enhancer, model=tiny.regeneration(moved=0.5)).with_sampler(steps=1, shifts=1)
    together = Together.like(own, 8)
    audio = [samples[:4000] for samples in recordings()[:4]]
    made = together.map(lambda samples: together(samples, tiny.RATE, seed=3), audio)
    for samples, result in zip(audio, made, strict=True):
        np.testing.assert_allclose(result, own(samples, tiny.RATE, seed=3), atol=1e-4)
    assert max(together.own.counts) > 1


@pytest.mark.slow
def test_a_batch_has_no_more_than_is_said_and_halves_where_memory_ends(enhancer, monkeypatch):
    together = Together.like(enhancer, 3)
    draw = Drawing.draw

    def small(self, pieces):
        if len(pieces) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return draw(self, pieces)

    monkeypatch.setattr(Drawing, "draw", small)
    made = together.map(lambda samples: together(samples, tiny.RATE), recordings())
    assert len(made) == len(LENGTHS)
    assert set(together.own.counts) == {1}


def test_what_fails_fails_alone(enhancer):
    together = Together.like(enhancer, 8)

    def work(samples: np.ndarray) -> object:
        try:
            return together(samples, tiny.RATE)
        except ValueError as error:
            return error

    bad = np.full(4000, np.nan, np.float32)
    made = together.map(work, [*recordings()[:2], bad])
    assert isinstance(made[2], ValueError)
    assert all(isinstance(result, np.ndarray) for result in made[:2])


@pytest.mark.slow
def test_a_suite_of_a_model_that_takes_many(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints.save(tiny.checkpoint(), "tiny")
    for i, samples in enumerate(recordings()):
        save(f"clean/{i}.wav", samples[None])
        save(f"noisy/{i}.wav", samples[None] * 0.9)
    Path("noisy/5.wav").write_bytes(b"no sound")
    alone = Model("tiny", force=True, device="cpu")
    systems = {"alone": alone, "together": replace(alone, together=4)}
    suite = Suite({"set": NoisySet(Path("clean"), Path("noisy"))}, systems, measures=("si-sdr",))
    seen: list[tuple[str, int, int]] = []
    progress: Callable[[str, int, int], None] = lambda *told: seen.append(told)  # noqa: E731
    results = run_suite(suite, "out", progress=progress)
    for i in range(5):
        one, other = (read(f"out/set/{name}/unseeded/{i}.wav")[0] for name in ("alone", "together"))
        np.testing.assert_allclose(one, other, atol=1e-4)
    runs = {(run.system, run.name): run for run in results.runs}
    assert {run.at_once for run in results.runs if run.system == "alone"} == {1}
    assert {runs["together", str(i)].at_once for i in range(4)} <= {1, 2, 3, 4}
    assert max(run.at_once for run in results.runs) > 1
    assert "together: its share of the time of a batch, up to" in results.summary()
    problems = [runs[system, "5"].problem for system in systems]
    assert problems[0] == problems[1]
    assert problems[0].startswith("not enhanced: ")
    enhanced = [done for stage, done, total in seen if stage == "enhancing"]
    assert enhanced == list(range(13))
    assert run_suite(suite, "out").enhanced == 2  # those that failed are tried again


def test_a_gpu_takes_many_and_a_device_is_for_systems_that_have_none():
    assert Model(device="cpu").at_once == 1
    assert Model().on("cpu") == Model(device="cpu")
    assert Model(device="cpu").on("cuda") == Model(device="cpu")
    with pytest.raises(ValueError, match="together must be at least 1"):
        Model(together=0)
