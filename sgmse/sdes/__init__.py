"""The processes between clean audio and the observation.

Each states its a, b and sigma; `SDE` has what follows from them, for a user's own process too.
"""

from sgmse.sdes.base import (
    SDE,
    Coefficients,
    LinearBeta,
    Scales,
    expand,
    positive,
    rising,
    weighted,
)
from sgmse.sdes.bridges import BBED, SBVE, SBVP, BrownianBridge
from sgmse.sdes.combinators import Scaled, Shifted
from sgmse.sdes.diffusions import VE, VP, CosineVP, FlowMatching, LinearVE, SubVP
from sgmse.sdes.flows import StraightFlow
from sgmse.sdes.ornstein_uhlenbeck import FOUVE, OUVE, OUVP, CosineOU

__all__ = [
    "BBED",
    "FOUVE",
    "OUVE",
    "OUVP",
    "SBVE",
    "SBVP",
    "SDE",
    "VE",
    "VP",
    "BrownianBridge",
    "Coefficients",
    "CosineOU",
    "CosineVP",
    "FlowMatching",
    "LinearBeta",
    "LinearVE",
    "Scaled",
    "Scales",
    "Shifted",
    "StraightFlow",
    "SubVP",
    "expand",
    "positive",
    "rising",
    "weighted",
]
