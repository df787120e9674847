import math

import pytest
import torch
from parity_models import CONFIGS, configurations, loss_of, model_of

from sgmse.estimates import Estimate
from sgmse.sdes import OUVE, SBVE, StraightFlow, expand
from sgmse.training.losses import (
    Denoising,
    Reconstruction,
    ScoreMatching,
    Truth,
    VelocityMatching,
)
from sgmse.training.losses.perceptual import quality_loss
from sgmse.training.losses.reconstruction import level_difference, negative_si_sdr
from sgmse.training.losses.resolutions import multi_resolution_loss
from sgmse.training.losses.weightings import EDMWeighting, SigmaSquared, Uncertainty, Unweighted
from sgmse.transforms import Power, Spectrogram

TRANSFORM = Spectrogram(62, 16, Power(0.5, 0.3))
T = torch.tensor([0.3, 0.8], dtype=torch.float64)
WEIGHTINGS = [Unweighted(), SigmaSquared(), EDMWeighting(0.2)]


def random(seed: int) -> torch.Tensor:
    return torch.randn(2, 400, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(audio: torch.Tensor, sde=OUVE(), t=T) -> Truth:  # noqa: B008
    x0 = TRANSFORM.forward(audio)[:, None]
    z = torch.randn(x0.shape, dtype=x0.dtype, generator=torch.Generator().manual_seed(9))
    return Truth(x0, z, audio, TRANSFORM, t, sde)


@pytest.fixture
def true() -> Truth:
    return truth(random(0))


def test_score_matching_is_the_mean_square_of_the_noise(true):
    exact = Estimate(true.x0, true.z)
    assert ScoreMatching()(exact, true)["loss"] == 0
    off = Estimate(true.x0, true.z + (3 + 4j))
    assert float(ScoreMatching()(off, true)["loss"]) == pytest.approx(25)


def wrong(true: Truth, errors=(0.7 - 0.2j, 0.1j)) -> Estimate:
    """An estimate of the very x_t, with an error of the noise for each item."""
    a, _, sigma = (expand(s, true.z) for s in true.sde.scales(true.t))
    error = expand(torch.tensor(errors), true.z)
    return Estimate(true.x0 - sigma / a * error, true.z + error)


def errors(true: Truth) -> dict[str, torch.Tensor]:
    """Of `wrong`, for each item, by the formulas."""
    a, b, sigma = (expand(s, true.z) for s in true.sde.scales(true.t))
    x0, z = wrong(true)
    pairs = {
        "score": (-z / sigma, -true.z / sigma),
        "mean": (a * x0 + b * true.x0, a * true.x0 + b * true.x0),  # any y will do
        "data": (x0, true.x0),
    }
    return {n: ((p - q).abs() ** 2).flatten(1).mean(1) for n, (p, q) in pairs.items()}


@pytest.mark.parametrize("sde", [OUVE(), SBVE()], ids=repr)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=repr)
def test_losses_weight_their_errors_at_their_levels(sde, weighting):
    true = truth(random(0), sde)
    a, _, sigma = sde.scales(T)
    levels = {"score": sigma, "mean": sigma, "data": sigma / a}
    losses = {
        "score": ScoreMatching(weighting),
        "mean": Denoising("mean", weighting),
        "data": Denoising(weighting=weighting),
    }
    for name, error in errors(true).items():
        expected = (weighting(levels[name]) * error).mean()
        ours = losses[name](wrong(true), true)["loss"]
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=0)


