"""The likelihood of data whose law is known, and what is left to chance."""

from itertools import product
from math import log

import pytest
import torch
from conftest import OFTEN, first_often
from problems import (
    Correlated,
    Formula,
    Gaussian,
    Mixture,
    Problem,
    bimodal,
    covariance,
    noise,
    slope,
    times,
)
from torch import Tensor

from sgmse.estimates import Data, Estimate
from sgmse.inference._likelihood import Exact, Hutchinson, Normal, along, dimensions, log_likelihood
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import OUVE, SBVE, VE, VP, Scales

VARIANCES = times(1e-3, 0.03, 0.3, 3.0)
# Exact, and cheap, where no element is coupled to another: all v_i^2 are 1.
SIGNS = Hutchinson()
SOME = [OUVE(), SBVE(), VP()]


def half(y):
    return y / 2 + 0.1


KINDS = {
    "correlated": lambda sde, dtype: Correlated(sde, covariance(4, dtype=dtype), half),
    "bimodal": lambda sde, dtype: bimodal(sde),
    "joint": lambda sde, dtype: Mixture(sde, (-0.5, half), VARIANCES, (0.3, 0.7), joint=True),
}


@pytest.fixture(params=[torch.complex128, torch.float64], ids=str)
def dtype(request):
    return request.param


def data(problem: Problem, dtype: torch.dtype = torch.complex128) -> tuple[Tensor, Tensor]:
    """Three items x0 of four elements, and their y."""
    y = noise(3, 4, seed=1, dtype=dtype)
    return problem.draw(y, y), y


def density(problem: Problem, x0: Tensor, y: Tensor | None, end: float = 1e-3) -> Tensor:
    """ln p of x0 + rho z at x0, rho = (sigma / a)(end)."""
    a, _, sigma = problem.sde.scales(times(end))
    one = torch.ones(len(x0), dtype=torch.float64)
    return problem.log_prob(x0, y, Scales(one, 0 * one, sigma / a * one))


