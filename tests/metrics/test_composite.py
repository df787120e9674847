"""CSIG, CBAK and COVL against pysepm."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import Composite, composite, pesq_wb

pytest.importorskip("pesq")
RATE = 16000


@pytest.mark.slow
def test_agrees_with_pysepm_on_twenty_pairs(pairs, golden):
    assert len(golden) == 20
    inside = 0
    for name, pair in pairs.items():
        expected = [golden[name][part] for part in Composite._fields]
        # 1e-3 is asked for; the package pesq may be another build
        assert composite(*pair, RATE) == pytest.approx(expected, abs=1e-3), name
        inside += sum(1 < value < 5 for value in expected)
    assert inside > 40  # most values are not at a limit, where anything would agree


def test_limits_of_opinions(pairs):
    s, _ = pairs["0-noisy"]
    assert composite(s, s, RATE) == (5, 5, 5)
    noise = np.sign(np.random.default_rng(0).standard_normal(len(s)))
    worst = composite(s, noise, RATE)
    assert worst.csig == 1
    assert worst.covl == 1
    assert 1 <= worst.cbak < 2


def test_asks_of_the_signals_what_pesq_asks(pairs):
    s, s_hat = pairs["0-noisy"]
    for signals in [(s[:3000], s_hat[:3000], RATE), (s, s_hat, 8000)]:
        with pytest.raises(MetricError) as expected:
            pesq_wb(*signals)
        with pytest.raises(MetricError) as raised:
            composite(*signals)
        assert str(raised.value) == str(expected.value)
