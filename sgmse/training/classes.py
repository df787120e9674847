"""The classes that a recipe may name."""

from sgmse.checkpoints import CLASSES
from sgmse.config import Classes
from sgmse.data.degradations import DEGRADATIONS
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.paired import Paired
from sgmse.training import losses, optimisation, times

#: What a recipe may name: the classes of checkpoints, and those of training alone.
RECIPE_CLASSES: Classes = {
    c.__name__: c
    for c in (
        *CLASSES.values(),
        *(MixedSpeech, Paired),
        *DEGRADATIONS,
        *(losses.ScoreMatching, losses.Denoising, losses.VelocityMatching, losses.Reconstruction),
        *(losses.MeanFlow, losses.Composition),
        *(losses.Unweighted, losses.SigmaSquared, losses.EDMWeighting, losses.Uncertainty),
        *(optimisation.Adam, optimisation.AdamW, optimisation.Muon),
        *(times.UniformTime, times.LogNormal, times.LogitNormal, times.UniformLogSNR),
        times.TimeSteps,
        *(times.EvenTime, times.Likelihood, times.MinSNR),
    )
}
