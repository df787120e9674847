"""The sections of a recipe: what it says, whether or not they go together."""

from dataclasses import dataclass, field
from typing import Any

from sgmse.data.training_pairs import TrainingData
from sgmse.errors import ArgumentError
from sgmse.estimates import Parametrization
from sgmse.front import FrontEnd
from sgmse.model import Conditioning
from sgmse.networks import Network
from sgmse.sdes import SDE
from sgmse.solvers import Sampler, SamplerRange
from sgmse.training import losses, optimisation
from sgmse.training.adversarial import Adversarial
from sgmse.training.averages import EMA, Averages
from sgmse.training.optimisation import Schedule
from sgmse.training.times import Times
from sgmse.training.trainer import Trainer
from sgmse.training.unrolled import Unrolled
from sgmse.training.validation import Validation


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predictor of a `Regeneration`, trained together with the network of the process.

    Its loss is added to that of the process, whose gradients reach the predictor, too. One that is
    not trained keeps the weights of the model that the training starts from.

    Args:
        network: its shape.
        conditioning: what the network of the process sees beside the state.
        moved: how much later its frames lie than those of the prediction (`Regeneration`).
        loss: of the prediction, an estimate of clean audio like any other.
        trained: whether it is trained, too.
        inherited: whether the network of the process starts with the weights of the predictor where
            that comes from a model (`Network.inherit`); of its own ones, if not. A training that
            starts from a whole `Regeneration` has the weights of both of it.
    """

    network: Network
    conditioning: Conditioning = "both"
    loss: losses.Reconstruction = field(default_factory=losses.Reconstruction)
    trained: bool = True
    inherited: bool = False
    moved: float = 0.0

    def __post_init__(self) -> None:
        if why := self.loss.untimed():
            raise ArgumentError(why)
        if not self.trained and self.loss != losses.Reconstruction():
            raise ArgumentError("predictor.loss: a predictor that is not trained has none")


@dataclass(frozen=True, eq=False)
class Sections:
    """What a `Recipe` says, which also has what each section is for."""

    data: TrainingData
    network: Network
    sde: SDE
    parametrization: Parametrization
    front: FrontEnd
    loss: losses.Loss
    trainer: Trainer
    latest: float = 1.0
    predictor: Prediction | None = None
    inherited: bool = False
    validation: Validation | None = None
    times: Times = field(default_factory=Times)
    unrolled: Unrolled | None = None
    adversarial: Adversarial | None = None
    optimiser: optimisation.Optimiser = field(default_factory=optimisation.Adam)
    schedule: Schedule = field(default_factory=Schedule)
    ema: EMA = field(default_factory=EMA)
    averages: Averages | None = None
    sampler: Sampler = field(default_factory=Sampler)
    licence: str = ""
    samplers: tuple[SamplerRange, ...] | None = None
    strength: float = 1.0

    @property
    def timed(self) -> bool:
        """Whether any update trains an estimate at one of the `times`."""
        return self.unrolled is None or self.unrolled.share < 1

    @property
    def parts(self) -> dict[str, Any]:
        """What `assemble` makes the model of; its networks have no weights."""
        model = {
            name: getattr(self, name) for name in ("network", "sde", "parametrization", "latest")
        }
        p = self.predictor
        return model | (
            {}
            if p is None
            else {"predictor": p.network, "conditioning": p.conditioning, "moved": p.moved}
        )