def off(ours: Tensor, exact: Tensor, x0: Tensor) -> float:
    """The largest error, in nats per dimension."""
    return float((ours - exact).abs().max()) / dimensions(x0)


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_of_a_full_covariance(sde):
    """To 1e-3 nats per dimension after 16 steps, on every process."""
    problem = Correlated(sde, covariance(4), half)
    x0, y = data(problem)
    nats, error, bits, _, nfe = log_likelihood(problem, x0, y, steps=16, prior=problem)
    assert off(nats, density(problem, x0, y), x0) < 1e-3
    assert (error == 0).all()
    assert nfe == 64
    torch.testing.assert_close(bits, -nats / 8 / log(2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sde", "kind"),
    first_often(
        3,
        sorted(
            product(SOME, KINDS), key=lambda both: SOME.index(both[0]) != [*KINDS].index(both[1])
        ),
    ),
    ids=str,
)
def test_of_any_law(sde, kind, dtype):
    """To 2e-5 nats per dimension after 32 steps, the default."""
    problem = KINDS[kind](sde, dtype)
    x0, y = data(problem, dtype)
    nats = log_likelihood(problem, x0, y, prior=problem).nats
    assert off(nats, density(problem, x0, y), x0) < 2e-5


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_of_fourth_order(sde):
    problem = Gaussian(sde, half, VARIANCES)
    x0, y = data(problem)
    exact = density(problem, x0, y)
    steps, errors = [24, 48], []
    for n in steps:
        nats = log_likelihood(problem, x0, y, prior=problem, steps=n, divergence=SIGNS).nats
        errors.append(off(nats, exact, x0))
    assert 3.8 < slope(steps, errors) < 4.4  # it nears 4 from either side
    assert errors[0] < 4e-4


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_the_default_prior(sde):
    """It is exact where the process forgets x0, at a pinned end too, and near to it for VP."""
    problem = Gaussian(sde, half, VARIANCES)
    x0, y = data(problem)
    exact = density(problem, x0, y)

    def error(prior: Normal) -> float:
        ours = log_likelihood(problem, x0, y, prior=prior, divergence=SIGNS)
        return off(ours.nats, exact, x0)

    if sde.forgets:
        assert error(Normal()) < 1e-4
    elif sde == VP():
        assert error(Normal()) < 5e-3  # a(1) = 0.007, and |x0 - y| is about 1
    # With mean and variance of the data it is exact everywhere.
    assert error(Normal(half, VARIANCES)) < 1e-4


def test_the_default_prior_is_a_stand_in():
    """Where much is left of x0 the latent has another law."""
    for sde in (OUVE(), VE()):
        problem = Gaussian(sde, half, VARIANCES)
        x0, y = data(problem)
        ours = log_likelihood(problem, x0, y, divergence=SIGNS)
        assert off(ours.nats, density(problem, x0, y), x0) > 1e-2


def test_a_start_before_a_pinned_end_costs():
    """At 0.999 an a of 0.002 is left, beside a sigma of 0.05."""
    problem = Gaussian(SBVE(), half, VARIANCES)
    x0, y = data(problem)
    exact = density(problem, x0, y)
    early = log_likelihood(problem, x0, y, start=0.999, divergence=SIGNS)
    assert 1e-3 < off(early.nats, exact, x0) < 1e-1
    nats = log_likelihood(problem, x0, y, start=0.999, divergence=SIGNS, prior=problem).nats
    assert off(nats, exact, x0) < 2e-5


@pytest.mark.parametrize("end", [1e-5, 0.03])
@pytest.mark.parametrize("sde", SOME, ids=repr)
def test_any_end(sde, end):
    problem = Gaussian(sde, half, VARIANCES)
    x0, y = data(problem)
    nats = log_likelihood(problem, x0, y, end=end, steps=48, divergence=SIGNS, prior=problem).nats
    assert off(nats, density(problem, x0, y, end), x0) < 2e-5


def test_data_of_any_size():
    """Steps are laid out for data up to `scale`."""
    problem = Gaussian(SBVE(), 0.0, 1e4 * VARIANCES)
    x0, y = data(problem)
    exact = density(problem, x0, y)
    for scale, least, most in ((200.0, 0, 1e-4), (1.0, 1e-2, 10)):
        ours = log_likelihood(problem, x0, y, scale=scale, steps=48, divergence=SIGNS)
        assert least <= off(ours.nats, exact, x0) < most


def test_the_latent(sde):
    """Of Gaussian data it is Gaussian, in closed form: what has the same quantile."""
    problem = Gaussian(sde, half, VARIANCES)
    x0, y = data(problem)
    latent = log_likelihood(problem, x0, y, divergence=SIGNS).latent
    a, _, sigma = sde.scales(times(1e-3))
    z = (x0 - half(y)) / (VARIANCES + (sigma / a) ** 2).sqrt()
    a, _, sigma = sde.scales(times(1.0))
    r2 = a**2 + sigma**2
    share = a / r2.sqrt() if sde.scales(times(1.0)).sigma > 0 else 0.0
    expected = share * half(y) + (share**2 * VARIANCES + 1 - share**2) ** 0.5 * z
    torch.testing.assert_close(latent, expected, rtol=1e-3, atol=1e-3)


def test_the_law_of_the_latent(dtype):
    """Around y, or 0 without one, or where it is told to be."""
    (x, y), one = data(Gaussian(VE()), dtype), torch.ones(3, dtype=torch.float64)
    scales = Scales(0.2 * one, 0.7 * one, 0.3 * one)
    for mean, law in ((None, y), (0.3, 0.3), (half, half(y)), (half(y), half(y))):
        ours = Normal(mean, VARIANCES).log_prob(x, y, scales)
        exact = Gaussian(VE(), law, VARIANCES).log_prob(x, y, scales)
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)
    ours = Normal().log_prob(x, None, scales)
    exact = Gaussian(VE(), 0.0, 0.0).log_prob(x, None, scales)
    torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sde", [VE(), VP()], ids=repr)
