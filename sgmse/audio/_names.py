"""Where results go: refused before any work is done."""

import os
from pathlib import Path

from sgmse._files import LONGEST_NAME
from sgmse.audio._sources import refuse_url
from sgmse.errors import AudioError


def beside(source: Path, suffix: str | None = None, ending: str = "enhanced") -> Path:
    """`<name>_enhanced`, or another ending, beside a file, with its own suffix or another one.

    >>> beside(Path("talk.wav"), "flac").name
    'talk_enhanced.flac'
    """
    dotted = source.suffix if suffix is None else f".{suffix.lower().removeprefix('.')}"
    return source.with_name(f"{source.stem}_{ending}{dotted}")


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """Refuse, with `AudioError`, a target that is the source, a folder, or there already.

    Also one whose name is too long for a file system, whose folder cannot be written to, or that is
    a URL. `source` is None where it is no file.
    """
    refuse_url(target)
    _check_length(target)
    if not target.exists():
        _check_folder(target)
        return
    if source is not None and source.exists() and target.samefile(source):
        raise AudioError(target, "is the input itself", "choose another name")
    if target.is_dir():
        raise AudioError(target, "is a folder", "name a file in it")
    if not overwrite:
        remedy = "use --overwrite (overwrite=True) or choose another name"
        raise AudioError(target, "exists already", remedy)
    _check_folder(target)


def _check_length(target: Path) -> None:
    for part in target.parts:
        if (count := len(os.fsencode(part))) > LONGEST_NAME:
            problem = f"a name of {count} bytes, and files take {LONGEST_NAME}"
            raise AudioError(target, problem, "choose a shorter one with -o")


def _check_folder(target: Path) -> None:
    folder = next(place for place in target.absolute().parents if place.exists())
    if not folder.is_dir():
        raise AudioError(folder, "is no folder", f"choose another place than {target}")
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "check its permissions, or choose another folder with -o"
        raise AudioError(folder, "cannot be written to", remedy)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises `AudioError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot be made ({error.strerror})"
        raise AudioError(folder, why, "choose another folder") from error
