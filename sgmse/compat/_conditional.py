"""The conditional diffusion of CDiffuSE (Lu et al. 2022, arXiv:2202.05256), in (a, b, sigma).

Its noise estimate is of all that the state has beside sqrt(alpha-bar) x0, the recording's too,

    x_t = sqrt(alpha-bar) x0 + sqrt(1 - alpha-bar) eps,

and with it the ancestral step is `Exponential(eta=1.0)`: the published coefficients of x_t, y, eps
and the fresh noise come out to 1e-12, as a test has it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate, Parametrization
from sgmse.sdes import SDE, VP, Scales, expand, weighted


@dataclass(frozen=True)
class ConditionalVP(VP):
    """A DDPM whose mean goes from clean audio to the recording (Lu et al. 2022, section 3*).

        a = r (1 - m),   b = r m,   sigma^2 = 1 - r^2 - m^2 r^2 = (1 - r^2) (1 - r)
        r = sqrt(alpha-bar),   m^2 = (1 - r^2) / r

    with r the a of `VP`. m is 1 where nothing but the recording is left of the mean; there r is
    0.618, and a chain of more noise is none. The defaults are those of its base model, 50 steps of
    1e-4 to 0.035, which end at m = 0.96; its code sets m to 1 in the last of them.
    """

    beta_min: float = 0.005
    beta_max: float = 1.75
    steps: int | None = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        B = self.integral(torch.ones(1, dtype=torch.float64))
        if torch.expm1(-B) + torch.exp(-B / 2) < 0:
            raise ArgumentError(
                f"ConditionalVP: at the end sqrt(alpha-bar) is {float(torch.exp(-B / 2)):.3f}, and "
                "below 0.618 there is more noise than the mean leaves; set beta_max lower"
            )

    @override
    def scales(self, t: Tensor) -> Scales:
        B = self.integral(t)
        r, lost = torch.exp(-B / 2), -torch.expm1(-B)
        m = (lost / r).sqrt()
        return Scales(r * (1 - m), r * m, (lost * -torch.expm1(-B / 2)).sqrt())


@dataclass(frozen=True)
class CombinedNoise(Parametrization):
    """output = (x_t - r x0) / sqrt(1 - r^2),   r = a + b: CDiffuSE's eps, noise and recording."""

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = sde.scales(t)
        r = a + b
        x0 = weighted((1 / r, x), (-(1 - r**2).sqrt() / r, output))
        return Estimate(x0, weighted((1 / sigma, x), (-a / sigma, x0), (-b / sigma, y)))

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        a, b, sigma = sde.scales(t)
        left = expand((1 - (a + b) ** 2).sqrt(), x0)
        return weighted((b, y), (-b, x0), (sigma, z)) / left

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        a, b, _ = sde.scales(torch.tensor([latest / 2, latest], dtype=torch.float64))
        if ((a + b > 0) & (a + b < 1)).all():
            return None
        return (
            f"{self} divides by sqrt(1 - (a + b)^2), and {sde} has no a + b between 0 and 1; use "
            "Data() or Noise()"
        )
