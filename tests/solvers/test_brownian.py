"""The path is one path, its increments are those of Brownian motion, and samples converge on it."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from conftest import first_often
from hypothesis import given, settings, strategies as st
from problems import Gaussian, noise, slope

from sgmse.sdes import OUVE, SBVE, VP
from sgmse.solvers import (
    BrownianTree,
    Exponential,
    LogSNR,
    Multistep,
    PredictorCorrector,
    Uniform,
    solve,
)

LIKE = torch.zeros(1, 20000, dtype=torch.complex128)
# Of a variance over 20000 complex values: 4 standard errors.
CLOSE = 4 / 20000**0.5


def increments(tree: BrownianTree, times: list[float], like: torch.Tensor = LIKE) -> torch.Tensor:
    return torch.stack([tree.between(t, s)(like) for t, s in pairwise(times)])


@pytest.mark.parametrize(
    "times",
    [
        [1.0, 0.75, 0.5, 0.25, 0.0],
        [1.0, 0.9, 0.9 - 1e-3, 1 / 3, 0.03, 0.02999, 1e-4, 1e-7, 0.0],
        Uniform(30).times(OUVE()).tolist(),
        LogSNR(30, end=1e-4).times(OUVE()).tolist(),
    ],
    ids=["nodes", "any", "uniform", "log_snr"],
)
def test_increments_are_white(times):
    z = increments(BrownianTree([3]), times).squeeze(1)
    covariance = z @ z.mH / z.shape[1]
    assert (covariance - torch.eye(len(z))).abs().max() < CLOSE
    assert z.mean(dim=1).abs().max() < CLOSE
    assert (z @ z.mT / z.shape[1]).abs().max() < CLOSE  # circular


@pytest.mark.parametrize(
    "times",
    [
        [0.7 + 3e-6, 0.7 + 1e-6, 0.7],
        [1 - 1e-9, 1 - 2e-9, 1 - 3e-9],
        [1e-3 + 3e-8, 1e-3 + 1e-8, 1e-3],
    ],
    ids=str,
)
def test_times_that_hardly_differ_have_increments_of_unit_variance(times):
    tree = BrownianTree([3])
    assert tree.interval(times[0]) == tree.interval(times[-1])
    for z in increments(tree, times):
        assert float(z.abs().square().mean()) == pytest.approx(1, abs=CLOSE)


def test_the_distribution_is_normal():
    for dtype in (torch.float64, torch.float32):
        z = BrownianTree([1]).between(0.63, 0.2)(LIKE.real.to(dtype))[0]
        share = [float((z < q).double().mean()) for q in (-1.0, 0.0, 1.0)]
        np.testing.assert_allclose(share, [0.1587, 0.5, 0.8413], atol=4 * 0.5 / 20000**0.5)


TIMES = st.lists(st.floats(0, 1), min_size=3, max_size=3, unique=True).map(
    lambda times: sorted(times, reverse=True)
)


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(TIMES)
def test_increments_add_up(times):
    t, s, r = times
    tree, like = BrownianTree([0, 5]), torch.zeros(2, 3, dtype=torch.float64)

    def increment(t: float, s: float) -> torch.Tensor:
        return tree.between(t, s)(like) * tree.variance(t, s) ** 0.5

    torch.testing.assert_close(increment(t, s) + increment(s, r), increment(t, r))
    torch.testing.assert_close(increment(t, s), tree.at(t, like) - tree.at(s, like))
    if tree.interval(t) != tree.interval(s):
        assert tree.variance(t, s) == t - s


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_order_of_questions_changes_nothing(times):
    like, tree = torch.zeros(2, 3, dtype=torch.complex64), BrownianTree([1, 2])
    for t in times:
        assert torch.equal(tree.at(t, like), BrownianTree([1, 2]).at(t, like))


def test_an_item_has_its_own_path():
    like = torch.zeros(3, 2, 4, dtype=torch.complex64)
    times = [1.0, 0.4, 0.1]
    together = increments(BrownianTree([7, 8, 7]), times, like)
    assert torch.equal(together[:, 0], together[:, 2])
    assert not torch.equal(together[:, 0], together[:, 1])
    alone = increments(BrownianTree([8]), times, like[:1])
    assert torch.equal(together[:, 1:2], alone)
    assert torch.equal(BrownianTree([7, 8, 7])(like)[1:2], BrownianTree([8])(like[:1]))


def test_every_draw_is_another_one():
    """The start, the increments, and what a corrector draws beside them."""
    tree = BrownianTree([4])
    first, second = tree.between(0.8, 0.5), tree.between(0.5, 0.2)
    draws = [tree(LIKE), first(LIKE), first(LIKE), first(LIKE), second(LIKE), second(LIKE)]
    z = torch.cat(draws)
    assert (z @ z.mH / z.shape[1] - torch.eye(len(z))).abs().max() < CLOSE
    again = BrownianTree([4])
    first = again.between(0.8, 0.5)
    assert all(torch.equal(first(LIKE), draw) for draw in draws[1:4])
    assert torch.equal(again(LIKE), draws[0])


def test_shape_and_precision_follow_the_state():
    tree = BrownianTree([1, 2])
    for shape, dtype in [((2, 3), torch.float32), ((2, 3), torch.complex128), ((2, 1, 5, 4), None)]:
        like = torch.zeros(shape, dtype=dtype)
        z = tree.between(0.7, 0.3)(like)
        assert (z.shape, z.dtype) == (like.shape, like.dtype)
        assert torch.equal(z, BrownianTree([1, 2]).between(0.7, 0.3)(like))


def gaps(solver, problem, trees, steps, grid) -> list[float]:
    """Distances of samples with n and 2 n steps, root mean square."""
    y = torch.full((1, 500), 0.4 + 0.2j, dtype=torch.complex128)
    runs = [
        solve(problem, y, solver, replace(grid, steps=n), randn=tree).x
        for n, tree in zip(steps, trees, strict=True)
    ]
    return [float((x - x2).abs().square().mean().sqrt()) for x, x2 in pairwise(runs)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "sde"),
    first_often(
        2,
        [
            (Exponential(eta=1.0), SBVE()),
            (Multistep(eta=1.0), OUVE()),
            (Exponential(eta=1.0), OUVE()),
            (Multistep(eta=1.0), SBVE()),
            *product([Exponential(eta=1.0), Multistep(eta=1.0)], [VP()]),
            (PredictorCorrector(corrector=None), OUVE()),
        ],
    ),
    ids=repr,
)
def test_samples_converge_along_a_path(solver, sde):
    problem, steps = Gaussian(sde, 0.2 + 0.1j, 0.05), [32, 64, 128]
    grid = LogSNR(1, 0.999 if solver.refusal(sde, 1.0) else 1.0, 0.05, finish=False)
    tree = BrownianTree([9])
    errors = gaps(solver, problem, [tree] * 3, steps, grid)
    # Strong order 1; on so few steps the slope is still on its way, from either side.
    assert 0.75 < slope(steps[:2], errors) < 1.35
    # With noise that is new at each number of steps the samples are as far apart as any two.
    others = [BrownianTree([seed]) for seed in range(3)]
    apart = gaps(solver, problem, others, steps, grid)
    assert min(apart) > 0.2
    assert errors[-1] < 0.03


def test_solvers_meet_on_the_same_path():
    """Exponential steps and those of Euler-Maruyama."""
    problem, tree = Gaussian(OUVE(), 0.2 + 0.1j, 0.05), BrownianTree([9])
    y, grid = noise(1, 100, seed=1), Uniform(200, 0.99, 0.05, finish=False)
    ends = [
        solve(problem, y, solver, grid, randn=tree).x
        for solver in (Exponential(eta=1.0), PredictorCorrector(corrector=None))
    ]
    assert (ends[0] - ends[1]).abs().square().mean().sqrt() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "seeds must be integers >= 0, one an item"),
        ({"seeds": [3, -1]}, "seeds must be integers >= 0, one an item"),
        ({"seeds": [3], "depth": 0}, "depth must lie between 1 and 40, not 0"),
        ({"seeds": [3], "depth": 41}, "depth must lie between 1 and 40, not 41"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BrownianTree(**arguments)


def test_a_seed_for_each_item():
    with pytest.raises(ValueError, match="has 2 seeds and the batch 3 items"):
        solve(Gaussian(OUVE()), noise(3, 2), Exponential(), Uniform(2), randn=BrownianTree([1, 2]))
