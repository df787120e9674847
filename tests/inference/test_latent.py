"""Clean audio to its latent along the exact flow, and back."""

from dataclasses import replace

import pytest
import torch
from conftest import OFTEN
from problems import Correlated, Gaussian, covariance, noise, slope, times
from torch import Tensor

from sgmse.estimates import Data
from sgmse.inference import decode, encode
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import OUVE, SBVE, VE, VP
from sgmse.solvers import (
    DormandPrince,
    EulerMaruyama,
    Exponential,
    Heun,
    LogSNR,
    MeanShifted,
    Multistep,
    PredictorCorrector,
    RungeKutta4,
    Solver,
    Uniform,
)

GRID = LogSNR(32, 0.9, 0.1)


def half(y):
    return y / 2 + 0.1


def data(problem, dtype: torch.dtype = torch.complex128) -> tuple[Tensor, Tensor]:
    y = noise(2, 4, seed=1, dtype=dtype)
    return problem.draw(y, y), y


def exact(problem, x0: Tensor, y: Tensor, grid=GRID) -> Tensor:
    """The flow of a x0 + b y from the grid's end to its start."""
    end, start = (times(t).expand(len(x0)) for t in (grid.end, grid.start))
    x = problem.sde.sample(x0, y, end, torch.zeros_like(x0))
    return problem.flow(x, y, end, start)


def there_and_back(sde, solver) -> None:
    """Encoding errs with the solver's order; the way back takes some of it off again."""
    problem = Gaussian(sde, half, times(0.01, 0.1, 0.5, 2.0))
    x0, y = data(problem)
    expected, steps, up, round_trip = exact(problem, x0, y), [24, 48], [], []
    for n in steps:
        grid = replace(GRID, steps=n)
        latent, nfe, _ = encode(problem, x0, y, solver, grid)
        clean, back, _ = decode(problem, latent, y, solver, grid)
        assert nfe == back == n * solver.evaluations
        up.append(float((latent - expected).abs().max()))
        round_trip.append(float((clean - x0).abs().max()))
    assert solver.order - 0.2 < slope(steps, up) < solver.order + 0.3
    assert slope(steps, round_trip) > solver.order - 0.2
    assert round_trip[-1] < {1: 0.2, 2: 1e-2, 4: 1e-6}[solver.order]


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
@pytest.mark.parametrize("solver", [Multistep(), RungeKutta4()], ids=repr)
def test_there_and_back_on_every_process(sde, solver):
    there_and_back(sde, solver)


@pytest.mark.parametrize("sde", [OUVE(), SBVE(), VP()], ids=repr)
@pytest.mark.parametrize("solver", [Exponential(), Heun()], ids=repr)
def test_there_and_back_with_other_solvers(sde, solver):
    there_and_back(sde, solver)


@pytest.mark.parametrize("sde", [OUVE(), SBVE(), VP()], ids=repr)
def test_with_steps_of_their_own(sde):
    """An adaptive solver runs up as it runs down, and its tolerance is what is missed."""
    problem = Correlated(sde, covariance(4), half)
    x0, y = data(problem)
    solver = DormandPrince(rtol=1e-7, atol=1e-7)
    latent = encode(problem, x0, y, solver, replace(GRID, steps=1)).x
    assert (latent - exact(problem, x0, y)).abs().max() < 1e-5
    clean = decode(problem, latent, y, solver, replace(GRID, steps=1)).x
    assert (clean - x0).abs().max() < 1e-5


def test_from_early_to_the_end():
    """On a bridge just before it; on others at t = 1 itself."""
    for sde, start in ((SBVE(), 0.999), (OUVE(), 1.0), (VE(), 1.0)):
        problem = Gaussian(sde, half, 0.3)
        x0, y = data(problem)
        grid = LogSNR(64, start, 1e-3)
        latent = encode(problem, x0, y, Multistep(), grid).x
        torch.testing.assert_close(latent, exact(problem, x0, y, grid), rtol=2e-2, atol=2e-2)
        clean = decode(problem, latent, y, Multistep(), grid).x
        torch.testing.assert_close(clean, x0, rtol=2e-2, atol=2e-2)


def test_the_step_to_zero_is_left_out():
    problem = Gaussian(SBVE(), half, 0.3)
    x0, y = data(problem)
    for run in (encode, decode):
        with_it, without = (
            run(problem, x0, y, Multistep(), replace(GRID, finish=finish)).x
            for finish in (True, False)
        )
        assert torch.equal(with_it, without)


