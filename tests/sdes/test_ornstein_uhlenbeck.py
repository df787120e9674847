"""Processes that drift towards the observation, against the papers and the published code."""

from math import atan, exp, log, pi, sin, tan

import pytest
import torch
from facts import INSIDE, Facts, check_facts, check_parity, held_to
from hypothesis import strategies as st
from problems import times, vectors

from sgmse.sdes import FOUVE, OUVE, OUVP, CosineOU, CosineVP, Shifted


def ouve(sde, t):  # Richter et al. 2023, eq. 6 and 7
    ratio = sde.sigma_max / sde.sigma_min
    g = sde.sigma_min * ratio**t * (2 * log(ratio)) ** 0.5
    return -sde.theta + 0 * t, sde.theta + 0 * t, g


def fouve(sde, t):
    """The drift of OUVE; g^2 = (sigma^2)' + 2 theta sigma^2."""
    ratio = sde.sigma_max / sde.sigma_min
    g = sde.sigma_min * ratio**t * (2 * log(ratio) + 2 * sde.theta) ** 0.5
    return -sde.theta + 0 * t, sde.theta + 0 * t, g


def ouvp(sde, t):
    beta = sde.beta_min + t * (sde.beta_max - sde.beta_min)
    return -sde.stiffness * beta / 2, sde.stiffness * beta / 2, beta.sqrt()


def cut(sde) -> float:
    return 0.0 if sde.lambda_min is None else 2 / pi * atan(exp(sde.lambda_min / 2))


def cosine_ou(sde, t):
    """The published pi (1 - c) tan(u) / cos(u)^2 / (e^shift + tan(u)^2) for beta, unbounded."""
    c, half = cut(sde), pi / 2
    sine, cosine = torch.sin(half * (1 - c) * t), torch.sin(half * (1 - t + c * t))
    beta = 2 * half * (1 - c) * sine / cosine / (exp(sde.shift) * cosine**2 + sine**2)
    rate = sde.stiffness + beta / 2
    return -rate, rate, torch.exp(-sde.stiffness * t) * beta.sqrt()


def ouve_end(sde):
    a, ratio = exp(-sde.theta), sde.sigma_max / sde.sigma_min
    variance = sde.sigma_min**2 * log(ratio) * (ratio**2 - a**2) / (sde.theta + log(ratio))
    return a, 1 - a, variance**0.5


def ouvp_end(sde):
    a = exp(-sde.stiffness * (sde.beta_min + sde.beta_max) / 4)
    return a, 1 - a, ((1 - a**2) / sde.stiffness) ** 0.5


def cosine_ou_end(sde):
    e = exp(-sde.stiffness)
    if sde.lambda_min is None:
        return 0, 1, e
    phi = atan(exp(-(sde.shift + sde.lambda_min) / 2))
    # cos and sin of phi, of which one may be tiny
    a = e / tan(phi) * sin(phi) if phi < 1 else e * exp((sde.shift + sde.lambda_min) / 2) * sin(phi)
    return a, 1 - a, e * sin(phi)


sigmas = st.floats(0.01, 0.2), st.floats(0.3, 3)

FACTS = {
    OUVE: Facts(ouve, lambda sde: 0, ouve_end, st.builds(OUVE, st.floats(0.1, 5), *sigmas)),
    FOUVE: Facts(
        fouve,
        lambda sde: sde.sigma_min,
        lambda sde: (exp(-sde.theta), 1 - exp(-sde.theta), sde.sigma_max),
        st.builds(FOUVE, st.floats(0.1, 5), *sigmas),
    ),
    OUVP: Facts(
        ouvp,
        lambda sde: 0,
        ouvp_end,
        st.builds(OUVP, st.floats(0.01, 1), st.floats(1, 20), st.floats(0.2, 3)),
    ),
    CosineOU: Facts(
        cosine_ou,
        lambda sde: 0,
        cosine_ou_end,
        st.builds(
            CosineOU,
            st.just(0.0) | st.floats(0.1, 5),
            st.floats(-3, 6),
            st.none() | st.floats(-20, -6),
        ),
    ),
}


test_the_formulas_of_the_papers, test_any_constants = held_to(FACTS)


def test_a_cosine_that_forgets():
    sde = CosineOU(lambda_min=None)
    check_facts(FACTS[CosineOU], sde)
    assert sde.forgets
    assert not CosineOU().forgets


