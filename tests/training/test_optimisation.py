import copy
import math

import pytest
import torch
from torch import nn

from sgmse.training.optimisation import Adam, AdamW, Muon, Schedule, orthogonal

SHAPES = [(8, 8), (6, 40), (40, 6), (1, 5), (128, 1152)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def given(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    parameters = [nn.Parameter(random(*shape, seed=i)) for i, shape in enumerate(shapes)]
    for i, p in enumerate(parameters):
        p.grad = random(*p.shape, seed=100 + i)
    return parameters


def test_schedule_rises_stays_and_falls():
    schedule = Schedule(warmup=10, decay=0.5, final=0.1)
    factors = [schedule.factor(step, step / 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[30] == factors[50] == 1
    assert factors[75] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)
    assert schedule.factor(200, 1.5) == pytest.approx(0.1)  # the clock may be late
    assert Schedule().factor(0, 0.0) == Schedule().factor(99, 1.0) == 1


def test_schedule_settles_as_published():
    """The published rate of EDM2SE, whose updates have 16 recordings, relative to its reference."""
    schedule = Schedule(warmup=62500, settle=30000)
    for step in (1, 40_000, 62_500, 500_000):
        seen = 16 * step
        expected = min(seen / 1e6, 1) / math.sqrt(max(seen / (30_000 * 16), 1))
        assert schedule.factor(step - 1, 0.0) == pytest.approx(expected)
    assert Schedule(settle=100, decay=0.5).factor(399, 1.0) == 0


def test_optimisers_get_their_settings():
    weights = [nn.Parameter(torch.zeros(1))]
    settings = AdamW(3e-4, (0.8, 0.9), 1e-7, 0.05).build(weights).defaults
    assert (settings["lr"], settings["betas"], settings["eps"]) == (3e-4, (0.8, 0.9), 1e-7)
    assert settings["weight_decay"] == 0.05
    assert isinstance(AdamW().build(weights), torch.optim.AdamW)
    adam = Adam(1e-2, (0.7, 0.9)).build(weights)
    assert type(adam) is torch.optim.Adam
    assert adam.defaults["betas"] == (0.7, 0.9)
    assert adam.defaults["weight_decay"] == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_become_one_and_vectors_stay(shape):
    x = random(*shape)
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    inside = u.T @ orthogonal(x) @ vh.T
    values = inside.diagonal()
    assert ((values > 0.6) & (values < 1.25))[s > 0.02 * x.norm()].all()
    assert (inside - values.diag()).abs().max() < 1e-4
    assert orthogonal(x).shape == x.shape


def test_an_update_of_a_convolution():
    """By hand: momentum and its look ahead, rows of output channels, decay."""
    (p,) = given((6, 4, 3, 3))
    before, g = p.detach().clone(), p.grad.clone()
    settings = Muon(lr=0.1, momentum=0.9, weight_decay=0.5)
    optimiser = settings.build([p])
    optimiser.step()
    optimiser.step()
    expected, m = before, torch.zeros_like(g)
    for _ in range(2):
        m = 0.9 * m + g
        o = orthogonal((g + 0.9 * m).reshape(6, 36)).reshape(p.shape)
        expected = (1 - 0.1 * 0.5) * expected - 0.1 * 0.2 * 36**0.5 * o
    torch.testing.assert_close(p.detach(), expected)


@pytest.mark.parametrize("shape", [(64, 64), (32, 16, 3, 3), (16, 200)])
def test_updates_are_as_large_as_those_of_adam(shape):
    (p,) = given(shape)
    before = p.detach().clone()
    Muon(lr=1.0, weight_decay=0.0).build([p]).step()
    size = (p - before).square().mean().sqrt()
    assert 0.2 * 0.8 < size < 0.2 * 1.2


def test_what_is_no_matrix_is_left_to_adam():
    ours, theirs = given((7,), ()), given((7,), ())
    first = Muon(lr=0.01, betas=(0.8, 0.9), eps=1e-6).build(ours)
    second = torch.optim.Adam(theirs, 0.01, (0.8, 0.9), 1e-6)
    for step in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = random(*p.shape, seed=step)
            q.grad = p.grad.clone()
        first.step()
        second.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


def test_the_state_goes_on_where_it_was():
    shapes = (5, 3), (5,)
    whole, parts = given(*shapes), given(*shapes)
    settings = Muon(lr=0.1)
    one, first = settings.build(whole), settings.build(parts)
    for optimiser in (one, one, one, first):
        optimiser.step()
    second = settings.build(parts)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second.step()
    second.step()
    for p, q in zip(whole, parts, strict=True):
        assert torch.equal(p, q)


def test_a_parameter_without_a_gradient_stays():
    (p,) = given((3, 3))
    before = p.detach().clone()
    p.grad = None
    Muon(lr=0.1).build([p]).step()
    assert torch.equal(p.detach(), before)
