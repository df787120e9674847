"""A recipe: all that decides what a training makes, in one YAML file.

Sections that may be one of several classes name it (`sde: {class: SBVE, k: 2.6}`); all others have
fixed keys. A recipe is read as a whole and checked before anything starts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch

from sgmse.checkpoints import CLASSES, Checkpoint, from_dict
from sgmse.estimates import Parametrization
from sgmse.model import Conditioning, Regeneration, ScoreModel, assemble
from sgmse.networks.base import Network
from sgmse.sdes import SDE
from sgmse.solvers import Exponential, Grid, Solver, Uniform
from sgmse.training import data, degradations, losses, optimisation, weightings
from sgmse.training.errors import RecipeError, require
from sgmse.training.optimisation import EMA, Schedule, Times
from sgmse.training.reading import plain, read
from sgmse.transforms import Spectrogram

#: What a recipe may name: the classes of checkpoints, and those of training alone.
RECIPE_CLASSES: Mapping[str, type] = {
    c.__name__: c
    for c in (
        *CLASSES.values(),
        *(data.MixedSpeech, data.Paired),
        *(degradations.Clip, degradations.LowPass),
        *(losses.ScoreMatching, losses.Denoising, losses.Reconstruction),
        *(weightings.Unweighted, weightings.SigmaSquared),
        *(weightings.EDMWeighting, weightings.Uncertainty),
        *(optimisation.Adam, optimisation.AdamW),
    )
}
ScoreName = Literal["pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr"]
#: Rates that a score is defined at, where not at all.
SCORE_RATES: Mapping[str, tuple[int, ...]] = {"pesq_wb": (16000,), "pesq_nb": (8000, 16000)}


@dataclass(frozen=True)
class Validation:
    """Pairs that are enhanced with the averaged weights and scored while training goes on.

    Args:
        clean, noisy: folders with files of the same names.
        files: how many, evenly spaced over the sorted names; all if absent.
        every: steps between validations; there is always one at the end.
        scores: which ones.
        best: the score by which the best weights are kept.
        examples: how many of the files TensorBoard gets as audio and spectrograms.
    """

    clean: Path
    noisy: Path
    files: int | None = None
    every: int = 1000
    scores: tuple[ScoreName, ...] = ("pesq_wb", "estoi", "si_sdr")
    best: ScoreName = "pesq_wb"
    examples: int = 3

    def __post_init__(self) -> None:
        if self.every < 1 or self.examples < 0 or (self.files is not None and self.files < 1):
            raise ValueError("every and files must be at least 1, examples at least 0")
        if self.best not in self.scores:
            raise ValueError(f"best is {self.best}, which scores [{', '.join(self.scores)}] lack")


@dataclass(frozen=True)
class Trainer:
    """How a training runs.

    Args:
        batch: pairs of a step, on each device.
        steps: end after so many in all, those before an interruption included.
        hours: end after so many of them, likewise; whatever is reached first ends it.
        precision: of the network; the loss and the weights are float32.
        clip: largest norm of the gradients.
        seed: of all that is random.
        accelerator, devices: what Lightning offers; "auto" and all of them by default.
        workers: processes that prepare pairs; 0 prepares them in the training itself.
        threads: of the processor for the network; torch's choice if absent.
        channels_last: memory order of convolutions, quicker on most processors.
        cache: folder for decoded audio; `cache` in the run folder if absent.
        save_every: steps between savings of the training state.
        log_every: steps between points of a curve.
    """

    batch: int = 8
    steps: int | None = None
    hours: float | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    clip: float | None = None
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int | None = None
    workers: int = 1
    threads: int | None = None
    channels_last: bool = True
    cache: Path | None = None
    save_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.steps is None and self.hours is None:
            raise ValueError("say when to end, with steps or hours")
        for name in ("batch", "steps", "devices", "threads", "save_every", "log_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        for name in ("hours", "clip"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predictor of a `Regeneration`, trained together with the network of the process.

    Its loss is added to that of the process, whose gradients reach the predictor, too.

    Args:
        network: its shape.
        conditioning: what the network of the process sees beside the state.
        loss: of the prediction, an estimate of clean audio like any other.
    """

    network: Network
    conditioning: Conditioning = "both"
    loss: losses.Reconstruction = field(default_factory=losses.Reconstruction)

    def __post_init__(self) -> None:
        if self.loss.weighting != weightings.Unweighted():
            raise ValueError(
                f"a prediction has no time to be weighted by; leave out {self.loss.weighting}"
            )


