"""What pictures of sounds are made of: powers over time and frequency, envelopes, pixels.

Recordings pass as streams of blocks (channels, samples), so that their length does not matter.
"""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sgmse.audio import Block

WINDOW = 0.032  # s
ROWS, COLUMNS = 128, 400  # of a spectrogram, at most
RANGE = 80.0  # dB from the brightest to the darkest
SHADES = 64  # fewer colours make smaller files
MAP = "magma"  # of Matplotlib: as bright as what it shows is loud, for all eyes


def powers(
    blocks: Iterable[Block],
    samples: int,
    sample_rate: int,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> NDArray[np.float64]:
    """Mean power over channels in bands and times: (at most rows, at most columns + 1).

    Hann windows of 32 ms, 8 to 16 ms apart: |sum w x exp(..)|^2 / (sum w)^2, so that a sine of full
    scale has 1/4. Neighbouring bins of equal number are averaged into bands, and so are frames
    where there are more than columns. Row 0 is the lowest.

    Args:
        blocks: (channels, any number of samples) each, `samples` in all.
        samples: of each channel.
        sample_rate: in Hz.
        rows, columns: the size of the picture, at most.
    """
    length = max(round(WINDOW * sample_rate), 8)
    each = samples / columns  # samples of a column, at least
    group = max(1, int(np.ceil(each / (length // 2))))  # frames of a column
    hop = max(length // 4, int(np.ceil(each / group)))
    frames = samples // hop + 1  # frame k is around the sample k hop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    window /= window.sum()
    total = np.zeros((-(-frames // group), length // 2 + 1))
    counts = np.bincount(np.arange(frames) // group)
    done = 0
    after = (frames - 1) * hop + length - length // 2 - samples
    for cut in _frames(_padded(blocks, length // 2, after), length, hop):
        power = (np.abs(np.fft.rfft(cut * window)) ** 2).mean(axis=0)
        np.add.at(total, np.arange(done, done + len(power)) // group, power)
        done += len(power)
    power = (total / counts[:, None]).T
    size = -(-len(power) // rows)
    whole = np.pad(power, ((0, -len(power) % size), (0, 0)), mode="edge")
    bands: NDArray[np.float64] = whole.reshape(-1, size, power.shape[1]).mean(axis=1)
    return bands


def _padded(blocks: Iterable[Block], before: int, after: int) -> Iterator[NDArray[np.float64]]:
    """A stream with silence before and after it."""
    channels = 0
    for block in blocks:
        if not channels:
            channels = len(block)
            yield np.zeros((channels, before))
        yield block.astype(np.float64)
    yield np.zeros((channels, after))


def _frames(
    blocks: Iterable[NDArray[np.float64]], length: int, hop: int
) -> Iterator[NDArray[np.float64]]:
    """All frames of a stream in pieces (channels, some, length)."""
    held: NDArray[np.float64] | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        count = (held.shape[1] - length) // hop + 1
        if count > 0:
            every = np.lib.stride_tricks.sliding_window_view(held, length, axis=1)
            yield every[:, ::hop][:, :count]
            held = held[:, count * hop :]


def envelope(blocks: Iterable[Block], samples: int, columns: int = 1200) -> NDArray[np.float64]:
    """The lowest and the highest sample of all channels in so many equal times: (2, <= columns)."""
    columns = min(columns, samples)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    done = 0
    for block in blocks:
        place = (np.arange(done, done + block.shape[1]) * columns) // samples
        np.minimum.at(low, place, block.min(axis=0))
        np.maximum.at(high, place, block.max(axis=0))
        done += block.shape[1]
    return np.stack([low, high])


def decibels(power: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Powers in dB below `peak`, at least -300."""
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power / (peak or 1.0), 1e-30))
    return level


def picture(power: NDArray[np.float64], peak: float) -> bytes:
    """A spectrogram (bands, times) as PNG, from `peak` down by 80 dB; a pixel for each value."""
    from matplotlib import colormaps
    from PIL import Image

    level = decibels(power, peak) / RANGE + 1  # 1 is the brightest
    shade = np.round(np.clip(level, 0, 1) * (SHADES - 1)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(shade[::-1]))
    colours = colormaps[MAP](np.linspace(0, 1, SHADES), bytes=True)[:, :3]
    image.putpalette(colours.tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
