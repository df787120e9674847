"""From an observation to a clean estimate: `solve`, the solvers, their grids and their noise.

A model, an observation, a solver and a grid of times come in; the last state and the number of
evaluations go out. A solver is one step, a frozen dataclass that declares its order and says which
processes it refuses; a user's own one needs nothing but that.
"""

from sgmse.solvers import (
    _adaptive,
    _base,
    _brownian,
    _euler,
    _exponential,
    _grids,
    _interpolating,
    _mean_shift,
    _multistep,
    _predictor_corrector,
    _runge_kutta,
    _sampler,
    _singlestep,
    _unipc,
)
from sgmse.solvers._adaptive import *
from sgmse.solvers._base import *
from sgmse.solvers._brownian import *
from sgmse.solvers._euler import *
from sgmse.solvers._exponential import *
from sgmse.solvers._grids import *
from sgmse.solvers._interpolating import *
from sgmse.solvers._mean_shift import *
from sgmse.solvers._multistep import *
from sgmse.solvers._predictor_corrector import *
from sgmse.solvers._runge_kutta import *
from sgmse.solvers._sampler import *
from sgmse.solvers._singlestep import *
from sgmse.solvers._unipc import *

__all__ = [
    *_adaptive.__all__,
    *_base.__all__,
    *_brownian.__all__,
    *_euler.__all__,
    *_exponential.__all__,
    *_grids.__all__,
    *_interpolating.__all__,
    *_mean_shift.__all__,
    *_multistep.__all__,
    *_predictor_corrector.__all__,
    *_runge_kutta.__all__,
    *_sampler.__all__,
    *_singlestep.__all__,
    *_unipc.__all__,
]
