"""Rewards by measures of audio, on the shipped recording."""

from functools import cache
from pathlib import Path

import pytest
import torch
from problems import Gaussian

from sgmse.audio import read
from sgmse.errors import ArgumentError, MetricError
from sgmse.front import FrontEnd
from sgmse.inference import Heard, best_of, dnsmos_overall, ensemble, si_sdr_to_observation, steer
from sgmse.metrics import dnsmos, si_sdr
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Power, Spectrogram

DATA = Path(__file__).resolve().parent.parent / "data"
RATE = 16000
FRONT = FrontEnd(Spectrogram(510, 255, compression=Power(0.3, 0.3)), RATE)
GRID = Uniform(3, end=0.1)


@cache
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A second of the shipped recording, clean and noisy, (1, samples) each."""
    clean, noisy = (
        torch.from_numpy(read(DATA / f"{name}.wav")[0][:1, RATE : 2 * RATE])
        for name in ("clean", "noisy")
    )
    return clean, noisy


def posterior() -> tuple[Gaussian, torch.Tensor, Heard]:
    """Samples around the mean of clean and noisy, and how near they are to the noisy one."""
    clean, noisy = (FRONT.forward(audio).to(torch.complex128) for audio in pair())
    problem = Gaussian(SBVE(), (clean + noisy) / 2, 0.02)
    return problem, noisy, Heard(si_sdr_to_observation, FRONT, RATE)


def test_the_best_is_that_of_the_highest_si_sdr_to_the_recording():
    problem, y, reward = posterior()
    found = best_of(problem, y, Exponential(eta=1.0), GRID, 4, reward)
    audio = FRONT.inverse(found.x, RATE)[0].numpy()
    own = si_sdr(FRONT.inverse(y, RATE)[0].numpy(), audio, RATE)
    assert float(found.reward) == pytest.approx(own, abs=1e-9)
    assert own == pytest.approx(si_sdr(pair()[1][0].numpy(), audio, RATE), abs=0.01)
    assert found.reward > found.mean


def test_steered_towards_the_recording():
    """More of it is left than in samples, the more so the larger the scale; less below 0."""
    problem, y, reward = posterior()
    means = []
    for scale in (-30.0, 0.0, 30.0):
        found = steer(problem, y, Exponential(eta=1.0), GRID, 8, reward, scale=scale)
        means.append(float((found.weights * found.rewards).sum()))
    assert means[0] < means[1] < means[2]
    mean = ensemble(problem, y, Exponential(eta=1.0), GRID, 8).mean
    assert float(reward(mean, y)) > means[1]  # without the noise of samples


@pytest.mark.slow
def test_dnsmos_prefers_the_clean_recording():
    pytest.importorskip("speechmos")
    clean, noisy = (FRONT.forward(audio) for audio in pair())
    reward = Heard(dnsmos_overall, FRONT, RATE)
    found = reward(torch.cat([noisy, clean]), torch.cat([noisy, noisy]))
    assert found[1] > found[0] + 0.3
    assert float(found[1]) == pytest.approx(dnsmos(pair()[0][0].numpy(), RATE).ovrl, abs=0.02)
    best = best_of(
        posterior()[0], noisy.to(torch.complex128), Exponential(eta=1.0), GRID, 2, reward
    )
    assert best.reward >= best.mean


def test_bounds_and_refusals():
    y = FRONT.forward(pair()[1])
    reward = Heard(si_sdr_to_observation, FRONT, RATE)
    assert float(reward(y, y)) == 100
    with pytest.raises(ArgumentError, match=r"not \(1, 256, 64\) beside"):
        reward(y[0], y)
    with pytest.raises(ArgumentError, match=r"a reward must be finite, not \[nan\]"):
        Heard(lambda estimate, observation, rate: float("nan"), FRONT, RATE)(y, y)
    with pytest.raises(MetricError):
        reward(0 * y, 0 * y)
    with pytest.raises(ArgumentError, match="samples must be at least 1"):
        Heard(si_sdr_to_observation, FRONT, 0)
