from dataclasses import dataclass
from math import e, pi

import pytest
import torch
from conftest import SDES, together
from problems import noise, times
from torch.utils._python_dispatch import TorchDispatchMode

from sgmse.errors import SgmseError
from sgmse.estimates import (
    EDM,
    Additive,
    Data,
    Noise,
    Preconditioned,
    Score,
    Velocity,
)
from sgmse.sdes import OUVE, SBVE, SDE, FlowMatching, Scales, expand

SHAPE = (4, 1, 3, 2)
T = times(0.05, 0.4, 0.8, 0.99)


@dataclass(frozen=True)
class Circle(SDE):
    """a = cos(pi t / 2), b = 0, sigma = sin(pi t / 2), to the end: a(1) = 0, sigma(1) = 1."""

    def scales(self, t):
        return Scales((pi * (1 - t) / 2).sin(), torch.zeros_like(t), (pi * t / 2).sin())


@dataclass(frozen=True)
class Still(SDE):
    """A process that adds no noise after t = 1/2."""

    def scales(self, t):
        a = 1 - t / 2
        return Scales(a, torch.zeros_like(t), a * torch.minimum(t, torch.full_like(t, 0.5)))


@dataclass(frozen=True)
class Kite(SDE):
    """A bridge that reaches its end with finite speed: a = 1 - t, b = t, sigma = t (1 - t)."""

    def scales(self, t):
        return Scales(1 - t, t, t * (1 - t))


@together(sde=SDES)
def test_the_target_gives_back_what_it_was_made_of(sde, parametrization):
    a, _, sigma = (s[:, None, None, None] for s in sde.scales(T))
    for dtype in (torch.complex128, torch.float64):
        x0, y, z = (noise(*SHAPE, seed=i, dtype=dtype) for i in range(3))
        x = sde.sample(x0, y, T, z)
        output = parametrization.target(x0, y, z, T, sde)
        estimate = parametrization.estimate(output, x, y, T, sde)
        assert output.dtype == estimate.x0.dtype == estimate.noise.dtype == dtype
        # Rounding of x is carried to x0 over a, to the noise over sigma; the two equations of
        # Velocity make it up to five times as large.
        assert ((estimate.x0 - x0).abs() * a < 5e-14).all()
        assert ((estimate.noise - z).abs() * sigma < 5e-14).all()


@together(sde=SDES)
def test_every_estimate_satisfies_the_equation(sde, parametrization):
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    x0, z = parametrization.estimate(output, x, y, T, sde)
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-12, atol=1e-12)


DTYPES = (torch.complex128, torch.complex64, torch.float32)


@together(sde=[*SDES, Circle(), Kite()], dtype=DTYPES)
def test_nothing_is_infinite_from_beginning_to_end(sde, parametrization, dtype):
    """0 times infinity is nowhere, and the equation holds at t = 1 too."""
    if parametrization.refusal(sde):
        return
    x0, y, z, output = (noise(6, 3, 2, seed=i, dtype=dtype) for i in range(4))
    one = torch.ones((), dtype=x0.real.dtype)
    before = torch.nextafter(one, 0 * one).tolist()
    t = times(1e-6, 1e-4, 0.5, 0.999, before, 1.0, dtype=one.dtype)
    x = sde.sample(x0, y, t, z)
    if sde.pinned:
        x[-1] = y[-1]  # b(1) = 1, but a sum of three terms may round
    assert all(part.isfinite().all() for part in parametrization.inputs(x, y, t, sde))
    a, b, sigma = (expand(s, x) for s in sde.scales(t))
    for estimate in (
        parametrization.estimate(output, x, y, t, sde),
        # the observation only up to rounding, as a solver may leave it
        parametrization.estimate(output, x * (1 + 3 * torch.finfo(dtype).eps), y, t, sde),
    ):
        assert estimate.x0.isfinite().all()
        assert estimate.noise.isfinite().all()
        assert estimate.x0.dtype == estimate.noise.dtype == dtype
    x0, z = parametrization.estimate(output, x, y, t, sde)
    terms = (a * x0).abs() + (b * y).abs() + (sigma * z).abs()  # whose rounding is in the sum
    residual = (a * x0 + b * y + sigma * z - x).abs()
    assert (residual <= 64 * torch.finfo(dtype).eps * (terms + x.abs())).all()


