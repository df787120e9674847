"""Mean and standard deviation of posteriors that are known, from samples in batches."""

import pytest
import torch
from conftest import first_often
from problems import Gaussian, Recorded, bimodal, noise, times
from torch import Tensor

from sgmse.inference import ensemble
from sgmse.sdes import OUVE, SBVE, SDE, VE
from sgmse.solvers import Exponential, LogSNR, Multistep, PredictorCorrector, Uniform, solve

COUNT = 1500
GRID = LogSNR(32, end=1e-3)


def half(y):
    return y / 2 + 0.1


def observation(dtype: torch.dtype = torch.complex128) -> Tensor:
    """Two items of four bins."""
    return noise(2, 4, seed=1, dtype=dtype)


def starts(problem, y: Tensor) -> Tensor:
    """Draws from the exact law of x at t = 1, one a sample."""
    many = y.repeat(COUNT, 1)
    t = torch.ones(len(many), dtype=torch.float64)
    z = noise(*many.shape, seed=8, dtype=y.dtype)
    return problem.sde.sample(problem.draw(many, many, 9), many, t, z).reshape(COUNT, *y.shape)


def agrees(found, mean: Tensor, variance: Tensor, bias: float) -> None:
    """Within five standard errors, and the solver's share of a standard deviation."""
    error = variance.sqrt() * (5 / COUNT**0.5 + bias)
    assert ((found.mean - mean).abs() < error).all()
    # The square of a deviation has the relative error 2 / n at most, here.
    ratio = found.std / variance.sqrt()
    assert ((ratio - 1).abs() < 5 / (2 * COUNT) ** 0.5 + bias).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sde", "kind", "dtype"),
    first_often(
        1,
        [
            (SBVE(), "bimodal", torch.complex128),
            (SBVE(), "gaussian", torch.float64),
            (OUVE(), "bimodal", torch.float64),
            (OUVE(), "gaussian", torch.complex128),
        ],
    ),
    ids=str,
)
def test_of_a_known_posterior(sde: SDE, kind, dtype):
    variances = times(0.01, 0.1, 0.5, 1.0)
    problem = bimodal(sde) if kind == "bimodal" else Gaussian(sde, half, variances)
    y = observation(dtype)
    x = None if sde.pinned else starts(problem, y)
    found = ensemble(problem, y, Multistep(eta=1.0), GRID, COUNT, batch=4000, seed=3, x=x)
    assert found.samples == COUNT
    assert found.nfe == 32 * COUNT
    assert found.mean.dtype == dtype
    assert found.std.dtype == torch.float64
    mean, variance = problem.moments(y, times(0.0, 0.0))
    # 32 steps of second order leave some percent.
    agrees(found, mean, variance.expand_as(found.std), bias=0.04)