def test_without_an_observation(sde, dtype):
    problem = Mixture(sde, (-0.3, 0.4), 0.1)
    x0, _ = data(problem, dtype)
    nats, zero = [], torch.zeros_like(x0)
    for y in (None, zero):
        nats.append(log_likelihood(problem, x0, y, divergence=SIGNS, prior=problem).nats)
    assert off(nats[0], density(problem, x0, None), x0) < 2e-5
    assert torch.equal(*nats)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gaussian", "dtype"),
    first_often(1, product([False, True], [torch.complex128, torch.float64])),
    ids=str,
)
def test_a_random_trace_has_the_right_mean(gaussian, dtype):
    problem = Correlated(OUVE(), covariance(4, dtype=dtype), half)
    x0, y = data(problem, dtype)
    exact = log_likelihood(problem, x0, y, steps=6, prior=problem)
    many = Hutchinson(samples=200, seed=3, gaussian=gaussian)
    mean = log_likelihood(problem, x0, y, steps=6, prior=problem, divergence=many)
    assert ((mean.nats - exact.nats).abs() < 4 * mean.error).all()
    assert (mean.error > 0).all()
    assert (mean.error < (1.5 if gaussian else 0.4)).all()  # so that the bound says something
    torch.testing.assert_close(mean.latent, exact.latent)
    # The standard error is that of the mean: half as large for four times the directions.
    few = Hutchinson(samples=50, seed=4, gaussian=gaussian)
    ratio = log_likelihood(problem, x0, y, steps=6, prior=problem, divergence=few).error
    ratio = ratio / mean.error
    assert ((ratio > 1.4) & (ratio < 2.8)).all()


def test_signs_are_exact_where_nothing_is_coupled(dtype):
    """v_i^2 = 1, so that only pairs of elements leave an error."""
    problem = Gaussian(SBVE(), half, VARIANCES)
    x0, y = data(problem, dtype)
    exact = log_likelihood(problem, x0, y, steps=8).nats
    for seed in (0, 1):
        signs = log_likelihood(problem, x0, y, steps=8, divergence=Hutchinson(seed=seed))
        torch.testing.assert_close(signs.nats, exact)
        assert signs.error.isnan().all()  # nothing is known from a single one
    normal = Hutchinson(gaussian=True)
    assert off(log_likelihood(problem, x0, y, steps=8, divergence=normal).nats, exact, x0) > 1e-3


