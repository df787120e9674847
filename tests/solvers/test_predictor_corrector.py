"""The published sampler, on its vectors and on posteriors that are known."""

from itertools import pairwise

import pytest
import torch
from conftest import in_turn
from parity_models import sampler_network
from problems import Draws, Gaussian, noise, times, vectors

from sgmse.estimates import Score
from sgmse.model import ScoreModel
from sgmse.sdes import BBED, OUVE, SBVE
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Exponential,
    Heun,
    InterpolatingSDE,
    Langevin,
    LogSNR,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Uniform,
    solve,
)

GAUSSIAN = [
    f"pc_{problem}"
    for problem in (
        *(
            f"gauss_{predictor}_{corrector}"
            for predictor in ("reverse_diffusion", "euler_maruyama", "none")
            for corrector in ("ald", "langevin", "none")
        ),
        "gauss_reverse_diffusion_ald_N30",
        "gauss_reverse_diffusion_none_N30",
        "gauss_reverse_diffusion_ald_cs2",
        "gauss_reverse_diffusion_ald_nodenoise",
        *(
            f"bbed_{predictor}_{corrector}"
            for predictor in ("reverse_diffusion", "none")
            for corrector in ("ald", "langevin", "none")
        ),
    )
]
NETWORK = [
    "pc_net_euler_maruyama_none",
    "pc_net_reverse_diffusion_ald",
    "pc_net_reverse_diffusion_langevin",
    "pc_net_reverse_diffusion_none",
]


def published_solver(config: dict) -> PredictorCorrector:
    snr, steps = config["snr"], config["corrector_steps"]
    predictors = {
        "reverse_diffusion": EulerMaruyama(),
        "euler_maruyama": EulerMaruyama(stepsize=1 / config["N"]),
        "none": None,
    }
    correctors = {
        "ald": AnnealedLangevin(snr, steps),
        "langevin": Langevin(snr, steps, coupled=True),
        "none": None,
    }
    predictor, corrector = predictors[config["predictor"]], correctors[config["corrector"]]
    return PredictorCorrector(predictor, corrector, config["denoise"])


def published_sde(config: dict):
    constants = dict(config["sde_params"])
    end = constants.pop("T_sampling", 1.0)
    return {"OUVESDE": OUVE, "BBED": BBED}[config["sde"]](**constants), end


@pytest.mark.parametrize("name", GAUSSIAN + NETWORK)
def test_parity(parity, name):
    config, v = vectors(parity / f"{name}.npz")
    sde, start = published_sde(config)
    if "net_kwargs" in config:
        model = ScoreModel(sampler_network(parity, config), sde, Score(sign=-1))
    else:
        model = Gaussian(sde, v["m"], v["s2"])
    solver, draws = published_solver(config), iter(v["noise"])
    with torch.no_grad():
        x, nfe, _ = solve(
            model,
            v["y"],
            solver,
            Uniform(config["N"], start, config["eps"]),
            randn=lambda like: next(draws),
        )
    assert (x - v["out"]).abs().max() <= 1e-9 * v["out"].abs().max()
    assert next(draws, None) is None  # every draw was used
    # The published count takes a predictor for granted; this is the true one.
    corrector_steps = config["corrector_steps"] if config["corrector"] != "none" else 0
    assert nfe == config["N"] * (corrector_steps + (config["predictor"] != "none"))


def test_all_vectors_are_listed(parity):
    assert {file.stem for file in parity.glob("pc_*.npz")} == set(GAUSSIAN + NETWORK)


PREDICTORS = [
    EulerMaruyama(),
    EulerMaruyama(eta=0.0),
    ReverseDiffusion(),
    Exponential(),
    Exponential(eta=1.0),
    Multistep(),
    Multistep(eta=1.0),
    Heun(),
    InterpolatingSDE(),
]
# With what they may add to the variance: a step e makes that of a Gaussian of variance w larger by
# about e / 2w, and Multistep takes the jumps for a trend and doubles it.
CORRECTORS = {None: 0.0, AnnealedLangevin(0.3): 0.08, Langevin(0.3, 2): 0.2}


