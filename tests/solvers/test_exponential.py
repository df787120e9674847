"""Orders, moments and the textbook formulas."""

from dataclasses import replace
from math import exp, log, pi

import pytest
import torch
from conftest import OFTEN, SDES, together
from problems import Gaussian, noise, slope, times
from proofs import STEPS, VARIANCES, flow_errors, response
from scipy.integrate import quad
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.sdes import OUVE, SBVE, VE, VP, CosineVP
from sgmse.solvers import Exponential, LogSNR, Multistep, Singlestep, Uniform, UniPC, solve
from sgmse.solvers._exponential import Weights, bend, integrals

PROBLEM = {"mean": 0.5 - 0.3j, "variance": 0.3}


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
@pytest.mark.parametrize("solver", [Exponential(start=0.0), Multistep(start=0.0)], ids=repr)
@pytest.mark.parametrize("grid", [Uniform, LogSNR])
def test_order(sde, solver, grid):
    # A start before the end of a bridge, and an end before 0, where all is smooth.
    problem = Gaussian(sde, PROBLEM["mean"], VARIANCES)
    errors = flow_errors(problem, solver, grid(1, 0.9, 0.1, finish=False))
    order = slope(STEPS, errors)
    # The slope nears its limit from either side; 0.15 is what is left of that at 128 steps.
    assert solver.order - 0.15 < order < solver.order + 0.3
    assert errors[-1] < (0.05 if solver.order == 1 else 0.005)


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
@pytest.mark.parametrize("solver", [Exponential(), Multistep()], ids=repr)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_moments_of_the_posterior(sde, solver, eta):
    """From the right start every eta ends in the right distribution, nearer with a higher order."""
    problem = Gaussian(sde, PROBLEM["mean"], VARIANCES)
    grid = LogSNR(100, end=1e-3)
    mean, variance = response(problem, replace(solver, eta=eta), grid)
    # An affine solver started at the mean stays there.
    torch.testing.assert_close(mean, torch.full_like(mean, PROBLEM["mean"]))
    # The last step gives x0_hat, whose variance at x_t is the part a^2 v / w of the posterior's.
    a, _, _ = sde.scales(times(1e-3))
    _, w = problem.moments(torch.zeros(1, 1), times(1e-3))
    ratio = variance / (a**2 * VARIANCES**2 / w)[0]
    # h or h^2, with steps h in lambda; but on a bridge, the first step of the ODE, from a point,
    # misses a^2 v of the variance for ever.
    t = grid.times(sde)
    h = sde.log_snr(t[2:4]).diff().abs()
    a, _, sigma = sde.scales(t[1:2])
    missing = 1 / (1 + sigma**2 / (a**2 * VARIANCES.max())) if sde.pinned and eta < 1 else 0.0
    assert (ratio - 1).abs().max() < 1.1 * h**solver.order + missing


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_order_of_the_sde_in_the_moments(sde):
    """The variance of samples nears that of x_t with the declared order, also with fresh noise."""
    for solver in (Exponential(eta=1.0), Multistep(eta=1.0)):
        problem = Gaussian(sde, PROBLEM["mean"], VARIANCES)
        _, exact = problem.moments(torch.zeros(1, 1), times(0.1))
        errors = []
        for n in STEPS[1:]:
            _, variance = response(problem, solver, LogSNR(n, 0.9, 0.1, finish=False))
            errors.append(float((variance / exact - 1).abs().max()))
        assert slope(STEPS[1:], errors) > solver.order - 0.2


def test_eta_interpolates():
    """From the flow to the process with ever more fresh noise, all with the same marginals."""
    t, s = times(0.6), times(0.4)
    for sde in (OUVE(), SBVE(), VE(), VP()):
        weights = [Exponential(eta=eta).weights(sde, t, s) for eta in (0.0, 0.3, 0.7, 1.0)]
        fresh = [float(w.z) for w in weights]
        assert fresh[0] == 0
        assert fresh == sorted(fresh)
        for w, eta in zip(weights, (0.0, 0.3, 0.7, 1.0), strict=True):
            torch.testing.assert_close(w.k, (1 + eta**2) * w.h)
            torch.testing.assert_close(
                w.z**2, sde.scales(s).sigma ** 2 * (1 - (-2 * eta**2 * w.h).exp())
            )
            torch.testing.assert_close(w.noise**2 + w.z**2, sde.scales(s).sigma ** 2)


