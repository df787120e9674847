"""What came of a suite, as tables: scores, costs, and where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sgmse._files import write_whole
from sgmse.bench.costs import Costs, Run, costs
from sgmse.bench.suite import Suite
from sgmse.report import numbers, text
from sgmse.report.charts import standalone
from sgmse.report.clips import Recording
from sgmse.report.content import LINES, cost_figure
from sgmse.report.page import FILES, MEGABYTES, write_report
from sgmse.scoring.scores import Progress, Scores
from sgmse.scoring.table import Table
from sgmse.scoring.thresholds import Threshold, failures

FORMAT = 1  # of summary.json
SPEED = "real-time factor"
#: What is charted of `Costs`, by name. `Row.facts` has them, too, by the names of the fields.
CHARTED = {"evaluations": "evaluations", SPEED: "real_time_factor"}


@dataclass(frozen=True)
class Bar:
    """A mean that a system must reach; None for all but the baseline."""

    threshold: Threshold
    system: str | None = None


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
        audio: the files of each recording by label, as `sgmse.report.clips.listed` gives them.
    """

    suite: Suite
    scores: Scores
    runs: tuple[Run, ...]
    conditions: Mapping[str, Mapping[str, str]]
    checks: tuple[str, ...] = ()
    workers: int = 0
    enhanced: int = 0
    audio: Mapping[Recording, Mapping[str, Path]] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The system that others differ from."""
        return self.suite.baseline or next(iter(self.suite.systems))

    @cached_property
    def table(self) -> Table:
        """What may be claimed of the scores; each set has its part, in `table.sets`."""
        return Table(self.scores, self.baseline)

    def by(self, name: str) -> list[str]:
        """The facts of the breakdowns that are known on a set."""
        return [fact for fact in self.suite.by if fact in self.table.sets[name].scores.facts]

    def costs(self, name: str | None = None) -> dict[str, Costs]:
        """What each system that was run took on a set, on all of them if none is named."""
        of = {
            system: [r for r in self.runs if r.system == system and name in (None, r.set)]
            for system in self.suite.systems
        }
        return {system: costs(runs) for system, runs in of.items() if runs}

    def charted(self, name: str | None = None) -> dict[str, dict[str, float | None]]:
        """The costs by system that a report charts, those that are known of any system."""
        found = self.costs(name)
        known = [k for k, v in CHARTED.items() if any(getattr(c, v) for c in found.values())]
        return {system: {k: getattr(c, CHARTED[k]) for k in known} for system, c in found.items()}

    def figures(self) -> dict[str, str]:
        """The measures against the real-time factor, an SVG file for each set on which any ran."""
        drawn = {
            name: cost_figure(table, self.charted(name), SPEED)
            for name, table in self.table.sets.items()
        }
        return {name: standalone(svg) for name, svg in drawn.items() if svg}

    def summary(self) -> str:
        """Markdown: for each set the scores, the breakdowns, the differences and the costs."""
        parts = [f"- {line}" for line in self.checks]
        parts = ["\n".join(parts)] if parts else []
        for name, table in self.table.sets.items():
            parts += [f"## {name}"] if len(self.suite.sets) > 1 else []
            parts.append(text.summary(table, self.by(name)))
            parts += _cost_table(self.costs(name), self.workers)
        return "\n\n".join(parts)

    def missed(self, bars: Sequence[Bar]) -> list[str]:
        """Which bars are not reached, on which set."""
        lines = []
        for name, table in self.table.sets.items():
            where = f"{name}: " if len(self.suite.sets) > 1 else ""
            for bar in bars:
                systems = None if bar.system is None else [bar.system]
                lines += [where + line for line in failures(table, [bar.threshold], systems)]
        return lines

    def unscored(self) -> list[str]:
        """Systems that no measure has a score of, in words."""
        scored = {
            r.system for r in self.scores.rows if any(v is not None for v in r.values.values())
        }
        return [f"{name} has no score" for name in self.suite.systems if name not in scored]

    def to_json(self, command: str = "") -> dict[str, Any]:
        """What `summary` says and where it comes from; plain values."""
        return {
            "format": FORMAT,
            "sets": {
                name: {
                    **text.to_json(table, self.by(name), command),
                    "costs": {s: asdict(about) for s, about in self.costs(name).items()},
                }
                for name, table in self.table.sets.items()
            },
            "checks": list(self.checks),
            "seeds": list(self.suite.seeds),
            "workers": self.workers,
            "systems": {name: dict(about) for name, about in self.conditions.items()},
        }

    def write(self, folder: str | Path, *, command: str = "", parquet: bool = False) -> Path:
        """Write scores.csv, summary.md, summary.json, and for each set SET.tex and its figure.

        The figure is called figure.svg, or SET.svg if there are several sets. Each file appears
        whole or not at all, in place of an earlier one. With `parquet` scores.parquet too, which
        needs pyarrow.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        about = self.to_json(command)
        figures = self.figures()
        several = len(self.suite.sets) > 1
        places = [(f"{name}.svg" if several else "figure.svg", name) for name in figures]
        parts = [self.summary()]
        parts += [f"![{name}: quality against {SPEED}]({quote(file)})" for file, name in places]
        parts += [LINES] if places else []
        sets = about["sets"].values()
        parts += text.lists(
            {
                title: list(dict.fromkeys(line for one in sets for line in one[title]))
                for title in ("notes", "problems")
            }
        )
        parts += [f"`{command}`"] if command else []
        contents = {
            "scores.csv": text.to_csv(self.scores),
            "summary.md": "\n\n".join(parts) + "\n",
            "summary.json": text.json_text(about),
            **{f"{name}.tex": text.latex(table) for name, table in self.table.sets.items()},
            **{file: figures[name] for file, name in places},
        }
        for name, content in contents.items():
            write_whole(target / name, content.encode())
        if parquet:
            text.require_parquet()
            write_whole(target / "scores.parquet", text.to_parquet(self.scores))
        return target

    def report(
        self,
        file: str | Path,
        *,
        command: str = "",
        files: int | Sequence[str] = FILES,
        megabytes: float = MEGABYTES,
        progress: Progress | None = None,
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
            by=self.suite.by or None,
            command=command,
            files=files,
            megabytes=megabytes,
            progress=progress,
        )


def _cost_table(systems: Mapping[str, Costs], workers: int) -> list[str]:
    """Markdown of what systems took, and a line that explains it."""
    if not systems:
        return []
    lines = [
        [
            system,
            numbers.number(cost.real_time_factor, ".4f"),
            numbers.number(cost.evaluations, "g"),
            numbers.number(None if cost.memory is None else cost.memory / 2**20, ".0f"),
        ]
        for system, cost in systems.items()
    ]
    header = ["system", "real-time factor ↓", "evaluations", "peak memory [MiB]"]
    how = f"in {workers} processes of one thread each" if workers else "in one process"
    return [
        text.markdown_table(header, lines),
        f"Seconds for a second of audio, without loading, reading and writing, {how}; evaluations "
        "of the network for each recording; memory of a process with Python and all libraries.",
    ]
