"""Files of `torch.save`, read without running anything in them: see `interpreter`.

Tensors are views of the file, which is mapped: what is not used is not read. Their place, shape and
strides must lie inside their record.
"""

import mmap
import struct
import sys
import zipfile
from pathlib import Path
from textwrap import shorten
from typing import IO, Any, cast

import torch
from torch import Tensor

from sgmse.checkpoints.published.interpreter import (
    LARGEST_PICKLE,
    PickleError,
    Stub,
    mapping,
    unpickle,
)
from sgmse.errors import CheckpointError

__all__ = ["Stub", "mapping", "parse", "read"]

MOST_RECORDS = 10**5
ZIP = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
LEGACY = 0x1950A86A20F9469CFC6C, 1001  # magic number and version before torch 1.6


def read(path: str | Path) -> dict[Any, Any]:
    """The dictionary in a file that `torch.save` wrote.

    Tensors in it are views of the file and must not be kept beyond the reading; copy them.

    Raises:
        CheckpointError: the file cannot be opened, is damaged, holds something else or would do
            harm where it is unpickled.
    """
    try:
        with Path(path).open("rb") as file:
            # A private mapping: torch wants memory that it could write to.
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    return parse(buffer, str(path))


def parse(buffer: mmap.mmap, name: str) -> dict[Any, Any]:
    """The dictionary that such a file, in memory, holds; `name` stands in errors. See `read`."""
    try:
        zipped = buffer[: len(ZIP)] == ZIP
        contents = _zipped(buffer) if zipped else _legacy(buffer)
        if not isinstance(contents, dict):
            raise PickleError(f"it holds a {type(contents).__name__}, not a dictionary")
        return contents
    except MemoryError:
        raise CheckpointError(f"{name} cannot be read: it needs too much memory") from None
    except (
        *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
        *(RuntimeError, NotImplementedError, EOFError, struct.error, zipfile.BadZipFile),
    ) as error:
        why = shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
        remedy = "" if isinstance(error, PickleError) else "; it may be damaged, copy it again"
        raise CheckpointError(
            f"{name} is not a checkpoint that can be read: {why}{remedy}"
        ) from error


def _zipped(buffer: mmap.mmap) -> Any:
    """The object in a zip archive: NAME/data.pkl, with storages in NAME/data/KEY."""
    with zipfile.ZipFile(cast(IO[bytes], buffer)) as archive:  # it reads, seeks and tells
        records = {info.filename: info for info in archive.infolist()}
    if len(records) > MOST_RECORDS:
        raise PickleError(f"it has {len(records)} records, more than {MOST_RECORDS}")
    roots = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise PickleError("it is a zip archive without a record data.pkl; was it written by torch?")
    root = roots[0].removesuffix("data.pkl")

    def span(name: str) -> tuple[int, int]:
        """Where the bytes of a record begin, and how many there are."""
        if name not in records:
            raise PickleError(f"it lacks its record {name}")
        info = records[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise PickleError(
                f"its record {name} is compressed or encrypted, as torch never writes it"
            )
        header = LOCAL_HEADER.unpack_from(buffer, info.header_offset)
        start = info.header_offset + LOCAL_HEADER.size + sum(header[-2:])
        if header[0] != ZIP or not 0 < start <= len(buffer) - info.file_size:
            raise PickleError(f"its record {name} is truncated")
        return start, info.file_size

    def record(name: str, most: int) -> bytes:
        start, size = span(name)
        if size > most:
            raise PickleError(f"its record {name} has {size} bytes, more than {most}")
        return buffer[start : start + size]

    if f"{root}byteorder" in records:
        _same_order(record(f"{root}byteorder", 16).decode() == sys.byteorder)

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        return _view(buffer, *span(f"{root}data/{key}"), dtype, count)

    return unpickle(record(roots[0], LARGEST_PICKLE), storage)


def _legacy(buffer: mmap.mmap) -> Any:
    """The object in a file from before torch 1.6: pickles one after another, then the storages."""

    def size_only(dtype: torch.dtype, key: str, count: int) -> Tensor:
        found[key] = dtype, count
        return torch.empty(count, dtype=dtype, device="meta")

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        return _view(buffer, *spans[key], dtype, count)

    found: dict[str, tuple[torch.dtype, int]] = {}
    buffer.seek(0)
    if buffer[:1] != b"\x80" or (unpickle(buffer), unpickle(buffer)) != LEGACY:
        raise PickleError("it is no file of torch.save")
    _same_order(
        (mapping(unpickle(buffer)) or {}).get("little_endian") == (sys.byteorder == "little")
    )
    begin = buffer.tell()
    unpickle(buffer, size_only)  # the storages come later: first their sizes, then the tensors
    spans: dict[str, tuple[int, int]] = {}
    keys, at = unpickle(buffer), buffer.tell()
    for key in keys:
        if not isinstance(key, str):
            raise PickleError("it names a storage by what is no text")
        dtype, count = found[key]
        if struct.unpack_from("<q", buffer, at)[0] != count:
            raise PickleError(f"its storage {key} has another size than its tensors")
        spans[key] = at + 8, count * dtype.itemsize
        at += 8 + count * dtype.itemsize
    buffer.seek(begin)
    return unpickle(buffer, storage)


def _same_order(same: bool) -> None:
    if not same:
        raise PickleError("it was written on a machine with another order of bytes")


def _view(buffer: mmap.mmap, start: int, size: int, dtype: torch.dtype, count: int) -> Tensor:
    """The numbers of a storage, (count,), as a view of the file."""
    if not 0 <= count * dtype.itemsize <= size or start + size > len(buffer):
        raise PickleError(f"a storage of {count} numbers is larger than its record or the file")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    if start % dtype.itemsize:  # torch aligns what it writes; others need not
        data = bytearray(buffer[start : start + count * dtype.itemsize])
        return torch.frombuffer(data, dtype=dtype)
    return torch.frombuffer(buffer, dtype=dtype, count=count, offset=start)
