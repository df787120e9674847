"""Recordings in memory: an array or a tensor as a caller has it, and the result as he has it.

    recording = InMemory.of(audio)
    result = recording.like([process(rows) for rows in recording.rows])

Shapes: (samples,), (channels, samples), (samples, channels) as soundfile and scipy give it, and
(batch, channels, samples). Numbers: floats of full scale 1; integers, of full scale

    int8  128,      int16  32768,      int32  2^31,      uint8  128 around 128 (as in WAV files)

24 bit integers are int32: as readers of files give them, shifted up by 8 bits, or not, since the
level of a recording does not matter.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgmse._checks import article, shown
from sgmse.audio._streams import Block
from sgmse.errors import ArgumentError, ArgumentTypeError, ClippingWarning, RecordingWarning

#: More channels than these are not taken for channels where samples could be meant.
MOST_CHANNELS = 64
#: Kind of integer -> (the value of silence, full scale).
INTEGERS = {
    "int8": (0.0, 2.0**7),
    "uint8": (2.0**7, 2.0**7),
    "int16": (0.0, 2.0**15),
    "int32": (0.0, 2.0**31),
}


@dataclass(frozen=True, eq=False)
class InMemory:
    """A recording, or a batch of them, that a caller holds.

    Args:
        audio: what the caller gave.
        rows: a recording each, (channels, samples): float64 if it is so precise, else float32.
        last: whether its channels are the last axis.
    """

    audio: Any
    rows: tuple[Block, ...]
    last: bool

    @classmethod
    def of(cls, audio: object) -> InMemory:
        """What an array or a tensor holds, which is never changed.

        Raises:
            TypeError: what is neither, or holds no numbers of a known full scale.
            ValueError: what is empty, not finite, or of a shape that is none of a recording.

        Warns:
            RecordingWarning: a shape that could be either way round is taken as it is documented.
        """
        array = _plain(audio)
        last = _channels_last(array.shape)
        array = np.swapaxes(array, -1, -2) if last else array
        array = array.reshape((1,) * (3 - array.ndim) + array.shape)
        rows = _floats(array)
        if not np.isfinite(rows).all():
            raise ArgumentError("audio holds NaN or infinite samples; replace them first")
        return cls(audio, tuple(rows), last)

    def like(self, results: Sequence[Block]) -> Any:
        """Results shaped as `rows`, as what the caller gave: type, precision, device, layout.

        Integers are rounded; warns (`ClippingWarning`) where they were clipped for it.
        """
        import torch  # a second, which who only reads files does not wait for

        out = np.stack(results)
        out = np.swapaxes(out, -1, -2) if self.last else out
        out = np.ascontiguousarray(out).reshape(tuple(self.audio.shape))
        if not isinstance(self.audio, torch.Tensor):
            return _integers(out, self.audio.dtype).astype(self.audio.dtype, copy=False)
        if not self.audio.is_floating_point():
            out = _integers(out, np.dtype(str(self.audio.dtype).removeprefix("torch.")))
        return torch.from_numpy(out).to(self.audio.device, self.audio.dtype)


def floats_of(audio: object) -> Block:
    """The numbers of an array or a tensor of any shape as floats of full scale 1, NaN among them.

    Raises `ArgumentTypeError` for what is neither, or holds no numbers of a known full scale.
    """
    return _floats(_plain(audio))


def _plain(audio: object) -> np.ndarray[Any, Any]:
    """The numbers of an array or a tensor, in an array of numpy; perhaps those of the caller."""
    if isinstance(audio, np.ma.MaskedArray):
        raise ArgumentTypeError("audio is a masked array; fill its gaps first, audio.filled(0)")
    if isinstance(audio, np.ndarray):
        if not (np.issubdtype(audio.dtype, np.floating) or audio.dtype.name in INTEGERS):
            raise ArgumentTypeError(_numbers(str(audio.dtype)))
        return np.asarray(audio)
    import torch

    if not isinstance(audio, torch.Tensor):
        raise ArgumentTypeError(_neither(audio))
    kind = str(audio.dtype).removeprefix("torch.")
    if not (audio.is_floating_point() or kind in INTEGERS):
        raise ArgumentTypeError(_numbers(kind))
    if audio.layout != torch.strided or audio.is_meta:
        what = "of the device meta, which holds no samples" if audio.is_meta else "sparse"
        raise ArgumentTypeError(f"audio is a tensor {what}; pass one with all of its samples")
    if audio.is_floating_point():  # numpy has no bfloat16
        audio = audio.to(torch.float64 if audio.dtype.itemsize > 4 else torch.float32)
    return audio.numpy(force=True)


def _neither(audio: object) -> str:
    """What to do about what is neither an array nor a tensor."""
    what, remedy = shown(audio), 'convert it first, numpy.asarray(audio, "float32")'
    if isinstance(audio, str | os.PathLike | bytes):
        remedy = "name a file with enhance_file(source)"
    elif isinstance(audio, int | float | np.number):
        remedy = "the recording comes first, then its rate: enhancer(audio, sample_rate)"
    elif isinstance(audio, tuple) and len(audio) == 2:
        what = article(type(audio).__name__)
        remedy = "pass what a reader of files gives one by one: enhancer(audio, sample_rate)"
    elif audio is not None:
        what = article(type(audio).__name__)
    return f"audio must be a numpy array or a tensor, not {what}; {remedy}"


def _numbers(dtype: str) -> str:
    known = ", ".join(sorted(INTEGERS))
    return (
        f"audio must hold floating point numbers in [-1, 1] or one of {known}, whose full scale is "
        f"known, not {dtype}; convert it first"
    )


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Whether a shape is (samples, channels); says, or refuses, what could be either."""
    if len(shape) not in (1, 2, 3):
        raise ArgumentError(
            "audio must be (samples,), (channels, samples), (samples, channels) or "
            f"(batch, channels, samples), not {shape}"
        )
    if 0 in shape:
        raise ArgumentError(f"audio of shape {shape} is empty; give at least one sample")
    if len(shape) == 1:
        return False
    first, second = shape[-2:]
    turned = first > MOST_CHANNELS >= second
    if len(shape) == 3:
        if turned:  # no reader of files gives that: to be said, not guessed
            raise ArgumentError(
                f"audio of shape {shape} looks like (batch, samples, channels); pass "
                "audio.swapaxes(1, 2), which is (batch, channels, samples)"
            )
        return False
    explicit = "as audio[None], (1, channels, samples), it is always taken so"
    if first > MOST_CHANNELS and not turned and second < 16 * first:
        raise ArgumentError(
            f"audio of shape {shape} could be (channels, samples) or (samples, channels): "
            f"{explicit}, and as audio[:, None] it is a batch"
        )
    if second <= MOST_CHANNELS and not turned and first > 1:
        warnings.warn(
            f"audio of shape {shape} is taken as {first} channels of {second} samples; if it is "
            f"(samples, channels), pass audio.T, and {explicit}",
            RecordingWarning,
            stacklevel=4,
        )
    return turned


def _floats(array: np.ndarray[Any, Any]) -> Block:
    """Numbers of any kind as floats of full scale 1."""
    if array.dtype.name in INTEGERS:
        silence, scale = INTEGERS[array.dtype.name]
        numbers: Block = array.astype(np.float64 if array.dtype.itemsize > 2 else np.float32)
        return (numbers - silence) / scale
    floats: Block = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
    return floats


def _integers(audio: Block, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Floats as numbers of that kind; only integers need rounding and may need clipping."""
    if dtype.name not in INTEGERS:
        return audio
    silence, scale = INTEGERS[dtype.name]
    clipped = int((np.abs(audio) > 1).sum())
    if clipped:
        warnings.warn(
            f"{clipped} samples were clipped, as {dtype.name} holds no larger ones; lower the "
            "level of the input, or convert it to float samples",
            ClippingWarning,
            stacklevel=4,
        )
    known = np.iinfo(dtype)
    rounded = np.rint(audio.astype(np.float64) * scale + silence).clip(known.min, known.max)
    return rounded.astype(dtype)
