"""Mean opinion scores predicted from the estimate alone, about 1 to 5; higher is better.

DNSMOS: P.835 (Reddy et al. 2022) of the speech signal, the background and the whole, and P.808
(Reddy et al. 2021), by the package `speechmos`, which is Microsoft's, with the models inside. It
scores windows of 9.01 s, 1 s apart, and takes their mean; a shorter recording is repeated until it
fills one. The level counts. DistillMOS (Stahl and Gamper 2025) by the package `distillmos`: windows
of 7.68 s, at most 1 s apart, each scaled to its peak; a shorter recording is filled with zeros.

No reference is needed, and none is made up for: a fluent recording of other words scores as well.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from io import StringIO
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgmse._extras import imported, missing
from sgmse.metrics._signals import checked

if TYPE_CHECKING:
    import torch

RATE = 16000


class DNSMOS(NamedTuple):
    """Predicted opinion of the speech, the background, the whole (P.835), the whole (P.808)."""

    sig: float
    bak: float
    ovrl: float
    p808: float


def dnsmos(estimate: ArrayLike, sample_rate: int) -> DNSMOS:
    """DNSMOS of a signal (samples,) at 16 kHz. Raises `MetricError`.

    Full scale is 1. A signal with a larger peak, which DNSMOS refuses, is scaled down to it.
    """
    (s_hat,) = checked({"estimate": estimate}, sample_rate, rates=(RATE,))
    s_hat = s_hat / max(1.0, np.abs(s_hat).max())
    try:
        from speechmos import dnsmos as package
    except ImportError as error:  # of what it needs itself, too
        raise missing(error.name or "speechmos", "this metric", "mos") from error
    scores = package.run(s_hat, RATE)
    keys = ("sig_mos", "bak_mos", "ovrl_mos", "p808_mos")
    return DNSMOS(*(float(scores[key]) for key in keys))


def distillmos(estimate: ArrayLike, sample_rate: int) -> float:
    """DistillMOS of a signal (samples,) at 16 kHz. Raises `MetricError`."""
    import torch  # a second, for each process that scores, which other metrics do not need

    (s_hat,) = checked({"estimate": estimate}, sample_rate, rates=(RATE,))
    audio = torch.from_numpy(s_hat.astype(np.float32))
    with torch.inference_mode():
        return float(_distillmos_model()(audio[None]))


@cache
def _distillmos_model() -> "torch.nn.Module":
    with importable("torchaudio"):
        package = imported("distillmos", "this metric", "distillmos")
    with redirect_stdout(StringIO()):  # it says where its weights are
        model: torch.nn.Module = package.ConvTransformerSQAModel().eval()
    return model


@contextmanager
def importable(name: str) -> Iterator[None]:
    """Let a module be imported that another imports without need.

    DistillMOS reads files for its own command line with torchaudio, whose wheels refuse to be
    loaded beside a PyTorch built for another CUDA version or for none.
    """
    try:
        __import__(name)
    except (ImportError, OSError):
        for module in [m for m in sys.modules if m.split(".")[0] == name]:
            del sys.modules[module]
        sys.modules[name] = ModuleType(name)
        try:
            yield
        finally:
            del sys.modules[name]
    else:
        yield
