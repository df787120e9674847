"""Pairs on their way from the workers that make them to a step of training."""

import signal
from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor
from torch.utils.data import Dataset, default_collate
from typing_extensions import override

from sgmse.data.training_pairs import PairDataset
from sgmse.errors import SgmseError

#: A pair or a batch of them, or why there is none.
Delivered: TypeAlias = tuple[Tensor, Tensor] | SgmseError | OSError


class Delivery(Dataset[Delivered]):
    """Pairs, and errors as they are: of one that is raised in a worker only its text is left."""

    def __init__(self, pairs: PairDataset) -> None:
        self.pairs = pairs

    @override
    def __getitem__(self, index: int) -> Delivered:
        try:
            return self.pairs[index]
        except (SgmseError, OSError) as error:
            return error


def collated(items: Sequence[Delivered]) -> Delivered:
    """The pairs as a batch, or the first error among them."""
    pairs = []
    for item in items:
        if isinstance(item, Exception):
            return item
        pairs.append(item)
    clean, noisy = default_collate(pairs)
    return clean, noisy


def ignore_interrupts(worker: int) -> None:
    """Let Ctrl-C end the training, which then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