@dataclass(frozen=True, eq=False)
class Recipe:
    """A whole training.

    Args:
        sample_rate: in Hz; audio of other rates is resampled.
        data: where the pairs come from.
        network: its shape; `build_model` makes one with weights.
        sde, parametrization, transform: with the network, the model.
        predictor: what the process starts from, in place of the noisy audio if there is one.
        loss: what it is trained for.
        trainer: how.
        validation: what it is judged by; none if absent, and then the last weights are the best.
        times: at which it is trained.
        optimiser, schedule, ema: from gradients to weights.
        solver, grid, padding: the sampler that validation uses and the checkpoint recommends.
        licence: of the weights, for the checkpoint.
    """

    sample_rate: int
    data: data.Source
    network: Network
    sde: SDE
    parametrization: Parametrization
    transform: Spectrogram
    loss: losses.Loss
    trainer: Trainer
    predictor: Prediction | None = None
    validation: Validation | None = None
    times: Times = field(default_factory=Times)
    optimiser: optimisation.Optimiser = field(default_factory=optimisation.Adam)
    schedule: Schedule = field(default_factory=Schedule)
    ema: EMA = field(default_factory=EMA)
    solver: Solver = field(default_factory=Exponential)
    grid: Grid = field(default_factory=Uniform)
    padding: Literal["zero", "reflect"] = "zero"
    licence: str = ""

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate must be positive, not {self.sample_rate}")
        model = assemble(**self.parts)  # says what does not go together
        if why := self.solver.refusal(self.sde, self.grid.start):
            raise ValueError(f"grid.start: {why}")
        for score in self.validation.scores if self.validation else ():
            if self.sample_rate not in SCORE_RATES.get(score, (self.sample_rate,)):
                raise ValueError(
                    f"validation.scores: {score} is not defined at {self.sample_rate} "
                    "Hz; leave it out, and choose another one as best"
                )
        others = {} if self.predictor is None else {"predictor.loss": self.predictor.loss}
        for name, loss in {"loss": self.loss, **others}.items():
            rates = loss.sample_rates
            if rates is not None and self.sample_rate not in rates:
                raise ValueError(
                    f"{name}: its perceptual part is defined at {', '.join(map(str, rates))} Hz, "
                    f"not at {self.sample_rate}; set {name}.perceptual=0"
                )
        times = torch.tensor([self.times.low, self.times.high, *[1.0] * (self.times.at_one > 0)])
        if why := self.loss.refusal(self.sde, times):
            raise ValueError(f"loss: {why}")
        bins, frames = model.divisor
        transform, samples = self.transform, self.data.samples
        if transform.frequencies % bins:
            raise ValueError(
                f"transform.n_fft: {transform.n_fft} gives {transform.frequencies} frequencies, "
                f"and the network needs a multiple of {bins}; {self._n_fft(bins)} would do"
            )
        if samples < transform.shortest or transform.frames(samples) % frames:
            fit = -(-max(transform.frames(samples), 2) // frames) * frames
            raise ValueError(
                f"data.samples: {samples} give {transform.frames(samples)} frames, and the network "
                f"needs a multiple of {frames}; {(fit - 1) * transform.hop} would do"
            )

    def _n_fft(self, bins: int) -> int:
        return 2 * (max(round(self.transform.frequencies / bins), 1) * bins - 1)

    @property
    def parts(self) -> dict[str, Any]:
        """What `assemble` makes the model of; its networks have no weights."""
        model = {
            "network": self.network,
            "sde": self.sde,
            "parametrization": self.parametrization,
        }
        p = self.predictor
        return (
            model if p is None else model | {"predictor": p.network, "conditioning": p.conditioning}
        )

    def build_model(self) -> ScoreModel | Regeneration:
        """The model with the first weights that the seed gives."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.trainer.seed)
            made = {n: type(p)(**p.config) for n, p in self.parts.items() if isinstance(p, Network)}
        return assemble(**self.parts | made)

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
        return _plain_model(self.sample_rate, self.transform, self.parts)

    def check_model(self, model: Mapping[str, Any], owner: str, remedy: str) -> None:
        """Raise `RecipeError`, "<owner> <what differs> ...", for weights of another model."""
        for name, here in self.model.items():
            if _complete(model.get(name)) != here:
                raise RecipeError(
                    f"{owner} {name} {model.get(name)}, the recipe has {here}; {remedy}"
                )


def model_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the weights of a checkpoint are tied to, as `Recipe.model` has it."""
    return _plain_model(checkpoint.sample_rate, checkpoint.transform, checkpoint.model.parts)


def _plain_model(
    sample_rate: int, transform: Spectrogram, parts: Mapping[str, Any]
) -> dict[str, Any]:
    names = ("network", "sde", "parametrization", "predictor", "conditioning")
    tied = {name: parts.get(name) for name in names} | {"transform": transform}
    return {"sample_rate": sample_rate} | {n: plain(p, RECIPE_CLASSES) for n, p in tied.items()}


def _complete(part: Any) -> Any:
    """A part of `Recipe.model` as an earlier version wrote it, with the settings added since."""
    if not isinstance(part, Mapping):
        return part
    try:
        with torch.device("meta"):  # a network, too
            return plain(from_dict(part, RECIPE_CLASSES), RECIPE_CLASSES)
    except ValueError:  # a class or a setting that there is not; the comparison shows it
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
    raise RecipeError(f"there is no recipe {name}; give a YAML file or one of {', '.join(known)}")


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a file (or a shipped one's name), with `key.sub=value` set over it.

    Raises `RecipeError` for YAML that cannot be read, unknown keys, wrong types and values that do
    not go together.
    """
    path = find_recipe(path)
    values = _yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is not a recipe: it has no keys")
    for override in overrides:
        _override(values, override)
    try:
        return read(Recipe, values, RECIPE_CLASSES)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def dump_recipe(recipe: Recipe) -> str:
    """YAML with every value, of which `load_recipe` makes the same recipe."""
    yaml = require("yaml")
    return yaml.safe_dump(plain(recipe, RECIPE_CLASSES), sort_keys=False, default_flow_style=None)


def _override(values: dict[str, Any], text: str) -> None:
    """Set a dotted key in place; the value is YAML."""
    key, equals, value = text.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not all((*path, last)):
        raise RecipeError(f"{text!r} sets nothing; write key.sub=value")
    section = values
    for i, part in enumerate(path):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise RecipeError(f"{text!r}: {'.'.join(path[: i + 1])} is no section of keys")
    section[last] = _yaml(value, text)


def _yaml(text: str, where: str) -> Any:
    yaml = require("yaml")

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined]
        """YAML with 1e-3 a number, as everyone means it, and no key twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
            for key in _twice(keys):
                raise RecipeError(f"{where}: {key!r} is set twice")
            return super().construct_mapping(node, deep)

    number = r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(f"^{number}$"), list("-+.0123456789")
    )
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _twice(keys: Sequence[Any]) -> Iterator[Any]:
    return (key for i, key in enumerate(keys) if key in keys[:i])
