"""Where a model is: in the package, in a folder, or in a hub repository."""

import re
from importlib.resources import files
from pathlib import Path

from sgmse.checkpoints.native import CARD, CONFIG, WEIGHTS, CheckpointError

#: Models inside the package.
PACKAGED = ("default",)


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model: "default", a path, or a hub repository "owner/name".

    Raises `CheckpointError` where there is none, or where the hub cannot be reached.
    """
    path = Path(name_or_path)
    if path.exists():
        return path
    if str(name_or_path) in PACKAGED:
        return Path(str(files("sgmse") / "pretrained" / str(name_or_path)))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name_or_path)) or path.suffix:
        known = ", ".join(PACKAGED)
        raise CheckpointError(
            f"no model {str(name_or_path)!r}: give one of {known}, a folder, or a hub repository "
            "'owner/name'"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).split("\n")[0]
        raise CheckpointError(
            f"no folder {str(name_or_path)!r} here, and the hub gave none: {why}"
        ) from error
