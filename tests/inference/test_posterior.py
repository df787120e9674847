"""Posteriors of a prior and a measurement, against those that are known in closed form."""

from dataclasses import replace
from math import exp

import pytest
import torch
from conftest import OFTEN, together
from problems import Correlated, Gaussian, Mixture, covariance, noise, times
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.estimates import Noise
from sgmse.inference import (
    DAPS,
    DPS,
    MMPS,
    Chain,
    Clipping,
    DiffPIR,
    Filter,
    Mask,
    Measurement,
    PiGDM,
    Posterior,
    PublishedDPS,
    Renewed,
    Room,
    steer,
)
from sgmse.model import ScoreModel
from sgmse.networks import Network
from sgmse.networks._base import complex_like, real_parts
from sgmse.sdes import VP
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform, solve

REAL, COMPLEX = torch.float64, torch.complex128
SIZE = 4
KEPT = torch.tensor([1, 1, 0, 1], dtype=REAL)
ROOM = torch.tensor([1.0, 0.5, -0.2], dtype=REAL)
LINEAR = [
    Mask(torch.ones(SIZE, dtype=REAL)),
    Mask(KEPT),
    Filter(torch.tensor([1.0, 0.7, 0.0], dtype=REAL)),
    Room(ROOM),
    Chain((Room(ROOM), Mask(KEPT))),
]
APPROXIMATIONS = [DPS(0.3), PiGDM(0.4), MMPS(2), DiffPIR(7.0)]
#: From noise, and all of the way to where little of it is left.
GRID = LogSNR(60, 1.0, 1e-3)


def given(prior: Correlated, measured: Measurement) -> Correlated:
    """The exact posterior of one measurement, as a problem: the law of x0 is Gaussian again."""
    C, n2 = prior.covariance, torch.as_tensor(measured.noise) ** 2
    unit = torch.eye(len(C), dtype=C.dtype)
    A = measured.operator(unit).T.to(C.dtype)
    gain = C @ A.mH @ torch.linalg.inv(A @ C @ A.mH + n2 * torch.eye(len(A), dtype=C.dtype))
    mean = prior.mean + (measured.value[0] - A @ prior.mean) @ gain.T
    return Correlated(prior.sde, C - gain @ A @ C, mean)


def correlated(sde, dtype=REAL, size=SIZE) -> Correlated:
    return Correlated(sde, covariance(size, 3, dtype), noise(size, seed=4, dtype=dtype))


def measurement(operator, x0: Tensor, deviation=0.3) -> Measurement:
    value = operator(x0)
    return Measurement(
        operator, value + deviation * noise(*value.shape, seed=9, dtype=x0.dtype), deviation
    )


@together(sde=OFTEN, by=APPROXIMATIONS)
def test_the_equation_holds(sde, by):
    """x = a x0 + b y + sigma noise, for every process, also where the operator is not linear."""
    x, y, t = noise(3, SIZE, dtype=REAL), noise(3, SIZE, seed=1, dtype=REAL), times(0.2, 0.5, 0.9)
    a, b, sigma = (s[:, None] for s in sde.scales(t))
    model = Posterior(Gaussian(sde, 0.3, 0.4), measurement(Clipping(0.5), x), by)
    x0, z = model(x, y, t)
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-12, atol=1e-12)
    assert not x0.requires_grad
    assert not torch.equal(x0, model.model(x, y, t).x0)


@together(sde=OFTEN, case=list(zip(LINEAR, [REAL, COMPLEX, REAL, COMPLEX, REAL], strict=True)))
def test_gaussian_priors_are_exact(sde, case):
    """Of any covariance with MMPS; of one variance with PiGDM, too."""
    operator, dtype = case
    prior = correlated(sde, dtype)
    measured = measurement(operator, prior.draw(torch.zeros(1, SIZE, dtype=dtype), None))
    x, y, t = noise(3, SIZE, dtype=dtype), noise(3, SIZE, seed=1, dtype=dtype), times(0.2, 0.5, 0.9)
    exact = given(prior, measured)(x, y, t)
    found = Posterior(prior, measured, MMPS(2 * SIZE))(x, y, t)
    for ours, theirs in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-7)
    equal = replace(prior, covariance=0.4 * torch.eye(SIZE, dtype=dtype))
    exact = given(equal, measured)(x, y, t)
    for by in (PiGDM(0.4), MMPS(2 * SIZE)):
        for ours, theirs in zip(Posterior(equal, measured, by)(x, y, t), exact, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-7)


