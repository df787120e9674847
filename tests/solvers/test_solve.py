"""What holds for every solver on every process."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import GRIDS, OFTEN, SOLVERS_OFTEN, in_turn, together
from problems import Gaussian, Recorded, noise

from sgmse.sdes import OUVE, SBVE, SDE, VE
from sgmse.solvers import (
    Exponential,
    Grid,
    InterpolatingSDE,
    Langevin,
    LogSNR,
    MeanShifted,
    Multistep,
    PredictorCorrector,
    ProbabilityFlow,
    Restart,
    Singlestep,
    Solver,
    Trajectory,
    Uniform,
    solve,
)

MEAN, VARIANCE = 0.3 - 0.2j, 0.25


def suited(grid: Grid, solver: Solver, sde: SDE) -> Grid:
    """The grid, or where the solver cannot leave a point, one that starts beside it."""
    return replace(grid, start=0.99) if solver.refusal(sde, grid.start) else grid


def script(*draws: torch.Tensor):
    """A randn that gives the draws in their order, and then repeats them."""

    def endless() -> Iterator[torch.Tensor]:
        while True:
            yield from draws

    source = endless()
    return lambda like: next(source)


def draws(*shape: int, dtype: torch.dtype = torch.complex128) -> list[torch.Tensor]:
    return [noise(*shape, seed=100 + i, dtype=dtype) for i in range(7)]


@pytest.mark.parametrize("solver", SOLVERS_OFTEN, ids=repr)
@together(sde=OFTEN, dtype=[torch.complex64, torch.float32])
def test_real_and_complex_in_any_precision(sde, solver, dtype):
    """Float32 and float64 give the same, on a bridge from its very end."""
    mean = MEAN if dtype.is_complex else MEAN.real
    problem, grid = Gaussian(sde, mean, VARIANCE), suited(Uniform(4), solver, sde)
    y, z = noise(2, 3, seed=1, dtype=dtype), draws(2, 3, dtype=dtype)
    double = torch.promote_types(dtype, torch.float64)
    x, _, _ = solve(problem, y, solver, grid, randn=script(*z))
    exact, _, _ = solve(
        problem, y.to(double), solver, grid, randn=script(*(d.to(double) for d in z))
    )
    assert x.dtype == dtype
    assert exact.dtype == double
    assert x.shape == y.shape
    # Steps of predictor-corrector that are too long for VP (beta = 20) leave values of many units,
    # and on a flow, f = -100 at t = 0.99, they are differences of terms 50 times as large.
    scale = exact.abs().max().clamp(min=1)
    assert (x.to(double) - exact).abs().max() < 1e-4 * scale


@together(turn=in_turn([OUVE(), SBVE(), VE()], GRIDS))
def test_counts_every_evaluation(solver, turn):
    sde, grid = turn
    model = Recorded(Gaussian(sde, MEAN, VARIANCE))
    grid = suited(grid, solver, sde)
    solution = solve(model, noise(2, 3), solver, grid)
    assert solution.nfe == len(model.times)
    assert all(t.shape == (2,) for t in model.times)
    if isinstance(solver, ProbabilityFlow | InterpolatingSDE | MeanShifted | Singlestep | Restart):
        return  # evaluates between the times of the grid too; the tests of each know how often
    assert solution.nfe == grid.steps * solver.evaluations
    visited = set(grid.times(sde)[:-1].tolist())
    assert {float(t[0]) for t in model.times} == visited


def test_the_noise_decides(solver):
    for sde in (OUVE(), SBVE()):
        problem, y = Gaussian(sde, MEAN, VARIANCE), noise(2, 3, seed=1)
        grid = suited(Uniform(4), solver, sde)
        first, second, other = (
            solve(problem, y, solver, grid, randn=script(*z)).x
            for z in (draws(2, 3), draws(2, 3), draws(2, 3)[::-1])
        )
        assert torch.equal(first, second)
        deterministic = isinstance(solver, Exponential) and solver.eta == solver.start == 0
        assert torch.equal(first, other) == (deterministic and sde.pinned)
        torch.manual_seed(5)
        first = solve(problem, y, solver, grid).x
        torch.manual_seed(5)
        assert torch.equal(first, solve(problem, y, solver, grid).x)


def test_a_deterministic_solver_asks_for_no_noise(sde):
    def refuse(like):
        pytest.fail("noise was drawn")

    for solver in (Exponential(start=0.0), Multistep(start=0.0)):
        solve(Gaussian(sde), noise(1, 2), solver, Uniform(4), x=noise(1, 2, seed=1), randn=refuse)


@pytest.mark.parametrize("solver", SOLVERS_OFTEN, ids=repr)
@together(sde=OFTEN)
def test_an_item_does_not_see_the_others(sde, solver):
    problem, y, z = Gaussian(sde, MEAN, VARIANCE), noise(3, 2, 4, seed=1), draws(3, 2, 4)
    grid = suited(LogSNR(4), solver, sde)
    together = solve(problem, y, solver, grid, randn=script(*z)).x
    for i in (0, 2):
        mine = [draw[i : i + 1] for draw in z]
        alone = solve(problem, y[i : i + 1], solver, grid, randn=script(*mine)).x
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


def test_the_published_langevin_couples_the_items():
    problem, y, z = Gaussian(OUVE(), MEAN, VARIANCE), noise(2, 4, seed=1), draws(2, 4)
    y = y * torch.tensor([[1.0], [10.0]])
    solver = PredictorCorrector(corrector=Langevin(coupled=True))
    together = solve(problem, y, solver, Uniform(4), randn=script(*z)).x
    alone = solve(problem, y[:1], solver, Uniform(4), randn=script(*(d[:1] for d in z))).x
    assert (together[:1] - alone).abs().max() > 1e-3


def test_arguments_are_left_alone(solver):
    y, x = noise(2, 3, seed=1), noise(2, 3, seed=2)
    copies = y.clone(), x.clone()
    for sde in (OUVE(), SBVE()):
        grid = suited(Uniform(4), solver, sde)
        solve(Gaussian(sde), y, solver, grid, x=x)
        solve(Gaussian(sde), y, solver, grid)
    assert torch.equal(y, copies[0])
    assert torch.equal(x, copies[1])


@together(grid=GRIDS)
def test_callback_counts_the_steps(solver, grid):
    seen = []
    solve(Gaussian(OUVE()), noise(1, 2), solver, grid, callback=seen.append)
    assert [step[:2] for step in seen] == [(i + 1, grid.steps) for i in range(grid.steps)]


def test_callback_is_told_the_times_and_the_states():
    path, sparse, grid = Trajectory(), Trajectory(every=3), Uniform(5, end=0.1)
    y, x = noise(2, 3, seed=1), noise(2, 3, seed=2)
    for _ in range(2):  # a second run begins anew
        end = solve(Gaussian(OUVE()), y, Exponential(), grid, x=x, callback=path).x
    times = grid.times(OUVE()).tolist()
    assert path.times == times
    assert path.states().shape == (6, 2, 3)
    assert torch.equal(path.states()[0], x)
    assert torch.equal(path.states()[-1], end)
    for i, (t, s) in enumerate(pairwise(times)):  # each state is a step from the one before
        alone = Exponential().step(
            Gaussian(OUVE()), path.states()[i], y, *(torch.full((2,), u).double() for u in (t, s)),
            None, torch.randn_like,
        )[0]  # fmt: skip
        torch.testing.assert_close(alone, path.states()[i + 1])
    solve(Gaussian(OUVE()), y, Exponential(), grid, x=x, callback=sparse)
    assert sparse.times == [times[0], times[3], times[5]]
    with pytest.raises(ValueError, match="every must be at least 1, not 0"):
        Trajectory(every=0)


def test_starts_from_the_prior():
    y, z = noise(2, 3, seed=1), noise(2, 3, seed=2)
    nothing = PredictorCorrector(None, None)
    for start in (1.0, 0.6):
        for sde in (OUVE(), VE()):
            x, nfe, _ = solve(Gaussian(sde), y, nothing, Uniform(2, start), randn=lambda like: z)
            assert torch.equal(x, sde.prior(y, z, start))
            assert nfe == 0
    bridge = SBVE()
    x, _, _ = solve(Gaussian(bridge), y, nothing, Uniform(2, 0.6), randn=lambda like: z)
    assert torch.equal(x, bridge.prior(y, z, 0.6))
    given = noise(2, 3, seed=3)
    assert torch.equal(solve(Gaussian(OUVE()), y, nothing, Uniform(2), x=given).x, given)


def test_a_bridge_starts_at_the_observation():
    y = noise(1, 4, seed=1)
    model = Recorded(Gaussian(SBVE()))
    solve(model, y, Exponential(), Uniform(3))
    assert torch.equal(model.states[0], y)


def test_the_step_to_zero_gives_the_clean_estimate(sde):
    """Also for VE, which has some noise left at t = 0."""
    for solver in (Exponential(), Exponential(eta=1.0), Multistep()):
        model = Recorded(Gaussian(sde, MEAN, VARIANCE))
        x, _, _ = solve(model, noise(2, 3, seed=1), solver, Uniform(4))
        torch.testing.assert_close(x, model.estimates[-1].x0, rtol=1e-12, atol=1e-12)


def test_gradients_flow(solver):
    y = noise(1, 3, seed=1).requires_grad_()
    solve(Gaussian(OUVE()), y, solver, LogSNR(4)).x.abs().sum().backward()
    assert y.grad.isfinite().all()
    assert (y.grad != 0).all()
