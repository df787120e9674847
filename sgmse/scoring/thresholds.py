"""Bars that means must reach, for regression tests of systems: `--fail-under pesq-wb=2.5`."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sgmse.errors import ArgumentError, did_you_mean
from sgmse.metrics.measures import Measure, select
from sgmse.scoring.table import Table


@dataclass(frozen=True)
class Threshold:
    """A mean that must be reached; where lower is better, it must not be exceeded.

    Args:
        measure: of which the mean is.
        value: to be reached.
        system: that must; all but the baseline of several if absent.
    """

    measure: Measure
    value: float
    system: str | None = None

    @classmethod
    def parse(
        cls, text: str, measures: Iterable[Measure], systems: Collection[str] = ()
    ) -> "Threshold":
        """From "pesq-wb=2.5" or, if `mine` is one of the systems, "mine:pesq-wb=2.5".

        Raises `ArgumentError`, also for a measure that is not scored.
        """
        system, colon, rest = text.rpartition(":")
        if colon and systems and system not in systems:
            raise ArgumentError(
                f"no system is called {system!r}{did_you_mean(system, systems)}; "
                f"there are {', '.join(systems)}"
            )
        name, equals, number = (rest if systems else text).partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise ArgumentError(f"{text!r} is no threshold; write it like pesq-wb=2.5")
        measure = select([name])[0]
        if measure.name not in {m.name for m in measures}:
            raise ArgumentError(f"{measure.name} is not scored; add it to --measures")
        return cls(measure, value, system if colon else None)


def failures(table: Table, thresholds: Iterable[Threshold]) -> list[str]:
    """Which thresholds are missed. A system without any score misses all that it must reach."""
    others = [name for name in table.means if name != table.baseline] or [table.baseline]
    missed = []
    for threshold in thresholds:
        measure = threshold.measure
        for system in others if threshold.system is None else [threshold.system]:
            reached = table.means[system][measure.name]
            above = reached.mean >= threshold.value
            below = reached.mean <= threshold.value
            if not (above if measure.higher_is_better else below):
                word = "under" if measure.higher_is_better else "over"
                value = f"{reached.mean:.{measure.digits}f}" if reached.count else "not known"
                missed.append(f"{measure.name} of {system} is {value}, {word} {threshold.value:g}")
    return missed
