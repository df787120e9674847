"""The complex spectrogram on which the models work: an STFT with compressed magnitudes.

    X = STFT(audio),     spectrogram = compress(|X|) exp(i arg X)

Small magnitudes carry much of what is heard; the compression lifts them (Richter et al. 2023,
arXiv:2208.05830). Both parts have exact inverses: `inverse(forward(audio), samples) == audio`.

A model of waveforms works on the samples themselves, two in a complex number (`Waveform`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import acos, cos, isfinite, pi
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sgmse._checks import kinds
from sgmse.errors import ArgumentError

LEAST_STEEP = 1e-3  # of magnitudes of sound up to full scale, 255 for a window of 510
LEAST_SHARE = 1e-4  # of a magnitude that a strength takes for what it is, -80 dB


def strengthened(x: Tensor, y: Tensor, strength: float, least: float = LEAST_SHARE) -> Tensor:
    """By what a result is multiplied in each bin for another strength of its attenuation.

        (|X| / |Y|)^(s - 1)  where |X| < |Y|,  else  1

    for the magnitudes of a result X and its recording Y: what X has lost, in dB, is then s times as
    much. It is the exponent of a spectral gain, as that of the parametric Wiener filter (Lim and
    Oppenheim 1979, doi:10.1109/PROC.1979.11540). A mean over what may have been, which an
    estimate of least error is, is smaller than that is in the mean, |E X| <= E |X|; a strength a
    little below 1 gives some of it back, and some of the noise (benchmarks/results/strength).
    """
    lost = y > x
    share = x / torch.where(lost, y, 1.0)
    return torch.where(lost, share.clamp(min=least).pow(strength - 1), 1.0)


@dataclass(frozen=True)
class Power:
    """|X| -> factor |X|^exponent; the published default is 0.15 |X|^0.5."""

    exponent: float = 0.5
    factor: float = 0.15

    def __post_init__(self) -> None:
        kinds(self)
        if not (0 < self.exponent <= 1 and self.factor > 0 and isfinite(self.factor)):
            raise ArgumentError(f"{self}: exponent must lie in (0, 1] and factor must be positive")

    @property
    def linear(self) -> bool:
        """Whether nothing is compressed."""
        return self.exponent == 1

    def compress(self, x: Tensor) -> Tensor:
        """Complex in, complex out, of the same shape."""
        if self.exponent == 1:
            return self.factor * x
        exact = self.factor * x * self.lift(x.abs())
        if not (x.requires_grad and torch.is_grad_enabled()):
            return exact
        # The derivative has no bound at zeros: below `LEAST_STEEP` it is that of larger ones.
        gentle = self.factor * x * x.abs().clamp(min=LEAST_STEEP).pow(self.exponent - 1)
        return exact.detach() + (gentle - gentle.detach())

    def expand(self, x: Tensor) -> Tensor:
        """The inverse of `compress`."""
        x = x / self.factor
        return x if self.exponent == 1 else x * self.lower(x.abs())

    def moderated(self, x: Tensor, y: Tensor, strength: float) -> Tensor:
        """A compressed result x of y with that strength of its attenuation (`strengthened`).

        Powers of shares are shares of powers: nothing is expanded for it.
        """
        least = LEAST_SHARE**self.exponent
        return x * strengthened(x.abs(), y.abs(), strength, least)

    def lift(self, magnitude: Tensor) -> Tensor:
        """|X| to the gain that compresses it, but for the factor."""
        # The clamp only meets exact zeros and what is one next to them.
        return magnitude.clamp(min=1e-30).pow(self.exponent - 1)

    def lower(self, magnitude: Tensor) -> Tensor:
        """A compressed magnitude over the factor to the gain that expands it."""
        # The clamp keeps the gradient finite at zeros, where a root has an infinite one.
        return magnitude.clamp(min=1e-30).pow(1 / self.exponent - 1)


@dataclass(frozen=True)
class Log:
    """|X| -> factor ln(1 + |X|)."""

    factor: float = 0.15

    def __post_init__(self) -> None:
        kinds(self)
        if not (self.factor > 0 and isfinite(self.factor)):
            raise ArgumentError(f"{self}: factor must be positive")

    @property
    def linear(self) -> bool:
        """Whether nothing is compressed."""
        return False

    def compress(self, x: Tensor) -> Tensor:
        """Complex in, complex out, of the same shape."""
        return self.factor * x * self.lift(x.abs())

    def expand(self, x: Tensor) -> Tensor:
        """The inverse of `compress`."""
        x = x / self.factor
        return x * self.lower(x.abs())

    def moderated(self, x: Tensor, y: Tensor, strength: float) -> Tensor:
        """A compressed result x of y with that strength of its attenuation (`strengthened`)."""
        made, whole = self.expand(x), self.expand(y)
        return self.compress(made * strengthened(made.abs(), whole.abs(), strength))

    def lift(self, magnitude: Tensor) -> Tensor:
        """|X| to the gain that compresses it, but for the factor."""
        return torch.where(magnitude > 0, magnitude.log1p() / magnitude.clamp(min=1e-30), 1.0)

    def lower(self, magnitude: Tensor) -> Tensor:
        """A compressed magnitude over the factor to the gain that expands it."""
        return torch.where(magnitude > 0, magnitude.expm1() / magnitude.clamp(min=1e-30), 1.0)


Window = Literal["hann", "sqrthann"]
#: For a periodic window, cos(pi d / n_fft) at d samples from its centre has this power.
POWERS: dict[Window, int] = {"hann": 2, "sqrthann": 1}
#: The sum of the squared windows by which the inverse still divides: an error is a thousandfold.
LEAST = 1e-6
#: What `torch.istft` takes for nothing.
NOTHING = 1e-11


class Transform(ABC):
    """Audio (..., samples) to what a network works on, complex (..., frequency, frame), and back.

    Subclasses are frozen dataclasses.
    """

    #: Samples that a frame hears.
    n_fft: int
    #: Samples from one frame to the next.
    hop: int
    #: Of the magnitudes.
    compression: "Power | Log"
    #: What frames hear beyond the audio.
    ends: Literal["reflect", "zero"]

    @property
    @abstractmethod
    def frequencies(self) -> int:
        """Frequency bins."""

    @property
    @abstractmethod
    def shortest(self) -> int:
        """The fewest samples that it takes."""

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Frames of so many samples of audio."""

    @abstractmethod
    def covering(self, samples: int) -> int:
        """To how many samples audio must be padded for its end to be heard as well as the rest."""

    @abstractmethod
    def forward(self, audio: Tensor) -> Tensor:
        """Float (..., samples) to complex (..., frequency, frame)."""

    @abstractmethod
    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Complex (..., frequency, frame) to float (..., samples)."""

    @property
    def learned(self) -> nn.Module | None:
        """The network whose weights it has; None of one that is computed."""
        return None

    @property
    def linear(self) -> bool:
        """Whether audio is a linear function of what `forward` makes of it."""
        return self.compression.linear

    @property
    def spectral(self) -> "Spectrogram | None":
        """Itself, if its points are time-frequency bins; None of one that has none."""
        return None

    def misfit(self, divisor: int) -> str:
        """What it has, and what would do, for a network that takes multiples of so many bins."""
        return (
            f"{type(self).__name__} has frequencies: {self.frequencies}, and the network needs a "
            f"multiple of {divisor}; use a network for it, such as WaveNet"
        )


@dataclass(frozen=True)
class Waveform(Transform):
    """Audio itself: samples 2 n and 2 n + 1 as real and imaginary part of frame n, one bin.

        x_n = factor (s_2n + i s_(2n + 1)) / sqrt 2

    So noise CN(0, 1) is N(0, 1) in each sample over factor, means over |x|^2 are those over
    samples, and all that is said of spectrograms holds of audio. An odd last sample is followed by
    a zero.

    Args:
        factor: by which samples are as large as the process expects.
    """

    factor: float = 1.0

    n_fft = hop = 2
    ends = "zero"
    frequencies = 1
    shortest = 1

    def __post_init__(self) -> None:
        kinds(self)
        if not (self.factor > 0 and isfinite(self.factor)):
            raise ArgumentError(f"{self}: factor must be positive")

    @property
    def compression(self) -> "Power":  # type: ignore[override]
        """None, but for the factor: means of |x|^2 over it are those of the samples."""
        return Power(1.0, self.factor)

    def frames(self, samples: int) -> int:
        """Frames of so many samples of audio."""
        return -(-samples // 2)

    def covering(self, samples: int) -> int:
        """An even number of samples."""
        return samples + samples % 2

    def forward(self, audio: Tensor) -> Tensor:
        """Float (..., samples) to complex (..., 1, frame)."""
        even = pad(audio, (0, audio.shape[-1] % 2))
        pairs = even.reshape(*even.shape[:-1], -1, 2)
        x = torch.view_as_complex((self.factor / 2**0.5 * pairs).contiguous())
        return x[..., None, :]

    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Complex (..., 1, frame) to float (..., samples), zeros behind the last frame."""
        audio = 2**0.5 / self.factor * torch.view_as_real(spectrogram[..., 0, :]).flatten(-2)
        return pad(audio, (0, max(samples - audio.shape[-1], 0)))[..., :samples]


