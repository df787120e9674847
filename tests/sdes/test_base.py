"""What holds for every process: each proof takes nothing but the process.

A new one is proven by its line in tests/conftest.py. What only a paper can tell, the values and the
coefficients that it prints, stands in the test of the file that a process is in.
"""

import ast
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from inspect import isclass, signature
from math import pi

import pytest
import torch
from conftest import OFTEN
from facts import INSIDE
from hypothesis import given, strategies as st
from problems import noise, times
from scipy.integrate import solve_ivp

import sgmse.sdes
from sgmse.sdes import OUVE, SBVE, SDE, VE, VP, Scales, expand, positive, rising

DTYPES = (torch.float64, torch.float32)


def test_starts_at_the_clean_audio(sde):
    a, b, sigma = sde.scales(times(0.0))
    assert float(a) == pytest.approx(1, abs=1e-15)
    assert b == 0
    assert sigma >= 0
    assert sigma.isfinite()


def test_finite_to_the_ends(sde):
    for dtype in DTYPES:
        t = times(0.0, 1e-6, 1e-3, 0.5, 0.999, 1 - 1e-6, 1.0, dtype=dtype)
        t = torch.cat([t, t[-1:].nextafter(t[:1])])
        scales = sde.scales(t)
        assert all(s.dtype == dtype and s.shape == t.shape and s.isfinite().all() for s in scales)
        assert (scales.a >= 0).all()
        assert (scales.sigma >= 0).all()
        assert not sde.log_snr(t).isnan().any()
        assert not any(rate.isnan().any() for rate in sde.rates(t))
        assert not any(c.isnan().any() for c in sde.coefficients(t))


def test_float32_keeps_every_digit(sde):
    """Near both ends, where the published code takes epsilons."""
    t = times(0.0, 1e-6, 1e-3, 0.3, 0.7, 0.999, 1 - 1e-6, 1.0, dtype=torch.float32)
    (a, b, sigma), exact = sde.scales(t), sde.scales(t.double())
    torch.testing.assert_close(a.double(), exact.a, rtol=1e-5, atol=0)
    torch.testing.assert_close(sigma.double(), exact.sigma, rtol=1e-5, atol=0)
    # b is the weight of y beside a = 1 at small t, with whose rounding it is added.
    torch.testing.assert_close(b.double(), exact.b, rtol=1e-5, atol=1e-7)


def test_rates_are_the_derivatives(sde):
    d = 1e-6
    after, before = sde.scales(INSIDE + d), sde.scales(INSIDE - d)
    for rate, up, down in zip(sde.rates(INSIDE), after, before, strict=True):
        # a central difference of values around 1 errs by 1e-16 / d + d^2 times a third derivative
        torch.testing.assert_close(rate, (up - down) / (2 * d), rtol=1e-6, atol=1e-7)


def test_rates_take_expanded_times(sde):
    t = times(0.4)
    torch.testing.assert_close(sde.rates(t.expand(3)), tuple(r.expand(3) for r in sde.rates(t)))


def test_scales_are_differentiable_unless_the_rates_are_stated(sde):
    if type(sde).rates is not SDE.rates:
        return
    for dtype in DTYPES:
        t = torch.tensor([0.2, 0.8], dtype=dtype, requires_grad=True)
        rates = sde.rates(t.detach())
        for index in (0, 2):
            (slope,) = torch.autograd.grad(sde.scales(t)[index].sum() + 0 * t.sum(), t)
            torch.testing.assert_close(slope, rates[index])


def test_coefficients_at_the_ends(sde):
    for dtype in DTYPES:
        f, h, g = sde.coefficients(times(0.0, 1.0, dtype=dtype))
        assert f[0].isfinite()
        assert h[0].isfinite()
        assert g[0].isfinite()
        assert (g >= 0).all()
        assert f[1] == -torch.inf if sde.forgets else f[1].isfinite()
        assert h[1] == torch.inf if sde.forgets and sde.observed else h[1].isfinite()
        # A bridge ends in a point, by its drift; where noise is left of x0, by endless noise.
        assert g[1].isfinite() == (sde.pinned or not sde.forgets)


def test_coefficients_near_the_ends_reach_their_limits(sde):
    """g of one rounding away stands in for g at an end: it must not jump."""
    ends, beside = times(0.0, 1.0), times(1e-9, 1 - 1e-9)
    g, near = sde.coefficients(ends).g, sde.coefficients(beside).g
    finite = g.isfinite()
    # g may leave 0 like the square root of t
    torch.testing.assert_close(g[finite], near[finite], rtol=1e-4, atol=2e-4)


