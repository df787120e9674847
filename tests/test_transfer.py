"""Recordings from one domain to another: closed forms, rates, levels, files, refusals."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from sgmse.audio import Info, info, read, write
from sgmse.checkpoints import Checkpoint, save
from sgmse.errors import AudioError, RecordingWarning
from sgmse.estimates import EDM, Data
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import Network, SlimUNet
from sgmse.prior import PEAK
from sgmse.sdes import VP, FlowMatching
from sgmse.solvers import LogSNR, Multistep, Sampler, Uniform
from sgmse.transfer import Transfer, load_transfer
from sgmse.transforms import Waveform

RATE = 16000
SDE = FlowMatching()
GRID = LogSNR(100, 0.998, 0.002)
WAVES = FrontEnd(Waveform(), RATE)


class Samples(Network):
    """The mean of x0 given x_t where each sample of the audio is N(mean, deviation^2)."""

    observations = 0

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.config = {"mean": mean, "deviation": deviation}
        self.mean, self.variance = mean * complex(1, 1) / 2**0.5, deviation**2
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x, y, t):
        a, _, sigma = (scale[:, None, None, None] for scale in SDE.scales(t))
        gain = a * self.variance / (a**2 * self.variance + sigma**2)
        return self.mean + gain * (x - a * self.mean)


def gaussians(source=(0.0, 0.3), target=(0.1, 0.6), **more) -> Transfer:
    models = (ScoreModel(Samples(*law), SDE, Data()) for law in (source, target))
    return Transfer(*models, WAVES, Multistep(), GRID, **more)


def affine(x, source=(0.0, 0.3), target=(0.1, 0.6)):
    """What the two flows make of such samples between the ends of the grid."""
    start, end = GRID.start, GRID.end
    (m, v), (n, w) = source, target
    wide = [((1 - start) ** 2 * s**2 + start**2) ** 0.5 for s in (v, w)]
    narrow = [((1 - end) ** 2 * s**2 + end**2) ** 0.5 for s in (v, w)]
    latent = (1 - start) * m + wide[0] / narrow[0] * (1 - end) * (x - m)
    return n + narrow[1] / wide[1] * (latent - (1 - start) * n) / (1 - end)


def sound(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.2 * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.slow
def test_gaussian_samples_have_their_affine_map():
    audio = sound(2, 501)
    made = gaussians()(audio, RATE, peak=PEAK)
    np.testing.assert_allclose(made, affine(audio), rtol=0, atol=2e-3)
    finer = replace(gaussians(), grid=replace(GRID, steps=200))(audio, RATE, peak=PEAK)
    np.testing.assert_allclose(finer, affine(audio), rtol=0, atol=5e-4)  # of second order
    assert made.dtype == np.float64
    assert np.abs(made - audio).max() > 0.3


def test_there_and_back():
    """To 1e-3 of the peak, through audio, where the models hear samples."""
    audio = sound(2001)
    move = gaussians()
    there = move(audio, RATE, peak=0.5)
    back = move.reversed(there, RATE, peak=0.5)
    assert np.abs(back - audio).max() < 1e-3 * np.abs(audio).max()


@pytest.mark.slow
def test_each_channel_at_its_own_level():
    """Heard at its own peak; a silent one stays silent; the caller's array is not changed."""
    audio = np.stack([sound(3000), 1e-3 * sound(3000, seed=1), np.zeros(3000)])
    copy = audio.copy()
    made = gaussians(target=(0.0, 0.6))(audio, RATE)
    np.testing.assert_allclose(made, 2 * audio, rtol=1e-2)
    assert (made[2] == 0).all()
    assert (audio == copy).all()
    np.testing.assert_allclose(gaussians()(audio[:1], RATE)[0], gaussians()(audio, RATE)[0])
    assert (gaussians()(np.zeros(100), RATE) == 0).all()


@pytest.mark.parametrize("rate", [8000, 44100])
def test_rates_and_kinds_are_kept(rate):
    wave = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate)
    audio = (8000 * wave).astype(np.int16)
    move = gaussians(target=(0.0, 0.6))
    made = move(torch.from_numpy(audio)[None], rate)
    assert made.dtype == torch.int16
    assert made.shape == (1, rate)
    middle = slice(rate // 4, 3 * rate // 4)
    np.testing.assert_allclose(made[0, middle].numpy(), 16000 * wave[middle], atol=200)


def test_long_recordings_are_faded_together():
    """Where each sample is for itself, cutting changes nothing; progress adds up to the length."""
    audio, done = sound(8000), []
    coarse = replace(GRID, steps=10)
    whole = replace(gaussians(), grid=coarse)(audio, RATE)
    pieces = replace(gaussians(segment=0.2, overlap=0.1), grid=coarse)
    cut = pieces(audio, RATE, progress=done.append)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-12)
    assert sum(done) == pytest.approx(0.5)


