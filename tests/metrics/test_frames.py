"""How the frames of Hu and Loizou are cut, and the mean over the best of them."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics._signals import framed
from sgmse.metrics.composite import SHORTEST, best_mean, windowed


@pytest.mark.parametrize(("samples", "count"), [(640, 1), (719, 1), (720, 2), (16000, 129)])
def test_frames_of_30_ms_without_the_last_whole_one(samples, count):
    frames = windowed(np.ones(samples), 16000)
    assert frames.shape == (count, 480)
    assert frames[0] == pytest.approx(np.hanning(482)[1:-1])


def test_frames_are_a_quarter_apart():
    window = np.hanning(482)[1:-1]
    frames = windowed(np.arange(2000.0), 16000)
    assert frames / window == pytest.approx(120 * np.arange(12)[:, None] + np.arange(480))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_the_shortest_signal_has_a_frame_at_every_rate(rate):
    assert len(windowed(np.ones(round(SHORTEST * rate)), rate)) >= 1


def test_a_rate_without_frames():
    with pytest.raises(MetricError, match="sample rate is too low"):
        framed(np.ones(10), 3, 0)


@pytest.mark.parametrize(("frames", "kept"), [(1, 1), (10, 10), (20, 19), (30, 29), (100, 95)])
def test_best_95_percent(frames, kept):
    distances = np.random.default_rng(0).permutation(frames).astype(float)
    assert best_mean(distances) == pytest.approx(np.arange(kept).mean())