def test_full_eta_is_the_posterior_of_the_forward_process(sde):
    """x_s given x_t and x0 is Gaussian with the weight cov(x_s, x_t) / var(x_t) of the noise."""
    t, s = times(0.7), times(0.3)
    w = Exponential(eta=1.0).weights(sde, t, s)
    (a_t, _, sigma_t), (a_s, _, sigma_s) = sde.scales(t), sde.scales(s)
    covariance = a_t / a_s * sigma_s**2  # x_t = (a_t / a_s) x_s + ... + independent noise
    torch.testing.assert_close(w.noise, covariance / sigma_t)
    torch.testing.assert_close(w.z**2, sigma_s**2 - covariance**2 / sigma_t**2)


def ddim(sde, x, y, x0, z, t, s):
    """Song et al. 2021 (DDIM), eq. 12 with sigma = 0."""
    (a_t, _, sigma_t), (a_s, _, sigma_s) = sde.scales(t), sde.scales(s)
    return a_s * x0 + sigma_s * (x - a_t * x0) / sigma_t


def ancestral(sde, x, y, x0, z, t, s):
    """Ho et al. 2020, eq. 6 and 7."""
    (a_t, _, sigma_t), (a_s, _, sigma_s) = sde.scales(t), sde.scales(s)
    alpha, beta = (a_t / a_s) ** 2, 1 - (a_t / a_s) ** 2
    mean = (a_s * beta * x0 + alpha.sqrt() * sigma_s**2 * x) / sigma_t**2
    return mean + (sigma_s**2 / sigma_t**2 * beta).sqrt() * z


def bridge_scales(sde: SBVE, t):
    """s_t^2 and s_1^2 - s_t^2."""
    done = sde.c * (sde.k ** (2 * t) - 1) / (2 * log(sde.k))
    return done, sde.c * (sde.k**2 - 1) / (2 * log(sde.k)) - done


def bridge_ode(sde, x, y, x0, z, t, s):
    """Jukic et al. 2024, eq. 11, with alpha = 1."""
    (v_t, w_t), (v_s, w_s) = bridge_scales(sde, t), bridge_scales(sde, s)
    total = v_t + w_t
    share = (v_s * w_s / (v_t * w_t)).sqrt()
    of_x0 = (w_s - w_t * share) / total
    of_y = (v_s - v_t * share) / total
    return share * x + of_x0 * x0 + of_y * y


def bridge_sde(sde, x, y, x0, z, t, s):
    """Jukic et al. 2024, eq. 10, with alpha = 1."""
    (v_t, _), (v_s, _) = bridge_scales(sde, t), bridge_scales(sde, s)
    return v_s / v_t * x + (1 - v_s / v_t) * x0 + (v_s * (1 - v_s / v_t)).sqrt() * z


def euler(sde, x, y, x0, z, t, s):
    """Of the flow a' x0 + b' y + sigma' noise with constant rates."""
    a, b, sigma = sde.scales(t)
    da, db, dsigma = sde.rates(t)
    noise = (x - a * x0 - b * y) / sigma
    return x + (s - t) * (da * x0 + db * y + dsigma * noise)


