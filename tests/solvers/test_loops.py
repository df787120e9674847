"""The loops of docs/loops.md are the solvers."""

from types import SimpleNamespace

import pytest
import torch
from conftest import together
from problems import Draws, bimodal, noise
from test_docs import DOCS, blocks

from sgmse.sdes import OUVE, SBVE, SDE, VP, StraightFlow
from sgmse.solvers import (
    AnnealedLangevin,
    DormandPrince,
    EulerMaruyama,
    Exponential,
    Heun,
    InterpolatingSDE,
    LogSNR,
    MeanShifted,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    RungeKutta4,
    Singlestep,
    Solver,
    Uniform,
    UniPC,
    solve,
)

session: dict = {}
for text in blocks(DOCS / "loops.md"):
    exec(compile(text, "loops.md", "exec"), session)
LOOPS = SimpleNamespace(**session)

PAIRS = [
    (LOOPS.exponential, {"eta": 0.0}, Exponential()),
    (LOOPS.exponential, {"eta": 0.6}, Exponential(eta=0.6)),
    (LOOPS.exponential, {"eta": 1.0}, Exponential(eta=1.0)),
    (LOOPS.multistep, {}, Multistep()),
    (LOOPS.unipc, {}, UniPC()),
    (LOOPS.singlestep, {"ratio": 0.4}, Singlestep(ratio=0.4)),
    (LOOPS.heun, {}, Heun()),
    (LOOPS.runge_kutta, {}, RungeKutta4()),
    (LOOPS.euler_maruyama, {"eta": 1.0}, EulerMaruyama()),
    (LOOPS.euler_maruyama, {"eta": 0.5}, EulerMaruyama(eta=0.5)),
    (
        LOOPS.predictor_corrector,
        {"snr": 0.3},
        PredictorCorrector(ReverseDiffusion(), AnnealedLangevin(0.3)),
    ),
    (LOOPS.interpolating, {"kappa": 0.3}, InterpolatingSDE(kappa=0.3)),
]
PROCESSES = [OUVE(), SBVE(), VP(beta_max=5.0), StraightFlow(sigma_min=0.05)]


def named(value: object) -> str:
    """A function by its name: the rest of what is written of it differs between processes."""
    return value.__name__ if callable(value) and not isinstance(value, Solver) else repr(value)[:60]


@together(sde=PROCESSES, grid=[Uniform(5, 0.9), LogSNR(6, 0.9, finish=False)])
@pytest.mark.parametrize(("loop", "settings", "solver"), PAIRS, ids=named)
def test_a_loop_is_its_solver(loop, settings, solver, grid, sde: SDE):
    model, x, y = bimodal(sde), noise(2, 3), noise(2, 3, seed=1)
    if "randn" in loop.__code__.co_varnames:
        settings = settings | {"randn": Draws()}
    theirs = loop(model, sde, x, y, grid.times(sde), **settings)
    ours = solve(model, y, solver, grid, x=x, randn=Draws()).x
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_the_loop_from_the_end_of_a_bridge():
    sde, y, grid = SBVE(), noise(2, 3), Uniform(5)
    theirs = LOOPS.exponential(bimodal(sde), sde, y, y, grid.times(sde), eta=0.5, randn=Draws())
    ours = solve(bimodal(sde), y, Exponential(eta=0.5), grid, randn=Draws()).x
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("sde", PROCESSES, ids=repr)
@pytest.mark.parametrize("first", [0.01, 0.4])
def test_the_adaptive_loop(sde, first):
    model, x, y = bimodal(sde), noise(1, 3), noise(1, 3, seed=1)
    grid = Uniform(1, 0.9, 0.1, finish=False)
    start, end = grid.times(sde)
    h = torch.tensor(first, dtype=torch.float64)
    theirs = LOOPS.dormand_prince(model, sde, x, y, start, end, 1e-4, 1e-5, h)
    ours = solve(model, y, DormandPrince(1e-4, 1e-5, first), grid, x=x)
    assert ours.memory.accepted > 1
    torch.testing.assert_close(ours.x, theirs, rtol=1e-11, atol=1e-11)


def test_the_moved_start():
    sde, x, y, grid = OUVE(), noise(2, 3), noise(2, 3, seed=1), Uniform(4)
    moved = LOOPS.mean_shift(bimodal(sde), sde, x, y, grid.times(sde)[0])
    theirs = solve(bimodal(sde), y, Multistep(), grid, x=moved).x
    ours = solve(bimodal(sde), y, MeanShifted(), grid, x=x).x
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
