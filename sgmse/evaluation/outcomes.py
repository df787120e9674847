"""What came of a suite, as tables: scores, costs, and where they come from."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sgmse.evaluation import tables
from sgmse.evaluation.gates import Threshold, failures
from sgmse.evaluation.runs import Costs, Run, costs
from sgmse.evaluation.scoring import Scores
from sgmse.evaluation.suites import Suite

FORMAT = 1  # of summary.json


@dataclass(frozen=True)
class Bar:
    """A mean that a system must reach; None for all but the baseline."""

    threshold: Threshold
    system: str | None = None


@dataclass(frozen=True)
class Outcome:
    """The scores of a suite and what they cost.

    Args:
        suite: what was done.
        scores: a row for each recording of each system and seed.
        runs: what enhancing took, of the files that were made here.
        conditions: what the results of each system depend on.
        checks: what known sets score before enhancement, beside what is published.
        workers: processes.
        enhanced: how many files were enhanced now, not earlier.
    """

    suite: Suite
    scores: Scores
    runs: tuple[Run, ...]
    conditions: Mapping[str, Mapping[str, str]]
    checks: tuple[str, ...] = ()
    workers: int = 0
    enhanced: int = 0

    @property
    def baseline(self) -> str:
        """The system that others differ from."""
        return self.suite.baseline or next(iter(self.suite.systems))

    def of_set(self, name: str) -> Scores:
        """The scores on one set."""
        rows = tuple(row for row in self.scores.rows if row.set == name)
        return replace(self.scores, rows=rows)

    def by(self, name: str) -> list[str]:
        """The facts of the breakdowns that a set tells."""
        told = {fact for row in self.of_set(name).rows for fact in row.facts}
        return [fact for fact in self.suite.by if fact in told]

    def costs(self, name: str) -> dict[str, Costs]:
        """What each system that was run took on a set."""
        of = {
            system: [r for r in self.runs if (r.set, r.system) == (name, system)]
            for system in self.suite.systems
        }
        return {system: costs(runs) for system, runs in of.items() if runs}

    def summary(self) -> str:
        """Markdown: for each set the scores, the breakdowns, the differences and the costs."""
        parts = [f"- {line}" for line in self.checks]
        parts = ["\n".join(parts)] if parts else []
        for name in self.suite.sets:
            scores = self.of_set(name)
            parts += [f"## {name}"] if len(self.suite.sets) > 1 else []
            parts.append(tables.summary(scores, self.by(name), self.baseline))
            parts += _cost_table(self.costs(name), self.workers)
        return "\n\n".join(parts)

    def missed(self, bars: Sequence[Bar]) -> list[str]:
        """Which bars are not reached, on which set."""
        lines = []
        for name in self.suite.sets:
            where = f"{name}: " if len(self.suite.sets) > 1 else ""
            scores = self.of_set(name)
            for bar in bars:
                if bar.system is None:
                    found = failures(scores, [bar.threshold], self.baseline)
                else:
                    rows = tuple(row for row in scores.rows if row.system == bar.system)
                    found = failures(replace(scores, rows=rows), [bar.threshold])
                lines += [where + line for line in found]
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
                    **tables.to_json(self.of_set(name), self.by(name), self.baseline, command),
                    "costs": {s: asdict(about) for s, about in self.costs(name).items()},
                }
                for name in self.suite.sets
            },
            "checks": list(self.checks),
            "seeds": list(self.suite.seeds),
            "workers": self.workers,
            "systems": {name: dict(about) for name, about in self.conditions.items()},
        }

    def write(self, folder: str | Path, *, command: str = "", parquet: bool = False) -> Path:
        """Write scores.csv, summary.md and summary.json, and for each set SET.tex.

        Each appears whole or not at all, in place of an earlier one. With `parquet` scores.parquet
        too, which needs pyarrow.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        told = self.to_json(command)
        parts = [self.summary()]
        for title in ("notes", "problems"):
            lines = list(dict.fromkeys(line for of in told["sets"].values() for line in of[title]))
            if lines:
                parts.append(f"{title.capitalize()}:\n\n" + "\n".join(f"- {t}" for t in lines))
        parts += [f"`{command}`"] if command else []
        contents = {
            "scores.csv": tables.to_csv(self.scores),
            "summary.md": "\n\n".join(parts) + "\n",
            "summary.json": json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            **{f"{name}.tex": tables.latex(self.of_set(name)) for name in self.suite.sets},
        }
        for name, text in contents.items():
            _put(target / name, text.encode())
        if parquet:
            tables.require_parquet()
            _put(target / "scores.parquet", tables._parquet(self.scores))
        return target


def _cost_table(found: Mapping[str, Costs], workers: int) -> list[str]:
    """Markdown of what systems took, and a line that explains it."""
    if not found:
        return []
    lines = [
        [
            system,
            tables.NOTHING if c.real_time_factor is None else f"{c.real_time_factor:.4f}",
            tables.NOTHING if c.evaluations is None else f"{c.evaluations:g}",
            tables.NOTHING if c.memory is None else f"{c.memory / 2**20:.0f}",
        ]
        for system, c in found.items()
    ]
    header = ["system", "real-time factor ↓", "evaluations", "peak memory [MiB]"]
    how = f"in {workers} processes of one thread each" if workers else "in one process"
    return [
        tables._markdown(header, lines),
        f"Seconds for a second of audio, without loading, reading and writing, {how}; evaluations "
        "of the network for each recording; memory of a process with Python and all libraries.",
    ]


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
