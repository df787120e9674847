"""The voice in an estimate: identity, order with noise, other voices, and what is refused."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import speaker_similarity
from sgmse.metrics.speaker import FRAME, _spoken

DATA = Path(__file__).parent.parent / "data"
RATE = 16000


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0] for name in ("clean", "noisy"))


def test_what_is_refused_before_the_package_is_loaded(pair):
    with pytest.raises(MetricError, match="must be 16000 Hz, not 8000 Hz; resample"):
        speaker_similarity(*pair, 8000)
    with pytest.raises(MetricError, match=r"0\.500 s are too short; .* needs 0\.8 s"):
        speaker_similarity(pair[0][:8000], pair[1][:8000], RATE)
    speaks = np.r_[np.zeros(RATE), pair[0][: 2 * RATE]]
    only_before = np.r_[pair[1][: RATE // 2], np.zeros(len(speaks) - RATE // 2)]
    with pytest.raises(MetricError, match="silent where the reference speaks"):
        speaker_similarity(speaks, only_before, RATE)


def test_long_silences_are_cut_and_short_ones_kept():
    tone = np.sin(np.arange(20 * FRAME))
    short, long = np.zeros(5 * FRAME), np.zeros(40 * FRAME)
    assert _spoken(np.r_[tone, short, tone]).all()
    kept = _spoken(np.r_[tone, long, tone])
    assert kept.sum() == (40 + 6) * FRAME  # three frames beside each


@pytest.mark.slow  # its package takes seconds to load
@pytest.mark.skipif(find_spec("resemblyzer") is None, reason="resemblyzer is not installed")
def test_known_values(pair):
    clean, noise = pair[0], pair[1] - pair[0]
    scores = [speaker_similarity(clean, clean + gain * noise, RATE) for gain in (0, 0.1, 0.3, 1)]
    assert scores[0] == pytest.approx(1, abs=1e-6)
    assert scores == sorted(scores, reverse=True)
    assert speaker_similarity(clean, 0.01 * clean, RATE) == pytest.approx(1, abs=1e-3)
    # Played a third faster it is another voice; the same words, the same length.
    faster = np.interp(np.arange(0, len(clean), 4 / 3), np.arange(len(clean)), clean)
    faster = np.pad(faster, (0, len(clean) - len(faster)), mode="wrap")
    assert speaker_similarity(clean, faster, RATE) < 0.8
