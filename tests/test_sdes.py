from dataclasses import astuple
from math import exp, isfinite, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import noise, times, vectors
from scipy.integrate import solve_ivp

from sgmse.sdes import BBED, OUVE, SBVE, SDE, VE, VP

INSIDE = times(0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
ENDS = times(0.0, 1e-6, 1e-3, 0.5, 0.999, 1 - 1e-6, 1.0)
PINNED = (SBVE, BBED)


def test_starts_at_the_clean_audio(sde):
    a, b, sigma = sde.scales(times(0.0))
    assert float(a) == pytest.approx(1, abs=1e-15)
    assert b == 0
    start = sde.sigma_min if isinstance(sde, VE) else 0.0
    assert float(sigma) == pytest.approx(start, abs=1e-15)


def test_ends_as_it_says(sde):
    a, b, sigma = (float(s) for s in sde.scales(times(1.0)))
    match sde:
        case OUVE():
            assert (a, b) == pytest.approx((exp(-sde.theta), 1 - exp(-sde.theta)), abs=1e-15)
        case SBVE() | BBED():
            assert (a, sigma) == (0, 0)
            assert b == pytest.approx(1, abs=1e-15)
        case VE():
            assert (a, b, sigma) == (1, 0, pytest.approx(sde.sigma_max))
        case VP():
            assert a == pytest.approx(exp(-(sde.beta_min + sde.beta_max) / 4))
            assert (b, sigma**2) == (0, pytest.approx(1 - a**2))
        case _:
            pytest.fail(f"{sde} has no boundary conditions in this test")
    assert sde.pinned == isinstance(sde, PINNED)


def coefficients_of_the_papers(sde: SDE, t: torch.Tensor):
    """f, h, g as printed, which the code derives from (a, b, sigma)."""
    one = torch.ones_like(t)
    match sde:
        case OUVE(theta, low, high):  # Richter et al. 2023, eq. 6 and 7
            ratio = high / low
            g = low * ratio**t * (2 * log(ratio)) ** 0.5
            return -theta * one, theta * one, g
        case SBVE(k, c):  # conditioned on y: f x + h y = g^2 (y - x) / (s_1^2 - s_t^2)
            left = c * (k**2 - k ** (2 * t)) / (2 * log(k))
            g2 = c * k ** (2 * t)
            return -g2 / left, g2 / left, g2.sqrt()
        case BBED(theta, k):  # Lay et al. 2023, eq. 11
            return -1 / (1 - t), 1 / (1 - t), theta**0.5 * k**t
        case VE(low, high):  # Song et al. 2021, eq. 30
            return 0 * t, 0 * t, low * (high / low) ** t * (2 * log(high / low)) ** 0.5
        case VP(low, high):  # Song et al. 2021, eq. 32
            beta = low + t * (high - low)
            return -beta / 2, 0 * t, beta.sqrt()
    return pytest.fail(f"{sde} has no published coefficients in this test")


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float64, 1e-9),
        # g^2 is a difference of terms up to 1 / t or 1 / (1 - t) <= 100 times larger
        (torch.float32, 2e-4),
    ],
)
def test_coefficients_are_those_of_the_papers(sde, dtype, tolerance):
    expected = coefficients_of_the_papers(sde, INSIDE)
    for ours, theirs in zip(sde.coefficients(INSIDE.to(dtype)), expected, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)


def test_coefficients_at_the_ends(sde):
    for dtype in (torch.float64, torch.float32):
        f, h, g = sde.coefficients(times(0.0, 1.0, dtype=dtype))
        _, _, g_paper = coefficients_of_the_papers(sde, times(0.0, 1.0))
        torch.testing.assert_close(g.double(), g_paper, rtol=1e-4, atol=0)
        assert f[0].isfinite()
        assert h[0].isfinite()
        if sde.pinned:
            assert f[1] == -torch.inf
            assert h[1] == torch.inf
        else:
            assert f[1].isfinite()
            assert h[1].isfinite()


def test_rates_are_the_derivatives(sde):
    d = 1e-6
    after, before = sde.scales(INSIDE + d), sde.scales(INSIDE - d)
    for rate, up, down in zip(sde.rates(INSIDE), after, before, strict=True):
        # a central difference of values around 1 errs by 1e-16 / d + d^2 times a third derivative
        torch.testing.assert_close(rate, (up - down) / (2 * d), rtol=1e-6, atol=1e-7)


def test_rates_take_expanded_times(sde):
    t = times(0.4)
    torch.testing.assert_close(sde.rates(t.expand(3)), tuple(r.expand(3) for r in sde.rates(t)))


