"""Bars that means must reach, for regression tests of systems: `--fail-under pesq-wb=2.5`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sgmse.errors import ArgumentError
from sgmse.metrics.measures import Measure, chosen
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import checked_baseline, means


@dataclass(frozen=True)
class Threshold:
    """A mean that a system must reach; where lower is better, it must not exceed it."""

    measure: Measure
    value: float

    @classmethod
    def parse(cls, text: str, measures: Iterable[Measure]) -> "Threshold":
        """From "pesq-wb=2.5". Raises `ValueError`, also for a measure that is not scored."""
        name, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise ArgumentError(f"{text!r} is no threshold; write it like pesq-wb=2.5")
        measure = chosen([name])[0]
        if measure.name not in {m.name for m in measures}:
            raise ArgumentError(f"{measure.name} is not scored; add it to --measures")
        return cls(measure, value)


def failures(
    scores: Scores, thresholds: Iterable[Threshold], baseline: str | None = None
) -> list[str]:
    """Which thresholds are missed, by any system but the baseline where there are several.

    A system without any score misses them all.
    """
    base = checked_baseline(scores.systems, baseline)
    found = means(scores)
    missed = []
    for system in [s for s in scores.systems if s != base] or [base]:
        for threshold in thresholds:
            measure, about = threshold.measure, found[system][threshold.measure.name]
            reached = about.mean >= threshold.value
            word = "under"
            if not measure.higher_is_better:
                reached, word = about.mean <= threshold.value, "over"
            if not reached:
                value = f"{about.mean:.{measure.digits}f}" if about.count else "not known"
                missed.append(f"{measure.name} of {system} is {value}, {word} {threshold.value:g}")
    return missed
