"""How many utterances PESQ finds in a reference: its code has room for 50, and does not look.

As ITU-T P.862 has it: the reference as it is heard (P.862.2, or by telephone), through a filter for
the band of speech, in windows of 4 ms, of which those are speech whose power is above a threshold
for the noise between. Parts that are at most 200 ms apart are one utterance; what is shorter than
that is none. Where the estimate is far too late, PESQ leaves out utterances that are counted here.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgmse.metrics._signals import Signal

Mode = Literal["wb", "nb"]
Spans = NDArray[np.int64]  # (utterances, 2), the first window of each and the one after its last

ROOM = 50  # utterances
PADDING = 75  # windows of silence before the signal and after it
RINGING = 0.32  # seconds after the signal, in which its filters ring
CLICK = 4  # windows up to which nothing is speech
SHORTEST, FARTHEST = 50, 50  # windows: an utterance, and parts of the same
EDGE = 2  # windows that are put to each side of an utterance
FLOOR = 1e-4  # of the power of the loudest window, what none is below
ROUNDS = 12  # of the search for the threshold
LOUD = 1000.0  # speech to noise above which parts of less than 3 thresholds are none

# What is heard of P.862.2, by sample rate in Hz, and P.862's filter for the band of speech:
# sections b0, b1, b2, 1, a1, a2.
HEARD = (2.740826, -5.4816519, 2.740826, 1.0, -1.9444777, 0.94597794)
BAND = {
    8000: (
        (0.885535424, -0.885535424, 0.0, 1.0, -0.771070709, 0.0),
        (0.895092588, 1.292907193, 0.449260174, 1.0, 1.268869037, 0.442025372),
        (4.049527940, -7.865190042, 3.815662102, 1.0, -1.746859852, 0.786305963),
        (0.500002353, -0.500002353, 0.0, 1.0, 0.0, 0.0),
        (0.565002834, -0.241585934, -0.306009671, 1.0, 0.259688659, 0.249979657),
        (2.115237288, 0.919935084, 1.141240051, 1.0, -1.587313419, 0.665935315),
        (0.912224584, -0.224397719, -0.641121413, 1.0, -0.246029464, -0.556720590),
        (0.444617727, -0.307589321, 0.141638062, 1.0, -0.996391149, 0.502251622),
    ),
    16000: (
        (0.325631521, -0.086782860, -0.238848661, 1.0, -1.079416490, 0.434583902),
        (0.403961804, -0.556985881, 0.153024077, 1.0, -0.415115835, 0.696590244),
        (4.736162769, 3.287251046, 1.753289019, 1.0, -1.859599046, 0.876284034),
        (0.365373469, 0.0, 0.0, 1.0, -0.634626531, 0.0),
        (0.884811506, 0.0, 0.0, 1.0, -0.256725271, 0.141536777),
        (0.723593055, -1.447186099, 0.723593044, 1.0, -1.129587469, 0.657232737),
        (1.644910855, -1.817280902, 1.249658063, 1.0, -1.778403899, 0.801724355),
        (0.633692689, -0.284644314, -0.319789663, 1.0, 0.0, 0.0),
        (1.032763031, 0.268428979, 0.602913323, 1.0, 0.0, 0.0),
        (1.001616361, -0.823749013, 0.439731942, 1.0, -0.885778255, 0.0),
        (0.752472096, -0.375388990, 0.188977609, 1.0, -0.077258216, 0.247230734),
        (1.023700575, 0.001661628, 0.521284240, 1.0, -0.183867259, 0.354324187),
    ),
}
# The telephone of P.862: Hz and dB, straight lines between.
TELEPHONE = (
    *((0, -200), (50, -40), (100, -20), (125, -12), (160, -6), (200, 0), (250, 4), (300, 6)),
    *((350, 8), (400, 10), (500, 11), (600, 12), (3250, 12), (3500, 4), (4000, -200)),
    (8000, -200),
)


def window(sample_rate: int) -> int:
    """Samples of a window."""
    return sample_rate // 250


def surely_fit(samples: int, sample_rate: int) -> bool:
    """Whether a signal of so many samples is too short for more utterances than there is room."""
    period = SHORTEST - 2 * EDGE + FARTHEST + 1  # the shortest utterance, the shortest pause
    return samples // window(sample_rate) + 2 * PADDING < ROOM * period


def fit(reference: Signal, sample_rate: int, mode: Mode) -> tuple[bool, int]:
    """Whether the utterances of a reference (samples,) have room, and how many there are.

    What begins after the last for which there is room has none, even if it is too short to count.
    """
    lengths = np.diff(spans(reference, sample_rate, mode), axis=1)[:, 0]
    counted = np.cumsum(lengths >= SHORTEST)
    before_last = counted[-2] if len(counted) > 1 else 0
    return bool(before_last < ROOM), int(counted[-1]) if len(counted) else 0


def spans(reference: Signal, sample_rate: int, mode: Mode) -> Spans:
    """All that is speech in a reference (samples,), in windows from the start of the padding."""
    from scipy.signal import sosfilt  # most recordings are so short that nobody counts

    size = window(sample_rate)
    before, after = PADDING * size, round(RINGING * sample_rate)
    heard = _heard(reference, sample_rate, mode, after)
    heard[: len(reference)] -= heard[: len(reference)].sum() / (len(reference) + 2 * before)
    ramp = (np.arange(size) + 0.5) / size
    heard[:size] *= ramp
    heard[len(reference) - size : len(reference)] *= ramp[::-1]
    padded = np.pad(heard, (before, max(before - after, 0)))
    signal = sosfilt(np.array(BAND[sample_rate]), padded)
    count = len(reference) // size + 2 * PADDING
    power = (signal[: count * size].reshape(count, size) ** 2).mean(axis=1)
    return _speech(power)


def _heard(reference: Signal, sample_rate: int, mode: Mode, after: int) -> Signal:
    """The reference and so many samples after it, as it is heard."""
    from scipy.fft import irfft, rfft
    from scipy.signal import sosfilt

    if mode == "wb":
        ends = reference.copy()
        ends[:15] *= np.arange(1, 16) / 16
        ends[-15:] *= np.arange(15, 0, -1) / 16
        return np.pad(sosfilt(np.array([HEARD]), ends), (0, after))
    samples = len(reference) + after
    n = 1 << (samples - 1).bit_length()
    hertz, curve = np.array(TELEPHONE).T
    gain = 10 ** ((np.interp(np.fft.rfftfreq(n, 1 / sample_rate), hertz, curve) - 12) / 20)
    heard: Signal = irfft(rfft(reference, n) * gain, n)[:samples]
    return heard


def _speech(power: Signal) -> Spans:
    """The parts of windows (windows,) of such powers that are speech."""
    power = np.maximum(power, FLOOR * power.max())
    threshold = power.mean()
    for _ in range(ROUNDS):
        quiet = power[power <= threshold]
        noise, spread = (quiet.mean(), quiet.std()) if len(quiet) else (0.0, 0.0)
        threshold = 1.001 * (noise + 2 * spread)
    loud = power > threshold
    if not loud.any():
        return np.array([[1, len(power) - 1]])
    noise = 1.0 if loud.all() else power[~loud].mean()
    level = power[loud].mean()
    loud[[0, -1]] = False
    parts = _runs(loud)
    parts = parts[np.diff(parts, axis=1)[:, 0] > CLICK]
    if level >= LOUD * noise:
        sums = np.array([power[first:end].sum() for first, end in parts])
        parts = parts[sums >= 3 * threshold * np.diff(parts, axis=1)[:, 0]]
    if not len(parts):
        return np.array([[1, len(power) - 1]])
    apart = parts[1:, 0] - parts[:-1, 1] > FARTHEST
    first = parts[np.append(True, apart), 0] - EDGE
    end = parts[np.append(apart, True), 1] + EDGE
    return np.stack([np.maximum(first, 0), np.minimum(end, len(power))], axis=1)


def _runs(flags: NDArray[np.bool_]) -> Spans:
    """Where the flags (n,), of which the first and the last are not set, are."""
    return np.flatnonzero(np.diff(flags)).reshape(-1, 2) + 1
