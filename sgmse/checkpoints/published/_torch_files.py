"""Files of `torch.save`, read without running anything in them: see `_unpickler`.

Tensors are views of the file, which is mapped: what is not used is not read. Their place, shape and
strides must lie inside their record.
"""

import mmap
import struct
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from sgmse.checkpoints.published._damage import legible
from sgmse.checkpoints.published._unpickler import mapping, unpickle
from sgmse.errors import CheckpointError

MOST_RECORDS = 10**5
ZIP = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
LEGACY = 0x1950A86A20F9469CFC6C, 1001  # magic number and version before torch 1.6


def read_torch(path: str | Path) -> dict[Any, Any]:
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
    """The dictionary in such a file, in memory; `name` stands in errors. See `read_torch`."""
    with legible(name, "checkpoint"):
        zipped = buffer[: len(ZIP)] == ZIP
        contents = _zipped(buffer) if zipped else _legacy(buffer)
        if not isinstance(contents, dict):
            raise CheckpointError(f"it holds a {type(contents).__name__}, not a dictionary")
        return contents


def _zipped(buffer: mmap.mmap) -> Any:
    """The object in a zip archive: NAME/data.pkl, with storages in NAME/data/KEY."""
    file = cast(IO[bytes], buffer)  # it reads, seeks and tells
    with zipfile.ZipFile(file) as archive:
        records = {info.filename: info for info in archive.infolist()}
    if len(records) > MOST_RECORDS:
        raise CheckpointError(f"it has {len(records)} records, more than {MOST_RECORDS}")
    roots = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(
            "it is a zip archive without a record data.pkl; was it written by torch?"
        )
    root = roots[0].removesuffix("data.pkl")

    def span(name: str) -> tuple[int, int]:
        """Where the bytes of a record begin, and how many there are."""
        if name not in records:
            raise CheckpointError(f"it lacks its record {name}")
        info = records[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise CheckpointError(
                f"its record {name} is compressed or encrypted, as torch never writes it"
            )
        header = LOCAL_HEADER.unpack_from(buffer, info.header_offset)
        start = info.header_offset + LOCAL_HEADER.size + sum(header[-2:])
        if header[0] != ZIP or not 0 < start <= len(buffer) - info.file_size:
            raise CheckpointError(f"its record {name} is truncated")
        return start, info.file_size

    if f"{root}byteorder" in records:
        start, size = span(f"{root}byteorder")
        _check_order(buffer[start : start + size] == sys.byteorder.encode())

    @cache  # tensors that share a storage share it here, too
    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        return _view(buffer, *span(f"{root}data/{key}"), dtype, count)

    file.seek(span(roots[0])[0])
    return unpickle(file, storage)


def _legacy(buffer: mmap.mmap) -> Any:
    """The object in a file from before torch 1.6: pickles one after another, then the storages."""
    file = cast(IO[bytes], buffer)
    sizes: dict[str, tuple[torch.dtype, int]] = {}
    spans: dict[str, tuple[int, int]] = {}

    def size_only(dtype: torch.dtype, key: str, count: int) -> Tensor:
        sizes[key] = dtype, count
        return torch.empty(count, dtype=dtype, device="meta")

    @cache  # tensors that share a storage share it here, too
    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        return _view(buffer, *spans[key], dtype, count)

    file.seek(0)
    if buffer[:1] != b"\x80" or (unpickle(file), unpickle(file)) != LEGACY:
        raise CheckpointError("it is no file of torch.save")
    little = (mapping(unpickle(file)) or {}).get("little_endian")
    _check_order(little == (sys.byteorder == "little"))
    begin = file.tell()
    unpickle(file, size_only)  # the storages come later: first their sizes, then the tensors
    keys, at = unpickle(file), file.tell()
    for key in keys:
        if not isinstance(key, str):
            raise CheckpointError("it names a storage by what is no text")
        dtype, count = sizes[key]
        if struct.unpack_from("<q", buffer, at)[0] != count:
            raise CheckpointError(f"its storage {key} has another size than its tensors")
        spans[key] = at + 8, count * dtype.itemsize
        at += 8 + count * dtype.itemsize
    file.seek(begin)
    return unpickle(file, storage)


def _check_order(same: bool) -> None:
    if not same:
        raise CheckpointError("it was written on a machine with another order of bytes")


def _view(buffer: mmap.mmap, start: int, size: int, dtype: torch.dtype, count: int) -> Tensor:
    """The numbers of a storage, (count,), as a view of the file."""
    if not 0 <= count * dtype.itemsize <= size or start + size > len(buffer):
        raise CheckpointError(f"a storage of {count} numbers is larger than its record or the file")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    if start % dtype.itemsize:  # torch aligns what it writes; others need not
        data = bytearray(buffer[start : start + count * dtype.itemsize])
        return torch.frombuffer(data, dtype=dtype)
    return torch.frombuffer(buffer, dtype=dtype, count=count, offset=start)
