"""`Scores` as tables: for the terminal and Markdown, for a paper, for a program, file by file.

A mean stands with half the width of its 95 % bootstrap interval over recordings.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from sgmse._files import write_texts, write_whole
from sgmse.errors import MissingPackageError
from sgmse.report import numbers
from sgmse.scoring.intervals import DRAWS, LEVEL, SEED, Interval
from sgmse.scoring.outcomes import Outcomes
from sgmse.scoring.provenance import About, machine, versions
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table

FORMAT = 1  # of summary.json
IDENTITY = ("system", "set", "seed", "name")  # fields of a row, in the order of the columns
NAMED = 5  # recordings that a note names
SHOWN, KEPT = 3, 10  # of those that got worst: in the summary, in summary.json
ABOUT = ("what was run", "version", "licence")
FOUND = ("seconds", "sample_rate", "excess", "delay", "inverted")


def problems(scores: Scores) -> list[str]:
    """What was not scored and why, a line each: "enhanced/007 (STOI, ESTOI): it is silent"."""
    lines = []
    for row in scores.rows:
        reasons: dict[str, list[str]] = {}
        for measure, reason in row.problems.items():
            reasons.setdefault(reason, []).append(measure)
        for reason, names in reasons.items():
            which = "" if len(names) == len(scores.measures) else f" ({', '.join(names)})"
            lines.append(f"{row.system}/{row.name}{which}: {reason}")
    alone = [file for files in scores.unmatched.values() for file in files]
    return lines + list(dict.fromkeys(f"{file.path} {file.reason}" for file in alone))


def notes(scores: Scores) -> list[str]:
    """What is odd about lengths, delays, polarities and recordings of means, a line each."""
    lines = []
    for system in scores.systems:
        rows = [row for row in scores.rows_of(system) if row.sample_rate and row.values]
        uneven = [abs(row.excess) / row.sample_rate for row in rows if row.excess]
        late = [(row.delay, row.sample_rate) for row in rows if row.delay]
        if uneven:
            lines.append(
                f"{system}: {len(uneven)} of {len(rows)} files differ in length, by up to "
                f"{max(uneven):.3f} s; up to {scores.tolerance:g} s are trimmed"
            )
        if late:
            typical = median(1000 * delay / rate for delay, rate in late)
            remedy = "compensated" if scores.align else "not compensated, see --align"
            lines.append(
                f"{system}: {len(late)} of {len(rows)} files are shifted, typically by "
                f"{typical:.1f} ms (late is positive); {remedy}"
            )
        if inverted := sum(row.inverted for row in rows):
            lines.append(
                f"{system}: {inverted} of {len(rows)} files have the other polarity than the clean "
                "ones, which PESQ and SI-SDR do not hear; mixed with those they cancel"
            )
    if not all(scores.is_matched(measure.name) for measure in scores.measures):
        lines.append("the systems have means over different files; their differences do not")
    if len(scores.systems) > 1 and scores.lacking:
        lines.append(_left_out(scores))
    return lines


def _left_out(scores: Scores) -> str:
    """Which recordings are in no comparison, and what they lack."""
    several = len(scores.sets) > 1
    named = []
    for (part, name), lacking in list(scores.lacking.items())[:NAMED]:
        whose = "; ".join(
            f"{system}: {'all' if len(names) == len(scores.measures) else ', '.join(names)}"
            for system, names in lacking.items()
        )
        named.append(f"{part}/{name} ({whose})" if several else f"{name} ({whose})")
    more = len(scores.lacking) - len(named)
    named += [f"and {more} more"] if more else []
    kept, count = len(scores.complete), len(scores.complete) + len(scores.lacking)
    return (
        f"comparisons are over {kept} of {count} recordings, those that all systems have in all "
        f"measures; left out is what lacks one: {', '.join(named)}"
    )


# For people


def summary(table: Table, by: Sequence[str] = ()) -> str:
    """Markdown: the table of means, breakdowns by facts, and the differences to the baseline."""
    measures = table.scores.measures
    headings = [numbers.heading(measure) for measure in measures]
    header = ["system", *headings, "files", "problems"]
    parts = [markdown_table(header, _lines(table))]
    for fact in by:
        lines = [
            [label or "not known", *line]
            for label, part in table.by(fact).items()
            for line in _lines(part)
        ]
        parts.append(markdown_table([fact, *header], lines))
    if len(table.scores.systems) > 1:
        lines = [
            [system, *(numbers.change(m, changes[m.name]) for m in measures)]
            for system, changes in table.differences.items()
        ]
        parts.append(markdown_table([f"against {table.baseline}", *headings], lines))
        parts.append(numbers.EXPLAINED)
        lines = [
            [system, *(numbers.outcome(own[m.name]) for m in measures)]
            for system, own in table.outcomes.items()
        ]
        parts.append(markdown_table([f"better than {table.baseline}", *headings], lines))
        parts.append(numbers.noise(measures))
        parts += _worst(table)
        if table.ranks:
            lines = [[system, numbers.rank(rank)] for system, rank in table.ranks.items()]
            over = "mean rank over " + ", ".join(m.name for m in table.ranked)
            parts.append(markdown_table(["system", over], lines))
    return "\n\n".join(parts)


def _worst(table: Table) -> list[str]:
    """Which recordings got worst by the first measure, as far as any could be compared."""
    measure, several = table.scores.measures[0], len(table.scores.sets) > 1
    lines = [
        [
            system,
            ", ".join(
                f"{numbers.place(change.recording, several)} ({numbers.gain(measure, change)})"
                for change in own[measure.name][:SHOWN]
            ),
        ]
        for system, own in table.changes.items()
        if own[measure.name]
    ]
    header = [f"worst against {table.baseline}", measure.name]
    return [markdown_table(header, lines)] if lines else []


def systems(about: Mapping[str, About]) -> str:
    """Markdown: what was run."""
    header = ["system", *ABOUT]
    return markdown_table(header, [[s, *(cell or "-" for cell in own)] for s, own in about.items()])


def latex(table: Table) -> str:
    """A tabular with the rules of the package booktabs.

    The best of several means is bold, if all are over the same files.
    """
    measures = table.scores.measures
    lines = [
        f"\\begin{{tabular}}{{l{'c' * len(measures)}}}",
        "\\toprule",
        " & ".join(["System", *(_escaped(numbers.heading(m)) for m in measures)]) + " \\\\",
        "\\midrule",
    ]
    for system, means in table.means.items():
        cells = [_escaped(system)]
        for m in measures:
            mean, _, half = numbers.mean(m, means[m.name]).partition(" ± ")
            if means[m.name].mean == table.best.get(m.name):
                mean = f"\\mathbf{{{mean}}}"
            spread = f" \\pm {half}" if half else ""
            cells.append("--" if mean == numbers.NOTHING else f"${mean}{spread}$")
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _lines(table: Table) -> list[list[str]]:
    """A line of cells for each system."""
    measures = table.scores.measures
    return [
        [
            system,
            *(numbers.mean(m, means[m.name], table.counts[system].files) for m in measures),
            *map(str, table.counts[system]),
        ]
        for system, means in table.means.items()
    ]


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned in plain text too."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join([padded[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *padded[1:]])


def _escaped(text: str) -> str:
    text = text.replace("\\", "/").replace("↓", "$\\downarrow$")
    return "".join(f"\\{c}" if c in "_%&#{}" else c for c in text)


# For programs


def records(scores: Scores) -> list[dict[str, Any]]:
    """A flat record for each row: what it is, facts, a value for each measure, what was wrong.

    A fact that is called like another column is called "index_..." here.
    """
    facts = list(dict.fromkeys(fact for row in scores.rows for fact in row.facts))
    taken = {*IDENTITY, *FOUND, "problems", *(measure.name for measure in scores.measures)}
    columns = {fact: f"index_{fact}" if fact in taken else fact for fact in facts}
    return [
        {name: getattr(row, name) for name in IDENTITY}
        | {column: row.facts.get(fact, "") for fact, column in columns.items()}
        | {measure.name: row.values[measure.name] for measure in scores.measures}
        | {name: getattr(row, name) for name in FOUND}
        | {"problems": "; ".join(f"{name}: {why}" for name, why in row.problems.items())}
        for row in scores.rows
    ]


def to_csv(scores: Scores) -> str:
    """The records as CSV with all digits; a value that is not there is empty."""
    return csv_text(records(scores))


def comparisons(table: Table) -> list[dict[str, Any]]:
    """A flat record for each comparison: the difference from the baseline, and `Outcomes`."""
    return [
        {
            **{"system": system, "baseline": table.baseline, "measure": measure},
            **_values(difference),
            **_values(outcomes),
        }
        for system, differences in table.differences.items()
        for measure, difference in differences.items()
        if difference and (outcomes := table.outcomes[system][measure])
    ]


def csv_text(table: Sequence[Mapping[str, Any]]) -> str:
    """Records of the same keys as CSV; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_json(table: Table, by: Sequence[str] = (), command: str = "") -> dict[str, Any]:
    """What `summary` says and where it comes from; plain values, None for what is not there."""
    scores = table.scores
    several = len(scores.systems) > 1
    return {
        "format": FORMAT,
        "systems": _plain(table.means),
        "baseline": table.baseline if several else None,
        "differences": _plain(table.differences) if several else {},
        "outcomes": _plain(table.outcomes) if several else {},
        "worst": _worst_values(table) if several else {},
        "ranks": {system: _values(rank) for system, rank in table.ranks.items()},
        "ranked": [measure.name for measure in table.ranked],
        "by": {
            fact: {label: _plain(part.means) for label, part in table.by(fact).items()}
            for fact in by
        },
        "files": {system: len(scores.rows_of(system)) for system in scores.systems},
        "problems": problems(scores),
        "notes": notes(scores),
        "provenance": provenance(scores, command),
    }