def test_marginals_solve_the_moment_equations(sde):
    """m' = f m + h y and v' = 2 f v + g^2 lead to a x0 + b y and sigma^2."""
    x0, y, start, end = 0.7, -0.4, 0.05, 0.95

    def moments(t: float) -> list[float]:
        a, b, sigma = (float(s) for s in sde.scales(times(t)))
        return [a * x0 + b * y, sigma**2]

    def rates(t, state):
        f, h, g = (float(c) for c in sde.coefficients(times(t)))
        return [f * state[0] + h * y, 2 * f * state[1] + g**2]

    solution = solve_ivp(rates, (start, end), moments(start), "DOP853", rtol=1e-7, atol=1e-10)
    assert solution.y[:, -1] == pytest.approx(moments(end), rel=1e-6, abs=1e-8)


def test_simulated_paths_have_the_marginals(sde):
    """Euler-Maruyama of dx = (f x + h y) dt + g dw from one x0."""
    paths, steps, end = 4000, 400, 0.8
    x0, y = 0.6 + 0.2j, -0.3 + 0.5j
    t = torch.linspace(0, end, steps + 1, dtype=torch.float64)
    f, h, g = sde.coefficients(t[:-1])
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(steps + 1, paths, dtype=torch.complex128, generator=generator)
    dt = end / steps
    x = x0 + sde.scales(t[:1]).sigma * z[steps]  # VE starts with a little noise
    for i in range(steps):
        x = x + (f[i] * x + h[i] * y) * dt + g[i] * dt**0.5 * z[i]
    a, b, sigma = (float(s) for s in sde.scales(t[-1:]))
    mean, variance = x.mean(), (x - x.mean()).abs().pow(2).mean()
    # Four standard errors, and the first-order bias of Euler-Maruyama: f dt is at most 0.04 here.
    assert abs(mean - (a * x0 + b * y)) < 4 * sigma / paths**0.5 + 0.01
    assert float(variance) == pytest.approx(sigma**2, rel=4 / paths**0.5 + 0.04)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_finite_to_the_ends(sde, dtype):
    t = ENDS.to(dtype)
    t = torch.cat([t, torch.tensor([1.0], dtype=dtype).nextafter(torch.zeros(1, dtype=dtype))])
    scales = sde.scales(t)
    assert all(s.dtype == dtype and s.shape == t.shape and s.isfinite().all() for s in scales)
    assert (scales.sigma >= 0).all()
    assert not sde.log_snr(t).isnan().any()
    assert not any(rate.isnan().any() for rate in sde.rates(t))
    assert not any(c.isnan().any() for c in sde.coefficients(t))
    # Float32 keeps every digit near both ends, where the published code takes epsilons.
    for ours, exact in zip(scales, sde.scales(t.double()), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=0)


def test_log_snr_falls(sde):
    lambdas = sde.log_snr(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (lambdas.diff() < 0).all()
    assert (lambdas[-1] == -torch.inf) == sde.pinned


def test_log_snr_is_what_the_diffusion_spends(sde):
    """g^2 = -2 sigma^2 lambda'."""
    d = 1e-6
    rate = (sde.log_snr(INSIDE + d) - sde.log_snr(INSIDE - d)) / (2 * d)
    g2 = -2 * sde.scales(INSIDE).sigma ** 2 * rate
    torch.testing.assert_close(sde.coefficients(INSIDE).g ** 2, g2, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 1, 4, 2)])
@pytest.mark.parametrize("dtype", [torch.complex128, torch.float32])
def test_sample_is_the_equation(sde, shape, dtype):
    x0, y, z = (noise(*shape, seed=i, dtype=dtype) for i in range(3))
    t = times(0.2, 0.5, 0.9, dtype=x0.real.dtype)
    x = sde.sample(x0, y, t, z)
    assert x.dtype == dtype
    for i in range(3):
        a, b, sigma = (float(s[i]) for s in sde.scales(t))
        torch.testing.assert_close(x[i], a * x0[i] + b * y[i] + sigma * z[i])


def test_prior_is_the_state_with_y_for_x0(sde):
    y, z = noise(2, 3, 4, seed=1), noise(2, 3, 4, seed=2)
    for t in (1.0, 0.7):
        expected = sde.sample(y, y, times(t, t), z)
        assert torch.equal(sde.prior(y, z, t), expected)
    if sde.pinned:
        torch.testing.assert_close(sde.prior(y, z), y)


