import math

import pytest
import torch
from torch import nn

from sgmse.training.optimisation import EMA, Adam, AdamW, Schedule, Times


def test_times_are_uniform_and_one():
    t = Times(0.2, 0.8, at_one=0.25).draw(20000, torch.Generator().manual_seed(0))
    inside = t[t < 1]
    # 5 standard deviations of a share and of a mean
    assert float((t == 1).float().mean()) == pytest.approx(0.25, abs=0.016)
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.008)
    assert float(inside.std()) == pytest.approx(0.6 / math.sqrt(12), rel=0.03)
    assert inside.min() >= 0.2
    assert inside.max() <= 0.8


def test_times_are_the_generators():
    one, two = (Times().draw(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


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
    with pytest.raises(ValueError, match="settle must be at least 1"):
        Schedule(settle=0)


@pytest.mark.parametrize("warmup", [True, False])
def test_average_is_its_formula(warmup):
    layer = nn.Linear(3, 2)
    ema = EMA(0.9, warmup)
    average = ema.of(layer)
    assert not any(p.requires_grad for p in average.parameters())
    expected = None
    for n in range(1, 30):
        with torch.no_grad():
            layer.weight.add_(torch.randn(2, 3, generator=torch.Generator().manual_seed(n)))
        average.update_parameters(layer)
        d = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
        now = layer.weight.detach().clone()
        # the first update takes the weights as they are
        expected = now if expected is None else d * expected + (1 - d) * now
        torch.testing.assert_close(average.module.weight, expected)


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


@pytest.mark.parametrize(
    "make",
    [
        lambda: Times(0.0),
        lambda: Times(0.5, 0.4),
        lambda: Times(at_one=2),
        lambda: Adam(lr=0.0),
        lambda: AdamW(betas=(0.9, 1.0)),
        lambda: Schedule(decay=1.5),
        lambda: EMA(1.0),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"must|lie|hold"):
        make()
