"""The `.nemo` archives of NVIDIA NeMo: a tar, often compressed, with a config and the weights.

    model_config.yaml       how NeMo builds the model
    model_weights.ckpt      its state_dict, as torch.save writes it

Nothing is unpacked to the disk and nothing run. An archive with links, devices or names that lead
out of it is refused, and so is one that would unpack to far more than it holds.
"""

import gzip
import mmap
import os
import re
import tarfile
from collections.abc import Hashable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import yaml

from sgmse.checkpoints.published._damage import legible
from sgmse.checkpoints.published._torch_files import parse
from sgmse.errors import CheckpointError

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
MOST_MEMBERS = 10**4
LARGEST_CONFIG = 2**20  # bytes; real ones have about 5,000
LARGEST_READ = 2**20  # of the headers at once, and of the data as we take them
#: Weights hardly compress: an archive that grows more than this is none.
MOST_GROWTH, SLACK = 20, 2**24
NUMBER = re.compile(r"[-+]?\d+e[-+]?\d+$", re.IGNORECASE)


def packed(path: str | Path) -> bool:
    """Whether a file is an archive, by its name or its first bytes."""
    try:
        with Path(path).open("rb") as file:
            begin = file.read(262)
    except OSError:
        return False
    return Path(path).suffix == ".nemo" or begin[:2] == b"\x1f\x8b" or begin[257:] == b"ustar"


def unpack(path: str | Path) -> dict[str, Any]:
    """What an archive holds: {"model_config": the settings, "state_dict": the weights}.

    Raises:
        CheckpointError: the file cannot be opened, is no such archive, is damaged, or would do harm
            where it is unpacked or unpickled.
    """
    with legible(str(path), "archive of NeMo"), Path(path).open("rb") as file:
        config, weights = _members(file)
        settings = _settings(config)
    return {"model_config": settings, "state_dict": parse(weights, f"{path}/{WEIGHTS}")}


class Forward:
    """A file for `tarfile` that goes on only, in small pieces, and not beyond the given end.

    An archive whose sizes are negative would be read for ever, and one whose headers are as large
    as the memory would fill it.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, end: int) -> None:
        self.file = file
        self.end = end
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end of the file."""
        if not 0 <= size <= LARGEST_READ:
            raise CheckpointError(f"it has a header of {size} bytes")
        self._check(self.position + size)
        data = self.file.read(size)
        self.position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Go on to a position."""
        if position < self.position:
            raise CheckpointError("its members overlap")
        self._check(position)
        self.position = self.file.seek(position)

    def tell(self) -> int:
        """The position."""
        return self.position

    def _check(self, position: int) -> None:
        if position > self.end + tarfile.RECORDSIZE:
            raise CheckpointError(f"it would unpack to more than {MOST_GROWTH} times its size")


def _members(file: BinaryIO) -> tuple[mmap.mmap, mmap.mmap]:
    """The bytes of the config and of the weights."""
    size = os.fstat(file.fileno()).st_size
    end = MOST_GROWTH * size + SLACK
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = Forward(gzip.GzipFile(fileobj=file) if compressed else file, end)
    contents: dict[str, mmap.mmap] = {}
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        for count, member in enumerate(archive):
            name = _name(member)
            if count >= MOST_MEMBERS:
                raise CheckpointError(f"it has more than {MOST_MEMBERS} members")
            if name not in (CONFIG, WEIGHTS):
                continue
            if name in contents or not member.isreg() or member.issparse():
                raise CheckpointError(f"its {name} is there twice, or is no plain file")
            if name == CONFIG and member.size > LARGEST_CONFIG:
                raise CheckpointError(
                    f"its {name} has {member.size} bytes, more than {LARGEST_CONFIG}"
                )
            contents[name] = _content(stream, name, member.offset_data, member.size, end)
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in contents]:
        raise CheckpointError(f"it has no {' and no '.join(missing)}")
    return contents[CONFIG], contents[WEIGHTS]


def _name(member: tarfile.TarInfo) -> str:
    """The name of a member, if it is a file or folder inside the archive."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[a-zA-Z]:", member.name):
        raise CheckpointError(f"its member {member.name!r:.100} leads out of it")
    if not (member.isreg() or member.isdir()):
        raise CheckpointError(f"its member {member.name!r:.100} is a link or a device")
    return str(path)


def _content(stream: Forward, name: str, offset: int, size: int, end: int) -> mmap.mmap:
    """The bytes of a member, in memory of their own."""
    if not 0 < size <= end:
        raise CheckpointError(f"its {name} has {size} bytes")
    stream.seek(offset)
    buffer = mmap.mmap(-1, size)
    while (missing := size - buffer.tell()) > 0:
        data = stream.read(min(missing, LARGEST_READ))
        if not data:
            raise CheckpointError(f"its {name} is truncated; copy it again")
        buffer.write(data)
    buffer.seek(0)
    return buffer


class Plain(yaml.SafeLoader):
    """YAML without references, of which a small file can make a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node that is written out."""
        if self.check_event(yaml.AliasEvent):
            raise CheckpointError("its config refers to parts of itself, as NeMo never writes it")
        return super().compose_node(parent, index)


# 1e-4 is a number to NeMo, but a text to YAML 1.1, which wants 1.0e-4.
Plain.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))


def _settings(config: mmap.mmap) -> dict[Hashable, Any]:
    """The config as plain values."""
    settings = yaml.load(config[:].decode(), Loader=Plain)
    if not isinstance(settings, dict):
        raise CheckpointError(f"its {CONFIG} holds a {type(settings).__name__}, not a table")
    return settings
