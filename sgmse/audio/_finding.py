"""Which recordings names mean: files, folders, patterns and lists.

Of a folder, what is hidden is left out, and what a system keeps there for itself; links are
followed; what is left out although it may be meant is said.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from glob import escape, glob, has_magic
from os.path import isdir, isfile
from pathlib import Path

from sgmse.audio import _media
from sgmse.audio._info import FOREIGN, SUFFIXES
from sgmse.audio._lists import LIST, dataset, is_list, metadata_of, read_list
from sgmse.audio._sources import refuse_url
from sgmse.errors import AudioError, RecordingWarning

#: What operating systems, archives and storage devices keep beside the files of a user.
SYSTEM = {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir"}

#: Names of other formats that hold sound, which a folder is not searched for.
OTHER = {"mp1", "mp2", "mpa", "mpga", "mpg", "mpeg", "mts", "m2ts", "vob", "flv"}
OTHER |= {"f4v", "ogv", "ape", "wv", "tta", "dts", "mpc", "spx", "ra"}


def find(paths: Iterable[str | Path], recursive: bool = False) -> list[Path]:
    """The files that `paths` mean, in the order given, sorted within each, none twice.

    A file is itself, whatever its suffix. A folder means the audio files in it (by `SUFFIXES`),
    with `recursive` also those in the folders below; hidden files and folders are left out, links
    are followed. A list, a .scp file or a folder with metadata.csv, means those that it names (see
    `listed`). A pattern (*, ?, [], **) means the audio files and folders that match, for shells
    that do not expand it. A name that does not exist is kept: reading it gives its `AudioError`
    while the other files are still done.

    Raises:
        AudioError: a pattern without a match, a folder without audio.
        DataError: a list with a line that cannot be used.

    Warns:
        RecordingWarning: what may be meant and is left out, as `look` says.
    """
    files: list[Path] = []
    for path in paths:
        found, left_out = look(path, recursive)
        files += found
        for problem in left_out:
            warnings.warn(str(problem), RecordingWarning, stacklevel=2)
    return list({Path(os.path.realpath(file)): file for file in files}.values())


def look(path: str | Path, recursive: bool = False) -> tuple[list[Path], list[AudioError]]:
    """The files that one path means, as `find` says, and why what else is there is left out.

    That are folders that cannot be looked into, links to nothing, what is named like audio and is
    no regular file, and files of formats that cannot be read, an error for all of a format.

    Raises `AudioError` where nothing is found, `DataError` for a list that cannot be used.
    """
    refuse_url(path)
    path = Path(path)
    if (named := listed(path)) is not None:
        return list(named.values()), []
    if isfile(path) and (problem := dataset(path)):  # noqa: PTH113
        raise problem
    if path.is_dir():
        entries, problems = _inside(path, recursive)
    elif path.exists() or not has_magic(str(path)):
        return [path], []
    else:
        entries, problems = _matching(path, recursive)
    files, left_out = _sorted_out(path, entries)
    problems += left_out
    if not files:
        nothing = AudioError(path, "no audio files there", _elsewhere(path, recursive))
        raise problems[0] if problems else dataset(path) or nothing
    return files, problems


def unsearched(path: str | Path) -> list[Path]:
    """The folders right inside a folder with recordings in them, which are left out of it.

    None of what is no folder, of a list, and of what cannot be looked into.
    """
    if not isdir(path) or is_list(path):  # noqa: PTH112
        return []
    try:
        entries = [entry for entry in Path(path).iterdir() if entry.is_dir()]
    except OSError:
        return []
    seen = [entry for entry in entries if entry.name[0] != "." and entry.name not in SYSTEM]
    return sorted(folder for folder in seen if any(map(_is_named_so, _inside(folder, False)[0])))


def _is_named_so(entry: Path) -> bool:
    return entry.suffix[1:].lower() in SUFFIXES


def listed(path: str | Path) -> dict[str, Path] | None:
    """The recordings of a list by their names, in its order; None for what is none.

    A list is a .scp file, with a line "ID PATH" for each recording, or a folder with a metadata.csv
    or metadata.jsonl with a column `file_name` (an audiofolder of Hugging Face `datasets`). The id,
    or the place in the folder, without the suffix of a format is the name.

    Raises:
        DataError: a line that cannot be used, as `read_list` says.

    Warns:
        RecordingWarning: recordings of an audiofolder that its metadata do not name.
    """
    if not is_list(path):
        return None
    named = read_list(path)
    if (metadata := metadata_of(path)) is not None:
        known = set(named.values())
        places = [entry for folder in {file.parent for file in known} for entry in folder.iterdir()]
        sounds = [e for e in places if e.suffix[1:].lower() in SUFFIXES and e.name[0] != "."]
        others = set(sounds) - known
        if others:
            warnings.warn(
                f"{metadata}: does not name {len(others)} recordings beside those that it names, "
                f"such as {min(others).name}, which are left out",
                RecordingWarning,
                stacklevel=2,
            )
    return named


def _elsewhere(path: Path, recursive: bool) -> str:
    """Where to look after nothing was found."""
    if path.is_dir() and (lists := sorted(path.glob(f"*{LIST}"))):
        return f"name the list that is there, {lists[0]}"
    remedy = "name another one" if path.is_dir() else "check the folder and the suffix"
    folders = filter(isdir, [path] if path.is_dir() else glob(str(path)))  # noqa: PTH207
    deeper = not recursive and any(entry.is_dir() for f in folders for entry in Path(f).glob("*"))
    return remedy + ", or look into subfolders too (--recursive)" * deeper


def _matching(pattern: Path, recursive: bool) -> tuple[list[Path], list[AudioError]]:
    """What matches and is no folder, what is in folders that match, and what cannot be seen."""
    entries: list[Path] = []
    problems: list[AudioError] = []
    for match in sorted(_expanded(pattern)):
        if SYSTEM & set(match.parts) - set(pattern.parts):
            continue
        inside = [match]
        if match.is_dir():
            inside, left_out = _inside(match, recursive)
            problems += left_out
        entries += inside
    return list(dict.fromkeys(entries)), problems


def _expanded(pattern: Path) -> Iterator[Path]:
    """As `glob`, but ** does not go round where links do."""
    parts = pattern.parts
    if "**" not in parts:
        yield from map(Path, glob(str(pattern)))  # noqa: PTH207
        return
    at = parts.index("**")
    for start in glob(str(Path(*parts[:at]))) if at else [""]:  # noqa: PTH207
        for folder, _ in _walk(Path(start), recursive=True):
            if rest := parts[at + 1 :]:
                yield from _expanded(Path(escape(str(folder)), *rest))
            else:
                yield folder


def _inside(folder: Path, recursive: bool) -> tuple[list[Path], list[AudioError]]:
    """What is in a folder and is none, sorted, and the folders that cannot be looked into."""
    entries: list[Path] = []
    problems: list[AudioError] = []
    for place, found in _walk(folder, recursive):
        if isinstance(found, OSError):
            why = f"cannot be looked into ({found.strerror})"
            problems.append(AudioError(place, why, "check its permissions"))
        else:
            entries += found
    return sorted(entries), problems


def _walk(folder: Path, recursive: bool) -> Iterator[tuple[Path, list[Path] | OSError]]:
    """A folder and those below it with what is in each and is none, or why it cannot be seen.

    Links to folders come last, so that what can be reached in several ways has its own place; one
    to a folder that holds this one is a loop.
    """
    seen = set(Path(os.path.realpath(folder)).parents)
    places, links = [folder], list[Path]()
    while places or links:
        place = (places or links).pop()
        if Path(os.path.realpath(place)) in seen:
            continue
        seen.add(Path(os.path.realpath(place)))
        entries: list[Path] = []
        try:
            for entry in place.iterdir():
                if entry.name.startswith(".") or entry.name in SYSTEM:
                    continue
                if not entry.is_dir():
                    entries.append(entry)
                elif recursive:
                    (links if entry.is_symlink() else places).append(entry)
        except OSError as error:
            yield place, error
        else:
            yield place, entries


def _sorted_out(path: Path, entries: Iterable[Path]) -> tuple[list[Path], list[AudioError]]:
    """Those that are audio files, and why others are left out that are named like some."""
    files: list[Path] = []
    problems: list[AudioError] = []
    foreign: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for entry in entries:
        suffix = entry.suffix[1:].lower()
        if suffix in OTHER:
            other[suffix] += 1
        if suffix not in SUFFIXES:
            continue
        if problem := _no_file(entry):
            problems.append(problem)
        elif suffix not in FOREIGN or _media.is_installed():
            files.append(entry)
        else:
            foreign[suffix] += 1
    return files, [*problems, *_unreadable(path, foreign), *_unsought(path, other)]


def _no_file(entry: Path) -> AudioError | None:
    try:
        if entry.is_file():
            return None
        if entry.is_symlink() and not entry.exists():
            return AudioError(entry, "is a link to nothing", "mend or remove it")
    except OSError as error:
        return AudioError(entry, f"cannot be read ({error.strerror})", "check its permissions")
    return AudioError(entry, "is not a regular file", "name a file with sound in it")


def _unsought(path: Path, counts: Counter[str]) -> Iterator[AudioError]:
    for suffix, count in sorted(counts.items()):
        number = f"{count} files of {suffix} are" if count > 1 else f"a file of {suffix} is"
        remedy = "name each by itself, or convert it to wav or m4a"
        yield AudioError(path, f"{number} left out", remedy)


def _unreadable(path: Path, counts: Counter[str]) -> Iterator[AudioError]:
    for suffix, count in sorted(counts.items()):
        number = f"{count} files of {suffix} need" if count > 1 else f"a file of {suffix} needs"
        yield AudioError(path, f"{number} the package 'av'", "pip install 'sgmse-toolkit[media]'")