def test_a_noise_for_each_element():
    """Of a known law: some bins are noisier than others."""
    prior = correlated(VP())
    own = torch.tensor([0.1, 0.2, 1.0, 3.0], dtype=REAL)
    measured = Measurement(Mask(KEPT), noise(1, SIZE, dtype=REAL), own)
    C, A = prior.covariance, torch.diag(KEPT)
    gain = C @ A @ torch.linalg.inv(A @ C @ A + torch.diag(own**2))
    exact = Correlated(
        prior.sde, C - gain @ A @ C, prior.mean + (measured.value[0] - A @ prior.mean) @ gain.T
    )
    x, t = noise(3, SIZE, seed=1, dtype=REAL), times(0.2, 0.5, 0.9)
    found = Posterior(prior, measured, MMPS(8))(x, None, t).x0
    torch.testing.assert_close(found, exact(x, None, t).x0, rtol=1e-7, atol=1e-7)


def test_between_complex_and_real():
    """A complex state that is heard as its real part: half of its noise is in it."""

    class Part(Mask):
        def __call__(self, x0):
            return x0.real

        def adjoint(self, u, at):
            return u.to(at)

        def solve(self, u, at, gain, variance):
            return u / (gain[:, None] + variance)

    sde, v, n = VP(), 0.4, 0.3
    m, x, t = noise(1, 3, dtype=REAL), noise(1, 3, seed=1), times(0.5)
    found = Posterior(Gaussian(sde, 0.0, v), Measurement(Part(torch.ones(())), m, n), PiGDM(v))
    a, _, sigma = sde.scales(t)
    # The real part is N(0, v / 2), seen through x with sigma^2 / 2 and through m with n^2.
    precision = 2 / v + a**2 / (sigma**2 / 2) + 1 / n**2
    real = (a * x.real / (sigma**2 / 2) + m / n**2) / precision
    torch.testing.assert_close(found(x, None, t).x0.real, real)
    torch.testing.assert_close(found(x, None, t).x0.imag, Gaussian(sde, 0.0, v)(x, None, t).x0.imag)


