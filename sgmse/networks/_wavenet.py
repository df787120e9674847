"""WaveNet: gated dilated convolutions over samples (DiffWave, CDiffuSE).

DiffWave (Kong et al. 2021, arXiv:2009.09761, section 3 and figure 2*) on audio u of (batch, 1,
samples), with the step n = t * `steps` and N layers:

    e = swish FC(swish FC([sin 10^(4 j / 63) n, cos 10^(4 j / 63) n]_j)),      j = 0 to 63
    h_0 = relu(conv_1(u))
    h' = dilated_3(h + FC(e)) + conv_1(c),      dilation 2^(layer mod cycle)
    g = tanh(h'_1) sigmoid(h'_2),      (r, s) = conv_1(g)
    h <- (h + r) / sqrt 2,      output = conv_1(relu(conv_1(sum s / sqrt N)))

Between two steps the waves are on a line, as those of most j are noise to numbers that are none.
Times above 1, which `EDM` has for noise of a level above 1, are as 1.
conv_1 are of one sample; h'_1 and h'_2 are the halves of the channels, r and s likewise. c is the
observation: the samples of y, or what its mel spectrum says of them, brought to their number by
transposed convolutions. With mels the waveform of y is not seen: that is a vocoder.

With `group` samples to a step of the network it computes so many times fewer steps: u and c are
(batch, group, samples / group), the squeeze of WaveGlow (Prenger et al. 2019, arXiv:1811.00002,
section 2*), the output likewise, and mels are brought to the number of steps. That is for
training on a processor.

Its spectrogram is a `sgmse.transforms.Waveform`, two samples in a complex number.
"""

from collections.abc import Sequence
from math import log, prod

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network

#: Mels of this level in dB, and of less, are heard as 0, those of 100 dB more as 1.
QUIET = -80.0


def hertz(mels: Tensor) -> Tensor:
    """Frequencies of numbers on the mel scale (O'Shaughnessy 1987; HTK)."""
    return 700 * (10 ** (mels / 2595) - 1)


