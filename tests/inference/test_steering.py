"""Best of N and steered particles, on Gaussian posteriors whose tilted law is Gaussian, too."""

import pytest
import torch
from conftest import first_often
from problems import Gaussian, noise, times

from sgmse.inference import best_of, ensemble, steer
from sgmse.inference._steering import systematic
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform

MEAN, VARIANCE, TARGET, SCALE = 0.3 + 0.1j, 0.4, 1.0, 2.0
GRID = LogSNR(16, end=1e-3)


def near(x, y):
    """-|x0 - TARGET|^2 of all bins."""
    return -(x - TARGET).abs().square().flatten(1).sum(dim=1)


def linear(x, y):
    return x.real.flatten(1).sum(dim=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("potential", "every"),
    first_often(1, [("difference", 5), ("difference", 1), ("max", 1), ("max", 5), ("sum", 5)]),
)
def test_the_tilted_law(potential, every):
    """CN(m, v) e^(-scale |x - c|^2) is CN(w (m / v + scale c), w), 1 / w = 1 / v + scale."""
    count, y = 2000, noise(2, 1)
    found = steer(
        Gaussian(SBVE(), MEAN, VARIANCE),
        y,
        Multistep(eta=1.0),
        GRID,
        count,
        near,
        scale=SCALE,
        every=every,
        potential=potential,
    )
    assert found.nfe == count * 16
    torch.testing.assert_close(found.weights.sum(dim=0), torch.ones(2, dtype=torch.float64))
    w = 1 / (1 / VARIANCE + SCALE)
    mean = w * (MEAN / VARIANCE + SCALE * TARGET)
    p = found.weights[..., None]
    ours = (p * found.x).sum(dim=0)
    spread = (p * (found.x - ours).abs().square()).sum(dim=0)
    # Copies are no samples of their own: a fifth of the particles is counted, at five errors.
    error = 5 / (count / 5) ** 0.5
    assert ((ours - mean).abs() < error * w**0.5).all()
    assert ((spread / w - 1).abs() < error + 0.03).all()  # and what 16 steps leave
    assert abs(MEAN - mean) > 2 * error * w**0.5
    assert (found.best - TARGET).abs().max() < 0.1


@pytest.mark.slow
def test_the_best_of_n_gets_better_as_it_must():
    """The largest of N draws of N(0, 1): 0.564, 1.029 and 1.766 for N = 2, 4, 16."""
    problem, y = Gaussian(SBVE(), MEAN.real, VARIANCE), noise(1, 1).real
    deviation = VARIANCE**0.5
    grid, runs = LogSNR(6, end=1e-3), 100
    for count, gain in ((2, 0.564), (4, 1.029), (16, 1.766)):
        rewards = torch.tensor(
            [
                float(best_of(problem, y, Multistep(eta=1.0), grid, count, linear, seed=s).reward)
                for s in range(runs)
            ]
        )
        error = 4 * float(rewards.std()) / runs**0.5
        assert (rewards.mean() - MEAN.real) / deviation == pytest.approx(
            gain, abs=error / deviation + 0.05
        )


def test_the_best_is_one_of_the_samples_in_any_batch():
    problem, y = Gaussian(OUVE(), MEAN, VARIANCE), noise(3, 4)
    whole = best_of(problem, y, Exponential(eta=1.0), Uniform(4), 6, near, batch=100)
    torch.testing.assert_close(whole.reward, near(whole.x, y))
    assert (whole.reward > whole.mean).all()
    for batch in (1, 2, 5):
        other = best_of(problem, y, Exponential(eta=1.0), Uniform(4), 6, near, batch=batch)
        torch.testing.assert_close(other.x, whole.x)
        torch.testing.assert_close(other.mean, whole.mean)
        assert other.nfe == whole.nfe == 24


def test_without_a_reward_the_particles_are_samples():
    problem, y = Gaussian(SBVE(), MEAN, VARIANCE), noise(2, 1)
    flat = steer(problem, y, Multistep(eta=1.0), GRID, 20, near, scale=0.0, every=100)
    torch.testing.assert_close(flat.weights, torch.full((20, 2), 0.05, dtype=torch.float64))
    same = ensemble(problem, y, Multistep(eta=1.0), GRID, 20, batch=100)
    torch.testing.assert_close(flat.x.mean(dim=0), same.mean)


def test_systematic_resampling():
    """Of weight w, n w particles, rounded down or up."""
    weight = times(0.5, 0.3, 0.15, 0.05).log()[:, None].expand(4, 3)
    which = systematic(weight, times(0.01, 0.5, 0.99))
    for item in which.T:
        counts = torch.bincount(item, minlength=4)
        assert ((counts - 4 * times(0.5, 0.3, 0.15, 0.05)).abs() < 1).all()


def test_refused():
    problem, y = Gaussian(OUVE()), noise(2, 3)
    with pytest.raises(ValueError, match="copies of a particle stay copies"):
        steer(problem, y, Exponential(), Uniform(3), 4, near)
    with pytest.raises(ValueError, match="every must be at least 1, not 0"):
        steer(problem, y, Exponential(eta=1.0), Uniform(3), 4, near, every=0)
    with pytest.raises(ValueError, match="potential must be"):
        steer(problem, y, Exponential(eta=1.0), Uniform(3), 4, near, potential="least")
    with pytest.raises(ValueError, match="at least 2 samples"):
        best_of(problem, y, Exponential(eta=1.0), Uniform(3), 1, near)