def law(model, solver, grid, size=SIZE) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the samples of what is linear in its noise, without sampling.

    Each element of each draw is 1 in one item of the batch, and 0 in all others.
    """
    draws = 0
    a_step = 1 if solver.evaluations == 1 and not isinstance(solver, DAPS) else 3  # draws
    items = ((a_step if solver.draws(model.sde) else 0) * grid.steps + 2) * size + 1

    def impulse(like):
        nonlocal draws
        draws += 1
        z = torch.zeros_like(like)
        rows = torch.arange(size)
        z[(draws - 1) * size + rows, rows] = 1.0
        return z

    start = model.sde.prior(None, impulse(torch.zeros(items, size, dtype=REAL)))
    x = solve(model, None, solver, grid, x=start, randn=impulse).x
    assert draws * size < items
    return x[-1], (x[:-1] - x[-1]).T @ (x[:-1] - x[-1])


def drawn(model, solver, grid, count=4000):
    """Samples of one element."""
    generator = torch.Generator().manual_seed(7)

    def randn(like):
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    start = model.sde.prior(None, randn(torch.zeros(count, 1, dtype=REAL)))
    return solve(model, None, solver, grid, x=start, randn=randn).x[:, 0]


@pytest.mark.parametrize(
    ("solver", "off"),
    [
        (Multistep(), 0.006),
        pytest.param(Multistep(eta=1.0), 0.015, marks=pytest.mark.slow),  # many draws
    ],
)
def test_samples_of_a_gaussian_posterior(solver, off):
    """Mean and covariance of the flow and of the SDE, with MMPS: the exact ones."""
    prior = correlated(VP())
    for operator in LINEAR:
        measured = measurement(operator, prior.draw(torch.zeros(1, SIZE, dtype=REAL), None))
        exact = given(prior, measured)
        mean, cov = law(Posterior(prior, measured, MMPS(8)), solver, LogSNR(30, 1.0, 1e-3))
        torch.testing.assert_close(mean, exact.mean, rtol=0, atol=0.02)
        torch.testing.assert_close(cov, exact.covariance, rtol=0, atol=off)


@together(operator=LINEAR)
def test_decoupled_draws_are_exact(operator):
    """DAPS on a Gaussian prior of one variance, in four steps; none of the others is."""
    v = 0.4
    prior = replace(correlated(VP()), covariance=v * torch.eye(SIZE, dtype=REAL))
    measured = measurement(operator, prior.draw(torch.zeros(1, SIZE, dtype=REAL), None))
    exact, grid = given(prior, measured), LogSNR(4, 1.0, 1e-2)
    mean, cov = law(prior, DAPS(measured, variance=v), grid)
    torch.testing.assert_close(mean, exact.mean, rtol=0, atol=1e-3)
    torch.testing.assert_close(cov, exact.covariance, rtol=0, atol=1e-3)
    for solver in (DAPS(measured), DAPS(measured, steps=5)):
        _, cov = law(prior, solver, grid)
        assert (cov - exact.covariance).abs().max() > 3e-3


#: m = 1 of N(0, 1) with noise of 1/2: the posterior is N(0.8, 0.2). Beside it an element unheard.
ONE = Gaussian(VP(), 0.0, 1.0)
HEARD = Measurement(
    Mask(torch.tensor([1.0, 0.0], dtype=REAL)), torch.tensor([[1.0, 0.0]], dtype=REAL), 0.5
)
FINE = LogSNR(100, 1.0, 1e-3)


def test_what_dps_gets_wrong():
    """It takes x0_hat for certain: m weighs too much, on the finest grid, too."""
    flow, sde = Multistep(), Multistep(eta=1.0)
    for by, solver, heard, spread in (
        (PiGDM(), flow, 0.8, 0.2),
        (MMPS(), sde, 0.8, 0.2),
        (DPS(), flow, 1.275, 0.019),
        (DPS(), sde, 0.98, 0.127),
    ):
        mean, cov = law(Posterior(ONE, HEARD, by), solver, FINE, 2)
        found = torch.stack([*mean, cov[0, 0], cov[1, 1]])
        right = torch.tensor([heard, 0.0, spread, 1.0], dtype=REAL)  # a gap is as the prior is
        torch.testing.assert_close(found, right, rtol=0, atol=0.01)
    few, sharp = LogSNR(10, 1.0, 1e-3), replace(HEARD, noise=0.01)
    mean, _ = law(Posterior(ONE, sharp, DPS()), Multistep(), few, 2)
    assert not abs(mean[0]) < 100  # its steps are too long, and explode
    for by in (PiGDM(), MMPS()):
        mean, _ = law(Posterior(ONE, sharp, by), Multistep(), few, 2)
        assert abs(mean[0] - 1) < 1e-3


@pytest.mark.parametrize(
    ("share", "heard", "spread", "gap"),
    [(0.0, 0.874, 0.144, 0.92), (0.3, 0.849, 0.151, 0.85), (1.0, 0.809, 0.091, 0.46)],
)
def test_what_diffpir_gets_wrong(share, heard, spread, gap):
    """In 60 steps, of the exact 0.8, 0.2 and 1: too little spread, the less the more is renewed."""
    mean, cov = law(Posterior(ONE, HEARD, DiffPIR()), Renewed(share), GRID, 2)
    found = torch.stack([mean[0], cov[0, 0], cov[1, 1]])
    torch.testing.assert_close(
        found, torch.tensor([heard, spread, gap], dtype=REAL), rtol=0, atol=0.01
    )


@pytest.mark.parametrize(
    ("solver", "heard", "spread", "gap"),
    [
        (DAPS(HEARD, variance=1.0), 0.8, 0.2, 1.0),
        (DAPS(HEARD), 0.81, 0.198, 1.10),
        pytest.param(DAPS(HEARD, steps=5), 0.864, 0.213, 1.70, marks=pytest.mark.slow),
    ],
    ids=["of the prior", "as published", "as published, five steps"],
)
def test_what_daps_gets_wrong(solver, heard, spread, gap):
    """r = sigma / a is wider than x0 given x_t, and the end of the flow is no mean."""
    mean, cov = law(ONE, solver, GRID, 2)
    found, right = torch.stack([mean[0], cov[0, 0], cov[1, 1]]), torch.tensor([heard, spread, gap])
    torch.testing.assert_close(found, right.double(), rtol=0, atol=6e-3)


@pytest.mark.slow
def test_what_mixtures_get_wrong():
    """Two modes between which m says little: only particles of the prior find their weights."""
    prior, deviation = Mixture(VP(), (-1.0, 1.0), 0.05), 0.4
    measured = Measurement(
        Mask(torch.ones(1, dtype=REAL)), torch.full((1, 1), 0.1, dtype=REAL), deviation
    )
    right = 1 / (1 + exp(-2 * 0.1 / (0.05 + deviation**2)))  # 0.72 of the mode at 1
    grid = LogSNR(40, 1.0, 1e-3)
    for by, share in ((MMPS(), 0.59), (PiGDM(1.05), 0.63)):
        x = drawn(Posterior(prior, measured, by), Multistep(eta=1.0), grid)
        assert abs(float((x > 0).double().mean()) - share) < 0.03
        assert abs(share - right) > 0.08
    start, sampler = torch.zeros(1, 1, dtype=REAL), Exponential(eta=1.0)
    found = steer(
        prior, start, sampler, grid, 8000, lambda x0, y: measured.log_likelihood(x0), every=40
    )
    weighed = float((found.weights * (found.x[..., 0] > 0)).sum())
    assert abs(weighed - right) < 0.03


def test_langevin():
    """Where the operator is not linear: near the exact draws, on one that is linear."""
    straight = HEARD
    bent = Measurement(replaced(straight.operator), straight.value, straight.noise)
    generator = torch.Generator().manual_seed(3)

    def randn(like):
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    mean, r2 = torch.full((20_000, 2), 0.3, dtype=REAL), torch.full((20_000,), 0.5, dtype=REAL)
    exact = DAPS(straight).exact(mean, r2, randn)
    found = DAPS(bent, langevin=60).by_langevin(mean, r2, randn)
    torch.testing.assert_close(found.mean(0), exact.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(found.var(0), exact.var(0), rtol=0.1, atol=0)


def replaced(operator):
    class Bent(Mask):
        linear = False

    return Bent(operator.kept)


@pytest.mark.slow
def test_declipping():
    """One element of N(0, 1) clipped at 1: what lies above is the tail of the prior."""
    measured = Measurement(Clipping(1.0), torch.ones(1, 1, dtype=REAL), 0.1)
    x = torch.linspace(-6, 8, 20_001, dtype=REAL)
    p = torch.exp(-(x**2) / 2 - (x.clamp(-1, 1) - 1) ** 2 / (2 * 0.1**2))
    exact = float((p * x).sum() / p.sum())
    assert abs(exact - 1.421) < 1e-3
    prior = Gaussian(VP(), 0.0, 1.0)
    for model, solver, mean in (
        (prior, DAPS(measured, variance=1.0), 1.37),  # Langevin dynamics have not moved all of it
        (prior, DAPS(measured, variance=1.0, langevin=1000), 1.42),
        (Posterior(prior, measured, MMPS()), Multistep(eta=1.0), 1.195),  # beyond the limit no pull
    ):
        z = drawn(model, solver, LogSNR(40, 1.0, 1e-3))
        assert abs(float(z.mean()) - mean) < 0.03


def test_the_published_step():
    """DPS, algorithm 1, in its own letters, on the ancestral steps of DDPM."""
    sde, grid, zeta = VP(), Uniform(6, 1.0, 0.1), 0.7
    prior = correlated(sde)
    A = torch.diag(KEPT)
    m = noise(1, SIZE, seed=5, dtype=REAL)
    start = noise(3, SIZE, dtype=REAL)
    ts = grid.times(sde)
    alpha_bar = sde.scales(ts).a ** 2
    x = start
    draws = iter(noise(20, 3, SIZE, seed=8, dtype=REAL))
    for i in range(len(ts) - 1):
        state = x.clone().requires_grad_()
        now, after = alpha_bar[i], alpha_bar[i + 1] if i + 2 < len(ts) else torch.tensor(1.0)
        alpha, beta = now / after, 1 - now / after
        x0_hat = prior(state, None, ts[i].expand(3)).x0
        norm = torch.linalg.vector_norm(m - x0_hat @ A.T, dim=1)
        slope = torch.autograd.grad((norm**2).sum(), state)[0]
        mean = (
            alpha.sqrt() * (1 - after) / (1 - now) * x + after.sqrt() * beta / (1 - now) * x0_hat
        ).detach()
        sigma = (beta * (1 - after) / (1 - now)).sqrt()
        x = mean + sigma * next(draws) - zeta / norm.detach()[:, None] * slope
    draws = iter(noise(20, 3, SIZE, seed=8, dtype=REAL))
    solver = PublishedDPS(Measurement(Mask(KEPT), m, 1.0), zeta)
    found = solve(prior, None, solver, grid, x=start, randn=lambda like: next(draws))
    torch.testing.assert_close(found.x, x, rtol=1e-10, atol=1e-10)
    assert found.nfe == 6  # the derivative asks the network no second time


def test_diffpir_in_its_own_letters():
    """Algorithm 1: the proximal point, then sqrt(1 - zeta) of the noise and sqrt(zeta) anew."""
    sde, weight, share, n = VP(), 3.0, 0.3, 0.2
    prior, m = correlated(sde), noise(1, SIZE, seed=5, dtype=REAL)
    x, (t, s) = noise(3, SIZE, dtype=REAL), times(0.6, 0.4)
    abar_t, abar_s = sde.scales(t).a ** 2, sde.scales(s).a ** 2
    x0 = prior(x, None, t.expand(3)).x0
    rho = weight * n**2 / ((1 - abar_t) / abar_t)
    near = (KEPT * m + rho * x0) / (KEPT**2 + rho)  # argmin |m - A x|^2 + rho |x - x0|^2
    eps = (x - abar_t.sqrt() * near) / (1 - abar_t).sqrt()
    z = noise(3, SIZE, seed=2, dtype=REAL)
    expected = abar_s.sqrt() * near + (1 - abar_s).sqrt() * (
        (1 - share) ** 0.5 * eps + share**0.5 * z
    )
    model = Posterior(prior, Measurement(Mask(KEPT), m, n), DiffPIR(weight))
    found, _ = Renewed(share).step(
        model, x, torch.zeros_like(x), t.expand(3), s.expand(3), None, lambda like: z
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Unseeing(Network):
    """A network that is given no observation."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x, y, t):
        assert y is None
        return complex_like(self.layer(real_parts(x)).tanh(), x)