@together(sde=SDES)
def test_the_data_are_had_back_at_the_end(sde, parametrization):
    """t = 1, where the noise of a bridge is 0 whatever z was."""
    unheard = parametrization == Preconditioned(
        of="data", c_out="edm", c_skip="edm", sigma_data=0.2
    )
    if parametrization.refusal(sde) or (sde.pinned and unheard):
        return
    x0, y, z = (noise(2, 3, seed=i) for i in range(3))
    t = times(1.0, 1.0)
    output = parametrization.target(x0, y, z, t, sde)
    estimate = parametrization.estimate(output, sde.sample(x0, y, t, z), y, t, sde)
    # VP has a(1) = 0.007, over which the rounding of x is magnified
    torch.testing.assert_close(estimate.x0, x0, rtol=1e-12, atol=1e-12)
    expected = torch.zeros_like(z) if sde.pinned else z
    torch.testing.assert_close(estimate.noise, expected, rtol=1e-12, atol=1e-12)


def test_an_estimate_is_a_handful_of_operations(parametrization):
    """Counted where the tensors are as large as the state."""

    class Counter(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            self.count += torch.is_tensor(result) and result.numel() >= 4096
            return result

    x, y, output = (noise(2, 1, 64, 64, seed=i) for i in range(3))
    t = times(0.4, 0.6)
    with Counter() as counter:
        parametrization.inputs(x, y, t, OUVE())
        parametrization.estimate(output, x, y, t, OUVE())
    assert 3 <= counter.count <= 14


@pytest.mark.parametrize("plain", [Score(), Noise(), Data(), Velocity()], ids=repr)
def test_a_network_is_given_what_there_is(plain):
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    inputs = plain.inputs(x, y, T, OUVE())
    assert all(torch.equal(ours, given) for ours, given in zip(inputs, (x, y, T), strict=True))


def test_score_is_the_gradient_of_the_log_density(sde):
    """score = -(x - a x0 - b y) / sigma^2, half the gradient of ln p for E|z|^2 = 1."""
    x0, y, z = (noise(4, 2, seed=i) for i in range(3))
    a, b, sigma = (s[:, None] for s in sde.scales(T))
    x = sde.sample(x0, y, T, z).requires_grad_()
    log_p = -((x - a * x0 - b * y).abs() ** 2 / sigma**2).sum()
    # torch's gradient of a real function is twice the Wirtinger derivative by the conjugate
    (gradient,) = torch.autograd.grad(log_p, x)
    score = gradient / 2
    torch.testing.assert_close(Score().target(x0, y, z, T, sde), score)
    torch.testing.assert_close(Score(sign=-1).target(x0, y, z, T, sde), -score)
    # scaling * output is the score
    torch.testing.assert_close(Score(scaling="1/t").target(x0, y, z, T, sde) / T[:, None], score)
    output = Score(-1, "1/sigma").target(x0, y, z, T, sde)
    torch.testing.assert_close(-output / sigma, score)
    torch.testing.assert_close(output, z)


def test_velocity_is_the_derivative_of_the_path(sde):
    x0, y, z = (noise(4, 2, seed=i) for i in range(3))
    h = 1e-6
    there, here = (sde.sample(x0, y, T + d, z) for d in (h, -h))
    # central differences: h^2 sigma''' ~ 1e-8 at t = 0.05 and near the end of a bridge
    expected = (there - here) / (2 * h)
    torch.testing.assert_close(Velocity().target(x0, y, z, T, sde), expected, rtol=1e-6, atol=1e-6)


def test_velocity_is_the_probability_flow(sde):
    """f x + h y - g^2 score / 2 of the estimate that an output stands for is that output."""
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    _, z = Velocity().estimate(output, x, y, T, sde)
    f, h, g = (expand(c, x) for c in sde.coefficients(T))
    score = -z / expand(sde.scales(T).sigma, x)
    # near the end of a bridge large terms cancel
    torch.testing.assert_close(f * x + h * y - g**2 * score / 2, output, rtol=1e-9, atol=1e-9)


def test_velocity_has_its_published_forms():
    x0, y, z = (noise(4, 2, seed=i) for i in range(3))
    angle = pi * T[:, None] / 2
    v = angle.cos() * z - angle.sin() * x0  # Salimans and Ho 2022
    torch.testing.assert_close(Velocity().target(x0, y, z, T, Circle()), pi / 2 * v)
    # where EDM turns by the same angle, it is the same up to its sign
    torch.testing.assert_close(EDM(sigma_data=1.0).target(x0, y, z, T, Circle()), -v)
    torch.testing.assert_close(Velocity().target(x0, y, z, T, FlowMatching()), z - x0)


def test_velocity_works_in_inference_mode():
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    expected = Velocity().estimate(output, x, y, T, OUVE())
    with torch.inference_mode():
        estimate = Velocity().estimate(output, x, y, T, OUVE())
    assert torch.equal(estimate.x0, expected.x0)
    assert torch.equal(estimate.noise, expected.noise)


@together(sigma_data=[0.1, 0.5])
def test_edm_is_its_formulas(sde, sigma_data):
    """Karras et al. 2022, eq. 7 and table 1, on (x - b y) / a with the noise level sigma / a."""
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    hat, s = (x - b * y) / a, sigma / a
    size = (s**2 + sigma_data**2).sqrt()
    state, observation, time = EDM(sigma_data).inputs(x, y, T, sde)
    torch.testing.assert_close(state, hat / size)
    torch.testing.assert_close(observation, y / sigma_data)
    torch.testing.assert_close(time.log(), (s.log() / 4).flatten())
    x0 = sigma_data**2 / size**2 * hat + s * sigma_data / size * output
    estimate = EDM(sigma_data).estimate(output, x, y, T, sde)
    torch.testing.assert_close(estimate.x0, x0, rtol=1e-10, atol=1e-10)


def test_edm_of_a_residual_is_edm_of_what_is_added_to_the_observation(sde):
    """With x - (a + b) y for x and no observation: x_t - (a + b) y = a (x0 - y) + sigma z."""
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    a, b, _ = (expand(s, x) for s in sde.scales(T))
    whole, added = EDM(0.3), EDM(0.3, residual=True)
    rest, nothing = x - (a + b) * y, torch.zeros_like(y)
    state, observation, time = added.inputs(x, y, T, sde)
    assert torch.equal(observation, y)
    state_0, _, time_0 = whole.inputs(rest, nothing, T, sde)
    torch.testing.assert_close((state, time), (state_0, time_0))
    estimate, of_rest = (
        added.estimate(output, x, y, T, sde),
        whole.estimate(output, rest, nothing, T, sde),
    )
    torch.testing.assert_close(estimate.x0, y + of_rest.x0)
    torch.testing.assert_close(estimate.noise, of_rest.noise)


def test_edm_of_a_residual_without_a_network_is_exact_for_a_normal_one(sde):
    """E[x0 | x_t] for x0 ~ CN(y, 0.3^2): the gain of Wiener, (0.3 a)^2 / ((0.3 a)^2 + sigma^2)."""
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    gain = 0.09 * a / (0.09 * a**2 + sigma**2)
    estimate = EDM(0.3, residual=True).estimate(torch.zeros_like(x), x, y, T, sde)
    torch.testing.assert_close(estimate.x0, y + gain * (x - (a + b) * y))


def test_edm_makes_input_and_target_of_unit_size(sde):
    edm, many = EDM(0.3), 20000
    x0, y, z = (noise(4, many, seed=i) for i in range(3))
    x = sde.sample(0.3 * x0, 0.3 * y, T, z)
    state, observation, _ = edm.inputs(x, 0.3 * y, T, sde)
    target = edm.target(0.3 * x0, 0.3 * y, z, T, sde)
    for tensor in (state, observation, target):
        # 5 standard errors of a mean of exponential variables
        torch.testing.assert_close(
            tensor.abs().square().mean(1), torch.ones_like(T), rtol=0, atol=5 / many**0.5
        )


@together(dtype=[torch.float32, torch.float64])
def test_the_time_of_edm_is_positive_and_finite(sde, dtype):
    t = times(1e-12, 1e-6, 0.3, 1.0, dtype=dtype)
    time = EDM().inputs(torch.zeros(4, 2, dtype=dtype), torch.zeros(4, 2, dtype=dtype), t, sde)[2]
    assert time.dtype == dtype
    assert ((time >= e**-5 * (1 - 1e-6)) & (time <= e**5 * (1 + 1e-6))).all()
    assert (time.diff() >= 0).all()
    if sde.forgets:
        assert float(time[-1]) == pytest.approx(e**5)


def test_additive_is_its_formulas(sde):
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    (a_1, b_1, sigma_1), tau = sde.scales(times(1.0)), sigma / 2**0.5
    v = (a + b) ** 2 * 0.3**2 + b**2 * 0.2**2 + tau**2
    w = (1 - a - b) ** 2 * 0.3**2 + b**2 * 0.2**2 + tau**2
    v_1 = (a_1 + b_1) ** 2 * 0.3**2 + b_1**2 * 0.2**2 + sigma_1**2 / 2
    for of, x0 in (("noise", x + w.sqrt() * output), ("data", 0.3 * output)):
        additive = Additive(of, sigma_x=0.3, sigma_n=0.2)
        state, observation, time = additive.inputs(x, y, T, sde)
        torch.testing.assert_close(state, x / v)
        torch.testing.assert_close(observation, y / v_1)
        torch.testing.assert_close(time.log(), (tau.log() / 4).flatten())
        torch.testing.assert_close(additive.estimate(output, x, y, T, sde).x0, x0)


def test_additive_makes_targets_of_unit_size(sde):
    """In each part, real and imaginary; the inputs are of the size 1 / sqrt(v)."""
    many = 20000
    additive = Additive(sigma_x=0.3, sigma_n=0.2)
    x0, n, z = (noise(4, many, seed=i) for i in range(3))
    x0, n = 0.3 * 2**0.5 * x0, 0.2 * 2**0.5 * n
    y = x0 + n
    x = sde.sample(x0, y, T, z)
    v = additive.variance(T, sde, 0.0)
    state, *_ = additive.inputs(x, y, T, sde)
    for tensor in (
        additive.target(x0, y, z, T, sde),
        Additive("data", 0.3, 0.2).target(x0, y, z, T, sde),
        v.sqrt()[:, None] * state,
    ):
        # 5 standard errors of a mean of exponential variables
        torch.testing.assert_close(
            tensor.abs().square().mean(1) / 2, torch.ones_like(T), rtol=0, atol=5 / many**0.5
        )


def test_the_time_of_additive_has_a_floor():
    x, t = torch.zeros(2, 3, dtype=torch.complex128), times(1.0, 0.5)
    time = Additive(floor=1e-3).inputs(x, x, t, SBVE())[2]
    assert float(time[0]) == pytest.approx(1e-3**0.25)
    assert float(time[1]) == pytest.approx(float(SBVE().scales(t).sigma[1] / 2**0.5) ** 0.25)


def test_data_at_the_end_of_a_bridge_has_no_noise():
    for dtype in (torch.complex128, torch.complex64):
        x0, y = noise(2, 3, dtype=dtype), noise(2, 3, seed=1, dtype=dtype)
        output = x0.clone().requires_grad_()
        t = torch.ones(2, dtype=x0.real.dtype)
        # Even if x is y only up to rounding, or not at all.
        estimate = Data().estimate(output, y + x0 / 8, y, t, SBVE())
        assert torch.equal(estimate.x0, x0)
        assert (estimate.noise == 0).all()
        estimate.noise.abs().sum().backward()
        assert output.grad.isfinite().all()


def test_edm_at_the_end_of_a_bridge_is_its_output():
    for dtype in (torch.complex128, torch.complex64):
        output, y = noise(2, 3, dtype=dtype), noise(2, 3, seed=1, dtype=dtype)
        output.requires_grad_()
        t = torch.ones(2, dtype=y.real.dtype)
        x0, z = EDM(0.5).estimate(output, y + 0.1, y, t, SBVE())
        assert torch.equal(x0, 0.5 * output)
        assert (z == 0).all()
        (x0.abs().sum() + z.abs().sum()).backward()
        assert output.grad.isfinite().all()


def test_who_serves_every_process(sde):
    for parametrization in (Data(), EDM(), Preconditioned(of="data")):
        assert parametrization.refusal(sde) is None
        assert all(parametrization.refusal(other) is None for other in (Kite(), Still()))


@together(
    parametrization=[
        Score(),
        Score(scaling="1/t"),
        Noise(),
        Preconditioned(),
        Preconditioned(of="mean"),
    ]
)
def test_who_divides_by_a_is_refused_where_it_is_0(sde, parametrization):
    for process in (sde, Kite()):
        why = parametrization.refusal(process)
        assert (why is not None) == process.forgets
        if why:
            assert why.startswith(f"{parametrization} divides by a(t), and {process} has a(1) = 0")
            assert why.endswith("use a parametrization that estimates the data, such as Data()")


@together(parametrization=[Score(), Noise(), Preconditioned()])
def test_who_divides_by_a_is_refused_up_to_the_latest_time_alone(sde, parametrization):
    assert parametrization.refusal(sde, 0.999) is None
    t = times(0.999)
    x, y, output = (noise(1, 3, 2, seed=i) for i in range(3))
    estimate = parametrization.estimate(output, x, y, t, sde)
    assert estimate.x0.isfinite().all()


def test_velocity_is_refused_where_it_is_infinite_or_says_too_little(sde):
    why = Velocity().refusal(sde)
    assert (why is not None) == sde.pinned
    if why:
        assert f"at t = 1 of {sde}" in why
        assert why.endswith("such as Data()")
    assert "cannot be told from it at t = 1 of Kite()" in Velocity().refusal(Kite())
    # a sigma' = a' sigma from t = 1/2 on
    assert "cannot be told from it at t = 0.507812 of Still()" in Velocity().refusal(Still())
    assert Velocity().refusal(Still(), 0.499) is None
    assert Velocity().refusal(sde, 0.999) is None


def test_preconditioning_is_refused_where_it_divides_by_0():
    for bad in (Preconditioned("data", c_out="1/sigma"), Preconditioned("data", scaling="1/sigma")):
        assert "divides by sigma(t), and SBVE(k=2.6, c=0.4) has sigma(1) = 0" in bad.refusal(SBVE())
        assert bad.refusal(SBVE(), 0.999) is None
        assert bad.refusal(OUVE()) is None
        assert bad.refusal(FlowMatching()) is None


@pytest.mark.parametrize("sign", [0, 2, -2])
def test_refused_sign(sign):
    with pytest.raises(ValueError, match=f"sign must be 1 or -1, not {sign}"):
        Score(sign=sign)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Score(scaling="sigma"),
            "Score: scaling must be '1', '1/sigma', '1/t', not 'sigma'",
        ),
        (lambda: Preconditioned(of="x0"), "of must be 'score', 'mean', 'data', not 'x0'"),
        (lambda: Preconditioned(c_in="sigma"), "c_in must be '1', 'edm', not 'sigma'"),
        (lambda: Preconditioned(c_out=1), "c_out must be '1', 'sigma', '1/sigma' or 'edm', not 1"),
        (lambda: Preconditioned(c_skip="1"), "c_skip must be '0', 'edm', not '1'"),
        (lambda: Preconditioned(sigma_data=0.0), "sigma_data must be positive, not 0.0"),
        (lambda: EDM(-1.0), "EDM: sigma_data must be positive, not -1.0"),
        (lambda: Additive("score"), "Additive: of must be 'noise', 'data', not 'score'"),
        (lambda: Additive(sigma_x=0.0), "Additive: sigma_x must be positive, not 0.0"),
        (lambda: Additive(sigma_n=-1.0), "Additive: sigma_n must be positive, not -1.0"),
        (lambda: Additive(floor=0.0), "Additive: floor must be positive, not 0.0"),
    ],
)
def test_refused_settings(make, message):
    with pytest.raises(SgmseError, match=message):
        make()


def test_arguments_are_left_alone(parametrization):
    tensors = [noise(*SHAPE, seed=i) for i in range(3)]
    copies = [tensor.clone() for tensor in tensors]
    parametrization.inputs(*tensors[:2], T, OUVE())
    parametrization.estimate(*tensors, T, OUVE())
    parametrization.target(*tensors, T, OUVE())
    assert all(torch.equal(a, b) for a, b in zip(tensors, copies, strict=True))


def test_equal_when_their_constants_are():
    assert Score() == Score(sign=1) != Score(sign=-1)
    assert EDM() == EDM(0.1) != EDM(0.2)
    assert OUVE() != SBVE()
