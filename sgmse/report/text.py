"""`Scores` as tables: for the terminal and Markdown, for a paper, for a program, file by file.

A mean stands with half the width of its 95 % bootstrap interval over recordings.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sgmse._files import write_whole
from sgmse.errors import MissingPackageError
from sgmse.metrics.measures import Measure
from sgmse.scoring.intervals import (
    DRAWS,
    LEVEL,
    SEED,
    Difference,
    Interval,
    stars,
)
from sgmse.scoring.provenance import machine, versions
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import checked_baseline, differences, means

FORMAT = 1  # of summary.json
NOTHING = "-"
IDENTITY = ("system", "set", "seed", "name")  # fields of a row, in the order of the columns
FOUND = ("seconds", "sample_rate", "excess", "delay")
EXPLAINED = (
    "Differences over the files that both have, ± half a 95 % bootstrap interval; Wilcoxon signed "
    "rank, not corrected for the number of comparisons: * p < 0.05, ** p < 0.01, *** p < 0.001."
)


def problems(scores: Scores) -> list[str]:
    """What was not scored and why, a line each: "enhanced/007 (STOI, ESTOI): it is silent"."""
    lines = []
    for row in scores.rows:
        reasons: dict[str, list[str]] = {}
        for measure, reason in row.problems.items():
            reasons.setdefault(reason, []).append(measure)
        for reason, names in reasons.items():
            of = "" if len(names) == len(scores.measures) else f" ({', '.join(names)})"
            lines.append(f"{row.system}/{row.name}{of}: {reason}")
    alone = [one for files in scores.unmatched.values() for one in files]
    return lines + list(dict.fromkeys(f"{one.path} {one.reason}" for one in alone))


def notes(scores: Scores) -> list[str]:
    """What was found of lengths and delays, a line each."""
    lines = []
    for system in scores.systems:
        rows = [row for row in scores.of(system) if row.sample_rate and row.values]
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
    if not all(_same_files(scores, measure.name) for measure in scores.measures):
        lines.append("the systems have means over different files; their differences do not")
    return lines


def _same_files(scores: Scores, measure: str) -> bool:
    """Whether all systems have a score of the same recordings."""
    return len({frozenset(scores.values(system, measure)) for system in scores.systems}) == 1


# For people


def summary(scores: Scores, by: Sequence[str] = (), baseline: str | None = None) -> str:
    """Markdown: the table of means, breakdowns by facts, and the differences to the baseline."""
    parts = [markdown_table(["system", *_headers(scores), "files", "problems"], _lines(scores))]
    for fact in by:
        lines = [
            [label or "not known", *line]
            for label in scores.labels(fact)
            for line in _lines(scores.where(fact, label))
        ]
        header = [fact, "system", *_headers(scores), "files", "problems"]
        parts.append(markdown_table(header, lines))
    if len(scores.systems) > 1:
        base = checked_baseline(scores.systems, baseline)
        lines = [
            [system, *(_difference_cell(m, of[m.name]) for m in scores.measures)]
            for system, of in differences(scores, base).items()
        ]
        parts += [markdown_table([f"against {base}", *_headers(scores)], lines), EXPLAINED]
    return "\n\n".join(parts)


def latex(scores: Scores) -> str:
    """A tabular with the rules of the package booktabs.

    The best of several means is bold, if all are over the same files.
    """
    found = means(scores)
    best: dict[str, float] = {}
    for measure in scores.measures:
        if len(scores.systems) > 1 and _same_files(scores, measure.name):
            values = [found[system][measure.name].mean for system in scores.systems]
            best[measure.name] = max(values) if measure.higher_is_better else min(values)
    lines = [
        f"\\begin{{tabular}}{{l{'c' * len(scores.measures)}}}",
        "\\toprule",
        " & ".join(["System", *map(_escaped, _headers(scores))]) + " \\\\",
        "\\midrule",
    ]
    for system in scores.systems:
        cells = [_escaped(system)]
        for m in scores.measures:
            about = found[system][m.name]
            if about.count == 0:
                cells.append("--")
                continue
            mean = f"{about.mean:.{m.digits}f}"
            mean = f"\\mathbf{{{mean}}}" if about.mean == best.get(m.name) else mean
            cells.append(f"${mean} \\pm {about.half_width:.{m.digits}f}$")
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _headers(scores: Scores) -> list[str]:
    return [
        m.name + (f" [{m.unit}]" if m.unit else "") + ("" if m.higher_is_better else " ↓")
        for m in scores.measures
    ]


def _lines(scores: Scores) -> list[list[str]]:
    """A line of cells for each system; the number of files follows a mean over fewer than all."""
    lines = []
    for system, of in means(scores).items():
        rows = scores.of(system)
        bad = len({(row.set, row.name) for row in rows if row.problems})
        count = len({(row.set, row.name) for row in rows})
        cells = [
            _cell(m, of[m.name]) + (f" ({n})" if 0 < (n := of[m.name].count) < count else "")
            for m in scores.measures
        ]
        lines.append([system, *cells, str(count), str(bad)])
    return lines


def _cell(measure: Measure, about: Interval) -> str:
    if about.count == 0:
        return NOTHING
    return f"{about.mean:.{measure.digits}f} ± {about.half_width:.{measure.digits}f}"


def _difference_cell(measure: Measure, about: Difference | None) -> str:
    if about is None:
        return NOTHING
    half = (about.high - about.low) / 2
    cell = f"{about.mean:+.{measure.digits}f} ± {half:.{measure.digits}f}"
    return " ".join([cell, *filter(None, [stars(about.p)])])


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
    text = io.StringIO()
    table = records(scores)
    writer = csv.DictWriter(text, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_json(
    scores: Scores, by: Sequence[str] = (), baseline: str | None = None, command: str = ""
) -> dict[str, Any]:
    """What `summary` says and where it comes from; plain values, None for what is not there."""
    several = len(scores.systems) > 1
    return {
        "format": FORMAT,
        "systems": _plain(means(scores)),
        "baseline": checked_baseline(scores.systems, baseline) if several else None,
        "differences": _plain(differences(scores, baseline)) if several else {},
        "by": {
            fact: {label: _plain(means(scores.where(fact, label))) for label in scores.labels(fact)}
            for fact in by
        },
        "files": {system: len(scores.of(system)) for system in scores.systems},
        "problems": problems(scores),
        "notes": notes(scores),
        "provenance": {
            "command": command,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "machine": machine(),
            "measures": [measure.name for measure in scores.measures],
            "align": scores.align,
            "tolerance": scores.tolerance,
            "bootstrap": {"level": LEVEL, "draws": DRAWS, "seed": SEED},
            "hashes": dict(scores.hashes),
        },
    }


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {
        system: {
            name: None
            if about is None
            else {k: None if v != v else v for k, v in asdict(about).items()}
            for name, about in of.items()
        }
        for system, of in found.items()
    }


def write(
    scores: Scores,
    folder: str | Path,
    *,
    by: Sequence[str] = (),
    baseline: str | None = None,
    command: str = "",
    parquet: bool = False,
) -> Path:
    """Write scores.csv, summary.md, summary.tex and summary.json, and scores.parquet if asked for.

    Each appears whole or not at all, in place of an earlier one. `parquet` needs pyarrow.
    """
    if parquet:
        require_parquet()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    told = to_json(scores, by, baseline, command)
    parts = [summary(scores, by, baseline)]
    for title in ("notes", "problems"):
        if told[title]:
            parts.append(f"{title.capitalize()}:\n\n" + "\n".join(f"- {t}" for t in told[title]))
    parts += [f"`{command}`"] if command else []
    write_whole(target / "scores.csv", to_csv(scores).encode())
    write_whole(target / "summary.md", ("\n\n".join(parts) + "\n").encode())
    write_whole(target / "summary.tex", latex(scores).encode())
    write_whole(
        target / "summary.json",
        (json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(),
    )
    if parquet:
        write_whole(target / "scores.parquet", to_parquet(scores))
    return target


def require_parquet() -> None:
    """Raise `ImportError` with the remedy if parquet files cannot be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "parquet files need the package pyarrow: pip install pyarrow"
        ) from error


def to_parquet(scores: Scores) -> bytes:
    """The records as a parquet file, which needs pyarrow."""
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(records(scores)), sink)
    return sink.getvalue()
