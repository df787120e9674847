"""A measurement that is answered in audio: exactly where the prior is white."""

from dataclasses import dataclass

import pytest
import torch
from problems import noise

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.front import FrontEnd
from sgmse.inference import (
    AudioPosterior,
    Chain,
    Clipping,
    Decoded,
    Filter,
    Mask,
    Measurement,
    PiGDM,
    Posterior,
    Room,
)
from sgmse.inference._audio_posterior import sensitivity
from sgmse.sdes import SDE, VP, FlowMatching, expand
from sgmse.solvers import LogSNR, Multistep, solve
from sgmse.transforms import Log, Power, Spectrogram, Waveform

REAL = torch.float64
SAMPLES = 12
WAVES = FrontEnd(Waveform(2.0), 8000)
FRONT = FrontEnd(Spectrogram(n_fft=14, hop=4, compression=Power(0.5, 0.7)), 8000)
RESPONSE = torch.tensor([1.0, 0.4, -0.3, 0.1], dtype=REAL)
KEPT = (torch.arange(SAMPLES) % 5 > 1).to(REAL)
OPERATORS = [
    Mask(KEPT),
    Room(RESPONSE),
    Filter.low_pass(SAMPLES, 8000, 2000.0),
    Chain((Room(RESPONSE), Mask(KEPT))),
]


@dataclass(frozen=True)
class White:
    """The exact estimate where elements of x0 are CN(0, variance) and independent."""

    sde: SDE
    variance: float
    latest: float = 1.0

    def __call__(self, x, y, t):
        a, _, sigma = (expand(scale, x) for scale in self.sde.scales(t))
        total = a**2 * self.variance + sigma**2
        return Estimate(a * self.variance / total * x, sigma / total * x)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: type(o).__name__)
def test_of_white_audio_it_is_the_exact_posterior(operator):
    """What PiGDM makes of audio through the derivative of the exact estimate."""
    prior, truth = White(VP(), 0.8), noise(1, SAMPLES, dtype=REAL)
    m = operator(truth)
    ours = AudioPosterior(
        prior, WAVES, Measurement(operator, m, 0.3), SAMPLES, 0.8, iterations=99, tolerance=1e-12
    )
    whole = Chain((Decoded(WAVES, SAMPLES), operator))
    theirs = Posterior(prior, Measurement(whole, m, 0.3), PiGDM(0.8))
    x = noise(2, 1, 1, SAMPLES // 2, seed=1)
    t = torch.tensor([0.1, 0.7], dtype=REAL)
    for one, other in zip(ours(x, None, t), theirs(x, None, t), strict=True):
        torch.testing.assert_close(one, other)


def test_its_samples_have_the_mean_and_the_spread():
    deviation, prior = 0.6, White(FlowMatching(), 2.0)
    # Each sample is N(0, 2 / 4): of x0 = factor (s + i s') / sqrt 2 with factor 2.
    m = noise(1, SAMPLES, dtype=REAL)
    posterior = AudioPosterior(
        prior, WAVES, Measurement(Mask(KEPT), m * KEPT, deviation), SAMPLES, 2.0, tolerance=1e-9
    )
    grid = LogSNR(60, start=0.998, end=0.002)
    x = solve(posterior, None, Multistep(), grid, x=noise(3000, 1, 1, SAMPLES // 2, seed=3)).x
    audio = WAVES.inverse(x, SAMPLES)
    gain = 0.5 * KEPT / (0.5 + deviation**2)
    # Means of 3000 are off by 0.04 at most, variances by 8 %.
    torch.testing.assert_close(audio.mean(dim=0), (gain * m * KEPT)[0], rtol=0, atol=0.05)
    torch.testing.assert_close(audio.var(dim=0), 0.5 * (1 - gain * KEPT), rtol=0.1, atol=0)


@pytest.mark.parametrize("compression", [Power(0.5, 0.7), Power(0.3, 1.0), Log(0.5), Power(1.0)])
@pytest.mark.parametrize("mean", [0.0, 0.1, 1.0])
def test_what_a_spectrum_varies_by(compression, mean):
    """As it is counted, against draws: exact for small variances, in silence near enough."""
    v = 0.01
    z = noise(40_000)
    S = compression.expand(mean + v**0.5 * z)
    drawn = float((S - S.mean()).abs().square().mean())
    counted = v * float(sensitivity(compression, torch.tensor((mean**2 + v) ** 0.5, dtype=REAL)))
    assert counted == pytest.approx(drawn, rel=0.03 if mean == 1.0 else 0.7)


@pytest.mark.parametrize(
    "operator",
    [Mask(torch.ones(40)), Mask((torch.arange(40) % 20 > 6).to(REAL)), Clipping(0.4)],
    ids=["all", "gaps", "clipped"],
)
def test_what_is_known_is_answered(operator):
    """Through a compressed spectrogram, with a prior that knows nothing: at the end m is there."""
    truth = 0.4 * noise(1, 40, dtype=REAL)
    m = operator(truth)
    operator = Clipping.of(m) if isinstance(operator, Clipping) else operator
    prior = White(FlowMatching(), 0.3)
    measured = Measurement(operator, m, 1e-4)
    posterior = AudioPosterior(prior, FRONT, measured, 40, 0.3, iterations=60, tolerance=1e-6)
    start = noise(1, 1, 8, FRONT.frames(40), seed=5)
    grid = LogSNR(12, start=0.998, end=0.002)
    x = solve(posterior, None, Multistep(eta=1.0), grid, x=start).x
    heard = posterior.heard(x)
    assert (operator(heard) - m).abs().max() < 0.02 * m.abs().max()
    # Beyond that it is a draw of the prior, which is not silent.
    assert heard.abs().max() > 0.05


def test_it_is_checked():
    prior = White(VP(), 1.0)
    m = Measurement(Mask(torch.ones(SAMPLES)), noise(3, SAMPLES, dtype=REAL), 0.1)
    posterior = AudioPosterior(prior, WAVES, m, SAMPLES)
    with pytest.raises(ArgumentError, match="3 items cannot be that of 2 states"):
        posterior(noise(2, 1, 1, 6), None, torch.tensor([0.5, 0.5], dtype=REAL))
    with pytest.raises(ArgumentError, match="the measurement is complex, and audio is real"):
        AudioPosterior(prior, WAVES, Measurement(m.operator, noise(1, SAMPLES), 0.1), SAMPLES)
    with pytest.raises(ArgumentError, match="samples"):
        AudioPosterior(prior, WAVES, m, 0)
