"""Bars that means must reach."""

import pytest

from sgmse.metrics.measures import select
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table
from sgmse.scoring.thresholds import Threshold, failures

MEASURES = select(["pesq-wb", "lsd"])


def table(baseline: str | None = None, **systems: tuple[float | None, float | None]) -> Table:
    rows = [
        Row("x", system, values=dict(zip(("PESQ-WB", "LSD"), values, strict=True)))
        for system, values in systems.items()
    ]
    return Table(Scores(tuple(rows), MEASURES), baseline)


def bars(*texts: str, systems: tuple[str, ...] = ()) -> list[Threshold]:
    return [Threshold.parse(text, MEASURES, systems) for text in texts]


def test_higher_and_lower_is_better():
    one = table(mine=(2.5, 4.0))
    assert failures(one, bars("pesq-wb=2.5", "LSD=4")) == []
    assert failures(one, bars("pesq-wb=2.51", "lsd=3.9")) == [
        "PESQ-WB of mine is 2.500, under 2.51",
        "LSD of mine is 4.000, over 3.9",
    ]
    assert failures(one, []) == []


def test_of_several_systems_the_baseline_need_not_pass():
    systems = {"noisy": (1.0, 1.0), "mine": (2.0, 1.0)}
    missed = ["PESQ-WB of noisy is 1.000, under 1.5"]
    assert failures(table(**systems), bars("pesq-wb=1.5")) == []
    assert failures(table("mine", **systems), bars("pesq-wb=1.5")) == missed
    assert failures(table(**systems), bars("noisy:pesq-wb=1.5", systems=("noisy",))) == missed


def test_what_has_no_score_fails():
    one = table(mine=(None, None))
    assert failures(one, bars("pesq-wb=-5", "lsd=99")) == [
        "PESQ-WB of mine is not known, under -5",
        "LSD of mine is not known, over 99",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pesq-wb", "'pesq-wb' is no threshold; write it like pesq-wb=2.5"),
        ("pesq-wb=good", "is no threshold"),
        ("pesq-wb=nan", "is no threshold"),
        ("noise=1", "no measure is called 'noise'"),
        ("stoi=0.9", "STOI is not scored; add it to --measures"),
        ("theirs:pesq-wb=1", "no system is called 'theirs'; there are noisy, mine"),
    ],
)
def test_misuse(text, says):
    with pytest.raises(ValueError, match=says):
        bars(text, systems=("noisy", "mine"))


def test_short_names():
    assert bars("pesq=2.5") == [Threshold(MEASURES[0], 2.5)]
