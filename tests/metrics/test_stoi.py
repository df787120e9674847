"""STOI and ESTOI against the package itself, and its limits."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.metrics import MetricError, estoi, stoi

package = pytest.importorskip("pystoi")
DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0][:48000] for name in ("clean", "noisy"))


@pytest.mark.parametrize("rate", [10000, 16000, 48000])
def test_agrees_with_the_package(pair, rate):
    # 1e-9: the package adds random numbers of 1e-16 in the extended measure
    assert stoi(*pair, rate) == pytest.approx(package.stoi(*pair, rate), abs=1e-9)
    assert estoi(*pair, rate) == pytest.approx(package.stoi(*pair, rate, extended=True), abs=1e-9)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_a_perfect_estimate_scores_one(metric, pair):
    assert metric(pair[0], pair[0], 16000) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_too_short_is_an_error_and_not_a_number(metric, pair):
    clean, noisy = pair
    with pytest.raises(MetricError, match=r"0\.300 s are too short"):
        metric(clean[:4800], noisy[:4800], 16000)
    mostly_silent = np.where(np.arange(len(clean)) < 24000 + 3200, clean, 0)
    mostly_silent[:24000] = 0
    with pytest.warns(RuntimeWarning, match="Not enough STFT frames"):
        assert package.stoi(mostly_silent, noisy, 16000) == 1e-5  # what is guarded against
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MetricError, match=r"less than 0\.4 s of the reference"):
            metric(mostly_silent, noisy, 16000)
