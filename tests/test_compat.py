"""What the published code does, against vectors made with it."""

import pytest
import torch
from conftest import SDES, together
from facts import check_parity
from parity_models import PublishedSBVE, network_of
from problems import Gaussian, noise, slope, times, vectors
from proofs import STEPS, VARIANCES, flow_errors, response

from sgmse.compat import DDIM, SBODE, SBSDE, CorrectedReverse, FlowEuler, PublishedOUVP
from sgmse.estimates import Data, Estimate
from sgmse.model import ScoreModel
from sgmse.sdes import (
    BBED,
    OUVE,
    OUVP,
    SBVE,
    SBVP,
    VP,
    BrownianBridge,
    CosineVP,
    FlowMatching,
    Scaled,
    StraightFlow,
)
from sgmse.solvers import EulerMaruyama, Exponential, LogSNR, Multistep, Uniform, solve


def test_the_noise_of_storm(parity):
    config, v = vectors(parity / "sde_storm_ouvp.npz")
    check_parity(PublishedOUVP(**config["params"]), v)


def test_only_the_noise_of_storm_differs():
    t = times(0.1, 0.5, 1.0)
    for constants in ((0.1, 10.0, 1.0), (0.5, 4.0, 2.0)):
        right, published = OUVP(*constants), PublishedOUVP(*constants)
        assert (right.scales(t).a == published.scales(t).a).all()
        assert (right.scales(t).sigma ** 2 == published.scales(t).sigma).all()
        for ours, theirs in zip(right.coefficients(t), published.coefficients(t), strict=True):
            assert (ours == theirs).all()


BRIDGES = [
    *(f"sb_gauss_{sampler}_eps{end}" for sampler in ("ode", "sde") for end in ("0.0001", "0.03")),
    *(f"sb_net_{sampler}" for sampler in ("ode", "sde")),
]


class Analytic:
    """The estimate of a Gaussian posterior with the published scales, on the exact process."""

    latest = 1.0

    def __init__(self, sde: SBVE, mean, variance) -> None:
        self.sde = sde
        self.problem = Gaussian(PublishedSBVE(sde.k, sde.c), mean, variance)

    def __call__(self, x, y, t) -> Estimate:
        return self.problem(x, y, t)


@pytest.mark.parametrize("name", BRIDGES)
def test_the_published_bridges(parity, name):
    config, v = vectors(parity / f"{name}.npz")
    constants = dict(config["sde_params"])
    eps, end = constants.pop("eps"), config["eps_time"]
    sde = SBVE(**constants)
    solver = {"ode": SBODE(eps), "sde": SBSDE(eps, end)}[config["sampler"]]
    if "net_kwargs" in config:
        network = network_of(parity, config | {"weights": "sampler_net_ncsnpp_v2.safetensors"})
        model = ScoreModel(network, sde, Data())
    else:
        model = Analytic(sde, v["m"], v["s2"])
    draws = iter(v["noise"])
    with torch.no_grad():
        x, nfe, _ = solve(
            model,
            v["y"],
            solver,
            Uniform(config["N"], end=end, finish=False),
            randn=lambda like: next(draws),
        )
    assert (x - v["out"]).abs().max() <= 1e-9 * v["out"].abs().max()
    assert next(draws, None) is None  # every draw was used
    assert nfe == config["N"]  # the published count is always 50


def test_all_bridges_are_listed(parity):
    assert {file.stem for file in parity.glob("sb_*.npz")} == set(BRIDGES)


class Early(Analytic):
    """A model that is evaluated at the time before s in a step to s, whatever it is told."""

    def __init__(self, problem: Gaussian, t) -> None:
        self.sde, self.problem, self.t = problem.sde, problem, t

    def __call__(self, x, y, t) -> Estimate:
        return self.problem(x, y, self.t)


