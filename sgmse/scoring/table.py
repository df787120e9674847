"""What may be claimed of scores: means, differences from a baseline, the same of parts.

    table = Table(scores, baseline="noisy")
    table.means["enhanced"]["PESQ-WB"].half_width
    {snr: part.means for snr, part in table.by("snr_db").items()}

Each number is computed when it is first asked for, and once.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from sgmse.errors import ArgumentError, did_you_mean
from sgmse.metrics.measures import Measure
from sgmse.scoring.intervals import Difference, Interval, corrected, interval, paired
from sgmse.scoring.outcomes import Change, Outcomes, changes, outcomes
from sgmse.scoring.ranks import mean_ranks
from sgmse.scoring.scores import Scores


class Counts(NamedTuple):
    """Of the recordings of a system: all, and those with a measure that could not be scored."""

    files: int
    problems: int


class Table:
    """The statistics of scores.

    Args:
        scores: whose.
        baseline: the system that others are compared with; the first if absent.
        whole: a table of which this one is a part. A part has its baseline, even without a row of
            it, and shares its bootstraps: those of equal values are computed once.

    Raises `ArgumentError` for a baseline that is not among the systems.
    """

    def __init__(
        self, scores: Scores, baseline: str | None = None, *, whole: "Table | None" = None
    ) -> None:
        self.scores = scores
        self.baseline: str = whole.baseline if whole else checked_baseline(scores.systems, baseline)
        self._interval: Callable[..., Interval] = whole._interval if whole else cache(interval)
        self._paired: Callable[..., Difference] = whole._paired if whole else cache(paired)
        self._ranks: Callable[..., list[Interval]] = whole._ranks if whole else cache(mean_ranks)

    @cached_property
    def means(self) -> dict[str, dict[str, Interval]]:
        """By system and measure."""
        return {
            system: {
                measure.name: self._interval(
                    tuple(self.scores.values(system, measure.name).values())
                )
                for measure in self.scores.measures
            }
            for system in self.scores.systems
        }

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference | None]]:
        """From the baseline, recording by recording, by other system and measure.

        All are over the same recordings, `scores.complete`. None where there is none, and where one
        of the two has no score at all; empty without the baseline. Their `p_holm` are corrected for
        all that are here.
        """
        found = {
            (system, m.name): self._difference(system, m.name)
            for system in self._compared
            for m in self.scores.measures
        }
        known = {place: difference for place, difference in found.items() if difference}
        final = dict(zip(known, corrected(list(known.values())), strict=True))
        differences: dict[str, dict[str, Difference | None]] = {}
        for system, measure in found:
            differences.setdefault(system, {})[measure] = final.get((system, measure))
        return differences

    @cached_property
    def outcomes(self) -> dict[str, dict[str, Outcomes | None]]:
        """How many recordings are better or worse than the baseline's by more than the noise.

        By other system and measure, over the recordings of `differences`.
        """
        found: dict[str, dict[str, Outcomes | None]] = {}
        for system in self._compared:
            found[system] = {}
            for m in self.scores.measures:
                values, others = self._pairs(system, m.name)
                found[system][m.name] = (
                    outcomes(values, others, noise=m.noise, higher_is_better=m.higher_is_better)
                    if values
                    else None
                )
        return found

    @cached_property
    def changes(self) -> dict[str, dict[str, list[Change]]]:
        """The recordings by what became of their scores, the worst first.

        By other system and measure; over those that the system and the baseline have a score of.
        """
        return {
            system: {
                m.name: changes(
                    self.scores.scored.get((system, m.name), {}),
                    self.scores.scored.get((self.baseline, m.name), {}),
                    higher_is_better=m.higher_is_better,
                )
                for m in self.scores.measures
            }
            for system in self._compared
        }

    @cached_property
    def ranks(self) -> dict[str, Interval]:
        """The mean rank of each system over `ranked`, over `scores.complete`, the best first.

        Empty unless several systems have a score. See `mean_ranks`.
        """
        scored, complete = self.scores.scored, self.scores.complete
        systems = list(dict.fromkeys(system for system, _ in scored))
        if len(systems) < 2 or not complete or not self.ranked:
            return {}
        values = tuple(
            tuple(tuple(scored[system, m.name][r] for r in complete) for m in self.ranked)
            for system in systems
        )
        found = self._ranks(values, tuple(m.higher_is_better for m in self.ranked))
        return dict(sorted(zip(systems, found, strict=True), key=lambda pair: pair[1].mean))

    @cached_property
    def ranked(self) -> tuple[Measure, ...]:
        """The measures of `ranks`: those that all systems with a score have."""
        systems = {system for system, _ in self.scores.scored}
        return tuple(
            m
            for m in self.scores.measures
            if all((s, m.name) in self.scores.scored for s in systems)
        )

    @cached_property
    def best(self) -> dict[str, float]:
        """The best mean by measure, of those with several means, all over the same recordings."""
        return {
            measure.name: (max if measure.higher_is_better else min)(
                means[measure.name].mean for means in self.means.values()
            )
            for measure in self.scores.measures
            if len(self.means) > 1 and self.scores.is_matched(measure.name)
        }

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """By system."""
        counts = {}
        for system in self.scores.systems:
            rows = self.scores.rows_of(system)
            flawed = {row.recording for row in rows if row.problems}
            counts[system] = Counts(len({row.recording for row in rows}), len(flawed))
        return counts

    @cached_property
    def sets(self) -> dict[str, "Table"]:
        """The parts of each set of recordings, by its name."""
        return {name: self.part(self.scores.on(name)) for name in self.scores.sets}

    def by(self, fact: str) -> dict[str, "Table"]:
        """The parts by what is known of the recordings, in order; "" last, where nothing is."""
        labels = self.scores.labels(fact)
        return {label: self.part(self.scores.where(fact, label)) for label in labels}

    def part(self, scores: Scores) -> "Table":
        """The table of some of the rows."""
        return Table(scores, whole=self)

    @property
    def _compared(self) -> list[str]:
        """The systems but the baseline; none without it."""
        systems = self.scores.systems
        return [s for s in systems if s != self.baseline] if self.baseline in systems else []

    def _difference(self, system: str, measure: str) -> Difference | None:
        values, others = self._pairs(system, measure)
        return self._paired(values, others) if values else None

    def _pairs(self, system: str, measure: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The scores of a system and of the baseline, of the recordings that all have."""
        places = (system, measure), (self.baseline, measure)
        if any(place not in self.scores.scored for place in places):
            return (), ()
        values, others = (self.scores.scored[place] for place in places)
        complete = self.scores.complete
        return tuple(values[r] for r in complete), tuple(others[r] for r in complete)


def checked_baseline(systems: Sequence[str], baseline: str | None) -> str:
    """The baseline: the first system if absent. Raises `ArgumentError` for an unknown one."""
    if baseline is None:
        return next(iter(systems), "")
    if baseline not in systems:
        raise ArgumentError(
            f"no system is called {baseline!r}{did_you_mean(baseline, systems)}; "
            f"there are {', '.join(systems)}"
        )
    return baseline
