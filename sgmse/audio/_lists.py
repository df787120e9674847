"""Lists that name recordings: SCP files of Kaldi, audiofolders of Hugging Face `datasets`.

A `.scp` file has a line "ID PATH" for each recording; blank lines and such that start with # say
nothing, a relative path starts at the folder of the list. An audiofolder is a folder with a
metadata.csv or metadata.jsonl whose column `file_name` names its recordings. What is called by an
id has it as its name, without the suffix of a format.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sgmse.audio._info import SUFFIXES
from sgmse.errors import AudioError, DataError

LIST = ".scp"
METADATA = ("metadata.csv", "metadata.jsonl")
FILE_NAME = "file_name"  # the column of metadata that names the file
TABLES = {".parquet", ".arrow"}
ARCHIVED = re.compile(r".+\.ark(:\d+)?(\[.*\])?|.+:\d+")


class _Line(NamedTuple):
    number: int
    name: str
    path: Path


def is_list(path: str | Path) -> bool:
    """Whether that is a .scp file, or a folder with metadata that names its recordings."""
    is_scp = Path(path).suffix.lower() == LIST and isfile(path)  # noqa: PTH113
    return is_scp or metadata_of(path) is not None


def metadata_of(folder: str | Path) -> Path | None:
    """The file that names the recordings of an audiofolder; None where there is none.

    Raises `DataError` for a folder with two.
    """
    found = [path for name in METADATA if _names_files(path := Path(folder, name))]
    if len(found) > 1:
        raise DataError(f"{folder} has both {METADATA[0]} and {METADATA[1]}; remove one of them")
    return found[0] if found else None


def read_list(path: str | Path) -> dict[str, Path]:
    """The recordings of a list by their names, in its order.

    Raises `DataError` for a line that is none, for pipes and archives, for a name that is there
    twice or leads out of a folder, for a file that is not there, for a list without any.
    """
    path = Path(path)
    metadata = metadata_of(path)
    source = path if metadata is None else metadata
    lines = _scp(path) if metadata is None else _audiofolder(metadata)
    first: dict[str, _Line] = {}
    for line in lines:
        where = f"{source}, line {line.number}"
        parts = PurePosixPath(line.name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise DataError(
                f"{where}: {line.name!r} would name a result outside of its folder; use another id"
            )
        if (earlier := first.setdefault(line.name, line)) is not line:
            raise DataError(
                f"{where}: {line.name!r} is named in line {earlier.number} already; give each "
                "recording an id of its own"
            )
    if not first:
        raise DataError(f"{source} names no recordings; it needs a line for each")
    missing = [line for line in first.values() if not line.path.is_file()]
    if missing:
        raise DataError(
            f"{source}, line {missing[0].number}: there is no file {missing[0].path} for "
            f"{missing[0].name!r} ({len(missing)} such); a relative path starts at "
            f"{source.parent}: mend the path or take out the line"
        )
    return {line.name: line.path for line in first.values()}


def read_metadata(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each line of metadata, and its values by column, as text.

    Raises `DataError` for what cannot be read or does not name a file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                table = csv.DictReader(file, restkey="", restval="")
                rows = [(table.line_num, dict(row)) for row in table]
            else:
                lines = enumerate(file, start=1)
                rows = [(number, json.loads(line)) for number, line in lines if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as metadata ({error}); mend it") from error
    for number, row in rows:
        if not isinstance(row, dict) or not isinstance(row.get(FILE_NAME), str):
            raise DataError(f"{path}, line {number}: has no {FILE_NAME!r}; each line must name one")
        yield (
            number,
            {
                str(key): value if isinstance(value, str) else json.dumps(value)
                for key, value in row.items()
                if key
            },
        )


def without_suffix(name: str) -> str:
    """A name without the suffix of a format, if it has one: "a/1.wav" is "a/1", "a.5" stays.

    >>> without_suffix("a/1.wav"), without_suffix("a.5")
    ('a/1', 'a.5')
    """
    path = Path(name)
    has_suffix = path.suffix[1:].lower() in SUFFIXES
    return (path.with_suffix("") if has_suffix else path).as_posix()


def dataset(path: Path) -> AudioError | None:
    """Why a data set of `datasets` that is kept in tables holds no files to read; None if none is.

    That are parquet files, and what `save_to_disk` wrote.
    """
    remedy = (
        "write its recordings to files first, such as soundfile.write(f'{i}.wav', "
        "row['audio']['array'], row['audio']['sampling_rate']) for each row, and name their folder"
    )
    if isfile(path):  # noqa: PTH113
        what = "a table" if path.suffix.lower() in TABLES else ""
    elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        what = "a data set that `save_to_disk` wrote"
    else:
        parquet = any(next(path.glob(pattern), None) for pattern in ("*.parquet", "*/*.parquet"))
        what = "a data set of parquet files" if parquet else ""
    return AudioError(path, f"is {what} of Hugging Face datasets", remedy) if what else None


def _scp(path: Path) -> Iterator[_Line]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list ({error}); mend it") from error
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.split(maxsplit=1)
        if not parts or parts[0].startswith("#"):
            continue
        where = f"{path}, line {number}"
        if len(parts) < 2:
            raise DataError(f"{where}: {line.strip()!r} has no path; it needs an id and a path")
        name, place = parts[0], parts[1].strip()
        if place.endswith("|"):
            raise DataError(
                f"{where}: {place!r} is a command, and none in a list is run; write what it makes "
                "to a file, and name that"
            )
        if ARCHIVED.fullmatch(place) and not (path.parent / place).is_file():
            raise DataError(
                f"{where}: {place!r} is a place in an archive, which is not read; write its "
                "recordings to files, and name these"
            )
        yield _Line(number, without_suffix(name), path.parent / place)


def _audiofolder(path: Path) -> Iterator[_Line]:
    for number, row in read_metadata(path):
        name = row[FILE_NAME]
        yield _Line(number, without_suffix(name), path.parent / name)


def _names_files(metadata: Path) -> bool:
    """Whether a file is metadata of an audiofolder, by its first line."""
    with suppress(OSError, ValueError, csv.Error):
        if not metadata.is_file():
            return False
        with metadata.open(encoding="utf-8-sig", newline="") as file:
            if metadata.suffix == ".csv":
                return FILE_NAME in next(csv.reader(file), [])
            first: object = json.loads(next(filter(str.strip, file), "null"))
            return isinstance(first, Mapping) and FILE_NAME in first
    return False
