"""Flows, against the paper."""

import pytest
import torch
from facts import Facts, check_any, check_facts
from hypothesis import given, settings, strategies as st

from sgmse.sdes import StraightFlow


def straight(sde, t):
    """g^2 = 2 sigma (sigma' + sigma / (1 - t)), which is 2 sigma sigma_max / (1 - t)."""
    sigma = (1 - t) * sde.sigma_min + t * sde.sigma_max
    return -1 / (1 - t), 1 / (1 - t), (2 * sigma * sde.sigma_max / (1 - t)).sqrt()


FACTS = {
    StraightFlow: Facts(
        straight,
        lambda sde: sde.sigma_min,
        lambda sde: (0, 1, sde.sigma_max),
        # also noise that falls with t
        st.builds(StraightFlow, st.just(0.0) | st.floats(1e-6, 3), st.floats(0.01, 3)),
    ),
}


@pytest.mark.parametrize("sde", [StraightFlow(), StraightFlow(0.1), StraightFlow(0.9, 0.1)])
def test_the_formulas_of_the_papers(sde):
    check_facts(FACTS[StraightFlow], sde)
    assert sde.forgets
    assert not sde.pinned


@settings(max_examples=40, deadline=None)
@given(FACTS[StraightFlow].any, st.floats(0.001, 0.999))
def test_any_constants(sde, t):
    check_any(FACTS[StraightFlow], sde, t)
    # The coefficient that must not be negative, before it is kept from it.
    at = torch.tensor([t], dtype=torch.float64)
    (a, _, sigma), (da, _, dsigma) = sde.scales(at), sde.rates(at)
    assert 2 * sigma * (dsigma - da / a * sigma) > 0


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"sigma_min": -0.1}, "StraightFlow: sigma_min must be 0 or positive, not -0.1"),
        ({"sigma_min": float("nan")}, "StraightFlow: sigma_min must be 0 or positive, not nan"),
        ({"sigma_max": 0.0}, "StraightFlow: sigma_max must be positive, not 0.0"),
    ],
)
def test_refused_constants(constants, message):
    with pytest.raises(ValueError, match=message):
        StraightFlow(**constants)