def test_the_seed_decides():
    problem = Correlated(SBVE(), covariance(4), half)
    x0, y = data(problem)
    first, again, other = (
        log_likelihood(
            problem, x0, y, steps=4, divergence=Hutchinson(seed=seed, gaussian=True)
        ).nats
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert (first != other).all()


def turning(p: complex, q: complex) -> Formula:
    """x0_hat = p x + q conj(x): not differentiable as a complex function."""
    return Formula(VE(), lambda x, y, t: Estimate(p * x + q * x.conj(), x))


def test_a_trace_over_real_dimensions():
    """Of p x + q conj(x) it is 2 Re(p) an element."""
    x, t = noise(2, 3), times(0.5, 0.5)
    for p, q in ((0.3 + 0.4j, 0.7 - 0.2j), (1j, 1.0)):
        for divergence in (Exact(), Hutchinson(2000)):
            out, products = along(turning(p, q), x, None, t, divergence.directions(x))
            trace, error = divergence.gather(products)
            torch.testing.assert_close(out, p * x + q * x.conj())
            expected = torch.full((2,), 6 * complex(p).real, dtype=torch.float64)
            assert ((trace - expected).abs() <= 4 * error + 1e-12).all()


def test_an_estimate_that_is_the_same_everywhere():
    """Then x0 is a point, of which only the noise rho is seen."""
    point = Formula(SBVE(), lambda x, y, t: Estimate(torch.full_like(x, 0.2), x))
    problem = Gaussian(SBVE(), 0.2, 0.0)
    a, _, sigma = problem.sde.scales(times(0.01))
    x0, y = 0.2 + sigma / a * noise(3, 4), noise(3, 4, seed=1)
    exact = density(problem, x0, y, end=0.01)
    for model in (point, problem):
        nats = log_likelihood(model, x0, y, end=0.01, divergence=SIGNS).nats
        assert off(nats, exact, x0) < 1e-4


@pytest.mark.parametrize("divergence", [Exact(), Hutchinson(2, seed=5)], ids=repr)
def test_an_item_does_not_see_the_others(divergence):
    problem = Correlated(OUVE(), covariance(4), half)
    x0, y = data(problem)
    together = log_likelihood(problem, x0, y, steps=6, divergence=divergence)
    for i in range(3):
        item = slice(i, i + 1)
        alone = log_likelihood(problem, x0[item], y[item], steps=6, divergence=divergence)
        for ours, theirs in zip(alone[:4], together[:4], strict=True):
            torch.testing.assert_close(ours, theirs[item], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sde", SOME, ids=repr)
@pytest.mark.parametrize("single", [torch.complex64, torch.float32], ids=str)
def test_single_precision(sde, single):
    problem = Gaussian(sde, 0.1, 0.3)
    x0, y = data(problem, torch.promote_types(single, torch.float64))
    nats, _, _, latent, _ = log_likelihood(
        problem, x0.to(single), y.to(single), divergence=SIGNS, prior=problem
    )
    assert nats.dtype == torch.float32
    assert latent.dtype == single
    assert off(nats, density(problem, x0, y), x0) < 2e-5


@pytest.mark.slow
def test_of_a_network():
    torch.manual_seed(0)
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, embedding=8)
    with torch.no_grad():  # from the start its output is a share of y alone
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = ScoreModel(network, SBVE(), Data())
    x0, y = (noise(2, 1, 4, 2, seed=i, dtype=torch.complex64) for i in range(2))
    copies = x0.clone(), y.clone()
    exact = log_likelihood(model, x0, y, steps=2)
    random = log_likelihood(model, x0, y, steps=2, divergence=Hutchinson(30))
    assert ((random.nats - exact.nats).abs() < 4 * random.error).all()
    assert not exact.nats.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(x0, copies[0])
    assert torch.equal(y, copies[1])
    with torch.inference_mode():
        again = log_likelihood(model, x0 * 1, y * 1, steps=2, divergence=Hutchinson(30))
    torch.testing.assert_close(again.nats, random.nats)


def test_recurrent_layers_can_be_differentiated():
    """On a GPU those of cuDNN only in training."""

    class Asked(Gaussian):
        def __call__(self, x, y, t) -> Estimate:
            assert not torch.backends.cudnn.enabled
            return super().__call__(x, y, t)

    enabled = torch.backends.cudnn.enabled
    log_likelihood(Asked(SBVE()), X0, X0, steps=1)
    assert torch.backends.cudnn.enabled == enabled


X0 = noise(1, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"start": 1.5}, "not end 0.001, start 1.5"),
        ({"end": 1.0}, "0 <= end < start <= 1 is needed, not end 1.0"),
        ({"end": 0.0}, "no noise at t = 0.* use a later end, such as 1e-3"),
        ({"scale": 0.0}, "scale must be positive, not 0.0"),
        ({"divergence": Exact(most=7)}, r"takes 8 backward passes .* use Hutchinson\(\)"),
        ({"y": None}, "leads to an observation: pass it as y"),
        ({"y": X0[:, :3]}, r"x0 \(1, 4\) and y \(1, 3\) must have the same shape"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        log_likelihood(Gaussian(SBVE()), **{"x0": X0, "y": X0, **arguments})


def test_refused_samples():
    with pytest.raises(ValueError, match="samples must be at least 1, not 0"):
        Hutchinson(samples=0)


def test_what_is_not_finite_is_refused():
    class Broken(Gaussian):
        def __call__(self, x, y, t) -> Estimate:
            x0, z = super().__call__(x, y, t)
            return Estimate(x0 / (t < 1)[:, None], z)

    with pytest.raises(ValueError, match=r"not finite.*use a smaller start"):
        log_likelihood(Broken(SBVE()), X0, X0)
    log_likelihood(Broken(SBVE()), X0, X0, steps=4, start=0.999)


def test_all_of_time_for_ve():
    """VE has noise at t = 0, and so a density there."""
    problem = Gaussian(VE(), half, VARIANCES)
    x0, y = data(problem)
    nats = log_likelihood(problem, x0, y, end=0.0, divergence=SIGNS, prior=problem).nats
    assert off(nats, density(problem, x0, y, 0.0), x0) < 2e-5