@pytest.mark.parametrize(
    ("sde", "predictor", "corrector"),
    in_turn([OUVE(), SBVE()], PREDICTORS, [*CORRECTORS]),
    ids=repr,
)
def test_moments_of_the_posterior(sde, predictor, corrector):
    """Any predictor with any corrector ends in the distribution of the end."""
    problem, samples, start, end = Gaussian(sde, 0.5 - 0.3j, 0.2), 6000, 0.95, 0.05
    y = torch.full((1, samples), 0.4 + 0.2j, dtype=torch.complex128)
    mean, variance = problem.moments(y, times(start))
    x = mean + variance.sqrt() * noise(1, samples)
    grid, solver = LogSNR(40, start, end, finish=False), PredictorCorrector(predictor, corrector)
    x, nfe, _ = solve(problem, y, solver, grid, x=x, randn=Draws())
    assert nfe == 40 * solver.evaluations
    mean, variance = problem.moments(y, times(end))
    # Four standard errors, and what 40 steps leave if they are of first order.
    first = 0.015 if predictor.order == 1 else 0.0
    error = (variance[0, 0] / samples) ** 0.5
    assert (x - mean).mean().abs() < 4 * error + first
    ratio = (x - x.mean()).abs().pow(2).mean() / variance[0, 0]
    tolerance = 4 / samples**0.5 + 8 * first + CORRECTORS[corrector]
    assert float(ratio) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("predictor", PREDICTORS, ids=repr)
def test_alone_a_predictor_is_itself(predictor):
    """Its memory is carried through, and its last step taken."""
    y, x = noise(2, 3, seed=1), noise(2, 3, seed=2)
    for sde in (OUVE(), SBVE()):
        problem, grid = Gaussian(sde, 0.5, 0.1), Uniform(5, 0.9)
        ours, theirs = (
            solve(problem, y, solver, grid, x=x, randn=Draws())
            for solver in (PredictorCorrector(predictor, None), predictor)
        )
        assert torch.equal(ours.x, theirs.x)
        assert ours.nfe == theirs.nfe


def test_a_corrector_comes_before_every_step():
    problem, x, y = Gaussian(OUVE(), 0.5, 0.1), noise(2, 3, seed=1), noise(2, 3, seed=2)
    predictor, corrector = Multistep(eta=1.0), AnnealedLangevin(0.3, 2)
    grid, draws = Uniform(4, 0.9), Draws()
    ours = solve(problem, y, PredictorCorrector(predictor, corrector), grid, x=x, randn=Draws()).x
    rows, memory = grid.times(OUVE())[:, None].expand(-1, 2), None
    for t, s in pairwise(rows):
        x = corrector.correct(problem, x, y, t, draws)
        x, memory = predictor.step(problem, x, y, t, s, memory, draws)
    torch.testing.assert_close(ours, x, rtol=1e-12, atol=1e-12)


def test_it_is_what_its_parts_are():
    langevin = Langevin(steps=2)
    for predictor in PREDICTORS:
        alone, both = PredictorCorrector(predictor, None), PredictorCorrector(predictor, langevin)
        assert alone.order == predictor.order
        assert both.order == 0  # the step of a corrector does not shrink with that of the grid
        assert (alone.evaluations, both.evaluations) == (
            predictor.evaluations,
            predictor.evaluations + 2,
        )
        assert alone.fewest_steps == both.fewest_steps == predictor.fewest_steps
        for sde in (OUVE(), SBVE()):
            assert alone.draws(sde) == predictor.draws(sde)
            assert both.draws(sde)
            for start in (1.0, 0.999):
                assert alone.refusal(sde, start) == predictor.refusal(sde, start)
                assert (both.refusal(sde, start) is None) == (sde == OUVE() or start < 1)
    assert PredictorCorrector(None, None).evaluations == 0
    assert not PredictorCorrector(None, None).draws(OUVE())
    assert PredictorCorrector(None, None).refusal(SBVE(), 1.0) is None


def test_an_exponential_predictor_leaves_a_bridge_s_end_without_a_corrector():
    problem, y = Gaussian(SBVE(), 0.5, 0.1), noise(1, 3)
    solve(problem, y, PredictorCorrector(Exponential(), None), Uniform(5))
    says = "AnnealedLangevin needs the score of SBVE.* at t = 1, .*start=0.999.* or leave out"
    with pytest.raises(ValueError, match=says):
        solve(problem, y, PredictorCorrector(Exponential()), Uniform(5))


@pytest.mark.parametrize("corrector", [AnnealedLangevin(0.4, 30), Langevin(0.4, 30)], ids=repr)
def test_correctors_alone_find_the_density(corrector):
    """From a wrong state, many steps at one time end in the distribution of that time."""
    sde = OUVE()
    t, y = times(0.8), torch.full((1, 3000), 0.4 + 0.2j, dtype=torch.complex128)
    problem = Gaussian(sde, 0.5, 0.1)
    mean, variance = problem.moments(y, t)
    draws, x = Draws(), mean + 3 * variance.sqrt()
    for _ in range(4):
        x = corrector.correct(problem, x, y, t, draws)
    # Unadjusted steps of length e overshoot the variance by about e / (2 variance), here a fifth.
    assert (x - mean).mean().abs() < 0.05 * variance[0, 0] ** 0.5
    ratio = float((x - x.mean()).abs().pow(2).mean() / variance[0, 0])
    assert 0.9 < ratio < 1.35


