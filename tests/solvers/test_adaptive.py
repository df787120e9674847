"""The tolerance decides: orders, errors, and what is counted and refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import OFTEN, first_often
from parity_models import sampler_network
from problems import Formula, Gaussian, Recorded, bimodal, noise, slope, times, vectors
from proofs import VARIANCES
from scipy.integrate import solve_ivp
from torch.utils._python_dispatch import TorchDispatchMode

from sgmse.estimates import Estimate, Score
from sgmse.model import ScoreModel
from sgmse.sdes import (
    BBED,
    OUVE,
    SBVE,
    VE,
    VP,
    BrownianBridge,
    CosineVP,
    FlowMatching,
    StraightFlow,
)
from sgmse.solvers import DormandPrince, EulerMaruyama, LogSNR, StepControl, Uniform, solve
from sgmse.solvers._adaptive import DORMAND_PRINCE, ERROR
from sgmse.solvers._runge_kutta import advance, velocity

MEAN = 0.5 - 0.3j
# From one time to another, all that is between them is the solver's.
SPAN = Uniform(1, 0.9, 0.1, finish=False)


def missed(problem, solver, grid=SPAN) -> float:
    """The largest distance to the exact flow."""
    x, y = noise(1, 16), 0.7 * noise(1, 16, seed=1)
    exact = problem.flow(x, y, times(grid.start), times(grid.end))
    return float((solve(problem, y, solver, grid, x=x).x - exact).abs().max())


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_order(sde):
    """Equal steps, without control; on some processes the error falls faster for long."""
    problem, steps = Gaussian(sde, MEAN, VARIANCES), (24, 48)
    start, y = noise(1, 16), 0.7 * noise(1, 16, seed=1)
    exact = problem.flow(start, y, times(0.9), times(0.1))
    errors = []
    for n in steps:
        x = start
        for t, s in pairwise(torch.linspace(0.9, 0.1, n + 1, dtype=torch.float64)[:, None]):
            x, _ = advance(problem, x, y, t, s, DORMAND_PRINCE)
        errors.append(float((x - exact).abs().max()))
    assert slope(steps, errors) > DormandPrince.order - 0.3
    assert errors[1] < 1e-7


def conditions(A: np.ndarray, w: np.ndarray) -> list[list[float]]:
    """What the 17 order conditions of orders 1 to 5 miss (Hairer, Norsett, Wanner 1993, II.2)."""
    c = A.sum(axis=1)
    products = [
        [(np.ones_like(c), 1)],
        [(c, 2)],
        [(c**2, 3), (A @ c, 6)],
        [(c**3, 4), (c * (A @ c), 8), (A @ c**2, 12), (A @ A @ c, 24)],
        [
            *((c**4, 5), (c**2 * (A @ c), 10), ((A @ c) ** 2, 20), (c * (A @ c**2), 15)),
            *((A @ c**3, 20), (c * (A @ A @ c), 30), (A @ (c * (A @ c)), 40)),
            *((A @ A @ c**2, 60), (A @ A @ A @ c, 120)),
        ],
    ]
    return [[abs(w @ v - 1 / density) for v, density in order] for order in products]


def test_order_conditions():
    """The solution has order 5, and the other one, that its error is taken from, 4 and no more."""
    weights = [*DORMAND_PRINCE.weights, 0.0]
    A = np.zeros((7, 7))
    for i, row in enumerate([*DORMAND_PRINCE.rows, DORMAND_PRINCE.weights]):
        A[i, : len(row)] = row
    np.testing.assert_allclose(A.sum(axis=1), [*DORMAND_PRINCE.nodes, 1], atol=1e-15)
    missed = conditions(A, np.array(weights))
    assert max(map(max, missed)) < 1e-15
    missed = conditions(A, np.array(weights) - np.array(ERROR))
    assert max(map(max, missed[:4])) < 1e-15
    assert max(missed[4]) > 1e-4


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_the_error_follows_the_tolerance(sde):
    problem, tolerances = Gaussian(sde, MEAN, VARIANCES), (1e-4, 1e-6, 1e-8)
    errors = [missed(problem, DormandPrince(tol, tol)) for tol in tolerances]
    # The largest of 16 elements after ten or more steps, where the tolerance is of a mean and of
    # one: some times as much, or less where the errors cancel or a step is cut short.
    for error, tolerance in zip(errors, tolerances, strict=True):
        assert tolerance / 100 < error < 15 * tolerance
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


@pytest.mark.parametrize(
    ("sde", "tolerance"),
    first_often(
        2, [(OUVE(), 1e-3), (SBVE(), 1e-4), (OUVE(), 1e-6), (VP(), 1e-6), (StraightFlow(), 1e-5)]
    ),
)
def test_one_item_takes_the_steps_of_scipy(sde, tolerance):
    """On a mixture, which is not linear in x: RK45 is the same method with the same control."""
    problem, y, calls = bimodal(sde), 0.7 * noise(1, 5, seed=1), 0

    def flow(t, x):
        nonlocal calls
        calls += 1
        return velocity(problem, torch.from_numpy(x)[None], y, times(t))[0].numpy()

    x = sde.prior(y, noise(1, 5), 0.9)
    theirs = solve_ivp(flow, (0.9, 0.1), x[0].numpy(), "RK45", rtol=tolerance, atol=tolerance)
    ours = solve(problem, y, DormandPrince(tolerance, tolerance), SPAN, x=x)
    assert ours.nfe == theirs.nfev == calls
    assert int(ours.memory.accepted) == len(theirs.t) - 1
    np.testing.assert_allclose(ours.x[0].numpy(), theirs.y[:, -1], rtol=1e-12, atol=1e-12)
    exact = solve_ivp(flow, (0.9, 0.1), x[0].numpy(), "DOP853", rtol=1e-11, atol=1e-11).y[:, -1]
    assert np.abs(ours.x[0].numpy() - exact).max() < 30 * tolerance


def items(*rows: int) -> tuple[Gaussian, torch.Tensor, torch.Tensor]:
    """Four items of which each is stiffer than the one before; the given ones of them."""
    variance = torch.tensor([1.0, 1e-2, 1e-4, 1e-6], dtype=torch.float64)[:, None]
    x, y = noise(4, 8), noise(4, 8, seed=1)
    rows = list(rows)
    return Gaussian(VE(1e-3, 1.0), MEAN, variance[rows]), x[rows], y[rows]


def test_each_item_has_its_own_steps():
    solver, grid = DormandPrince(1e-6, 1e-8), Uniform(3, 1.0, 0.01)
    problem, x, y = items(0, 1, 2, 3)
    together, _, control = solve(problem, y, solver, grid, x=x)
    tried = control.accepted + control.rejected
    assert tried[3] > 1.5 * tried[0]
    for i in range(4):
        problem, x, y = items(i)
        alone, _, mine = solve(problem, y, solver, grid, x=x)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-13, atol=1e-13)
        assert control.accepted[i] == mine.accepted
        assert control.rejected[i] == mine.rejected
        torch.testing.assert_close(control.stepsize[i : i + 1], mine.stepsize)
        torch.testing.assert_close(control.velocity[i : i + 1], mine.velocity)


def test_the_model_is_not_called_in_vain():
    """Six times a step of the slowest item, and once for the start and for its first step."""
    problem, x, y = items(0, 1, 2, 3)
    for solver, opening in ((DormandPrince(1e-6, 1e-8), 2), (DormandPrince(first_step=0.01), 1)):
        solution = solve(problem, y, solver, Uniform(1, 1.0, 0.01, finish=False), x=x)
        tried = solution.memory.accepted + solution.memory.rejected
        assert solution.nfe == 6 * int(tried.max()) + opening


def test_what_is_counted():
    problem, x, y = items(0, 1, 2, 3)
    model = Recorded(problem)
    solution = solve(model, y, DormandPrince(1e-6, 1e-8), LogSNR(4), x=x)
    control = solution.memory
    assert isinstance(control, StepControl)
    assert solution.nfe == len(model.times)
    assert (control.rejected > 0).any()
    assert (control.accepted >= 3).all()
    assert control.accepted.dtype == control.rejected.dtype == torch.int64
    assert (control.smallest > 0).all()
    assert (control.smallest <= control.largest).all()
    length = 1 - 0.03
    assert (control.accepted * control.smallest <= length).all()
    assert (control.accepted * control.largest >= length).all()
    assert all(((t >= 0.03) & (t <= 1)).all() for t in model.times)


def test_the_step_size_goes_on():
    """Across the times of the grid, without a new start; the last evaluation is the first again."""
    problem, y = Gaussian(OUVE(), MEAN, 0.3), noise(2, 8, seed=1)
    solver, steps = DormandPrince(1e-2, 1e-2), 20
    solution = solve(problem, y, solver, Uniform(steps, finish=False))
    # Intervals that short are a step each, and do not shorten the steps that it would take.
    assert solution.nfe == 2 + 6 * steps
    assert (solution.memory.accepted == steps).all()
    assert (solution.memory.stepsize > 3 / steps).all()


def test_the_last_step_gives_the_clean_estimate():
    model = Recorded(bimodal(OUVE()))
    y = noise(2, 3, seed=1)
    for grid in (Uniform(2), LogSNR(4), Uniform(3, end=0.0), Uniform(1)):
        x, nfe, _ = solve(model, y, DormandPrince(), grid)
        estimate = model.estimates[-1]
        assert (model.times[-1] == grid.times(OUVE())[-2]).all()
        torch.testing.assert_close(x, estimate.x0, rtol=1e-12, atol=1e-12)
        assert nfe == 1 if grid.steps == 1 else nfe > 6
    # The memory of the steps before it stays.
    x, _, control = solve(model, y, DormandPrince(), Uniform(2))
    assert (control.accepted > 1).all()


class Looks(TorchDispatchMode):
    """Counts how often a number is read from a tensor."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_it_looks_at_the_device_less_often_than_it_steps():
    problem, x, y = Gaussian(OUVE(), MEAN, 1e-3), noise(2, 3), noise(2, 3, seed=1)
    solver = DormandPrince(1e-8, 1e-8)
    t, s = times(1.0, 1.0), times(0.01, 0.01)
    with Looks() as looks:
        _, control = solver.step(problem, x, y, t, s, None, torch.randn_like)
    tried = int((control.accepted + control.rejected).max())
    assert tried > 20
    assert looks.count < tried / 2


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float32])
@pytest.mark.parametrize("sde", [OUVE(), SBVE(), VP(), StraightFlow()], ids=repr)
def test_tolerances_finer_than_the_precision(sde, dtype):
    """What float32 can do, and an end."""
    mean = MEAN if dtype.is_complex else MEAN.real
    problem = Gaussian(sde, mean, 0.3)
    x, y = noise(1, 8, dtype=dtype), noise(1, 8, seed=1, dtype=dtype)
    exact = problem.flow(x, y, times(0.9), times(0.1))
    solution = solve(problem, y, DormandPrince(1e-14, 1e-14), SPAN, x=x)
    assert solution.x.dtype == dtype
    # Tens of roundings, of numbers of one or two units.
    assert (solution.x - exact).abs().max() < 1e-5
    assert solution.nfe < 150


