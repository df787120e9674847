"""Published checkpoints, of several research repositories, as models of this library.

What a file holds says of which family it is; a family is a module beside this one with

    recognises(contents) -> bool                whether the contents of a file are of it
    read(contents, compat) -> Checkpoint        the model, with the sampler that belongs to it

where `contents` is the dictionary in the file, as `pickles.read` gives it (tensors are views of the
file, everything unknown is a `Stub`) or, of an archive, `archives.unpack`, and `compat` is None for
the exact sampler or "sgmse" for the arithmetic of the published code. One adds a family by its
module and a name in `FAMILIES`; they are asked in this order, and none may recognise what belongs
to another. `reading` has what they share: `Settings`, `built` and `load_weights`, or `averaged` and
`fill` for files with several networks. Errors are `CheckpointError`s that do not name the file; a
`ValueError` of a class that refuses its constants becomes one.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sgmse._files import whole_folder
from sgmse.checkpoints.native import CARD, CONFIG, WEIGHTS, Checkpoint, save
from sgmse.checkpoints.published import (
    archives,
    bbed,
    edm2se,
    flowse,
    nemo,
    official,
    pickles,
    storm,
)
from sgmse.checkpoints.published.pickles import mapping
from sgmse.errors import ArgumentError, CheckpointError

FILES = (WEIGHTS, CONFIG, CARD)
FAMILIES: tuple[ModuleType, ...] = (storm, bbed, official, edm2se, nemo, flowse)


def read(path: str | Path, compat: str | None = None) -> Checkpoint:
    """The model in a published checkpoint; it is in evaluation mode, on the CPU.

    Args:
        path: a file.
        compat: None for the exact sampler, "sgmse" for the published arithmetic.

    Raises:
        CheckpointError: the file cannot be read, is of no known family or does not fit its family.
        ValueError: an unknown `compat`.
    """
    if compat not in (None, "sgmse"):
        raise ArgumentError(f"compat must be None or 'sgmse', not {compat!r}")
    contents = archives.unpack(path) if archives.packed(path) else pickles.read(path)
    for family in FAMILIES:
        if family.recognises(contents):
            try:
                checkpoint = family.read(contents, compat)
            except ValueError as error:  # a CheckpointError, too
                raise CheckpointError(f"{path} cannot be used: {error}") from error
            checkpoint.model.eval().requires_grad_(False)
            return checkpoint
    raise CheckpointError(f"{path} is of no known family: {_described(contents)}")


def convert(
    source: str | Path, folder: str | Path, *, compat: str | None = None, overwrite: bool = False
) -> Path:
    """Write the model of a published checkpoint in the native format; returns the folder.

    Args:
        source: the file.
        folder: appears whole or not at all; the folders that it lies in are made.
        compat: which sampler to recommend in it, as for `read`.
        overwrite: replace a model that is there.

    Raises:
        CheckpointError: see `read`; or the folder exists, is no model, or cannot be written.
    """
    folder = Path(folder)
    target = folder.resolve()
    if target.exists() and not overwrite:
        raise CheckpointError(
            f"{folder} exists already; use --overwrite (overwrite=True) or choose another name"
        )
    if target.is_file() or (target.exists() and {p.name for p in target.iterdir()} - set(FILES)):
        raise CheckpointError(f"{folder} is there and is no model; choose another name")
    checkpoint = read(source, compat)
    try:
        with whole_folder(target) as made:
            save(checkpoint, made)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error.strerror})") from error
    return folder


def _described(contents: Mapping[Any, Any]) -> str:
    """What tells a family, for an error."""
    settings = mapping(contents.get("hyper_parameters"))
    if settings is None:
        return f"it has no hyper_parameters, only {', '.join(map(str, list(contents)[:6]))[:200]}"
    names = ("backbone", "sde", "ode", "mode")
    known = [
        f"{name} {settings[name]!r:.40}" for name in names if isinstance(settings.get(name), str)
    ]
    return f"its hyper_parameters have {', '.join(known) or 'neither backbone nor sde'}"