def test_noise_is_only_added(sde):
    """g^2 >= 0 before it is kept from rounding below."""
    t = torch.linspace(0.001, 0.999, 200, dtype=torch.float64)
    (a, _, sigma), (da, _, dsigma) = sde.scales(t), sde.rates(t)
    assert (2 * sigma * (dsigma - da / a * sigma) > -1e-12).all()


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


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_simulated_paths_have_the_marginals(sde):
    """Euler-Maruyama of dx = (f x + h y) dt + g dw from one x0."""
    paths, steps, end = 4000, 400, 0.8
    x0, y = 0.6 + 0.2j, -0.3 + 0.5j
    t = torch.linspace(0, end, steps + 1, dtype=torch.float64)
    f, h, g = sde.coefficients(t[:-1])
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(steps + 1, paths, dtype=torch.complex128, generator=generator)
    dt = end / steps
    x = x0 + sde.scales(t[:1]).sigma * z[steps]  # some processes start with a little noise
    for i in range(steps):
        x = x + (f[i] * x + h[i] * y) * dt + g[i] * dt**0.5 * z[i]
    a, b, sigma = (float(s) for s in sde.scales(t[-1:]))
    mean, variance = x.mean(), (x - x.mean()).abs().pow(2).mean()
    # Four standard errors, and the first-order bias of Euler-Maruyama: f dt is at most 0.04 here.
    assert abs(mean - (a * x0 + b * y)) < 4 * sigma / paths**0.5 + 0.01
    assert float(variance) == pytest.approx(sigma**2, rel=4 / paths**0.5 + 0.04)


