"""What one adds for the files of another code: a `Family`, in a module of its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sgmse.checkpoints.native import Checkpoint

#: The dictionary in a file. Tensors are views of the file, and what is unknown is a `Stub`.
Contents = Mapping[Any, Any]


@dataclass(frozen=True)
class Family(ABC):
    """The files of one research code. One is added by its module and a name in `_reader.FAMILIES`.

    `_settings` and `_weights` have what families share. Errors are `CheckpointError`s that do not
    name the file; a `ValueError` of a class that refuses its constants becomes one.
    """

    @abstractmethod
    def recognises(self, contents: Contents) -> bool:
        """Whether the contents of a file are of this family; of any file, so that nothing raises.

        None may recognise what belongs to another.
        """

    @abstractmethod
    def read(self, contents: Contents, compat: str | None) -> Checkpoint:
        """The model, with the sampler that belongs to it.

        Args:
            contents: that it recognises.
            compat: None for the exact sampler, "sgmse" for the arithmetic of the published code.
        """
