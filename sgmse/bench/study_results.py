"""What came of a study of samplers: its table, its Pareto fronts, and the files that hold them."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sgmse._files import write_whole
from sgmse.bench.costs import Costs
from sgmse.bench.models import Model
from sgmse.bench.results import Results
from sgmse.bench.study_charts import Panel, figure
from sgmse.metrics.measures import Measure
from sgmse.report import numbers, text
from sgmse.report.charts import Point
from sgmse.scoring.intervals import Difference, Interval
from sgmse.scoring.pareto import pareto_front

FORMAT = 1  # of study.json
OWN = "own sampler"  # that which the model recommends
FIGURE = "figure.svg"

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


@dataclass(frozen=True)
class Reached:
    """What a setting costs and reaches."""

    costs: Costs
    quality: Mapping[str, Interval]  # by measure


@dataclass(frozen=True)
class StudyResults:
    """The samplers of a study and what became of them.

    Args:
        model: what was sampled.
        settings: all that were swept, also those that were refused or are the same as others.
        outcome: of the suite that ran the others.
        load: processes that wanted a core when it began, on average over the last minute; None
            where the system does not say. They make real-time factors larger.
    """

    model: str
    settings: tuple[Setting, ...]
    outcome: Results
    load: float | None = None

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured."""
        return tuple(self.outcome.scores.measures)

    @cached_property
    def reached(self) -> dict[str, Reached]:
        """By the names of the settings that were run, in their order."""
        (name,) = self.outcome.suite.sets
        costs = self.outcome.costs(name)
        unknown = Costs(None, None, None)
        run = [s.name for s in self.settings if not s.refused and not s.same_as]
        means = self.outcome.table.means
        return {n: Reached(costs.get(n, unknown), means[n]) for n in run if n in means}

    @property
    def differences(self) -> dict[str, dict[str, Difference | None]]:
        """From `OWN`, recording by recording, of each other sampler, by name and measure."""
        return self.outcome.table.differences

    def point(self, name: str, cost: Cost, measure: Measure) -> Point:
        """The mean of a sampler over a cost, NaN for what is not known.

        Its interval is that of the difference to `OWN`: recordings differ among each other by much
        more than samplers do on each of them.
        """
        reached = self.reached[name]
        x, y = getattr(reached.costs, cost), reached.quality[measure.name].mean
        x = math.nan if x is None else x
        if name == OWN:
            return Point(x, y, y, y)
        about = self.differences[name][measure.name]
        if about is None:
            return Point(x, y, math.nan, math.nan)
        return Point(x, y, y + about.low - about.mean, y + about.high - about.mean)

    def front(self, cost: Cost, measure: Measure) -> list[str]:
        """The names of the samplers that none dominates, by cost."""
        points = {name: self.point(name, cost, measure) for name in self.reached}
        places = {name: (point.x, point.y) for name, point in points.items()}
        return pareto_front(places, measure.higher_is_better)

    def lines(self) -> dict[str, list[str]]:
        """The samplers that differ in their steps alone, by rising steps; `OWN` is the first.

        One that is the same computation as another is there by the name of that one.
        """
        lines: dict[str, dict[int, str]] = {}
        for s in self.settings:
            name = s.same_as or s.name
            if name in self.reached and not s.refused:
                lines.setdefault(s.line, {})[s.steps] = name
        return {line: [of[n] for n in sorted(of)] for line, of in lines.items()}

    def svg(self) -> str:
        """The figure as the content of a file. Raises `ValueError` if nothing could be scored."""
        lines = self.lines()
        panels = [
            Panel(
                told,
                numbers.heading(m),
                {line: [self.point(name, cost, m) for name in of] for line, of in lines.items()},
                m.higher_is_better,
            )
            for m in self.measures
            for cost, told in COSTS.items()
        ]
        return figure(panels, FIGURE_TOLD, columns=len(COSTS))

    def summary(self) -> str:
        """Markdown: what was run, the fronts, and what was left out."""
        checks = "\n".join(f"- {line}" for line in self.outcome.checks)
        parts = [*([checks] if checks else []), self._table()]
        parts += ["## Fronts", FRONTS_TOLD, *self._front_tables()]
        same: dict[str, list[str]] = {}
        for s in self.settings:
            if s.same_as:
                same.setdefault(s.same_as, []).append(s.name)
        if same:
            lines = [f"- {name}: also {'; '.join(of)}" for name, of in same.items()]
            parts += ["## Run once", "The same computation under several names.", "\n".join(lines)]
        if refused := self.refusals():
            lines = [f"- {', '.join(names)}: {why}" for why, names in refused.items()]
            parts += ["## Not run", "\n".join(lines)]
        return "\n\n".join(parts)

    def refusals(self) -> dict[str, list[str]]:
        """Why samplers were not run: by reason the lines, and where it is not all, the steps."""
        reasons: dict[str, dict[str, list[int]]] = {}
        for s in self.settings:
            if s.refused:
                reasons.setdefault(s.refused, {}).setdefault(s.line, []).append(s.steps)
        counts = {
            s.line: len([o for o in self.settings if o.line == s.line]) for s in self.settings
        }
        return {
            why: [
                line if len(steps) == counts[line] else f"{line} at {_listed(steps)} steps"
                for line, steps in of.items()
            ]
            for why, of in reasons.items()
        }

    def write(self, folder: str | Path, *, command: str = "") -> Path:
        """Write study.md, study.csv, study.json and figure.svg.

        Each appears whole or not at all, in place of an earlier one. Raises `ValueError`, before
        anything is written, if nothing could be scored.
        """
        target = Path(folder)
        told = self.to_json(command)
        contents = {
            FIGURE: self.svg(),
            "study.csv": self.to_csv(),
            "study.json": text.json_text(told),
            "study.md": self._page(told),
        }
        target.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(target / name, content.encode())
        return target

    def to_csv(self) -> str:
        """A line for each setting, with all digits; what is not known is empty."""
        content = io.StringIO()
        records = [self._record(s) for s in self.settings]
        writer = csv.DictWriter(content, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return content.getvalue()

    def to_json(self, command: str = "") -> dict[str, Any]:
        """All of it, and where it comes from; plain values."""
        told = text.to_json(self.outcome.table, command=command)
        return {
            "format": FORMAT,
            "model": self.model,
            "weights": self.outcome.conditions[OWN]["weights"],
            "settings": [self._record(s) for s in self.settings],
            "fronts": {
                m.name: {cost: self.front(cost, m) for cost in COSTS} for m in self.measures
            },
            "systems": told["systems"],
            "differences": told["differences"],
            "baseline": told["baseline"],
            "files": max(told["files"].values()),
            "seeds": list(self.outcome.suite.seeds),
            "workers": self.outcome.workers,
            "enhanced": self.outcome.enhanced,
            "load": self.load,
            "checks": list(self.outcome.checks),
            "problems": told["problems"],
            "notes": told["notes"],
            "provenance": told["provenance"],
        }

    def _page(self, told: Mapping[str, Any]) -> str:
        """study.md: the summary with the figure and where it comes from."""
        about = told["provenance"]
        machine, versions = about["machine"], about["versions"]
        where = (
            f"{told['files']} scores a sampler, seeds {_listed(told['seeds'])}; weights "
            f"{told['weights']}; {machine['processor']}, {machine['cores']} cores, "
            f"{told['workers'] or 'no'} worker processes; "
            + ", ".join(f"{name} {v}" for name, v in versions.items())
            + f"; {about['time']}."
        )
        made, now = len(self.outcome.runs), self.outcome.enhanced
        told_times = f"{TIMES_TOLD} {now} of {made} files were enhanced by the last call"
        if self.load is not None:
            told_times += f"; when it began, {self.load:.1f} processes wanted a core"
        parts = [f"# Samplers of {self.model}", TOLD, f"![figure]({FIGURE})", self.summary()]
        if told["problems"]:
            parts += ["## Problems", "\n".join(f"- {line}" for line in told["problems"])]
        parts += ["## Made by", *([f"`{about['command']}`"] if about["command"] else []), where]
        parts += [f"{told_times}."]
        return "\n\n".join(parts) + "\n"

    def _table(self) -> str:
        """Markdown of all that was run; bold on the front over evaluations."""
        fronts = {m.name: self.front("evaluations", m) for m in self.measures}
        header = [
            "sampler",
            "evaluations",
            "real-time factor ↓",
            *map(numbers.heading, self.measures),
        ]
        lines = []
        for name, means in self.outcome.table.means.items():
            costs = self.reached[name].costs if name in self.reached else Costs(None, None, None)
            cells = [
                name,
                numbers.number(costs.evaluations, "g"),
                numbers.number(costs.real_time_factor, ".3f"),
            ]
            for m in self.measures:
                cell = numbers.mean(m, means[m.name])
                cells.append(f"**{cell}**" if name in fronts[m.name] else cell)
            lines.append(cells)
        return text.markdown_table(header, lines)

    def _front_tables(self) -> list[str]:
        """Markdown: for each measure its front over each cost, with the differences to `OWN`."""
        parts = []
        for m in self.measures:
            header = ["front over", "sampler", "cost", numbers.heading(m), f"against {OWN}"]
            lines = []
            for cost, told in COSTS.items():
                for name in self.front(cost, m):
                    reached = self.reached[name]
                    change = None if name == OWN else self.differences[name][m.name]
                    at = numbers.number(getattr(reached.costs, cost), ".3g")
                    cells = [told, name, at, numbers.mean(m, reached.quality[m.name])]
                    lines.append([*cells, numbers.change(m, change)])
            parts.append(text.markdown_table(header, lines))
        return [*parts, numbers.EXPLAINED]

    def _record(self, s: Setting) -> dict[str, Any]:
        """A flat record of a setting; None for what is not known."""
        found = None if s.refused else self.reached.get(s.same_as or s.name)
        record: dict[str, Any] = {
            "name": s.name,
            "solver": s.solver,
            "eta": s.eta,
            "grid": s.grid,
            "steps": s.steps,
            "sampler": s.sampler,
            "same_as": s.same_as or None,
            "refused": s.refused or None,
            **{cost: None if found is None else getattr(found.costs, cost) for cost in COSTS},
        }
        for m in self.measures:
            about = None if found is None else found.quality[m.name]
            for key, column in {"mean": "", "low": "_low", "high": "_high"}.items():
                known = about is not None and about.count > 0
                record[m.name + column] = asdict(about)[key] if about and known else None
        return record


TOLD = (
    "A point is a sampler: the same network with another solver, share of fresh noise eta, grid or "
    "number of steps. Lines join those that differ in their steps alone. Bars are 95 % bootstrap "
    f"intervals of the difference to the {OWN}, recording by recording; the intervals in the table "
    "are of the means over recordings, and wider, as recordings differ."
)
FIGURE_TOLD = (
    "Dotted: the Pareto front, the best that a cost or less buys. Bars: 95 % intervals of the "
    f"difference to the {OWN}."
)
FRONTS_TOLD = (
    "No other sampler costs as little and is as good. Where evaluations are equal, real-time "
    "factors differ by chance. The best of many is so partly by chance, too."
)
TIMES_TOLD = (
    "Compare real-time factors only if they are of one call and of a machine without other work:"
)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
