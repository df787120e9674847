"""When a network is trained: the times of a batch, and what losses at them are worth.

A number of items and a generator come in, times and weights of losses go out (`Times`). What time
comes how often is a `Law`; what it counts, a `TimeWeighting`; `LossAware` and strata make the mean
over a batch vary less.
"""

from sgmse.training.times.draws import Drawn, Times
from sgmse.training.times.laws import (
    Law,
    LogitNormal,
    LogNormal,
    TimeSteps,
    UniformLogSNR,
    UniformTime,
)
from sgmse.training.times.loss_aware import History, LossAware
from sgmse.training.times.weightings import EvenTime, Likelihood, MinSNR, TimeWeighting

__all__ = [
    "Drawn",
    "EvenTime",
    "History",
    "Law",
    "Likelihood",
    "LogNormal",
    "LogitNormal",
    "LossAware",
    "MinSNR",
    "TimeSteps",
    "TimeWeighting",
    "Times",
    "UniformLogSNR",
    "UniformTime",
]