def _worst_values(table: Table) -> dict[str, dict[str, dict[str, float]]]:
    """The changes of the recordings that got worst, by system and measure."""
    several = len(table.scores.sets) > 1
    return {
        system: {
            measure: {
                numbers.place(change.recording, several): change.value - change.baseline
                for change in changes[:KEPT]
            }
            for measure, changes in own.items()
        }
        for system, own in table.changes.items()
    }


def provenance(scores: Scores, command: str = "") -> dict[str, Any]:
    """Where scores come from; plain values."""
    return {
        "command": command,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": machine(),
        "measures": [measure.name for measure in scores.measures],
        "align": scores.align,
        "tolerance": scores.tolerance,
        "bootstrap": {"level": LEVEL, "draws": DRAWS, "seed": SEED},
        "hashes": dict(scores.hashes),
        **scores.origin,
    }


def _plain(systems: Mapping[str, Mapping[str, Interval | Outcomes | None]]) -> dict[str, Any]:
    """Intervals, differences or outcomes as plain values, None for NaN."""

    return {
        system: {m: None if found is None else _values(found) for m, found in intervals.items()}
        for system, intervals in systems.items()
    }


def _values(found: Interval | Outcomes) -> dict[str, float | None]:
    return {k: None if v != v else v for k, v in asdict(found).items()}


