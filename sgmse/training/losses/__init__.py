"""What a network is trained for: losses, and how much an error counts at a noise level.

An estimate of (x0, noise) and the truth come in, scalars go out: "loss", which is to fall, and its
parts. Means are over all items and all points of the spectrograms; c is the factor of the
compression, by which a weight keeps its meaning from one transform to another.
"""

from sgmse.training.losses.base import Loss, Truth
from sgmse.training.losses.matching import Denoising, ScoreMatching, VelocityMatching
from sgmse.training.losses.reconstruction import Reconstruction
from sgmse.training.losses.weightings import (
    EDMWeighting,
    SigmaSquared,
    Uncertainty,
    Unweighted,
    Weighting,
)
from sgmse.training.losses.whole_steps import Composition, MeanFlow, WholeSteps

__all__ = [
    "Composition",
    "Denoising",
    "EDMWeighting",
    "Loss",
    "MeanFlow",
    "Reconstruction",
    "ScoreMatching",
    "SigmaSquared",
    "Truth",
    "Uncertainty",
    "Unweighted",
    "VelocityMatching",
    "Weighting",
    "WholeSteps",
]
