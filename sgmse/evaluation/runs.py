"""What each enhanced file of a benchmark took, one a line of JSON: what an interrupted one goes on
from.

A line that was not written to its end is not read. The last line of a key counts.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from sgmse.evaluation.journal import Key


@dataclass(frozen=True)
class Run:
    """A recording that went through a system.

    Args:
        set, system, seed, name: which; the seed is None for a system that draws nothing.
        fingerprint: of all that the enhanced file depends on.
        digest: of the enhanced file; "" where there is none.
        duration: of the recording, in seconds.
        seconds: that enhancing took, without reading, writing and loading.
        evaluations: of the network that refines, for each piece of the recording; None where they
            are not counted.
        memory: bytes that the process held at most until then; None where that is not known.
        problem: why there is no enhanced file.
    """

    set: str
    system: str
    seed: int | None
    name: str
    fingerprint: str
    digest: str = ""
    duration: float = 0.0
    seconds: float = 0.0
    evaluations: float | None = None
    memory: int | None = None
    problem: str = ""

    @property
    def key(self) -> Key:
        """What no other run of a benchmark has."""
        return self.set, self.system, self.seed, self.name


@dataclass(frozen=True)
class Costs:
    """Of a system: seconds for a second of audio, evaluations of its network, bytes of memory."""

    real_time_factor: float | None
    evaluations: float | None
    memory: int | None


def costs(runs: Iterable[Run]) -> Costs:
    """Over the runs that made a file: their mean times and evaluations, and their most memory."""
    made = [run for run in runs if not run.problem]
    audio = sum(run.duration for run in made)
    counts = [run.evaluations for run in made if run.evaluations is not None]
    return Costs(
        sum(run.seconds for run in made) / audio if audio else None,
        sum(counts) / len(counts) if counts else None,
        max((run.memory for run in made if run.memory is not None), default=None),
    )


class RunJournal:
    """A file of runs that grows; opened with `with`, read at once.

    Raises `ValueError` if the file exists and is no such journal.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.runs = {run.key: run for run in _read(self.path)}

    def __enter__(self) -> "RunJournal":
        self._file: IO[str] = self.path.open("a", encoding="utf-8")
        if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # the end of a line that was cut off
        return self

    def write(self, run: Run) -> None:
        """Append a run; it survives the end of this process."""
        self.runs[run.key] = run
        self._file.write(json.dumps(asdict(run)) + "\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _read(path: Path) -> list[Run]:
    if not path.exists():
        return []
    names = {f.name for f in fields(Run)}
    runs: list[Run] = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if isinstance(values, dict) and values.keys() == names:
            runs.append(Run(**values))
        elif line and number == 0 and len(lines) > 1:
            raise ValueError(f"{path} holds no runs; name another folder, or remove it")
    return runs
