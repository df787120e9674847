"""WaveNet against DiffWave's formulas, and a model of waveforms from wav to wav."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from problems import noise, times
from torch import Tensor
from torch.nn.functional import conv1d

from sgmse.checkpoints import Checkpoint, load, save
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ExportError
from sgmse.estimates import Data, Noise
from sgmse.export._parts import Spectra
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import WaveNet
from sgmse.networks._wavenet import step_waves, triangles
from sgmse.sdes import SBVE, VP
from sgmse.solvers import Exponential, LogSNR, Multistep, Sampler, Uniform, solve
from sgmse.transforms import Power, Waveform

REAL = torch.float64


def awake(**settings) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(**{"channels": 6, "layers": 5, "cycle": 3} | settings).double().eval()
    with torch.no_grad():
        net.output.weight.normal_()
    return net


def published(net: WaveNet, u: Tensor, c: Tensor, step: Tensor) -> Tensor:
    """DiffWave on audio (batch, 1, samples), in the words of its section 3, with those weights."""

    def linear(layer, x):
        return x @ layer.weight.T + layer.bias

    def pointwise(layer, x):
        return torch.einsum("oi,bin->bon", layer.weight[..., 0], x) + layer.bias[:, None]

    def swish(x):
        return x * torch.sigmoid(x)

    embedding = torch.stack(
        [torch.sin(10 ** (j * 4 / 63) * step) for j in range(64)]
        + [torch.cos(10 ** (j * 4 / 63) * step) for j in range(64)],
        dim=1,
    )
    e = swish(linear(net.embed[2], swish(linear(net.embed[0], embedding))))
    h = torch.relu(pointwise(net.input, u))
    skips = []
    channels = h.shape[1]
    for number, layer in enumerate(net.layers):
        dilation = 2 ** (number % 3)
        y = h + linear(layer.time, e)[:, :, None]
        y = conv1d(y, layer.dilated.weight, layer.dilated.bias, padding=dilation, dilation=dilation)
        y = y + pointwise(layer.condition, c)
        y = torch.tanh(y[:, :channels]) * torch.sigmoid(y[:, channels:])
        y = pointwise(layer.out, y)
        h = (h + y[:, :channels]) / 2**0.5
        skips.append(y[:, channels:])
    total = sum(skips) / len(skips) ** 0.5
    return pointwise(net.output, torch.relu(pointwise(net.join, total)))


@pytest.mark.parametrize("group", [1, 4])
def test_it_is_diffwave(group):
    """On samples, whose pairs are the complex numbers of a `Waveform`; on groups of them, too."""
    net, transform = awake(steps=50, group=group), Waveform()
    u, y = noise(2, 1, 40, dtype=REAL), noise(2, 1, 40, seed=1, dtype=REAL)
    step = torch.tensor([7.0, 31.0], dtype=REAL)
    net.waves.copy_(step_waves(50))  # of single precision in the network
    found = net(transform.forward(u), transform.forward(y), step / 50)
    squeezed = (torch.stack([z[:, 0, i::group] for i in range(group)], dim=1) for z in (u, y))
    groups = published(net, *squeezed, step)
    expected = torch.stack([groups[:, i % group, i // group] for i in range(40)], dim=1)[:, None]
    torch.testing.assert_close(transform.inverse(found, 40), expected, rtol=1e-12, atol=1e-12)


def test_levels_of_noise_are_times():
    """`EDM` has times up to e^5, where a line between two steps would lead out of all waves."""
    net, x = awake(), Waveform().forward(noise(1, 1, 40, dtype=REAL))
    torch.testing.assert_close(net(x, x, times(100.0)), net(x, x, times(1.0)), rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{"strides": (4, 4)}, {"strides": (4,), "group": 4}])
def test_a_vocoder_hears_mels_alone(settings):
    """Their triangles sum to 1 between the first and the last peak; the phase of y is not heard."""
    weights = triangles(64, 8, 8000)
    assert weights.shape == (8, 33)
    top = weights.argmax(dim=1)
    assert (top.diff() >= 0).all()
    inside = weights[:, top[0] + 1 : top[-1]].sum(dim=0)
    torch.testing.assert_close(inside, torch.ones_like(inside))
    net, transform = awake(mels=8, n_fft=64, sample_rate=8000, **settings), Waveform()
    x, y = (transform.forward(noise(1, 1, 320, seed=s, dtype=REAL)) for s in (0, 1))
    t = times(0.5)
    out = net(x, y, t)
    torch.testing.assert_close(net(x, -y, t), out)
    assert (net(x, 2 * y, t) - out).abs().max() > 1e-3
    spectrum = net.mels.spectrum(noise(1, 320, dtype=REAL))
    assert spectrum.shape == (1, 8, 21)
    # Ten times the amplitude are 20 of 100 dB.
    louder = net.mels.spectrum(10 * noise(1, 320, dtype=REAL))
    torch.testing.assert_close(louder, spectrum + 0.2)


def test_mels_begin_as_a_line_between_frames():
    """Half a stride late: the frame n at the middle of its steps."""
    net = WaveNet(channels=4, layers=1, mels=8, n_fft=64, sample_rate=8000, strides=(4, 2)).double()
    audio = noise(1, 1, 320, dtype=REAL)
    frames = net.mels.spectrum(audio[:, 0])
    found = net.mels(audio)
    middle = (found[..., 11::8] + found[..., 12::8]) / 2
    # The second line rounds the corners of the first.
    torch.testing.assert_close(middle, frames[..., 1:-1], atol=0.03, rtol=0)


def test_a_waveform_is_itself():
    for samples in (1, 2, 7, 8):
        audio = noise(3, samples, dtype=REAL)
        transform = Waveform(0.5)
        x = transform.forward(audio)
        assert x.shape == (3, 1, transform.frames(samples))
        torch.testing.assert_close(transform.inverse(x, samples), audio)
        # Means over the complex points, of the variance of noise, are those over samples.
        if samples % 2 == 0:
            size = x.abs().square().mean() / transform.factor**2
            torch.testing.assert_close(size, audio.square().mean())
    z = transform.inverse(noise(1, 1, 40_000), 80_000)
    assert abs(float(z.var()) * transform.factor**2 - 1) < 0.02
    front = FrontEnd(Waveform(), 16000)
    assert front.refusal(1) is None
    assert "frequencies: 1" in front.refusal(4)
    assert transform.compression == Power(1.0, 0.5)
    with pytest.raises(ArgumentError, match="factor must be positive"):
        Waveform(0.0)


def tiny(**settings) -> WaveNet:
    torch.manual_seed(0)
    net = WaveNet(**{"channels": 8, "layers": 6, "cycle": 3} | settings)
    torch.nn.init.normal_(net.output.weight, std=0.1)  # which begins as 0
    return net


@pytest.mark.filterwarnings("ignore::sgmse.errors.ResultWarning")  # of random weights
def test_from_wav_to_wav(tmp_path):
    """Saved, loaded, any length, rate, solver and process; seeds reproduce."""
    checkpoint = Checkpoint(
        ScoreModel(tiny(), SBVE(), Data()),
        FrontEnd(Waveform(2.0), 16000),
        Sampler(Exponential(), Uniform(2)),
    )
    enhancer = Enhancer.of(load(save(checkpoint, tmp_path)))
    assert enhancer.front == checkpoint.front
    rng = np.random.default_rng(0)
    for samples, rate in ((4001, 16000), (2400, 8000)):
        audio = rng.standard_normal(samples).astype(np.float32) / 10
        result = enhancer(audio, rate)
        assert result.shape == audio.shape
        assert np.isfinite(result).all()
    again = replace(enhancer, sampler=Sampler(Multistep(eta=1.0), LogSNR(3)))
    one, two, other = (again(audio, 8000, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    with pytest.raises(ExportError, match="models of Waveform are not exported"):
        Spectra(enhancer.front, 1)


def test_it_generates_without_an_observation():
    """DiffWave's process, 50 steps from 1e-4 to 0.05, from noise alone."""
    sde = VP(beta_min=1e-4 * 50, beta_max=0.05 * 50, steps=50)
    model = ScoreModel(tiny(observations=0).double(), sde, Noise())
    start = Waveform().forward(noise(1, 1, 64, dtype=REAL))
    found = solve(model, None, Exponential(eta=1.0), Uniform(50, 1.0, 1 / 50), x=start).x
    assert found.isfinite().all()
    betas = torch.linspace(1e-4, 0.05, 50, dtype=REAL)
    a = sde.scales(torch.arange(1, 51, dtype=REAL) / 50).a
    torch.testing.assert_close(a**2, (1 - betas).cumprod(0), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layers": 0}, "layers"),
        ({"mels": 8, "observations": 0}, "needs an observation"),
        ({"mels": 8, "strides": (3, 4)}, "even strides"),
        ({"group": 3}, "1 or an even number, not 3"),
        ({"mels": 8, "group": 16}, "leave some out; take smaller strides"),
    ],
)
def test_mistakes(settings, says):
    with pytest.raises(ArgumentError, match=says):
        WaveNet(**settings)


def test_spectrograms_are_refused():
    with pytest.raises(ArgumentError, match=r"of one frequency, not 4.*Waveform"):
        tiny()(noise(1, 1, 4, 8), noise(1, 1, 4, 8), times(0.5))
