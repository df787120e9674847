"""Coverage of the intervals of ensembles, before and after their calibration."""

from dataclasses import asdict

import pytest
import torch
from problems import Gaussian, noise, times

from sgmse.inference import Calibration, Ensemble, coverage, ensemble
from sgmse.sdes import SBVE
from sgmse.solvers import LogSNR, Multistep

LEVELS = (0.5, 0.9)


def found(items: int, bins: int, seed: int, wrong: float = 1.0, dtype=torch.complex128):
    """Ensembles with `wrong` times the right deviation, and the truth; each item has its mean."""
    truth, mean = noise(items, bins, seed=seed, dtype=dtype), noise(items, 1, seed=seed + 1)
    mean = mean.to(dtype) if dtype.is_complex else mean.real
    spread = torch.linspace(0.1, 2, bins, dtype=torch.float64).expand(items, bins)
    return Ensemble(mean.expand(items, bins), wrong * spread, 100, 0), mean + spread * truth


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64], ids=str)
def test_gaussian_intervals_cover_what_they_say(dtype):
    ours, truth = found(1, 40_000, seed=0, dtype=dtype)
    for level in (0.1, 0.5, 0.95):
        # Five binomial standard errors.
        error = 5 * (level * (1 - level) / 40_000) ** 0.5
        assert float(coverage(ours, truth, level)) == pytest.approx(level, abs=error)


def test_calibration_of_a_wrong_estimate_on_held_out_items():
    """A model whose variance is a quarter of the true one, sampled: intervals cover too little."""
    sde, items, bins = SBVE(), 60, 40
    right, wrong = (Gaussian(sde, lambda y: y / 2, v) for v in (0.4, 0.1))
    y = noise(2 * items, bins, seed=1)
    truth = right.draw(y, y, seed=2)
    ours = ensemble(wrong, y, Multistep(eta=1.0), LogSNR(12, end=1e-3), 40, batch=5000, seed=3)
    seen, held = (
        (Ensemble(ours.mean[part], ours.std[part], 40, 0), truth[part])
        for part in (slice(0, items), slice(items, None))
    )
    fitted = Calibration.fit([seen], LEVELS)
    assert fitted.recordings == items
    assert fitted.factors == pytest.approx((2.0, 2.0), rel=0.1)  # sqrt(0.4 / 0.1)
    for level in LEVELS:
        # Those of the calibration set have as large an error as those of the held-out items.
        error = 4 * (2 * level * (1 - level) / (items * bins)) ** 0.5
        before = float(coverage(*held, level).mean())
        after = float(coverage(fitted.corrected(held[0], level), held[1], level).mean())
        assert before < level - 0.2
        assert after == pytest.approx(level, abs=error)


def test_recordings_are_what_is_exchanged():
    """With the errors of a recording in common the coverage is right on the mean over many sets.

    Bins taken for independent would give the quantile without the mass at infinity.
    """
    hits, sets, level = 0, 800, 0.8
    generator = torch.Generator().manual_seed(0)
    for _ in range(sets):
        sizes = torch.randn(5, 1, dtype=torch.float64, generator=generator).abs()
        ours = Ensemble(torch.zeros(5, 3, dtype=torch.float64), torch.ones(5, 3).double(), 9, 0)
        seen = Ensemble(ours.mean[:4], ours.std[:4], 9, 0)
        fitted = Calibration.fit([(seen, sizes[:4].expand(4, 3))], [level])
        new = Ensemble(ours.mean[4:], ours.std[4:], 9, 0)
        hits += bool(coverage(fitted.corrected(new, level), sizes[4:].expand(1, 3), level) == 1)
    # Four of five ranks: exactly the level.
    assert hits / sets == pytest.approx(level, abs=4 * (level * (1 - level) / sets) ** 0.5)


def test_a_long_recording_weighs_no_more_than_a_short_one():
    def one(size, distance):
        mean = torch.zeros(1, size, dtype=torch.float64)
        return Ensemble(mean, torch.ones_like(mean), 9, 0), mean + distance

    pairs = [one(1000, 1.0), one(2, 2.0), one(2, 3.0)]
    fitted = Calibration.fit(pairs, [0.5, 0.75])
    assert fitted.radius(pairs[0][0], 0.5).unique().tolist() == pytest.approx([2.0])
    assert fitted.radius(pairs[0][0], 0.75).unique().tolist() == pytest.approx([3.0])


def test_bins_without_spread():
    mean = torch.zeros(1, 3, dtype=torch.float64)
    point = Ensemble(mean, times(0.0, 0.0, 1.0)[None], 2, 0)
    assert float(coverage(point, times(0.0, 1.0, 0.0)[None], 0.9)) == pytest.approx(2 / 3)


def test_kept_as_plain_numbers():
    fitted = Calibration.fit([found(20, 3, seed=4)], LEVELS)
    assert Calibration(**asdict(fitted)) == fitted


def test_refused():
    ours, truth = found(8, 3, seed=0)
    with pytest.raises(ValueError, match=r"level 0.9 need at least 9 recordings .*, not 8"):
        Calibration.fit([(ours, truth)], [0.9])
    assert Calibration.fit([found(9, 3, seed=0)], [0.9]).recordings == 9
    with pytest.raises(ValueError, match=r"the truth \(8, 2\) must be shaped like .* \(8, 3\)"):
        coverage(ours, truth[:, :2], 0.5)
    with pytest.raises(ValueError, match="level must lie above 0 and below 1, not 1"):
        coverage(ours, truth, 1.0)
    fitted = Calibration.fit([(ours, truth)], [0.5])
    with pytest.raises(ValueError, match=r"fitted for the levels 0.5, not 0.9"):
        fitted.corrected(ours, 0.9)
    with pytest.raises(ValueError, match="as many factors as levels"):
        Calibration((0.5,), (), 3)
