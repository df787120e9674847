"""Finds the family of a published file, reads its model, and writes it in the native format."""

from dataclasses import replace
from pathlib import Path

from sgmse._files import whole_folder
from sgmse.checkpoints import native
from sgmse.checkpoints.native import CARD, FILES, Checkpoint, save
from sgmse.checkpoints.published import _archives, _torch_files
from sgmse.checkpoints.published._bbed import Bridge, Corrected
from sgmse.checkpoints.published._cose import COSE
from sgmse.checkpoints.published._edm2se import EDM2SE
from sgmse.checkpoints.published._family import Contents, Family
from sgmse.checkpoints.published._flowse import FlowSE
from sgmse.checkpoints.published._meanflowse import MeanFlowSE
from sgmse.checkpoints.published._nemo import NeMo
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._rosecd import RoseCD
from sgmse.checkpoints.published._sbctm import SBCTM
from sgmse.checkpoints.published._storm import Storm
from sgmse.checkpoints.published._unpickler import mapping
from sgmse.errors import ArgumentError, CheckpointError

#: Seconds in one piece: their own code takes whole files, and what these are cut into changes what
#: comes out. Half as much again is not cut, which holds all but few recordings that are scored.
LONGER = 20.0
#: In the order in which they are asked.
FAMILIES: tuple[Family, ...] = (
    *(Storm(), Bridge(), Corrected(), Official(), EDM2SE(), NeMo()),
    *(FlowSE(), MeanFlowSE(), RoseCD(), SBCTM(), COSE()),
)


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
    packed = _archives.packed(path)
    contents = _archives.unpack(path) if packed else _torch_files.read_torch(path)
    for family in FAMILIES:
        if family.recognises(contents):
            try:
                checkpoint = family.read(contents, compat)
            except ValueError as error:  # a CheckpointError, too
                raise CheckpointError(f"{path} cannot be used: {error}") from error
            checkpoint.model.eval().requires_grad_(False)
            return replace(checkpoint, segment=LONGER)
    raise CheckpointError(f"{path} is of no known family: {_described(contents)}")


def convert(
    source: str | Path,
    folder: str | Path,
    *,
    compat: str | None = None,
    overwrite: bool = False,
    half: bool = False,
) -> Path:
    """Write the model of a published checkpoint in the native format; returns the folder.

    Args:
        source: the file; or a folder of the native format, whose card is kept.
        folder: appears whole or not at all; the folders that it lies in are made.
        compat: which sampler to recommend in it, as for `read`.
        overwrite: replace a model that is there.
        half: store its weights in 16 bits, see `save`.

    Raises:
        CheckpointError: see `read`; or the folder exists, is no model, or cannot be written; or a
            weight is beyond 16 bits.
        ValueError: `compat` is unknown, or is of a folder.
    """
    folder = Path(folder)
    target = folder.resolve()
    if target.exists() and not overwrite:
        raise CheckpointError(
            f"{folder} exists already; use --overwrite (overwrite=True) or choose another name"
        )
    if target.is_file() or (target.exists() and {p.name for p in target.iterdir()} - set(FILES)):
        raise CheckpointError(f"{folder} is there and is no model; choose another name")
    source, card = Path(source), None
    if source.is_dir():
        native.refuse_compat(source, compat)
        checkpoint = native.load(source)
        if (source / CARD).is_file():
            card = (source / CARD).read_text("utf-8")
    else:
        checkpoint = read(source, compat)
    try:
        with whole_folder(target) as made:
            save(checkpoint, made, card=card, half=half)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error.strerror})") from error
    return folder


def _described(contents: Contents) -> str:
    """What tells a family, for an error."""
    settings = mapping(contents.get("hyper_parameters"))
    if settings is None:
        return f"it has no hyper_parameters, only {', '.join(map(str, list(contents)[:6]))[:200]}"
    names = ("backbone", "sde", "ode", "mode")
    known = [
        f"{name} {settings[name]!r:.40}" for name in names if isinstance(settings.get(name), str)
    ]
    return f"its hyper_parameters have {', '.join(known) or 'neither backbone nor sde'}"
