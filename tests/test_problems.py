"""The exact answers are held to definitions: densities, integrals, samples and the flow itself."""

from collections.abc import Callable
from math import pi

import pytest
import torch
from conftest import OFTEN, SDES, together
from problems import (
    Correlated,
    Gaussian,
    Mixture,
    Problem,
    bimodal,
    covariance,
    log_normal,
    noise,
    square,
    times,
)

from sgmse.sdes import OUVE, SBVE, SDE, VE, VP, Scales, expand

SHAPE = (3, 2, 2)
T = times(0.1, 0.5, 0.9)
VARIANCES = times(0.01, 0.1, 0.5, 2.0).reshape(2, 2)


def half(y):
    """A mean that depends on the observation."""
    return 0.3 if y is None else y / 2 + 0.3


def modes(y):
    return 0 if y is None else y / 2


PROBLEMS: dict[str, Callable[[SDE, torch.dtype], Problem]] = {
    "gaussian": lambda sde, dtype: Gaussian(sde, half, VARIANCES),
    "point": lambda sde, dtype: Gaussian(sde, 0.4, 0.0),
    "correlated": lambda sde, dtype: Correlated(sde, covariance(4, dtype=dtype), half),
    "singular": lambda sde, dtype: Correlated(sde, torch.ones(4, 4, dtype=dtype), 0.2),
    "mixture": lambda sde, dtype: Mixture(
        sde, (lambda y: modes(y) - 0.6, lambda y: modes(y) + 0.5), VARIANCES, (0.3, 0.7)
    ),
    "joint": lambda sde, dtype: Mixture(sde, (-0.5, half), VARIANCES, joint=True),
}


CASES = [
    (torch.complex128, "gaussian"),
    (torch.complex128, "correlated"),
    (torch.complex128, "singular"),
    (torch.complex128, "mixture"),
    (torch.complex128, "joint"),
    (torch.float64, "gaussian"),
    (torch.float64, "point"),
    (torch.float64, "correlated"),
    (torch.float64, "mixture"),
]
COMPLEX_AND_REAL = pytest.mark.parametrize("dtype", [torch.complex128, torch.float64], ids=str)


@pytest.fixture(params=CASES, ids=str)
def case(request):
    """(dtype, problem of a process)."""
    dtype, name = request.param
    return dtype, lambda sde: PROBLEMS[name](sde, dtype)


def states(problem: Problem, dtype: torch.dtype, t: torch.Tensor = T):
    """Likely x_t, one for each time, and their y."""
    shape = (len(t), *SHAPE[1:])
    y, z = noise(*shape, seed=1, dtype=dtype), noise(*shape, seed=2, dtype=dtype)
    return problem.sde.sample(problem.draw(y, y), y, t, z), y


@together(sde=SDES)
def test_the_score_is_the_gradient_of_the_log_density(sde, case):
    dtype, kind = case
    problem = kind(sde)
    x, y = states(problem, dtype)
    x.requires_grad_()
    log_p = problem.log_density(x, y, T)
    assert log_p.shape == (3,)
    assert log_p.dtype == torch.float64
    (gradient,) = torch.autograd.grad(log_p.sum(), x)
    # torch's gradient of a real function is twice the Wirtinger derivative by the conjugate
    expected = gradient / 2 if dtype.is_complex else gradient
    torch.testing.assert_close(problem.score(x, y, T), expected, rtol=1e-9, atol=1e-9)


