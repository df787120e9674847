"""Files and folders that appear whole or not at all: the only place that does it.

with whole(path) as part:
    write(part)
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj, rmtree
from tempfile import TemporaryDirectory
from typing import BinaryIO

LONGEST_NAME = 255  # bytes, on all common file systems


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A hidden name beside `path`, which becomes `path` when the block ends well.

    If the block raises, KeyboardInterrupt too, `path` keeps what it
    held, and nothing stays beside it.
    """
    part = _hidden(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def delivered(stream: BinaryIO) -> Iterator[Path]:
    """A file of its own, whose bytes go to `stream` when the block ends well; else none do."""
    with TemporaryDirectory() as folder:
        part = Path(folder) / "part"
        yield part
        with part.open("rb") as file:
            copyfileobj(file, stream)
        stream.flush()


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file, in place of an earlier one, with the folders above it. Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(content)
    return path


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files of a folder by their names, each as `write_whole`, in UTF-8."""
    for name, text in texts.items():
        write_whole(folder / name, text.encode())


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty hidden folder of the same name, which replaces `folder` when the block ends well.

    As `whole`. One that was there is removed at the end, and stays where it is if that fails.
    """
    folder = folder.resolve()
    workplace = _hidden(folder)
    made, before = workplace / folder.name, workplace / "before"
    made.mkdir(parents=True)
    try:
        yield made
        if folder.exists():
            folder.rename(before)
        try:
            made.rename(folder)
        except BaseException:
            if before.exists():
                before.rename(folder)
            raise
    finally:
        rmtree(workplace, ignore_errors=True)


def is_part(path: Path, of: str) -> bool:
    """Whether a path is a hidden part of what has that name, which a killed process left."""
    return path.suffix == ".part" and path.name.startswith(f".{_short(of)}.")


def _hidden(path: Path) -> Path:
    return path.with_name(f".{_short(path.name)}.{secrets.token_hex(4)}.part")


def _short(name: str) -> str:
    """A name cut so that it can still be a part of a hidden one."""
    return os.fsdecode(os.fsencode(name)[: LONGEST_NAME - len("..12345678.part")])
