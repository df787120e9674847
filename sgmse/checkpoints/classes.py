"""The classes that a checkpoint may name: those of the rooms below; recipes and suites add theirs.

A name in a file is looked up in this table, and nothing is ever imported by it.
"""

from inspect import isabstract
from types import ModuleType

from sgmse import compat, estimates, latent, networks, sdes, solvers, transforms
from sgmse.config import Classes

#: A class of these is known to files as soon as its room exports it.
KINDS = (
    *(sdes.SDE, estimates.Parametrization, networks.Network, networks.BandGains),
    networks.Autoencoder,
    *(solvers.Solver, solvers.Strength, solvers.Corrector, solvers.Grid),
    solvers.PosteriorVariance,
    *(transforms.Transform, transforms.Power, transforms.Log),
)
ROOMS: tuple[ModuleType, ...] = (transforms, sdes, estimates, networks, latent, solvers, compat)

CLASSES: Classes = {
    name: value
    for room in ROOMS
    for name, value in vars(room).items()
    if isinstance(value, type) and issubclass(value, KINDS) and not isabstract(value)
    if value not in (networks.Network, networks.Autoencoder)
}
