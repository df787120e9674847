"""Whether the estimate has the voice of the reference: a cosine, 0 to 1; higher is better.

    <e(s), e(s_hat)> / (|e(s)| |e(s_hat)|)

where e is the embedding of an utterance by Wan et al. 2018, "Generalized end-to-end loss for
speaker verification", as the package `resemblyzer` trained it (weights inside, Apache 2.0): 256
values, none below 0, the mean over windows of 1.6 s. It also falls with what noise is left, as the
network was not made to be blind for it; two voices of one sex often have 0.6 and more. So compare
systems, and read no value as a probability.

Silence of more than 0.2 s is cut out of both where the reference has it, so that what is left of
noise in pauses is no voice. (The package would look for it by a detector of its own, in each by
itself.) Level is removed, as the package does for what is quiet.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse._extras import imported
from sgmse.errors import MetricError
from sgmse.metrics._signals import Signal, compared
from sgmse.metrics.mos import importable

RATE = 16000
SHORTEST = 0.8  # seconds, half a window
FRAME = 480  # samples, 30 ms
RANGE = 1e-4  # of the power of the loudest frame, below which it is silent
KEPT = 6  # silent frames around speech
LEVEL = 10 ** (-30 / 20)  # root mean square to which all is brought


def speaker_similarity(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Cosine of the voices in signals (samples,) at 16 kHz, 0.8 s or longer.

    Raises `MetricError`.
    """
    s, s_hat = compared(reference, estimate, sample_rate, rates=(RATE,), seconds=SHORTEST)
    kept = _spoken(s)
    if not s_hat[kept].any():
        raise MetricError("the estimate is silent where the reference speaks; leave this pair out")
    ours, theirs = (_embedding(signal[kept]) for signal in (s, s_hat))
    return float(ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs)))


def _spoken(reference: Signal) -> NDArray[np.bool_]:
    """Which samples are not of long silences."""
    count = -(-len(reference) // FRAME)
    frames = np.pad(reference, (0, count * FRAME - len(reference))).reshape(count, FRAME)
    power = (frames**2).mean(axis=1)
    loud = (power > RANGE * power.max()).astype(np.float64)
    near = np.convolve(loud, np.ones(KEPT + 1), "same") > 0.5
    return np.repeat(near, FRAME)[: len(reference)]


def _embedding(signal: Signal) -> NDArray[np.float64]:
    level = LEVEL / np.sqrt((signal**2).mean())
    embedding = _encoder().embed_utterance((level * signal).astype(np.float32))
    return np.asarray(embedding, np.float64)


@cache
def _encoder() -> Any:
    # Its detector of speech, which is not used here, may be one that this Python cannot load.
    with importable("webrtcvad"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        package = imported("resemblyzer", "this metric", "speaker")
    return package.VoiceEncoder("cpu", verbose=False)
