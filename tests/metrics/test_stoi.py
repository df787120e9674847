"""STOI and ESTOI against the package itself, and its limits."""

# ruff: noqa: NPY002, the package draws from the old global generator

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import estoi, stoi

package = pytest.importorskip("pystoi")
DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0][:48000] for name in ("clean", "noisy"))


@pytest.mark.parametrize("rate", [10000, 16000, 48000])
def test_agrees_with_the_package(pair, rate):
    # 1e-9: in the extended measure the package adds random numbers of 1e-16, other ones each time
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


@pytest.mark.slow
@pytest.mark.parametrize("metric", [stoi, estoi])
def test_equal_signals_have_equal_scores_to_the_bit(metric, pair):
    clean, noisy = (signal[:24000] for signal in pair)
    noisy = np.where(np.arange(24000) % 8000 < 4000, noisy, 0)  # in silence the draws are heard
    if metric is estoi:  # what is guarded against
        assert len({package.stoi(clean, noisy, 16000, extended=True) for _ in range(30)}) > 1
    scores = set()
    for _ in range(10):
        np.random.standard_normal(7)
        scores.add(metric(clean, noisy, 16000))
    assert len(scores) == 1


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_draws_of_the_caller_go_on_as_if_nothing_were(metric, pair):
    expected = np.random.RandomState(5).standard_normal(3)
    np.random.seed(5)
    draws = [np.random.standard_normal()]  # of two, one of which numpy keeps for the next call
    metric(*pair, 16000)
    draws.append(np.random.standard_normal())
    with pytest.raises(MetricError):
        metric(np.pad(pair[0][:3200], (0, 8000)), np.ones(11200), 16000)
    draws.append(np.random.standard_normal())
    np.testing.assert_array_equal(draws, expected)


@pytest.mark.slow
def test_threads_put_back_the_state_of_the_caller(pair):
    np.random.seed(5)
    before = np.random.get_state()
    with ThreadPoolExecutor(4) as threads:
        scores = set(threads.map(lambda _: estoi(*pair, 16000), range(8)))
    assert len(scores) == 1
    np.testing.assert_equal(np.random.get_state(), before)
