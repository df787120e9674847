"""The processes between clean audio and the observation, x_t = a(t) x0 + b(t) y + sigma(t) z.

Times come in; out come the scales (a, b, sigma), their rates, the coefficients of the equation and
its samples. Each process states its scales, and `SDE` has what follows, for a user's own one too.
"""

from sgmse.sdes._base import (
    SDE,
    Coefficients,
    LinearBeta,
    Scales,
    expand,
    positive,
    rising,
    weighted,
)
from sgmse.sdes._bridges import BBED, SBVE, SBVP, BrownianBridge
from sgmse.sdes._combinators import Scaled, Shifted
from sgmse.sdes._diffusions import VE, VP, CosineVP, FlowMatching, LinearVE, SubVP
from sgmse.sdes._flows import StraightFlow
from sgmse.sdes._ornstein_uhlenbeck import FOUVE, OUVE, OUVP, CosineOU
from sgmse.sdes._quadrature import gauss

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
    "gauss",
    "positive",
    "rising",
    "weighted",
]
