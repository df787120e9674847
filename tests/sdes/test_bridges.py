"""Bridges, against the papers and the published code."""

from math import log

import numpy as np
import pytest
import torch
from facts import Facts, check_parity, held_to
from hypothesis import strategies as st
from problems import times, vectors
from scipy.special import expi

from sgmse.sdes import BBED, SBVE, SBVP, BrownianBridge


def brownian(sde, t):
    return -1 / (1 - t), 1 / (1 - t), sde.c**0.5 + 0 * t


def bbed(sde, t):  # Lay et al. 2023, eq. 11
    return -1 / (1 - t), 1 / (1 - t), sde.theta**0.5 * sde.k**t


def sbve(sde, t):
    """Conditioned on y: f x + h y = g^2 (y - x) / (s_1^2 - s_t^2)."""
    left = sde.c * (sde.k**2 - sde.k ** (2 * t)) / (2 * log(sde.k))
    g2 = sde.c * sde.k ** (2 * t)
    return -g2 / left, g2 / left, g2.sqrt()


def sbvp(sde, t):
    """Jukic et al. 2024, table 1, tied to y by Doob's transform.

    f0 = -beta / 2,  g^2 = c beta,  alpha = exp(int f0),  s_t^2 = int g^2 / alpha^2
    f x + h y = f0 x + g^2 grad ln p(y | x)
    y | x ~ CN(alpha_1 x / alpha, alpha_1^2 (s_1^2 - s_t^2))
    """
    beta = sde.beta_min + t * (sde.beta_max - sde.beta_min)

    def alpha_and_s2(t):
        B = t * sde.beta_min + t**2 * (sde.beta_max - sde.beta_min) / 2
        return torch.exp(-B / 2), sde.c * torch.expm1(B)

    (alpha, s2), (alpha_1, s2_1) = alpha_and_s2(t), alpha_and_s2(times(1.0))
    g2 = sde.c * beta
    f = -beta / 2 - g2 / (alpha**2 * (s2_1 - s2))
    return f, g2 / (alpha * alpha_1 * (s2_1 - s2)), g2.sqrt()


def start(sde):
    return 0


def end(sde):
    return 0, 1, 0


FACTS = {
    BrownianBridge: Facts(brownian, start, end, st.builds(BrownianBridge, st.floats(0.01, 2))),
    BBED: Facts(bbed, start, end, st.builds(BBED, st.floats(0.01, 2), st.floats(1.1, 20))),
    SBVE: Facts(
        sbve,
        start,
        end,
        st.builds(SBVE, st.floats(0.2, 0.9) | st.floats(1.1, 10), st.floats(0.01, 2)),
    ),
    SBVP: Facts(
        sbvp,
        start,
        end,
        st.builds(SBVP, st.floats(0.01, 1), st.floats(1, 30), st.floats(0.01, 2)),
    ),
}


test_the_formulas_of_the_papers, test_any_constants = held_to(FACTS)


@pytest.mark.parametrize("process", FACTS)
def test_a_bridge_is_pinned(process):
    assert process().pinned
    assert process().forgets


def test_the_brownian_bridge_is_a_limit():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    ours = BrownianBridge(0.7).scales(t)
    for other in (SBVE(1 + 1e-7, 0.7), SBVE(1 - 1e-7, 0.7), BBED(0.7, 1 + 1e-7)):
        torch.testing.assert_close(tuple(ours), tuple(other.scales(t)), rtol=0, atol=1e-6)
    # g^2 = c beta and a drift of beta / 2 that vanishes with beta
    slow = SBVP(1e-6, 1e-6, 0.7e6).scales(t)
    torch.testing.assert_close(tuple(ours), tuple(slow), rtol=0, atol=1e-6)


def test_sbvp_is_as_printed():
    """a = alpha (s_1^2 - s_t^2) / s_1^2, b = alpha / alpha_1 s_t^2 / s_1^2, and so on."""
    sde, t = SBVP(0.5, 8.0, 0.3), torch.linspace(0, 1, 11, dtype=torch.float64)
    B = 0.5 * t + 7.5 * t**2 / 2
    alpha, s2 = torch.exp(-B / 2), 0.3 * (B.exp() - 1)
    left = s2[-1] - s2
    a, b, sigma = sde.scales(t)
    torch.testing.assert_close(a, alpha * left / s2[-1])
    torch.testing.assert_close(b, alpha / alpha[-1] * s2 / s2[-1])
    torch.testing.assert_close(sigma, alpha * (left * s2 / s2[-1]).sqrt())


