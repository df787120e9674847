"""What a damaged file makes of those who read it, as one error of one line."""

import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

import yaml

from sgmse.errors import CheckpointError

#: What the parsers of files and of what is in them raise where these are damaged.
DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError),
    *(OSError, EOFError, struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    *(pickle.UnpicklingError, yaml.YAMLError),
)


@contextmanager
def legible(name: str, kind: str) -> Iterator[None]:
    """Whatever a file of that name makes fail in here becomes a `CheckpointError`.

    A `CheckpointError` says itself what is wrong with the file, without naming it; anything else
    means that it is damaged.
    """
    try:
        yield
    except MemoryError:
        raise CheckpointError(f"{name} cannot be read: it needs too much memory") from None
    except DAMAGE as error:
        why = shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
        remedy = "" if isinstance(error, CheckpointError) else "; it may be damaged, copy it again"
        raise CheckpointError(f"{name} is no {kind} that can be read: {why}{remedy}") from error
