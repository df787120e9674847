"""Models in files: folders of the native format, published files, repositories of the hub.

A name or a path comes in; a `Checkpoint` goes out, with all that one needs to enhance with a model.
It is saved as weights, plain values and a card, of which nothing is ever executed; `CLASSES` is the
table of the classes that a file may name.
"""

from sgmse.checkpoints.classes import CLASSES
from sgmse.checkpoints.hub import from_pretrained, push_to_hub, save_pretrained
from sgmse.checkpoints.locate import ENHANCING, PACKAGED, load_model, locate
from sgmse.checkpoints.native import Checkpoint, Effect, Quality, QualityName, load, save
from sgmse.checkpoints.published import convert
from sgmse.errors import CheckpointError

__all__ = [
    "CLASSES",
    "ENHANCING",
    "PACKAGED",
    "Checkpoint",
    "CheckpointError",
    "Effect",
    "Quality",
    "QualityName",
    "convert",
    "from_pretrained",
    "load",
    "load_model",
    "locate",
    "push_to_hub",
    "save",
    "save_pretrained",
]
