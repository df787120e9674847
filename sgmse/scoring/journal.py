"""What is done, one a line of JSON, and what an interrupted work goes on from: rows of a table.

A line that was not written to its end is not read. The last line of a key counts. What an older
version did not write has its default.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, Self, TypeVar

from sgmse.errors import ArgumentError

Key = tuple[str, str, int | None, str]  # set, system, seed, name
Recording = tuple[str, str]  # set, name


@dataclass(frozen=True)
class Row:
    """The scores of one file of one system.

    Args:
        name: of the recording, its place in the folder without the suffix.
        system: what made the enhanced file.
        set: of recordings; "" where there is only one.
        seed: of the system; None where it draws nothing or is not known.
        values: by measure name; None where there is a problem.
        problems: why there is no value, by measure name.
        facts: what is known of the recording, such as {"snr_db": "2.5"}.
        seconds: of audio.
        sample_rate: in Hz, of the clean file.
        excess: samples that the enhanced file was longer, before trimming.
        delay: samples by which it is late; None where that cannot be said.
        inverted: whether its polarity is the other one, as far as that can be said.
        fingerprint: of all that the values depend on but the measure.
    """

    name: str
    system: str
    set: str = ""
    seed: int | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sample_rate: int = 0
    excess: int = 0
    delay: int | None = None
    inverted: bool = False
    fingerprint: str = ""

    @property
    def key(self) -> Key:
        """What no other row of a table has."""
        return self.set, self.system, self.seed, self.name

    @property
    def recording(self) -> Recording:
        """What it is a row of, whatever the system and seed."""
        return self.set, self.name


class Entry(Protocol):
    """A frozen dataclass of plain values with a key that no other of a journal has."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> Key: ...  # noqa: D102


E = TypeVar("E", bound=Entry)


class Journal(Generic[E]):
    """A file that grows; opened with `with`, read at once.

    Args:
        path: of the file.
        kind: the class of the entries.

    Raises `ArgumentError` if the file exists and is no journal of them.
    """

    def __init__(self, path: str | Path, kind: type[E]) -> None:
        self.path = Path(path)
        self.entries: dict[Key, E] = {entry.key: entry for entry in _entries(self.path, kind)}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = self.path.open("a", encoding="utf-8")
        if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # the end of a line that was cut off
        return self

    def write(self, entry: E) -> None:
        """Append an entry; it survives the end of this process."""
        self.entries[entry.key] = entry
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _entries(path: Path, kind: type[E]) -> list[E]:
    if not path.exists():
        return []
    names = {f.name for f in fields(kind)}
    needed = {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}
    entries: list[E] = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines):
        values = _parsed(line)
        if values is not None and needed <= values.keys() <= names:
            entries.append(kind(**values))
        elif line and number == 0 and len(lines) > 1:
            name = kind.__name__.lower()
            raise ArgumentError(f"{path} holds no {name}s; name another folder, or remove it")
    return entries


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