def test_a_network_is_a_prior():
    """Spectrograms of a model that sees none, under `inference_mode` as an enhancer runs."""
    torch.manual_seed(0)
    model = ScoreModel(Unseeing(), VP(), Noise())
    x = noise(2, 1, 16, 8, dtype=torch.complex64)
    measured = Measurement(Mask((torch.arange(8) < 5).float()), x, 0.1)
    for given_to, solver in (
        (Posterior(model, measured, MMPS(2)), Multistep()),
        (model, DAPS(measured, variance=0.1)),
        (model, PublishedDPS(measured)),
    ):
        with torch.inference_mode():
            found = solve(given_to, None, solver, LogSNR(3, 1.0, 0.05), x=x).x
        assert found.isfinite().all()
        assert found.shape == x.shape


def test_mistakes():
    with pytest.raises(ArgumentError, match="2 items cannot be that of 3"):
        Posterior(ONE, replace(HEARD, value=torch.ones(2, 2, dtype=REAL)))(
            noise(3, 2, dtype=REAL), None, times(0.5, 0.5, 0.5)
        )
    with pytest.raises(ArgumentError, match="Renewed: share"):
        Renewed(1.5)
    with pytest.raises(ArgumentError, match="stepsize below 1"):
        DAPS(HEARD, stepsize=1.0)