def test_all_losses_are_one_but_for_their_weights():
    """e_score = -e_noise / sigma and a e_x0 = -sigma e_noise: EDM's loss from the score."""
    true = truth(random(0))
    a, _, sigma = OUVE().scales(T)
    noise = torch.tensor([abs(0.7 - 0.2j) ** 2, 0.01], dtype=torch.float64)
    edm = Denoising(weighting=EDMWeighting(0.2))(wrong(true), true)["loss"]
    expected = ((sigma**2 + (0.2 * a) ** 2) / (0.2 * a) ** 2 * noise).mean()
    torch.testing.assert_close(edm, expected, rtol=1e-6, atol=0)  # errors in float32


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=repr)
@pytest.mark.parametrize("loss", [ScoreMatching, lambda w: Denoising("mean", w)])
def test_nothing_is_infinite_at_the_end_of_a_bridge(loss, weighting):
    """There the noise of every estimate is 0, and no gradient comes from it."""
    true = truth(random(0), SBVE(), torch.tensor([0.5, 1.0], dtype=torch.float64))
    noise = torch.zeros_like(true.z).requires_grad_()
    loss(weighting)(Estimate(true.x0, noise), true)["loss"].backward()
    assert noise.grad.isfinite().all()


def test_weights_of_the_data_are_finite_where_nothing_is_left_of_them():
    t = torch.tensor([0.5, 1.0], dtype=torch.float64)
    true = truth(random(0), SBVE(), t)
    other = Estimate(true.x0 + 1, true.z)
    weighting = EDMWeighting(0.5)
    expected = (weighting(torch.tensor([SBVE().log_snr(t[:1]).neg().exp(), math.inf]))).mean()
    for loss in (Denoising(weighting=weighting), Reconstruction(2 * 0.3**2, weighting=weighting)):
        assert loss.refusal(SBVE(), t) is None
        assert float(loss(other, true)["loss"]) == pytest.approx(float(expected), rel=1e-6)
        odd = type(loss)(weighting=SigmaSquared())
        assert "is infinite at t = 1 of SBVE(k=2.6, c=0.4); use Unwei" in odd.refusal(SBVE(), t)
        assert odd.refusal(OUVE(), t) is None


@pytest.mark.parametrize("make", [ScoreMatching, lambda w: Denoising(weighting=w), Reconstruction])
def test_uncertainty_divides_by_what_is_expected_and_adds_its_logarithm(make):
    u = torch.tensor([0.4, -1.2], dtype=torch.float64)
    if make is Reconstruction:
        make = lambda w: Reconstruction(complex=2.0, weighting=w)  # noqa: E731
    true, alone = truth(random(0)), []
    for i in range(2):  # the loss of each item
        one = Truth(
            true.x0[i:][:1], true.z[i:][:1], true.audio[i:][:1], TRANSFORM, T[i:][:1], OUVE()
        )
        off = Estimate(*(part[i:][:1] for part in wrong(true)))
        alone.append(make(EDMWeighting())(off, one)["loss"])
    loss = make(Uncertainty(EDMWeighting(), terms=3))
    assert loss.learned().weights.shape == (3,)
    factor = 2.0 if isinstance(loss, Reconstruction) else 1.0
    expected = (torch.stack(alone) * (-u).exp() + factor * u).mean()
    torch.testing.assert_close(loss(wrong(true), true._replace(u=u))["loss"], expected)
    with pytest.raises(ValueError, match="needs u"):
        loss(wrong(true), true)


def test_most_losses_learn_nothing():
    for loss in (ScoreMatching(), Denoising(weighting=EDMWeighting()), ALL):
        assert loss.learned() is None
        assert loss.refusal(SBVE(), torch.ones(1)) is None