@pytest.mark.parametrize(
    ("sde", "eta", "formula"),
    [
        (VP(), 0.0, ddim),
        (VE(), 0.0, ddim),
        (VP(), 1.0, ancestral),
        (SBVE(), 0.0, bridge_ode),
        (SBVE(k=0.5, c=1.0), 0.0, bridge_ode),
        (SBVE(), 1.0, bridge_sde),
        (SBVE(k=0.5, c=1.0), 1.0, bridge_sde),
    ],
)
def test_the_step_of_the_textbooks(sde, eta, formula):
    problem = Gaussian(sde, **PROBLEM)
    x, y, z = (noise(1, 5, seed=i) for i in range(3))
    t, s = times(0.6), times(0.35)
    ours, _ = Exponential(eta).step(problem, x, y, t, s, None, lambda like: z)
    theirs = formula(sde, x, y, problem(x, y, t).x0, z, t, s)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def linear_betas(t: Tensor) -> Tensor:
    """1 - exp(-int beta) of each step of VP(0.1, 20)."""
    return 1 - torch.exp(-(0.1 * t + 19.9 * t**2 / 2).diff())


def cosine_betas(t: Tensor) -> Tensor:
    """Nichol, Dhariwal 2021, eq. 17."""
    alpha_bar = torch.cos((t + 0.008) / 1.008 * pi / 2) ** 2
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(
    ("sde", "betas_of"), [(VP(0.1, 20.0), linear_betas), (CosineVP(0.008), cosine_betas)]
)
def test_all_steps_are_those_of_ddim_and_ddpm(sde, betas_of, eta):
    """From noise to x0 in the notation of the papers: beta_i, alpha_i, their product alpha_bar_i.

    DDPM is Ho et al. 2020, algorithm 2 with the smaller variance; DDIM Song et al. 2021, eq. 12.
    """
    steps, start = 20, 0.98
    t = torch.linspace(0, start, steps + 1, dtype=torch.float64)
    beta = torch.cat([times(0.0), betas_of(t)])
    alpha = 1 - beta
    alpha_bar = alpha.cumprod(0)
    torch.testing.assert_close(alpha_bar, sde.scales(t).a ** 2, rtol=1e-11, atol=0)
    problem, x = Gaussian(sde, **PROBLEM), noise(1, 5)
    z = [noise(1, 5, seed=1 + i) for i in range(steps)]
    draws = iter(z)
    grid = Uniform(steps, start, start / steps)
    ours, _, _ = solve(problem, None, Exponential(eta), grid, x=x, randn=lambda like: next(draws))
    for i, fresh in zip(range(steps, 0, -1), z, strict=True):
        noise_hat = problem(x, None, t[i : i + 1]).noise
        if eta == 1:
            mean = (x - beta[i] / (1 - alpha_bar[i]).sqrt() * noise_hat) / alpha[i].sqrt()
            x = mean + ((1 - alpha_bar[i - 1]) / (1 - alpha_bar[i]) * beta[i]).sqrt() * fresh
        else:
            x0 = (x - (1 - alpha_bar[i]).sqrt() * noise_hat) / alpha_bar[i].sqrt()
            x = alpha_bar[i - 1].sqrt() * x0 + (1 - alpha_bar[i - 1]).sqrt() * noise_hat
    torch.testing.assert_close(ours, x, rtol=1e-10, atol=1e-10)


def test_vp_is_the_limit_of_ddpm():
    """Its 1000 betas from 1e-4 to 0.02 are those of VP() over 1000."""
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)[1:]
    gap = (1 - beta).cumprod(0) - VP().scales(t).a ** 2
    assert gap.abs().max() < 2e-3


def test_the_ode_step_is_euler_to_first_order(sde):
    problem = Gaussian(sde, **PROBLEM)
    x, y, t = noise(1, 5), noise(1, 5, seed=1), times(0.5)
    gaps = []
    for d in (1e-3, 5e-4):
        ours, _ = Exponential(start=0.0).step(problem, x, y, t, t - d, None, torch.randn_like)
        gap = ours - euler(sde, x, y, problem(x, y, t).x0, None, t, t - d)
        gaps.append(float(gap.abs().max()))
    assert gaps[1] == pytest.approx(gaps[0] / 4, rel=0.02)


