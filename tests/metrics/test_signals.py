"""What holds for all metrics: the checks of the signals, and what changes no score."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import together

from sgmse import metrics
from sgmse.errors import MetricError
from sgmse.metrics import (
    composite,
    estoi,
    llr,
    lsd,
    pesq_nb,
    pesq_wb,
    segmental_snr,
    si_sdr,
    stoi,
    wss,
)

DISTANCES = [lsd, llr, wss]
METRICS = [pesq_wb, pesq_nb, stoi, estoi, si_sdr, segmental_snr, *DISTANCES]
DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray, int]:
    clean, rate = soundfile.read(DATA / "clean.wav")
    noisy, _ = soundfile.read(DATA / "noisy.wav")
    return clean[:48000], noisy[:48000], rate


# Scores of the shipped pair: a change of a package or of the files is seen. 3 digits are printed.
@pytest.mark.parametrize(
    ("metric", "score"),
    [
        (pesq_wb, 1.062),
        (pesq_nb, 1.376),
        (stoi, 0.778),
        (estoi, 0.492),
        (si_sdr, 4.864),
        (segmental_snr, 1.005),
        (lsd, 6.138),
        (llr, 2.708),
        (wss, 40.361),
    ],
)
def test_the_shipped_recording(metric, score):
    clean, rate = soundfile.read(DATA / "clean.wav")
    noisy, _ = soundfile.read(DATA / "noisy.wav")
    assert metric(clean, noisy, rate) == pytest.approx(score, abs=6e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_clean_beats_less_noise_beats_noise(metric, pair):
    clean, noisy, rate = pair
    scores = [metric(clean, clean + g * (noisy - clean), rate) for g in (1.0, 0.3, 1e-3)]
    assert scores == sorted(scores, reverse=metric in DISTANCES)
    assert len(set(scores)) == 3
    assert all(type(score) is float for score in scores)


@pytest.mark.slow
def test_composite_opinions_rise_with_less_noise(pair):
    clean, noisy, rate = pair
    opinions = [composite(clean, clean + g * (noisy - clean), rate) for g in (1.0, 0.3, 0.1)]
    for scores in zip(*opinions, strict=True):
        assert scores[0] < scores[1] < scores[2]
        assert all(type(score) is float for score in scores)


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric is not segmental_snr])
def test_level_does_not_count(metric, pair):
    clean, noisy, rate = pair
    # PESQ rounds to float32 after scaling by the larger peak; WSS and LSD have floors; the others
    # are exact up to rounding
    tolerance = {pesq_wb: 2e-3, pesq_nb: 2e-3, wss: 1e-2, lsd: 1e-3}.get(metric, 1e-6)
    expected = metric(clean, noisy, rate)
    assert metric(clean, 0.25 * noisy, rate) == pytest.approx(expected, abs=tolerance)
    assert metric(0.25 * clean, 0.25 * noisy, rate) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("metric", METRICS)
def test_tensors_and_float32(metric, pair):
    clean, noisy, rate = (np.float32(pair[0]), np.float32(pair[1]), pair[2])
    before = clean.copy(), noisy.copy()
    score = metric(torch.from_numpy(clean), torch.from_numpy(noisy), rate)
    assert score == pytest.approx(metric(clean, noisy, rate), abs=1e-12)
    assert np.array_equal(clean, before[0])
    assert np.array_equal(noisy, before[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, e: (s[None], e[None]), r"of floats of shape \(samples,\), not float64 of shape"),
        (lambda s, e: (s[:0], e[:0]), "one channel of floats"),
        (lambda s, e: ((s * 2**15).astype(np.int16), e), "not int16"),
        (lambda s, e: (s, np.where(np.arange(len(e)) == 7, np.nan, e)), "not finite at sample 7"),
        (lambda s, e: (s, np.where(np.arange(len(e)) == 7, np.inf, e)), "estimate is not finite"),
        (lambda s, e: (s[:-1], e), r"differ in samples \(reference 47999, estimate 48000\)"),
        (lambda s, e: (0 * s, e), "reference is silent"),
        (lambda s, e: (s, 0 * e), "estimate is silent"),
    ],
)
@together(metric=METRICS)
def test_signals_that_cannot_be_compared(metric, change, words, pair):
    clean, noisy, rate = pair
    with pytest.raises(MetricError, match=words):
        metric(*change(clean, noisy), rate)


@pytest.mark.parametrize("metric", METRICS)
def test_sample_rate_must_be_positive(metric, pair):
    with pytest.raises(MetricError, match=r"sample rate must be .*, not 0 Hz; resample"):
        metric(*pair[:2], 0)


@pytest.mark.parametrize(("metric", "package"), [(pesq_wb, "pesq"), (estoi, "pystoi")])
def test_a_missing_package_names_the_extra(metric, package, pair, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"'{package}': pip install 'sgmse-toolkit\[metrics\]'"):
        metric(*pair)


def test_the_packages_are_imported_on_use_only():
    heavy = {"pesq", "pystoi", "speechmos", "distillmos", "librosa", "onnxruntime"}
    code = f"import sys, sgmse.metrics; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_names():
    assert set(metrics.__all__) <= set(dir(metrics))
