"""On a GPU, where there is one; and the script for one, in miniature on the CPU."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from conftest import SDES, SOLVERS, together

import sgmse
from sgmse.checkpoints import save
from sgmse.estimates import Data
from sgmse.live import Stream
from sgmse.model import ScoreModel
from sgmse.solvers import LAST_START, Exponential, Uniform, solve

REPOSITORY = Path(__file__).resolve().parent.parent
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@needs_gpu
@together(solver=SOLVERS, sde=SDES)
def test_solvers_give_on_a_gpu_what_they_give_on_the_cpu(solver, sde):
    start = 1.0 if solver.refusal(sde, 1.0) is None else LAST_START
    if why := solver.refusal(sde, start):
        pytest.skip(why)
    model = ScoreModel(tiny.Pointwise(), sde, Data())
    y = torch.randn(2, 1, 8, 6, dtype=torch.complex128)

    def sampled(device: str) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)

        def randn(like):
            return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)

        return solve(model, y.to(device), solver, Uniform(4, start=start), randn=randn).x.cpu()

    torch.testing.assert_close(sampled("cuda"), sampled("cpu"), rtol=1e-6, atol=1e-9)


@needs_gpu
@pytest.mark.parametrize("moved", [None, 0.5])
def test_recordings_are_enhanced_on_a_gpu_as_on_the_cpu(moved, tmp_path):
    """With noise that is drawn: the same numbers, whatever meets in a batch."""
    made = tiny.checkpoint()
    model = made.model if moved is None else tiny.regeneration(moved=moved)
    solver, grid = Exponential(eta=1.0), Uniform(3, end=0.0)
    made = tiny.with_sampler(tiny.replace(made, model=model), solver=solver, grid=grid, shifts=2)
    save(made, tmp_path / "tiny")
    audio = 0.1 * np.random.default_rng(0).standard_normal((5, 2, 9000)).astype(np.float32)
    results = [
        sgmse.load(tmp_path / "tiny", device=device, force=True)(audio, tiny.RATE, seed=3)
        for device in ("cpu", "cuda")
    ]
    largest = np.abs(results[0]).max()
    np.testing.assert_allclose(results[1], results[0], atol=1e-4 * largest)


@needs_gpu
@pytest.mark.parametrize("made", [tiny.enhancer, tiny.causal])
def test_streams_on_a_gpu_are_as_on_the_cpu(made):
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 3000)).astype(np.float32)
    plain = made()
    expected = Stream(plain, tiny.RATE).whole(audio)
    plain.model.to("cuda")
    largest = np.abs(expected).max()
    np.testing.assert_allclose(
        Stream(plain, tiny.RATE).whole(audio), expected, rtol=0, atol=1e-4 * largest
    )


@needs_gpu
def test_the_sampling_loop_waits_for_nothing_on_a_gpu():
    model = ScoreModel(tiny.Pointwise(), SDES[0], Data())
    y = torch.randn(2, 1, 8, 6, dtype=torch.complex64, device="cuda")
    solver = Exponential(eta=1.0)
    solve(model, y, solver, Uniform(4))  # what is kept on the device is sent once
    torch.cuda.set_sync_debug_mode("error")
    try:
        solve(model, y, solver, Uniform(4))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
def test_the_benchmark_for_a_gpu_runs_in_miniature(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    monkeypatch.setattr("sgmse.load", lambda device, precision: tiny.enhancer())
    script = importlib.import_module("gpu")
    options = ["gpu.py", "--device", "cpu", "--miniature", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", options)
    script.main()
    numbers = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["batch"] for row in numbers["rows"]] == [1, 1, 1, 2, 2, 2]
    off = {row["precision"]: row["difference"] for row in numbers["rows"]}
    assert off["float32"] < 1e-4 < off["bf16"] < 0.1  # the loop as published, and `solve`
    assert all(row["tflops"] > 0 and row["ratio"] > 0 for row in numbers["rows"])
    assert "| default model | times real time |" in (tmp_path / "gpu.md").read_text()