@together(sde=SDES)
def test_the_estimate_is_tweedies(sde, case):
    """noise = -sigma score, and x0 is what the equation leaves: (x - b y + sigma^2 score) / a."""
    dtype, kind = case
    problem = kind(sde)
    x, y = states(problem, dtype)
    x0, z = problem(x, y, T)
    assert x0.dtype == z.dtype == dtype
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(z, -sigma * problem.score(x, y, T), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@together(sde=SDES)
@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_bayes_by_quadrature(sde, name):
    """Density and x0_hat of real x are the integrals of p(x0) N(x; a x0 + b y, sigma^2) over x0."""
    problem = PROBLEMS[name](sde, torch.float64)
    x, y = states(problem, torch.float64)
    x0 = torch.linspace(-12, 12, 24_001, dtype=torch.float64)  # a tenth of any deviation
    a, b, sigma = sde.scales(T)
    log_p = torch.zeros(3, dtype=torch.float64)
    for i in range(3):
        for j in range(4):
            v = VARIANCES.flatten()[j]
            given = y[i].flatten()[j]
            if isinstance(problem, Gaussian):
                prior = log_normal(x0 - half(given), v).exp()
            else:
                prior = 0.3 * log_normal(x0 - given / 2 + 0.6, v).exp()
                prior = prior + 0.7 * log_normal(x0 - given / 2 - 0.5, v).exp()
            r = x[i].flatten()[j] - a[i] * x0 - b[i] * given
            weights = prior * log_normal(r, sigma[i] ** 2).exp()
            total = torch.trapezoid(weights, x0)
            log_p[i] += total.log()
            expected = torch.trapezoid(weights * x0, x0) / total
            actual = problem(x, y, T).x0[i].flatten()[j]
            torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(problem.log_density(x, y, T), log_p, rtol=1e-8, atol=1e-8)


def test_densities_are_those_of_torch():
    r, v = noise(5), torch.linspace(0.1, 2, 5, dtype=torch.float64)
    normal = torch.distributions.Normal(0, v.sqrt())
    torch.testing.assert_close(log_normal(r.real, v), normal.log_prob(r.real))
    # CN(0, v) is N(0, v / 2) in both of its parts
    part = torch.distributions.Normal(0, (v / 2).sqrt())
    torch.testing.assert_close(log_normal(r, v), part.log_prob(r.real) + part.log_prob(r.imag))
    point = log_normal(times(0.0, 0.1), times(0.0, 0.0))
    assert point.tolist() == [float("inf"), -float("inf")]


def test_the_moments_are_those_of_samples(case):
    dtype, kind = case
    sde, count = OUVE(), 20_000
    problem = kind(sde)
    y = noise(1, 2, 2, seed=1, dtype=dtype).expand(count, 2, 2)
    t, z = torch.full((count,), 0.4, dtype=torch.float64), noise(count, 2, 2, seed=7, dtype=dtype)
    x = sde.sample(problem.draw(y, y, seed=5), y, t, z)
    mean, variance = (m[0] for m in problem.moments(y, t))
    error = (variance / count) ** 0.5
    assert ((x.mean(dim=0) - mean).abs() < 5 * error).all()
    # Five standard errors, 2 v^2 / n for the variance of real Gaussians, less for the others here.
    ratio = square(x - x.mean(dim=0)).mean(dim=0) / variance
    assert ((ratio - 1).abs() < 5 * (2 / count) ** 0.5).all()


@COMPLEX_AND_REAL
def test_correlated_draws_have_their_covariance(dtype):
    cov = covariance(4, seed=2, dtype=dtype)
    x = Correlated(OUVE(), cov, 0.5).draw(noise(40_000, 2, 2, dtype=dtype), None).flatten(1) - 0.5
    error = 5 * (2 / 40_000) ** 0.5 * cov.abs().max()
    assert ((x.T @ x.conj()) / 40_000 - cov).abs().max() < error


@COMPLEX_AND_REAL
@together(sde=SDES)
def test_a_full_covariance_by_linear_algebra(sde, dtype):
    """x0_hat = m + a C (a^2 C + sigma^2)^-1 r, and ln p by the determinant."""
    cov, t = covariance(4, dtype=dtype), times(0.5)
    problem = Correlated(sde, cov, half)
    x, y = states(problem, dtype, t)
    a, b, sigma = sde.scales(t)
    r = (x - a * half(y) - b * y).flatten()
    total = a**2 * cov + sigma**2 * torch.eye(4)
    solved = torch.linalg.solve(total, r)
    expected = half(y).flatten() + a * cov @ solved
    torch.testing.assert_close(problem(x, y, t).x0.flatten(), expected, rtol=1e-10, atol=1e-10)
    distance = (r.conj() @ solved).real
    half_of_it = 1 if dtype.is_complex else 0.5
    log_p = half_of_it * (-distance - total.logdet().real)
    log_p = log_p - 4 * torch.tensor(pi if dtype.is_complex else 2 * pi).log() * half_of_it
    actual = problem.log_density(x, y, t)[0]
    torch.testing.assert_close(actual, log_p.double(), rtol=1e-6, atol=1e-6)


@COMPLEX_AND_REAL
@together(sde=SDES)
def test_a_diagonal_covariance_is_a_gaussian(sde, dtype):
    correlated = Correlated(sde, torch.diag(VARIANCES.flatten()).to(dtype), half)
    gaussian = Gaussian(sde, half, VARIANCES)
    x, y = states(gaussian, dtype)
    for ours, theirs in zip(correlated(x, y, T), gaussian(x, y, T), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    s = times(0.2, 0.3, 0.4)
    torch.testing.assert_close(correlated.flow(x, y, T, s), gaussian.flow(x, y, T, s))
    torch.testing.assert_close(correlated.log_density(x, y, T), gaussian.log_density(x, y, T))
    for ours, theirs in zip(correlated.moments(y, T), gaussian.moments(y, T), strict=True):
        torch.testing.assert_close(ours.expand_as(x), theirs.to(dtype=ours.dtype).expand_as(x))


@together(sde=OFTEN)
@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (torch.complex128, "gaussian"),
        (torch.complex128, "correlated"),
        (torch.float64, "singular"),
        (torch.float64, "mixture"),
    ],
    ids=str,
)
def test_the_flow_by_integration(sde, name, dtype):
    """x' = a' x0_hat + b' y + sigma' noise_hat by Runge-Kutta of order 4, equal steps in t."""
    problem, steps = PROBLEMS[name](sde, dtype), 50
    x, y = states(problem, dtype, times(0.9, 0.9, 0.9))
    nodes = torch.linspace(0.9, 0.1, 2 * steps + 1, dtype=torch.float64)
    scales, rates = torch.stack(sde.scales(nodes)), torch.stack(sde.rates(nodes))

    def rate(x, i):
        da, db, dsigma = rates[:, i]
        x0, score = problem.answer(x, y, Scales(*scales[:, i].expand(3, 3).T))
        return da * x0 + db * y - dsigma * scales[2, i] * score

    exact = problem.flow(x, y, times(0.9).expand(3), times(0.1).expand(3))
    h = -0.8 / steps
    for i in range(0, 2 * steps, 2):
        k1 = rate(x, i)
        k2 = rate(x + h / 2 * k1, i + 1)
        k3 = rate(x + h / 2 * k2, i + 1)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(x + h * k3, i + 2))
    # h^4 = 7e-8 times a fifth derivative, which is some thousands where lambda changes quickly
    torch.testing.assert_close(x, exact, rtol=5e-4, atol=5e-4)