def test_a_first_step_from_a_point():
    """Fresh noise makes it exact, none keeps the mean: x_s = a m + b y (+ sigma z)."""
    sde, y, z = SBVE(), noise(1, 4, seed=1), noise(1, 4, seed=2)
    problem = Gaussian(sde, **PROBLEM)
    grid = Uniform(1, end=0.6, finish=False)
    a, b, sigma = sde.scales(times(0.6))
    for solver in (Exponential, Multistep):
        x, _, _ = solve(problem, y, solver(start=0.0), grid)
        torch.testing.assert_close(x, a * PROBLEM["mean"] + b * y)
        x, _, _ = solve(problem, y, solver(), grid, randn=lambda like: z)
        torch.testing.assert_close(x, a * PROBLEM["mean"] + b * y + sigma * z)


@pytest.mark.parametrize("arguments", [{"eta": -0.1}, {"eta": 1.1}, {"start": 2.0}])
def test_refused(arguments):
    with pytest.raises(ValueError, match="eta and start must lie between 0 and 1"):
        Exponential(**arguments)


def moment(k, i):
    """m_i by quadrature, of a substitution that is smooth for any k: u = k (1 - q) up to 60."""
    if k == 0:
        return 0.0
    return quad(lambda u: exp(-u) * (1 - u / k) ** i, 0, min(k, 60), epsabs=0, epsrel=1e-13)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_integrals_to_the_last_digits(dtype):
    eps = torch.finfo(dtype).eps
    k = [0.0, 1e-30, 1e-8, 1e-4, 0.01, 0.3, 0.9, 1 - 3 * eps, 1 - eps, 1.0, 1 + eps, 1.1, 3.0]
    k = torch.tensor([*k, 20.0, 100.0, 1e4], dtype=dtype)
    for i, found in enumerate(integrals(k), start=1):
        assert found.dtype == dtype
        exact = times(*(moment(value, i) for value in k.tolist()))
        # A difference of terms up to four times as large, in a few operations.
        torch.testing.assert_close(found.double(), exact, rtol=8 * eps, atol=0)
    infinite = integrals(torch.full((1,), torch.inf, dtype=dtype))
    assert infinite == (1, 1)


def test_bends_integrate_polynomials():
    """q^0, q^1 and q^2 in a step, from their values at 0 and at 1 / p: earlier, inside, at s."""
    start = times(0.5)
    for sde, eta in ((OUVE(), 0.0), (SBVE(), 1.0)):
        w = Exponential(eta).weights(sde, start, times(0.3))
        q = [1 / p for p in (-0.7, 1.9, 1.0, -3.0)]
        for at in (q[:1], q[1:2], q[2:3], q[:2], q[2:], q[::3], q[1:3]):
            weights = bend(w, *(times(1 / point) for point in at))
            assert len(weights) == len(at)
            for power in range(1, len(at) + 1):
                # as 0^power is 0, the difference from the value at t is that value
                found = sum(w_j * point**power for w_j, point in zip(weights, at, strict=True))
                assert float(found) == pytest.approx(moment(float(w.k), power), rel=1e-11)
        assert bend(w) == ()


def test_bends_where_a_polynomial_is_not_known():
    """An estimate at an infinite lambda, two at the same one, a step of no or infinite length."""
    w = Exponential().weights(OUVE(), times(0.5, 0.5, 0.5), times(0.3, 0.5, 0.0))
    assert w.h[1:].tolist() == [0, torch.inf]
    p = torch.full_like(w.h, -0.8)
    (alone,) = bend(w, p)
    assert (alone != 0).tolist() == [True, False, False]
    for other in (0 * p, p):
        found = torch.stack(bend(w, p, other))
        assert found.isfinite().all()
        assert (found[:, 1:] == 0).all()
    line, nothing = bend(w, p, 0 * p)
    torch.testing.assert_close(line, alone)
    assert (nothing == 0).all()
    assert all((w_j == 0).all() for w_j in bend(w, 0 * p, 0 * p))


def test_weights_keep_their_precision():
    for dtype in (torch.float32, torch.float64):
        w = Exponential(eta=0.3).weights(OUVE(), times(0.5, dtype=dtype), times(0.4, dtype=dtype))
        assert isinstance(w, Weights)
        assert all(part.dtype == dtype for part in w)


