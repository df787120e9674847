"""Where a model is: in the package, in a folder, or in a hub repository."""

import re
from importlib.resources import files
from pathlib import Path

from sgmse.checkpoints.native import CARD, CONFIG, WEIGHTS, CheckpointError

#: Models inside the package.
PACKAGED = ("default",)


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model: "default", a path, or a hub repository "owner/name".

    A folder of your own that is called "default" is "./default" (or a `Path`). Raises
    `CheckpointError` where there is no such model, or where the hub cannot be reached.
    """
    if name_or_path in PACKAGED:
        return Path(str(files("sgmse") / "pretrained" / str(name_or_path)))
    path = Path(name_or_path)
    if path.exists():
        return path
    name = str(name_or_path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise CheckpointError(
            f"no model {name!r}: give one of {', '.join(PACKAGED)}, a folder, or a hub repository "
            "'owner/name'"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        why = str(error).split("\n")[0]
        raise CheckpointError(f"no folder {name!r} here, and the hub gave none: {why}") from error
