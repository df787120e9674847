"""ViSQOL, virtual speech quality objective listener, as MOS-LQO from 1 to 5; higher is better.

Chinen et al. 2020, "ViSQOL v3: an open source production ready objective speech and audio metric":
how alike the spectrograms of both are, patch by patch after each was aligned, in 21 bands of a
Gammatone filter bank; a lattice network, the default of the original, makes an opinion of it.
Level is removed. Equal signals have 4.5 or so. The network was fitted to codecs and calls: it asks
much of noise, and does not order what is near 1 (the first 3 s of this project's test recording:
4.4, 3.9, 3.1, 1.0 and 1.1 at SI-SDRs of 46, 37, 26, 17 and 6 dB). It is for what is nearly clean.

Computed by the package `visqol-python`, in which the weights are (Apache 2.0), in speech mode.
"""

import os
from functools import cache
from typing import Any

from numpy.typing import ArrayLike

from sgmse._extras import imported, require
from sgmse.errors import MetricError
from sgmse.metrics._signals import compared

RATE = 16000
SHORTEST = 1.0  # seconds; a patch is 0.4 s, and a quarter of it is searched to each side


def visqol(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """ViSQOL in speech mode of signals (samples,) at 16 kHz, 1 s or longer.

    Raises `MetricError`.
    """
    s, s_hat = compared(reference, estimate, sample_rate, rates=(RATE,), seconds=SHORTEST)
    model = _model()
    try:
        return float(model.measure_from_arrays(s, s_hat, RATE).moslqo)
    except (ValueError, IndexError, RuntimeError) as error:  # of the package
        raise MetricError(
            f"ViSQOL cannot score this pair ({error}); it needs half a second of speech or more"
        ) from error


@cache
def _model() -> Any:
    """The model, which a process loads once."""
    # Compiled loops keep to one core, as all that scores does: see `sgmse.scoring.workers`.
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    package = imported("visqol", "this metric", "visqol")
    require("ai_edge_litert", "this metric", "visqol")  # without it, it would map in another way
    model = package.VisqolApi()
    model.create(mode="speech", use_lattice_model=True)
    return model
