"""From an observation to a clean estimate: `solve`, the solvers, their grids and their noise.

A model, an observation, a solver and a grid of times come in; the last state and the number of
evaluations go out. A solver is one step, a frozen dataclass that declares its order and says which
processes it refuses; a user's own one needs nothing but that.
"""

from sgmse.solvers._adaptive import DormandPrince, StepControl
from sgmse.solvers._analytic import PosteriorVariance
from sgmse.solvers._base import (
    LAST_START,
    Begun,
    M,
    Model,
    OfItems,
    Randn,
    Solver,
    TwoTimes,
    modelled,
    needs_flow,
    needs_score,
    of_items,
    too_late,
    two_timed,
)
from sgmse.solvers._brownian import BrownianTree
from sgmse.solvers._euler import Discretisation, EulerMaruyama, ReverseDiffusion
from sgmse.solvers._exponential import Exponential, Weights
from sgmse.solvers._grids import (
    AsinhSNR,
    Cosine,
    Fitted,
    Grid,
    Karras,
    LogSNR,
    Polynomial,
    Uniform,
    time_of,
)
from sgmse.solvers._interpolating import InterpolatingSDE
from sgmse.solvers._mean_shift import MeanShifted
from sgmse.solvers._multistep import Multistep
from sgmse.solvers._named import NAMED, named
from sgmse.solvers._predictor_corrector import (
    AnnealedLangevin,
    Corrector,
    Langevin,
    PredictorCorrector,
)
from sgmse.solvers._range import SamplerRange, refusal
from sgmse.solvers._restart import Restart
from sgmse.solvers._runge_kutta import Heun, ProbabilityFlow, RungeKutta4, velocity
from sgmse.solvers._sampler import Sampler
from sgmse.solvers._singlestep import Singlestep
from sgmse.solvers._solve import Callback, Path, Solution, Step, solve
from sgmse.solvers._strength import Between, Extended, Strength
from sgmse.solvers._trajectory import Trajectory
from sgmse.solvers._unipc import UniPC
from sgmse.solvers._wrapping import Wrapping

__all__ = [
    "LAST_START",
    "NAMED",
    "AnnealedLangevin",
    "AsinhSNR",
    "Begun",
    "Between",
    "BrownianTree",
    "Callback",
    "Corrector",
    "Cosine",
    "Discretisation",
    "DormandPrince",
    "EulerMaruyama",
    "Exponential",
    "Extended",
    "Fitted",
    "Grid",
    "Heun",
    "InterpolatingSDE",
    "Karras",
    "Langevin",
    "LogSNR",
    "M",
    "MeanShifted",
    "Model",
    "Multistep",
    "OfItems",
    "Path",
    "Polynomial",
    "PosteriorVariance",
    "PredictorCorrector",
    "ProbabilityFlow",
    "Randn",
    "Restart",
    "ReverseDiffusion",
    "RungeKutta4",
    "Sampler",
    "SamplerRange",
    "Singlestep",
    "Solution",
    "Solver",
    "Step",
    "StepControl",
    "Strength",
    "Trajectory",
    "TwoTimes",
    "UniPC",
    "Uniform",
    "Weights",
    "Wrapping",
    "modelled",
    "named",
    "needs_flow",
    "needs_score",
    "of_items",
    "refusal",
    "solve",
    "time_of",
    "too_late",
    "two_timed",
    "velocity",
]
