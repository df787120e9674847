"""Scores back from the CSV file that `to_csv` made of them."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sgmse.errors import ArgumentError
from sgmse.metrics.measures import MEASURES, Measure, select
from sgmse.report.text import FOUND, IDENTITY
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores

PROBLEMS = "problems"
INVERTED = "inverted"  # a column that older files lack


def from_csv(content: str, measures: Sequence[str | Measure] | None = None, **about: Any) -> Scores:
    """Scores of a scores.csv, so that their tables can be made, and made anew, by anyone.

        scores = from_csv(Path("scores.csv").read_text("utf-8"))
        print(summary(Table(scores, "noisy"), by=["snr_db"]))

    Args:
        content: of the file.
        measures: its columns that are measures, names or, for measures of one's own, themselves; if
            absent those of the names of `sgmse.metrics.measures`.
        about: what else `Scores` has and the file does not.

    Raises `ArgumentError` for what is no such file, and for measures that it lacks.
    """
    reader = csv.DictReader(io.StringIO(content, newline=""))
    columns = list(reader.fieldnames or ())
    needed = {*IDENTITY, *FOUND, PROBLEMS} - {INVERTED}
    if lacking := [name for name in (*IDENTITY, *FOUND, PROBLEMS) if name in needed - {*columns}]:
        raise ArgumentError(f"this is no scores.csv: it has no column {lacking[0]!r}")
    if measures is None:
        measures = [measure for measure in MEASURES if measure.name in columns]
    known = select(measures)
    if lacking := [measure.name for measure in known if measure.name not in columns]:
        raise ArgumentError(f"the scores have no column {lacking[0]!r}; they have {columns}")
    names = [measure.name for measure in known]
    taken = {*IDENTITY, *FOUND, PROBLEMS, *names}
    facts = {c: c.removeprefix("index_") for c in columns if c not in taken}
    facts = {c: fact if fact in taken else c for c, fact in facts.items()}
    try:
        rows = tuple(_row(record, names, facts) for record in reader)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"line {reader.line_num} is none of a scores.csv: {error}") from error
    return Scores(rows, known, **about)


def _row(record: Mapping[str, str], names: Sequence[str], facts: Mapping[str, str]) -> Row:
    starts = "|".join(map(re.escape, names))
    parts = re.split(rf"(?:^|; )({starts}): ", record[PROBLEMS])[1:]
    return Row(
        record["name"],
        record["system"],
        record["set"],
        int(record["seed"]) if record["seed"] else None,
        {name: float(record[name]) if record[name] else None for name in names},
        dict(zip(parts[::2], parts[1::2], strict=True)),
        {fact: record[column] for column, fact in facts.items() if record[column]},
        float(record["seconds"]),
        int(record["sample_rate"]),
        int(record["excess"]),
        int(record["delay"]) if record["delay"] else None,
        record.get(INVERTED) == "True",
    )
