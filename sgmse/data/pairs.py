"""Which recordings belong together: the clean one, what a system made of it, and the noisy one.

Recordings are matched by their names, which are their places below their folder without the suffix:
clean/a/1.wav belongs to enhanced/a/1.flac. What has no partner there is matched by the last part of
its name, wherever it lies, if both folders hold that once: clean/1.wav belongs to
enhanced/out/1.opus. What is left is listed (`match`) or refused (`match_all`). A recording in a
list (`sgmse.audio.listed`) has its id as its name.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sgmse import audio
from sgmse.errors import DataError

INDEX = "index.csv"
NAME = "name"  # the column of an index that names the recording

Facts = Mapping[str, str]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Pair:
    """Recordings that belong together.

    Args:
        name: the place of the clean file in its folder without the suffix, "speaker/007".
        clean: the reference; None where there is none.
        enhanced: what is scored.
        noisy: what it was made of, if known.
        facts: what an index says of the recording, such as {"snr_db": "2.5"}.
    """

    name: str
    clean: Path | None
    enhanced: Path
    noisy: Path | None = None
    facts: Facts = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        """Those that there are, by role."""
        roles = {"clean": self.clean, "enhanced": self.enhanced, "noisy": self.noisy}
        return {role: path for role, path in roles.items() if path is not None}


@dataclass(frozen=True)
class Unmatched:
    """A file without a partner, and why that matters."""

    path: Path
    reason: str


def recordings(folder: str | Path, remedy: str = "check the spelling") -> list[Path]:
    """The recordings below a folder to any depth, sorted, or of a list, or the one file.

    Raises `DataError`, with the remedy, for a folder that is not there and a list that cannot be
    used, `AudioError` for one without recordings.
    """
    if not Path(folder).exists():
        raise DataError(f"there is no folder {folder}; {remedy}")
    return audio.find([folder], recursive=True)


def recordings_by_name(folder: str | Path, remedy: str = "check the spelling") -> dict[str, Path]:
    """The same by name, sorted. Raises `DataError` for twins such as a.wav and a.flac, too."""
    if (named := audio.listed(folder)) is not None:
        return dict(sorted(named.items()))
    files = recordings(folder, remedy)
    root = Path(folder).parent if Path(folder).is_file() else folder
    named = {}
    for path in files:
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in named:
            raise DataError(
                f"{named[name]} and {path} differ in their suffixes alone; remove or rename one"
            )
        named[name] = path
    return dict(sorted(named.items()))


def match(
    clean: str | Path,
    enhanced: str | Path,
    noisy: str | Path | None = None,
    facts: Mapping[str, Facts] | None = None,
) -> tuple[list[Pair], list[Unmatched]]:
    """The pairs of two folders, sorted by name, and the files that belong to none.

    Two files instead of two folders are a pair, whatever their names. A pair whose noisy file is
    absent stays a pair. Lists say what is meant: where both are some, they must name the same.

    Args:
        clean, enhanced, noisy: folders, looked into to any depth, lists, or files.
        facts: by name, as `read_index` gives them.

    Raises:
        DataError: a folder that does not exist, two files of one folder that differ in nothing but
            their suffix, nothing that matches, an id that one of two lists lacks.
        AudioError: a folder without recordings.
    """
    references, results = recordings_by_name(clean), recordings_by_name(enhanced)
    sources = {} if noisy is None else recordings_by_name(noisy)
    if all(path is None or is_one(path) for path in (clean, enhanced, noisy)):
        results, sources = (
            dict(zip(references, files.values(), strict=False)) for files in (results, sources)
        )
    partners = match_names(references, results)
    if not partners:
        raise DataError(
            f"no recording in {enhanced} has the name of one in {clean}, such as "
            f"{next(iter(references))!r}; results must keep the names of their inputs"
        )
    inputs = {name: sources[other] for name, other in match_names(references, sources).items()}
    _refuse_lacking(enhanced, clean, references.keys() - partners.keys())
    _refuse_lacking(clean, enhanced, results.keys() - set(partners.values()))
    if noisy is not None:
        _refuse_lacking(noisy, clean, partners.keys() - inputs.keys())
    facts_of = _facts_by_name(partners, facts or {})
    pairs = [
        Pair(name, references[name], results[other], inputs.get(name), facts_of.get(name, {}))
        for name, other in sorted(partners.items())
    ]
    groups = [(references, set(partners), enhanced), (results, set(partners.values()), clean)]
    if noisy is not None:
        groups.append(({name: references[name] for name in partners}, set(inputs), noisy))
    unmatched = [
        Unmatched(path, f"has no partner in {folder}")
        for files, matched, folder in groups
        for name, path in files.items()
        if name not in matched
    ]
    return pairs, unmatched


def is_one(path: str | Path) -> bool:
    """Whether that is one recording, and no folder or list of some."""
    return Path(path).is_file() and not audio.is_list(path)


def _refuse_lacking(lacking: str | Path, other: str | Path, names: Iterable[str]) -> None:
    """Raise `DataError` if those are names of a list that another list lacks."""
    if (lost := sorted(names)) and audio.is_list(lacking) and audio.is_list(other):
        raise DataError(
            f"{lacking} lacks {lost[0]!r} of {other} ({len(lost)} such); add a line to the one "
            "list, or take it out of the other"
        )


def match_all(
    clean: Mapping[str, Path], noisy: Mapping[str, Path], facts: Mapping[str, Facts] | None = None
) -> list[Pair]:
    """The pairs of recordings by name, sorted; what is scored of a pair is the noisy one.

    Raises `DataError` for a recording without a partner.
    """
    partners = match_names(clean, noisy)
    alone = [clean[name] for name in clean if name not in partners]
    alone += [noisy[name] for name in sorted(noisy.keys() - set(partners.values()))]
    if alone:
        raise DataError(
            f"{alone[0]} has no partner ({len(alone)} such); give clean and noisy files (in lists, "
            "their ids) one name, or move them away"
        )
    facts_of = _facts_by_name(partners, facts or {})
    return [
        Pair(name, clean[name], noisy[other], noisy[other], facts_of.get(name, {}))
        for name, other in sorted(partners.items())
    ]


def evenly_spaced(items: Sequence[Item], count: int | None) -> list[Item]:
    """`count` of the items, the first of each of as many equal parts; all if absent or too many.

    >>> evenly_spaced("abcdef", 3)
    ['a', 'c', 'e']
    """
    count = len(items) if count is None else min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def find_index(clean: str | Path) -> Path | None:
    """The index.csv of a set, in the clean folder or beside it; None where none names recordings.

    Else the metadata of a clean folder that is an audiofolder. A file of that name without a
    column `name` is something else.
    """
    folder = Path(clean)
    places = [folder / INDEX, folder.absolute().parent / INDEX]
    found = (place for place in places if place.is_file() and NAME in _header(place))
    return next(found, None) or audio.metadata_of(folder)


def facts_beside(clean: str | Path) -> dict[str, Facts]:
    """What the index of a set says, by name; nothing where there is none. Raises `DataError`."""
    index = find_index(clean)
    return {} if index is None else read_index(index)


def read_index(path: str | Path) -> dict[str, Facts]:
    """What an index says, by name: {"007": {"snr_db": "2.5", ...}}; values stay text.

    Shape: a CSV file with a header; the column `name` names the recording, with or without a
    suffix. In the metadata of an audiofolder that is `file_name`. Raises `DataError`
    for a file that cannot be read, has no such column or names a recording twice.
    """
    path = Path(path)
    if audio.metadata_of(path.parent) == path:
        return _by_name(path, (row for _, row in audio.read_metadata(path)), audio.FILE_NAME)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restkey="", restval="")
            if NAME not in (table.fieldnames or ()):
                raise DataError(f"{path} has no column {NAME!r}; it must name the recordings")
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as an index ({error})") from error
    return _by_name(path, rows, NAME)


def _by_name(path: Path, rows: Iterable[Facts], column: str) -> dict[str, Facts]:
    """The other columns of an index by the one that names the recordings."""
    facts: dict[str, Facts] = {}
    for row in rows:
        name = audio.without_suffix(row[column])
        if name in facts:
            raise DataError(f"{path} names {name!r} twice; a recording has one line")
        facts[name] = {key: value for key, value in row.items() if key and key != column}
    return facts


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def match_names(left: Iterable[str], right: Iterable[str]) -> dict[str, str]:
    """left -> right: the same place, else the same name if it is the only one on both sides."""
    left, right = list(left), set(right)
    partners = {name: name for name in left if name in right}
    counts = [Counter(map(_last, names)) for names in (left, right)]
    rest = {_last(name): name for name in right - partners.keys()}
    for name in left:
        last = _last(name)
        once = all(count[last] == 1 for count in counts)
        if name not in partners and once and last in rest:
            partners[name] = rest[last]
    return partners


def _facts_by_name(names: Iterable[str], facts: Mapping[str, Facts]) -> dict[str, Facts]:
    return {name: facts[other] for name, other in match_names(names, facts).items()}


def _last(name: str) -> str:
    return name.rpartition("/")[2]
