"""Solvers of the reverse process, the grids they run on, and `solve`."""

from sgmse.solvers.base import LAST_START, Model, Path, Randn, Solution, Solver, solve
from sgmse.solvers.exponential import Exponential, Multistep
from sgmse.solvers.grids import Grid, LogSNR, Uniform
from sgmse.solvers.predictor_corrector import (
    AnnealedLangevin,
    Corrector,
    Langevin,
    PredictorCorrector,
    ReverseDiffusion,
)

__all__ = [
    "LAST_START",
    "AnnealedLangevin",
    "Corrector",
    "Exponential",
    "Grid",
    "Langevin",
    "LogSNR",
    "Model",
    "Multistep",
    "Path",
    "PredictorCorrector",
    "Randn",
    "ReverseDiffusion",
    "Solution",
    "Solver",
    "Uniform",
    "solve",
]
