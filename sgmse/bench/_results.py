"""What comes of a suite, as tables: scores, costs, and where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sgmse._files import write_texts, write_whole
from sgmse.bench._costs import Costs, Run
from sgmse.bench.suite import Suite
from sgmse.errors import MissingPackageError
from sgmse.report import numbers, text
from sgmse.report.charts import standalone
from sgmse.report.content import LINES, cost_figure
from sgmse.report.page import FILES, MEGABYTES, write_report
from sgmse.scoring.journal import Recording
from sgmse.scoring.provenance import About
from sgmse.scoring.scores import Scores, Stages
from sgmse.scoring.table import Table
from sgmse.scoring.thresholds import Threshold, failures

FORMAT = 1  # of summary.json
SPEED = "real-time factor"
#: What is charted of `Costs`, by name. `Row.facts` has them, too, by the names of the fields.
CHARTED = {"evaluations": "evaluations", SPEED: "real_time_factor"}


@dataclass(frozen=True)
class Results:
    """The scores of a suite and what they cost.

    Args:
        suite: what was done.
        scores: a row for each recording of each system and seed.
        runs: what enhancing took, of the files that were made here.
        conditions: what the results of each system depend on.
        checks: what known sets score before enhancement, beside what is published.
        workers: processes.
        enhanced: how many files were enhanced now, not earlier.
        audio: the files of each recording by label, as `files_by_recording` gives them.
        about: what a reader is told of each system.
    """

    suite: Suite
    scores: Scores
    runs: tuple[Run, ...]
    conditions: Mapping[str, Mapping[str, str]]
    checks: tuple[str, ...] = ()
    workers: int = 0
    enhanced: int = 0
    audio: Mapping[Recording, Mapping[str, Path]] = field(default_factory=dict)
    about: Mapping[str, About] = field(default_factory=dict)

    @cached_property
    def table(self) -> Table:
        """What may be claimed of the scores; each set has its part, in `table.sets`."""
        return Table(self.scores, self.suite.baseline or next(iter(self.suite.systems)))

    def by(self, name: str) -> list[str]:
        """The facts of the breakdowns that are known on a set."""
        return [fact for fact in self.suite.by if fact in self.table.sets[name].scores.facts]

    def costs(self, name: str | None = None) -> dict[str, Costs]:
        """What each system that was run took on a set, on all of them if none is named."""
        runs: dict[str, list[Run]] = {}
        for run in self.runs:
            if name in (None, run.set):
                runs.setdefault(run.system, []).append(run)
        return {system: Costs.of(own) for system, own in runs.items()}

    def charted(self, name: str | None = None) -> dict[str, dict[str, float | None]]:
        """The costs by system that a report charts, those that are known of any system."""
        costs = {system: asdict(cost) for system, cost in self.costs(name).items()}
        known = {k: v for k, v in CHARTED.items() if any(cost[v] for cost in costs.values())}
        return {system: {k: cost[v] for k, v in known.items()} for system, cost in costs.items()}

    def figures(self) -> dict[str, str]:
        """The measures against the real-time factor, an SVG file for each set on which any ran.

        Raises `MissingPackageError` without matplotlib.
        """
        svgs = {
            name: cost_figure(table, self.charted(name), SPEED)
            for name, table in self.table.sets.items()
        }
        return {name: standalone(svg) for name, svg in svgs.items() if svg}

    def summary(self) -> str:
        """Markdown: for each set the scores, the breakdowns, the differences and the costs.

        At the end what was run.
        """
        parts = ["\n".join(f"- {line}" for line in self.checks)] if self.checks else []
        for name, table in self.table.sets.items():
            parts += [f"## {name}"] if len(self.suite.sets) > 1 else []
            parts.append(text.summary(table, self.by(name)))
            if costs := self.costs(name):
                parts += [_cost_table(costs), _cost_explanation(costs, self.workers)]
        parts += [text.systems(self.about)] if self.about else []
        return "\n\n".join(parts)

    def missed(self, thresholds: Sequence[Threshold]) -> list[str]:
        """Which thresholds are not reached, on which set."""
        several = len(self.suite.sets) > 1
        return [
            f"{name}: {line}" if several else line
            for name, table in self.table.sets.items()
            for line in failures(table, thresholds)
        ]

    def unscored(self) -> list[str]:
        """Systems that no measure has a score of, in words."""
        scored = {
            row.system
            for row in self.scores.rows
            if any(v is not None for v in row.values.values())
        }
        return [f"{name} has no score" for name in self.suite.systems if name not in scored]

    def to_json(self, command: str = "") -> dict[str, Any]:
        """What `summary` says and where it comes from; plain values."""
        return {
            "format": FORMAT,
            "sets": {
                name: {
                    **text.to_json(table, self.by(name), command),
                    "costs": {system: asdict(cost) for system, cost in self.costs(name).items()},
                }
                for name, table in self.table.sets.items()
            },
            "checks": list(self.checks),
            "seeds": list(self.suite.seeds),
            "workers": self.workers,
            "systems": {name: dict(conditions) for name, conditions in self.conditions.items()},
            "about": {name: about._asdict() for name, about in self.about.items()},
        }

    def write(self, folder: str | Path, *, command: str = "", parquet: bool = False) -> Path:
        """Write scores.csv, summary.md, summary.json, and for each set SET.tex and its figure.

        Of several systems comparisons.csv, too, their differences from the baseline on each set.
        The figure is called figure.svg, or SET.svg if there are several sets. Each file appears
        whole or not at all, in place of an earlier one. With `parquet` scores.parquet too, which
        needs pyarrow.
        """
        if parquet:
            text.require_parquet()
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        command = command or str(self.scores.origin.get("command", ""))
        plain = self.to_json(command)
        parts = [self.summary()]
        try:
            figures = self.figures()
        except MissingPackageError as error:
            figures = {}
            parts.append(f"No figure: {error}")
        several = len(self.suite.sets) > 1
        places = {name: f"{name}.svg" if several else "figure.svg" for name in figures}
        parts += [f"![{n}: quality against {SPEED}]({quote(file)})" for n, file in places.items()]
        parts += [LINES] if places else []
        remarks = {
            title: list(dict.fromkeys(line for s in plain["sets"].values() for line in s[title]))
            for title in ("notes", "problems")
        }
        parts += text.lists(remarks)
        parts += [f"`{command}`"] if command else []
        contents = {
            "scores.csv": text.to_csv(self.scores),
            "summary.md": "\n\n".join(parts) + "\n",
            "summary.json": text.json_text(plain),
            **{f"{name}.tex": text.latex(table) for name, table in self.table.sets.items()},
            **{file: figures[name] for name, file in places.items()},
        }
        compared = [
            {"set": name, **record}
            for name, table in self.table.sets.items()
            for record in text.comparisons(table)
        ]
        if compared:
            contents["comparisons.csv"] = text.csv_text(compared)
        write_texts(target, contents)
        if parquet:
            write_whole(target / "scores.parquet", text.to_parquet(self.scores))
        return target

    def report(
        self,
        file: str | Path,
        *,
        command: str = "",
        files: int | Sequence[str] = FILES,
        megabytes: float = MEGABYTES,
        progress: Stages | None = None,
    ) -> Path:
        """Write one HTML page of all sets, with sounds; see `write_report`, also for the rest."""
        rows = tuple(
            replace(row, facts={k: v for k, v in row.facts.items() if k not in CHARTED.values()})
            for row in self.scores.rows
        )
        return write_report(
            self.table.part(replace(self.scores, rows=rows)),
            file,
            audio=self.audio,
            costs=self.charted(),
            about=self.about,
            by=self.suite.by or None,
            command=command,
            files=files,
            megabytes=megabytes,
            progress=progress,
        )


def _cost_table(costs: Mapping[str, Costs]) -> str:
    """Markdown of what systems took."""
    lines = [
        [
            system,
            numbers.number(cost.real_time_factor, ".4f"),
            numbers.number(cost.evaluations, "g"),
            numbers.number(None if cost.memory is None else cost.memory / 2**20, ".0f"),
        ]
        for system, cost in costs.items()
    ]
    header = ["system", "real-time factor ↓", "evaluations", "peak memory [MiB]"]
    return text.markdown_table(header, lines)


def _cost_explanation(costs: Mapping[str, Costs], workers: int) -> str:
    how = f"in {workers} processes of one thread each" if workers > 1 else "in one process"
    how += " of one thread" if workers == 1 else ""
    batches = "".join(
        f" {system}: its share of the time of a batch, up to {cost.at_once} recordings at once."
        for system, cost in costs.items()
        if cost.at_once > 1
    )
    return (
        f"Seconds for a second of audio, without loading, reading and writing, {how}; evaluations "
        "of the network for each recording; memory of a process with Python and all libraries."
        f"{batches}"
    )
