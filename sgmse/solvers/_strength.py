"""eta as a function of time: how much noise the SDE has, and when.

    dx = [f x + h y - (1 + eta^2) / 2 g^2 score] dt + eta g dw

has the marginals of the process for any eta(t) >= 0. A step from t to s sees of it the area

    A = int_(lambda_t)^(lambda_s) eta^2 dlambda,      lambda = ln(a / sigma),

eta^2 h where it is constant: e^-A of the noise that is there is carried on, k = h + A. Within a
step A is taken to grow evenly, which costs no order where eta^2 is smooth, and none where it jumps,
as that happens a few times only.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, positive


class Strength(ABC):
    """eta(t) of an exponential solver, in place of a number; subclasses are frozen dataclasses.

    SA-Solver calls it tau(t) (Xue et al. 2023, arXiv:2309.05019, eq. 6*).
    """

    @abstractmethod
    def area(self, sde: SDE, low: Tensor, high: Tensor) -> Tensor:
        """int eta^2 dlambda from `low` to `high` >= low, like them; either may be infinite.

        No part of [low, high] may count less than nothing, and two parts are the sum of theirs.
        """


@dataclass(frozen=True)
class Between(Strength):
    """eta in an interval of time, 0 before and after it: SA-Solver's choice of tau(t).

    Noise forgets errors of the steps before, and close to t = 0 nothing can forget that of its own
    steps. The paper states the interval in sigma / a: `time_of(sde, log_snr)` of -ln(sigma / a).

    Args:
        eta: above 0, within the interval; 1 is the reverse of the process, and more is possible.
        low, high: its ends, 0 <= low < high <= 1.
    """

    eta: float = 1.0
    low: float = 0.05
    high: float = 1.0

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, eta=self.eta)
        if not 0 <= self.low < self.high <= 1:
            raise ArgumentError(
                f"Between: the times need 0 <= low < high <= 1, not low {self.low}, "
                f"high {self.high}"
            )

    @override
    def area(self, sde: SDE, low: Tensor, high: Tensor) -> Tensor:
        # lambda falls with time.
        times = torch.tensor([self.high, self.low], dtype=torch.float64)
        first, last = sde.log_snr(times).tolist()
        left, right = low.clamp(first, last), high.clamp(first, last)
        # Where they are equal that may be at the same infinity.
        return self.eta**2 * torch.where(left < right, right - left, 0.0)


@dataclass(frozen=True)
class Extended(Strength):
    """The noise of ER-SDE-Solver (Cui et al. 2023, arXiv:2309.06169), by its function phi.

        phi(v) = v (e^(v^power) + offset),      v = sigma / a
        A = ln psi(v_t) - ln psi(v_s),      psi(v) = phi(v) / v

    With e^-k = phi(v_s) / phi(v_t) its steps are those here, 1 + eta^2 = d ln phi / d ln v: much
    noise where there is much, and the flow in the limit of none. phi = v^(1 + eta^2), its ODE,
    SDE_2 and the reverse of the process among them, is a number eta.

    Args:
        power, offset: positive; 0.3 and 10 are those of the code (SDE_5, its default).
    """

    power: float = 0.3
    offset: float = 10.0

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, power=self.power)
        positive(self, offset=self.offset)

    @override
    def area(self, sde: SDE, low: Tensor, high: Tensor) -> Tensor:
        return self.log_psi(low) - self.log_psi(high)

    def log_psi(self, log_snr: Tensor) -> Tensor:
        """ln psi at v = e^-lambda, infinite where v is."""
        grown = torch.exp(-self.power * log_snr)  # v^power
        return torch.logaddexp(grown, torch.full_like(grown, log(self.offset)))


def area(eta: float | Strength, sde: SDE, low: Tensor, high: Tensor) -> Tensor:
    """int eta^2 dlambda from `low` to `high`, of a number or a strength."""
    if isinstance(eta, Strength):
        return eta.area(sde, low, high)
    return eta**2 * (high - low) if eta else torch.zeros_like(low)
