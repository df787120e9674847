"""Published checkpoints of other repositories, read without running anything in them.

A file comes in; a `Checkpoint` with the sampler that its authors use goes out, or, of `convert`, a
folder of the native format. Whoever adds a family writes a `Family` in a module of its own.
"""

from sgmse.checkpoints.published._reader import convert, read

__all__ = ["convert", "read"]