def test_b_keeps_its_digits():
    t = torch.tensor([1e-9, 1e-6, 1e-3, 0.5, 1.0])
    for process in FACTS:
        ours, exact = process().scales(t), process().scales(t.double())
        torch.testing.assert_close(ours.b.double(), exact.b, rtol=1e-5, atol=0)


@pytest.mark.parametrize("k", [1.5, 2.6, 10.0])
def test_bbed_has_the_exponential_integral_of_scipy(k):
    def bracket(t):
        a, log_k = 1 - t.numpy(), log(k)
        ei = a * (expi(-2 * log_k * np.where(a > 0, a, 1)) - expi(-2 * log_k))
        terms = np.expm1(2 * log_k * t.numpy()) + t.numpy() + 2 * k**2 * log_k * ei
        return torch.from_numpy(terms.clip(min=0))

    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    # As near as its terms do not cancel, which they do for small t.
    torch.testing.assert_close(BBED(k=k)._bracket(t), bracket(t), rtol=1e-11, atol=1e-13)
    single = t.float()
    exact = (0.52 * (1 - single) * bracket(single.double()).float()).sqrt()
    assert torch.equal(BBED(k=k).scales(single).sigma, exact)


def test_bbed_is_differentiable_in_time():
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    sigma = BBED().scales(t).sigma
    (slope,) = torch.autograd.grad(sigma.sum(), t)
    torch.testing.assert_close(slope, BBED().rates(t.detach()).sigma)


def test_parity_of_bbed(parity):
    config, v = vectors(parity / "sde_bbed.npz")
    end = config["params"].pop("T_sampling")
    check_parity(BBED(**config["params"]), v, end)


def test_parity_of_sbve(parity):
    """The published bridge adds 1e-8 to s_1^2 - s_t^2; ours is exact."""
    config, v = vectors(parity / "sde_sbve_a.npz")
    sde, t = SBVE(**config["params"]), v["t"]
    mean = sde.sample(v["x0"], v["y"], t, torch.zeros_like(v["x0"]))
    # 1e-8 relative to s_1^2 = 1.2 in a and b
    torch.testing.assert_close(mean, v["mean"], rtol=0, atol=1e-7)
    # sigma^2 is off by 1e-8 s_t^2 / s_1^2, so sigma by 1e-4 at t = 1 where it is 0, and by
    # 1e-8 / sigma before.
    sigma = sde.scales(t).sigma
    torch.testing.assert_close(sigma[:-1], v["std"][:-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(sigma[-1:], v["std"][-1:], rtol=0, atol=2e-4)
    # The published drift is that of the process not yet tied to y: 0, with the same diffusion.
    assert (v["drift"] == 0).all()
    torch.testing.assert_close(sde.coefficients(t).g, v["diffusion"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("process", "constants", "message"),
    [
        (BrownianBridge, {"c": 0.0}, "BrownianBridge: c must be positive, not 0.0"),
        (BBED, {"theta": 0.0}, "BBED: theta"),
        (BBED, {"k": 1.0}, "BBED: k must exceed 1, not 1.0"),
        (SBVE, {"c": 0.0}, "SBVE: c must be positive"),
        (SBVE, {"k": -2.6}, "k must be positive"),
        (SBVE, {"k": 1.0}, "k must not be 1; use BrownianBridge"),
        (SBVP, {"c": -1.0}, "SBVP: c must be positive, not -1.0"),
        (SBVP, {"beta_min": 0.0}, "SBVP: beta_min must be positive, not 0.0"),
        (SBVP, {"beta_min": 30.0}, "SBVP: beta_max 20.0 is below beta_min 30.0"),
    ],
)
def test_refused_constants(process, constants, message):
    with pytest.raises(ValueError, match=message):
        process(**constants)
