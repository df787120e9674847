"""The curves of a training as a table: a row a step, a column a curve, empty where there is none.

Any program reads it while it grows: `pandas.read_csv("runs/mine/curves.csv", index_col="step")`.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgmse._files import write_whole

CURVES = "curves.csv"
STEP = "step"


class Curves:
    """A table that grows; a row is written at once.

    Args:
        path: of the file, which is made with the first row.
        step: at which a run goes on: what is there of later ones will be written again.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        self.columns: list[str] = [STEP]
        kept = [row for row in self._read() if int(row[STEP]) <= step]
        if path.exists():  # also without what was cut off, or the next row would go on with it
            self._write(kept)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves at a step, by name."""
        row = {STEP: str(step)} | {name: f"{value:.8g}" for name, value in values.items()}
        new = [name for name in row if name not in self.columns]
        if new or not self.path.exists():
            rows = self._read()
            self.columns += new
            self._write([*rows, row])
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)

    def _read(self) -> list[dict[str, str]]:
        """The rows that are there; a last one that was cut off is left out."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes().decode()
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        rows = [row for row in reader if None not in (*row, *row.values())]
        self.columns = list(reader.fieldnames or [STEP])
        return rows

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.path, text.getvalue().encode())
