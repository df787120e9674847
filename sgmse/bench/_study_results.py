"""What comes of a study of samplers: its table, its Pareto fronts, and the files that hold them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

from sgmse._files import write_texts
from sgmse.bench._costs import Costs
from sgmse.bench._results import Results
from sgmse.bench.models import Model
from sgmse.errors import MissingPackageError
from sgmse.metrics.measures import Measure
from sgmse.report import numbers, text
from sgmse.report.charts import Panel, Point, Series, draw, front, standalone
from sgmse.scoring.intervals import Difference
from sgmse.scoring.pareto import pareto_front

FORMAT = 1  # of study.json
OWN = "own sampler"  # that which the model recommends
REFERENCE = "reference"  # with which the others are compared, if it is not that one
FIGURE = "figure.svg"
EXPLANATION = (
    "A point is a sampler: the same network with another solver, share of fresh noise eta, grid or "
    "number of steps. Lines join those that differ in their steps alone. Bars are 95 % bootstrap "
    "intervals of the difference to the {baseline}, recording by recording; the intervals in the "
    "table are of the means over recordings, and wider, as recordings differ."
)
CAPTION = (
    "Dotted: the Pareto front, the best that a cost or less buys. Bars: 95 % intervals of the "
    "difference to the {baseline}."
)
ABOUT_FRONTS = (
    "No other sampler costs as little and is as good. Where evaluations are equal, real-time "
    "factors differ by chance. The best of many is so partly by chance, too."
)
ABOUT_TIMES = (
    "Compare real-time factors only if they are of one call and of a machine without other work:"
)
ABOUT_OUTSIDE = (
    "These are refused elsewhere, unless they are forced: the file of the model says what it is "
    "made for."
)

Cost = Literal["evaluations", "real_time_factor"]
COSTS: Mapping[Cost, str] = {
    "evaluations": "evaluations of the network",
    "real_time_factor": "real-time factor",
}


@dataclass(frozen=True)
class Setting:
    """A sampler of a study.

    Args:
        name: of the system in the tables.
        line: what it has in common with those that differ in their steps alone.
        solver, eta, grid: names, and the share of fresh noise; None where it is not swept.
        steps: of the grid.
        system: that runs it.
        sampler: solver and grid in full.
        refused: why it is not run.
        same_as: the name of another one that is the same computation, and is run for both.
        outside: whether the model is not made for it.
    """

    name: str
    line: str
    solver: str
    eta: float | None
    grid: str
    steps: int
    system: Model
    sampler: str = ""
    refused: str = ""
    same_as: str = ""
    outside: bool = False

    @property
    def is_run(self) -> bool:
        """Whether it has enhanced files of its own."""
        return not self.refused and not self.same_as

    @property
    def run_as(self) -> str:
        """The name of the setting that is run for it."""
        return self.same_as or self.name


@dataclass(frozen=True)
class StudyResults:
    """The samplers of a study, what they cost and what they reach.

    Args:
        model: what was sampled.
        settings: all that were swept, also those that were refused or are the same as others; the
            first is the one with which they are compared.
        suite_results: of the suite that ran the others.
        load: processes that wanted a core when it began, on average over the last minute; None
            where the system does not say. They make real-time factors larger.
    """

    model: str
    settings: tuple[Setting, ...]
    suite_results: Results
    load: float | None = None

    @property
    def baseline(self) -> str:
        """The name of the sampler with which the others are compared."""
        return self.settings[0].name

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured."""
        return self.suite_results.scores.measures

    @cached_property
    def costs(self) -> dict[str, Costs]:
        """By the names of the settings that were run, in their order."""
        costs, means = self.suite_results.costs(), self.suite_results.table.means
        run = [s.name for s in self.settings if s.is_run and s.name in means]
        return {name: costs.get(name, Costs()) for name in run}

    def point(self, name: str, cost: Cost, measure: Measure) -> Point:
        """The mean of a sampler over a cost, NaN for what is not known.

        Its interval is that of the difference to the baseline: recordings differ among each other
        by much more than samplers do on each of them.
        """
        x = getattr(self.costs[name], cost)
        x = math.nan if x is None else x
        y = self.suite_results.table.means[name][measure.name].mean
        if name == self.baseline:
            return Point(x, y, y, y)
        change = self._change(name, measure)
        if change is None:
            return Point(x, y, math.nan, math.nan)
        return Point(x, y, y + change.low - change.mean, y + change.high - change.mean)

    @cached_property
    def fronts(self) -> dict[str, dict[Cost, list[str]]]:
        """By measure and cost, the names of the samplers that none dominates, by rising cost."""
        fronts: dict[str, dict[Cost, list[str]]] = {}
        for m in self.measures:
            fronts[m.name] = {}
            for cost in COSTS:
                points = {name: self.point(name, cost, m) for name in self.costs}
                places = {name: (point.x, point.y) for name, point in points.items()}
                fronts[m.name][cost] = pareto_front(places, m.higher_is_better)
        return fronts

    def lines(self) -> dict[str, list[str]]:
        """The samplers that differ in their steps alone, by rising steps; the baseline first.

        One that is the same computation as another is there by the name of that one.
        """
        lines: dict[str, dict[int, str]] = {}
        for s in self.settings:
            if s.run_as in self.costs and not s.refused:
                lines.setdefault(s.line, {})[s.steps] = s.run_as
        return {line: [names[n] for n in sorted(names)] for line, names in lines.items()}

    def refusals(self) -> dict[str, list[str]]:
        """Why samplers were not run: by reason the lines, and where it is not all, the steps."""
        swept = Counter(s.line for s in self.settings)
        reasons: dict[str, dict[str, list[int]]] = {}
        for s in self.settings:
            if s.refused:
                reasons.setdefault(s.refused, {}).setdefault(s.line, []).append(s.steps)
        return {
            reason: [
                line if len(steps) == swept[line] else f"{line} at {_listed(steps)} steps"
                for line, steps in lines.items()
            ]
            for reason, lines in reasons.items()
        }

    def _change(self, name: str, measure: Measure) -> Difference | None:
        """From the baseline, recording by recording."""
        return (
            None
            if name == self.baseline
            else self.suite_results.table.differences[name][measure.name]
        )

    # Files

    def write(self, folder: str | Path, *, command: str = "") -> Path:
        """Write study.md, study.csv, study.json and, where matplotlib is installed, figure.svg.

        Each appears whole or not at all, in place of an earlier one. Raises `ValueError`, before
        anything is written, if nothing could be scored.
        """
        target = Path(folder)
        plain = self.to_json(command)
        try:
            figures = {FIGURE: self.svg()}
            shown = f"![figure]({FIGURE})"
        except MissingPackageError as error:
            figures = {}
            shown = f"No figure: {error}"
        contents = {
            **figures,
            "study.csv": text.csv_text(plain["settings"]),
            "study.json": text.json_text(plain),
            "study.md": self._page(plain, shown),
        }
        write_texts(target, contents)
        return target

    def svg(self) -> str:
        """The figure as the content of a file.

        Raises `ArgumentError` if nothing could be scored, `MissingPackageError` without matplotlib.
        """
        panels = []
        for measure, (cost, label) in product(self.measures, COSTS.items()):
            series = [
                Series(line, kind, [self.point(name, cost, measure) for name in names])
                for kind, (line, names) in enumerate(self.lines().items())
            ]
            steps = front(series, measure.higher_is_better)
            heading = numbers.heading(measure)
            panels.append(Panel(series, label, heading, log=True, joined=True, front=steps))
        caption = CAPTION.format(baseline=self.baseline)
        return standalone(draw(panels, columns=len(COSTS), legend=True, caption=caption))

    def to_json(self, command: str = "") -> dict[str, Any]:
        """All of it, and where it comes from; plain values."""
        results = self.suite_results
        plain = text.to_json(results.table, command=command)
        return {
            "format": FORMAT,
            "model": self.model,
            "weights": results.conditions[self.baseline]["weights"],
            "settings": [self._record(setting) for setting in self.settings],
            "fronts": self.fronts,
            **{key: plain[key] for key in ("systems", "differences", "baseline")},
            "files": max(plain["files"].values()),
            "seeds": list(results.suite.seeds),
            "workers": results.workers,
            "enhanced": results.enhanced,
            "load": self.load,
            "checks": list(results.checks),
            **{key: plain[key] for key in ("problems", "notes", "provenance")},
        }

    def _record(self, setting: Setting) -> dict[str, Any]:
        """A flat record of a setting, with all digits; None for what is not known."""
        known = setting.run_as in self.costs and not setting.refused
        costs = self.costs[setting.run_as] if known else Costs()
        record: dict[str, Any] = {
            **{key: getattr(setting, key) for key in ("name", "solver", "eta", "grid", "steps")},
            "sampler": setting.sampler,
            "same_as": setting.same_as or None,
            "refused": setting.refused or None,
            "outside": setting.outside,
            **{cost: getattr(costs, cost) for cost in COSTS},
        }
        for m in self.measures:
            mean = self.suite_results.table.means[setting.run_as][m.name] if known else None
            values = {} if mean is None or not mean.count else asdict(mean)
            columns = {m.name: "mean", f"{m.name}_low": "low", f"{m.name}_high": "high"}
            record |= {column: values.get(key) for column, key in columns.items()}
        return record

    # Markdown

    def summary(self) -> str:
        """Markdown: what was run, the fronts, and what was left out."""
        parts = [_items(self.suite_results.checks)] if self.suite_results.checks else []
        parts += [self._table(), "## Fronts", ABOUT_FRONTS, *self._front_tables()]
        parts += [numbers.EXPLAINED]
        same: dict[str, list[str]] = {}
        for s in self.settings:
            if s.same_as:
                same.setdefault(s.same_as, []).append(s.name)
        if same:
            lines = [f"{name}: also {'; '.join(others)}" for name, others in same.items()]
            parts += ["## Run once", "The same computation under several names.", _items(lines)]
        if outside := [s.name for s in self.settings if s.outside and s.is_run]:
            parts += ["## What the model is not made for", ABOUT_OUTSIDE, _items(outside)]
        if refusals := self.refusals():
            lines = [f"{_listed(names)}: {reason}" for reason, names in refusals.items()]
            parts += ["## Not run", _items(lines)]
        return "\n\n".join(parts)

    def _table(self) -> str:
        """All that was run; bold on the front over evaluations."""
        headings = [numbers.heading(m) for m in self.measures]
        lines = []
        for name, means in self.suite_results.table.means.items():
            costs = self.costs.get(name, Costs())
            evaluations = numbers.number(costs.evaluations, "g")
            cells = [name, evaluations, numbers.number(costs.real_time_factor, ".3f")]
            for m in self.measures:
                cell = numbers.mean(m, means[m.name])
                on_front = name in self.fronts[m.name]["evaluations"]
                cells.append(f"**{cell}**" if on_front else cell)
            lines.append(cells)
        header = ["sampler", "evaluations", "real-time factor ↓", *headings]
        return text.markdown_table(header, lines)

    def _front_tables(self) -> list[str]:
        """For each measure its front over each cost, with the differences to the baseline."""
        tables = []
        for m in self.measures:
            lines = [
                [
                    title,
                    name,
                    numbers.number(getattr(self.costs[name], cost), ".3g"),
                    numbers.mean(m, self.suite_results.table.means[name][m.name]),
                    numbers.change(m, self._change(name, m)),
                ]
                for cost, title in COSTS.items()
                for name in self.fronts[m.name][cost]
            ]
            header = [
                "front over",
                "sampler",
                "cost",
                numbers.heading(m),
                f"against {self.baseline}",
            ]
            tables.append(text.markdown_table(header, lines))
        return tables

    def _page(self, plain: Mapping[str, Any], figure: str) -> str:
        """study.md: the summary with the figure and where it comes from."""
        origin = plain["provenance"]
        machine = origin["machine"]
        versions = _listed(f"{name} {version}" for name, version in origin["versions"].items())
        conditions = (
            f"{plain['files']} scores a sampler, seeds {_listed(plain['seeds'])}; weights "
            f"{plain['weights']}; {machine['processor']}, {machine['cores']} cores, "
            f"{plain['workers'] or 'no'} worker processes; {versions}; {origin['time']}."
        )
        enhanced = (
            f"{self.suite_results.enhanced} of {len(self.suite_results.runs)} files were enhanced"
        )
        times = f"{ABOUT_TIMES} {enhanced} by the last call"
        if self.load is not None:
            times += f"; when it began, {self.load:.1f} processes wanted a core"
        parts = [f"# Samplers of {self.model}", EXPLANATION.format(baseline=self.baseline), figure]
        parts += [self.summary()]
        if plain["problems"]:
            parts += ["## Problems", _items(plain["problems"])]
        parts += ["## Made by", *([f"`{origin['command']}`"] if origin["command"] else [])]
        parts += [conditions, f"{times}."]
        return "\n\n".join(parts) + "\n"


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