def test_only_known_flows():
    x, t = noise(1, 2), times(0.5)
    with pytest.raises(ValueError, match="only the flow of real elements"):
        Mixture(VE(), (-1.0, 1.0), 0.1).flow(x, None, t, t)
    with pytest.raises(ValueError, match="only the flow of real elements"):
        Mixture(VE(), (-1.0, 1.0), 0.1, joint=True).flow(x.real, None, t, t)


@together(sde=SDES)
def test_the_ends_of_time(sde, case):
    """Estimates are finite and obey the equation at t = 0 and 1; a density may be infinite."""
    dtype, kind = case
    problem, t = kind(sde), times(0.0, 1.0, 1.0)
    x, y = states(problem, dtype, t)
    x0, z = problem(x, y, t)
    a, b, sigma = (expand(s, x) for s in sde.scales(t))
    # a x0 + b y rounds differently in the two places
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-7, atol=1e-7)
    assert problem.score(x, y, t).isfinite().all()
    log_p = problem.log_density(x, y, t)
    if not isinstance(problem, Correlated) or problem.covariance[0, 1] != 1:
        assert not log_p.isnan().any()  # a singular covariance has no density at t = 0
    if sde.pinned:
        torch.testing.assert_close(x[1:], y[1:])
        mean, _ = Gaussian(sde, half).moments(y, t)
        assert Gaussian(sde, half).log_density(mean, y, t)[1:].tolist() == [float("inf")] * 2


