"""Where results go: a name beside the source, and refusals before any work is done."""

from pathlib import Path

from sgmse.errors import AudioError


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
