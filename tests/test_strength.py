"""The strength of the attenuation: what a bin has lost, in dB, times a number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from tiny import Gain, with_front

import sgmse
from sgmse._noise import Draws
from sgmse.audio import read
from sgmse.bench import Model
from sgmse.checkpoints import load_model, native
from sgmse.checkpoints.native import Quality
from sgmse.errors import ArgumentError, ArgumentTypeError, RecordingWarning, SamplerWarning
from sgmse.front import FrontEnd
from sgmse.live import Pieces, Stream
from sgmse.metrics import estoi
from sgmse.metrics.pesq import pesq_wb
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import Network
from sgmse.solvers import SamplerRange, solve
from sgmse.transforms import Log, Power, Spectrogram, Waveform, strengthened

RATE = tiny.RATE
DATA = Path(__file__).parent / "data"
STRENGTHS = [0.0, 0.5, 0.8, 1.3, 2.0]


def decibels(out: np.ndarray, audio: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(out**2) / np.sum(audio**2)))


def noise(seconds: float = 0.5, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def complex_noise(seed: int) -> torch.Tensor:
    randn = torch.Generator().manual_seed(seed)
    return torch.randn(2, 16, 40, dtype=torch.complex128, generator=randn)


# The law


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("compression", [Power(0.3, 0.3), Power(1.0, 2.0), Log(0.2)])
def test_what_a_bin_has_lost_in_decibels_is_multiplied(strength, compression):
    transform = Spectrogram(30, 8, compression)
    x, y = (compression.compress(scale * complex_noise(i)) for i, scale in enumerate([0.3, 1.0]))
    out = compression.expand(transform.moderated(x, y, strength))
    made, whole = compression.expand(x), compression.expand(y)
    lost = (20 * (made.abs() / whole.abs()).log10()).clamp(max=0)
    assert float(lost.min()) < -20
    assert float(lost.max()) == 0  # some bin has lost nothing
    gained = 20 * (out.abs() / made.abs()).log10()
    torch.testing.assert_close(gained, (strength - 1) * lost, rtol=0, atol=1e-8)
    torch.testing.assert_close(out / out.abs(), made / made.abs(), rtol=0, atol=1e-10)


def test_strengths_follow_one_another_and_one_is_none():
    x, y = complex_noise(0), 3 * complex_noise(1)
    plain = Spectrogram(30, 8, Power(1.0, 1.0))
    torch.testing.assert_close(plain.moderated(x, y, 1.0), x, rtol=1e-15, atol=0)
    twice = plain.moderated(plain.moderated(x, y, 0.5), y, 0.6)
    torch.testing.assert_close(twice, plain.moderated(x, y, 0.3), rtol=1e-12, atol=0)


def test_of_nothing_nothing_becomes():
    x = torch.tensor([0.0, 1e-30, 0.0, 1.0])
    y = torch.tensor([1.0, 1.0, 0.0, 0.0])
    for strength in STRENGTHS:
        gain = strengthened(x, y, strength)
        assert gain.isfinite().all()
        assert (gain * x)[[0, 2, 3]].tolist() == [0.0, 0.0, 1.0]
        assert float((gain * x)[1]) <= 1e-26  # -80 dB are made up for at most


# In an enhancer: a network that leaves a tenth

WAVENET = FrontEnd(Waveform(2.0), RATE, level="published")


class Half(Gain):
    """Waveforms are linear in what a network sees."""

    def forward(self, x, y, t):
        return self.gain * y


MADE = {
    "spectrogram": with_front(tiny.enhancer(Gain(0.1)), level="published"),
    "waveform": replace(tiny.enhancer(Half(0.1)), front=WAVENET),
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.filterwarnings("ignore")  # of the band above
def test_a_result_has_lost_so_many_decibels(kind, strength, rate):
    audio = np.repeat(noise(), 3)[: 8000 * rate // RATE] if rate != RATE else noise()
    model = MADE[kind]
    options = {"upper_band": False}
    plain, out = model(audio, rate, **options), model(audio, rate, strength=strength, **options)
    kept = model(audio, rate, strength=0.0, **options)
    lost = decibels(plain, kept)
    assert lost == pytest.approx(-20, abs=0.3)
    assert decibels(out, kept) == pytest.approx(strength * lost, abs=0.3)
    same = replace(model, strength=strength)
    np.testing.assert_array_equal(same(audio, rate, **options), out)
    np.testing.assert_array_equal(same(audio, rate, strength=1, **options), plain)


class Same(Network):
    """The estimate is what the predictor has made of the recording."""

    observations = 2

    def forward(self, x, y, t):
        return y[:, 1:]


@pytest.mark.parametrize("shifts", [1, 2])
@pytest.mark.parametrize("moved", [0.0, 0.5])
@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.filterwarnings("ignore")  # of no steps
def test_it_is_of_the_recording_and_not_of_what_a_predictor_made_of_it(moved, shifts, steps):
    plain = tiny.enhancer()
    refiner = ScoreModel(Same(), plain.model.sde, plain.model.parametrization)
    two = Regeneration(Gain(0.1), refiner, "both", moved)
    model = with_front(replace(plain, model=two, force=True), level="published")
    model = model.with_sampler(shifts=shifts, steps=steps)
    audio = noise()
    assert decibels(model(audio, RATE), audio) == pytest.approx(-20, abs=0.3)
    np.testing.assert_allclose(model(audio, RATE, strength=0.0), audio, rtol=0, atol=1e-6)
    assert decibels(model(audio, RATE, strength=0.7), audio) == pytest.approx(-14, abs=0.3)


@pytest.mark.parametrize("moved", [0.0, 0.5])
@pytest.mark.filterwarnings("ignore")  # random weights
def test_what_is_solved_by_hand_has_one_too(moved):
    model = replace(tiny.enhancer(), model=tiny.regeneration(moved=moved), samplers=(), force=True)
    model = with_front(model, level="published")
    audio = (noise() / np.abs(noise()).max()).astype("f")
    with torch.no_grad():
        heard = model.observe(torch.from_numpy(audio)[None])
        x = solve(
            heard.model, heard.y, model.sampler.solver, model.sampler.grid, randn=Draws(0, 0)
        ).x
        for strength in (0.3, 1.0):
            out = heard.audio(x, strength)[0].numpy()
            theirs = model(audio, RATE, strength=strength)
            np.testing.assert_allclose(out, theirs, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # it is clean
def test_the_level_of_speech_is_kept_at_any_strength():
    speech = read(DATA / "clean.wav")[0][0]
    model = tiny.enhancer(Gain(0.8))  # whose level is kept
    for strength in (0.5, 1.0):
        out = model(speech, RATE, strength=strength)
        assert decibels(out, speech) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("strength", [0.0, 0.2, 1.0, 2.0])
def test_what_is_said_of_a_recording_does_not_hang_on_it(strength):
    model = with_front(tiny.enhancer(Gain(0.05)), level="published")
    with pytest.warns(RecordingWarning, match="no speech was found"):
        model(noise(3.0), RATE, strength=strength)


# Streams


@pytest.mark.filterwarnings("ignore")
def test_a_stream_gives_what_the_recording_gives():
    made, audio = replace(tiny.causal(), strength=0.6), noise(0.06).astype("f")
    stream = Stream(made, RATE)
    whole = stream.whole(audio)
    np.testing.assert_allclose(whole, made(audio, RATE), rtol=0, atol=3e-6 * np.abs(whole).max())
    asked = Stream(replace(made, strength=1.0), RATE, strength=0.6).whole(audio)
    np.testing.assert_array_equal(asked, whole)
    assert np.abs(whole - Stream(made, RATE, strength=1).whole(audio)).max() > 0.01 * whole.max()


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_stream_by_windows_gives_what_the_recording_gives(strength):
    made, audio = replace(MADE["spectrogram"], strength=strength), noise(0.4)
    stream = Stream(made, RATE, pieces=Pieces(piece=0.5, ahead=0.1, before=0.1, fade=0.01))
    np.testing.assert_allclose(stream.whole(audio), made(audio, RATE), rtol=0, atol=1e-5)


# What may be asked, and what is kept


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan")])
def test_no_other_is_taken(strength):
    with pytest.raises(ArgumentError, match="strength must lie between 0 and 2, not "):
        MADE["spectrogram"](noise(), RATE, strength=strength)
    with pytest.raises(ArgumentError, match="strength must lie between 0 and 2, not "):
        Stream(MADE["spectrogram"], RATE, strength=strength)
    for owner in (MADE["spectrogram"], tiny.checkpoint(), Quality()):
        with pytest.raises(ArgumentError, match="strength must lie between 0 and 2, not "):
            replace(owner, strength=strength)


def test_it_is_a_number():
    with pytest.raises(ArgumentTypeError, match="strength must be a number, not 'strong'"):
        MADE["spectrogram"](noise(), RATE, strength="strong")


def test_nothing_is_said_of_a_sampler_twice(recwarn):
    model = replace(tiny.enhancer(), samplers=(SamplerRange.of(tiny.enhancer().sampler),))
    with pytest.warns(SamplerWarning):
        model = model.with_sampler(steps=7, force=True)
    recwarn.clear()
    model(noise(0.1), RATE, strength=0.5)
    assert not [w for w in recwarn if issubclass(w.category, SamplerWarning)]


def test_a_folder_has_it_for_the_model_and_for_a_quality(tmp_path):
    qualities = {"fast": Quality(), "gentle": Quality(strength=0.4)}
    kept = replace(tiny.checkpoint(), strength=0.7, qualities=qualities)
    folder = native.save(kept, tmp_path / "model")
    assert load_model(folder).strength == 0.7
    assert load_model(folder, quality="fast").strength == 0.7
    assert load_model(folder, quality="gentle").strength == 0.4
    plain = native.save(tiny.checkpoint(), tmp_path / "plain")
    assert '"strength"' not in (plain / "config.json").read_text()
    assert load_model(plain).strength == 1


def test_a_system_of_a_suite_has_one():
    with pytest.raises(ArgumentError, match="strength must lie between 0 and 2, not 3"):
        Model(strength=3.0)
    told = [Model(strength=strength) for strength in (None, 0.8, 0.5)]
    assert [own.enhancer().strength for own in told] == [sgmse.load().strength, 0.8, 0.5]
    half, own = Model(strength=0.5).conditions(), Model().conditions()
    assert half != own
    assert Model(strength=sgmse.load().strength).conditions() == own


# The models of the package


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "live"])
def test_that_of_the_package_makes_recordings_better(name):
    model = sgmse.load(name, device="cpu")
    assert 0.5 < model.strength < 1
    clean, noisy = (read(DATA / f)[0][0] for f in ("clean.wav", "noisy.wav"))
    out, plain = model(noisy, RATE), model(noisy, RATE, strength=1)
    assert pesq_wb(clean, out, RATE) > pesq_wb(clean, plain, RATE) + 0.02
    assert estoi(clean, out, RATE) > estoi(clean, plain, RATE) - 0.01