@pytest.mark.parametrize("sde", [VE(), VP()], ids=repr)
@COMPLEX_AND_REAL
def test_without_an_observation(sde, dtype):
    x, zero = noise(*SHAPE, dtype=dtype), torch.zeros(SHAPE, dtype=dtype)
    s = times(0.3, 0.2, 0.1)
    for problem in (
        Gaussian(sde, 0.3, VARIANCES),
        Correlated(sde, covariance(4, dtype=dtype), 0.3),
        Mixture(sde, (-0.3, 0.3), VARIANCES),
    ):
        for ours, theirs in zip(problem(x, None, T), problem(x, zero, T), strict=True):
            assert torch.equal(ours, theirs)
        assert torch.equal(problem.score(x, None, T), problem.score(x, zero, T))
        assert torch.equal(problem.log_density(x, None, T), problem.log_density(x, zero, T))
        assert torch.equal(problem.draw(x, None), problem.draw(x, zero))
        for ours, theirs in zip(problem.moments(None, T, x), problem.moments(zero, T), strict=True):
            assert (ours - theirs == 0).all()
        if not (isinstance(problem, Mixture) and dtype.is_complex):
            assert torch.equal(problem.flow(x, None, T, s), problem.flow(x, zero, T, s))


@COMPLEX_AND_REAL
def test_joint_modes_are_of_items(dtype):
    problem = Mixture(OUVE(), (-5.0, 5.0), 0.1, (0.2, 0.8), joint=True)
    x0 = problem.draw(noise(2000, 2, 2, dtype=dtype), None)
    above = (x0.real > 0).flatten(1)
    assert (above.all(dim=1) | ~above.any(dim=1)).all()
    assert abs(float(above.double().mean()) - 0.8) < 5 * (0.16 / 2000) ** 0.5
    each = Mixture(OUVE(), (-5.0, 5.0), 0.1, (0.2, 0.8)).draw(noise(2000, 2, 2, dtype=dtype), None)
    above = (each.real > 0).flatten(1)
    assert not (above.all(dim=1) | ~above.any(dim=1)).all()


def test_the_benchmark():
    """The numbers of the benchmark: y = 0.4 + 0.2i, sd = sqrt(0.08^2 + 0.25^2)."""
    y = torch.full((1, 1), 0.4 + 0.2j, dtype=torch.complex128)
    mean, variance = bimodal(SBVE()).moments(y, times(0.0))
    torch.testing.assert_close(mean, y / 2)
    torch.testing.assert_close(variance, times(0.08**2 + 0.25**2)[None])


@together(sde=SDES)
def test_an_item_does_not_see_the_others(sde, case):
    dtype, kind = case
    problem = kind(sde)
    x, y = states(problem, dtype)
    together, alone = problem(x, y, T), problem(x[1:2], y[1:2], T[1:2])
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-12, atol=1e-12)
    log_p = problem.log_density(x, y, T)[1:2]
    torch.testing.assert_close(log_p, problem.log_density(x[1:2], y[1:2], T[1:2]))
