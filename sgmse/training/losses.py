"""What a network is trained for: an estimate of (x0, noise) against the truth.

Means are over all items and all points of the spectrograms; c is the factor of the compression, by
which a weight keeps its meaning from one transform to another.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse.estimates import Estimate
from sgmse.training import perceptual
from sgmse.transforms import Spectrogram


class Truth(NamedTuple):
    """What the estimate is compared with.

    Shapes: x0, z complex (batch, 1, frequency, frame); audio (batch, samples), of which x0 is the
    spectrogram.
    """

    x0: Tensor
    z: Tensor
    audio: Tensor
    transform: Spectrogram


class Loss(ABC):
    """A frozen dataclass of weights."""

    @property
    def sample_rates(self) -> tuple[int, ...] | None:
        """Where the loss is defined; everywhere if None."""
        return None

    @abstractmethod
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        """Scalars: "loss", which is to fall, and its parts without their weights."""


@dataclass(frozen=True)
class ScoreMatching(Loss):
    """mean |noise - z|^2: denoising score matching weighted by sigma^2 (Song et al. 2021, eq. 7).

    With score = -noise / sigma it is  sigma^2 |score - grad log p(x_t | x0, y)|^2.
    """

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        return {"loss": (estimate.noise - truth.z).abs().square().mean()}


@dataclass(frozen=True)
class Reconstruction(Loss):
    """A weighted sum of distances between the estimate X of x0, as audio x, and the truth X0, x0.

        complex     mean |X - X0|^2 / (2 c^2)
        magnitude   mean (|X| - |X0|)^2 / c^2
        waveform    mean |x - x0|
        si_sdr      -mean log10(|s|^2 / |x - s|^2),  s = <x, x0> x0 / |x0|^2
        perceptual  mean points of PESQ that x falls short, as `quality_loss` has it; at 16 kHz

    In its parts si_sdr is given in dB. Published bridges use `complex` and a little `waveform`
    (Jukic et al. 2024).
    """

    complex: float = 1.0
    magnitude: float = 0.0
    waveform: float = 0.0
    si_sdr: float = 0.0
    perceptual: float = 0.0

    def __post_init__(self) -> None:
        weights = astuple(self)
        if not all(isfinite(w) and w >= 0 for w in weights) or not any(weights):
            raise ValueError(f"{self}: weights must not be negative, and one must be positive")

    @property
    def sample_rates(self) -> tuple[int, ...] | None:  # noqa: D102
        return (perceptual.SAMPLE_RATE,) if self.perceptual else None

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        x, x0 = estimate.x0, truth.x0
        c = truth.transform.compression.factor
        parts = {}
        loss = x.real.new_zeros(())
        if self.complex:
            parts["complex"] = (x - x0).abs().square().mean() / (2 * c**2)
            loss = loss + self.complex * parts["complex"]
        if self.magnitude:
            parts["magnitude"] = (x.abs() - x0.abs()).square().mean() / c**2
            loss = loss + self.magnitude * parts["magnitude"]
        if self.waveform or self.si_sdr or self.perceptual:
            heard = truth.transform.inverse(x[:, 0], truth.audio.shape[-1])
        if self.waveform:
            parts["waveform"] = (heard - truth.audio).abs().mean()
            loss = loss + self.waveform * parts["waveform"]
        if self.si_sdr:
            bels = log10_si_sdr(heard, truth.audio).mean()
            parts["si_sdr"] = 10 * bels
            loss = loss - self.si_sdr * bels
        if self.perceptual:
            parts["perceptual"] = perceptual.quality_loss(heard, truth.audio).mean()
            loss = loss + self.perceptual * parts["perceptual"]
        return {"loss": loss, **parts}


def log10_si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """log10 of the scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, eq. 3).

    Shape: (..., samples) twice -> (...). Energies are kept above 1e-8 and the ratio above -40 dB,
    where there is nothing left to learn from it.
    """
    energy = reference.square().sum(-1, keepdim=True).clamp(min=1e-8)
    target = (reference * estimate).sum(-1, keepdim=True) / energy * reference
    distortion = (estimate - target).square().sum(-1).clamp(min=1e-8)
    return torch.log10((target.square().sum(-1) / distortion).clamp(min=1e-4))