@together(sde=SDES, eta=[0.0, 0.1, 0.4, 0.7, 1.0])
def test_two_steps_are_one(sde, eta):
    """With a constant estimate, as of any SDE: the step over both is that to the middle and on."""
    t, m, s = times(0.8), times(0.45), times(0.2)
    solver = Exponential(eta)
    first, second, whole = (solver.weights(sde, *pair) for pair in ((t, m), (m, s), (t, s)))
    # Of the noise at m the second step keeps its weight over sigma_m.
    on = second.noise / sde.scales(m).sigma
    torch.testing.assert_close(on * first.noise, whole.noise)
    torch.testing.assert_close((on * first.z) ** 2 + second.z**2, whole.z**2)
    torch.testing.assert_close(first.k + second.k, whole.k)


@together(sde=SDES, dtype=[torch.float32, torch.float64], eta=[0.0, 0.4, 0.7, 1.0])
def test_weights_at_the_ends_and_of_no_step(sde, eta, dtype):
    """From t = 1, to t = 0, and of steps down to a rounding: finite, with the right limits."""
    t = times(1.0, 1.0, 0.5, 0.5, 0.5, 1e-6, dtype=dtype)
    s = times(0.6, 0.0, 0.0, 0.5, 0.5 * (1 - 2e-7), 0.0, dtype=dtype)
    w = Exponential(eta).weights(sde, t, s)
    assert torch.stack([w.x0, w.y, w.noise, w.z]).isfinite().all()
    assert not w.h.isnan().any()
    assert not w.k.isnan().any()
    assert (w.h >= 0).all()
    if sde.scales(t).a[0] == 0:  # an infinite lambda
        all_fresh = eta > 0 or sde.pinned
        torch.testing.assert_close(w.z[0], sde.scales(s).sigma[0] * all_fresh)
        assert w.h[0] == w.k[0] == torch.inf
    # To the end: x0 alone.
    assert (w.noise[s == 0] == 0).all()
    assert (w.z[s == 0] == 0).all()
    # No step changes nothing.
    torch.testing.assert_close(w.noise[3], sde.scales(t).sigma[3])
    assert w.z[3] == 0
    exact = Exponential(eta).weights(sde, t.double(), s.double())
    # A relative error of 1e-7 / h remains in the variance of a step of length h.
    assert ((w.z**2 - exact.z**2).abs() <= 1e-6).all()


def moments_of_the_sde(eta: float, h: float) -> tuple[float, float]:
    """Share of X kept, and variance of the noise, of dX = (1 + eta^2) (x0 - X) dl + ..., by ODE."""
    rate = 1 + eta**2
    kept, variance, n = 1.0, 0.0, 4000
    for i in range(n):  # the midpoint rule, from lambda = 0 to h
        d, mid = h / n, (i + 0.5) * h / n
        half = variance + d / 2 * (-2 * rate * variance + 2 * eta**2 * exp(-2 * (mid - d / 2)))
        variance += d * (-2 * rate * half + 2 * eta**2 * exp(-2 * mid))
        kept *= 1 - d * rate + (d * rate) ** 2 / 2
    return kept, variance


@pytest.mark.parametrize("eta", [0.0, 0.4, 0.7, 1.0])
def test_the_step_is_that_of_the_sde(eta):
    """Against its moment equations in lambda, where X = (x - b y) / a has noise of e^-2 lambda."""
    sde, t, s = VE(), times(0.6), times(0.3)
    w = Exponential(eta).weights(sde, t, s)
    kept, variance = moments_of_the_sde(eta, float(w.h))
    assert float((-w.k).exp()) == pytest.approx(kept, rel=1e-6)
    sigma_t = sde.scales(t).sigma
    assert float(w.noise / sigma_t) == pytest.approx(kept, rel=1e-6)
    assert float((w.z / sigma_t) ** 2) == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("kind", [Multistep, UniPC, Singlestep])
def test_what_cannot_use_whole_steps_says_so(kind):
    with pytest.raises(ArgumentError, match="cannot use those of whole steps"):
        kind(whole=True)
