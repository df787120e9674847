"""The model restore brings back what was lost, and the default does less."""

from pathlib import Path

import numpy as np
import pytest

import sgmse
from sgmse.audio import read
from sgmse.data.degradations import Clip, Codec, Degradation, PacketLoss, Resampled
from sgmse.metrics import lsd, pesq_wb

CLEAN = Path(__file__).resolve().parent / "data" / "clean.wav"
NOISE = 0.1  # of PESQ, what it moves without a reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        Clip(1.0, level=(15, 15)),
        PacketLoss(1.0, rate=(0.15, 0.15), concealments=("silence",)),
        Codec(1.0, coders=("gsm",)),
    ],
    ids=lambda harm: type(harm).__name__,
)
def test_what_was_lost_comes_back(harm: Degradation):
    clean = read(CLEAN)[0][0].astype(np.float32)
    spoilt = harm(clean, np.random.default_rng(0), 16000).astype(np.float32)
    before = pesq_wb(clean, spoilt, 16000)
    restored, other = (
        pesq_wb(clean, sgmse.load(name)(spoilt, 16000), 16000) for name in ("restore", "default")
    )
    assert restored > before + NOISE
    assert restored > other - NOISE


@pytest.mark.slow
def test_a_band_comes_back_in_level():
    """PESQ falls here, as the recording had little there: the card says in how many it does."""
    clean = read(CLEAN)[0][0].astype(np.float32)
    narrow = Resampled(1.0, rates=(8000,))(clean, np.random.default_rng(0), 16000)
    narrow = narrow.astype(np.float32)
    restored = sgmse.load("restore")(narrow, 16000)
    assert lsd(clean, restored, 16000) < 0.5 * lsd(clean, narrow, 16000)
