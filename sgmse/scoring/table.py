"""What may be claimed of scores: means, differences to a baseline."""

from collections.abc import Sequence

from sgmse.errors import ArgumentError
from sgmse.scoring.intervals import Difference, Interval, interval, paired
from sgmse.scoring.scores import Scores


def means(scores: Scores) -> dict[str, dict[str, Interval]]:
    """By system and measure."""
    return {
        system: {
            measure.name: interval(list(scores.values(system, measure.name).values()))
            for measure in scores.measures
        }
        for system in scores.systems
    }


def differences(
    scores: Scores, baseline: str | None = None
) -> dict[str, dict[str, Difference | None]]:
    """Of each other system to the baseline (the first system), by system and measure.

    None where they have no file in common. Raises `ValueError` for an unknown baseline.
    """
    base = checked_baseline(scores.systems, baseline)
    found: dict[str, dict[str, Difference | None]] = {}
    for system in scores.systems:
        if system == base:
            continue
        found[system] = {}
        for measure in scores.measures:
            left, right = (scores.values(s, measure.name) for s in (system, base))
            common = [key for key in left if key in right]
            pairs = [left[key] for key in common], [right[key] for key in common]
            found[system][measure.name] = paired(*pairs) if common else None
    return found


def checked_baseline(systems: Sequence[str], baseline: str | None) -> str:
    """The baseline: the first system if none is named. Raises `ValueError` for an unknown one."""
    if baseline is None:
        return systems[0]
    if baseline not in systems:
        raise ArgumentError(f"no system is called {baseline!r}; there are {', '.join(systems)}")
    return baseline
