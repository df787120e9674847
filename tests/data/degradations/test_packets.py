import numpy as np
import pytest
from sounds import RATE, noise, rng

from sgmse.data.degradations import PacketLoss

PACKET = RATE // 50


def runs(lost: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(("rate", "burst"), [(0.05, 1.0), (0.1, 3.0), (0.4, 5.0)])
def test_rate_and_bursts_are_the_declared_ones(rate, burst):
    loss = PacketLoss(1.0, (rate, rate), (burst, burst))
    lost = loss.lost(200_000, rng())
    assert lost.shape == (200_000,)
    # Bursts are independent: 4 standard deviations of their number times their length.
    bursts = len(runs(lost))
    assert lost.mean() == pytest.approx(rate, rel=4 * np.sqrt(2 / bursts))
    assert runs(lost).mean() == pytest.approx(burst, rel=4 / np.sqrt(bursts) + 1e-9)


def test_short_audio_loses_the_same_share():
    loss = PacketLoss(1.0, (0.2, 0.2), (4.0, 4.0))
    first = np.stack([loss.lost(5, rng(seed)) for seed in range(4000)])
    # from the first packet on: the state at the start is drawn, too
    np.testing.assert_allclose(first.mean(axis=0), 0.2, atol=0.03)


def test_no_rate_loses_nothing():
    audio = noise(RATE)
    out = PacketLoss(1.0, (0.0, 0.0))(audio, rng(), RATE)
    np.testing.assert_array_equal(out, audio)


def test_whole_packets_of_20_ms_fall_silent():
    audio = noise(2 * RATE)
    loss = PacketLoss(1.0, (0.2, 0.2), (1.0, 1.0), concealments=("silence",))
    starts = set()
    for seed in range(5):
        out = loss(audio, rng(seed), RATE)
        np.testing.assert_array_equal(out[out != audio], 0)
        lost = out == 0
        edges = np.flatnonzero(np.diff(lost.astype(int))) + 1
        assert len(set(edges % PACKET)) == 1  # one grid
        starts.add(int(edges[0] % PACKET))
        assert {int(n) % PACKET for n in runs(lost[edges[0] : edges[-1]])} == {0}
    assert len(starts) == 5  # which may start anywhere


def test_the_last_packet_is_repeated_more_softly():
    audio = noise(2 * RATE)
    quiet, repeated = (
        PacketLoss(1.0, (0.2, 0.2), (3.0, 3.0), concealments=(c,)) for c in ("silence", "repeat")
    )
    lost = quiet(audio, rng(3), RATE) == 0
    out = repeated(audio, rng(3), RATE)  # the same draws but the concealment
    np.testing.assert_array_equal(out[~lost], audio[~lost])
    inside = np.flatnonzero(lost)
    inside = inside[inside >= 2 * PACKET]
    assert len(inside) > PACKET
    np.testing.assert_allclose(out[inside], out[inside - PACKET] / 2, rtol=1e-6)


def test_the_length_of_a_packet_is_asked_for():
    audio = noise(RATE)
    out = PacketLoss(1.0, (0.1, 0.1), (1.0, 1.0), (0.06, 0.06), ("silence",))(audio, rng(2), RATE)
    assert max(runs(out == 0)) % (0.06 * RATE) == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PacketLoss(rate=(0.0, 0.6)), "rate"),
        (lambda: PacketLoss(burst=(0.5, 1.0)), "burst"),
        (lambda: PacketLoss(packet=(0.0, 0.02)), "packet"),
        (lambda: PacketLoss(concealments=("noise",)), "concealments may hold silence, repeat"),
        (lambda: PacketLoss(1.5), "probability"),
    ],
)
def test_bad_values_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