def test_too_few_steps_allowed():
    problem, x, y = items(3)
    with pytest.raises(RuntimeError, match=r"rtol=1e-09.* in 5 steps; raise rtol .* limit"):
        solve(problem, y, DormandPrince(1e-9, 1e-9, limit=5), SPAN, x=x)
    steps = int(solve(problem, y, DormandPrince(1e-5), SPAN, x=x).memory[:2][0])
    assert solve(problem, y, DormandPrince(1e-5, limit=2 * steps), SPAN, x=x).x.isfinite().all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("late", [True, False])
def test_estimates_that_are_not_finite(bad, late):
    """Of one item, from the start or from some time on."""
    problem, calls = Gaussian(OUVE()), 0

    def estimate(x, y, t):
        nonlocal calls
        calls += 1
        x0, z = problem(x, y, t)
        broken = torch.tensor([[False], [True]]) & ((t < 0.5) | (not late))[:, None]
        return Estimate(torch.where(broken, bad, x0), z)

    model = Formula(problem.sde, estimate)
    with pytest.raises(RuntimeError, match=r"stands still.* not finite, or jump; raise rtol"):
        solve(model, noise(2, 3), DormandPrince(), SPAN)
    # Steps of a fifth of the length before, down to the spacing of numbers: about 22 tries of 6,
    # and about thrice as many where broken estimates begin, to get near to it.
    assert calls < 800


