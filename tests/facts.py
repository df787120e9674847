"""What the papers print of a process, and how a process of the library is held to it.

What must hold for every process, printed or not, is proven in tests/sdes/test_base.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings, strategies as st
from problems import times
from torch import Tensor

from sgmse.sdes import SDE

INSIDE = times(0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


class Facts(NamedTuple):
    """Of one class of processes."""

    #: f, h, g at any t, written as in the paper; infinite where they are.
    coefficients: Callable[[SDE, Tensor], tuple[Tensor, Tensor, Tensor]]
    #: sigma at t = 0.
    start: Callable[[SDE], float]
    #: a, b, sigma at t = 1.
    end: Callable[[SDE], tuple[float, float, float]]
    #: Processes with any constants.
    any: st.SearchStrategy[SDE]


def check_ends(facts: Facts, sde: SDE) -> None:
    a, b, sigma = (s.tolist() for s in sde.scales(times(0.0, 1.0)))
    expected = torch.tensor([(1, 0, facts.start(sde)), facts.end(sde)], dtype=torch.float64)
    scales = torch.tensor([a, b, sigma], dtype=torch.float64).T
    torch.testing.assert_close(scales, expected, rtol=1e-14, atol=1e-15)
    # Zero is exact, so that it can be asked for.
    assert not scales[expected == 0].any()


def check_coefficients(facts: Facts, sde: SDE, t: Tensor, rtol: float, atol: float) -> None:
    expected = facts.coefficients(sde, t.double())
    for ours, theirs in zip(sde.coefficients(t), expected, strict=True):
        assert ours.dtype == t.dtype
        torch.testing.assert_close(ours.double(), theirs, rtol=rtol, atol=atol)


def check_facts(facts: Facts, sde: SDE) -> None:
    """Ends and coefficients, in both precisions."""
    check_ends(facts, sde)
    check_coefficients(facts, sde, INSIDE, 1e-9, 1e-9)
    # g^2 is a difference of terms up to 1 / t or 1 / (1 - t) <= 100 times larger.
    check_coefficients(facts, sde, INSIDE.float(), 2e-4, 2e-4)
    for dtype in (torch.float64, torch.float32):
        # At an end g may be that of one rounding away, where beta of SBVP is 2e-4 larger.
        check_coefficients(facts, sde, times(0.0, 1.0, dtype=dtype), 3e-4, 1e-6)


def check_any(facts: Facts, sde: SDE, t: float) -> None:
    """The same for constants and a time that hypothesis draws."""
    check_ends(facts, sde)
    check_coefficients(facts, sde, times(t), 1e-6, 1e-9)
    for dtype in (torch.float64, torch.float32):
        at = times(0.0, t, 1.0, dtype=dtype)
        assert all(s.isfinite().all() for s in sde.scales(at))
        assert not any(c.isnan().any() for c in sde.coefficients(at))


def held_to(facts: dict[type[SDE], Facts]) -> tuple[Callable, Callable]:
    """Two tests of a file: each process with the constants of its paper, and any with any."""

    @pytest.mark.parametrize("process", facts)
    def test_the_formulas_of_the_papers(process):
        check_facts(facts[process], process())

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(list(facts)).flatmap(lambda p: facts[p].any), st.floats(0.001, 0.999))
    def test_any_constants(sde, t):
        check_any(facts[type(sde)], sde, t)

    return test_the_formulas_of_the_papers, test_any_constants


def check_parity(sde: SDE, v: dict[str, Tensor], end: float = 1.0) -> None:
    """Against the arrays of a file of parity vectors."""
    t, x, x0, y = (v[key] for key in ("t", "x", "x0", "y"))
    # BBED's printed variance loses digits at small t, its square root half of what is left of them.
    tolerance = {"rtol": 1e-9, "atol": 1e-9}
    zero = torch.zeros_like(x0)
    torch.testing.assert_close(sde.sample(x0, y, t, zero), v["mean"], **tolerance)
    torch.testing.assert_close(sde.scales(t).sigma, v["std"], **tolerance)
    f, h, g = (c[:, None, None, None] for c in sde.coefficients(t))
    torch.testing.assert_close(f * x + h * y, v["drift"], **tolerance)
    torch.testing.assert_close(g.flatten(), v["diffusion"], **tolerance)
    # The published prior is centred on y itself.
    sigma = sde.scales(times(end)).sigma
    torch.testing.assert_close(y + sigma * v["prior_noise"][0], v["prior_sample"], **tolerance)
