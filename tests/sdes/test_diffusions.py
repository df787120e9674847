"""Diffusions of x0 alone, against the papers."""

from math import exp, log, pi

import numpy as np
import pytest
import torch
from facts import Facts, held_to
from hypothesis import strategies as st
from problems import times

from sgmse.sdes import VE, VP, CosineVP, FlowMatching, LinearVE, SubVP


def beta(sde, t):
    return sde.beta_min + t * (sde.beta_max - sde.beta_min)


def integral(sde, t):
    return t * sde.beta_min + t**2 * (sde.beta_max - sde.beta_min) / 2


def ve(sde, t):  # Song et al. 2021, eq. 30
    ratio = sde.sigma_max / sde.sigma_min
    return 0 * t, 0 * t, sde.sigma_min * ratio**t * (2 * log(ratio)) ** 0.5


def linear_ve(sde, t):  # Karras et al. 2022, eq. 1 with s = 1: g = sqrt(2 sigma' sigma)
    return 0 * t, 0 * t, sde.sigma_max * (2 * t).sqrt()


def vp(sde, t):  # Song et al. 2021, eq. 32
    return -beta(sde, t) / 2, 0 * t, beta(sde, t).sqrt()


def sub_vp(sde, t):  # Song et al. 2021, section 3.4
    return (
        -beta(sde, t) / 2,
        0 * t,
        (beta(sde, t) * (1 - torch.exp(-2 * integral(sde, t)))).sqrt(),
    )


def cosine_vp(sde, t):
    """Of every process that preserves the variance: f = -beta / 2, g = sqrt(beta)."""
    w = pi / 2 / (1 + sde.offset)
    half_beta = w * torch.cos(w * (1 - t)) / torch.sin(w * (1 - t))
    return -half_beta, 0 * t, (2 * half_beta).sqrt()


def flow_matching(sde, t):
    sigma = 1 - (1 - sde.sigma_min) * (1 - t)  # Lipman et al. 2023, eq. 20
    return -1 / (1 - t), 0 * t, (2 * sigma / (1 - t)).sqrt()


def last_a(sde):
    return exp(-(sde.beta_min + sde.beta_max) / 4)


betas = st.floats(0.01, 1), st.floats(1, 40)

FACTS = {
    VE: Facts(
        ve,
        lambda sde: sde.sigma_min,
        lambda sde: (1, 0, sde.sigma_max),
        st.builds(VE, st.floats(0.001, 0.1), st.floats(0.2, 50)),
    ),
    LinearVE: Facts(
        linear_ve,
        lambda sde: 0,
        lambda sde: (1, 0, sde.sigma_max),
        st.builds(LinearVE, st.floats(0.01, 100)),
    ),
    VP: Facts(
        vp,
        lambda sde: 0,
        lambda sde: (last_a(sde), 0, (1 - last_a(sde) ** 2) ** 0.5),
        st.builds(VP, *betas),
    ),
    SubVP: Facts(
        sub_vp,
        lambda sde: 0,
        lambda sde: (last_a(sde), 0, 1 - last_a(sde) ** 2),
        st.builds(SubVP, *betas),
    ),
    CosineVP: Facts(
        cosine_vp,
        lambda sde: 0,
        lambda sde: (0, 0, 1),
        st.builds(CosineVP, st.floats(1e-4, 1)),
    ),
    FlowMatching: Facts(
        flow_matching,
        lambda sde: sde.sigma_min,
        lambda sde: (0, 0, 1),
        st.builds(FlowMatching, st.just(0.0) | st.floats(1e-6, 0.9)),
    ),
}


test_the_formulas_of_the_papers, test_any_constants = held_to(FACTS)


def test_variance_is_preserved():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    for sde in (VP(), VP(2.0, 2.0), CosineVP(), CosineVP(0.3)):
        a, _, sigma = sde.scales(t)
        torch.testing.assert_close(a**2 + sigma**2, torch.ones_like(t), rtol=1e-14, atol=0)
    assert (SubVP().scales(t[1:-1]).sigma < VP().scales(t[1:-1]).sigma).all()


def test_cosine_is_as_printed():
    """Nichol, Dhariwal 2021, eq. 17: a^2 = f(t) / f(0), f = cos((t + s) / (1 + s) pi / 2)^2."""
    t, s = np.linspace(0, 1, 21), 0.008

    def f(t):
        return np.cos((t + s) / (1 + s) * pi / 2) ** 2

    a, _, sigma = CosineVP(s).scales(torch.from_numpy(t))
    np.testing.assert_allclose(a**2, f(t) / f(0), rtol=0, atol=1e-15)
    np.testing.assert_allclose(sigma**2, 1 - f(t) / f(0), rtol=0, atol=1e-15)
    # where the printed form leaves 4e-33
    assert CosineVP(s).scales(times(1.0)).a == 0


@pytest.mark.parametrize(
    ("process", "constants", "message"),
    [
        (VE, {"sigma_min": 0.0}, "VE: sigma_min must be positive, not 0.0"),
        (VE, {"sigma_max": float("inf")}, "VE: sigma_max must be positive, not inf"),
        (VE, {"sigma_min": 1.0, "sigma_max": 0.5}, "sigma_max 0.5 must exceed sigma_min 1.0"),
        (VE, {"sigma_min": 1.0, "sigma_max": 1.0}, "sigma_max 1.0 must exceed sigma_min 1.0"),
        (LinearVE, {"sigma_max": 0.0}, "LinearVE: sigma_max must be positive, not 0.0"),
        (VP, {"beta_min": 0.0}, "VP: beta_min must be positive, not 0.0"),
        (VP, {"beta_min": 2.0, "beta_max": 1.0}, "VP: beta_max 1.0 is below beta_min 2.0"),
        (SubVP, {"beta_max": float("nan")}, "SubVP: beta_max must be positive, not nan"),
        (SubVP, {"beta_min": 2.0, "beta_max": 1.0}, "SubVP: beta_max 1.0 is below beta_min 2.0"),
        (CosineVP, {"offset": 0.0}, "CosineVP: offset must be positive, not 0.0"),
        (
            FlowMatching,
            {"sigma_min": -0.1},
            r"FlowMatching: sigma_min must be in \[0, 1\), not -0.1",
        ),
        (FlowMatching, {"sigma_min": 1.0}, r"sigma_min must be in \[0, 1\), not 1.0"),
        (FlowMatching, {"sigma_min": float("nan")}, "not nan"),
    ],
)
def test_refused_constants(process, constants, message):
    with pytest.raises(ValueError, match=message):
        process(**constants)