@pytest.mark.parametrize("sde", [SBVE(), BBED(), BrownianBridge()], ids=repr)
def test_it_cannot_leave_the_end_of_a_bridge(sde):
    with pytest.raises(ValueError, match=r"needs the probability flow .*start=0.999"):
        solve(Gaussian(sde), noise(1, 2), DormandPrince(), Uniform(2))
    x, _, _ = solve(Gaussian(sde), noise(1, 2), DormandPrince(), Uniform(2, start=0.999))
    assert x.isfinite().all()


@pytest.mark.parametrize("sde", [FlowMatching(), StraightFlow(), CosineVP()], ids=repr)
def test_a_flow_starts_from_noise(sde):
    problem, x, y = Gaussian(sde, MEAN, 0.3), noise(1, 8), noise(1, 8, seed=1)
    grid = replace(SPAN, start=1.0)
    exact = problem.flow(x, y, times(1.0), times(0.1))
    assert sde.forgets
    got = solve(problem, y, DormandPrince(1e-8, 1e-8), grid, x=x).x
    torch.testing.assert_close(got, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rtol": 0.0}, "DormandPrince: rtol must be positive, not 0"),
        ({"atol": -1.0}, "DormandPrince: atol must be positive, not -1"),
        ({"first_step": 0.0}, "DormandPrince: first_step must be positive, not 0"),
        ({"limit": 0}, "DormandPrince: limit must be at least 1, not 0"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DormandPrince(**arguments)


def published(parity, name: str, solver: DormandPrince | None = None):
    """Settings, our solution and theirs; at their tolerance unless another solver is given."""
    config, v = vectors(parity / f"{name}.npz")
    sde, draws = OUVE(**config["sde_params"]), iter(v["noise"])
    if "net_kwargs" in config:
        model = ScoreModel(sampler_network(parity, config), sde, Score(sign=-1))
    else:
        model = Gaussian(sde, v["m"], v["s2"])
    solver = solver or DormandPrince(config["rtol"], config["atol"])
    grid = Uniform(1, 1.0, config["eps"], finish=False)
    with torch.no_grad():
        solution = solve(model, v["y"], solver, grid, randn=lambda like: next(draws))
    x = solution.x
    if config.get("denoise"):  # the published last step: all of the reverse drift, for a time eps
        t = torch.full((len(x),), config["eps"], dtype=torch.float64)
        x, _ = EulerMaruyama().mean(model, x, v["y"], t, torch.zeros_like(t))
    return x, solution.nfe, v["out"], int(v["nfev"])


@pytest.mark.parametrize("name", ["ode_gauss_denoise", "ode_gauss_nodenoise"])
def test_parity(parity, name):
    """Theirs is scipy's control over the whole batch, so at a loose tolerance the steps differ."""
    ours, _, theirs, _ = published(parity, f"{name}_tol1e-09", DormandPrince(1e-10, 1e-10))
    assert (ours - theirs).abs().max() < 2e-9
    ours, nfe, theirs, evaluations = published(parity, f"{name}_tol1e-05")
    assert (ours - theirs).abs().max() < 1e-5
    assert nfe == evaluations


def test_parity_with_a_network(parity):
    """A batch of one takes the very steps of the published sampler, however loose (rtol 1e-3)."""
    ours, nfe, theirs, evaluations = published(parity, "ode_net_nodenoise_tol1e-3")
    assert nfe == evaluations
    assert (ours - theirs).abs().max() < 1e-9 * theirs.abs().max()


def test_all_vectors_are_tested(parity):
    assert len(list(parity.glob("ode_*.npz"))) == 5
