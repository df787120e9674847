"""Waves in, waves out: arrays, tensors, rates, channels, lengths, seeds and files."""

import os
import pydoc
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import in_turn, together
from hypothesis import given, settings, strategies as st
from lightning_files import official
from tiny import (
    FRONT,
    RATE,
    TRANSFORM,
    Gain,
    Identity,
    Pointwise,
    checkpoint,
    enhancer,
    regeneration,
    with_front,
)
from torch.nn.functional import pad

import sgmse
from sgmse import audio as files
from sgmse._noise import Draws
from sgmse.audio import Info, Writer, info, read, write
from sgmse.checkpoints import save
from sgmse.compat import SBODE
from sgmse.enhancer import Enhancer
from sgmse.enhancer._segments import Segments
from sgmse.errors import (
    ArgumentError,
    ArgumentTypeError,
    AudioError,
    ClippingWarning,
    DeviceError,
    SgmseError,
)
from sgmse.estimates import Data
from sgmse.metrics import si_sdr
from sgmse.model import Refinement, Regeneration, ScoreModel
from sgmse.networks import Network, SlimUNet
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import NAMED, Exponential, Multistep, PredictorCorrector, Sampler, Uniform, solve
from sgmse.transforms import Spectrogram

# A random network may be loud, and many recordings here are very short.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sgmse.errors.ClippingWarning", "ignore:audio of shape:sgmse.errors.RecordingWarning"
)

TINY = enhancer()
NOISY = replace(TINY, sampler=Sampler(Exponential(eta=1.0), Uniform(steps=3, end=0.1)))
PIECES = replace(TINY, segment=0.02, overlap=0.005)  # 320 and 80 samples
RATES = [8000, 11025, 16000, 44100, 44101, 48000, 96000]
DATA = Path(__file__).parent / "data"


FOLDERS = ("clean", "noisy")


def sound(*shape: int, seed: int = 0) -> np.ndarray:
    """Sines in noise, another one in each channel, float64 and below full scale."""
    z = np.random.default_rng(seed).standard_normal(shape)
    tone = np.sin(2 * np.pi * 0.02 * np.arange(shape[-1]))
    return 0.1 * z / (1 + np.abs(z)) + 0.5 * tone


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Type, shape and precision


