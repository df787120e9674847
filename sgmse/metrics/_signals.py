"""What every metric asks of the signals it compares, checked in one place; and their frames."""

from collections.abc import Collection, Mapping
from math import inf

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from sgmse._checks import real
from sgmse.errors import MetricError

Signal = NDArray[np.float64]  # (samples,)
Frames = NDArray[np.float64]  # (frames, samples)


def checked(
    signals: Mapping[str, ArrayLike],
    sample_rate: int,
    *,
    rates: Collection[int] | None = None,
    seconds: float = 0.0,
) -> list[Signal]:
    """The signals, named for the messages, as float64 arrays (samples,) that can be compared.

    Raises `MetricError` unless each is one channel of finite samples, not empty, not silent, all
    are equally long and longer than `seconds`, and `sample_rate` (Hz) is one of `rates`, if given.
    """
    real("the sample rate", sample_rate)
    if not 0 < sample_rate < inf or (rates is not None and sample_rate not in rates):
        known = "positive" if rates is None else " or ".join(f"{rate} Hz" for rate in rates)
        raise MetricError(
            f"the sample rate must be {known}, not {sample_rate} Hz;"
            " resample both signals first (sgmse.audio.resample)"
        )
    arrays = {name: _array(name, signal) for name, signal in signals.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise MetricError(f"the signals differ in samples ({shown}); align and trim them first")
    shortest = min(lengths.values())
    if shortest < seconds * sample_rate:
        raise MetricError(
            f"{shortest / sample_rate:.3f} s are too short; this metric needs {seconds} s or more"
        )
    return list(arrays.values())


def compared(
    reference: ArrayLike,
    estimate: ArrayLike,
    sample_rate: int,
    *,
    rates: Collection[int] | None = None,
    seconds: float = 0.0,
) -> tuple[Signal, Signal]:
    """Reference and estimate, `checked`."""
    signals = {"reference": reference, "estimate": estimate}
    s, s_hat = checked(signals, sample_rate, rates=rates, seconds=seconds)
    return s, s_hat


def framed(signal: Signal, length: int, hop: int) -> Frames:
    """Every whole frame of `length` samples, `hop` apart, as a view of the signal (samples,)."""
    if hop < 1:
        raise MetricError("the sample rate is too low for frames; resample both signals first")
    return sliding_window_view(signal, length)[::hop]


def _array(name: str, signal: ArrayLike) -> Signal:
    array = np.asarray(signal)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind != "f":
        raise MetricError(
            f"{name} must be one channel of floats of shape (samples,), not {array.dtype} of shape"
            f" {array.shape}; score each channel by itself"
        )
    array = array.astype(np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        raise MetricError(f"{name} is not finite at sample {finite.argmin()}; repair it first")
    if not array.any():
        raise MetricError(f"{name} is silent; leave this pair out, there is nothing to compare")
    return array
