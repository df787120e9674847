"""What is no process is refused by the models made of it, with the reason."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from tiny import Identity

from sgmse.estimates import Data
from sgmse.model import ScoreModel
from sgmse.sdes import SDE, VE, FlowMatching, Scales, StraightFlow


@dataclass(frozen=True)
class Own(SDE):
    """A user's own: by default the flow (1 - t, t, t / 2)."""

    a: Callable = lambda t: 1 - t
    b: Callable = lambda t: t
    sigma: Callable = lambda t: t / 2

    def scales(self, t):
        return Scales(self.a(t), self.b(t), self.sigma(t))


def test_every_process_is_one(sde):
    assert sde.refusal() is None


@pytest.mark.parametrize(
    "sde",
    [
        Own(),
        Own(a=torch.ones_like, b=torch.zeros_like),
        VE(0.05, 0.5),  # a little noise is left at t = 0
        FlowMatching(0.1),
        StraightFlow(0.05, 0.4),
        Own(a=lambda t: torch.exp(-t), b=lambda t: t**2, sigma=lambda t: (t * (1 - t / 3)).sqrt()),
    ],
)
def test_ones_own_is_one(sde):
    assert sde.refusal() is None
    ScoreModel(Identity(), sde, Data())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sigma": lambda t: 0.5 + 0 * t}, r"sigma\(0\) must be 0 or small, .* not 0\.5"),
        ({"sigma": lambda t: 1 - t}, r"sigma\(0\) must be 0 or small"),
        ({"sigma": lambda t: t - 0.01}, "sigma must not be negative, as it is at t = 0"),
        ({"sigma": lambda t: t * (1 - t) ** 3}, r"sigma / a must not fall, or g\^2 is negative"),
        ({"a": lambda t: 1 + t}, "a must not rise with t, and does so after t = 0"),
        ({"a": lambda t: 0.9 - 0.5 * t}, r"a\(0\) must be 1, .* not 0\.9"),
        ({"a": lambda t: 1 - 2 * t}, r"a must be positive before t = 1, and is 0 at 0\.5"),
        ({"b": lambda t: 0.1 + t}, r"b\(0\) must be 0, .* not 0\.1"),
        ({"sigma": lambda t: (t - 0.2).sqrt()}, "sigma is nan at t = 0"),
        ({"sigma": lambda t: 1 / (1 - t)}, "sigma is inf at t = 1"),
        ({"sigma": lambda t: 0.5}, r"sigma is 0\.5; use torch\.full_like\(t, value\)"),
        ({"sigma": lambda t: t[:1]}, r"sigma has the shape \(1,\) at t of shape \(33,\)"),
        ({"sigma": lambda t: t.double()}, r"sigma is of torch\.float64 at t of torch\.float32"),
        ({"sigma": lambda t: t.cumsum(0) / 20}, "sigma at a time must not depend on the other"),
        ({"sigma": lambda t: t * float(t)}, r"scales fails for t of shape \(33,\): \w+Error"),
        ({"a": lambda t: None}, "a is None"),
    ],
)
def test_what_is_no_process_is_refused(wrong, says):
    sde = Own(**wrong)
    with pytest.raises(ValueError, match=f"Own.*{says}.*correct its scales") as caught:
        ScoreModel(Identity(), sde, Data())
    assert sde.refusal() in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_scales_are_not_three():
    class Two(SDE):
        def scales(self, t):
            return 1 - t, t

    assert "there are 2 of them" in Two().refusal()