@pytest.mark.parametrize(
    ("published", "ours"),
    [(SBODE(), Exponential(start=0.0)), (SBSDE(), Exponential(eta=1.0))],
    ids=repr,
)
def test_without_the_defects_they_are_exponential(published, ours):
    """With the estimate at the time of the state, inside the bridge, where eps does not matter."""
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    t, s = times(0.6), times(0.35)
    problem = Gaussian(SBVE(), 0.5 - 0.3j, 0.3)
    steps = [
        solver.step(model, x, y, t, s, None, lambda like: z)[0]
        for solver, model in ((published, Early(problem, t)), (ours, problem))
    ]
    torch.testing.assert_close(*steps, rtol=1e-6, atol=1e-6)
    late, _ = published.step(problem, x, y, t, s, None, lambda like: z)
    assert (late - steps[1]).abs().max() > 0.02


def test_the_published_variance():
    """Of the samples over that of a posterior of 0.03: too large, and with twice the steps less so.

    A second-order solver has it right on a grid that suits it.
    """
    problem = Gaussian(SBVE(), 0.5, torch.tensor([[0.03]], dtype=torch.float64))
    for steps, ratio in ((5, 4.0), (50, 1.4)):
        _, variance = response(problem, SBSDE(), Uniform(steps, end=1e-4, finish=False))
        assert float(variance / 0.03) == pytest.approx(ratio, abs=0.06)
    _, variance = response(problem, Multistep(eta=1.0), LogSNR(50, end=1e-3))
    assert float(variance / 0.03) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("steps", "total"), [(5, 1.047), (50, 1.020)])
def test_the_first_step_of_the_published_ode(steps, total):
    """From x = y = x0 the bridge stays at y."""
    y = torch.full((1, 1), 1.0 + 0j, dtype=torch.complex128)
    grid = Uniform(steps, end=1e-4, finish=False)
    problem = Gaussian(SBVE(), 1.0, 0.0)  # the estimate is 1 whatever the state
    t, s = grid.times(SBVE())[:2, None]
    x, _ = SBODE().step(problem, y, y, t, s, None, torch.randn_like)
    assert float(x.real) == pytest.approx(total, abs=1e-3)
    x, _ = Exponential(start=0.0).step(problem, y, y, t, s, None, torch.randn_like)
    assert float(x.real) == pytest.approx(1, abs=1e-12)


def test_the_order_of_the_published_bridges():
    """One, also with the estimate at the wrong time."""
    problem, grid = Gaussian(SBVE(), 0.5 - 0.3j, VARIANCES), Uniform(1, 0.9, 0.1, finish=False)
    found = flow_errors(problem, SBODE(), grid)
    assert slope(STEPS, found) == pytest.approx(SBODE.order, abs=0.1)
    _, exact = problem.moments(torch.zeros(1, 1), times(0.1))
    found = []
    for steps in STEPS:
        _, variance = response(problem, SBSDE(), Uniform(steps, 0.9, 0.1, finish=False))
        found.append(float((variance / exact - 1).abs().max()))
    assert slope(STEPS, found) == pytest.approx(SBSDE.order, abs=0.1)


@pytest.mark.parametrize("solver", [SBODE(), SBSDE()], ids=repr)
def test_a_grid_that_finishes_ends_with_an_estimate(solver):
    """At the last time of the grid: at 0 itself published networks are not defined."""
    called = []

    class Noted(Analytic):
        def __call__(self, x, y, t) -> Estimate:
            called.append(float(t[0]))
            return super().__call__(x, y, t)

    solve(Noted(SBVE(), 0.5, 0.1), noise(1, 2), solver, Uniform(3, end=0.1))
    assert called == pytest.approx([0.55, 0.1, 0.1])


def test_noise_is_drawn_into_all_times_but_the_last():
    problem, x = Gaussian(SBVE(), 0.5, 0.1), noise(1, 2)
    for dtype in (torch.float64, torch.float32):
        start, end = times(0.5, dtype=dtype), torch.tensor([0.07], dtype=torch.float64).to(dtype)
        for last, kept in ((0.07, False), (0.0699, True)):
            results = [
                SBSDE(end=last).step(problem, x, x, start, end, None, lambda like, z=z: z + like)[0]
                for z in (0.0, 1.0)
            ]
            assert torch.equal(*results) != kept