def test_log_snr_falls(sde):
    lambdas = sde.log_snr(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (lambdas.diff() < 0).all()
    assert (lambdas[-1] == -torch.inf) == sde.forgets
    assert (lambdas[0] == torch.inf) == bool(sde.scales(times(0.0)).sigma == 0)


def test_log_snr_is_what_the_diffusion_spends(sde):
    """g^2 = -2 sigma^2 lambda'."""
    d = 1e-6
    rate = (sde.log_snr(INSIDE + d) - sde.log_snr(INSIDE - d)) / (2 * d)
    g2 = -2 * sde.scales(INSIDE).sigma ** 2 * rate
    torch.testing.assert_close(sde.coefficients(INSIDE).g ** 2, g2, rtol=1e-6, atol=0)


def test_sample_is_the_equation(sde):
    for dtype in (torch.complex128, torch.float32):
        for shape in ((3,), (3, 5), (3, 1, 4, 2)):
            x0, y, z = (noise(*shape, seed=i, dtype=dtype) for i in range(3))
            t = times(0.2, 0.5, 0.9, dtype=x0.real.dtype)
            x = sde.sample(x0, y, t, z)
            assert x.dtype == dtype
            for i in range(3):
                a, b, sigma = (float(s[i]) for s in sde.scales(t))
                torch.testing.assert_close(x[i], a * x0[i] + b * y[i] + sigma * z[i])


def test_without_an_observation(sde):
    x0, z, t = noise(2, 3), noise(2, 3, seed=1), times(0.3, 0.9)
    if sde.observed:
        for draw in (lambda: sde.sample(x0, None, t, z), lambda: sde.prior(None, z)):
            with pytest.raises(ValueError, match="leads to an observation: pass it as y"):
                draw()
        return
    assert torch.equal(sde.sample(x0, None, t, z), sde.sample(x0, noise(2, 3, seed=2), t, z))
    sigma = sde.scales(times(1.0)).sigma
    torch.testing.assert_close(sde.prior(None, z), sigma * z)


def test_prior_is_the_state_with_y_for_x0(sde):
    y, z = noise(2, 3, 4, seed=1), noise(2, 3, 4, seed=2)
    for t in (1.0, 0.7):
        expected = sde.sample(y, y, times(t, t), z)
        assert torch.equal(sde.prior(y, z, t), expected)
    if sde.pinned:
        torch.testing.assert_close(sde.prior(y, z), y)


def test_it_says_where_it_ends(sde):
    a, _, sigma = sde.scales(times(1.0))
    assert sde.forgets == bool(a == 0)
    assert sde.pinned == bool(a == 0 and sigma == 0)
    assert sde.observed == bool((sde.scales(INSIDE).b != 0).any())


def test_a_process_is_its_constants(sde):
    assert replace(sde) == sde
    assert hash(replace(sde)) == hash(sde)
    with pytest.raises(TypeError):
        replace(sde, unheard_of=1.0)
    for field in fields(sde):
        with pytest.raises(FrozenInstanceError):
            setattr(sde, field.name, 2.0)


PROOFS = [
    proof
    for name, proof in list(globals().items())
    if name.startswith("test_") and list(signature(proof).parameters) == ["sde"]
]


@dataclass(frozen=True)
class Own(SDE):
    """A process that the library does not know."""

    rate: float = 0.3

    def scales(self, t):
        return Scales(torch.cos(pi / 4 * t), t**2, self.rate * t)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_a_process_of_ones_own_is_proven_alike(proof):
    proof(Own())


@dataclass(frozen=True)
class Wrong(SDE):
    """A process with an error: its noise falls so fast that g^2 < 0."""

    def scales(self, t):
        return Scales(1 - t / 2, t / 2, 0.1 + 0 * t + (1 - t) ** 4)


@dataclass(frozen=True)
class Coarse(OUVE):
    """OUVE as it is often written, with r^2t - a^2 that loses its digits."""

    def scales(self, t):
        a, b, _ = super().scales(t)
        return Scales(a, b, ((self.sigma_max / self.sigma_min) ** (2 * t) - a**2).sqrt())


@dataclass(frozen=True)
class Misstated(VE):
    """A process that states wrong rates."""

    def rates(self, t):
        a, b, sigma = super().rates(t)
        return Scales(a, b, 1.01 * sigma)


@pytest.mark.parametrize(
    ("proof", "sde"),
    [
        (test_noise_is_only_added, Wrong()),
        (test_log_snr_falls, Wrong()),
        (test_float32_keeps_every_digit, Coarse()),
        (test_rates_are_the_derivatives, Misstated()),
        (test_marginals_solve_the_moment_equations, Misstated()),
    ],
)
def test_an_error_is_found(proof, sde):
    with pytest.raises(AssertionError):
        proof(sde)


def exported() -> list[type[SDE]]:
    found = (getattr(sgmse.sdes, name) for name in sgmse.sdes.__all__)
    return [c for c in found if isclass(c) and issubclass(c, SDE) and c is not SDE]


@pytest.mark.parametrize("process", exported())
def test_every_process_has_its_facts(request, process):
    """In the test file of its own file, by its class."""
    family = process.__module__.removeprefix("sgmse.sdes._")
    tree = ast.parse((request.path.parent / f"test_{family}.py").read_text(encoding="utf-8"))
    tables = [
        node.value.keys
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["FACTS"]
    ]
    assert process.__name__ in {ast.unparse(key) for key in tables[0]}


def test_every_process_is_exported_and_under_test(request):
    conftest = ast.parse((request.path.parent.parent / "conftest.py").read_text(encoding="utf-8"))
    (listed,) = (
        node.value
        for node in conftest.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SDES"
    )
    named = {
        ast.unparse(n.func).removeprefix("sdes.")
        for n in ast.walk(listed)
        if isinstance(n, ast.Call)
    }
    names = {c.__name__ for c in exported()}
    assert names <= named
    ours = {c for c in SDE.__subclasses__() if c.__module__.startswith("sgmse.sdes.")}
    assert ours == set(exported())


@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 1, 4, 2)])
def test_expand(shape):
    scale = torch.arange(3.0)
    product = expand(scale, torch.ones(shape)) * torch.ones(shape)
    assert product.shape == shape
    assert all((product[i] == i).all() for i in range(3))


@given(st.floats())
def test_positive(value):
    if 0 < value < float("inf"):
        positive(OUVE(), it=value)
        return
    with pytest.raises(ValueError, match="OUVE: it must be positive, not"):
        positive(OUVE(), it=value)


def test_rising():
    rising(OUVE(), one=1.0, two=2.0, three=3.0)
    with pytest.raises(ValueError, match="OUVE: one must be positive, not 0"):
        rising(OUVE(), one=0.0, two=2.0)
    for three in (1.0, 2.0):
        with pytest.raises(ValueError, match=f"OUVE: three {three} must exceed two 2.0"):
            rising(OUVE(), one=1.0, two=2.0, three=three)


def test_constants_make_the_process():
    assert OUVE() == OUVE(1.5, 0.05, 0.5)
    assert hash(SBVE()) == hash(SBVE(2.6, 0.4))
    assert VP() != VP(beta_max=10.0)
    with pytest.raises(TypeError):
        OUVE(sigma=1.0)


def test_a_time_that_is_no_tensor_is_named():
    with pytest.raises(TypeError, match=r"t must be a tensor of times, such as .*, not 0\.5$"):
        OUVE().coefficients(0.5)
