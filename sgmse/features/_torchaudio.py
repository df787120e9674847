"""torchaudio beside any torch.

Its library links the one CUDA runtime that it was built for; beside another torch, or one without
CUDA, importing it fails, while all of it that is written in Python would work. Then its extension
is stood in for by a stub that says that it is not there.
"""

import sys
from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import Any

from sgmse._extras import imported, missing


@cache
def torchaudio() -> Any:
    """The package. Raises `MissingPackageError` where it is not installed."""
    what = "this feature"
    try:
        return imported("torchaudio", what, "features")
    except OSError:  # the library of another runtime
        pass
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
    sys.modules["torchaudio._extension"] = _without_library()
    try:
        return imported("torchaudio", what, "features")
    except OSError as error:
        raise missing("torchaudio", what, "features") from error


def _without_library() -> ModuleType:
    stub: Any = ModuleType("torchaudio._extension")

    def unavailable(function: Callable[..., object]) -> Callable[..., object]:
        """In the place of what the library does."""

        @wraps(function)
        def refuse(*_: object) -> None:
            raise RuntimeError(f"{function.__name__} needs torchaudio's library, which is not here")

        return refuse

    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = unavailable
    module: ModuleType = stub
    return module
