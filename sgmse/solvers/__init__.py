"""Solvers of the reverse process, the grids they run on, and `solve`."""

from sgmse.solvers.adaptive import DormandPrince, Progress
from sgmse.solvers.base import LAST_START, Model, Path, Randn, Solution, Solver, solve
from sgmse.solvers.brownian import BrownianTree
from sgmse.solvers.euler import Discretisation, EulerMaruyama, ReverseDiffusion
from sgmse.solvers.exponential import Exponential
from sgmse.solvers.grids import AsinhSNR, Cosine, Fitted, Grid, Karras, LogSNR, Polynomial, Uniform
from sgmse.solvers.interpolating import InterpolatingSDE
from sgmse.solvers.multistep import Multistep
from sgmse.solvers.predictor_corrector import (
    AnnealedLangevin,
    Corrector,
    Langevin,
    PredictorCorrector,
)
from sgmse.solvers.runge_kutta import Heun, ProbabilityFlow, RungeKutta4
from sgmse.solvers.singlestep import Singlestep
from sgmse.solvers.starts import MeanShifted
from sgmse.solvers.unipc import UniPC

__all__ = [
    "LAST_START",
    "AnnealedLangevin",
    "AsinhSNR",
    "BrownianTree",
    "Corrector",
    "Cosine",
    "Discretisation",
    "DormandPrince",
    "EulerMaruyama",
    "Exponential",
    "Fitted",
    "Grid",
    "Heun",
    "InterpolatingSDE",
    "Karras",
    "Langevin",
    "LogSNR",
    "MeanShifted",
    "Model",
    "Multistep",
    "Path",
    "Polynomial",
    "PredictorCorrector",
    "ProbabilityFlow",
    "Progress",
    "Randn",
    "ReverseDiffusion",
    "RungeKutta4",
    "Singlestep",
    "Solution",
    "Solver",
    "UniPC",
    "Uniform",
    "solve",
]
