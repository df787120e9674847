"""Where a model is: in the package, in a folder or a published file, or in a hub repository."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from sgmse._checks import arguments
from sgmse.checkpoints import native, published
from sgmse.checkpoints.hub import HUB, fetch
from sgmse.checkpoints.native import Checkpoint, QualityName
from sgmse.config import Classes
from sgmse.errors import ArgumentError, CheckpointError, did_you_mean

#: Models inside the package that clean recordings, and all: a prior hears none.
ENHANCING = ("default", "score", "live", "restore")
PACKAGED = (*ENHANCING, "prior")


def load_model(
    name_or_path: str | Path,
    *,
    compat: str | None = None,
    quality: QualityName | None = None,
    classes: Classes | None = None,
) -> Checkpoint:
    """The model of that name (see `locate`), native or published; on the CPU.

    Args:
        name_or_path: a name or a folder for the native format, a file for a published checkpoint.
        compat: "sgmse" for the arithmetic of the published sampler, which only such files have.
        quality: "fast", "balanced", "best" or "gentle", of a model that says what it is then
            (`Checkpoint.qualities`): it has that sampler as the recommended one, or is another one.
        classes: names of classes; `CLASSES`, which you extend by your own, if absent.

    Raises:
        CheckpointError: there is no such model, or it is damaged, or its quality is of a model that
            is not in the package.
        ValueError: `compat` is unknown, or the model is a native one; the model has no such
            quality.
    """
    arguments(load_model, locals())
    path = locate(name_or_path)
    if path.is_file():
        checkpoint = published.read(path, compat)
        return checkpoint if quality is None else _of_quality(checkpoint, quality, name_or_path)
    native.refuse_compat(name_or_path, compat)
    checkpoint = native.load(path, classes=classes)
    return checkpoint if quality is None else _of_quality(checkpoint, quality, name_or_path)


def _of_quality(checkpoint: Checkpoint, name: QualityName, model: str | Path) -> Checkpoint:
    """The model as it is used for a quality. Raises `ArgumentError`."""
    if name not in checkpoint.qualities:
        offered = ", ".join(checkpoint.qualities)
        remedy = f"it has {offered}" if offered else "leave it out, or name the model default"
        raise ArgumentError(f"the model {model} has no quality {name!r}; {remedy}")
    chosen = checkpoint.qualities[name]
    if chosen.model is not None:
        if chosen.model not in PACKAGED:  # a file from elsewhere must not choose what is loaded
            raise CheckpointError(
                f"the quality {name!r} of {model} is of the model {chosen.model!r}, which is not "
                f"in the package ({', '.join(PACKAGED)}); name that model itself"
            )
        checkpoint = load_model(chosen.model)
    return replace(
        checkpoint,
        sampler=chosen.sampler or checkpoint.sampler,
        dry=checkpoint.dry if chosen.dry is None else chosen.dry,
        strength=checkpoint.strength if chosen.strength is None else chosen.strength,
        effect=chosen.effect,
    )


def locate(name_or_path: str | Path) -> Path:
    """The place of a model: one of `PACKAGED`, a path, or "hf://owner/name" in the hub.

    Only the last asks the network. A folder of your own that is called so is "./default" (or a
    `Path`). Raises `CheckpointError` where there is no such model, or where the hub cannot be
    reached.
    """
    arguments(locate, locals())
    if name_or_path in PACKAGED:
        return Path(str(files("sgmse") / "pretrained" / str(name_or_path)))
    name = str(name_or_path)
    if name.startswith(HUB):
        return fetch(name)
    path = Path(name_or_path)
    if not path.exists():
        near, packaged = did_you_mean(name, PACKAGED), ", ".join(PACKAGED)
        raise CheckpointError(
            f"no model {name!r}{near}: there is no such folder or file; give one of {packaged}, a "
            f"folder, a published checkpoint, or {HUB}owner/name for a hub repository"
        )
    return path