def test_says_what_is_left_out():
    high = np.sin(np.arange(48000) * 2 * np.pi * 15000 / 48000)
    with pytest.warns(RecordingWarning, match="audio: sound above 8 kHz is left out"):
        gaussians()(high + sound(48000), 48000)


def test_files(tmp_path: Path):
    """As arrays; named beside the source; whole or not at all; not overwritten."""
    source = tmp_path / "a.wav"
    write(source, sound(1, 4000).astype(np.float32), Info(RATE, subtype="FLOAT"))
    move = gaussians()
    target = move.transfer_file(source)
    assert target == tmp_path / "a_transferred.wav"
    assert info(target) == info(source)
    np.testing.assert_allclose(read(target)[0], move(read(source)[0], RATE), atol=1e-6)
    with pytest.raises(AudioError, match="exists already"):
        move.transfer_file(source)
    memory = io.BytesIO()
    with pytest.warns(RecordingWarning, match="scaled by"):
        move.transfer_file(str(source), memory, format="flac", clip_mode="rescale")
    assert memory.getvalue()[:4] == b"fLaC"
    broken = replace(move, grid=LogSNR(3, 0.998, 0.0))
    with pytest.raises(ValueError, match="end the grid after 0"):
        broken.transfer_file(source, tmp_path / "out/b.wav")
    assert not [*tmp_path.rglob("*b.wav*")]


def prior(sde=SDE, **more) -> Checkpoint:
    torch.manual_seed(len(more))
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, observations=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model = ScoreModel(network.eval(), sde, EDM(0.55))
    return Checkpoint(model, **{"front": tiny.FRONT, "sampler": Sampler(Multistep(), GRID)} | more)


@pytest.mark.slow
def test_networks_there_and_back():
    """To 1e-3 of the peak in what they see. Through audio less: it takes what is of no sound, of
    which consistent estimates have less."""
    audio = torch.from_numpy(sound(1, 300)).float()
    peak, errors = audio.abs().max(), []
    for consistent in (True, False):
        move = Transfer.between(prior(), prior(licence="other"), steps=100)
        move = replace(move, consistent=consistent)
        with torch.inference_mode():
            there = move.transferred(move.spectrogram(audio), 300).x
            made = move.front.inverse(there, 300)
            heard = move.spectrogram(made)
            off = [
                move.front.inverse(move.reversed.transferred(x, 300).x, 300) - audio
                for x in (there, heard)
            ]
        assert (made - audio).abs().max() > 5e-3 * peak
        assert off[0].abs().max() < 1e-3 * peak
        errors.append([float((heard - there).abs().max()), float(off[1].abs().max())])
    (lost, through), (lost_else, through_else) = errors
    assert lost < 0.1 * lost_else
    assert through < 0.5 * through_else


def test_loads(tmp_path: Path):
    one, other = save(prior(), tmp_path / "one"), save(prior(licence="x"), tmp_path / "other")
    move = load_transfer(one, other, device="cpu", steps=7, start=0.5)
    with pytest.raises(ValueError, match="device 'cuda:99' is not available"):
        load_transfer(one, other, device="cuda:99")
    assert (move.grid.steps, move.grid.start, move.grid.end) == (7, 0.5, 0.002)
    audio = sound(2000).astype(np.float32)
    assert not np.allclose(move(audio, RATE), audio, atol=1e-3)
    assert move.reversed.source is move.target
    with pytest.raises(ValueError, match=r"both domains are .*one, .*--from"):
        load_transfer(one, one)
    with pytest.raises(ValueError, match="start"):
        load_transfer(one, other, start=0.001)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (prior(VP()), "latents of FlowMatching.* are none of VP"),
        (prior(front=replace(tiny.FRONT, sample_rate=8000)), "heard in two ways"),
        (tiny.checkpoint(), "the target hears a recording"),
        (replace(tiny.checkpoint(), model=tiny.regeneration()), "the target hears a recording"),
    ],
)
def test_refused(target, message):
    with pytest.raises(ValueError, match=message):
        Transfer.between(prior(), target)


def test_refused_by_what_they_are():
    hears = ScoreModel(tiny.network(), SDE, Data())
    with pytest.raises(ValueError, match="the target hears a recording"):
        Transfer(prior().model, hears, tiny.FRONT)
    with pytest.raises(ValueError, match="at least one step"):
        Transfer(prior().model, prior().model, tiny.FRONT, grid=Uniform(0))
    with pytest.raises(TypeError, match="source must be an object"):
        Transfer(None, prior().model, tiny.FRONT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="peak must be above 0"):
        gaussians()(sound(100), RATE, peak=0.0)
    with pytest.raises(TypeError, match="the recording comes first"):
        gaussians()(RATE, sound(100))  # type: ignore[type-var]
