"""A recipe: all that decides what a training makes, in one YAML file.

Sections that may be one of several classes name it (`sde: {class: SBVE, k: 2.6}`); all others have
fixed keys. A recipe is read as a whole and checked before anything starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sgmse.checkpoints import Checkpoint
from sgmse.config import to_plain
from sgmse.errors import ArgumentError, RecipeError
from sgmse.estimates import Data
from sgmse.model import Regeneration, ScoreModel, assemble
from sgmse.networks import Network
from sgmse.solvers import SamplerRange
from sgmse.training.agreement import problems
from sgmse.training.belonging import check_alike, model_of, plain_model
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.sections import Sections


@dataclass(frozen=True, eq=False)
class Recipe(Sections):
    """A whole training.

    Args:
        data: where the pairs come from.
        network: its shape; `build_model` makes one with weights.
        sde, parametrization: with the network, the model.
        front: what it hears; audio of other rates is resampled.
        latest: the largest time at which the network is asked, `ScoreModel.latest`; less than 1
            for the score of a bridge, which has none at its end.
        predictor: what the process starts from, in place of the noisy audio if there is one.
        inherited: whether the network starts as a predictor, a model of one step, from which the
            training starts: as what that one says of the recording, at all times
            (`Network.imitate`). A training that starts from a model of its own kind takes all of
            that one's weights.
        loss: what it is trained for.
        trainer: how.
        validation: what it is judged by; none if absent, and then the last weights are the best.
        times: at which it is trained, and how much each counts.
        unrolled: updates that train the result of the sampler instead; none if absent.
        adversarial: discriminators that judge results, too; none if absent.
        optimiser, schedule, ema: from gradients to weights.
        averages: others beside `ema`, to choose one after the training; none if absent.
        sampler: that validation uses and the checkpoint recommends.
        licence: of the weights, for the checkpoint.
        samplers: what the model that a training starts from may be sampled with, see `covered`.
        strength: of the attenuation in its results, for the checkpoint, and for the validation.
    """

    def __post_init__(self) -> None:
        for problem in problems(self):
            raise ArgumentError(problem)

    def build_model(self) -> ScoreModel | Regeneration:
        """The model with the first weights that the seed gives, in the trainer's memory order."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.trainer.seed)
            made = {n: type(p)(**p.config) for n, p in self.parts.items() if isinstance(p, Network)}
        model = assemble(**self.parts | made)
        if self.predictor is not None and not self.predictor.trained:
            made["predictor"].requires_grad_(False)
        if self.trainer.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def checkpoint(
        self, model: ScoreModel | Regeneration, training: Mapping[str, Any]
    ) -> Checkpoint:
        """A model with weights for a file, and what is worth knowing of its training."""
        about = self.licence, training, self.covered
        return Checkpoint(model, self.front, self.sampler, *about, strength=self.strength)

    @property
    def covered(self) -> tuple[SamplerRange, ...]:
        """The samplers that the training covers, for the checkpoint.

        Where it trains results: those of its sampler, in its numbers of steps. Where it trains
        estimates: any that asks at its times; if it starts from a model, though, what that one was
        made for, since a short training changes little of what the network does elsewhere.
        """
        ranges: list[SamplerRange] = []
        if self.unrolled is not None:
            solver, grid = self.sampler.solver, self.sampler.grid
            # What is predicted is a result, too.
            steps = {*self.unrolled.steps, *((0,) if self.predictor else ())}
            ranges.append(SamplerRange((solver,), (grid,), tuple(sorted(steps))))
        if self.timed and self.samplers is not None:
            ranges += self.samplers
        elif self.timed:
            t = self.times
            low = 1.0 if t.at_one == 1 else t.low
            high = 1.0 if t.at_one > 0 else t.high
            ranges.append(SamplerRange(earliest=low, latest=high))
        return tuple(ranges)

    def below(self, root: Path) -> "Recipe":
        """The same with absolute folders, for a place apart from them."""
        source = replace(self.data, **{n: root / getattr(self.data, n) for n in self.data.folders})
        v, t = self.validation, self.trainer
        return replace(
            self,
            data=source,
            validation=v and replace(v, clean=root / v.clean, noisy=root / v.noisy),
            trainer=t if t.cache is None else replace(t, cache=root / t.cache),
        )

    @property
    def model(self) -> dict[str, Any]:
        """What weights are tied to, as plain values."""
        return plain_model(self.front, self.parts)

    def check_model(self, model: Mapping[str, Any], owner: str, remedy: str) -> None:
        """Raise `RecipeError`, "<owner> <what differs> ...", for weights of another model."""
        check_alike(self.model, model, owner, remedy)

    def check_origin(self, origin: Checkpoint, owner: str) -> None:
        """Raise `RecipeError` for a model that the training cannot start from.

        It has the same parts; or it has no predictor and becomes that of the recipe, or what the
        network starts as.
        """
        model, here = model_of(origin), self.model
        becomes = self.becomes_predictor(origin.model.parts)
        imitated = self.imitates(origin.model.parts)
        if becomes or imitated:
            data = to_plain(Data(), RECIPE_CLASSES)  # D(y) is an output that estimates x0
            kept = {name: here[name] for name in ("sample_rate", "transform")}
            network = here["network" if imitated else "predictor"]
            here = kept | {"network": network, "parametrization": data}
        check_alike(here, model, f"{owner} has", "change the recipe, or start from another model")
        if becomes and self.predictor is not None and self.predictor.inherited:
            try:
                type(self.network)(**self.network.config).inherit(origin.model.network)
            except ArgumentError as error:
                raise RecipeError(f"predictor.inherited: {error}") from error
        if imitated:
            try:
                self.imitate(type(self.network)(**self.network.config), origin.model.network)
            except ArgumentError as error:
                raise RecipeError(f"inherited: {error}") from error

    def imitates(self, parts: Mapping[str, Any]) -> bool:
        """Whether the network starts as a model of these parts, which is of another kind."""
        if not self.inherited or parts.get("predictor") is not None:
            return False
        own = self.parts
        return any(parts[name] != own[name] for name in ("sde", "parametrization"))

    def imitate(self, network: Network, predictor: Network) -> None:
        """Let a network of the recipe start as a predictor."""
        size = self.parametrization.data_size
        if size is None:
            raise ArgumentError(
                f"an output of {self.parametrization} does not estimate clean audio; use EDM or "
                "Data, or leave it out"
            )
        network.imitate(predictor, size)

    def becomes_predictor(self, parts: Mapping[str, Any]) -> bool:
        """Whether a model of these parts, which a training starts from, is its predictor."""
        return self.predictor is not None and parts.get("predictor") is None
