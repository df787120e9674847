"""A recipe: all that decides what a training makes, in one YAML file.

Sections that may be one of several classes name it (`sde: {class: SBVE, k: 2.6}`); all others have
fixed keys. A recipe is read as a whole and checked before anything starts.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from sgmse import config
from sgmse.checkpoints import CLASSES, Checkpoint
from sgmse.checkpoints.native import sections
from sgmse.config import Classes, errors_as, from_plain, to_plain
from sgmse.data.degradations import DEGRADATIONS
from sgmse.data.training_pairs import MixedSpeech, Paired, TrainingData
from sgmse.errors import ArgumentError, ConfigError, RecipeError, did_you_mean
from sgmse.estimates import Data, Parametrization
from sgmse.front import FrontEnd
from sgmse.model import Conditioning, Regeneration, ScoreModel, assemble
from sgmse.networks import Network
from sgmse.sdes import SDE
from sgmse.solvers import LAST_START, Sampler, SamplerRange
from sgmse.training import losses, optimisation, times
from sgmse.training.adversarial import Adversarial
from sgmse.training.averages import EMA, Averages
from sgmse.training.optimisation import Schedule
from sgmse.training.times import Times
from sgmse.training.trainer import Trainer
from sgmse.training.unrolled import Unrolled
from sgmse.training.validation import Validation

#: The whole recipe of a run, in its folder.
RECIPE = "recipe.yaml"
#: What a recipe may name: the classes of checkpoints, and those of training alone.
RECIPE_CLASSES: Classes = {
    c.__name__: c
    for c in (
        *CLASSES.values(),
        *(MixedSpeech, Paired),
        *DEGRADATIONS,
        *(losses.ScoreMatching, losses.Denoising, losses.VelocityMatching, losses.Reconstruction),
        *(losses.MeanFlow, losses.Composition),
        *(losses.Unweighted, losses.SigmaSquared, losses.EDMWeighting, losses.Uncertainty),
        *(optimisation.Adam, optimisation.AdamW, optimisation.Muon),
        *(times.UniformTime, times.LogNormal, times.LogitNormal, times.UniformLogSNR),
        times.TimeSteps,
        *(times.EvenTime, times.Likelihood, times.MinSNR),
    )
}


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
class Recipe:
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
    """

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

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ArgumentError(problem)

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
        return Checkpoint(model, self.front, self.sampler, *about)

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
        return _plain_model(self.front, self.parts)

    def check_model(self, model: Mapping[str, Any], owner: str, remedy: str) -> None:
        """Raise `RecipeError`, "<owner> <what differs> ...", for weights of another model."""
        _check_alike(self.model, model, owner, remedy)

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
        _check_alike(here, model, f"{owner} has", "change the recipe, or start from another model")
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


