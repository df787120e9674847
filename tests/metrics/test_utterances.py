"""What PESQ's code has room for is known before it is called; what it dies of costs that pair."""

import numpy as np
import pytest

from sgmse.errors import MetricError
from sgmse.metrics import composite, pesq_nb, pesq_wb
from sgmse.metrics._utterances import fit, spans, surely_fit
from sgmse.metrics.pesq import _apart, _here

package = pytest.importorskip("pesq")
RATE = 8000


def bursts(count: int, seconds: float = 0.25, pause: float = 0.25, rate: int = RATE) -> np.ndarray:
    """So many utterances."""
    rng = np.random.default_rng(0)
    one = np.r_[0.1 * rng.standard_normal(round(seconds * rate)), np.zeros(round(pause * rate))]
    return np.tile(one, count)


def noisy(clean: np.ndarray) -> np.ndarray:
    return clean + 0.02 * np.random.default_rng(1).standard_normal(len(clean))


def test_each_burst_is_an_utterance():
    for count in (7, 50, 51):
        assert fit(bursts(count), RATE, "nb") == (count <= 50, count)
    assert fit(bursts(60, rate=16000), 16000, "wb") == (False, 60)


def test_what_is_less_than_200_ms_apart_is_one_and_what_is_shorter_is_none():
    assert fit(bursts(20, pause=0.15), RATE, "nb") == (True, 1)
    assert fit(bursts(20, seconds=0.1, pause=0.3), RATE, "nb") == (True, 0)


def test_windows_of_4_ms_after_75_of_padding():
    clean = np.r_[np.zeros(RATE), bursts(1, 0.5), np.zeros(RATE)]
    ((first, end),) = spans(clean, RATE, "nb")
    # two windows of an edge on either side, and the filters ring into a few
    assert first == pytest.approx(75 + 250 - 2, abs=3)
    assert end == pytest.approx(75 + 375 + 2, abs=5)


@pytest.mark.slow
@pytest.mark.parametrize("more", [bursts(1), bursts(1, 0.1)], ids=["one more", "too short"])
def test_what_has_no_room_is_refused_in_every_mode(more):
    full = bursts(50)
    # the score of 50 is the package's
    assert pesq_nb(full, noisy(full), RATE) == package.pesq(RATE, full, noisy(full), "nb")
    clean = np.r_[full, more, np.zeros(RATE)]
    with pytest.raises(MetricError, match=r"room for 50 utterances, and the clean .* 5[01]; cut"):
        pesq_nb(clean, noisy(clean), RATE)


def test_wide_band_and_the_composite_measures_refuse_it_too():
    clean = bursts(100, rate=16000)
    for metric in (pesq_wb, composite):
        with pytest.raises(MetricError, match=r"clean recording of 50 s has 100; cut both"):
            metric(clean, noisy(clean), 16000)


def test_short_recordings_are_not_looked_at():
    assert surely_fit(18 * RATE, RATE)
    assert not surely_fit(19 * RATE, RATE)
    densest = bursts(100, 0.19, 0.23)  # filters ring, so that less apart would be one
    assert not fit(densest[: 22 * RATE], RATE, "nb")[0]
    assert fit(densest[: 18 * RATE], RATE, "nb")[0]


@pytest.mark.slow
def test_another_process_says_the_same():
    clean = bursts(2)
    pair = clean, noisy(clean)
    assert _apart(package, "nb", *pair, RATE) == _here(package, "nb", *pair, RATE)
    with pytest.raises(MetricError, match=r"cannot score this pair .*No utterances detected"):
        _apart(package, "nb", 1e-30 * clean, clean, RATE)


@pytest.mark.slow
def test_a_process_that_dies_is_a_reason():
    clean = bursts(64)  # 14 more than there is room for
    with pytest.raises(MetricError, match=r"died of this pair of 32 s \(SIG.*\); cut both"):
        _apart(package, "nb", clean, noisy(clean), RATE)


@pytest.mark.slow
def test_minutes_are_scored_apart():
    clean = np.tile(bursts(1, 4.0), 22)  # 93.5 s with 22 utterances
    score = pesq_nb(clean, noisy(clean), RATE)
    assert score == package.pesq(RATE, clean, noisy(clean), "nb")


def test_next_to_nothing_is_a_reason():
    clean = bursts(2)
    with pytest.raises(MetricError, match="next to nothing above 300 Hz"):
        pesq_nb(clean, 1e-30 * clean, RATE)
