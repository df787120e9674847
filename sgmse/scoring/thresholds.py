"""Bars that means must reach, for regression tests of systems: `--fail-under pesq-wb=2.5`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from sgmse.errors import ArgumentError
from sgmse.metrics.measures import Measure, chosen
from sgmse.scoring.table import Table


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
    table: Table, thresholds: Iterable[Threshold], systems: Iterable[str] | None = None
) -> list[str]:
    """Which thresholds are missed by some systems: if absent, all but the baseline of several.

    A system without any score misses them all.
    """
    if systems is None:
        systems = [s for s in table.means if s != table.baseline] or [table.baseline]
    missed = []
    for system, threshold in product(systems, thresholds):
        measure = threshold.measure
        reached = table.means[system][measure.name]
        above = reached.mean >= threshold.value
        below = reached.mean <= threshold.value
        if not (above if measure.higher_is_better else below):
            word = "under" if measure.higher_is_better else "over"
            value = f"{reached.mean:.{measure.digits}f}" if reached.count else "not known"
            missed.append(f"{measure.name} of {system} is {value}, {word} {threshold.value:g}")
    return missed
