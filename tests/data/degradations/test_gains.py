import numpy as np
import pytest
from sounds import RATE, noise, rng, tone

from sgmse.data.degradations import Dropouts, GainChanges, GainControl

ONES = np.ones(3 * RATE, "f")


class TestGainChanges:
    def gains(self, seed: int, **ranges) -> np.ndarray:
        return 20 * np.log10(GainChanges(1.0, **ranges)(ONES, rng(seed), RATE))

    def test_the_gain_stays_in_its_range_and_uses_it(self):
        all_of_them = np.stack([self.gains(seed, gain=(-12.0, 3.0)) for seed in range(20)])
        assert all_of_them.min() > -12.01
        assert all_of_them.max() < 3.01
        assert all_of_them.min() < -10
        assert all_of_them.max() > 1

    def test_it_is_slow(self):
        # A monotone cubic between two values 1 s apart has at most 3 times the mean slope.
        gains = self.gains(1, gain=(-10.0, 0.0), interval=(1.0, 1.0))
        assert np.abs(np.diff(gains)).max() * RATE < 30.1
        assert np.ptp(gains) > 1

    def test_it_turns_at_its_intervals(self):
        # A turning point where the slope changes its sign; no two within an interval.
        gains = self.gains(2, interval=(0.2, 0.2))[::16]
        slope = np.sign(np.diff(gains))
        turns = np.flatnonzero(slope[1:] * slope[:-1] < 0) / 1000
        assert 4 <= len(turns) <= 15
        assert np.diff(turns).min() > 0.19

    def test_it_turns_anywhere(self):
        phases = []
        for seed in range(8):
            slope = np.sign(np.diff(self.gains(seed, interval=(0.2, 0.2))[::16]))
            turns = np.flatnonzero(slope[1:] * slope[:-1] < 0)
            phases.append(int(np.median(turns % 200)))
        assert len(set(phases)) >= 6
        assert max(phases) - min(phases) > 100  # of 200 ms

    def test_a_fixed_gain_is_one(self):
        np.testing.assert_allclose(self.gains(0, gain=(-6.0, -6.0)), -6, atol=1e-4)


class TestGainControl:
    loud_then_soft = np.concatenate([tone(500), 0.1 * tone(500)])

    def levels(self, control: GainControl) -> tuple[float, float]:
        """In dB, at the end of the loud and of the soft part."""
        out = control(self.loud_then_soft, rng(), RATE)
        parts = out[RATE // 2 : RATE - 400], out[-RATE // 4 :]
        return tuple(10 * np.log10(2 * np.mean(part**2)) for part in parts)

    @pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
    def test_levels_differ_by_the_ratio_less(self, ratio):
        quick = GainControl(1.0, (ratio, ratio), release=(0.1, 0.1))
        loud, soft = self.levels(quick)
        assert loud == pytest.approx(0, abs=0.1)
        assert loud - soft == pytest.approx(20 / ratio, abs=0.2)

    def test_the_gain_has_its_limit(self):
        loud, soft = self.levels(GainControl(1.0, (4.0, 4.0), release=(0.1, 0.1), most=5.0))
        assert loud - soft == pytest.approx(15, abs=0.1)

    @pytest.mark.parametrize("release", [0.1, 0.3])
    def test_it_releases_within_its_time(self, release):
        out = GainControl(1.0, (100.0, 100.0), release=(release, release))(
            self.loud_then_soft, rng(), RATE
        )
        gain = 20 * np.log10(np.abs(out[RATE + 8 :: 32] / self.loud_then_soft[RATE + 8 :: 32]))
        reached = np.argmax(gain > 0.99 * 20 * (1 - np.exp(-1))) * 32 / RATE
        assert reached == pytest.approx(release, rel=0.1, abs=0.01)  # a frame

    def test_it_attacks_more_quickly(self):
        soft_then_loud = self.loud_then_soft[::-1].copy()
        control = GainControl(1.0, (4.0, 4.0), attack=(0.01, 0.01), release=(1.0, 1.0))
        out = control(soft_then_loud, rng(), RATE)
        assert np.abs(out[RATE : RATE + 400]).max() > 1.5  # overshoots
        assert np.abs(out[RATE + 1600 :]).max() < 1.05


class TestDropouts:
    def test_holes_are_as_deep_and_long_as_they_say(self):
        out = Dropouts(1.0, (0.8, 0.8), (0.05, 0.05), (40.0, 40.0))(ONES, rng(5), RATE)
        assert out.min() == pytest.approx(0.01, rel=1e-3)
        low = np.flatnonzero(out < 1)
        holes = np.split(low, np.flatnonzero(np.diff(low) > 1) + 1)
        lengths = np.array([len(hole) for hole in holes]) / RATE
        assert len(holes) >= 2
        np.testing.assert_allclose(lengths, 0.05, atol=2 / RATE)
        # from 1 to 0.01 within 2 ms
        assert np.abs(np.diff(out)).max() <= 0.99 / 0.002 / RATE * 1.001

    def test_there_are_as_many_as_they_say(self):
        drops = Dropouts(1.0, (3.0, 3.0), (0.003, 0.003), (80.0, 80.0))
        short = ONES[:RATE]
        counts = []
        for seed in range(200):
            low = drops(short, rng(seed), RATE) < 0.5
            counts.append(np.count_nonzero(np.diff(low.astype(int)) == 1))
        # Poisson: 3 +- 4 sqrt(3 / 200), fewer by the few that touch each other or the ends
        assert np.mean(counts) == pytest.approx(3, abs=0.55)

    def test_the_rest_stays(self):
        audio = noise(RATE)
        out = Dropouts(1.0, (3.0, 3.0), (0.01, 0.02))(audio, rng(5), RATE)
        assert 0 < np.mean(out != audio) < 0.2


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: GainChanges(gain=(1.0, 0.0)), "gain"),
        (lambda: GainChanges(interval=(0.0, 1.0)), "interval"),
        (lambda: GainControl(ratio=(0.5, 2.0)), "ratio"),
        (lambda: GainControl(attack=(0.0, 0.1)), "attack"),
        (lambda: GainControl(release=(0.0, 0.1)), "release"),
        (lambda: GainControl(most=-1.0), "most"),
        (lambda: Dropouts(rate=(-1.0, 0.0)), "rate"),
        (lambda: Dropouts(length=(0.0, 0.1)), "length"),
        (lambda: Dropouts(depth=(-3.0, 0.0)), "depth"),
    ],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