@pytest.mark.parametrize("name", CONFIGS)
def test_parity(parity, name):
    """The published losses, but for their factor; see `loss_of`."""
    settings, v = configurations(parity)
    config, model = settings["configs"][name], model_of(parity, settings, name)
    stft = settings["stft_for_data_prediction_loss"]
    compression = Power(stft["spec_abs_exponent"], stft["spec_factor"])
    transform = Spectrogram(stft["n_fft"], stft["hop_length"], compression)
    audio = transform.inverse(v["x"][:, 0], (stft["num_frames"] - 1) * stft["hop_length"])
    true = Truth(v["x"], v["z"], audio, transform, v["t"], model.sde)
    with torch.no_grad():
        estimate = model(v[f"{name}__x_t"], v["y"], v["t"])
    loss, factor = loss_of(config, v["x"][0].numel(), compression.factor)
    expected = v[f"{name}__loss"]
    if config["loss_weighting"] == "edm":
        # The published weights (batch, 1, ..., 1) of losses (batch, ...) have been broadcast
        # against each other: mean_i w_i sum_j l_j in place of mean_i w_i l_i.
        sigma, data = model.sde.scales(v["t"]).sigma, config["sigma_data"]
        weights = (sigma**2 + data**2) / (sigma * data) ** 2
        halves = Denoising("mean")(estimate, true)["loss"] * v["x"][0].numel() / 2
        torch.testing.assert_close(expected, weights.mean() * 2 * halves, rtol=1e-9, atol=0)
        error = (estimate.noise - v["z"]).abs() ** 2 * expand(sigma**2, v["z"])
        expected = (weights * error.flatten(1).sum(1) / 2).mean()
    ours = factor * loss(estimate, true)["loss"]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=0)


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


def test_level_is_the_distance_in_decibels_that_si_sdr_does_not_hear(true):
    loss = Reconstruction(complex=0, level=2)
    for factor in (0.5, 2.0):
        # of audio `factor` times as loud, compressed by a root
        parts = loss(Estimate(factor**0.5 * true.x0, true.z), true)
        assert float(parts["level"]) == pytest.approx(20 * math.log10(2), rel=1e-6)
        assert float(parts["loss"]) == pytest.approx(2 * math.log10(2), rel=1e-6)


def test_level_pulls_up_and_down_and_leaves_silence_alone():
    reference = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    reference[3] = 0
    factors = torch.tensor([0.5, 1.5, -0.9, 1.0], requires_grad=True)
    estimate = factors[:, None] * (reference + (reference == 0))
    (slope,) = torch.autograd.grad(level_difference(estimate, reference).sum(), factors)
    assert slope[0] < 0 < slope[1]
    assert slope[2] == pytest.approx(-4)  # the other polarity, and beyond -40 dB
    assert slope[3] == 0  # no level to keep
    distance = level_difference(estimate, reference)
    assert distance[3].item() == 0
    assert distance[2].item() == pytest.approx(2 + 4 * 0.91, rel=1e-5)
    # However loud that is, it counts as speech of its level.
    assert level_difference(-100 * reference[0], reference[0]).item() == pytest.approx(6.04)


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
    parts = loss(Estimate(x, x0), Truth(x0, x0, audio, transform, T.float(), OUVE()))
    expected = float(quality_loss(other, audio).mean())
    assert float(parts["perceptual"]) == pytest.approx(expected, rel=1e-4)  # float32 transforms
    assert float(parts["loss"]) == pytest.approx(0.7 * expected, rel=1e-4)


def test_parts_without_weight_are_left_out(true):
    assert Reconstruction(complex=2)(Estimate(true.x0, true.z), true).keys() == {"loss", "complex"}


def test_si_sdr_of_orthogonal_noise_is_its_ratio():
    t = torch.arange(1000, dtype=torch.float64) * 2 * math.pi / 1000
    reference, noise = (5 * t).sin(), (7 * t).sin()
    value = -10 * negative_si_sdr(3 * (reference + 0.1 * noise), reference)
    assert float(value) == pytest.approx(20)
    assert float(-10 * negative_si_sdr(noise, reference)) == pytest.approx(-40)  # the floor
    assert negative_si_sdr(torch.zeros(4, 10), torch.zeros(4, 10)).isfinite().all()


