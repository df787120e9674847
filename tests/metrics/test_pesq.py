"""PESQ against the package itself, and its limits."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import pesq_nb, pesq_nb_c2, pesq_wb, pesq_wb_c2

package = pytest.importorskip("pesq")
DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0][:48000] for name in ("clean", "noisy"))


@pytest.mark.slow
def test_agrees_with_the_package(pair):
    assert pesq_wb(*pair, 16000) == package.pesq(16000, *pair, "wb")
    assert pesq_nb(*pair, 16000) == package.pesq(16000, *pair, "nb")
    at_8k = [signal[::2] for signal in pair]
    assert pesq_nb(*at_8k, 8000) == package.pesq(8000, *at_8k, "nb")


def test_a_perfect_estimate_has_the_highest_score(pair):
    assert pesq_wb(pair[0], pair[0], 16000) == pytest.approx(4.644, abs=1e-3)  # P.862.2's maximum
    assert pesq_nb(pair[0], pair[0], 16000) == pytest.approx(4.549, abs=1e-3)  # P.862.1's maximum


@pytest.mark.parametrize(("metric", "rate"), [(pesq_wb, 8000), (pesq_wb, 48000), (pesq_nb, 44100)])
def test_other_rates_name_the_remedy(metric, rate, pair):
    words = f"must be .*16000 Hz, not {rate} Hz; resample both signals first"
    with pytest.raises(MetricError, match=words):
        metric(*pair, rate)


def test_too_short(pair):
    with pytest.raises(MetricError, match=r"0\.200 s are too short; .* needs 0\.25 s"):
        pesq_wb(pair[0][:3200], pair[1][:3200], 16000)


def test_errors_of_the_package_are_metric_errors(pair, monkeypatch):
    def fail(*_):
        raise package.NoUtterancesError(b"No utterances detected")  # bytes, as the package does

    monkeypatch.setattr(package, "pesq", fail)
    with pytest.raises(MetricError, match=r"cannot score this pair \(No utterances detected\)"):
        pesq_wb(*pair, 16000)


def test_corrigendum_2_agrees_with_its_package_and_scores_higher(pair):
    corrected = pytest.importorskip("pesqc2")
    assert pesq_wb_c2(*pair, 16000) == corrected.pesq(16000, *pair, "wb")
    assert pesq_nb_c2(*pair, 16000) == corrected.pesq(16000, *pair, "nb")
    assert pesq_wb_c2(*pair, 16000) > pesq_wb(*pair, 16000) + 0.1  # it corrects underprediction
    clean, noise = pair[0], pair[1] - pair[0]
    scores = [pesq_wb_c2(clean, clean + gain * noise, 16000) for gain in (0, 0.1, 0.3, 1)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(4.644, abs=1e-3)  # the mapping of P.862.2 has not changed


def test_a_long_pair_by_corrigendum_2_is_scored_apart_by_the_same_package(pair, monkeypatch):
    pytest.importorskip("pesqc2")
    here = pesq_wb_c2(*pair, 16000)
    monkeypatch.setattr("sgmse.metrics.pesq.LONG", 1.0)
    assert pesq_wb_c2(*pair, 16000) == here