@pytest.mark.parametrize("solver", [SBODE(), SBSDE()], ids=repr)
@pytest.mark.parametrize("sde", [OUVE(), BrownianBridge(), SBVP()], ids=repr)
def test_other_processes_are_refused(solver, sde):
    says = rf"{type(solver).__name__} is a published sampler of SBVE .* use Exponential"
    with pytest.raises(ValueError, match=says):
        solve(Gaussian(sde), noise(1, 2), solver, Uniform(3))
    with pytest.raises(ValueError, match="is not an SBVE"):
        solver.step(Gaussian(sde), *[noise(1, 2)] * 2, times(0.5), times(0.4), None, torch.randn)


@pytest.mark.parametrize("solver", [SBODE, SBSDE])
def test_the_time_that_the_model_is_told(solver):
    times_told = []

    class Noted(Analytic):
        def __call__(self, x, y, t) -> Estimate:
            times_told.append(float(t[0]))
            return super().__call__(x, y, t)

    for told in ("target", "state"):
        model, grid = Noted(SBVE(), 0.5, 0.1), Uniform(2, end=0.25, finish=False)
        solve(model, noise(1, 2), solver(told=told), grid)
    assert times_told == [0.625, 0.25, 1.0, 0.625]
    with pytest.raises(ValueError, match="told must be 'target' or 'state', not 'now'"):
        solver(told="now")


def test_a_scaled_bridge_has_the_same_weights_and_more_noise():
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    t, s = times(0.6), times(0.35)
    plain, scaled = Early(Gaussian(SBVE(), 0.5 - 0.3j, 0.3), t), Scaled(SBVE(), 2.0)
    wide = Early(plain.problem, t)  # the same estimates
    wide.sde = scaled
    steps = {
        (solver, model.sde, noisy): solver.step(
            model, x, y, t, s, None, lambda like, noisy=noisy: noisy * z
        )[0]
        for solver in (SBODE(), SBSDE())
        for model in (plain, wide)
        for noisy in (0.0, 1.0)
    }
    for solver in (SBODE(), SBSDE()):
        assert torch.equal(steps[solver, scaled, 0.0], steps[solver, SBVE(), 0.0])
    more, less = (steps[SBSDE(), sde, 1.0] - steps[SBSDE(), sde, 0.0] for sde in (scaled, SBVE()))
    torch.testing.assert_close(more, 2 * less)
    assert SBODE().refusal(scaled, 1.0) is None
    with pytest.raises(ValueError, match=r"Scaled.* does not have"):
        solve(Gaussian(Scaled(SBVP(), 2.0)), noise(1, 2), SBODE(), Uniform(3))


@pytest.mark.parametrize("solver", [SBODE, SBSDE])
def test_eps_is_positive(solver):
    with pytest.raises(ValueError, match="eps must be positive, not 0"):
        solver(eps=0.0)


# CRP and FlowSE


@pytest.mark.parametrize("sde", [OUVE(), BBED()], ids=repr)
def test_the_corrected_reverse_is_a_few_steps_of_euler(sde):
    problem, y = Gaussian(sde, mean=0.3, variance=0.2), noise(2, 3)
    for steps in (1, 3):
        generators = (torch.Generator().manual_seed(0) for _ in range(2))
        ours, theirs = (
            solve(
                problem,
                y,
                solver,
                Uniform(steps, start=0.5),
                randn=lambda x, g=g: torch.randn(x.shape, dtype=x.dtype, generator=g),
            )
            for solver, g in zip((CorrectedReverse(), EulerMaruyama()), generators, strict=True)
        )
        assert torch.equal(ours.x, theirs.x)
        assert ours.nfe == steps
    assert CorrectedReverse.fewest_steps == 1 < EulerMaruyama.fewest_steps


def test_euler_on_the_flow_of_flowse_is_exact_without_noise_at_its_end():
    problem, y = Gaussian(StraightFlow(), mean=0.3 - 0.2j, variance=0.2), noise(2, 3)
    x = problem.sde.prior(y, noise(2, 3, seed=1))
    for steps in (1, 5):
        ours = solve(problem, y, FlowEuler(), Uniform(steps), x=x)
        exact = solve(problem, y, Exponential(), Uniform(steps), x=x)
        torch.testing.assert_close(ours.x, exact.x, rtol=1e-12, atol=1e-12)
        assert ours.nfe == exact.nfe == steps


