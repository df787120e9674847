"""Processes made of processes."""

import pytest
import torch
from facts import INSIDE, Facts, check_facts, held_to
from hypothesis import strategies as st
from problems import times

from sgmse.sdes import (
    BBED,
    OUVP,
    VE,
    VP,
    BrownianBridge,
    CosineVP,
    FlowMatching,
    LinearVE,
    Scaled,
    Shifted,
    StraightFlow,
)

ALONE = (
    st.builds(VE, st.floats(0.001, 0.1), st.floats(0.2, 50))
    | st.builds(VP, st.floats(0.01, 1), st.floats(1, 40))
    | st.builds(CosineVP, st.floats(1e-3, 1))
    | st.builds(FlowMatching, st.floats(0, 0.9))
)
ANY = ALONE | st.builds(BBED, st.floats(0.01, 2), st.floats(1.1, 20)) | st.builds(Shifted, ALONE)


def shifted(sde, t):
    f, _, g = sde.process.coefficients(t)
    return f, -f, g


def scaled(sde, t):
    f, h, g = sde.process.coefficients(t)
    return f, h, sde.factor * g


def at_end(process):
    return (float(s) for s in process.scales(times(1.0)))


def shifted_end(sde):
    a, _, sigma = at_end(sde.process)
    return a, 1 - a, sigma


def scaled_end(sde):
    a, b, sigma = at_end(sde.process)
    return a, b, sde.factor * sigma


FACTS = {
    Shifted: Facts(
        shifted,
        lambda sde: float(sde.process.scales(times(0.0)).sigma),
        shifted_end,
        st.builds(Shifted, ALONE),
    ),
    Scaled: Facts(
        scaled,
        lambda sde: sde.factor * float(sde.process.scales(times(0.0)).sigma),
        scaled_end,
        st.builds(Scaled, ANY, st.floats(0.1, 5)),
    ),
}


@pytest.mark.parametrize(
    "sde",
    [
        *(Shifted(VP()), Shifted(VE()), Shifted(FlowMatching(0.1))),
        *(Scaled(BBED(), 2.0), Scaled(Shifted(VP()), 0.5), Scaled(FlowMatching(), 3.0)),
    ],
    ids=repr,
)
def test_the_formulas(sde):
    check_facts(FACTS[type(sde)], sde)


_, test_any_constants = held_to(FACTS)


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (Shifted(VP()), OUVP(beta_max=20.0)),
        (Shifted(FlowMatching()), StraightFlow(0.0, 1.0)),
        (Shifted(FlowMatching(0.2)), StraightFlow(0.2, 1.0)),
        (Scaled(Shifted(FlowMatching(0.2)), 0.5), StraightFlow(0.1, 0.5)),
        (Scaled(BrownianBridge(0.4), 2.0), BrownianBridge(1.6)),
        (Scaled(LinearVE(), 80.0), LinearVE(80.0)),
    ],
    ids=repr,
)
def test_what_is_made_is_what_is_known(made, known):
    t = torch.cat([times(0.0), INSIDE, times(1.0)])
    for ours, theirs in zip(made.scales(t), known.scales(t), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-15)
    for ours, theirs in zip(made.coefficients(t), known.coefficients(t), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
    assert (made.pinned, made.forgets, made.observed) == (
        *(known.pinned, known.forgets, known.observed),
    )


def test_the_start_of_a_shifted_process_is_around_y():
    sde, y = Shifted(VP()), torch.tensor([[1.0, -2.0]])
    z = torch.tensor([[0.5, 0.25]])
    torch.testing.assert_close(sde.prior(y, z), y + sde.scales(torch.ones(1)).sigma * z)


def test_refused():
    with pytest.raises(ValueError, match=r"Shifted: BBED\(.*\) leads to the observation already"):
        Shifted(BBED())
    for wrong in (None, "VP", VP):
        with pytest.raises(TypeError, match=r"Shifted: process must be .* such as VP\(\), not"):
            Shifted(wrong)
        with pytest.raises(TypeError, match=r"Scaled: process must be .* such as VP\(\), not"):
            Scaled(wrong, 2.0)
    with pytest.raises(ValueError, match="Scaled: factor must be positive, not 0"):
        Scaled(VE(), 0.0)
