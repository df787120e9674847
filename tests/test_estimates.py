import pytest
import torch
from problems import noise, times

from sgmse.estimates import Data, Noise, Score
from sgmse.sdes import OUVE, SBVE, expand

SHAPE = (4, 1, 3, 2)
T = times(0.05, 0.4, 0.8, 0.99)


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_the_target_gives_back_what_it_was_made_of(sde, parametrization, dtype):
    x0, y, z = (noise(*SHAPE, seed=i, dtype=dtype) for i in range(3))
    x = sde.sample(x0, y, T, z)
    output = parametrization.target(x0, y, z, T, sde)
    estimate = parametrization.estimate(output, x, y, T, sde)
    assert estimate.x0.dtype == estimate.noise.dtype == dtype
    a, _, sigma = (expand(s, x) for s in sde.scales(T))
    # Rounding of x is carried to x0 over a, to the noise over sigma.
    assert ((estimate.x0 - x0).abs() * a < 1e-14).all()
    assert ((estimate.noise - z).abs() * sigma < 1e-14).all()


def test_every_estimate_satisfies_the_equation(sde, parametrization):
    x, y, output = (noise(*SHAPE, seed=i) for i in range(3))
    x0, z = parametrization.estimate(output, x, y, T, sde)
    a, b, sigma = (expand(s, x) for s in sde.scales(T))
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-12, atol=1e-12)


def test_the_network_is_given_what_there_is(sde, parametrization):
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    inputs = parametrization.inputs(x, y, T, sde)
    assert all(torch.equal(ours, given) for ours, given in zip(inputs, (x, y, T), strict=True))


def test_score_is_the_gradient_of_the_log_density(sde):
    """score = -(x - a x0 - b y) / sigma^2, half the gradient of ln p for E|z|^2 = 1."""
    x0, y, z = (noise(4, 2, seed=i) for i in range(3))
    a, b, sigma = (s[:, None] for s in sde.scales(T))
    x = sde.sample(x0, y, T, z).requires_grad_()
    log_p = -((x - a * x0 - b * y).abs() ** 2 / sigma**2).sum()
    # torch's gradient of a real function is twice the Wirtinger derivative by the conjugate
    (gradient,) = torch.autograd.grad(log_p, x)
    torch.testing.assert_close(Score().target(x0, y, z, T, sde), gradient / 2)
    torch.testing.assert_close(Score(sign=-1).target(x0, y, z, T, sde), -gradient / 2)


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


def test_only_data_leaves_a_pinned_end():
    assert not Data().divides_by_a
    assert Noise().divides_by_a
    assert Score().divides_by_a


@pytest.mark.parametrize("sign", [0, 2, -2])
def test_refused_sign(sign):
    with pytest.raises(ValueError, match=f"sign must be 1 or -1, not {sign}"):
        Score(sign=sign)


def test_arguments_are_left_alone(sde, parametrization):
    tensors = [noise(*SHAPE, seed=i) for i in range(3)]
    copies = [tensor.clone() for tensor in tensors]
    parametrization.estimate(*tensors, T, sde)
    parametrization.target(*tensors, T, sde)
    assert all(torch.equal(a, b) for a, b in zip(tensors, copies, strict=True))


def test_equal_when_their_constants_are():
    assert Score() == Score(sign=1) != Score(sign=-1)
    assert OUVE() != SBVE()
