"""What a report shows of scores: the table with its marks, charts over costs and facts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgmse.errors import ArgumentError
from sgmse.metrics.measures import Measure
from sgmse.report.charts import Point, Series, chart, pareto, sheet
from sgmse.report.text import NOTHING
from sgmse.scoring.intervals import Difference, Interval, stars
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import differences, means

LABELS = 12  # a fact with more different labels is charted if it is asked for, numbers in bins
BINS = 6
#: Of the lines in charts of costs.
LINES = "Dotted: no system reaches more for less. Dashed: systems without this cost."

CostTable = Mapping[str, Mapping[str, float | None]]  # by system, by name such as "evaluations"


@dataclass(frozen=True)
class Cell:
    """A value of the table: the number that sorts, and what is read."""

    value: float | None
    text: str
    best: bool = False
    change: str = ""
    mark: str = ""  # better or worse, where the difference is significant


@dataclass(frozen=True)
class Table:
    """Systems x measures, then `columns`: costs, files, problems."""

    title: str
    columns: list[str]
    lines: list[tuple[str, list[Cell]]]  # system, cells


@dataclass(frozen=True)
class Charts:
    """The charts of one kind, one a measure."""

    title: str
    told: str
    svgs: list[tuple[str, str]]  # measure, SVG


# What is in the table


def tables(scores: Scores, costs: CostTable, base: str) -> list[Table]:
    """One over all recordings and, where there are several sets, one for each."""
    sets = list(dict.fromkeys(row.set for row in scores.rows))
    if len(sets) < 2:
        return [_table(scores, costs, base, "")]
    parts = [replace(scores, rows=tuple(r for r in scores.rows if r.set == s)) for s in sets]
    return [
        _table(scores, costs, base, "all sets"),
        *(_table(p, {}, base, s or "unnamed") for s, p in zip(sets, parts, strict=True)),
    ]


def _table(scores: Scores, costs: CostTable, base: str, title: str) -> Table:
    found = means(scores)
    against = {}
    if len(scores.systems) > 1 and base in scores.systems:
        against = differences(scores, base)
    best = {measure.name: _best(scores, measure, found) for measure in scores.measures}
    lines = []
    for system in scores.systems:
        rows = scores.of(system)
        recordings = {(row.set, row.name) for row in rows}
        bad = {(row.set, row.name) for row in rows if row.problems}
        cells = []
        for m in scores.measures:
            difference = against.get(system, {}).get(m.name)
            cells.append(_cell(m, found[system][m.name], difference, best[m.name], len(recordings)))
        for name in names(costs):
            cost = _cost(costs, system, name)
            there = math.isfinite(cost)
            cells.append(Cell(cost, f"{cost:.3g}") if there else Cell(None, NOTHING))
        cells += [Cell(len(some), str(len(some))) for some in (recordings, bad)]
        lines.append((system, cells))
    return Table(title, [*names(costs), "files", "problems"], lines)


def _best(
    scores: Scores, measure: Measure, found: Mapping[str, Mapping[str, Interval]]
) -> float | None:
    """The best of several means; None where they are not over the same recordings."""
    values = [of[measure.name].mean for of in found.values() if of[measure.name].count]
    recordings = {frozenset(scores.values(system, measure.name)) for system in scores.systems}
    if len(values) < 2 or len(recordings) > 1:
        return None
    return max(values) if measure.higher_is_better else min(values)


def _cell(
    measure: Measure,
    about: Interval,
    difference: Difference | None,
    best: float | None,
    count: int,
) -> Cell:
    if about.count == 0:
        return Cell(None, NOTHING)
    digits = measure.digits
    fewer = f" ({about.count})" if about.count < count else ""
    text = f"{about.mean:.{digits}f} ± {about.half_width:.{digits}f}{fewer}"
    if difference is None:
        return Cell(about.mean, text, about.mean == best)
    half = (difference.high - difference.low) / 2
    marks = stars(difference.p)
    change = " ".join([f"{difference.mean:+.{digits}f} ± {half:.{digits}f}", marks]).strip()
    better = (difference.mean > 0) == measure.higher_is_better
    mark = ("better" if better else "worse") if marks else ""
    return Cell(about.mean, text, about.mean == best, change, mark)


# What is in the charts


def names(costs: CostTable) -> list[str]:
    """Of the costs, in order of appearance."""
    return list(dict.fromkeys(name for of in costs.values() for name in of))


def _cost(costs: CostTable, system: str, name: str) -> float:
    """NaN where it is not known."""
    cost = costs.get(system, {}).get(name)
    return math.nan if cost is None else cost


def cost_charts(scores: Scores, costs: CostTable, kinds: Mapping[str, int]) -> list[Charts]:
    """Each measure against each cost; a system without this cost is a line across."""
    found = means(scores)
    groups = []
    for name in names(costs):
        svgs = []
        for measure in scores.measures:
            placed: list[Series] = []
            flat: list[Series] = []
            for system in scores.systems:
                about = found[system][measure.name]
                if about.count == 0:
                    continue
                cost = _cost(costs, system, name)
                point = Point(cost, about.mean, about.low, about.high)
                costly = math.isfinite(cost) and cost > 0
                (placed if costly else flat).append(Series(system, kinds[system], (point,)))
            if not placed:
                continue
            front = pareto([s.points[0] for s in placed], measure.higher_is_better)
            svg = chart(
                placed, name, _title(measure), log=True, named=True, front=front, levels=flat
            )
            svgs.append((measure.name, svg))
        if svgs:
            groups.append(Charts(f"Quality against {name}", LINES, svgs))
    return groups


def cost_figure(scores: Scores, costs: CostTable, name: str) -> str:
    """All measures against one cost, as one SVG element; "" where no system has this cost."""
    kinds = {system: kind for kind, system in enumerate(scores.systems)}
    of = {system: {name: found.get(name)} for system, found in costs.items()}
    charts = [svg for group in cost_charts(scores, of, kinds) for _, svg in group.svgs]
    return sheet(charts, kinds) if charts else ""


def fact_charts(scores: Scores, by: Sequence[str] | None, kinds: Mapping[str, int]) -> list[Charts]:
    """Each measure over each fact: lines over numbers, points over categories."""
    known = list(dict.fromkeys(fact for row in scores.rows for fact in row.facts))
    unknown = [fact for fact in by or () if fact not in known]
    if unknown:
        raise ArgumentError(f"no recording has a fact {unknown[0]!r}; known are {', '.join(known)}")
    telling = [fact for fact in known if _is_telling(scores, fact)]
    groups = []
    for fact in telling if by is None else by:
        grouped = _binned(scores, fact)
        labels = _labels(grouped, fact)
        numbers = [_number(label) for label in labels]
        joined = None not in numbers
        found = {label: means(grouped.where(fact, label)) for label in labels}
        svgs = []
        for measure in scores.measures:
            series = []
            for system in scores.systems:
                points = []
                for place, (label, number) in enumerate(zip(labels, numbers, strict=True)):
                    about = found[label].get(system, {}).get(measure.name)
                    if about is not None and about.count:
                        x = float(place) if number is None or not joined else number
                        points.append(Point(x, about.mean, about.low, about.high))
                series.append(Series(system, kinds[system], tuple(points)))
            if any(one.points for one in series):
                named = [] if joined else labels
                svg = chart(series, fact, _title(measure), joined=joined, categories=named)
                svgs.append((measure.name, svg))
        if svgs:
            groups.append(Charts(f"Quality by {fact}", _left_out(scores, fact), svgs))
    return groups


def _is_telling(scores: Scores, fact: str) -> bool:
    """Whether a fact has 2 to `LABELS` labels, or more if it is an SNR, the same for all systems.

    What a system took is a fact of a row, too, but not of the recording.
    """
    count = len(_labels(scores, fact))
    if count < 2 or (count > LABELS and "snr" not in fact.lower()):
        return False
    found = {(row.set, row.name, row.facts.get(fact, "")) for row in scores.rows}
    return len(found) == len({(row.set, row.name) for row in scores.rows})


def _left_out(scores: Scores, fact: str) -> str:
    silent = {(r.set, r.name) for r in scores.rows if not r.facts.get(fact)}
    return f"Left out, because it is not known of them: {len(silent)}." if silent else ""


def _labels(scores: Scores, fact: str) -> list[str]:
    return [label for label in scores.labels(fact) if label]


def _number(label: str) -> float | None:
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _binned(scores: Scores, fact: str) -> Scores:
    """The scores with the many numbers of a fact replaced by the centres of `BINS` equal bins."""
    labels = _labels(scores, fact)
    numbers = {label: number for label in labels if (number := _number(label)) is not None}
    if len(labels) <= LABELS or len(numbers) < len(labels):
        return scores
    low, high = min(numbers.values()), max(numbers.values())
    size = (high - low) / BINS
    rows = []
    for row in scores.rows:
        if row.facts.get(fact):
            place = min(int((numbers[row.facts[fact]] - low) / size), BINS - 1)
            row = replace(row, facts={**row.facts, fact: f"{low + (place + 0.5) * size:.4g}"})
        rows.append(row)
    return replace(scores, rows=tuple(rows))


def _title(measure: Measure) -> str:
    unit = f" [{measure.unit}]" if measure.unit else ""
    return f"{measure.name}{unit}{'' if measure.higher_is_better else ' (less is better)'}"