def triangles(n_fft: int, mels: int, sample_rate: int) -> Tensor:
    """Weights (mels, n_fft // 2 + 1) of frequencies: triangles of height 1, even on the mel scale.

    Each begins at the peak of that before it, and ends at that of the next, from 0 to half of the
    rate. They are those of `torchaudio.functional.melscale_fbanks` with its defaults.
    """
    top = 2595 * log(1 + sample_rate / 2 / 700) / log(10)
    peaks = hertz(torch.linspace(0, top, mels + 2, dtype=torch.float64))
    frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    widths = peaks.diff()
    away = frequencies - peaks[:, None]
    rising, falling = away[:-2] / widths[:-1, None], -away[2:] / widths[1:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


class Mels(nn.Module):
    """Audio (batch, channels, samples) to its mel spectrum for each step, (batch, n, steps).

    A step is of `group` samples. The level of the mel spectrum of magnitudes, between 0 and about
    1, in frames that are as many steps apart as `strides` multiply to, and transposed convolutions
    and leaky relus over mels and frames as in DiffWave.
    """

    window: Tensor
    weights: Tensor

    def __init__(
        self, n_fft: int, mels: int, sample_rate: int, strides: Sequence[int], group: int
    ) -> None:
        super().__init__()
        self.n_fft, self.hop, self.group = n_fft, group * prod(strides), group
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("weights", triangles(n_fft, mels, sample_rate), persistent=False)
        self.up = nn.ModuleList(_interpolating(s) for s in strides)

    def spectrum(self, audio: Tensor) -> Tensor:
        """The mels of audio (batch, samples), (batch, mels, frames), by their level.

        0.8 + log10(M / |window|) / 5, at least 0, as in DiffWave's code, which keeps it below 1,
        too: a signal at full scale is near that.
        """
        x = torch.stft(
            audio.to(self.weights.dtype),
            self.n_fft,
            self.hop,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        mels: Tensor = self.weights @ (x.abs() / self.window.norm())
        return (20 * mels.clamp(min=1e-10).log10() - QUIET).clamp(min=0) / 100

    @override
    def forward(self, audio: Tensor) -> Tensor:
        steps = audio.shape[-1] // self.group
        x = self.spectrum(audio.flatten(0, 1))[:, None]
        for layer in self.up:
            x = functional.leaky_relu(layer(x), 0.4)
        return x[..., :steps].reshape(len(audio), -1, steps)


def _interpolating(stride: int) -> nn.ConvTranspose2d:
    """Between frames, which begins as a line from one to the next.

    At random it would let next to nothing by.
    """
    layer = nn.ConvTranspose2d(1, 1, (3, 2 * stride), stride=(1, stride), padding=(1, stride // 2))
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight[0, 0, 1] = 1 - (torch.arange(2 * stride) - stride + 0.5).abs() / stride
    return layer


def step_waves(steps: int) -> Tensor:
    """The sines and cosines of steps 0 to `steps`, (steps + 1, 128)."""
    waves = 10 ** (torch.arange(64, dtype=torch.float64) * 4 / 63)
    angles = torch.arange(steps + 1, dtype=torch.float64)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Layer(nn.Module):
    """One gated layer: the state (batch, channels, samples) and its part of the sum."""

    def __init__(self, channels: int, condition: int, dilation: int) -> None:
        super().__init__()
        self.time = nn.Linear(512, channels)
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.condition = nn.Conv1d(condition, 2 * channels, 1) if condition else None
        self.out = nn.Conv1d(channels, 2 * channels, 1)

    @override
    def forward(self, h: Tensor, e: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dilated(h + self.time(e)[..., None])
        if self.condition is not None:
            x = x + self.condition(c)
        left, right = x.chunk(2, dim=1)
        r, s = self.out(left.tanh() * right.sigmoid()).chunk(2, dim=1)
        return (h + r) / 2**0.5, s


class WaveNet(Network):
    """net(x, y, t): x complex (batch, 1, 1, frame), two samples each, t (batch,), output like x.

    Args:
        channels: C, 64 for DiffWave's base model.
        layers: N, 30.
        cycle: dilations 1, 2, 4, ... start again after so many layers, 10.
        steps: that the embedding of t counts; T of a `VP(steps=T)`.
        observations: waveforms that y holds; 0 for a prior of clean audio.
        mels: see them as so many mels, a vocoder; 0 for their samples.
        n_fft, sample_rate, strides: of the mels: frames, their rate in Hz, and how many steps
            lie between two frames, as factors of as many transposed convolutions, which are even.
        group: samples of a step, 1 (DiffWave) or an even number; `divisor` grows with it.

    Raises:
        ValueError: sizes that no network can have.
    """

    waves: Tensor

    def __init__(
        self,
        channels: int = 64,
        layers: int = 30,
        cycle: int = 10,
        steps: int = 50,
        observations: int = 1,
        mels: int = 0,
        n_fft: int = 1024,
        sample_rate: int = 16000,
        strides: Sequence[int] = (16, 16),
        group: int = 1,
    ) -> None:
        super().__init__()
        strides = tuple(strides)
        if min(channels, layers, cycle, steps) < 1 or observations < 0 or mels < 0:
            raise ArgumentError(
                "channels, layers, cycle and steps must be at least 1, observations and mels not "
                f"negative; got {channels=}, {layers=}, {cycle=}, {steps=}, {observations=}, "
                f"{mels=}"
            )
        if mels and (observations == 0 or not strides or any(s < 2 or s % 2 for s in strides)):
            raise ArgumentError(
                f"mels={mels} needs an observation and even strides, not {observations=}, "
                f"strides={list(strides)}"
            )
        if group < 1 or (group > 1 and group % 2):
            raise ArgumentError(f"group must be 1 or an even number, not {group}")
        if mels and group * prod(strides) > n_fft:
            raise ArgumentError(
                f"frames of {n_fft=} samples that are {group} x {' x '.join(map(str, strides))} "
                "apart leave some out; take smaller strides, which count groups"
            )
        self.config = self.arguments(locals())
        self.observations = observations
        self.group = group
        self.divisor = (1, max(group // 2, 1))
        self.steps = steps
        self.register_buffer("waves", step_waves(steps).float(), persistent=False)
        self.mels = Mels(n_fft, mels, sample_rate, strides, group) if mels else None
        self.embed = nn.Sequential(nn.Linear(128, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU())
        self.input = nn.Conv1d(group, channels, 1)
        condition = observations * (mels or group)
        self.layers = nn.ModuleList(
            Layer(channels, condition, 2 ** (i % cycle)) for i in range(layers)
        )
        self.join = nn.Conv1d(channels, channels, 1)
        self.output = nn.Conv1d(channels, group, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(self.output.weight)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        u, c = samples_of(x), samples_of(y)
        u = grouped(u, self.group)
        c = grouped(c, self.group) if self.mels is None else self.mels(c).to(u.dtype)
        step = self.steps * t.to(self.waves.dtype).clamp(max=1)
        before = step.detach().floor().long().clamp(0, self.steps - 1)
        waves = torch.lerp(self.waves[before], self.waves[before + 1], (step - before)[:, None])
        e = self.embed(waves)
        h = functional.relu(self.input(u))
        total = torch.zeros_like(h)
        for layer in self.layers:
            h, s = layer(h, e, c)
            total = total + s
        h = functional.relu(self.join(total / len(self.layers) ** 0.5))
        answer: Tensor = self.output(h).transpose(1, 2) / 2**0.5
        return answer.reshape(len(x), 1, -1, 2).permute(0, 3, 1, 2)

    @override
    def _check_sizes(self, x: Tensor) -> None:
        super()._check_sizes(x)
        if x.shape[2] != 1:
            raise ArgumentError(
                f"WaveNet takes waveforms, of one frequency, not {x.shape[2]}; use the transform "
                "Waveform()"
            )


def samples_of(x: Tensor) -> Tensor:
    """Parts (batch, 2 n, 1, frame) of n signals as audio (batch, n, samples)."""
    pairs = x[:, :, 0].reshape(len(x), -1, 2, x.shape[3])
    return 2**0.5 * pairs.transpose(2, 3).flatten(2)


def grouped(audio: Tensor, size: int) -> Tensor:
    """Audio (batch, n, samples) as (batch, n size, samples / size)."""
    batch, n, samples = audio.shape
    return audio.reshape(batch, n, samples // size, size).transpose(2, 3).flatten(1, 2)