@pytest.mark.parametrize(
    ("name", "sde", "end"),
    [
        ("sde_ouve_a", OUVE(theta=1.5, sigma_min=0.05, sigma_max=0.5), 1.0),
        ("sde_ouve_48k_a", OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0), 1.0),
        ("sde_bbed", BBED(theta=0.52, k=2.6), 0.999),
    ],
)
def test_parity(parity, name, sde, end):
    config, v = vectors(parity / f"{name}.npz")
    assert {"theta", "sigma_min", "sigma_max", "k"} & set(config["params"])
    assert all(v_ in config["params"].values() for v_ in astuple(sde))
    t, x, x0, y = (v[key] for key in ("t", "x", "x0", "y"))
    # BBED's printed variance loses digits at small t, its square root half of what is left of them.
    tolerance = {"rtol": 1e-9, "atol": 1e-9}
    zero = torch.zeros_like(x0)
    torch.testing.assert_close(sde.sample(x0, y, t, zero), v["mean"], **tolerance)
    torch.testing.assert_close(sde.scales(t).sigma, v["std"], **tolerance)
    f, h, g = (c[:, None, None, None] for c in sde.coefficients(t))
    torch.testing.assert_close(f * x + h * y, v["drift"], **tolerance)
    torch.testing.assert_close(g.flatten(), v["diffusion"], **tolerance)
    # The published prior is centred on y itself.
    sigma = sde.scales(times(end)).sigma
    torch.testing.assert_close(y + sigma * v["prior_noise"][0], v["prior_sample"], **tolerance)


def test_parity_of_the_bridge(parity):
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
        (OUVE, {"theta": 0.0}, "OUVE: theta must be positive, not 0.0"),
        (OUVE, {"theta": float("nan")}, "theta"),
        (OUVE, {"sigma_min": -0.1}, "sigma_min"),
        (OUVE, {"sigma_max": float("inf")}, "sigma_max"),
        (OUVE, {"sigma_min": 0.5, "sigma_max": 0.5}, "sigma_max 0.5 must exceed 0.5"),
        (SBVE, {"c": 0.0}, "SBVE: c must be positive"),
        (SBVE, {"k": -2.6}, "k must be positive"),
        (SBVE, {"k": 1.0}, "k must not be 1"),
        (BBED, {"theta": 0.0}, "BBED: theta"),
        (BBED, {"k": 1.0}, "k must exceed 1"),
        (VE, {"sigma_min": 0.0}, "VE: sigma_min"),
        (VE, {"sigma_min": 1.0, "sigma_max": 0.5}, "sigma_max 0.5 must exceed 1.0"),
        (VP, {"beta_min": 0.0}, "VP: beta_min"),
        (VP, {"beta_min": 2.0, "beta_max": 1.0}, "beta_max 1.0 is below beta_min 2.0"),
    ],
)
def test_refused_constants(process, constants, message):
    with pytest.raises(ValueError, match=message):
        process(**constants)


def test_a_process_is_its_constants():
    assert OUVE() == OUVE(1.5, 0.05, 0.5)
    assert hash(SBVE()) == hash(SBVE(2.6, 0.4))
    with pytest.raises(TypeError):
        OUVE(sigma=1.0)
    with pytest.raises(AttributeError):
        OUVE().theta = 2.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_scales_are_differentiable_in_t(dtype):
    t = torch.tensor([0.2, 0.8], dtype=dtype, requires_grad=True)
    for sde in (OUVE(), SBVE(), VE(), VP()):
        (slope,) = torch.autograd.grad(sde.scales(t).sigma.sum(), t)
        torch.testing.assert_close(slope, sde.rates(t.detach()).sigma)


processes = st.one_of(
    st.builds(OUVE, st.floats(0.1, 5), st.floats(0.01, 0.2), st.floats(0.3, 3)),
    st.builds(SBVE, st.floats(0.2, 0.9) | st.floats(1.1, 10), st.floats(0.01, 2)),
    st.builds(BBED, st.floats(0.01, 2), st.floats(1.1, 20)),
    st.builds(VE, st.floats(0.001, 0.1), st.floats(0.2, 50)),
    st.builds(VP, st.floats(0.01, 1), st.floats(1, 40)),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(processes, st.floats(0.001, 0.999))
def test_any_constants(sde, t):
    """The end points, the papers' coefficients and finiteness hold for all constants."""
    a, b, _ = sde.scales(times(0.0))
    assert (float(a), float(b)) == (pytest.approx(1, abs=1e-15), 0)
    at = times(t)
    assert all(isfinite(s) for s in sde.scales(at))
    for ours, theirs in zip(sde.coefficients(at), coefficients_of_the_papers(sde, at), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
