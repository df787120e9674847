"""The quality of solvers: its laws are exact, its floor counts, its page is that of its run."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import Correlated, bimodal, noise

from sgmse.sdes import OUVE, SBVE

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
RESULTS = BENCHMARKS / "results"


@pytest.fixture(scope="module")
def made():
    """The script, and what it found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        script = importlib.import_module("solver_quality")
        yield script, json.loads((RESULTS / "solver-quality.json").read_text())


@pytest.mark.parametrize("sde", [OUVE(), SBVE()], ids=repr)
def test_the_laws_have_exact_estimates(made, sde):
    script, _ = made
    t = torch.tensor([0.4])
    law = script.LAWS["two modes"]
    y = torch.full((1, 50, 1), law.y, dtype=law.dtype)
    x = noise(1, 50, 1, dtype=law.dtype)
    ours, exact = script.Model(sde, law)(x, y, t), bimodal(sde)(x, y, t)
    torch.testing.assert_close(tuple(ours), tuple(exact), rtol=1e-4, atol=1e-5)
    for name in ("three modes", "three modes, real"):
        many = script.LAWS[name]
        one = type(many)(many.offsets[:1], many.covariances[:1], np.ones(1), many.is_complex)
        y = torch.full((1, 20, 2), one.y, dtype=one.dtype)
        x = noise(1, 20, 2, dtype=one.dtype)
        ours = script.Model(sde, one)(x, y, t)
        mean = one.tensor(one.offsets[0] + one.y / 2)
        of = Correlated(sde, one.tensor(one.covariances[0]), mean)
        exact = of(x[0], y[0], t.expand(20))
        torch.testing.assert_close(ours.x0[0], exact.x0, rtol=1e-4, atol=1e-5)


def test_the_distance_of_what_is_off_is_how_far(made):
    """The law moved by one deviation is one deviation off; by nothing, no more than the floor."""
    script, _ = made
    law = script.LAWS["heavy tails, real"]
    truth, sd = law.quantiles(2048)
    x = torch.from_numpy(truth.T.copy())[None]
    assert law.distance(x, 1)[0] < 1e-6
    assert law.distance(x + float(sd[0]), 1)[0] == pytest.approx(1, rel=1e-6)


def test_only_differences_beyond_chance_and_the_floor_count(made):
    script, _ = made
    rng = np.random.default_rng(0)
    floor, base = list(0.005 + 0.0005 * rng.random(10)), 0.05 + 0.01 * rng.random(10)
    near, far = list(base), list(base + 0.003 + 0.001 * rng.random(10))
    assert script.really(near, far, floor) == -1
    assert script.really(far, near, floor) == 1
    assert script.really(near, list(base + 0.01 * rng.standard_normal(10)), floor) == 0
    assert script.really([v / 20 for v in near], [v / 20 for v in far], floor) == 0


@pytest.mark.slow
def test_the_page_is_that_of_the_run(made):
    script, numbers = made
    assert script.page(numbers) == (RESULTS / "solver-quality.md").read_text("utf-8")


@pytest.mark.slow
def test_a_run_gives_the_committed_numbers_again(made):
    script, numbers = made
    sde = script.PROCESSES[1]
    again = script.measured((sde, script.solvers.Multistep(), 5))
    committed = numbers["runs"]["SBVE()"]["Multistep()"][0]
    assert again["grid"] == committed["grid"]
    for law, w1 in committed["w1"].items():
        assert again["w1"][law] == pytest.approx(w1, rel=1e-3, abs=1e-4)
