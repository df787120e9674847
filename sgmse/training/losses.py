"""What a network is trained for: an estimate of (x0, noise) against the truth.

Means are over all items and all points of the spectrograms; c is the factor of the compression, by
which a weight keeps its meaning from one transform to another. The errors e of every estimate have
a e_x0 + sigma e_noise = 0, so that losses on score, noise, mean and data differ by weights alone:

    e_score = -e_noise / sigma,   e_mean = a e_x0 = -sigma e_noise.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE, weighted
from sgmse.training import perceptual
from sgmse.training.resolutions import multi_resolution_loss
from sgmse.training.weightings import LogVariance, SigmaSquared, Unweighted, Weighting
from sgmse.transforms import Spectrogram


class Truth(NamedTuple):
    """What the estimate is compared with.

    Shapes: x0, z complex (batch, 1, frequency, frame); audio (batch, samples), of which x0 is the
    spectrogram; t, u (batch,): the times, and what the weighting has learned about them, if it
    does.
    """

    x0: Tensor
    z: Tensor
    audio: Tensor
    transform: Spectrogram
    t: Tensor
    sde: SDE
    u: Tensor | None = None


class Loss(ABC):
    """A frozen dataclass of weights."""

    @property
    def sample_rates(self) -> tuple[int, ...] | None:
        """Where the loss is defined; everywhere if None."""
        return None

    def learned(self) -> LogVariance | None:
        """What is trained with the network: from it, at the times of a batch, `Truth.u`."""
        return None

    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        """Why it cannot be used with that process at times (batch,), with the remedy, or None."""
        return None

    def untimed(self) -> str | None:
        """Why it cannot judge a result, which has no time or noise, with the remedy, or None."""
        return f"{type(self).__name__} compares estimates at a time; use Reconstruction"

    @abstractmethod
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        """Scalars: "loss", which is to fall, and its parts without their weights."""


@dataclass(frozen=True)
class ScoreMatching(Loss):
    """mean lambda(sigma) |score - grad log p(x_t | x0, y)|^2 (Song et al. 2021, eq. 7).

    With score = -noise / sigma it is  mean lambda / sigma^2 |noise - z|^2,  and for lambda =
    sigma^2, as published, mean |noise - z|^2. Where sigma = 0 there is no noise to learn.
    """

    weighting: Weighting = field(default_factory=SigmaSquared)

    def learned(self) -> LogVariance | None:  # noqa: D102
        return self.weighting.learned()

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        sigma = truth.sde.scales(truth.t).sigma
        weights = torch.where(sigma > 0, self.weighting(sigma) / sigma**2, 1.0)
        squares = (estimate.noise - truth.z).abs().square()
        return {"loss": self.weighting.mean(squares, weights, truth.u)}


@dataclass(frozen=True)
class Denoising(Loss):
    """mean lambda |D - truth|^2 for the estimate D of the clean audio, or of the mean of x_t.

        of = "data"    D = x0 hat               lambda at the level sigma / a (Karras et al. 2022)
        of = "mean"    D = a x0 hat + b y       lambda at the level sigma (Richter et al. 2024)

    (arXiv:2206.00364, arXiv:2409.10753; the published name of the second is `denoiser`.) At a
    pinned end the mean is x_t, and nothing is to be learned about it.
    """

    of: Literal["data", "mean"] = "data"
    weighting: Weighting = field(default_factory=Unweighted)

    def __post_init__(self) -> None:
        if self.of not in ("data", "mean"):
            raise ArgumentError(f"Denoising: of must be 'data' or 'mean', not {self.of!r}")

    def learned(self) -> LogVariance | None:  # noqa: D102
        return self.weighting.learned()

    def refusal(self, sde: SDE, t: Tensor) -> str | None:  # noqa: D102
        return infinite(self.weighting, sde, t) if self.of == "data" else None

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        if self.of == "data":
            weights = self.weighting(level(truth.sde, truth.t))
            squares = (estimate.x0 - truth.x0).abs().square()
        else:
            sigma = truth.sde.scales(truth.t).sigma
            weights = torch.where(sigma > 0, self.weighting(sigma) * sigma**2, 0.0)
            squares = (estimate.noise - truth.z).abs().square()
        return {"loss": self.weighting.mean(squares, weights, truth.u)}


def level(sde: SDE, t: Tensor) -> Tensor:
    """sigma / a: 0 for clean audio, infinite where nothing is left of it."""
    return (-sde.log_snr(t)).exp()


def infinite(weighting: Weighting, sde: SDE, t: Tensor) -> str | None:
    """The refusal of a weighting of the error of x0 that is not finite."""
    odd = ~weighting(level(sde, t)).isfinite()
    if not odd.any():
        return None
    return (
        f"{weighting} of the error of x0 is infinite at t = {float(t[odd][0]):g} of {sde}; use "
        "Unweighted() or EDMWeighting(), or train at other times"
    )


@dataclass(frozen=True)
class VelocityMatching(Loss):
    """mean |v - v(x0, y, z)|^2 for v = a' x0 hat + b' y + sigma' noise hat: flow matching.

    Lipman et al. 2023, arXiv:2210.02747, eq. 9; b' y is no error. It needs finite a' and sigma'.
    """

    def refusal(self, sde: SDE, t: Tensor) -> str | None:  # noqa: D102
        a, _, sigma = sde.rates(t)
        odd = ~(a.isfinite() & sigma.isfinite())
        if not odd.any():
            return None
        return (
            f"VelocityMatching: the velocity of {sde} is infinite at t = {float(t[odd][0]):g}; "
            "train at other times, or use Reconstruction"
        )

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        a, _, sigma = truth.sde.rates(truth.t)
        off = weighted((a, estimate.x0 - truth.x0), (sigma, estimate.noise - truth.z))
        return {"loss": off.abs().square().mean()}


@dataclass(frozen=True)
class Reconstruction(Loss):
    """A weighted sum of distances between the estimate X of x0, as audio x, and the truth X0, x0.

        complex     mean lambda |X - X0|^2 / (2 c^2),  lambda at the level sigma / a
        magnitude   mean (|X| - |X0|)^2 / c^2
        waveform    mean |x - x0|
        si_sdr      -mean log10(|s|^2 / |x - s|^2),  s = <x, x0> x0 / |x0|^2
        perceptual  mean points of PESQ that x falls short, as `quality_loss` has it; at 16 kHz
        multi_resolution  mean distance of short-time magnitudes of x and x0 in windows of several
                    lengths, `multi_resolution_loss`

    lambda is the weighting, 1 by default. In its parts si_sdr is given in dB. Published bridges use
    `complex` and a little `waveform` (Jukic et al. 2024).
    """

    complex: float = 1.0
    magnitude: float = 0.0
    waveform: float = 0.0
    si_sdr: float = 0.0
    perceptual: float = 0.0
    multi_resolution: float = 0.0
    weighting: Weighting = field(default_factory=Unweighted)

    def __post_init__(self) -> None:
        audible = (self.waveform, self.si_sdr, self.perceptual, self.multi_resolution)
        weights = (self.complex, self.magnitude, *audible)
        if not all(isfinite(w) and w >= 0 for w in weights) or not any(weights):
            raise ArgumentError(f"{self}: weights must not be negative, and one must be positive")
        if not self.complex and self.weighting != Unweighted():
            raise ArgumentError(f"{self}: its weighting is that of `complex`, which has no weight")

    @property
    def sample_rates(self) -> tuple[int, ...] | None:  # noqa: D102
        return (perceptual.SAMPLE_RATE,) if self.perceptual else None

    def learned(self) -> LogVariance | None:  # noqa: D102
        return self.weighting.learned()

    def refusal(self, sde: SDE, t: Tensor) -> str | None:  # noqa: D102
        return infinite(self.weighting, sde, t)

    def untimed(self) -> str | None:  # noqa: D102
        if self.weighting == Unweighted():
            return None
        return f"a result has no time to be weighted by; leave out {self.weighting}"

    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:  # noqa: D102
        x, x0 = estimate.x0, truth.x0
        c = truth.transform.compression.factor
        parts = {}
        loss = x.real.new_zeros(())
        if self.complex:
            weights = self.weighting(level(truth.sde, truth.t)) / (2 * c**2)
            squares = (x - x0).abs().square()
            parts["complex"] = self.weighting.mean(squares, weights, truth.u)
            loss = loss + self.complex * parts["complex"]
        if self.magnitude:
            parts["magnitude"] = (x.abs() - x0.abs()).square().mean() / c**2
            loss = loss + self.magnitude * parts["magnitude"]
        if self.waveform or self.si_sdr or self.perceptual or self.multi_resolution:
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
        if self.multi_resolution:
            parts["multi_resolution"] = multi_resolution_loss(heard, truth.audio).mean()
            loss = loss + self.multi_resolution * parts["multi_resolution"]
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
