"""A prior of clean audio: what it generates, what it restores, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

import sgmse
from sgmse.checkpoints import Checkpoint, save
from sgmse.errors import ArgumentError, ArgumentTypeError, ResultError
from sgmse.estimates import EDM
from sgmse.front import FrontEnd
from sgmse.inference import Clipping, Filter, Mask, UnknownRoom
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.prior import LONGEST, ROUNDS, Prior
from sgmse.sdes import SBVE, FlowMatching
from sgmse.solvers import LogSNR, Multistep, Sampler, SamplerRange
from sgmse.transforms import Power, Spectrogram

SAMPLES = 800
STEPS = 4
SHORT = Sampler(Multistep(), LogSNR(STEPS, start=0.9, end=0.002))


def checkpoint() -> Checkpoint:
    """A random network that sees its state alone."""
    torch.manual_seed(0)
    net = SlimUNet((4, 8), (1, 1), dual_paths=1, embedding=8, observations=0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = ScoreModel(net.eval().requires_grad_(False), FlowMatching(), EDM(sigma_data=0.5))
    sampler = Sampler(Multistep(), LogSNR(STEPS, start=0.998, end=0.002))
    covered = (SamplerRange(earliest=0.002, latest=0.998),)
    front = FrontEnd(Spectrogram(62, 16, Power(0.5, 4.0)), tiny.RATE)  # so loud that nothing clips
    return Checkpoint(model, front, sampler, licence="CC0-1.0", samplers=covered)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.of(checkpoint())


@pytest.fixture
def recording() -> np.ndarray:
    n = np.arange(SAMPLES)
    tone = np.sin(2 * np.pi * 440 / tiny.RATE * n) * (1 + np.sin(n / 100))
    return (0.2 * tone).astype(np.float32)


# Generation


def test_a_seed_gives_the_same_audio_whatever_is_made_beside_it(prior):
    three = prior.generate(0.05, 3, seed=4)
    assert three.shape == (3, SAMPLES)
    assert torch.equal(three, prior.generate(0.05, 3, seed=4))
    assert torch.equal(three[2], prior.generate(0.05, seed=6)[0])
    assert not torch.allclose(three[0], three[1])
    assert three.abs().max() > 1e-3


def test_it_is_sampled_as_it_is_asked_for(prior):
    usual, shares = prior.generate(0.05), []
    assert not torch.allclose(usual, prior.generate(0.05, steps=8))
    assert not torch.allclose(usual, prior.generate(0.05, solver="sde"))
    prior.generate(0.05, 2, progress=shares.append)
    assert shares == pytest.approx([(i + 1) / (2 * STEPS) for i in range(2 * STEPS)])
    with pytest.raises(ArgumentError, match="not made to be asked at t = 1"):
        prior.generate(0.05, grid=LogSNR(4, start=1.0, end=0.002))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seconds": 0}, "seconds must lie above 0"),
        ({"seconds": LONGEST + 1}, f"up to {LONGEST:g}, not 31"),
        ({"seconds": float("nan")}, "seconds"),
        ({"seconds": 1, "count": 0}, "count must be"),
        ({"seconds": 1, "seed": -1}, "seed must be"),
        ({"seconds": 1, "solver": "ode3"}, "no solver named 'ode3'"),
    ],
)
def test_what_cannot_be_generated(prior, given, says):
    with pytest.raises(ArgumentError, match=says):
        prior.generate(**given)


def test_a_result_that_is_no_number_is_an_error(prior):
    broken = checkpoint()
    with torch.no_grad():
        broken.model.network.head.bias.fill_(torch.nan)
    with pytest.raises(ResultError, match="not finite"):
        Prior.of(broken).generate(0.05)


# Restoration


def test_a_gap_is_filled_and_the_rest_is_kept(prior, recording):
    kept = torch.ones(SAMPLES)
    kept[300:500] = 0
    cut, inside = recording * kept.numpy(), np.flatnonzero(kept == 0)
    made = prior.restore(cut, tiny.RATE, Mask(kept), steps=STEPS)
    assert made.dtype == np.float32
    outside = np.flatnonzero(kept == 1)
    assert np.abs(made - recording)[outside].max() < 0.02 * np.abs(recording).max()
    assert np.abs(made[inside]).max() > 1e-3
    assert np.array_equal(made, prior.restore(cut, tiny.RATE, Mask(kept), steps=STEPS))
    other = prior.restore(cut, tiny.RATE, Mask(kept), steps=STEPS, seed=1)
    assert not np.allclose(made[inside], other[inside])


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["gap", "clipped", "narrow"])
def test_it_is_as_loud_as_the_recording(prior, recording, harm):
    """Twice as loud a recording gives twice as loud a result, of linear harm and of other."""
    made = []
    for gain in (1.0, 2.0):
        audio = gain * recording
        limit = 0.6 * float(np.abs(audio).max())
        narrow = Filter.low_pass(SAMPLES, tiny.RATE, 4000.0)
        operator, audio = {
            "gap": (Mask((torch.arange(SAMPLES) % 200 > 30).float()), audio),
            "clipped": (
                Clipping.of(torch.from_numpy(audio.clip(-limit, limit))),
                audio.clip(-limit, limit),
            ),
            "narrow": (narrow, narrow(torch.from_numpy(audio)).numpy()),
        }[harm]
        made.append(prior.restore(audio, tiny.RATE, operator, peak=gain * 0.4, steps=STEPS))
    np.testing.assert_allclose(made[1], 2 * made[0], rtol=0, atol=1e-3 * np.abs(made[1]).max())


def test_audio_comes_back_as_it_was_given(prior, recording):
    everything = Mask(torch.ones(()))
    both = np.stack([recording, 0.5 * recording])
    exact = prior.restore(torch.from_numpy(both).double(), tiny.RATE, everything, steps=2)
    assert exact.dtype == torch.float64
    assert exact.shape == both.shape
    assert (exact.numpy() - both).std() < 0.01 * both.std()
    turned = prior.restore((32768 * both.T).astype(np.int16), tiny.RATE, everything, steps=2)
    assert turned.dtype == np.int16
    assert turned.shape == both.T.shape


def test_what_cannot_be_restored(prior, recording):
    operator = Mask(torch.ones(SAMPLES))
    with pytest.raises(ArgumentError, match="the prior is of 16000 Hz, and the recording of 8000"):
        prior.restore(recording, 8000, operator)
    with pytest.raises(ArgumentError, match="the recording is silent"):
        prior.restore(0 * recording, tiny.RATE, operator)
    with pytest.raises(ArgumentError, match="30 s are restored in one piece"):
        prior.restore(np.ones(31 * tiny.RATE), tiny.RATE, operator)
    with pytest.raises(ArgumentError, match="several recordings"):
        prior.restore(np.ones((2, 1, SAMPLES)), tiny.RATE, operator)
    with pytest.raises(ArgumentError, match="noise must be positive, not 0"):
        prior.restore(recording, tiny.RATE, operator, noise=0)
    with pytest.raises(ArgumentTypeError, match="operator"):
        prior.restore(recording, tiny.RATE, torch.ones(SAMPLES))


def test_a_room_is_drawn_with_the_speech(prior, recording):
    """Seeds reproduce, channels have rooms of their own, audio comes back as it was given."""
    law = UnknownRoom.decaying(tiny.RATE, rt60=0.05, length=0.01)
    three = np.stack([recording, -0.5 * recording[::-1], 0 * recording])
    shares = []
    made = prior.dereverberate(three.T, tiny.RATE, law, seed=2, progress=shares.append)
    assert made.audio.shape == three.T.shape
    assert made.audio.dtype == np.float32
    assert not made.audio[:, 2].any()  # a silent channel stays silent
    assert made.response.shape == (3, round(0.01 * tiny.RATE))
    assert not torch.allclose(made.response[0], made.response[1])
    assert torch.equal(made.response[2], law.mean)
    assert (made.response[:, 0] - 1).abs().max() < 0.01
    assert len(shares) == 2 * sum(own.steps for own in ROUNDS) + 1
    assert shares == sorted(shares)
    assert shares[-1] == 1
    again = prior.dereverberate(three.T, tiny.RATE, law, seed=2)
    assert np.array_equal(made.audio, again.audio)
    assert torch.equal(made.response, again.response)
    alone = prior.dereverberate(three[1], tiny.RATE, law, seed=2)
    np.testing.assert_allclose(alone.audio, made.audio[:, 1], atol=1e-6)
    other = prior.dereverberate(three.T, tiny.RATE, law, seed=3)
    assert not np.allclose(made.audio, other.audio)


def test_what_cannot_be_dereverberated(prior, recording):
    with pytest.raises(ArgumentTypeError, match=r"room.*UnknownRoom.decaying"):
        prior.dereverberate(recording, tiny.RATE, 0.5)
    with pytest.raises(ArgumentError, match="the recording is silent"):
        prior.dereverberate(0 * recording, tiny.RATE)
    short = replace(prior, samplers=(SamplerRange(earliest=0.002, latest=0.9),), sampler=SHORT)
    with pytest.raises(ArgumentError, match=r"not made to be asked at t = 0\.998"):
        short.dereverberate(recording, tiny.RATE)
    # The usual room is longer than this recording of 50 ms.
    assert np.isfinite(prior.dereverberate(recording, tiny.RATE).audio).all()


@pytest.mark.slow
def test_the_shipped_prior_takes_an_unknown_room_away():
    """On a real recording in a room that it is not told: PESQ rises by more than its noise."""
    from scipy.signal import fftconvolve

    from sgmse.audio import read
    from sgmse.metrics import pesq_wb

    x = read("tests/data/clean.wav")[0][0, 8000:48000].astype(np.float64)
    rng = np.random.default_rng(0)
    t = np.arange(6400) / 16000
    response = 0.05 * rng.standard_normal(len(t)) * 10 ** (-3 * t / 0.4)
    response[0] = 1
    y = fftconvolve(x, response)[: len(x)].astype(np.float32)
    made = Prior.load().dereverberate(y, 16000)
    x = x.astype(np.float32)
    assert pesq_wb(x, made.audio, 16000) > pesq_wb(x, y, 16000) + 0.03


# What is a prior


def test_a_prior_is_what_hears_no_recording(prior, tmp_path):
    folder = save(checkpoint(), tmp_path / "mine")
    again = Prior.load(folder)
    assert torch.equal(again.generate(0.05), prior.generate(0.05))
    assert "SlimUNet" in repr(again)
    with pytest.raises(ArgumentError, match="hears no recording and cleans none; sgmse generate"):
        sgmse.load(folder)
    with pytest.raises(ArgumentError, match="the model hears a recording, and is no prior"):
        Prior.of(tiny.checkpoint())
    with pytest.raises(ArgumentError, match="it is no prior"):
        Prior.of(replace(tiny.checkpoint(), model=tiny.regeneration()))
    with pytest.raises(ArgumentError, match="device 'cuda:99' is not available"):
        Prior.load(folder, "cuda:99")
    led = ScoreModel(checkpoint().model.network, SBVE(), EDM(sigma_data=0.5))
    assert not led.deaf  # its process leads to a recording


def test_it_has_no_export(tmp_path):
    from sgmse.errors import ExportError
    from sgmse.export import export

    with pytest.raises(ExportError, match="sees no recording: it has no export"):
        export(checkpoint(), tmp_path / "prior.onnx")
    assert not list(tmp_path.iterdir())
