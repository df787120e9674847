"""Flows on straight lines between x0 and y, with a noise that is linear in time."""

from dataclasses import dataclass
from math import isfinite

from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes._base import SDE, Scales, positive


@dataclass(frozen=True)
class StraightFlow(SDE):
    """The flow of FlowSE between x0 and y with noise (Lee et al. 2025).

    a = 1 - t,   b = t,   sigma = (1 - t) sigma_min + t sigma_max

    (doi:10.1109/ICASSP49660.2025.10888274). The noise may also fall with t, or stay the same: since
    g^2 = 2 sigma sigma_max / (1 - t) there is a process with that flow for any constants. At t = 1,
    where a = 0, f, h and g are infinite.
    """

    sigma_min: float = 0.0
    sigma_max: float = 0.5

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, sigma_max=self.sigma_max)
        if not (isfinite(self.sigma_min) and self.sigma_min >= 0):
            raise ArgumentError(
                f"StraightFlow: sigma_min must be 0 or positive, not {self.sigma_min}"
            )

    @override
    def scales(self, t: Tensor) -> Scales:
        return Scales(1 - t, t, (1 - t) * self.sigma_min + t * self.sigma_max)
