"""Where a model is: in the package, in a folder, or in a hub repository."""

import re
from importlib.resources import files
from pathlib import Path

from sgmse.checkpoints.native import CARD, CONFIG, WEIGHTS, CheckpointError

#: Models inside the package.
PACKAGED = ("default",)
HUB = "hf://"


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model: "default", a path, or "hf://owner/name" in the Hugging Face hub.

    Only the last asks the network. A folder of your own that is called "default" is "./default" (or
    a `Path`). Raises `CheckpointError` where there is no such model, or where the hub cannot be
    reached.
    """
    if name_or_path in PACKAGED:
        return Path(str(files("sgmse") / "pretrained" / str(name_or_path)))
    name = str(name_or_path)
    if name.startswith(HUB):
        return _from_hub(name)
    path = Path(name_or_path)
    if not path.exists():
        raise CheckpointError(
            f"no model {name!r}: there is no such folder; give one of {', '.join(PACKAGED)}, "
            f"a folder, or {HUB}owner/name for a hub repository"
        )
    return path


def _from_hub(name: str) -> Path:
    """The local copy of "hf://owner/name"."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository := name.removeprefix(HUB)):
        raise CheckpointError(f"no model {name!r}: a hub repository is {HUB}owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(repository, allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        why = str(error).split("\n")[0]
        raise CheckpointError(f"the hub gave no {name!r}: {why}") from error
