"""SI-SDR, SI-SIR and SI-SAR against the published vectors and closed forms."""

import math
from pathlib import Path

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import si_sar, si_sdr, si_sir

RATE = 16000


def test_published_vectors(parity: Path):
    with np.load(parity / "metrics_si.npz") as v:
        s, n, s_hat = v["s"], v["n"], v["s_hat"]
        sdr, sir, sar = v["energy_ratios_sdr_sir_sar"]
        # 1e-9 dB: the same formulas in float64
        assert si_sdr(s, s_hat, RATE) == pytest.approx(float(v["si_sdr"]), abs=1e-9)
    assert si_sdr(s, s_hat, RATE) == pytest.approx(sdr, abs=1e-9)
    assert si_sir(s, s_hat, RATE, n) == pytest.approx(sir, abs=1e-9)
    assert si_sar(s, s_hat, RATE, n) == pytest.approx(sar, abs=1e-9)


@pytest.fixture
def parts() -> np.ndarray:
    """Three orthogonal signals of energy 1: reference, noise, artefact; none has mean zero."""
    rng = np.random.default_rng(0)
    return np.linalg.qr(rng.standard_normal((1000, 3)) + 0.3)[0].T


def test_closed_form(parts):
    s, n, a = parts
    s_hat = 3 * s + 0.5 * n + 0.2 * a
    assert si_sdr(s, s_hat, RATE) == pytest.approx(10 * math.log10(9 / (0.25 + 0.04)))
    assert si_sir(s, s_hat, RATE, n) == pytest.approx(10 * math.log10(9 / 0.25))
    assert si_sar(s, s_hat, RATE, n) == pytest.approx(10 * math.log10(9 / 0.04))


def test_scale_and_sign_do_not_count_but_the_mean_does(parts):
    s, n, a = parts
    s_hat = 3 * s + 0.5 * n + 0.2 * a
    for metric in (lambda x, y: si_sdr(x, y, RATE), lambda x, y: si_sir(x, y, RATE, 7 * n)):
        assert metric(-5 * s, 0.01 * s_hat) == pytest.approx(metric(s, s_hat), abs=1e-9)
    assert si_sdr(s, s_hat + 1, RATE) < si_sdr(s, s_hat, RATE) - 3


def test_perfect_and_orthogonal_estimates():
    s = np.array([1.0, 0.0, 2.0, 0.0])
    n = np.array([0.0, 1.0, 0.0, 2.0])
    assert si_sdr(s, s, RATE) == math.inf
    assert si_sir(s, s, RATE, n) == math.inf
    assert si_sar(s, s + n, RATE, n) == math.inf
    assert si_sdr(s, n, RATE) == -math.inf


def test_noise_is_checked_too(parts):
    s, n, _ = parts
    with pytest.raises(MetricError, match="noise is silent"):
        si_sir(s, s + n, RATE, 0 * n)
    with pytest.raises(MetricError, match="noise 999"):
        si_sar(s, s + n, RATE, n[:-1])
