"""What every loss has: an estimate, the truth that it is compared with, and scalars to lower."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from torch import Generator, Tensor
from typing_extensions import override

from sgmse.estimates import Estimate
from sgmse.sdes import SDE
from sgmse.solvers import Model
from sgmse.training.losses.weightings import LogVariance, Weighting
from sgmse.transforms import Transform


class Truth(NamedTuple):
    """What the estimate is compared with.

    Shapes: x0, z complex (batch, 1, frequency, frame); audio (batch, samples), of which x0 is the
    spectrogram; t, u, s (batch,): the times, what the weighting has learned about them, if it does,
    and where the whole steps lead whose estimates are compared.
    """

    x0: Tensor
    z: Tensor
    audio: Tensor
    transform: Transform
    t: Tensor
    sde: SDE
    u: Tensor | None = None
    s: Tensor | None = None

    def part(self, items: slice) -> "Truth":
        """Some items, as a batch of their own."""
        u, s = (None if times is None else times[items] for times in (self.u, self.s))
        x0, z, audio, t = self.x0[items], self.z[items], self.audio[items], self.t[items]
        return self._replace(x0=x0, z=z, audio=audio, t=t, u=u, s=s)


def infinite_velocity(sde: SDE, t: Tensor) -> str | None:
    """That a' or sigma' is infinite at one of the times (batch,), and at which; None if at none."""
    a, _, sigma = sde.rates(t)
    odd = ~(a.isfinite() & sigma.isfinite())
    if not odd.any():
        return None
    return f"the velocity of {sde} is infinite at t = {float(t[odd][0]):g}"


class Loss(ABC):
    """A frozen dataclass of weights."""

    @property
    def sample_rates(self) -> tuple[int, ...] | None:
        """Where the loss is defined; everywhere if None."""
        return None

    def learned(self) -> LogVariance | None:
        """What is trained with the network: from it, at the times of a batch, `Truth.u`."""
        return None

    def refusal(self, sde: SDE, t: Tensor) -> str | None:
        """Why it cannot be used with that process at times (batch,), with the remedy, or None."""
        return None

    def untimed(self) -> str | None:
        """Why it cannot judge a result, which has no time or noise, with the remedy, or None."""
        return f"{type(self).__name__} compares estimates at a time; use Reconstruction"

    @property
    def two_times(self) -> bool:
        """Whether it trains estimates of whole steps, of a network that is told where they lead."""
        return False

    def ask(
        self, model: Model, y: Tensor, truth: Truth, generator: Generator
    ) -> tuple[Estimate, Truth]:
        """The estimate that is trained, and what with it is compared: that at x_t, and the truth.

        The gradient goes through the estimate alone. y (like x0) is what the process leads to, and
        the generator, on the device of the times, draws what else is random.
        """
        return model(truth.sde.sample(truth.x0, y, truth.t, truth.z), y, truth.t), truth

    @abstractmethod
    def __call__(self, estimate: Estimate, truth: Truth) -> Mapping[str, Tensor]:
        """Scalars: "loss", which is to fall, and its parts without their weights."""


class WeightedLoss(Loss):
    """A loss with a `Weighting`, which may learn."""

    weighting: Weighting  # a field of every subclass

    @override
    def learned(self) -> LogVariance | None:
        return self.weighting.learned()