def test_correctors_are_their_formulas():
    sde, t = OUVE(), times(0.6, 0.6)
    x, y, z = (noise(2, 3, seed=i) for i in range(3))
    problem = Gaussian(sde, 0.5, 0.1)
    score = problem.score(x, y, t)
    e = 2 * (0.3 * sde.scales(t).sigma[:, None]) ** 2
    ours = AnnealedLangevin(0.3).correct(problem, x, y, t, lambda like: z)
    torch.testing.assert_close(ours, x + e * score + (2 * e).sqrt() * z)
    e = 2 * (0.3 * z.norm(dim=1) / score.norm(dim=1))[:, None] ** 2
    ours = Langevin(0.3).correct(problem, x, y, t, lambda like: z)
    torch.testing.assert_close(ours, x + e * score + (2 * e).sqrt() * z)


def test_denoise_takes_only_the_noise_of_the_last_step():
    problem, y = Gaussian(OUVE(), 0.5, 0.1), noise(2, 3, seed=1)
    noisy, clean = (
        solve(problem, y, PredictorCorrector(denoise=denoise), Uniform(5), randn=Draws()).x
        for denoise in (False, True)
    )
    draws = Draws()
    last = [draws(y) for _ in range(11)][-1]
    g = OUVE().coefficients(times(0.03)).g
    torch.testing.assert_close(noisy - clean, g * 0.03**0.5 * last)
    grid = Uniform(5, finish=False)
    first, second = (
        solve(problem, y, PredictorCorrector(denoise=denoise), grid, randn=Draws()).x
        for denoise in (False, True)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("sde", [SBVE(), BBED()], ids=repr)
def test_a_bridge_has_no_score_at_its_end(sde):
    with pytest.raises(ValueError, match=r"needs .* score .* at t = 1, .*start=0.999"):
        solve(Gaussian(sde), noise(1, 2), PredictorCorrector(), Uniform(5))
    x, _, _ = solve(Gaussian(sde), noise(1, 2), PredictorCorrector(), Uniform(5, start=0.999))
    assert x.isfinite().all()
    assert PredictorCorrector().refusal(sde, 0.999) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnnealedLangevin(snr=-1.0), "AnnealedLangevin: snr must be positive, not -1"),
        (lambda: AnnealedLangevin(steps=0), "AnnealedLangevin: steps must be at least 1, not 0"),
        (lambda: Langevin(snr=float("nan")), "Langevin: snr must be positive, not nan"),
        (lambda: PredictorCorrector(Multistep(), denoise=False), "denoise must be True with Multi"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("elements", "ratio", "most"), [(4, 2.47, 0.3), (256, 1.26, 0.06)])
def test_langevin_is_stationary_for_large_items_alone(elements, ratio, most):
    """1 + snr^2 times the variance at best, several times it for items of a few elements."""
    problem, items = Gaussian(OUVE(), 0.0, 0.1), 4000 // elements
    t, y = times(0.5).expand(items), torch.zeros(items, elements, dtype=torch.complex128)
    _, variance = problem.moments(y, t)
    x, draws, found = variance.sqrt() * noise(items, elements), Draws(), []
    for step in range(120):
        x = Langevin(0.5).correct(problem, x, y, t, draws)
        if step >= 60:
            found.append(float(x.abs().square().mean() / variance[0, 0]))
    assert sum(found) / len(found) == pytest.approx(ratio, abs=most)


@pytest.mark.parametrize("snr", [0.3, 0.5])
def test_the_law_that_annealed_langevin_leads_to(snr):
    """In closed form, w / (1 - snr^2 sigma^2 / w), by what is left of each draw."""
    problem, steps = Gaussian(OUVE(), 0.0, 0.02), 40
    t = times(0.5).expand(steps + 1)
    y = torch.zeros(steps + 1, 1, dtype=torch.complex128)
    sigma, w = problem.sde.scales(t[:1]).sigma, problem.moments(y, t)[1][0]
    draws = iter(torch.eye(steps + 1, dtype=y.dtype)[1:, :, None])
    x = AnnealedLangevin(snr, steps).correct(problem, y, y, t, lambda like: next(draws))
    found = x.abs().square().sum()
    torch.testing.assert_close(
        found, (w / (1 - (snr * sigma) ** 2 / w)).squeeze(), rtol=1e-3, atol=0
    )