@pytest.mark.parametrize("sde", [VE(), VP()], ids=repr)
def test_without_an_observation(sde):
    problem = Gaussian(sde, 0.2, 0.3)
    x0, _ = data(problem)
    zero = torch.zeros_like(x0)
    latent = encode(problem, x0, None, RungeKutta4(), GRID).x
    assert torch.equal(latent, encode(problem, x0, zero, RungeKutta4(), GRID).x)
    clean = decode(problem, latent, None, RungeKutta4(), GRID).x
    torch.testing.assert_close(clean, x0, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("single", [torch.complex64, torch.float32], ids=str)
def test_single_precision(single):
    problem = Gaussian(SBVE(), 0.1, 0.3)
    x0, y = data(problem, torch.promote_types(single, torch.float64))
    grid = LogSNR(32, 0.999, 1e-3)
    ours = encode(problem, x0.to(single), y.to(single), RungeKutta4(), grid)
    double = encode(problem, x0, y, RungeKutta4(), grid)
    assert ours.x.dtype == single
    # t is start + end - u, and so 1e-3 only to 6e-5 of itself.
    torch.testing.assert_close(ours.x, double.x.to(single), rtol=2e-4, atol=2e-4)


def test_an_item_does_not_see_the_others():
    problem = Gaussian(OUVE(), half, 0.3)
    x0, y = data(problem)
    for run in (encode, decode):
        together = run(problem, x0, y, Heun(), GRID).x
        alone = run(problem, x0[1:], y[1:], Heun(), GRID).x
        torch.testing.assert_close(together[1:], alone, rtol=1e-12, atol=1e-12)


def test_of_a_network():
    torch.manual_seed(0)
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, embedding=8)
    model = ScoreModel(network, SBVE(), Data())
    x0, y = (noise(1, 1, 8, 4, seed=i, dtype=torch.complex64) for i in range(2))
    copy = x0.clone()
    grid = LogSNR(20, 0.9, 0.1)
    with torch.inference_mode():
        latent = encode(model, x0, y, RungeKutta4(), grid).x
        clean = decode(model, latent, y, RungeKutta4(), grid).x
    torch.testing.assert_close(clean, x0, rtol=1e-3, atol=1e-3)
    assert (latent - clean).abs().max() > 0.1
    assert torch.equal(x0, copy)


def test_callback_counts_the_steps():
    problem, seen = Gaussian(VE()), []
    x0, y = data(problem)
    for run in (encode, decode):
        run(problem, x0, y, Heun(), Uniform(3), callback=seen.append)
    assert [step[:2] for step in seen] == 2 * [(1, 3), (2, 3), (3, 3)]
    times = Uniform(3, finish=False).times(VE()).tolist()
    assert [step.s for step in seen[3:]] == times[1:]
    assert [step.s for step in seen[:3]] == pytest.approx(times[-2::-1])


@pytest.mark.parametrize("run", [encode, decode])
@pytest.mark.parametrize(
    ("solver", "grid", "message"),
    [
        (Multistep(), Uniform(4), r"every state of .* is the observation.* \(start=0.999\)"),
        (Multistep(), Uniform(4, 0.9, 0.0), "end the grid after 0"),
        (MeanShifted(), Uniform(4, 0.9), "MeanShifted.* moves its start"),
        (Multistep(eta=0.5), Uniform(4, 0.9), r"draws noise.* Multistep\(\) or RungeKutta4\(\)"),
        (Heun(churn=0.1), Uniform(4, 0.9), "draws noise"),
        (PredictorCorrector(), Uniform(4, 0.9), "draws noise"),
    ],
)
def test_refused(run, solver: Solver, grid, message):
    x0, y = data(Gaussian(SBVE()))
    with pytest.raises(ValueError, match=message):
        run(Gaussian(SBVE()), x0, y, solver, grid)


def test_refused_by_the_solver():
    """CosineVP and the like: a flow that is infinite at t = 1."""

    class Steep(VP):
        def rates(self, t):
            da, db, dsigma = super().rates(t)
            return type(super().rates(t))(da, db, dsigma + torch.where(t == 1, torch.inf, 0.0))

    problem = Gaussian(Steep())
    x0, y = data(problem)
    with pytest.raises(ValueError, match="needs the probability flow"):
        encode(problem, x0, y, RungeKutta4(), Uniform(4))
    encode(problem, x0, y, RungeKutta4(), Uniform(4, 0.99))


def test_there_is_only_the_flow():
    """Solvers that ask for g, which is imaginary in turned time, are told so."""
    problem = Gaussian(SBVE())
    x0, y = data(problem)
    with pytest.raises(ValueError, match="there is only the flow"):
        encode(problem, x0, y, EulerMaruyama(eta=0.0), GRID)


def test_an_observation_is_needed():
    x0, _ = data(Gaussian(SBVE()))
    for run in (encode, decode):
        with pytest.raises(ValueError, match="leads to an observation"):
            run(Gaussian(SBVE()), x0, None, Multistep(), GRID)
