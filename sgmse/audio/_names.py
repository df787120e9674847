"""Which recordings names mean, and where results go: refused before any work is done."""

from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from sgmse.audio._reading import SUFFIXES
from sgmse.errors import AudioError


def find(paths: Iterable[str | Path], recursive: bool = False) -> list[Path]:
    """The files that `paths` mean, in the order given, sorted within each, none twice.

    A file is itself, whatever its suffix. A folder means the audio files in it (by `SUFFIXES`;
    hidden ones left out), with `recursive` also those in the folders below. A pattern (*, ?, [],
    **) means the audio files and folders that match, for shells that do not expand it. A name that
    does not exist is kept: reading it gives its `AudioError` while the other files are still done.
    Raises `AudioError` for a pattern without a match and for a folder without audio.
    """
    files = (file for path in paths for file in _meant(Path(path), recursive))
    return list({file.resolve(): file for file in files}.values())


def _meant(path: Path, recursive: bool) -> list[Path]:
    if path.is_dir():
        files = _inside(path, recursive)
        remedy = "name another one, or look into its subfolders too"
    elif path.exists() or not has_magic(str(path)):
        return [path]
    else:
        matches = [Path(match) for match in sorted(glob(str(path), recursive=True))]  # noqa: PTH207
        files = [f for m in matches for f in _inside(m, recursive) or filter(_is_audio, [m])]
        remedy = "check the folder and the suffix"
    if not files:
        raise AudioError(path, "no audio files there", remedy)
    return files


def _inside(folder: Path, recursive: bool) -> list[Path]:
    """The audio files of a folder; none for what is no folder."""
    entries = folder.glob("**/*" if recursive else "*") if folder.is_dir() else ()
    return sorted(filter(_is_audio, entries))


def _is_audio(path: Path) -> bool:
    return path.suffix[1:].lower() in SUFFIXES and path.name[0] != "." and path.is_file()


def beside(source: Path, suffix: str | None = None) -> Path:
    """`<name>_enhanced` beside a file, with its own suffix or another one."""
    ending = source.suffix if suffix is None else f".{suffix.lower().removeprefix('.')}"
    return source.with_name(f"{source.stem}_enhanced{ending}")


def check_target(target: Path, source: Path, overwrite: bool) -> None:
    """Refuse, with `AudioError`, a target that is the source, a folder, or there already."""
    if not target.exists():
        return
    if target.samefile(source):
        raise AudioError(target, "is the input itself", "choose another name")
    if target.is_dir():
        raise AudioError(target, "is a folder", "name a file in it")
    if not overwrite:
        remedy = "use --overwrite (overwrite=True) or choose another name"
        raise AudioError(target, "exists already", remedy)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises `AudioError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot be made ({error.strerror})"
        raise AudioError(folder, why, "choose another folder") from error
