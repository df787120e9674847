"""The published sampler, on its vectors and on posteriors that are known."""

import pytest
import torch
from problems import Gaussian, noise, times, vectors
from safetensors.torch import load_file

from sgmse.estimates import Score
from sgmse.model import ScoreModel
from sgmse.networks.ncsnpp import NCSNpp, published_keys
from sgmse.sdes import BBED, OUVE, SBVE, VE
from sgmse.solvers import (
    AnnealedLangevin,
    Langevin,
    LogSNR,
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
        "reverse_diffusion": ReverseDiffusion(),
        "euler_maruyama": ReverseDiffusion(stepsize=1 / config["N"]),
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


def published_network(folder, config: dict) -> NCSNpp:
    kwargs = config["net_kwargs"]
    network = NCSNpp.v1(
        channels=kwargs["nf"],
        multipliers=kwargs["ch_mult"],
        blocks=kwargs["num_res_blocks"],
        attention_resolutions=kwargs["attn_resolutions"],
        bins=kwargs["image_size"],
    )
    weights = load_file(folder / "sampler_net_ncsnpp.safetensors")
    keys = published_keys(network)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in keys.items()})
    return network.double().eval()


@pytest.mark.parametrize("name", GAUSSIAN + NETWORK)
def test_parity(parity, name):
    config, v = vectors(parity / f"{name}.npz")
    sde, start = published_sde(config)
    if "net_kwargs" in config:
        model = ScoreModel(published_network(parity, config), sde, Score(sign=-1))
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


class Draws:
    """A fixed sequence of pseudo-random draws."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, like):
        return torch.randn(like.shape, dtype=like.dtype, generator=self.generator)


@pytest.mark.parametrize("corrector", [None, AnnealedLangevin(0.3), Langevin(0.3)], ids=repr)
@pytest.mark.parametrize("sde", [OUVE(), SBVE(), BBED(), VE()], ids=repr)
def test_moments_of_the_posterior(sde, corrector):
    problem, samples, start, end = Gaussian(sde, 0.5 - 0.3j, 0.2), 3000, 0.95, 0.05
    y = torch.full((1, samples), 0.4 + 0.2j, dtype=torch.complex128)
    mean, variance = problem.moments(y, times(start))
    x = mean + variance.sqrt() * noise(1, samples)
    grid = LogSNR(80, start, end, finish=False)
    x, _, _ = solve(problem, y, PredictorCorrector(corrector=corrector), grid, x=x, randn=Draws())
    mean, variance = problem.moments(y, times(end))
    # Four standard errors of 3000 samples, and what 80 first-order steps leave.
    error = (variance[0, 0] / samples) ** 0.5
    assert (x - mean).mean().abs() < 4 * error + 0.01
    ratio = (x - x.mean()).abs().pow(2).mean() / variance[0, 0]
    assert float(ratio) == pytest.approx(1, abs=4 / samples**0.5 + 0.06)


def test_order():
    """Without noise and corrector the predictor is a first-order solver of its mean."""
    sde = OUVE()
    problem, x, y = Gaussian(sde, 0.5 - 0.3j, 0.2), noise(1, 8), noise(1, 8, seed=1)
    solver = PredictorCorrector(corrector=None)
    ends = [
        solve(problem, y, solver, Uniform(n, 0.9, 0.1, finish=False), x=x, randn=torch.zeros_like).x
        for n in (32, 64, 128)
    ]
    # Richardson: successive differences of a method of order 1 halve.
    ratio = (ends[1] - ends[0]).abs().max() / (ends[2] - ends[1]).abs().max()
    assert float(ratio) == pytest.approx(2**solver.order, rel=0.1)


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


def test_steps_are_their_formulas():
    sde, t, s = OUVE(), times(0.6, 0.6), times(0.5, 0.5)
    x, y, z = (noise(2, 3, seed=i) for i in range(3))
    problem = Gaussian(sde, 0.5, 0.1)
    score = problem.score(x, y, t)
    f, h, g = (c[:, None] for c in sde.coefficients(t))
    ours, mean = ReverseDiffusion().predict(problem, x, y, t, s, lambda like: z)
    torch.testing.assert_close(mean, x - 0.1 * (f * x + h * y - g**2 * score))
    torch.testing.assert_close(ours, mean + g * 0.1**0.5 * z)
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
        (lambda: ReverseDiffusion(-1.0), "ReverseDiffusion: stepsize must be positive, not -1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