def write(
    table: Table,
    folder: str | Path,
    *,
    by: Sequence[str] = (),
    command: str = "",
    parquet: bool = False,
) -> Path:
    """Write scores.csv, summary.md, summary.tex and summary.json, and scores.parquet if asked for.

    Of several systems comparisons.csv, too, their differences from the baseline. Each appears whole
    or not at all, in place of an earlier one. `parquet` needs pyarrow.
    """
    if parquet:
        require_parquet()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    about = to_json(table, by, command)
    parts = [summary(table, by), *lists(about)]
    parts += [f"`{command}`"] if command else []
    contents = {
        "scores.csv": to_csv(table.scores),
        "summary.md": "\n\n".join(parts) + "\n",
        "summary.tex": latex(table),
        "summary.json": json_text(about),
    }
    if compared := comparisons(table):
        contents["comparisons.csv"] = csv_text(compared)
    write_texts(target, contents)
    if parquet:
        write_whole(target / "scores.parquet", to_parquet(table.scores))
    return target


def lists(about: Mapping[str, Sequence[str]]) -> list[str]:
    """Markdown of the notes and the problems, as far as there are any."""
    return [
        f"{title.capitalize()}:\n\n" + "\n".join(f"- {line}" for line in about[title])
        for title in ("notes", "problems")
        if about[title]
    ]


def json_text(values: Mapping[str, Any]) -> str:
    """Plain values as the content of a JSON file."""
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def require_parquet() -> None:
    """Raise `MissingPackageError` with the remedy if parquet files cannot be written."""
    if find_spec("pyarrow") is None:
        raise MissingPackageError("parquet files need the package pyarrow: pip install pyarrow")


def to_parquet(scores: Scores) -> bytes:
    """The records as a parquet file, which needs pyarrow."""
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(records(scores)), sink)
    return sink.getvalue()