@pytest.mark.parametrize("shift", [-2.0, 0.0, 3.0])
def test_the_cosine_has_the_published_signal_to_noise_ratio(shift):
    """Gonzalez et al. 2023: lambda = -2 ln tan(pi t' / 2) + shift, in a time that ends at -12."""
    t_end = 2 / pi * atan(exp(12 / 2))
    published = -2 * torch.tan(pi / 2 * t_end * INSIDE).log() + shift
    torch.testing.assert_close(2 * CosineOU(shift=shift).log_snr(INSIDE), published)
    last = float(2 * CosineOU(shift=shift).log_snr(times(1.0)))
    assert last == pytest.approx(shift - 12)


def test_a_cosine_without_stiffness_is_a_shifted_diffusion():
    """That of Nichol and Dhariwal without an offset."""
    ours = CosineOU(stiffness=0.0, shift=0.0, lambda_min=None).scales(INSIDE)
    a, b, sigma = Shifted(CosineVP(1e-13)).scales(INSIDE)
    torch.testing.assert_close(tuple(ours), (a, b, sigma), rtol=1e-10, atol=1e-10)
    a, _, sigma = CosineOU(stiffness=0.0, shift=-1.0).scales(INSIDE)
    torch.testing.assert_close(a**2 + sigma**2, torch.ones_like(INSIDE))


def test_b_keeps_its_digits():
    """1 - a in float32, where a rounds to 1."""
    t = torch.tensor([1e-9, 1e-6, 1e-3, 0.5, 1.0])
    for sde in (OUVE(), FOUVE(), OUVP(), CosineOU(), CosineOU(stiffness=0.0)):
        exact = sde.scales(t.double())
        torch.testing.assert_close(sde.scales(t).b.double(), exact.b, rtol=1e-5, atol=0)
        torch.testing.assert_close(exact.b, 1 - exact.a, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "sde"),
    [
        ("sde_ouve_a", OUVE(theta=1.5, sigma_min=0.05, sigma_max=0.5)),
        ("sde_ouve_48k_a", OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0)),
    ],
)
def test_parity(parity, name, sde):
    config, v = vectors(parity / f"{name}.npz")
    assert OUVE(**config["params"]) == sde
    check_parity(sde, v)


def test_parity_of_storm(parity):
    """Where the published sigma is taken for what it is, a variance."""
    config, v = vectors(parity / "sde_storm_ouvp.npz")
    y, variance = v["y"], v["std"]
    v["std"] = variance.sqrt()
    # Their prior has the variance of t = 1 as its standard deviation.
    v["prior_sample"] = y + (v["prior_sample"] - y) / variance[-1].sqrt()
    check_parity(OUVP(**config["params"]), v)


@pytest.mark.parametrize(
    ("process", "constants", "message"),
    [
        (OUVE, {"theta": 0.0}, "OUVE: theta must be positive, not 0.0"),
        (OUVE, {"theta": float("nan")}, "theta"),
        (OUVE, {"sigma_min": -0.1}, "sigma_min"),
        (OUVE, {"sigma_max": float("inf")}, "sigma_max"),
        (OUVE, {"sigma_min": 0.5, "sigma_max": 0.5}, "sigma_max 0.5 must exceed sigma_min 0.5"),
        (FOUVE, {"theta": -1.0}, "FOUVE: theta must be positive, not -1.0"),
        (FOUVE, {"sigma_max": 0.01}, "FOUVE: sigma_max 0.01 must exceed sigma_min 0.05"),
        (OUVP, {"stiffness": 0.0}, "OUVP: stiffness must be positive, not 0.0"),
        (OUVP, {"beta_min": 11.0}, "OUVP: beta_max 10.0 is below beta_min 11.0"),
        (CosineOU, {"stiffness": -1.0}, "CosineOU: stiffness must be 0 or positive, not -1.0"),
        (CosineOU, {"shift": float("inf")}, "CosineOU: shift must be finite, not inf"),
        (CosineOU, {"lambda_min": 1.0}, "CosineOU: lambda_min must be None or negative, not 1.0"),
        (CosineOU, {"lambda_min": float("-inf")}, "lambda_min must be None or negative, not -inf"),
    ],
)
def test_refused_constants(process, constants, message):
    with pytest.raises(ValueError, match=message):
        process(**constants)