@pytest.mark.parametrize("dtype", first_often(1, [torch.complex128, torch.float64]), ids=str)
def test_any_batch_gives_the_same(dtype):
    problem, y = bimodal(SBVE()), noise(3, 4, seed=1, dtype=dtype)
    grid = Uniform(4)
    whole = ensemble(problem, y, Exponential(eta=1.0), grid, 7, batch=100, seed=5)
    for batch in (1, 2, 3, 5, 6, 9, 20):
        other = ensemble(problem, y, Exponential(eta=1.0), grid, 7, batch=batch, seed=5)
        torch.testing.assert_close(other.mean, whole.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(other.std, whole.std, rtol=1e-12, atol=1e-12)
        assert other.nfe == whole.nfe == 28


def test_an_item_does_not_see_the_others():
    problem, y = bimodal(SBVE()), noise(3, 4, seed=1)
    together = ensemble(problem, y, Exponential(eta=1.0), Uniform(4), 5)
    alone = ensemble(problem, y[2:], Exponential(eta=1.0), Uniform(4), 5)
    torch.testing.assert_close(together.mean[2:], alone.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.std[2:], alone.std, rtol=1e-12, atol=1e-12)


def test_no_more_states_than_the_batch():
    for batch, most in ((1, 1), (2, 2), (3, 3), (7, 6), (16, 15)):
        model = Recorded(Gaussian(SBVE()))
        ensemble(model, noise(3, 4), Exponential(eta=1.0), Uniform(2), 6, batch=batch)
        sizes = [len(x) for x in model.states]
        assert max(sizes) == most
        assert sum(sizes) == 3 * 6 * 2


def test_it_is_what_the_samples_have():
    """The textbook formulas on the samples themselves, each drawn by itself."""
    problem, y, solver = bimodal(OUVE()), observation(), Exponential(eta=1.0)
    starts = noise(6, 2, 4, seed=4)
    found = ensemble(problem, y, solver, Uniform(3), 6, batch=3, seed=2, x=starts)
    samples = []

    class Keep(Recorded):
        def __call__(self, x, y, t):
            estimate = super().__call__(x, y, t)
            if float(t[0]) == Uniform(3).end:
                samples.append(estimate.x0)  # the step to 0 returns it
            return estimate

    ensemble(Keep(problem), y, solver, Uniform(3), 6, batch=2, seed=2, x=starts)
    samples = torch.stack(samples)
    assert samples.shape == (6, 2, 4)
    torch.testing.assert_close(found.mean, samples.mean(dim=0))
    torch.testing.assert_close(found.std, samples.std(dim=0))
    assert (samples.std(dim=0) > 0).all()


def test_noise_of_its_own_for_every_sample_and_draw():
    model = Recorded(Gaussian(VE(), 0.0, 1.0))
    ensemble(model, torch.zeros(2, 5000, dtype=torch.complex128), Exponential(), Uniform(1), 3)
    (x,) = model.states
    x = x.reshape(3, 2, 5000)
    assert torch.equal(x[:, 0], x[:, 1])  # the items share it
    correlation = x[:, 0] @ x[:, 0].mH / 5000
    # CN(0, 1), and independent to five standard errors
    assert (correlation - torch.eye(3)).abs().max() < 5 / 5000**0.5


def test_the_seed_decides():
    problem, y = bimodal(SBVE()), observation()
    first, again, other = (
        ensemble(problem, y, Exponential(), Uniform(3), 4, seed=seed).mean for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert (first != other).all()


def test_without_an_observation():
    problem, x = Gaussian(VE(), 0.3, 0.5), noise(5, 2, 4)
    ours = ensemble(problem, None, Multistep(), Uniform(4), 5, batch=3, x=x)
    one_by_one = torch.stack([solve(problem, None, Multistep(), Uniform(4), x=s).x for s in x])
    torch.testing.assert_close(ours.mean, one_by_one.mean(dim=0))
    torch.testing.assert_close(ours.std, one_by_one.std(dim=0))


def test_single_precision():
    problem, y = bimodal(SBVE()), observation()
    double = ensemble(problem, y, Exponential(eta=1.0), Uniform(4), 8)
    single = ensemble(problem, y.to(torch.complex64), Exponential(eta=1.0), Uniform(4), 8)
    assert single.mean.dtype == torch.complex64
    assert single.std.dtype == torch.float32
    torch.testing.assert_close(single.mean, double.mean.to(torch.complex64), rtol=1e-4, atol=1e-4)


def test_no_graph_is_kept():
    y = observation().requires_grad_()
    found = ensemble(Gaussian(SBVE(), half, 0.3), y, Exponential(), Uniform(2), 3)
    assert not found.mean.requires_grad
    assert not found.std.requires_grad


def test_callback_counts_all_steps():
    seen = []
    ensemble(
        Gaussian(SBVE()),
        noise(3, 2),
        Exponential(),
        Uniform(2),
        4,
        batch=2,
        callback=lambda *done: seen.append(done),
    )
    # Two items and one sample at once, then one item and two samples.
    assert seen == [(i + 1, 12) for i in range(12)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1}, "at least 2 samples, not 1"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"x": noise(2, 4)}, r"x \(2, 4\) must hold a start for each sample, \(3, 2, 4\)"),
        ({"x": noise(2, 2, 4)}, r"x \(2, 2, 4\) must hold"),
        ({"y": None}, "pass the starts"),
        ({"solver": PredictorCorrector()}, "needs the drift and the score"),
        ({"solver": Multistep(start=0.0)}, r"all samples would be the same: .* Exponential\(eta="),
    ],
)
def test_refused(arguments, message):
    settings = {"y": observation(), "solver": Exponential(), "grid": Uniform(2), "count": 3}
    with pytest.raises(ValueError, match=message):
        ensemble(Gaussian(SBVE()), **{**settings, **arguments})
    # Before its end a bridge has noise to start from.
    early = {**settings, "solver": Multistep(start=0.0), "grid": Uniform(2, start=0.9)}
    assert (ensemble(Gaussian(SBVE()), **early).std > 0).all()
