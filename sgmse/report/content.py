"""What a report shows of scores: the table with its marks, charts over costs and facts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgmse.errors import ArgumentError, did_you_mean
from sgmse.metrics.measures import Measure
from sgmse.report import numbers
from sgmse.report.charts import Panel, Point, Series, draw, front
from sgmse.scoring.facts import binned, number, telling
from sgmse.scoring.intervals import Interval, stars
from sgmse.scoring.journal import Recording
from sgmse.scoring.table import Table

#: Of the lines in charts of costs.
LINES = "Dotted: no system reaches more for less. Dashed: systems without this cost."

WORST = 10  # recordings of each system

CostTable = Mapping[str, Mapping[str, float | None]]  # by system, by name such as "evaluations"


@dataclass(frozen=True)
class Cell:
    """A value in the page: the number that sorts, and what is read."""

    value: float | None
    text: str
    best: bool = False
    change: str = ""
    mark: str = ""  # better or worse, where the difference is significant
    outcome: str = ""  # of how many recordings it got better and worse


@dataclass(frozen=True)
class Worst:
    """A recording in a list of those that got worst."""

    recording: Recording
    text: str  # its name
    change: str
    mark: str  # better or worse, by more than the noise of the measure


@dataclass(frozen=True)
class Grid:
    """A table of the page: systems x measures, then `columns`: costs, files, problems."""

    title: str
    columns: list[str]
    lines: list[tuple[str, list[Cell]]]  # system, cells


@dataclass(frozen=True)
class Charts:
    """The charts of one kind, one a measure."""

    title: str
    caption: str
    panels: dict[str, Panel]  # by measure


# Tables


def grids(table: Table, costs: CostTable) -> list[Grid]:
    """One over all recordings and, where there are several sets, one for each."""
    if len(table.sets) < 2:
        return [_grid(table, costs, "")]
    parts = [_grid(part, {}, name or "unnamed") for name, part in table.sets.items()]
    return [_grid(table, costs, "all sets"), *parts]


def _grid(table: Table, costs: CostTable, title: str) -> Grid:
    names = _names(costs)
    lines = []
    for system, counts in table.counts.items():
        cells = [_cell(table, system, measure) for measure in table.scores.measures]
        for name in names:
            cost = _cost(costs, system, name)
            cells.append(Cell(cost, numbers.number(cost, ".3g")))
        cells += [Cell(count, str(count)) for count in counts]
        if rank := table.ranks.get(system):
            cells.append(Cell(rank.mean, numbers.rank(rank)))
        elif table.ranks:
            cells.append(Cell(None, numbers.NOTHING))
        lines.append((system, cells))
    ranked = ["mean rank"] if table.ranks else []
    return Grid(title, [*names, "files", "problems", *ranked], lines)


def _cell(table: Table, system: str, measure: Measure) -> Cell:
    mean = table.means[system][measure.name]
    text = numbers.mean(measure, mean, table.counts[system].files)
    if mean.count == 0:
        return Cell(None, text)
    best = mean.mean == table.best.get(measure.name)
    difference = table.differences.get(system, {}).get(measure.name)
    if difference is None:
        return Cell(mean.mean, text, best)
    better = (difference.mean > 0) == measure.higher_is_better
    mark = ("better" if better else "worse") if stars(difference.p_holm) else ""
    outcome = numbers.outcome(table.outcomes[system][measure.name])
    return Cell(mean.mean, text, best, numbers.change(measure, difference), mark, outcome)


def _names(costs: CostTable) -> list[str]:
    """Of the costs, in order of appearance."""
    return list(dict.fromkeys(name for by_name in costs.values() for name in by_name))


def _cost(costs: CostTable, system: str, name: str) -> float | None:
    """The cost if it is known and finite."""
    cost = costs.get(system, {}).get(name)
    return cost if cost is not None and math.isfinite(cost) else None


def worst(table: Table, count: int = WORST) -> dict[str, dict[str, list[Worst]]]:
    """By measure and system the recordings that got worst against the baseline, in order."""
    several = len(table.scores.sets) > 1
    found: dict[str, dict[str, list[Worst]]] = {}
    for measure in table.scores.measures:
        for system, own in table.changes.items():
            if own[measure.name]:
                found.setdefault(measure.name, {})[system] = [
                    Worst(
                        change.recording,
                        numbers.place(change.recording, several),
                        numbers.gain(measure, change),
                        _mark(change.gain, measure.noise),
                    )
                    for change in own[measure.name][:count]
                ]
    return found


def worst_of(table: Table, recording: Recording, count: int = WORST) -> dict[str, str]:
    """Of which systems a recording is among the worst by the first measure: "2nd, -0.12"."""
    measure = table.scores.measures[0]
    found = {}
    for system, own in table.changes.items():
        for place, change in enumerate(own[measure.name][:count], 1):
            if change.recording == recording:
                found[system] = f"{place}. {numbers.gain(measure, change)}"
    return found


def _mark(gain: float, noise: float) -> str:
    return "worse" if gain < -noise else "better" if gain > noise else ""


# Charts


def cost_charts(table: Table, costs: CostTable, kinds: Mapping[str, int]) -> list[Charts]:
    """Each measure against each cost; a system without this cost is a line across."""
    groups = []
    for name in _names(costs):
        panels = {}
        for measure in table.scores.measures:
            placed: list[Series] = []
            levels: list[Series] = []
            for system, means in table.means.items():
                if means[measure.name].count:
                    cost = _cost(costs, system, name) or 0.0
                    series = Series(system, kinds[system], [_point(cost, means[measure.name])])
                    (placed if cost > 0 else levels).append(series)
            if placed:
                panels[measure.name] = Panel(
                    placed,
                    name,
                    _title(measure),
                    log=True,
                    front=front(placed, measure.higher_is_better),
                    levels=levels,
                )
        if panels:
            groups.append(Charts(f"Quality against {name}", LINES, panels))
    return groups


def cost_figure(table: Table, costs: CostTable, name: str) -> str:
    """All measures against one cost, as one SVG element; "" where no system has this cost."""
    kinds = {system: kind for kind, system in enumerate(table.scores.systems)}
    only = {system: {name: by_name.get(name)} for system, by_name in costs.items()}
    groups = cost_charts(table, only, kinds)
    panels = [panel for group in groups for panel in group.panels.values()]
    return draw(panels, legend=True) if panels else ""


def fact_charts(table: Table, by: Sequence[str] | None, kinds: Mapping[str, int]) -> list[Charts]:
    """Each measure over each fact: lines over numbers, points over categories."""
    known = table.scores.facts
    unknown = [fact for fact in by or () if fact not in known]
    if unknown:
        raise ArgumentError(
            f"no recording has a fact {unknown[0]!r}{did_you_mean(unknown[0], known)}; "
            f"known are {', '.join(known)}"
        )
    groups = []
    for fact in telling(table.scores) if by is None else by:
        parts = table.part(binned(table.scores, fact)).by(fact)
        silent = parts.pop("", None)
        values = [value for label in parts if (value := number(label)) is not None]
        joined = len(values) == len(parts)
        places = values if joined else [float(place) for place in range(len(parts))]
        panels = {}
        for measure in table.scores.measures:
            series = [
                Series(
                    system,
                    kind,
                    [
                        _point(x, part.means[system][measure.name])
                        for x, part in zip(places, parts.values(), strict=True)
                        if system in part.means and part.means[system][measure.name].count
                    ],
                )
                for system, kind in kinds.items()
            ]
            if any(one.points for one in series):
                categories = () if joined else tuple(parts)
                panels[measure.name] = Panel(
                    series, fact, _title(measure), joined=joined, categories=categories
                )
        if panels:
            groups.append(Charts(f"Quality by {fact}", _left_out(silent), panels))
    return groups


def _left_out(silent: Table | None) -> str:
    if silent is None:
        return ""
    count = len({row.recording for row in silent.scores.rows})
    return f"Left out, because it is not known of them: {count}."


def _point(x: float, mean: Interval) -> Point:
    return Point(x, mean.mean, mean.low, mean.high)


def _title(measure: Measure) -> str:
    return numbers.heading(measure, lower=" (less is better)")
