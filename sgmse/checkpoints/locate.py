"""Where a model is: in the package, in a folder or a published file, or in a hub repository."""

from importlib.resources import files
from pathlib import Path

from sgmse._checks import arguments
from sgmse.checkpoints import native, published
from sgmse.checkpoints.hub import HUB, fetch
from sgmse.checkpoints.native import Checkpoint
from sgmse.config import Classes
from sgmse.errors import ArgumentError, CheckpointError, did_you_mean

#: Models inside the package.
PACKAGED = ("default",)


def load_model(
    name_or_path: str | Path,
    *,
    compat: str | None = None,
    classes: Classes | None = None,
) -> Checkpoint:
    """The model of that name (see `locate`), native or published; on the CPU.

    Args:
        name_or_path: a name or a folder for the native format, a file for a published checkpoint.
        compat: "sgmse" for the arithmetic of the published sampler, which only such files have.
        classes: names of classes; `CLASSES`, which you extend by your own, if absent.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: `compat` is unknown, or the model is a native one.
    """
    arguments(load_model, locals())
    path = locate(name_or_path)
    if path.is_file():
        return published.read(path, compat)
    if compat is not None:
        raise ArgumentError(
            f"{name_or_path} is no published checkpoint, which alone have a sampler with "
            f"compat={compat!r}; leave it out"
        )
    return native.load(path, classes=classes)


def locate(name_or_path: str | Path) -> Path:
    """The place of a model: "default", a path, or "hf://owner/name" in the Hugging Face hub.

    Only the last asks the network. A folder of your own that is called "default" is "./default" (or
    a `Path`). Raises `CheckpointError` where there is no such model, or where the hub cannot be
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
