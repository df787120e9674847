"""What a model is made for, and how a sampler beside it is refused."""

from dataclasses import replace

import pytest

from sgmse.errors import ArgumentError
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import (
    Exponential,
    Fitted,
    LogSNR,
    Multistep,
    PredictorCorrector,
    Sampler,
    SamplerRange,
    Uniform,
    refusal,
)

ODE = Exponential(start=0.0)
ONE = Sampler(ODE, Uniform(1, end=0.0))
FEW = SamplerRange((ODE,), (Uniform(end=0.0),), (1, 2, 4))


def test_a_sampler_inside_is_not_refused():
    for steps in (1, 2, 4):
        assert refusal(replace(ONE, grid=Uniform(steps, end=0.0), shifts=5), SBVE(), [FEW]) is None


@pytest.mark.parametrize(
    ("sampler", "reason"),
    [
        (Sampler(ODE, Uniform(3, end=0.0)), "is not made for 3 steps"),
        (Sampler(ODE, LogSNR(2, end=0.0)), "is not made for LogSNR(steps=2, end=0.0)"),
        (Sampler(ODE, Uniform(2, end=0.03)), "is not made for Uniform(steps=2)"),
        (Sampler(Multistep(), Uniform(2, end=0.0)), "is not made for Multistep()"),
        (Sampler(Exponential(eta=0.1, start=0.0), ONE.grid), "not made for Exponential(eta=0.1"),
    ],
)
def test_a_sampler_outside_is_refused_with_what_works(sampler, reason):
    said = refusal(sampler, SBVE(), [FEW])
    assert reason in said
    works = "what works is Exponential(start=0.0) (ode) on Uniform(end=0.0) in 1, 2 or 4 steps"
    assert said.endswith(f"; {works}")


def test_one_range_of_several_suffices_and_the_nearest_gives_the_reason():
    later = SamplerRange(fewest=15, earliest=0.03, latest=0.999)
    ranges = [FEW, later]
    assert refusal(Sampler(Multistep(), Uniform(15, start=0.999)), SBVE(), ranges) is None
    said = refusal(Sampler(Multistep(), Uniform(14, start=0.999)), SBVE(), ranges)
    assert said.startswith("the model is not made for so few steps (14); ")
    assert said.endswith(
        "in 1, 2 or 4 steps, or any solver on any grid in 15 or more steps, asked at t = 0.03 to "
        "0.999"
    )
    said = refusal(Sampler(Multistep(), Uniform(15, end=0.0, start=0.2)), SBVE(), ranges)
    assert "not made to be asked at t = 0.0267" in said


def test_solvers_that_need_more_steps_take_them():
    pc = PredictorCorrector()
    nine = Sampler(pc, Uniform(9))
    assert refusal(Sampler(pc, Uniform(10)), OUVE(), [SamplerRange()]) is None
    said = refusal(nine, OUVE(), [SamplerRange()])
    assert said.startswith("PredictorCorrector makes recordings worse in fewer than 10 steps; ")
    assert refusal(nine, OUVE(), [SamplerRange.of(nine)]) is None


def test_without_ranges_nothing_is_known_nor_refused():
    assert refusal(Sampler(PredictorCorrector(), Uniform(1)), OUVE(), []) is None
    assert refusal(Sampler(Exponential(eta=1.0), Uniform(200, end=0.0)), SBVE(), []) is None


def test_around_a_sampler():
    thirty = SamplerRange.around(Sampler(PredictorCorrector(), Uniform(30)), OUVE())
    assert thirty == SamplerRange(fewest=15, earliest=0.03)
    one = SamplerRange.around(ONE, SBVE())
    assert one == SamplerRange(earliest=1.0)
    assert str(one) == "any solver on any grid in 1 or more steps, asked at t = 1 alone"
    assert refusal(replace(ONE, solver=Multistep()), SBVE(), [one]) is None
    assert refusal(replace(ONE, grid=Uniform(2, end=0.0)), SBVE(), [one])


def test_a_fitted_grid_is_itself_alone():
    fitted = Sampler(ODE, Fitted(2, end=0.0, points=(1.0, 0.4, 0.0)))
    own = SamplerRange.of(fitted)
    assert refusal(fitted, SBVE(), [own]) is None
    assert "Fitted" in refusal(ONE, SBVE(), [own])


@pytest.mark.parametrize(
    "wrong",
    [
        {"solvers": ()},
        {"steps": ()},
        {"steps": (-1,)},
        {"fewest": 0},
        {"earliest": 0.5, "latest": 0.4},
        {"latest": 1.5},
    ],
)
def test_a_range_that_cannot_be_is_refused(wrong):
    with pytest.raises(ArgumentError):
        SamplerRange(**wrong)