@dataclass(frozen=True)
class Spectrogram(Transform):
    """Audio (..., samples) to a complex spectrogram (..., frequency, frame) and back.

    Frames are centred, with a periodic window; there are n_fft // 2 + 1 frequencies and
    1 + samples // hop frames. The inverse divides by the sum of the squared windows,

        sum_k w(n - k hop)^2,   w(d) = cos(pi d / n_fft)^2 for hann, cos(pi d / n_fft) for sqrthann,

    which is smallest midway between two frames. It is exact for frames that overlap by less than
    half, too; only the samples behind the last frame that no window hears come back as zeros, at
    most hop - n_fft / 2 of them (`covering` says how far to pad for there to be none).

    Args:
        n_fft: samples of a frame.
        hop: samples from one frame to the next; less than n_fft, so far that the sum above stays
            over 1e-6, that is 0.98 n_fft for hann and nearly n_fft for sqrthann.
        compression: of the magnitudes.
        ends: what the first and the last frame hear beyond the audio: its reflection, or zeros.
        window: of the frames, both ways: Hann's or its square root.
    """

    n_fft: int = 510
    hop: int = 128
    compression: Power | Log = field(default_factory=Power)
    ends: Literal["reflect", "zero"] = "reflect"
    window: Window = "hann"

    def __post_init__(self) -> None:
        kinds(self)
        if self.n_fft < 4 or self.n_fft % 2:
            raise ArgumentError(f"n_fft must be an even number of at least 4, not {self.n_fft}")
        if self.ends not in ("reflect", "zero"):
            raise ArgumentError(f"ends must be 'reflect' or 'zero', not {self.ends!r}")
        if self.window not in POWERS:
            raise ArgumentError(f"window must be 'hann' or 'sqrthann', not {self.window!r}")
        least = self._squared(self.hop // 2) + self._squared(-(-self.hop // 2))
        if self.hop < 1 or (2 * self.hop > self.n_fft and least < LEAST):
            angle = acos((LEAST / 2) ** (1 / (2 * POWERS[self.window])))
            raise ArgumentError(
                f"hop must lie between 1 and {int(2 * self.n_fft * angle / pi)} for n_fft = "
                f"{self.n_fft}, not {self.hop}; between frames further apart the squared windows "
                "sum to nearly 0, and the inverse divides by that"
            )

    def _squared(self, distance: int) -> float:
        """The squared window so many samples from its centre."""
        inside = 2 * distance < self.n_fft
        return cos(pi * distance / self.n_fft) ** (2 * POWERS[self.window]) if inside else 0.0

    @property
    def spectral(self) -> "Spectrogram":
        """Itself."""
        return self

    @property
    def frequencies(self) -> int:
        """Frequency bins of a spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def shortest(self) -> int:
        """Samples below which the ends cannot be reflected."""
        return self.n_fft // 2 + 1

    def misfit(self, divisor: int) -> str:
        """As `Transform.misfit`, with the frame that would do."""
        fitting = 2 * (max(round(self.frequencies / divisor), 1) * divisor - 1)
        return (
            f"{self.n_fft} gives {self.frequencies} frequencies, and the network needs a multiple "
            f"of {divisor}; {fitting} would do"
        )

    def frames(self, samples: int) -> int:
        """Frames of so many samples of audio."""
        return 1 + samples // self.hop

    def covering(self, samples: int) -> int:
        """To how many samples audio must be padded for none to lie under the foot of a window only.

        After the last frame's centre there is one window alone where frames overlap by half, and
        the inverse divides by what little is left of it: errors of an estimate become a click.
        """
        # A third of n_fft from its centre a Hann window is 1/4.
        return samples if 3 * self.hop <= self.n_fft else samples + -samples % self.hop

    def weights(self, like: Tensor) -> Tensor:
        """The window in the precision and on the device of `like`."""
        hann = torch.hann_window(self.n_fft, dtype=like.real.dtype, device=like.device)
        return hann.sqrt() if self.window == "sqrthann" else hann

    def forward(self, audio: Tensor) -> Tensor:
        """Float (..., samples) to complex (..., frequency, frame)."""
        if audio.shape[-1] < self.shortest:
            raise ArgumentError(
                f"{audio.shape[-1]} samples are too short for n_fft = {self.n_fft}; "
                f"pad the audio to at least {self.shortest} samples"
            )
        x = torch.stft(
            audio.reshape(-1, audio.shape[-1]),
            self.n_fft,
            self.hop,
            window=self.weights(audio),
            center=True,
            pad_mode="reflect" if self.ends == "reflect" else "constant",
            return_complex=True,
        )
        return self.compression.compress(x).reshape(*audio.shape[:-1], *x.shape[-2:])

    def moderated(self, x: Tensor, y: Tensor, strength: float) -> Tensor:
        """The spectrogram x of a result from y, with that strength of its attenuation; like x."""
        return self.compression.moderated(x, y, strength)

    def inverse(self, spectrogram: Tensor, samples: int) -> Tensor:
        """Complex (..., frequency, frame) to float (..., samples), zeros where no window hears."""
        x = self.compression.expand(spectrogram)
        heard = min(samples, self._heard(x.shape[-1]))
        audio = self._overlapped(x.reshape(-1, *x.shape[-2:]), heard)
        return pad(audio, (0, samples - heard)).reshape(*x.shape[:-2], samples)

    def _overlapped(self, x: Tensor, samples: int) -> Tensor:
        """`torch.istft`, bit by bit, without its look at the sum of the squared windows.

        For that the host waits for the device; up to `_heard` samples it is not zero anyway.
        """
        batch, _, frames = x.shape
        window = self.weights(x)
        total = self.n_fft + self.hop * (frames - 1)
        turned = torch.view_as_complex(torch.view_as_real(x).transpose(1, 2))
        spoken = torch.fft.irfft(turned, n=self.n_fft) * window
        squares = window.square().expand(1, frames, self.n_fft)
        audio, weights = (
            torch.ops.aten.unfold_backward(parts, (count, total), 1, self.n_fft, self.hop)
            for parts, count in ((spoken, batch), (squares, 1))
        )
        inside = slice(self.n_fft // 2, self.n_fft // 2 + samples)
        divided: Tensor = audio[:, inside] / weights[:, inside]
        return divided

    def _heard(self, frames: int) -> int:
        """Samples up to the last that a window of so many frames hears."""
        reach = self.n_fft // 2
        while self._squared(reach - 1) < 2 * NOTHING:  # twice, since single precision rounds
            reach -= 1
        return (frames - 1) * self.hop + reach
