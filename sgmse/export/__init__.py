"""Models as files of other runtimes: ONNX and OpenVINO, without torch and without this library.

A `Checkpoint` comes in; a file goes out, that appears once its results have been held against those
of torch. It holds a network, around which a sampler of one's own runs, or for a model of one
evaluation all that is between audio and audio, of a whole recording or of a stream, hop by hop.
"""

from sgmse.errors import ExportError
from sgmse.export._backends import Backend, RuntimeNetwork, accelerated, cache_folder
from sgmse.export._beside import NPM, check_beside, write_page, write_runner
from sgmse.export._export import (
    TOLERANCE,
    Exported,
    Part,
    Runtime,
    check_target,
    export,
)

__all__ = [
    "NPM",
    "TOLERANCE",
    "Backend",
    "ExportError",
    "Exported",
    "Part",
    "Runtime",
    "RuntimeNetwork",
    "accelerated",
    "cache_folder",
    "check_beside",
    "check_target",
    "export",
    "write_page",
    "write_runner",
]
