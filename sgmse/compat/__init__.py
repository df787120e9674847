"""What the published code does where it differs from the equation, and published samplers as such.

Processes and solvers as their authors have them, for parity and as baselines. They stand beside
`sgmse.solvers`, which serves every process; each says there is none like it, or which one it is.
"""

from sgmse.compat._bridges import DBIM, DBMSolver, HybridHeun
from sgmse.compat._conditional import CombinedNoise, ConditionalVP
from sgmse.compat._extended import ERSDE
from sgmse.compat._published import (
    DDIM,
    SBODE,
    SBSDE,
    ConsistencyTrajectory,
    CorrectedReverse,
    FlowEuler,
    PublishedOUVP,
    PublishedPreconditioning,
)

__all__ = [
    "DBIM",
    "DDIM",
    "ERSDE",
    "SBODE",
    "SBSDE",
    "CombinedNoise",
    "ConditionalVP",
    "ConsistencyTrajectory",
    "CorrectedReverse",
    "DBMSolver",
    "FlowEuler",
    "HybridHeun",
    "PublishedOUVP",
    "PublishedPreconditioning",
]