@pytest.mark.parametrize("shape", [(700,), (1, 700), (2, 700), (5, 700)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_an_array_keeps_its_type_and_shape(shape, dtype):
    audio = sound(*shape).astype(dtype)
    before = audio.copy()
    out = TINY(audio, RATE)
    assert type(out) is np.ndarray
    assert (out.shape, out.dtype) == (audio.shape, audio.dtype)
    assert np.abs(out.astype(float) - audio).max() > 0.01  # something happened
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize("shape", [(700,), (2, 700)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensor_keeps_its_type_and_shape(shape, dtype):
    audio = torch.from_numpy(sound(*shape)).to(dtype)
    before = audio.clone()
    out = TINY(audio, RATE)
    assert type(out) is torch.Tensor
    assert (out.shape, out.dtype, out.device) == (audio.shape, dtype, audio.device)
    assert not out.is_inference()
    assert torch.equal(audio, before)


@pytest.mark.parametrize("dtype", ["int16", ">i2", "int32", "uint8", "int8"])
@pytest.mark.parametrize("of", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_integers_are_enhanced_as_the_floats_that_they_stand_for(dtype, of):
    """As a reader gives them, (samples, channels); within half a step of the floats' result."""
    if of is torch.tensor and dtype.startswith(">"):
        pytest.skip("tensors have the byte order of the machine")
    limits, silence = np.iinfo(dtype), 128 * (dtype == "uint8")
    scale = limits.max - silence + 1.0
    audio = np.rint(scale * 0.5 * sound(700, 2) + silence).astype(dtype)
    given = of(audio)
    out = TINY(given, RATE)
    assert (type(out), out.dtype, out.shape) == (type(given), given.dtype, given.shape)
    floats = TINY((audio.T.astype(float) - silence) / scale, RATE).T
    assert np.abs(floats).max() < 1  # nothing is clipped
    # the scale is a power of two: float32 of 16 bits rounds where float64 does not
    np.testing.assert_allclose(
        (np.asarray(out).astype(float) - silence) / scale, floats, atol=0.51 / scale + 1e-6
    )
    np.testing.assert_array_equal(TINY(given, RATE, dry=1.0), given)


def test_channels_last_is_enhanced_along_the_samples():
    audio = sound(2, 700)
    np.testing.assert_array_equal(TINY(audio.T, RATE), TINY(audio, RATE).T)
    np.testing.assert_array_equal(TINY(audio[:1].T, RATE)[:, 0], TINY(audio[0], RATE))


@pytest.mark.parametrize("of", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_a_batch_is_enhanced_one_by_one(of):
    """With the same noise each, whatever the others hold."""
    batch = np.stack([sound(2, 700), 0.01 * sound(2, 700, seed=1), np.zeros((2, 700))])
    done = []
    out = NOISY(of(batch), RATE, seed=3, progress=done.append)
    assert type(out) is type(of(batch))
    for item, alone in zip(out, batch, strict=True):
        np.testing.assert_array_equal(item, NOISY(of(alone), RATE, seed=3))
    assert sum(done) == pytest.approx(3 * 700 / RATE)


def test_the_recording_comes_before_its_rate():
    for audio in (sound(700), torch.zeros(700)):
        with pytest.raises(TypeError, match=r"the recording comes first.*enhancer\(audio, sample_"):
            TINY(16000, audio)
    with pytest.raises(TypeError, match=r"sample_rate must be a positive whole .* not '16k'"):
        TINY(sound(700), "16k")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_keeps_its_device(tmp_path):
    onto_gpu = sgmse.load(save(checkpoint(), tmp_path), device="cuda")
    audio = torch.from_numpy(sound(2, 700)).float()
    out = onto_gpu(audio.cuda(), RATE)
    assert out.device.type == "cuda"
    assert onto_gpu(audio, RATE).device.type == "cpu"
    torch.testing.assert_close(out.cpu(), TINY(audio, RATE), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::-1],
        lambda x: x[::-1],
        lambda x: x[:, ::3],
        lambda x: np.asfortranarray(x),
        lambda x: np.ascontiguousarray(x.T).T,
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
)
def test_any_memory_layout(view):
    audio = view(sound(3, 700).astype(np.float32))
    audio.flags.writeable = False
    out = TINY(audio, RATE)
    np.testing.assert_array_equal(out, TINY(audio.copy(order="C"), RATE))
    assert out.flags.writeable


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.clone().requires_grad_(),
        lambda x: x.clone().requires_grad_() * 1.0,
        lambda x: x.T.contiguous().T,
        lambda x: x[:1].expand(2, -1),
        lambda x: torch.complex(x, -x).conj().imag,  # carries a lazy sign
    ],
)
def test_any_kind_of_tensor(view):
    audio = view(torch.from_numpy(sound(2, 700)).float())
    out = TINY(audio, RATE)
    assert torch.equal(out, TINY(audio.detach().clone().contiguous(), RATE))
    assert not out.requires_grad


def test_inside_inference_mode():
    with torch.inference_mode():
        audio = torch.from_numpy(sound(700))
        assert TINY(audio, RATE).shape == (700,)


@pytest.mark.parametrize(
    ("audio", "error"),
    [
        (np.zeros((800, 100)), ValueError),
        (np.zeros(8, np.int64), TypeError),
        (np.full(8, np.nan), ValueError),
        (np.zeros(0), ValueError),
        ([0.0], TypeError),
    ],
)
def test_what_is_no_recording_is_refused(audio, error):
    with pytest.raises(error, match="audio"):
        TINY(audio, RATE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sample_rate": 0}, "sample_rate must be a positive whole number of Hz, not 0"),
        ({"sample_rate": -8000}, "sample_rate"),
        ({"sample_rate": 16000.5}, "sample_rate"),
        ({"sample_rate": float("nan")}, "sample_rate"),
        ({"dry": -0.1}, "dry must lie between 0 and 1, not -0.1"),
        ({"dry": 1.1}, "dry"),
        ({"dry": float("nan")}, "dry"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        TINY(sound(100), **{"sample_rate": RATE} | options)
    if "sample_rate" not in options:
        with pytest.raises(ValueError, match=says):
            TINY.enhance_file("absent.wav", **options)


def test_a_float_rate_and_numpy_numbers_are_fine():
    audio = sound(500)
    out = TINY(audio, 8000, seed=3, dry=0.5)
    np.testing.assert_array_equal(out, TINY(audio, 8000.0, seed=np.int64(3), dry=np.float32(0.5)))


# Rates, lengths, channels, levels


@pytest.mark.slow
@together(rate=RATES, samples=[1, 2, 15, 31, 32, 63, 1001])
def test_any_length_at_any_rate(rate, samples):
    out = PIECES(sound(2, samples), rate)
    assert out.shape == (2, samples)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("rate", RATES)
def test_the_identity_stays_at_its_place_at_any_rate(rate):
    audio = np.zeros(rate // 4)
    t = np.arange(rate // 8) / rate
    audio[rate // 16 : rate // 16 + len(t)] = np.hanning(len(t)) * np.sin(2 * np.pi * 700 * t)
    out = enhancer(Identity())(audio, rate)
    # 700 Hz passes all low-pass filters; the spectrogram is in float32
    np.testing.assert_allclose(out, audio, atol=2e-5)


@pytest.mark.parametrize("model", [TINY, PIECES, NOISY], ids=["one", "pieces", "stochastic"])
@pytest.mark.parametrize("channels", [2, 5, 9])
def test_channels_are_enhanced_one_by_one(model, channels):
    audio = sound(channels, 900)
    audio *= np.logspace(-3, 0, channels)[:, None]
    out = model(audio, 22050)
    for row, alone in zip(out, audio, strict=True):
        # a batch sums in another order
        np.testing.assert_allclose(row, model(alone, 22050), atol=2e-5 * np.abs(row).max())


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("dry", [0, 0.5, 1])
def test_silence_is_silence(rate, dry):
    calls = []
    assert (PIECES(np.zeros((2, 3000)), rate, dry=dry, progress=calls.append) == 0).all()
    assert sum(calls) == pytest.approx(3000 / rate)
    audio = sound(3, 3000)
    audio[1] = 0
    out = PIECES(audio, rate, dry=dry)
    assert (out[1] == 0).all()
    np.testing.assert_allclose(out[[0, 2]], PIECES(audio[[0, 2]], rate, dry=dry), atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_level_does_not_matter(rate):
    audio = sound(1200)
    out = NOISY(audio, rate)
    np.testing.assert_array_equal(NOISY(audio / 1024, rate), out / 1024)
    # other factors round
    np.testing.assert_allclose(NOISY(3e-4 * audio, rate), 3e-4 * out, atol=3e-4 * 1e-4)
    np.testing.assert_allclose(NOISY(1e-30 * audio, rate), 1e-30 * out, atol=1e-34)
    np.testing.assert_allclose(NOISY(1e30 * audio, rate), 1e30 * out, atol=1e26)


@pytest.mark.parametrize(("samples", "rate"), in_turn([1, 50, 2500], RATES))
def test_dry_mixes_with_the_input(samples, rate):
    audio = sound(2, samples)
    np.testing.assert_array_equal(PIECES(audio, rate, dry=1.0), audio)
    wet = PIECES(audio, rate)
    np.testing.assert_allclose(PIECES(audio, rate, dry=0.5), (wet + audio) / 2, atol=1e-12)
    np.testing.assert_allclose(PIECES(audio, rate, dry=0.1), 0.9 * wet + 0.1 * audio, atol=1e-12)


# Randomness


def test_draws_are_standard_normal_and_depend_on_the_key():
    like = torch.zeros(3, 1, 64, 200, dtype=torch.complex64)
    draws = Draws(0, 0)
    z, again = draws(like), draws(like)
    assert z.shape == like.shape
    assert z.dtype == like.dtype
    # 12800 numbers: deviations of 1 %
    assert z[0].real.var().item() == pytest.approx(0.5, abs=0.03)
    assert z[0].imag.var().item() == pytest.approx(0.5, abs=0.03)
    assert abs(z[0].mean().item()) < 0.03
    assert abs((z[0] * z[0]).mean().item()) < 0.03  # circular
    assert torch.equal(z[0], z[2])
    others = [again, Draws(1, 0)(like), Draws(0, 1)(like)]
    for other in others:
        assert abs((z[0] * other[0].conj()).mean().item()) < 0.04
    assert torch.equal(Draws(0, 0)(like), z)


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_draws_do_not_depend_on_what_is_padded_after(frames, padding, count):
    short, long = (
        torch.zeros(b, 1, 8, n, dtype=torch.complex128)
        for b, n in ((1, frames), (2, frames + padding))
    )
    a, b = Draws(3, 1), Draws(3, 1)
    for _ in range(count):
        a(short), b(long)
    assert torch.equal(a(short)[0], b(long)[1, ..., :frames])


def test_the_same_seed_gives_the_same_output():
    audio = sound(2, 1500)
    first = NOISY(audio, RATE, seed=5)
    NOISY(sound(900, seed=1), RATE, seed=9)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (it must not matter)
    np.testing.assert_array_equal(NOISY(audio, RATE, seed=5), first)
    assert np.abs(NOISY(audio, RATE, seed=6) - first).max() > 1e-3
    np.testing.assert_array_equal(TINY(audio, RATE, seed=5), TINY(audio, RATE, seed=6))


def test_the_state_of_the_global_generators_is_left_alone():
    before = torch.random.get_rng_state()
    NOISY(sound(500), RATE)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_comes_after_changes_nothing_before():
    """A network that sees one bin at a time: only the noise could carry the length."""
    model = with_front(replace(NOISY, model=enhancer(Pointwise()).model), level="published")
    audio = sound(2000)
    audio[100] = 1  # the peak, so that the level stays
    out = model(audio, RATE)
    assert np.abs(out - TINY(audio, RATE)).max() > 1e-3
    for samples in (700, 1000, 1333):
        short = model(audio[:samples], RATE)
        np.testing.assert_allclose(short[:-64], out[: samples - 64], atol=1e-6)


def test_segments_draw_different_noise():
    model = replace(NOISY, model=enhancer(Pointwise()).model, segment=0.02, overlap=0.005)
    period = np.tile(sound(240), 8)  # each segment, of 320 - 80 new samples, gets the same audio
    out = model(period, RATE)
    assert np.abs(out[600:700] - out[840:940]).max() > 1e-3


# Long recordings


@given(st.integers(1, 3000), st.sampled_from([16000, 22050]), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_segments_leave_no_seam(samples, rate, dry):
    model = replace(enhancer(Identity()), segment=0.02, overlap=0.01)
    t = np.arange(samples) / rate
    audio = np.stack([np.cos(2 * np.pi * 400 * t), 0.1 * np.sin(2 * np.pi * 600 * t)])
    out = model(audio, rate, dry=dry)
    assert out.shape == audio.shape
    if rate == RATE:
        np.testing.assert_allclose(out, audio, atol=2e-5)
    else:  # the filters ring at the ends of a sound that starts at once
        inside = slice(300, max(300, samples - 300))
        np.testing.assert_allclose(out[:, inside], audio[:, inside], atol=3e-4)


@pytest.mark.parametrize("offset", range(-3, 4))
@pytest.mark.parametrize("edge", [320, 480, 720, 960])
def test_segments_leave_no_seam_at_the_edges(edge, offset):
    model = replace(enhancer(Identity()), segment=0.02, overlap=0.005)
    audio = sound(2, edge + offset)
    np.testing.assert_allclose(model(audio, RATE), audio, atol=1e-5)


def test_segments_are_close_to_the_whole():
    """Twenty segments of the tiny network: away from the ends of recordings context is enough."""
    audio = sound(16000)
    whole = TINY(audio, RATE)
    pieces = replace(TINY, segment=0.1, overlap=0.04)(audio, RATE)
    error = np.sqrt(np.mean((pieces - whole) ** 2) / np.mean(whole**2))
    assert 0 < error < 0.1


@pytest.mark.parametrize(
    ("rate", "channels", "steps", "shifts"),
    [(8000, 1, 3, 1), (16000, 2, 2, 3), (16000, 5, 1, 1), (44101, 2, 1, 1), (44101, 1, 2, 3)],
)
def test_progress_adds_up_to_the_duration(rate, channels, steps, shifts):
    model = PIECES.with_sampler(steps=steps, shifts=shifts)
    for samples in (1, 320, 2000):
        calls = []
        model(sound(channels, samples), rate, progress=calls.append)
        assert all(seconds >= 0 for seconds in calls)
        # rounded up to a sample of the model
        assert samples / rate <= sum(calls) + 1e-9 < samples / rate + 1 / RATE + 1e-6
        assert len(calls) >= steps * shifts * -(-channels // 4)


def test_an_exception_in_progress_ends_the_work():
    class EnoughError(Exception):
        pass

    def stop(seconds):
        raise EnoughError

    with pytest.raises(EnoughError):
        PIECES(sound(5000), RATE, progress=stop)


# The object


def test_a_bad_configuration_is_refused():
    for options in ({"segment": 0.0}, {"overlap": 0.0}, {"segment": 1.0, "overlap": 0.6}):
        with pytest.raises(ValueError, match="at least twice overlap"):
            replace(TINY, **options)
    with pytest.raises(ValueError, match=r"31 frequencies.*multiple of 2; 62 would do"):
        with_front(TINY, transform=Spectrogram(60, 16))


def test_an_enhancer_is_shown_on_a_few_lines():
    assert repr(TINY.with_sampler(shifts=2)) == (
        "Enhancer\n"
        "  network   SlimUNet (0.00 M)\n"
        "  process   SBVE()\n"
        "  estimate  Data()\n"
        "  rate      16000 Hz\n"
        "  front     Spectrogram(n_fft=62, hop=16)\n"
        "  sampler   Exponential(start=0.0) on Uniform(steps=1, end=0.0), 2 shifts"
    )
    assert "Predictive (0.00 M) and NCSNpp (0.0" in repr(replace(TINY, model=regeneration()))
    assert max(map(len, repr(sgmse.load()).splitlines())) < 80


def test_help_begins_with_what_load_does():
    text = pydoc.plain(pydoc.render_doc(sgmse.load))
    assert text.index("Load a model, ready to enhance.") < 600


def test_no_steps_are_what_a_predictor_says():
    net = SlimUNet(channels=(4, 8), blocks=(1, 1), dual_paths=1, embedding=8, observations=2)
    model = Regeneration(Gain(0.5), ScoreModel(net.eval(), SBVE(), Data()))
    sampler = Sampler(Exponential(start=0.0), Uniform(steps=0, end=0.0))
    front, done = replace(FRONT, level="published"), []
    audio = sound(RATE)
    out = Enhancer(model, front, sampler)(audio, RATE, progress=done.append)
    np.testing.assert_allclose(out, 0.5 * audio, atol=1e-6)
    assert sum(done) == pytest.approx(1.0)
    # Without the noise with which another process starts.
    noisy = Regeneration(Gain(0.5), ScoreModel(net.eval(), OUVE(), Data()))
    np.testing.assert_array_equal(Enhancer(noisy, front, sampler)(audio, RATE), out)
    # A fresh refiner leaves that as it is, in any number of steps.
    for steps in (1, 3):
        more = Enhancer(model, front, sampler).with_sampler(steps=steps)
        np.testing.assert_allclose(more(audio, RATE), out, atol=1e-5)


@pytest.mark.parametrize("moved", [None, 0.0, 0.5])
def test_what_was_heard_is_solved_by_hand(moved):
    enhancer = NOISY if moved is None else replace(NOISY, model=regeneration(moved=moved))
    audio = torch.from_numpy(sound(2, 700)).float()
    heard = enhancer.observe(audio)
    solver, grid = enhancer.sampler.solver, enhancer.sampler.grid
    x = solve(heard.model, heard.y, solver, grid, randn=Draws(0, 0)).x
    made = enhancer.sampled(enhancer.spectrogram(audio), 700, Draws(0, 0), lambda step: None)
    assert torch.equal(heard.audio(x), made)
    assert heard.audio(x).shape == audio.shape
    again = heard.spectrogram(audio)
    assert again.shape == heard.y.shape
    torch.testing.assert_close(heard.audio(again), audio)
    if moved is None:
        assert torch.equal(again, heard.y)


@pytest.mark.parametrize("audio", [torch.zeros(700), torch.zeros(1, 0), torch.ones(1, 7).int()])
def test_only_a_batch_of_floats_is_observed(audio):
    with pytest.raises(ArgumentError, match=r"audio must be floats \(batch, samples\)"):
        TINY.observe(audio)
    with pytest.raises(ArgumentTypeError, match="audio must be"):
        TINY.observe(audio.numpy())


def test_another_sampler():
    more = TINY.with_sampler(Multistep(), 4)
    assert (more.sampler.solver, more.sampler.grid) == (Multistep(), Uniform(steps=4, end=0.0))
    assert more.model is TINY.model
    assert (TINY.sampler.solver, TINY.sampler.grid.steps) == (Exponential(start=0.0), 1)
    assert TINY.with_sampler("ode2", 4).sampler == more.with_sampler(NAMED["ode2"]).sampler
    assert TINY.with_sampler() is TINY
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        TINY.with_sampler(steps=0)
    with pytest.raises(
        ValueError, match=r"Predictor.* makes .* worse in fewer than 10 steps; .*any solver"
    ):
        TINY.with_sampler(PredictorCorrector(), 9)


@pytest.mark.parametrize("name", ["ode", "ode2", "sde", "sde2", "pc"])
def test_a_call_takes_a_sampler_of_its_own(name, tmp_path):
    """By the names of the command line or as an object; the enhancer keeps its own."""
    audio, steps = sound(1000), 10
    wanted = TINY.with_sampler(NAMED[name], steps)(audio, RATE, seed=1)
    np.testing.assert_array_equal(TINY(audio, RATE, seed=1, solver=name, steps=steps), wanted)
    by_object = TINY(audio, RATE, seed=1, solver=NAMED[name], steps=steps)
    np.testing.assert_array_equal(by_object, wanted)
    assert np.abs(TINY(audio, RATE, seed=1) - wanted).max() > 1e-4
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="DOUBLE")
    asked = {"seed": 1, "solver": name, "steps": steps}
    TINY.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav", **asked)
    np.testing.assert_allclose(soundfile.read(tmp_path / "b.wav")[0], wanted, atol=1e-5)


def test_a_call_takes_shifts_of_its_own():
    audio = sound(1000)
    wanted = TINY.with_sampler(shifts=2)(audio, RATE)
    np.testing.assert_array_equal(TINY(audio, RATE, shifts=2), wanted)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"solver": "heun"}, "no solver named 'heun'; use one of ode, ode2, sde, sde2, pc"),
        ({"solver": Exponential}, r"the class Exponential; call it, Exponential\(...\)"),
        ({"solver": 2}, "solver must be an object such as .*one of ode, .*not 2"),
        ({"steps": "3"}, "steps must be a whole number, not '3'"),
        ({"steps": 2.0}, "steps .*not 2.0"),
        ({"shifts": 0}, "shifts must be at least 1, not 0"),
    ],
)
def test_a_sampler_that_there_is_not(wrong, says):
    for ask in (partial(TINY, sound(100), RATE), partial(TINY.enhance_file, "absent.wav")):
        with pytest.raises(SgmseError, match=says):
            ask(**wrong)
    with pytest.raises(SgmseError, match=says):
        sgmse.load(**wrong)


def test_predictor_corrector_starts_a_bridge_beside_its_point():
    model = TINY.with_sampler(PredictorCorrector(), 10)
    assert model.sampler.grid.start < 1
    assert np.isfinite(model(sound(500), RATE)).all()
    free = replace(TINY, model=ScoreModel(Identity(), OUVE(), Data()))
    assert free.with_sampler(PredictorCorrector(), 10).sampler.grid.start == 1


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("samples", [1, 33, 320, 330])
def test_pads_frames_to_what_the_network_divides(padding, samples):
    class Coarse(Identity):
        divisor = (32, 64)

        def forward(self, x, y, t):
            assert y.shape[-2] % 32 == y.shape[-1] % 64 == 0
            self.seen = y
            return y

    net = Coarse()
    audio = sound(samples)
    model = with_front(enhancer(net), padding=padding)
    np.testing.assert_allclose(model(audio, RATE), audio, atol=1e-5)
    frames = TRANSFORM.frames(max(samples, TRANSFORM.shortest))
    spectrum, rest = net.seen[..., :frames], net.seen[..., frames:]
    if padding == "zero":
        assert (rest == 0).all()
    else:
        around = np.pad(spectrum.numpy(), [(0, 0)] * 3 + [(0, rest.shape[-1])], "reflect")
        np.testing.assert_array_equal(net.seen.numpy(), around)


@pytest.mark.parametrize("conditioning", ["noisy", "post", "both"])
def test_a_regeneration_refines_its_prediction_channel_by_channel(conditioning):
    model = replace(NOISY, model=regeneration(conditioning).double())
    audio = sound(5, 700)  # two batches of channels
    out = model(audio, RATE)
    for one, alone in zip(out, audio, strict=True):
        np.testing.assert_allclose(model(alone, RATE), one, rtol=0, atol=1e-9)
    peak = np.abs(audio[0]).max()
    y = model.spectrogram(torch.from_numpy(audio[:1] / peak))
    seeing, anchor = model.model.observe(y)
    x = solve(seeing, anchor, model.sampler.solver, model.sampler.grid, randn=Draws(0, 0)).x
    np.testing.assert_allclose(out[0], peak * model.audio(x, 700)[0].numpy(), rtol=0, atol=1e-9)
    predicted = peak * model.audio(anchor, 700)[0].numpy()
    assert np.abs(out[0] - predicted).max() > 0.01 * peak  # both matter
    assert np.abs(predicted - audio[0]).max() > 0.01 * peak


def test_moved_frames_see_what_was_predicted_from_between_those_of_the_prediction():
    model = replace(NOISY, model=regeneration(moved=0.5).double()).with_sampler(shifts=2)
    audio = sound(2, 700)
    hop, rate = model.front.transform.hop, {"rtol": 0, "atol": 1e-9}
    peaks = np.abs(audio).max(axis=1, keepdims=True)
    heard = torch.from_numpy(audio / peaks)
    expected = torch.zeros_like(heard)
    for shift in range(2):
        delay = round(shift * hop / 2)
        y = model.spectrogram(pad(heard, (delay, 0)))
        first = model.audio(model.model.predict(y), 700 + delay)
        again = [pad(each, (hop // 2, 0)) for each in (pad(heard, (delay, 0)), first)]
        noisy, anchor = map(model.spectrogram, again)
        state = Refinement(model.model, noisy)
        randn = Draws(0, 0, place=shift)
        x = solve(state, anchor, model.sampler.solver, model.sampler.grid, randn=randn).x
        expected += model.audio(x, 700 + delay + hop // 2)[:, delay + hop // 2 :] / 2
    np.testing.assert_allclose(model(audio, RATE), peaks * expected.numpy(), **rate)
    plain = replace(model, model=regeneration().double())
    assert np.abs(model(audio, RATE) - plain(audio, RATE)).max() > 0.01


@pytest.mark.parametrize("samples", [1, 40, 64, 700, 1000])
@pytest.mark.parametrize("moved", [0.25, 0.5, 0.999])
def test_what_is_predicted_comes_back_in_its_place_from_moved_frames(samples, moved):
    audio = sound(2, samples)
    sampler = Sampler(Exponential(start=0.0), Uniform(steps=0, end=0.0))
    front = replace(FRONT, level="published")
    ours, theirs = (
        Enhancer(regeneration(moved=share), front, sampler)(audio, RATE) for share in (moved, 0.0)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # rounding in float32


def test_a_spectrogram_is_in_the_precision_of_the_network():
    audio = torch.from_numpy(sound(1, 700))
    assert audio.dtype == torch.float64
    x = TINY.spectrogram(audio)
    assert x.dtype == torch.complex64
    torch.testing.assert_close(TINY.audio(x, 700), audio.float(), rtol=0, atol=1e-5)


def test_a_model_in_float64_is_used_in_float64():
    model = enhancer()
    model.model.double()
    audio = sound(2, 700)
    out = model(audio, RATE)
    np.testing.assert_allclose(out, TINY(audio, RATE), atol=1e-4)
    assert np.abs(out - TINY(audio, RATE)).max() > 0
    assert model(audio.astype(np.float32), RATE).dtype == np.float32


def test_samples_that_are_not_finite_never_come_out(tmp_path):
    class Broken(Network):
        def forward(self, x, y, t):
            return y * torch.nan

    model = enhancer(Broken())
    with pytest.raises(RuntimeError, match="not finite; sample the model as it recommends"):
        model(sound(700), RATE)
    write(tmp_path / "x.wav", sound(1, 700), Info(RATE))
    with pytest.raises(RuntimeError, match="not finite"):
        model.enhance_file(tmp_path / "x.wav")
    assert names(tmp_path) == ["x.wav"]


@pytest.mark.parametrize("error", [None, MemoryError(), torch.OutOfMemoryError("out of memory")])
def test_memory_that_does_not_suffice_is_an_error_for_users(error):
    class Large(Network):
        def forward(self, x, y, t):
            if error is not None:
                raise error
            return torch.empty(1 << 60)

    with pytest.raises(DeviceError, match=r"memory.*; enhance fewer files at the same time \(-j\)"):
        enhancer(Large())(sound(700), RATE)


def test_other_errors_of_torch_are_left_as_they_are():
    class Broken(Network):
        def forward(self, x, y, t):
            return y[0] @ y[0, 0, :1]

    with pytest.raises(RuntimeError) as caught:
        enhancer(Broken())(sound(700), RATE)
    assert not isinstance(caught.value, SgmseError)


# Files

FORMATS = [
    ("wav", "WAV", "PCM_U8", 8000),
    ("wav", "WAV", "PCM_16", 16000),
    ("wav", "WAV", "PCM_24", 48000),
    ("WAV", "WAV", "FLOAT", 44100),
    ("wav", "WAV", "DOUBLE", 96000),
    ("flac", "FLAC", "PCM_16", 44101),
    ("flac", "FLAC", "PCM_24", 48000),
    ("ogg", "OGG", "VORBIS", 44100),
    ("opus", "OGG", "OPUS", 48000),
    ("mp3", "MP3", "MPEG_LAYER_III", 22050),
    ("aiff", "AIFF", "PCM_16", 11025),
]


@pytest.mark.parametrize(("suffix", "container", "coding", "rate"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_keeps_what_it_is(tmp_path, suffix, container, coding, rate, channels):
    source = tmp_path / f"x.{suffix}"
    write(source, 0.5 * sound(channels, 3001), Info(rate, channels, 0, container, coding))
    bytes_before = source.read_bytes()
    target = TINY.enhance_file(source)
    assert target == tmp_path / f"x_enhanced.{suffix}"
    assert info(target) == info(source) == Info(rate, channels, 3001, container, coding)
    assert source.read_bytes() == bytes_before
    assert names(tmp_path) == [f"x.{suffix}", f"x_enhanced.{suffix}"]
    assert np.abs(read(target)[0] - read(source)[0]).max() > 0.01


@pytest.mark.parametrize(
    ("target", "format_", "expected"),
    [
        (None, "flac", ("x_enhanced.flac", "FLAC", "PCM_24")),
        (None, ".OGG", ("x_enhanced.ogg", "OGG", "VORBIS")),
        ("y.flac", None, ("y.flac", "FLAC", "PCM_24")),
        ("y.mp3", None, ("y.mp3", "MP3", "MPEG_LAYER_III")),
        ("y", None, ("y", "WAV", "PCM_24")),
        ("y.bin", "flac", ("y.bin", "FLAC", "PCM_24")),
        ("new/folder/y.wav", None, ("new/folder/y.wav", "WAV", "PCM_24")),
    ],
)
def test_another_name_and_format(tmp_path, target, format_, expected):
    source = tmp_path / "x.wav"
    write(source, sound(2, 1000), Info(48000, 2, 0, "WAV", "PCM_24"))
    target = None if target is None else str(tmp_path / target)
    out = TINY.enhance_file(str(source), target, format=format_)
    assert out == tmp_path / expected[0]
    assert info(out) == Info(48000, 2, 1000, *expected[1:])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("dry", [0, 0.3])
def test_a_file_becomes_what_its_array_becomes(tmp_path, monkeypatch, rate, dry):
    """Bit by bit, although it is read in other blocks."""
    audio = sound(2, 9001).astype(np.float32)
    write(tmp_path / "x.wav", audio, Info(rate, 2, 0, "WAV", "FLOAT"))
    monkeypatch.setattr(files.blocks, "__defaults__", (777,))
    model = replace(NOISY, segment=0.1, overlap=0.02)
    out = model.enhance_file(tmp_path / "x.wav", seed=4, dry=dry)
    expected = model(audio, rate, seed=4, dry=dry)
    if rate == RATE:
        np.testing.assert_array_equal(read(out)[0], expected)
    else:  # soxr rounds other blocks otherwise
        np.testing.assert_allclose(read(out)[0], expected, atol=1e-5)


def test_clipped_samples_are_warned_of(tmp_path):
    loud = replace(enhancer(Identity()), segment=1.0, overlap=0.1)
    audio = np.ones((1, 1000), np.float32)
    audio[0, ::2] = -1
    for name, subtype in (("x.wav", "PCM_16"), ("y.wav", "FLOAT")):
        write(tmp_path / name, audio, Info(RATE, subtype=subtype))
    clipped = int((np.abs(loud(read(tmp_path / "x.wav")[0], RATE)) > 1).sum())
    assert clipped > 0  # by what the spectrogram rounds
    words = f"x_enhanced.wav: {clipped} samples were clipped; --clip-mode rescale"
    with pytest.warns(ClippingWarning, match=words) as w:
        loud.enhance_file(tmp_path / "x.wav")
    assert w[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loud.enhance_file(tmp_path / "y.wav")


def test_progress_of_a_file(tmp_path):
    write(tmp_path / "x.flac", sound(2, 9001), Info(44100, 2))
    calls = []
    PIECES.enhance_file(tmp_path / "x.flac", progress=calls.append)
    assert sum(calls) == pytest.approx(9001 / 44100, abs=1 / RATE)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    write(tmp_path / "x.wav", sound(1, 1000), Info(RATE))
    return tmp_path / "x.wav"


def test_an_existing_target_is_kept_unless_asked(wav):
    target = wav.with_name("x_enhanced.wav")
    target.write_text("precious")
    with pytest.raises(AudioError, match=r"exists already; use --overwrite \(overwrite=True\) or"):
        TINY.enhance_file(wav)
    assert target.read_text() == "precious"
    assert TINY.enhance_file(wav, overwrite=True) == target
    assert info(target).frames == 1000


@pytest.mark.parametrize("how", ["same", "dots", "symlink", "hardlink"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_is_never_the_target(wav, how, overwrite):
    before = wav.read_bytes()
    target = wav.with_name("y.wav")
    match how:
        case "same":
            target = wav
        case "dots":
            target = wav.parent / ".." / wav.parent.name / wav.name
        case "symlink":
            target.symlink_to(wav)
        case "hardlink":
            target.hardlink_to(wav)
    with pytest.raises(AudioError, match="is the input itself; choose another name"):
        TINY.enhance_file(wav, target, overwrite=overwrite)
    assert wav.read_bytes() == before


def test_targets_that_cannot_be_are_refused_before_any_work(wav, monkeypatch):
    monkeypatch.setattr(Segments, "enhanced", None)
    with pytest.raises(AudioError, match="is a folder; name a file in it"):
        TINY.enhance_file(wav, wav.parent, overwrite=True)
    with pytest.raises(AudioError, match=r"'raw' cannot be written; use one of wav"):
        TINY.enhance_file(wav, wav.with_name("y"), format="raw")
    with pytest.raises(AudioError, match="'mp5' cannot be written; use one of wav"):
        TINY.enhance_file(wav, format="mp5")
    with pytest.raises(AudioError, match=r"is no folder; choose another place"):
        TINY.enhance_file(wav, wav / "y.wav")
    assert names(wav.parent) == ["x.wav"]


def test_a_bad_source_leaves_nothing(tmp_path):
    bad = np.zeros((1, 5000), np.float32)
    bad[0, 4000] = np.nan
    soundfile.write(tmp_path / "nan.wav", bad.T, RATE, "FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: sample 4000 .* is NaN"):
        TINY.enhance_file(tmp_path / "nan.wav", tmp_path / "new" / "y.wav")
    with pytest.raises(AudioError, match="no such file"):
        TINY.enhance_file(tmp_path / "absent.wav", tmp_path / "new" / "y.wav")
    assert names(tmp_path) == ["nan.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_an_end_in_the_middle_leaves_nothing_and_keeps_the_old(wav, monkeypatch, error):
    target = wav.with_name("y.wav")
    target.write_text("precious")
    original, calls = Writer.write, []

    def interrupted(self, block):
        calls.append(block)
        if len(calls) == 3:
            raise error
        original(self, block)

    monkeypatch.setattr(Writer, "write", interrupted)
    with pytest.raises(error):
        PIECES.enhance_file(wav, target, overwrite=True)
    assert target.read_text() == "precious"
    assert names(wav.parent) == ["x.wav", "y.wav"]


# Loading


def test_load(tmp_path):
    folder = save(checkpoint(), tmp_path / "model")
    audio = sound(2, 700)
    loaded = sgmse.load(folder)
    np.testing.assert_allclose(loaded(audio, RATE), TINY(audio, RATE), atol=1e-6)
    other = sgmse.load(str(folder), device="cpu", solver=Multistep(), steps=3)
    assert (other.sampler.solver, other.sampler.grid.steps) == (Multistep(), 3)
    conv = loaded.model.network.stem.weight
    assert conv.is_contiguous(memory_format=torch.channels_last)


def test_load_a_published_checkpoint(tmp_path):
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction", "N": 3}
    torch.save(official(**bridge), tmp_path / "file.ckpt")
    exact, as_published = (
        sgmse.load(tmp_path / "file.ckpt", compat=compat, device="cpu")
        for compat in (None, "sgmse")
    )
    assert (exact.front.padding, exact.front.multiple) == ("reflect", 64)
    assert as_published.sampler.solver == SBODE()
    assert sgmse.load(tmp_path / "file.ckpt", compat="sgmse", steps=7).sampler.grid.steps == 7
    audio = sound(700)
    assert np.abs(exact(audio, RATE) - as_published(audio, RATE)).max() > 1e-6


def test_added_frames_are_heard_as_published():
    """With the published tail they make the last half frame of the audio, too, and no more."""
    audio = torch.from_numpy(sound(1, 700)).float()
    alone = TINY
    published = with_front(TINY, multiple=64, tail="published")
    x = published.spectrogram(audio)
    assert alone.spectrogram(audio).shape[-1] < x.shape[-1] == 64
    x[..., TINY.front.transform.frames(700) :] += 1.0
    inside = 700 - TINY.front.transform.n_fft // 2 - TINY.front.transform.hop
    torch.testing.assert_close(alone.audio(x, 700), audio, rtol=0, atol=1e-5)
    heard = published.audio(x, 700)
    torch.testing.assert_close(heard[:, :inside], audio[:, :inside], rtol=0, atol=1e-5)
    assert (heard - audio)[:, inside:].abs().max() > 1e-3


def test_shifts_are_a_mean_over_the_places_of_the_frames():
    audio = sound(1, 700)
    late = [0, 5, 11]  # thirds of a hop of 16
    whole = with_front(TINY, transform=replace(TRANSFORM, ends="zero"))
    apart = [whole(np.pad(audio, ((0, 0), (n, 0))), RATE)[:, n:] for n in late]
    assert np.abs(apart[0] - apart[1]).max() > 1e-3
    together = whole.with_sampler(shifts=3)(audio, RATE)
    np.testing.assert_allclose(together, np.mean(apart, axis=0), atol=1e-6)
    np.testing.assert_array_equal(whole.with_sampler(shifts=1)(audio, RATE), apart[0])


@pytest.mark.parametrize("shifts", [2, 16])
def test_shifts_of_what_does_not_depend_on_frames_change_nothing(shifts):
    audio = sound(2, 3000)
    model = replace(enhancer(Identity()), segment=0.1, overlap=0.04).with_sampler(shifts=shifts)
    np.testing.assert_allclose(model(audio, RATE), audio, atol=1e-5)


@pytest.mark.parametrize("shifts", [0, 17, 1.5])
def test_shifts_lie_within_a_hop(shifts):
    with pytest.raises(SgmseError, match=f"shifts must .*{shifts}"):
        TINY.with_sampler(shifts=shifts)


@pytest.mark.parametrize("device", ["cuda", "cuda:77", "nonsense", "mps"])
def test_an_absent_device_is_one_line(tmp_path, device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=f"device '{device}' is not available .*; use 'cpu'") as e:
        sgmse.load(save(checkpoint(), tmp_path), device=device)
    assert "\n" not in str(e.value)


def test_the_package_says_what_it_has():
    # That it is light, and all names can be asked for, is in test_architecture.
    with pytest.raises(AttributeError, match="enhence"):
        sgmse.enhence  # noqa: B018
    with pytest.raises(AttributeError, match="Any"):
        sgmse.Any  # noqa: B018


def test_the_front_door_shows_its_names_and_opens_its_modules():
    package = Path(sgmse.__file__).parent
    modules = {p.stem for p in package.glob("[!_]*.py")} | {
        p.parent.name for p in package.glob("*/__init__.py")
    }
    names = {"Enhancer", "Prior", "enhance", "load"}
    names |= {name for name in dir(sgmse.errors) if name.endswith(("Error", "Warning"))}
    assert set(dir(sgmse)) == set(sgmse.__all__) == names | modules - {"app", "cli"}


def test_the_default_model_makes_the_shipped_recording_cleaner():
    """By 2.8 dB when this was written; better weights may give more, worse ones are noticed."""
    clean, _ = read(DATA / "clean.wav")
    noisy, about = read(DATA / "noisy.wav")
    out = sgmse.enhance(noisy[0], about.sample_rate)
    gain = si_sdr(clean[0], out, RATE) - si_sdr(clean[0], noisy[0], RATE)
    assert gain > 1.5
    assert abs(speech_level(clean[0], out)) < 0.3  # 2.1 dB too quiet in what the network gives


def speech_level(clean: np.ndarray, out: np.ndarray) -> float:
    """Of the speech in a result, from its level in the clean recording, in dB."""
    return 20 * np.log10(abs(np.sum(out * clean) / np.sum(clean * clean)))


@pytest.mark.slow
def test_the_level_of_speech_is_kept(shared):
    """On `valid`: 1.9 dB less in the median, and up to 3.4 dB, in what the network gives."""
    model, levels = sgmse.load(device="cpu", shifts=1), []
    for file in sorted((shared / "corpus" / "valid" / "clean").iterdir()):
        clean, noisy = (read(file.parent.parent / name / file.name)[0] for name in FOLDERS)
        levels.append(speech_level(clean, model(noisy, RATE)))
    assert len(levels) == 60
    assert abs(np.median(levels)) < 0.1
    assert np.abs(levels).max() < 1


def test_published_models_keep_their_own_level():
    quiet = enhancer(Gain(0.78))
    audio = sound(3000)
    np.testing.assert_allclose(quiet(audio, RATE), audio, atol=2e-3)  # the prior
    published = with_front(quiet, level="published")
    np.testing.assert_allclose(published(audio, RATE), 0.78 * audio, atol=1e-4)


# Memory

MEASURED = """
import resource, sys, sgmse, tiny
from dataclasses import replace
from sgmse.audio import Info, Writer
import numpy as np
network, seconds = sys.argv[1], int(sys.argv[2])
model = sgmse.load(device="cpu", shifts=1)
if network == "none":
    model = replace(model, model=tiny.enhancer(tiny.Identity()).model)
rng = np.random.default_rng(0)
with Writer("long.wav", Info(48000, 2)) as writer:
    for _ in range(seconds):
        writer.write(0.1 * rng.standard_normal((2, 48000), dtype=np.float32))
model.enhance_file("long.wav")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(folder: Path, network: str, minutes: int) -> int:
    """The peak of a process that enhances so long a recording, in bytes."""
    places = os.pathsep.join(map(str, (Path(sgmse.__file__).parents[1], Path(__file__).parent)))
    # Through a small process: the peak of one that begins is that of the one which starts it.
    small = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    measured = [sys.executable, "-W", "ignore", "-c", MEASURED, network, str(60 * minutes)]
    done = subprocess.run(
        [sys.executable, "-c", small, *measured],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert info(folder / "long_enhanced.wav") == info(folder / "long.wav")
    for made in folder.iterdir():
        made.unlink()
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
def test_half_an_hour_takes_no_more_memory_than_minutes(tmp_path):
    """What surrounds a network; how much that is depends on the cores, each with a piece."""
    few, many = (memory(tmp_path, "none", minutes) for minutes in (5, 30))
    # Of the 25 minutes more a single copy in float32 has 0.58 GB; peaks differ by 0.1 GB.
    assert many < few + 0.35e9
    assert many < 1.2e9


@pytest.mark.slow
def test_the_shipped_network_takes_little_memory(tmp_path):
    """A piece for each core at once: 1.0 GB with two."""
    assert memory(tmp_path, "shipped", 3) < 1.2e9


@pytest.mark.parametrize("ends", ["reflect", "zero"])
def test_the_identity_stays_where_frames_overlap_by_half(ends):
    transform = Spectrogram(62, 31, ends=ends)
    model = with_front(enhancer(Identity()), transform=transform).with_sampler(shifts=2)
    for samples in (1, 31, 310, 325, 340):
        audio = sound(2, samples)
        # Rounding in float32; divided by the foot of a window it would be a hundred times more.
        np.testing.assert_allclose(model(audio, RATE), audio, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shifts", [1, 2])
def test_no_recording_ends_with_a_click(shifts):
    """Wherever the last frame lies, whose window alone covers what comes after its centre."""
    noisy, _ = read(DATA / "noisy.wav")
    enhancer = sgmse.load(shifts=shifts)
    hop = enhancer.front.transform.hop
    # At these lengths the last sample is far from the centre of the last frame, or at it.
    for rest in (0, hop - hop // shifts - 1, hop - 1):
        clean = enhancer(noisy[0, : 40 * hop + rest], 16000)
        before, end = np.abs(clean[:-hop]).max(), np.abs(clean[-hop:]).max()
        assert end < before
