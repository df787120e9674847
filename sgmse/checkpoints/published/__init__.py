"""Published checkpoints of other repositories, read without running anything in them.

A file comes in; a `Checkpoint` with the sampler that its authors use goes out. `read` is the only
door: `reader` finds the family of a file, and a module a family makes the model.
"""

from sgmse.checkpoints.published.reader import convert, read

__all__ = ["convert", "read"]
