"""Recordings as streams, whose length does not matter: consecutive blocks (channels, any samples).

Iterators in, iterators out; each holds a few segments at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.floating]  # (channels, samples)


def cut(audio: Block, length: int = 1 << 16) -> Iterator[Block]:
    """An array (channels, samples) as a stream of blocks of `length`."""
    for start in range(0, audio.shape[1], length):
        yield audio[:, start : start + length]


def peaks(blocks: Iterable[Block]) -> NDArray[np.floating]:
    """The largest magnitude of each channel of a stream that is not empty, (channels,)."""
    levels: NDArray[np.floating] = np.max([np.abs(block).max(axis=1) for block in blocks], axis=0)
    return levels


def segments(blocks: Iterable[Block], length: int, overlap: int) -> Iterator[tuple[Block, bool]]:
    """Cut a stream into pieces of `length` that share `overlap` samples.

    Each comes with whether it is the last one, which has `length / 2` to `3 length / 2` samples
    (less if it is the only one), so that no piece lacks context.
    """
    held: list[Block] = []
    waiting = 0
    for block in blocks:
        held.append(block)
        waiting += block.shape[1]
        while waiting > length + length // 2:
            joined = np.concatenate(held, axis=1)
            yield joined[:, :length], False
            held = [joined[:, length - overlap :]]
            waiting -= length - overlap
    if waiting:
        yield np.concatenate(held, axis=1), True


def count_segments(samples: int, length: int, overlap: int) -> int:
    """How many pieces `segments` makes of so many samples."""
    return 1 + max(0, -(-(samples - length - length // 2) // (length - overlap)))


def in_segments(
    blocks: Iterable[Block],
    process: Callable[[Iterator[Block]], Iterable[Block]],
    length: int,
    overlap: int,
) -> Iterator[Block]:
    """What a process makes of the `segments`, in order and however late, faded over the overlaps.

        w old + (1 - w) new,      w = cos^2 from 1 to 0

    As many samples come out as went in, and what a process leaves alone comes out unchanged.
    """
    lasts: deque[bool] = deque()

    def cut_off() -> Iterator[Block]:
        for segment, last in segments(blocks, length, overlap):
            lasts.append(last)
            yield segment

    tail: Block | None = None
    for new in process(cut_off()):
        last = lasts.popleft()
        if tail is not None:
            w = np.cos(np.linspace(0, np.pi / 2, overlap)) ** 2
            head = new[:, :overlap]
            yield (head + w * (tail - head)).astype(new.dtype)
            new = new[:, overlap:]
        keep = new.shape[1] - (0 if last else overlap)
        tail = new[:, keep:]
        yield new[:, :keep]


def alongside(
    blocks: Iterable[Block], process: Callable[[Iterable[Block]], Iterator[Block]]
) -> Iterator[tuple[Block, Block]]:
    """What a process makes of blocks, with the same samples of its input, however late it is."""
    waiting: deque[Block] = deque()

    def remembered() -> Iterator[Block]:
        for block in blocks:
            waiting.append(block)
            yield block

    for made in process(remembered()):
        start = 0
        while start < made.shape[1]:
            original = waiting.popleft()
            part = min(original.shape[1], made.shape[1] - start)
            if part < original.shape[1]:
                waiting.appendleft(original[:, part:])
            yield made[:, start : start + part], original[:, :part]
            start += part


def mixed(
    blocks: Iterable[Block], process: Callable[[Iterable[Block]], Iterator[Block]], dry: float
) -> Iterator[Block]:
    """(1 - dry) process(blocks) + dry blocks, sample by sample."""
    if dry == 0:
        yield from process(blocks)
        return
    for wet, original in alongside(blocks, process):
        yield (1 - dry) * wet + dry * original
