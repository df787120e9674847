"""The processes between clean audio and the observation, x_t = a(t) x0 + b(t) y + sigma(t) z.

Times come in; out come the scales (a, b, sigma), their rates, the coefficients of the equation and
its samples. Each process states its scales, and `SDE` has what follows, for a user's own one too.
"""

from sgmse.sdes import (
    _base,
    _bridges,
    _combinators,
    _diffusions,
    _flows,
    _ornstein_uhlenbeck,
)
from sgmse.sdes._base import *
from sgmse.sdes._bridges import *
from sgmse.sdes._combinators import *
from sgmse.sdes._diffusions import *
from sgmse.sdes._flows import *
from sgmse.sdes._ornstein_uhlenbeck import *

__all__ = [
    *_base.__all__,
    *_bridges.__all__,
    *_combinators.__all__,
    *_diffusions.__all__,
    *_flows.__all__,
    *_ornstein_uhlenbeck.__all__,
]
