"""Short-time objective intelligibility, about 0 to 1; higher is better.

STOI: Taal et al. 2011. ESTOI, the extended one, also counts how modulated the noise is: Jensen and
Taal 2016. They are not comparable with each other. Any sample rate: both work at 10 kHz inside.
Computed by the package `pystoi`. It adds noise of 1e-16 to signals in ESTOI, which is the same at
every call here, so that equal signals have equal scores to the last bit.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike

from sgmse._checks import rate
from sgmse._extras import imported
from sgmse.errors import MetricError
from sgmse.metrics._signals import compared

_DRAWING = Lock()  # held while the global generator is not the caller's

TOO_SHORT = 1e-5  # what pystoi returns, with only a warning, where it found no segment to score


def stoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """STOI of signals (samples,) with 0.4 s of speech or more. Raises `MetricError`."""
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """ESTOI of signals (samples,) with 0.4 s of speech or more. Raises `MetricError`."""
    return _stoi(reference, estimate, sample_rate, extended=True)


def _stoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int, extended: bool) -> float:
    s, s_hat = compared(reference, estimate, sample_rate, seconds=0.4)
    hertz = rate("the sample rate", sample_rate)
    pystoi = imported("pystoi", "this metric", "metrics")
    with _same_draws(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(pystoi.stoi(s, s_hat, hertz, extended=extended))
    if value == TOO_SHORT:
        raise MetricError(
            "less than 0.4 s of the reference is louder than 40 dB below its loudest part;"
            " STOI needs a longer one"
        )
    return value


@contextmanager
def _same_draws() -> Iterator[None]:
    """Inside, numpy's global generator, which pystoi draws from, starts anew; then it goes on.

    Threads wait for each other here, so that each puts back the state of the caller.
    """
    with _DRAWING:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
