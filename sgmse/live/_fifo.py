"""Samples that wait: first in, first out."""

from collections import deque

import numpy as np

from sgmse.audio import Block


class Fifo:
    """Blocks (channels, samples) in, as many samples as are asked for out."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.waiting = 0
        self._blocks: deque[Block] = deque()

    def put(self, block: Block) -> None:
        """Append samples; they are copied, as who gave them may write over them."""
        if block.shape[1]:
            self._blocks.append(np.array(block, np.float64))
            self.waiting += block.shape[1]

    def take(self, samples: int) -> Block:
        """The first samples, of which there are so many."""
        taken: list[Block] = [np.empty((self.channels, 0))]
        missing = samples
        while missing:
            block = self._blocks.popleft()
            if block.shape[1] > missing:
                self._blocks.appendleft(block[:, missing:])
                block = block[:, :missing]
            taken.append(block)
            missing -= block.shape[1]
        self.waiting -= samples
        return np.concatenate(taken, axis=1)
