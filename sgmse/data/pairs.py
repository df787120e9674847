"""Which files belong together: a clean recording, what a system made of it, and the noisy one.

Files are matched by their place below their folder, without the suffix: clean/a/1.wav belongs to
enhanced/a/1.flac. What has no partner there is matched by its name alone, wherever it lies, if both
folders hold that name once: clean/1.wav belongs to enhanced/out/1.opus. What is left is listed.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgmse import audio
from sgmse.errors import ArgumentError

INDEX = "index.csv"
NAME = "name"  # the column of an index that names the file


@dataclass(frozen=True)
class Pair:
    """Files that belong together.

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
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unmatched:
    """A file without a partner, and why that matters."""

    path: Path
    reason: str


def match(
    clean: str | Path,
    enhanced: str | Path,
    noisy: str | Path | None = None,
    facts: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[list[Pair], list[Unmatched]]:
    """The pairs of two folders, sorted by name, and the files that belong to none.

    Two files instead of two folders are a pair, whatever their names. A pair whose noisy file is
    absent stays a pair.

    Args:
        clean, enhanced, noisy: folders, looked into to any depth, or files.
        facts: by name, as `read_index` gives them.

    Raises:
        ValueError: a folder that does not exist or holds no audio, two files of one folder that
            differ in nothing but their suffix, nothing that matches.
    """
    left, right = recordings(clean), recordings(enhanced)
    beside = {} if noisy is None else recordings(noisy)
    if all(path is None or Path(path).is_file() for path in (clean, enhanced, noisy)):
        right, beside = (dict(zip(left, files.values(), strict=False)) for files in (right, beside))
    partners = match_names(left, right)
    if not partners:
        raise ArgumentError(
            f"no recording in {enhanced} has the name of one in {clean}, such as "
            f"{next(iter(left))!r}; results must keep the names of their inputs"
        )
    noises = {name: beside[other] for name, other in match_names(left, beside).items()}
    about = _facts_by_name(partners, facts or {})
    pairs = [
        Pair(name, left[name], right[other], noises.get(name), about.get(name, {}))
        for name, other in sorted(partners.items())
    ]
    alone = [
        *(Unmatched(left[n], f"has no partner in {enhanced}") for n in left if n not in partners),
        *(
            Unmatched(right[n], f"has no partner in {clean}")
            for n in sorted(right.keys() - set(partners.values()))
        ),
    ]
    if noisy is not None:
        alone += [
            Unmatched(left[n], f"has no partner in {noisy}") for n in partners if n not in noises
        ]
    return pairs, alone


def recordings(folder: str | Path) -> dict[str, Path]:
    """The recordings below a folder, or the one file, by their places without suffix, sorted.

    Raises `ValueError` for a folder without recordings and for twins such as a.wav and a.flac.
    """
    root = Path(folder)
    if root.is_file():
        return {root.stem: root}
    if not root.is_dir():
        raise ArgumentError(f"there is no folder {root}; check the spelling")
    found: dict[str, Path] = {}
    for path in audio.find([root], recursive=True):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise ArgumentError(
                f"{found[name]} and {path} differ in their suffixes alone; remove or rename one"
            )
        found[name] = path
    return dict(sorted(found.items()))


def find_index(clean: str | Path) -> Path | None:
    """The index.csv of a set, in the clean folder or beside it; None where none names recordings.

    A file of that name without a column `name` is something else.
    """
    folder = Path(clean)
    places = [folder / INDEX, folder.absolute().parent / INDEX]
    return next((place for place in places if place.is_file() and NAME in _header(place)), None)


def read_index(path: str | Path) -> dict[str, dict[str, str]]:
    """What an index says, by name: {"007": {"snr_db": "2.5", ...}}; values stay text.

    Shape: a CSV file with a header; the column `name` names the recording, with or without a
    suffix. Raises `ValueError` for a file that cannot be read, has no such column or names a
    recording twice.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restkey="", restval="")
            if NAME not in (table.fieldnames or ()):
                raise ArgumentError(f"{path} has no column {NAME!r}; it must name the recordings")
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArgumentError(f"{path} cannot be read as an index ({error})") from error
    facts: dict[str, dict[str, str]] = {}
    for row in rows:
        name = _without_suffix(row[NAME])
        if name in facts:
            raise ArgumentError(f"{path} names {name!r} twice; a recording has one line")
        facts[name] = {key: value for key, value in row.items() if key and key != NAME}
    return facts


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _without_suffix(name: str) -> str:
    path = Path(name)
    known = path.suffix[1:].lower() in audio.SUFFIXES
    return (path.with_suffix("") if known else path).as_posix()


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


def _facts_by_name(
    names: Iterable[str], facts: Mapping[str, Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    return {name: facts[other] for name, other in match_names(names, facts).items()}


def _last(name: str) -> str:
    return name.rpartition("/")[2]
