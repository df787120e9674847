"""Where bytes come from: a path or an open binary file, whole or in pieces that make a file."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, TypeAlias

from typing_extensions import Buffer, override

from sgmse._checks import shown
from sgmse.errors import ArgumentTypeError, AudioError

#: A path, or a binary file that can seek, such as `io.BytesIO`; it is read from its beginning.
Source: TypeAlias = str | Path | BinaryIO

#: Bytes of their own, or the positions of some in a file.
Piece: TypeAlias = bytes | range


def name_of(source: Source) -> Path:
    """What messages call a source: its path, the name that a file has, or "<memory>"."""
    if isinstance(source, str | Path):
        return Path(source)
    return Path(str(getattr(source, "name", "<memory>")))


def refuse_url(name: str | Path) -> None:
    """Refuse, with `AudioError`, what is on another machine."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(name)) and not Path(name).exists():
        url = re.sub(":/+", "://", str(name), count=1)  # a path has one stroke of two
        get = f"curl -LO {shlex.quote(url)}" if url.startswith(("http", "ftp")) else "to a file"
        raise AudioError(url, "is a URL", f"name a file; download it first ({get})")


class _Held(io.BufferedRandom):
    """A temporary file that is called by the name of what it holds."""

    def __init__(self, called: str) -> None:
        super().__init__(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        self._called = called

    @property
    @override
    def name(self) -> str:
        return self._called


@contextmanager
def seekable(source: Source) -> Iterator[Source]:
    """The same source, or what is left in an open file that cannot seek, such as stdin."""
    if isinstance(source, str | Path) or getattr(source, "closed", False) or source.seekable():
        yield source
        return
    with _Held(str(name_of(source))) as held:
        shutil.copyfileobj(source, held)
        held.flush()
        yield held


@contextmanager
def opened_bytes(source: Source) -> Iterator[BinaryIO]:
    """The bytes of a source. A file that was open stays open, its position anywhere.

    Raises `AudioError` for one that is missing, a folder, a pipe, empty or cannot be read.
    """
    if not isinstance(source, str | Path):
        yield _with_bytes(source, name_of(source))
        return
    path = Path(source)
    refuse_url(path)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise AudioError(path, f"is {kind}", "name a file with sound in it")
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise AudioError(path, "no such file", "check the spelling and the folder") from error
    except UnicodeError as error:
        raise AudioError(path, "has a name in no encoding", "rename it") from error
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        raise AudioError(path, why, "check its permissions") from error
    with stream:
        yield _with_bytes(stream, path)


def _with_bytes(stream: BinaryIO, name: Path) -> BinaryIO:
    if not isinstance(stream, io.IOBase) and not callable(getattr(stream, "seekable", None)):
        raise ArgumentTypeError(f"a recording is a path or a binary file, not {shown(stream)}")
    refuse_unusable(stream, name)
    if isinstance(stream, io.IOBase) and not stream.readable():
        raise AudioError(name, "is open for writing alone", "open it with 'rb'")
    if not stream.seekable():
        raise AudioError(name, "cannot be read twice", "read it into an io.BytesIO first")
    if not size_of(stream):
        raise AudioError(name, "is empty (0 bytes)", "record or copy it again")
    return stream


def refuse_unusable(stream: BinaryIO, name: Path) -> None:
    """Refuse, with `AudioError`, an open file that is closed by now or holds text."""
    if getattr(stream, "closed", False):
        raise AudioError(name, "is closed", "open it again")
    if isinstance(stream, io.TextIOBase):
        raise AudioError(name, "is a file of text", "open it in binary mode, or use io.BytesIO")


def refuse_unwritable(stream: BinaryIO, name: Path) -> None:
    """Refuse, with `AudioError`, an open file that takes no bytes."""
    refuse_unusable(stream, name)
    if isinstance(stream, io.IOBase) and not stream.writable():
        raise AudioError(name, "is open for reading alone", "open it with 'wb'")


def size_of(stream: BinaryIO) -> int:
    """Bytes from the beginning to the end."""
    return stream.seek(0, os.SEEK_END)


def bytes_at(stream: BinaryIO, start: int, count: int) -> bytes:
    """`count` bytes from `start`, fewer where the file ends."""
    stream.seek(start)
    return stream.read(count)


class Pieces(io.RawIOBase):
    """A file that is made of pieces of another one: what libsndfile is given to read.

    A header can be replaced, and what is not sound left out. Only positions are held.
    """

    def __init__(self, stream: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._stream = stream
        self._pieces = [piece for piece in pieces if len(piece)]
        self._starts = [0, *accumulate(len(piece) for piece in self._pieces)]
        self._at = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = max(base + offset, 0)
        return self._at

    @override
    def readinto(self, buffer: Buffer) -> int:
        """As many bytes as there are: what libsndfile asks for twice, it takes for the end."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._starts[-1]:
            index = bisect_right(self._starts, self._at) - 1
            piece, skip = self._pieces[index], self._at - self._starts[index]
            count = min(len(view) - done, len(piece) - skip)
            if isinstance(piece, range):
                part = bytes_at(self._stream, piece[skip], count)
            else:
                part = piece[skip : skip + count]
            if not part:
                break
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done
