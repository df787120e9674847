import math

import pytest
import torch

from sgmse.estimates import Estimate
from sgmse.training.losses import Reconstruction, ScoreMatching, Truth, log10_si_sdr
from sgmse.training.perceptual import quality_loss
from sgmse.transforms import Power, Spectrogram

TRANSFORM = Spectrogram(62, 16, Power(0.5, 0.3))


def random(seed: int) -> torch.Tensor:
    return torch.randn(2, 400, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(audio: torch.Tensor) -> Truth:
    x0 = TRANSFORM.forward(audio)[:, None]
    z = torch.randn(x0.shape, dtype=x0.dtype, generator=torch.Generator().manual_seed(9))
    return Truth(x0, z, audio, TRANSFORM)


@pytest.fixture
def true() -> Truth:
    return truth(random(0))


def test_score_matching_is_the_mean_square_of_the_noise(true):
    exact = Estimate(true.x0, true.z)
    assert ScoreMatching()(exact, true)["loss"] == 0
    off = Estimate(true.x0, true.z + (3 + 4j))
    assert float(ScoreMatching()(off, true)["loss"]) == pytest.approx(25)


def test_score_matching_is_weighted_by_sigma_squared(true):
    # score = -noise / sigma: sigma^2 |score - target|^2 does not depend on sigma
    sigma, error = 0.3, 0.7 - 0.2j
    noise = true.z + sigma * error
    expected = sigma**2 * abs(error) ** 2
    assert float(ScoreMatching()(Estimate(true.x0, noise), true)["loss"]) == pytest.approx(expected)


ALL = Reconstruction(complex=1, magnitude=1, waveform=1, si_sdr=1)


def test_reconstruction_of_the_truth_costs_nothing(true):
    parts = ALL(Estimate(true.x0, true.z), true)
    assert float(parts["complex"]) == 0
    assert float(parts["magnitude"]) == 0
    assert float(parts["waveform"]) < 1e-12  # the inverse transform, in float64
    assert float(parts["si_sdr"]) > 80


def test_complex_and_magnitude_are_their_formulas(true):
    c = TRANSFORM.compression.factor
    x = true.x0 * 1.5j  # turned by a quarter, half as large again
    parts = ALL(Estimate(x, true.z), true)
    power = float((true.x0.abs() ** 2).mean())
    assert float(parts["complex"]) == pytest.approx(abs(1.5j - 1) ** 2 * power / (2 * c**2))
    assert float(parts["magnitude"]) == pytest.approx(0.25 * power / c**2)


def test_waveform_and_si_sdr_hear_the_estimate(true):
    # 4 |X|^0.5 is the spectrogram of audio 16 times as loud
    parts = ALL(Estimate(4 * true.x0, true.z), true)
    assert float(parts["waveform"]) == pytest.approx(15 * float(true.audio.abs().mean()))
    assert float(parts["si_sdr"]) > 80  # whatever the scale


def test_weights_sum_the_parts(true):
    other = truth(random(1))
    estimate = Estimate(other.x0, other.z)
    one = {k: float(v) for k, v in ALL(estimate, true).items()}
    loss = Reconstruction(complex=30, magnitude=70, waveform=2, si_sdr=5)(estimate, true)["loss"]
    expected = 30 * one["complex"] + 70 * one["magnitude"] + 2 * one["waveform"]
    assert float(loss) == pytest.approx(expected - 5 * one["si_sdr"] / 10)


def test_perceptual_is_the_quality_loss_of_what_is_heard():
    transform = Spectrogram(510, 255, Power(0.3, 0.3))
    audio = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    other = audio + 0.3 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(1))
    x0, x = (transform.forward(a)[:, None] for a in (audio, other))
    loss = Reconstruction(complex=0, perceptual=0.7)
    assert loss.sample_rates == (16000,)
    parts = loss(Estimate(x, x0), Truth(x0, x0, audio, transform))
    expected = float(quality_loss(other, audio).mean())
    assert float(parts["perceptual"]) == pytest.approx(expected, rel=1e-4)  # float32 transforms
    assert float(parts["loss"]) == pytest.approx(0.7 * expected, rel=1e-4)


def test_parts_without_weight_are_left_out(true):
    assert Reconstruction(complex=2)(Estimate(true.x0, true.z), true).keys() == {"loss", "complex"}


def test_si_sdr_of_orthogonal_noise_is_its_ratio():
    t = torch.arange(1000, dtype=torch.float64) * 2 * math.pi / 1000
    reference, noise = (5 * t).sin(), (7 * t).sin()
    value = 10 * log10_si_sdr(3 * (reference + 0.1 * noise), reference)
    assert float(value) == pytest.approx(20)
    assert float(10 * log10_si_sdr(noise, reference)) == pytest.approx(-40)  # the floor
    assert log10_si_sdr(torch.zeros(4, 10), torch.zeros(4, 10)).isfinite().all()


@pytest.mark.parametrize("loss", [ScoreMatching(), ALL])
def test_gradients_point_to_the_truth(loss, true):
    other = truth(random(1))
    estimate = Estimate(*(e.clone().requires_grad_() for e in (other.x0, -true.z)))
    before = loss(estimate, true)["loss"]
    before.backward()
    moved = Estimate(
        *(e.detach() - (0.0 if e.grad is None else 1e-3 * e.grad / e.grad.norm()) for e in estimate)
    )
    assert loss(moved, true)["loss"] < before


@pytest.mark.parametrize("weights", [{"complex": 0}, {"complex": -1}, {"si_sdr": math.inf}])
def test_senseless_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        Reconstruction(**weights)
