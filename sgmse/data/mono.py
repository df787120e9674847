"""Recordings of several channels as one: their mean, but where it would cancel what they hold.

Of N channels x_k, of the power P, which have nothing to do with each other, the mean has the power
P / N. Where it has less than a tenth of that, the channels are the same sound with opposite signs,
as of a cable with wrong polarity; their mean would be what is left of rounding. There the mono
signal is the first channel.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sgmse import audio
from sgmse.audio import Samples
from sgmse.data.degradations import Audio
from sgmse.errors import RecordingWarning

LEFT = 0.1  # of the power that the mean of independent channels has, below which they cancel


class Mono(NamedTuple):
    """A recording as float32 (samples,), and whether it is one channel, as all would cancel."""

    samples: Audio
    cancels: bool = False


def mono(file: Path, sample_rate: int) -> Mono:
    """A recording as one channel at a rate. Raises `AudioError`."""
    (result,) = alike([file], sample_rate)
    return result


def read_mono(file: Path, sample_rate: int) -> Audio:
    """The samples of `mono`, (samples,). Raises `AudioError`."""
    return mono(file, sample_rate).samples


def alike(files: Sequence[Path], sample_rate: int) -> list[Mono]:
    """Recordings of the same sound, clean and noisy: the mean of all, or the first channel of all.

    Raises `AudioError`.
    """
    read = [audio.read(file) for file in files]
    cancels = any(cancel(samples) for samples, _ in read)
    folded = (samples[0] if cancels else samples.mean(axis=0) for samples, _ in read)
    return [
        Mono(_resampled(one, about.sample_rate, sample_rate), cancels)
        for one, (_, about) in zip(folded, read, strict=True)
    ]


def cancel(samples: Samples) -> bool:
    """Whether the channels (channels, samples) cancel each other."""
    if len(samples) == 1:
        return False
    squares = [np.vdot(channel, channel) for channel in (*samples, samples.mean(axis=0))]
    *each, mean = squares
    return bool(mean < LEFT * np.mean(each) / len(samples))


def warn_of_cancelling(files: Sequence[Path]) -> None:
    """Say of which files only the first channel is used, if there are any."""
    if files:
        more = f" (and {len(files) - 1} more such files)" if len(files) > 1 else ""
        warnings.warn(
            f"{files[0]}: its channels cancel each other, so the first one is taken in place of "
            f"their mean{more}; check the polarity",
            RecordingWarning,
            stacklevel=2,
        )


def _resampled(samples: Audio, rate: int, sample_rate: int) -> Audio:
    if rate == sample_rate:
        return samples
    resampled: Audio = audio.resample(torch.from_numpy(samples), rate, sample_rate).numpy()
    return resampled
