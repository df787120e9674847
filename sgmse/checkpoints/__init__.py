"""Models in files: the native format, and the table of the classes that files may name."""

from sgmse.checkpoints.locate import PACKAGED, locate
from sgmse.checkpoints.native import Checkpoint, CheckpointError, load, save
from sgmse.checkpoints.objects import CLASSES, from_dict, to_dict

__all__ = [
    "CLASSES",
    "PACKAGED",
    "Checkpoint",
    "CheckpointError",
    "from_dict",
    "load",
    "locate",
    "save",
    "to_dict",
]