def test_euler_on_the_flow_of_flowse_keeps_the_noise_of_the_end():
    problem, y = Gaussian(StraightFlow(0.1, 0.5), mean=0.3, variance=0.2), noise(2, 3)
    x, t = problem.sde.prior(y, noise(2, 3, seed=1)), times(1.0, 1.0)
    ours = solve(problem, y, FlowEuler(), Uniform(1), x=x).x
    x0, z = problem(x, y, t)
    torch.testing.assert_close(ours, x0 + 0.1 * z)


def test_euler_on_the_flow_of_flowse_starts_with_the_noise_of_t_1():
    flow, y, z = StraightFlow(0.1, 0.5), noise(2, 3), noise(2, 3, seed=1)
    problem = Gaussian(flow, mean=0.3, variance=0.2)
    grid = Uniform(4, start=0.6, end=0.2, finish=False)
    ours = solve(problem, y, FlowEuler(), grid, randn=lambda _: z).x
    x = y + 0.5 * z
    for t, s in zip(times(0.6, 0.5, 0.4, 0.3), times(0.5, 0.4, 0.3, 0.2), strict=True):
        x0, noise_hat = problem(x, y, t.expand(2))
        x = x + (s - t) * (y - x0 + 0.4 * noise_hat)
    torch.testing.assert_close(ours, x)
    assert not FlowEuler().draws(flow)


def test_euler_is_refused_where_there_is_no_flow():
    assert FlowEuler().refusal(StraightFlow(), 1.0) is None
    assert "needs the probability flow of SBVE" in FlowEuler().refusal(SBVE(), 1.0)


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("sde", [VP(), CosineVP()], ids=repr)
def test_the_textbook_ddim(sde, eta):
    """Song, Meng, Ermon 2021, arXiv:2010.02502, eq. 12 with the sigma_t of eq. 16, step by step."""
    problem, x = Gaussian(sde, 0.5 - 0.3j, 0.3), noise(1, 5)
    grid = Uniform(12, 0.98, 0.05, finish=False)
    alpha, z = sde.scales(grid.times(sde)).a ** 2, noise(12, 1, 5, seed=1)
    draws = iter(z)
    ours = solve(problem, None, DDIM(eta), grid, x=x, randn=lambda like: next(draws)).x
    for i, t in enumerate(grid.times(sde)[:-1]):
        now, before = alpha[i], alpha[i + 1]
        e = problem(x, None, t[None]).noise
        sigma = eta * ((1 - before) / (1 - now)).sqrt() * (1 - now / before).sqrt()
        x0 = (x - (1 - now).sqrt() * e) / now.sqrt()
        x = before.sqrt() * x0 + (1 - before - sigma**2).sqrt() * e + sigma * z[i]
    torch.testing.assert_close(ours, x, rtol=1e-11, atol=1e-11)


@together(sde=SDES, eta=[0.0, 0.4, 1.0])
def test_ddim_at_the_ends(sde, eta):
    """Finite everywhere, without noise the same as, and at both ends of eta equal to our step."""
    t, s = times(1.0, 1.0, 0.5, 0.5, 0.5), times(0.6, 0.0, 0.0, 0.5, 0.2)
    theirs, ours = DDIM(eta).weights(sde, t, s), Exponential(eta).weights(sde, t, s)
    assert torch.stack([theirs.x0, theirs.y, theirs.noise, theirs.z]).isfinite().all()
    torch.testing.assert_close(theirs.noise**2 + theirs.z**2, ours.noise**2 + ours.z**2)
    if eta in (0, 1):
        for one, other in zip(theirs, ours, strict=True):
            torch.testing.assert_close(one, other)


def test_only_the_share_of_ddim_depends_on_the_number_of_steps():
    """Two of its steps are not one: k = (1 + eta^2) h - (eta^2 - eta^4) h^2 + ..."""
    t, s = times(0.6), times(0.5)
    h, eta = FlowMatching().log_snr(s) - FlowMatching().log_snr(t), 0.5
    k = DDIM(eta).weights(FlowMatching(), t, s).k
    assert float(((1 + eta**2) * h - k) / h**2) == pytest.approx(eta**2 - eta**4, rel=0.15)