def model_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the weights of a checkpoint are tied to, as `Recipe.model` has it."""
    return _plain_model(checkpoint.front, checkpoint.model.parts)


def start_of(values: Mapping[str, Any], overrides: Sequence[str], origin: Checkpoint) -> Checkpoint:
    """The part of a model with which a recipe of these values, and overrides, starts.

    That is all of it; but of a model that predicts and then refines the predictor alone, where the
    recipe names one network, or two and another process between them.
    """
    parts = origin.model.parts
    if "network" not in values or parts.get("predictor") is None:
        return origin
    changed = deepcopy(dict(values))
    for assignment in overrides:
        config.override(changed, assignment)
    own = {name: to_plain(parts[name], RECIPE_CLASSES) for name in ("sde", "parametrization")}
    if "predictor" in changed and all(
        _complete(changed.get(name, part)) == part for name, part in own.items()
    ):
        return origin
    model = ScoreModel(parts["predictor"], parts["sde"], Data())
    return replace(origin, model=model, samplers=None, qualities={})


def _like(origin: Checkpoint) -> dict[str, Any]:
    """The values of a recipe that a model has, those that are not None."""
    values = model_of(origin)
    del values["sample_rate"], values["transform"]
    regeneration = {name: values.pop(name) for name in _REGENERATION}
    if predictor := regeneration.pop("predictor"):
        values["predictor"] = {"network": predictor} | regeneration
    return values | {
        "front": to_plain(origin.front, RECIPE_CLASSES, FrontEnd),
        "sampler": to_plain(origin.sampler, RECIPE_CLASSES, Sampler),
        "samplers": to_plain(origin.ranges, RECIPE_CLASSES, tuple[SamplerRange, ...]),
        "licence": origin.licence,
    }


_REGENERATION = ("predictor", "conditioning", "moved")


def _plain_model(front: FrontEnd, parts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("network", "sde", "parametrization", "latest", *_REGENERATION)
    tied = {name: parts.get(name) for name in names} | {"transform": front.transform}
    return {"sample_rate": front.sample_rate} | {
        name: to_plain(part, RECIPE_CLASSES) for name, part in tied.items()
    }


def _check_alike(
    here: Mapping[str, Any], model: Mapping[str, Any], owner: str, remedy: str
) -> None:
    """Raise `RecipeError`, "<owner> <what differs> ...", for a model of other parts."""
    # As those had it that do not say.
    moved = None if model.get("predictor") is None else 0.0
    model = {"latest": 1.0, "moved": moved} | dict(model)
    for name, part in here.items():
        if _complete(model.get(name)) != part:
            raise RecipeError(f"{owner} {name} {model.get(name)}, the recipe has {part}; {remedy}")


def _complete(part: Any) -> Any:
    """A part of `Recipe.model` as an earlier version wrote it, with the settings added since."""
    if not isinstance(part, Mapping):
        return part
    try:
        part = from_plain(object, part, RECIPE_CLASSES, device="meta")
        return to_plain(part, RECIPE_CLASSES)
    except ConfigError:  # a class or a setting that there is not; the comparison shows it
        return part


def shipped() -> dict[str, Path]:
    """The recipes of the package by name."""
    folder = Path(str(files("sgmse.training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str | Path) -> Path:
    """The file, or the shipped recipe of that name. Raises `RecipeError` if there is neither."""
    path = Path(name)
    if path.is_file():
        return path
    known = shipped()
    if str(name) in known:
        return known[str(name)]
    raise RecipeError(
        f"there is no recipe {name}{did_you_mean(name, known)}; give a YAML file or one of "
        f"{', '.join(known)}"
    )


def of_upper_band(values: Mapping[str, Any]) -> bool:
    """Whether the values of a recipe are those of an upper band, and of no model."""
    return "upper_band" in values and "network" not in values


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), origin: Checkpoint | None = None
) -> Recipe:
    """The recipe of a file (or a shipped one's name), with `key.sub=value` set over it.

    What it leaves out of a model and its sampler is that of `origin`, if there is one.

    Raises `RecipeError` for YAML that cannot be read, unknown keys, wrong types and values that do
    not go together.
    """
    path = find_recipe(path)
    with errors_as(RecipeError, path):
        values = sections(config.read_yaml(path))
    if of_upper_band(values):
        raise RecipeError(
            f"{path} is the recipe of an upper band, and of no model; `train` takes it"
        )
    if origin is not None:
        own = _like(origin)
        if "predictor" in values and "predictor" not in own:
            del own["samplers"]  # those of what is the predictor now
        if "predictor" in own and "predictor" not in values and "loss" in values:
            own["predictor"]["loss"] = values["loss"]  # both estimate clean audio
        given = {name: values.get(name, {}) for name in ("front", "sampler")}
        shared = {name: own[name] | keys for name, keys in given.items() if isinstance(keys, dict)}
        values = own | values | shared
    with errors_as(RecipeError):
        for assignment in overrides:
            config.override(values, assignment)
        values = sections(values)  # says how to write an override of earlier versions
    try:
        recipe: Recipe = from_plain(Recipe, values, RECIPE_CLASSES, device="meta")
    except ConfigError as error:
        hint = "" if "network" in values else "; give all of a model, or start from one with --from"
        raise RecipeError(f"{path}: {error}{hint}") from error
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """YAML with every value, of which `load_recipe` makes the same recipe."""
    return config.to_yaml(to_plain(recipe, RECIPE_CLASSES, Recipe))


# Whether the parts of a recipe go together; each check says what to set instead


def _problems(recipe: Recipe) -> Iterator[str]:
    """What does not go together, as "key: what; remedy". Raises `ArgumentError`, too."""
    recipe.front.delays(recipe.sampler.shifts)
    yield from _bridges_end(recipe)
    bins, frames = assemble(**recipe.parts).divisor
    if why := recipe.sampler.solver.refusal(recipe.sde, recipe.sampler.grid.start):
        yield f"sampler.grid.start: {why}"
    if recipe.inherited and recipe.predictor is not None:
        yield "inherited: the other network of a predictor starts so; set predictor.inherited"
    yield from _latest(recipe)
    yield from _two_times(recipe)
    yield from _unrolled(recipe)
    if recipe.adversarial is not None:
        times = recipe.times if recipe.unrolled is None else None
        run = (recipe.trainer.steps, recipe.data.samples)
        if why := recipe.adversarial.refusal(times, recipe.sampler.grid, recipe.sde, *run):
            yield f"adversarial: {why}"
        if recipe.trainer.accumulate > 1:
            yield (
                "adversarial: discriminators learn from all pairs of a step at once; set "
                "trainer.accumulate=1"
            )
    if recipe.validation is not None and assemble(**recipe.parts).deaf:
        yield (
            "validation: the network sees no recording, and enhances none that could be scored; "
            "leave it out (validation=null)"
        )
    yield from _rates(recipe)
    at_one = [1.0] * (recipe.times.at_one > 0)
    trained = torch.tensor([recipe.times.low, recipe.times.high, *at_one])
    if recipe.timed and (why := recipe.loss.refusal(recipe.sde, trained)):
        yield f"loss: {why}"
    yield from _times(recipe)
    if why := recipe.front.refusal(bins):
        yield f"front.transform.n_fft: {why}"
    yield from _samples(recipe, frames)


def _bridges_end(recipe: Recipe) -> Iterator[str]:
    """The score of a bridge does not exist where it ends, but just before."""
    why = recipe.parametrization.refusal(recipe.sde, 1.0) if recipe.latest == 1 else None
    if why and not recipe.parametrization.refusal(recipe.sde, LAST_START):
        yield f"{why}; or set latest={LAST_START}, times.high and sampler.grid.start alike"


def _latest(recipe: Recipe) -> Iterator[str]:
    """Nothing asks the network later than it may be asked."""
    latest, times = recipe.latest, recipe.times
    asked = {"sampler.grid.start": (recipe.sampler.grid.start, latest)}
    if recipe.timed:
        asked["times.high"] = times.high, latest
        asked["times.at_one"] = 1.0 if times.at_one else 0.0, 0.0
    for key, (t, remedy) in asked.items():
        if t > latest:
            yield (
                f"{key}: the network is asked up to t = {latest:g} (latest), not {t:g}; "
                f"set {key}={remedy:g}"
            )


def _two_times(recipe: Recipe) -> Iterator[str]:
    """Whole steps are asked of a network that is told where they lead, and has learned them."""
    told = recipe.network.two_times and recipe.predictor is None
    takes = 'the network takes one time; set network.end="length" of NCSNpp'
    trained = recipe.timed and recipe.loss.two_times
    if trained:
        name = type(recipe.loss).__name__
        if recipe.predictor is not None:
            yield f"predictor: {name} trains no refiner; leave it out, or use another loss"
        if not told:
            yield f"loss: {name} trains estimates of whole steps, and {takes}, or use another loss"
        if recipe.adversarial is not None:
            yield f"adversarial: it judges no whole steps of {name}; leave it out"
    if recipe.sampler.solver.whole:
        if not told:
            yield f"sampler.solver: it asks for whole steps, and {takes}, or solver.whole=false"
        if not (trained or recipe.unrolled or recipe.samplers):
            yield (
                "sampler.solver: it asks for whole steps, and the loss trains none; set "
                "solver.whole=false, or loss={class: MeanFlow}"
            )


def _unrolled(recipe: Recipe) -> Iterator[str]:
    """Its loss is one of a result, and the grid has these numbers of steps."""
    if recipe.unrolled is None:
        return
    if why := recipe.loss.untimed():
        yield f"loss: unrolled trains a result of the sampler, and {why}"
    for steps in recipe.unrolled.steps:
        try:
            replace(recipe.sampler.grid, steps=steps)
        except ArgumentError as error:
            yield f"unrolled.steps: {error}"


def _times(recipe: Recipe) -> Iterator[str]:
    """What is set of the times has an effect, and the one that it is for."""
    t, trainer = recipe.times, recipe.trainer
    if not recipe.timed:
        if t.settings:
            yield (
                f"times.{t.settings[0]}: all updates are unrolled, and no estimate at a time is "
                "trained; leave it out, or set unrolled.share below 1"
            )
        return
    if why := t.refusal(recipe.loss, recipe.sde):
        yield why
    if t.stratified and trainer.pairs_of_all(2) == 1:
        yield (
            "times.stratified: a batch of one has no strata; leave it out, or set trainer.batch "
            "above 1"
        )
    if t.loss_aware is not None and trainer.steps is not None:
        share = 1.0 if recipe.unrolled is None else 1 - recipe.unrolled.share
        losses = trainer.steps * trainer.pairs_of_all() * share * (1 - t.at_one)
        if losses <= (needed := t.loss_aware.bins * t.loss_aware.history):
            yield (
                f"times.loss_aware: the training has {losses:.0f} losses, and the first {needed} "
                "(bins times history) are drawn all alike; set fewer bins or trainer.steps higher"
            )


def _rates(recipe: Recipe) -> Iterator[str]:
    """Scores and losses are defined at the rate."""
    rate, predictor = recipe.front.sample_rate, recipe.predictor
    if recipe.validation is not None and (why := recipe.validation.refusal(rate)):
        yield f"validation.scores: {why}"
    losses = {"loss": recipe.loss} | (
        {} if predictor is None else {"predictor.loss": predictor.loss}
    )
    for key, loss in losses.items():
        if loss.sample_rates is not None and rate not in loss.sample_rates:
            yield (
                f"{key}: its perceptual part is defined at "
                f"{', '.join(map(str, loss.sample_rates))} Hz, not at {rate}; "
                f"set {key}.perceptual=0"
            )


def _samples(recipe: Recipe, divisor: int) -> Iterator[str]:
    """A pair has as many frames as the network divides."""
    transform, samples = recipe.front.transform, recipe.data.samples
    frames = transform.frames(samples)
    if samples < transform.shortest or frames % divisor:
        fitting = -(-max(frames, 2) // divisor) * divisor
        yield (
            f"data.samples: {samples} give {frames} frames, and the network needs a multiple of "
            f"{divisor}; {(fitting - 1) * transform.hop} would do"
        )
