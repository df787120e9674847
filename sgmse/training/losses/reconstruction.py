"""The loss of a result: distances between spectra and between sounds, which need no time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE
from sgmse.training.losses import perceptual
from sgmse.training.losses.base import Truth, WeightedLoss
from sgmse.training.losses.resolutions import multi_resolution_loss
from sgmse.training.losses.weightings import Unweighted, Weighting, level


@dataclass(frozen=True)
class Reconstruction(WeightedLoss):
    """A weighted sum of distances between the estimate X of x0, as audio x, and the truth X0, x0.

        complex     mean lambda |X - X0|^2 / (2 c^2),  lambda at the level sigma / a
        magnitude   mean (|X| - |X0|)^2 / c^2
        waveform    mean |x - x0|
        si_sdr      -mean log10(|s|^2 / |x - s|^2),  s = <x, x0> x0 / |x0|^2
        level       mean |log10 <x, x0> / |x0|^2|, how far s is from x0 in level
        perceptual  mean points of PESQ that x falls short, as `quality_loss` has it; at 16 kHz
        multi_resolution  mean distance of short-time magnitudes of x and x0 in windows of several
                    lengths, `multi_resolution_loss`

    lambda is the weighting, 1 by default. In its parts si_sdr and level are given in dB. Published
    bridges use `complex` and a little `waveform` (Jukic et al. 2024).

    Means of compressed spectra are those of quieter sounds, and si_sdr does not hear it: without
    `level` (or much `waveform`) a network gives speech back some 2 dB quieter than it was.
    """

    complex: float = 1.0
    magnitude: float = 0.0
    waveform: float = 0.0
    si_sdr: float = 0.0
    level: float = 0.0
    perceptual: float = 0.0
    multi_resolution: float = 0.0
    weighting: Weighting = field(default_factory=Unweighted)

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in ("complex", "magnitude", *AUDIBLE)]
        if not all(isfinite(w) and w >= 0 for w in weights) or not any(weights):
            raise ArgumentError(f"{self}: weights must not be negative, and one must be positive")
        if not self.complex and self.weighting != Unweighted():
            raise ArgumentError(f"{self}: its weighting is that of `complex`, which has no weight")

    @property
    @override
    def sample_rates(self) -> tuple[int, ...] | None:
        return (perceptual.SAMPLE_RATE,) if self.perceptual else None

    @override
    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        return self.weighting.refusal(sde, t)

    @override
    def untimed(self) -> str | None:
        if self.weighting == Unweighted():
            return None
        return f"a result has no time to be weighted by; leave out {self.weighting}"

    @override
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        x, x0, c = estimate.x0, truth.x0, truth.transform.compression.factor
        parts: dict[str, Tensor] = {}
        if self.complex:
            weights = self.weighting(level(truth.sde, truth.t)) / (2 * c**2)
            squares = (x - x0).abs().square()
            parts["complex"] = self.weighting.mean(squares, weights, truth.u)
        if self.magnitude:
            parts["magnitude"] = (x.abs() - x0.abs()).square().mean() / c**2
        audible = {name: distance for name, distance in AUDIBLE.items() if getattr(self, name)}
        if audible:
            heard = truth.transform.inverse(x[:, 0], truth.audio.shape[-1])
            parts |= {name: d(heard, truth.audio).mean() for name, d in audible.items()}
        loss = x.real.new_zeros(())
        for name, part in parts.items():
            loss = loss + getattr(self, name) * part
        if "si_sdr" in parts:
            parts["si_sdr"] = -10 * parts["si_sdr"]
        if "level" in parts:
            parts["level"] = 20 * parts["level"]
        return {"loss": loss, **parts}


def negative_si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """-log10 of the scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, eq. 3*).

    Shape: (..., samples) twice -> (...). Energies are kept above 1e-8 and the ratio above -40 dB,
    where there is nothing left to learn from it.
    """
    energy = reference.square().sum(-1, keepdim=True).clamp(min=1e-8)
    target = (reference * estimate).sum(-1, keepdim=True) / energy * reference
    distortion = (estimate - target).square().sum(-1).clamp(min=1e-8)
    return -torch.log10((target.square().sum(-1) / distortion).clamp(min=1e-4))


def level_difference(estimate: Tensor, reference: Tensor) -> Tensor:
    """|log10 <estimate, reference> / |reference|^2|: what the speech in an estimate lost or gained.

    Shape: (..., samples) twice -> (...). Below a share of 0.01, -40 dB, it grows on a line, by 4
    down to a share of -1, speech of the other polarity: nothing else in a sum of magnitudes and
    SI-SDR hears that, and steps of a sampler from such an estimate lead astray. Where the reference
    is silent there is no level to keep, and the difference is 0.
    """
    energy = reference.square().sum(-1)
    share = (reference * estimate).sum(-1) / energy.clamp(min=1e-8)
    lost = 4 * (1e-2 - share.clamp(-1, 1e-2))
    return torch.where(energy > 1e-8, torch.log10(share.clamp(min=1e-2)).abs() + lost, 0.0)


#: The distances between sounds (batch, samples), by the names of their weights.
AUDIBLE: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "waveform": lambda x, x0: (x - x0).abs(),
    "si_sdr": negative_si_sdr,
    "level": level_difference,
    "perceptual": perceptual.quality_loss,
    "multi_resolution": multi_resolution_loss,
}
