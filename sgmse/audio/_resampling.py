"""Audio at another sample rate, whole or block by block, without aliasing that is heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import soxr

from sgmse._checks import an, rate, whole
from sgmse.audio._streams import Block
from sgmse.errors import ArgumentTypeError

if TYPE_CHECKING:
    from torch import Tensor


def resampled_length(n: int, source_rate: int, target_rate: int) -> int:
    """Samples that n samples become: ceil(n target_rate / source_rate).

    >>> resampled_length(44100, 44100, 16000)
    16000
    """
    source_rate, target_rate = (rate("sample rate", given) for given in (source_rate, target_rate))
    return -(-n * target_rate // source_rate)


def resample(
    audio: Tensor, source_rate: int, target_rate: int, length: int | None = None
) -> Tensor:
    """Band-limited resampling without delay: sample k of the result is the signal at k/target_rate.

    Shape: (..., n) float32 or float64 -> (..., resampled_length(n)), or (..., length). Outside its
    n samples the signal is zero. A round trip is at least n long; its `length=n` gives exactly n.
    The filter is soxr's VHQ: linear phase, aliases below -140 dB. Not differentiable.
    """
    import torch  # a second, which who only reads files does not wait for

    an("audio", audio, torch.Tensor, "a float tensor of shape (..., samples)")
    if length is not None:
        whole("length", length, least=0)
    if audio.dtype not in (torch.float32, torch.float64):
        raise ArgumentTypeError(
            f"resample takes float32 or float64, not {audio.dtype}; convert it first"
        )
    *batch, n = audio.shape
    length = resampled_length(n, source_rate, target_rate) if length is None else length
    if audio.numel() == 0:
        return audio.new_zeros(*batch, length)
    flat = audio.detach().reshape(-1, n).cpu().numpy()
    parts = list(resample_blocks([flat], source_rate, target_rate, length))
    return torch.from_numpy(np.concatenate(parts, axis=1)).reshape(*batch, length).to(audio.device)


def resample_blocks(
    blocks: Iterable[Block], source_rate: int, target_rate: int, length: int | None = None
) -> Iterator[Block]:
    """`resample` of a signal that comes in consecutive blocks (channels, any number of samples).

    The blocks that go out have other sizes; together they are `resample` of the whole.
    """
    stream, n, done = None, 0, 0
    for block in blocks:
        if stream is None:
            channels, dtype = len(block), block.dtype
            stream = soxr.ResampleStream(source_rate, target_rate, channels, dtype, "VHQ")
        n += block.shape[1]
        out = stream.resample_chunk(np.ascontiguousarray(block.T))
        out = out if length is None else out[: length - done]
        done += len(out)
        yield np.ascontiguousarray(out.T)
    if stream is not None:
        length = resampled_length(n, source_rate, target_rate) if length is None else length
        needed = resampled_length(length, target_rate, source_rate)  # soxr rounds, we round up
        zeros = np.zeros((max(needed - n, 0), channels), dtype)
        yield np.ascontiguousarray(stream.resample_chunk(zeros, last=True)[: length - done].T)
