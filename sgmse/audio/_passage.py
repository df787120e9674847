"""From a recording to its result: what is refused before any work, and what is known by then."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgmse._checks import file, flag, shown
from sgmse.audio._coding import ClipMode
from sgmse.audio._info import Info
from sgmse.audio._names import beside, check_target, make_folder
from sgmse.audio._reading import blocks, info
from sgmse.audio._sources import Source, seekable
from sgmse.audio._streams import Block, peaks
from sgmse.audio._writing import Writer
from sgmse.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True, eq=False)
class Passage:
    """A recording that is whole and finite, and the file that its result goes to.

    Args:
        source: which can be read again.
        about: what it is.
        levels: peak of each of its channels.
        writer: of the result; what is written in its `with` block appears at the end.
    """

    source: Source
    about: Info
    levels: NDArray[np.floating]
    writer: Writer

    def blocks(self) -> Iterator[Block]:
        """The recording."""
        return blocks(self.source)


@contextmanager
def passage(
    source: Source,
    target: Source | None,
    *,
    instead: str,
    ending: str = "enhanced",
    format: str | None = None,  # noqa: A002
    bitrate: float | None = None,
    clip_mode: ClipMode = "clamp",
    overwrite: bool = False,
) -> Iterator[Passage]:
    """Look at a recording and at where its result goes; the folder of the result is made then.

    Args:
        source: a name, or an open binary file.
        target: likewise; `<name>_<ending>.<suffix>` beside the source if absent.
        instead: what is to be done with arrays, which are no files.
        ending: of the name.
        format, bitrate, clip_mode: as for `Writer`.
        overwrite: replace a target that exists.

    Raises:
        AudioError: a source that cannot be read, or a target that cannot be written.
        TypeError: what is no file.
        ValueError: a source in memory without a target.
    """
    flag("overwrite", overwrite)
    if not isinstance(format, str | None):
        raise ArgumentTypeError(f"format must be a suffix such as 'flac', not {shown(format)}")
    file("source", source, "read", instead)
    if target is not None:
        file("target", target, "write")
    path = Path(source) if isinstance(source, str | Path) else None
    if target is None:
        if path is None:
            raise ArgumentError("a recording in memory needs a target: a name or a binary file")
        target = beside(path, format, ending)
    elif isinstance(target, str):
        target = Path(target)
    with seekable(source) as whole:
        about = info(whole)
        if isinstance(target, Path):
            check_target(target, path, overwrite)
        writer = Writer(target, about, format, bitrate=bitrate, clip_mode=clip_mode, rest=whole)
        levels = peaks(blocks(whole))  # also proves it whole and finite
        if isinstance(target, Path):
            make_folder(target.parent)
        yield Passage(whole, about, levels, writer)
