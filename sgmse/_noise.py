"""The noise of enhancement: of keys, drawn on the host, and on a device before it is asked for.

On every device the numbers are the same, bit for bit, as numpy draws them on the host. A generator
on the device would have to be another one, and would gain nothing: 20 s at 16 kHz take 13 ms of
one core, and less than one to be copied, while the network takes longer for them on any device. So
the next noise is drawn, in other threads, while the device computes with this one.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from sgmse._device import sent


class Draws:
    """CN(0, 1) noise that depends on a seed, a segment, a place and the number of the draw alone.

    Every item of a batch gets the same noise, and the first frames get the same whatever is padded
    after them.
    """

    def __init__(self, seed: int, segment: int, place: int = 0) -> None:
        self.seed, self.segment, self.place = seed, segment, place
        self.count = 0

    @property
    def key(self) -> tuple[int, int, int]:
        """What the noise depends on, beside the number of the draw."""
        return self.seed, self.segment, self.place

    def __call__(self, like: Tensor) -> Tensor:
        """Noise like a complex (batch, 1, frequency, frame) tensor."""
        *_, frequencies, frames = like.shape
        noise = self.drawn(frequencies, frames).T
        self.count += 1
        return noise.to(like.device, like.dtype).expand_as(like)

    def drawn(self, frequencies: int, frames: int) -> Tensor:
        """The noise of this draw, (frame, frequency), on the host."""
        generator = np.random.default_rng([self.seed, self.segment, self.count, self.place])
        z = generator.standard_normal((frames, frequencies, 2), dtype=np.float32)
        return torch.view_as_complex(torch.from_numpy(z)) / 2**0.5


class ManyDraws:
    """The noise of a batch, whose items have `Draws` of their own; equal ones are drawn once."""

    def __init__(self, draws: Sequence[Draws]) -> None:
        kinds = {one.key: one for one in draws}
        self.kinds = list(kinds.values())
        self.kind = [list(kinds).index(one.key) for one in draws]
        self.next: Future[Tensor] | None = None

    def __call__(self, like: Tensor) -> Tensor:
        """Noise like a complex (batch, 1, frequency, frame) tensor; each item has its own."""
        *_, frequencies, frames = like.shape
        z = self.drawn(frequencies, frames) if self.next is None else self.next.result()
        for one in self.kinds:
            one.count += 1
        if like.device.type != "cpu":
            self.next = _ahead().submit(self.drawn, frequencies, frames)
        noise = sent(z.to(like.dtype), like.device).transpose(1, 2)[:, None]
        if len(self.kinds) == 1:
            return noise.expand_as(like)
        return torch.cat([noise[i : i + 1] for i in self.kind])

    def drawn(self, frequencies: int, frames: int) -> Tensor:
        """(kinds, frame, frequency), on the host."""
        return torch.stack([one.drawn(frequencies, frames) for one in self.kinds])


@cache
def _ahead() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "sgmse-noise")
