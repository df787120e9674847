"""What learns: as a moment to go back to, and as a checkpoint to keep."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from lightning.pytorch import LightningModule
from torch import nn

from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, RecipeError
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import BandGains
from sgmse.training.adversarial import Adversary
from sgmse.training.averages import PowerAverages
from sgmse.training.recipe import Recipe
from sgmse.training.state import REMEDY, Position, TrainingState, fill


class Learner(LightningModule):
    """A network on its way, with its averages, its optimiser and its discriminators.

    Args:
        recipe: says everything.

    Attributes:
        position: where it is.
        upper_band: of the model that the training started from; it stays with it.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = recipe.build_model()
        self.average = recipe.ema.build(self.model)
        lengths = () if recipe.averages is None else recipe.averages.lengths
        self.averages = PowerAverages(self.model.trained, lengths)
        # Only parameters that take gradients: a frozen one must not decay.
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = recipe.optimiser.build(self.weights)
        self.learned = recipe.loss.learned()
        if self.learned is not None:
            # Not to be pulled towards 0, which is no smaller a value of u than others.
            u = {"params": list(self.learned.parameters()), "weight_decay": 0.0}
            self.optimiser.add_param_group(u)
        aware = recipe.times.loss_aware
        self.history = None if aware is None else aware.build()
        self.adversary: Adversary | None = None
        if recipe.adversarial is not None:
            half = recipe.trainer.precision == "bf16"
            self.adversary = Adversary(recipe.adversarial, recipe.trainer.seed, half)
        self.position = Position()
        # In a tuple, as it is none of the modules that are trained.
        self._upper_band: tuple[BandGains, ...] = ()

    @property
    def updates(self) -> int:
        """Steps that changed the weights."""
        return self.average.updates

    @property
    def averaged(self) -> ScoreModel | Regeneration:
        """The model with the averaged weights, which are shared, not copied."""
        return cast(ScoreModel | Regeneration, self.average.module).eval()

    def enhancer(self) -> Enhancer:
        """The averaged model with the recipe's sampler."""
        return Enhancer.of(self.checkpoint({}))

    def checkpoint(self, scores: dict[str, float]) -> Checkpoint:
        """The averaged model for a file, with what is worth knowing of its training."""
        scored = {f"validation {name}": round(score, 4) for name, score in scores.items()}
        made = self.recipe.checkpoint(self.averaged, self.record | scored)
        return replace(made, upper_band=self.upper_band)

    @property
    def upper_band(self) -> BandGains | None:
        """What frees of noise the sound above the band of the model."""
        return self._upper_band[0] if self._upper_band else None

    @property
    def record(self) -> dict[str, Any]:
        """Plain values that say how the weights were trained."""
        r, position = self.recipe, self.position
        names = ("loss", "times", "optimiser", "ema", "unrolled", "adversarial")
        return {
            "steps": position.step,
            "hours": round(position.seconds / 3600, 2),
            "hours of audio": round(
                position.items * r.data.samples / r.front.sample_rate / 3600, 1
            ),
            **{n: str(section) for n in names if (section := getattr(r, n)) is not None},
        }

    def state(self) -> TrainingState:
        """This moment."""
        return TrainingState(
            step=self.position.step,
            items=self.position.items,
            seconds=self.position.seconds,
            network=self.model.trained.state_dict(),
            average=self.averaged.trained.state_dict(),
            updates=self.updates,
            optimiser=self.optimiser.state_dict(),
            learned=_weights(self.learned),
            best=self.position.best,
            model=self.recipe.model,
            averages=self.averages.states(),
            adversary={} if self.adversary is None else self.adversary.state(),
            history={} if self.history is None else self.history.state(),
            upper_band={}
            if (band := self.upper_band) is None
            else {"config": band.config, "weights": band.state_dict()},
            autoencoder=_weights(self.recipe.front.transform.learned),
        )

    def restore(self, state: TrainingState) -> None:
        """Go back to a moment of a training of the same model (`Recipe.check_model`).

        Raises `RecipeError` if the loss learns something else than that training did, or if other
        averages are kept, or other discriminators, or losses of other bins of times.
        """
        here = _weights(self.learned)
        if {n: v.shape for n, v in here.items()} != {n: v.shape for n, v in state.learned.items()}:
            raise RecipeError(
                "the weighting of the loss learns something else than the one the run was started "
                f"with; {REMEDY}"
            )
        _check_both("adversarial", state.adversary, self.adversary)
        if self.adversary is not None:
            self.adversary.restore(state.adversary)
        _check_both("times.loss_aware", state.history, self.history)
        if self.history is not None:
            try:
                self.history.restore(state.history)
            except ArgumentError as error:
                raise RecipeError(f"times.loss_aware: {error}; {REMEDY}") from error
        self.averages.restore(state.averages, state.updates)
        self.keep(state.band_gains)
        if self.learned is not None:
            self.learned.load_state_dict(state.learned)
        fill(self.model.trained, state.network)
        fill(self.averaged.trained, state.average)
        self.average.count(state.updates)
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.position = state.position

    def keep(self, upper_band: BandGains | None) -> None:
        """Let checkpoints have this upper band, which is not trained."""
        self._upper_band = () if upper_band is None else (upper_band,)

    def start_from(self, model: ScoreModel | Regeneration) -> None:
        """Take the weights of a model, which may become the predictor or the start of this one.

        Raises `RecipeError` for those of another network.
        """
        predictor = self.recipe.predictor
        for own in (self.model, self.averaged):
            if self.recipe.imitates(model.parts):
                self.recipe.imitate(own.network, model.network)
                continue
            if predictor is None or not self.recipe.becomes_predictor(model.parts):
                fill(own.trained, model.trained.state_dict())
                continue
            fill(own.parts["predictor"], model.network.state_dict())
            if predictor.inherited:
                own.network.inherit(model.network)


def _weights(part: nn.Module | None) -> dict[str, Any]:
    """The state dict of what there may be."""
    return {} if part is None else part.state_dict()


def _check_both(key: str, state: Mapping[str, Any], here: object | None) -> None:
    """Raise `RecipeError` unless the run that is resumed had it, too, or had it neither."""
    if bool(state) != (here is not None):
        how = "with" if state else "without"
        raise RecipeError(f"{key}: the run was started {how} it; {REMEDY}")