def test_the_weighting_of_a_reconstruction_is_that_of_its_complex_part(true):
    estimate = Estimate(wrong(true).x0, true.z)
    plain, weighted = (
        Reconstruction(3.0, 1.0, weighting=w)(estimate, true)
        for w in (Unweighted(), EDMWeighting())
    )
    a, _, sigma = OUVE().scales(T)
    expected = (EDMWeighting()(sigma / a) * errors(true)["data"]).mean() / (2 * 0.3**2)
    assert float(weighted["complex"]) == pytest.approx(float(expected))
    assert weighted["magnitude"] == plain["magnitude"]
    assert float(weighted["loss"]) == pytest.approx(float(3 * expected + plain["magnitude"]))
    assert float(plain["complex"]) == pytest.approx(
        float(errors(true)["data"].mean()) / (2 * 0.3**2)
    )
    with pytest.raises(ValueError, match="its weighting is that of `complex`, which has no weight"):
        Reconstruction(complex=0, magnitude=1, weighting=EDMWeighting())


@pytest.mark.parametrize(
    "loss", [ScoreMatching(), ALL, Denoising(), Denoising("mean", EDMWeighting())]
)
def test_gradients_point_to_the_truth(loss, true):
    other = truth(random(1))
    estimate = Estimate(*(e.clone().requires_grad_() for e in (other.x0, -true.z)))
    before = loss(estimate, true)["loss"]
    before.backward()
    moved = Estimate(
        *(e.detach() - (0.0 if e.grad is None else 1e-3 * e.grad / e.grad.norm()) for e in estimate)
    )
    assert loss(moved, true)["loss"] < before


@pytest.mark.parametrize("sde", [StraightFlow(0.0, 0.487), StraightFlow(0.1, 0.3), OUVE()])
def test_velocity_matching_is_the_error_of_the_velocity(sde):
    """Of a' x0 + b' y + sigma' z; FlowSE's is y - x0 + (sigma_max - sigma_min) z."""
    true = truth(random(0), sde)
    y = torch.randn_like(true.x0)
    estimate = Estimate(torch.randn_like(true.x0), torch.randn_like(true.z))
    rates = [expand(rate, y) for rate in sde.rates(true.t)]
    ours, theirs = (
        sum(rate * part for rate, part in zip(rates, (x0, y, z), strict=True))
        for x0, z in ((estimate.x0, estimate.noise), (true.x0, true.z))
    )
    loss = VelocityMatching()(estimate, true)["loss"]
    torch.testing.assert_close(loss, (ours - theirs).abs().square().mean())
    if isinstance(sde, StraightFlow):
        published = y - true.x0 + (sde.sigma_max - sde.sigma_min) * true.z
        torch.testing.assert_close(theirs, published)
    assert VelocityMatching()(Estimate(true.x0, true.z), true)["loss"] == 0


def test_velocity_matching_is_refused_where_a_velocity_is_infinite():
    t = torch.tensor([0.5, 1.0])
    assert VelocityMatching().refusal(StraightFlow(), t) is None
    assert VelocityMatching().refusal(SBVE(), t[:1]) is None
    assert "infinite at t = 1" in VelocityMatching().refusal(SBVE(), t)


def test_several_resolutions_are_a_part_of_the_reconstruction():
    transform = Spectrogram(510, 128, Power(0.5, 0.3))
    audio = torch.randn(2, 4000, dtype=torch.float64)
    x0 = transform.forward(audio)[:, None]
    true = Truth(x0, torch.zeros_like(x0), audio, transform, T, OUVE())
    estimate = Estimate(0.9 * x0, torch.zeros_like(x0))
    terms = Reconstruction(complex=0, multi_resolution=2)(estimate, true)
    expected = multi_resolution_loss(0.9**2 * audio, audio).mean()  # the compression is a root
    torch.testing.assert_close(terms["multi_resolution"], expected)
    torch.testing.assert_close(terms["loss"], 2 * expected)
    with pytest.raises(ValueError, match="weights must not be negative"):
        Reconstruction(multi_resolution=-1)


def test_losses_say_whether_they_judge_results_without_a_time():
    assert Reconstruction(complex=1, si_sdr=1).untimed() is None
    weighted = Reconstruction(weighting=EDMWeighting())
    assert "leave out EDMWeighting" in weighted.untimed()
    for loss in (ScoreMatching(), Denoising(), VelocityMatching()):
        assert "use Reconstruction" in loss.untimed()
