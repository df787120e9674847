"""The native format: a folder with model.safetensors, config.json and a card, README.md.

A model that has a network for what lies above its band has upper_band.safetensors, too, and one of
a latent (`sgmse.latent`) the weights of that, autoencoder.safetensors.

The weights are those to use (the moving average, where there was one); the config holds the objects
of which a model is made and the sampler recommended for it. Nothing in it is ever executed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, get_args

from safetensors import SafetensorError
from safetensors.torch import load_file, save as to_bytes
from torch import Tensor, finfo, float16, nn

from sgmse._checks import arguments, kinds, number
from sgmse._files import write_whole
from sgmse.checkpoints.classes import CLASSES
from sgmse.config import Classes, from_plain, to_plain
from sgmse.errors import ArgumentError, CheckpointError, ConfigError
from sgmse.estimates import Parametrization
from sgmse.front import FrontEnd
from sgmse.model import Conditioning, Regeneration, ScoreModel, assemble, check_steps
from sgmse.networks import BandGains, Network
from sgmse.sdes import SDE
from sgmse.solvers import Sampler, SamplerRange, refusal

FORMAT = 2
#: The largest weight that 16 bits hold.
LARGEST_HALF = finfo(float16).max
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
#: The weights of an upper band, beside those of the model, which stay the same file with any.
UPPER_BAND = "upper_band.safetensors"
#: Those of its transform, where that has any.
AUTOENCODER = "autoencoder.safetensors"
#: All that a folder of a model may hold.
FILES = (WEIGHTS, UPPER_BAND, AUTOENCODER, CONFIG, CARD)
#: Keys of format 1, and of recipes of that time: the section of each, and its name there.
FLAT: Mapping[str, tuple[str, str]] = {
    "sample_rate": ("front", "sample_rate"),
    "transform": ("front", "transform"),
    "padding": ("front", "padding"),
    "frames": ("front", "multiple"),
    "solver": ("sampler", "solver"),
    "grid": ("sampler", "grid"),
    "shifts": ("sampler", "shifts"),
}
#: Seconds that are enhanced in one piece: longer ones cost memory and bring nothing
#: (benchmarks/results/segments.md). The least is twice the overlap of two pieces.
SEGMENT, LEAST_SEGMENT = 10.0, 2.0
#: What a model may say that it mends: what is said of recordings that another one would.
MENDS = ("clipping",)


QualityName = Literal["fast", "balanced", "best", "gentle"]


@dataclass(frozen=True)
class Effect:
    """What a model makes of some recordings, in means over them.

    Args:
        recordings: which these are, in words, such as "60 mixtures for validation".
        before: what they score, such as {"PESQ-WB": 1.3}.
        after: what the results score, and perhaps cost.
    """

    recordings: str
    before: Mapping[str, float]
    after: Mapping[str, float]

    def __post_init__(self) -> None:
        kinds(self)
        if odd := sorted(self.before.keys() - self.after.keys()):
            raise ArgumentError(f"after has no {odd[0]!r}, which before has")


@dataclass(frozen=True)
class Quality:
    """One way to use a model, such as from fast to best, and what was measured of it.

    Args:
        sampler: how results are drawn; as the model recommends, if absent.
        model: a model of the package that they are drawn from, where it is another one.
        measured: what it costs and brings, such as {"real-time factor": 0.13, "PESQ-WB": 2.3}.
        dry: share of the input that stays in the result; as the model recommends, if absent.
        strength: of the attenuation, likewise.
        effect: what was measured of it on other recordings than of the other qualities.
    """

    sampler: Sampler | None = None
    model: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    dry: float | None = None
    effect: Effect | None = None
    strength: float | None = None

    def __post_init__(self) -> None:
        kinds(self)
        if self.dry is not None:
            number("dry", self.dry, 0, 1)
        if self.strength is not None:
            number("strength", self.strength, 0, 2)


@dataclass(frozen=True)
class Checkpoint:
    """All that is needed to enhance with a model, and what one wants to know of it.

    Args:
        model: network, process and parametrization, with or without a predictor.
        front: what it hears.
        sampler: the recommended one.
        licence: of the weights.
        training: plain values that say how it was trained and how it scores.
        samplers: what else it may be sampled with; none beside the recommended one if empty. None
            is of files that do not say: then `SamplerRange.around` the recommended one.
        qualities: ways to use it by name, "fast", "balanced" and "best", and "gentle" for those who
            recognise speech; none for most models.
        upper_band: what frees of noise what lies above the band of the model, in recordings of a
            higher rate; if absent, that gets the gains that the band below it gets.
        dry: share of the input that stays in its results.
        effect: what was measured of it, where that does not stand at its qualities.
        mends: what of recordings it restores beside noise, such as "clipping".
        segment: seconds that are enhanced in one piece, see `Enhancer`.
        strength: of the attenuation, see `Enhancer`.
    """

    model: ScoreModel | Regeneration
    front: FrontEnd
    sampler: Sampler
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    samplers: tuple[SamplerRange, ...] | None = None
    qualities: Mapping[str, Quality] = field(default_factory=dict)
    upper_band: BandGains | None = None
    dry: float = 0.0
    effect: Effect | None = None
    mends: tuple[str, ...] = ()
    segment: float = SEGMENT
    strength: float = 1.0

    def __post_init__(self) -> None:
        kinds(self)
        number("dry", self.dry, 0, 1)
        number("segment", self.segment, LEAST_SEGMENT)
        number("strength", self.strength, 0, 2)
        if odd := sorted({*self.mends} - {*MENDS}):
            raise ArgumentError(f"mends holds {', '.join(MENDS)}, not {odd[0]!r}")
        if odd := sorted(self.qualities.keys() - {*get_args(QualityName)}):
            known = ", ".join(get_args(QualityName))
            raise ArgumentError(f"qualities are called {known}, not {odd[0]!r}")
        self.front.delays(self.sampler.shifts)  # says where there are too many
        check_steps(self.model, self.sampler.grid.steps)
        if not isinstance(self.training, Mapping):
            raise ArgumentError(f"training must be a table of values, not {self.training!r}")

    @property
    def ranges(self) -> tuple[SamplerRange, ...]:
        """With which samplers the model makes speech; the recommended one is one of them."""
        model, sampler, known = self.model, self.sampler, self.samplers
        if known is None:
            known = (SamplerRange.around(sampler, model.sde, model.latest),)
        if known and refusal(sampler, model.sde, known) is None:
            return known
        return (SamplerRange.of(sampler), *known)


@dataclass(frozen=True, eq=False)
class Config:
    """The keys of a config.json, beside its format."""

    network: Network
    sde: SDE
    parametrization: Parametrization
    front: FrontEnd
    sampler: Sampler
    latest: float = 1.0
    predictor: Network | None = None
    conditioning: Conditioning = "both"
    moved: float = 0.0
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    samplers: tuple[SamplerRange, ...] | None = None
    qualities: Mapping[str, Quality] = field(default_factory=dict)
    upper_band: BandGains | None = None
    dry: float = 0.0
    effect: Effect | None = None
    mends: tuple[str, ...] = ()
    segment: float = SEGMENT
    strength: float = 1.0

    def checkpoint(self) -> Checkpoint:
        """What it describes; its weights are random."""
        core = (self.network, self.sde, self.parametrization, self.latest)
        model = assemble(*core, self.predictor, self.conditioning, self.moved)
        about = self.licence, self.training, self.samplers, self.qualities, self.upper_band
        heard = self.dry, self.effect, self.mends, self.segment, self.strength
        return Checkpoint(model, self.front, self.sampler, *about, *heard)


def sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of format 1 in the sections that they have now; others stay as they are.

    Raises `ConfigError` where a section is there, too.
    """
    made = {key: value for key, value in values.items() if key not in FLAT}
    for key, (section, name) in FLAT.items():
        if key in values:
            if section in values:
                raise ConfigError(f"{key} is {section}.{name} now; write it so")
            made.setdefault(section, {})[name] = values[key]
    if values.get("frames", 1) != 1:  # which meant, too, what published models do at the end
        made["front"]["tail"] = "published"
    return made


def save(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    card: str | None = None,
    classes: Classes | None = None,
    half: bool = False,
) -> Path:
    """Write the folder; each file appears whole, the config last. Returns the folder.

    Args:
        checkpoint: what to save.
        folder: made if absent.
        card: the text of README.md; a short one is made if absent.
        classes: names of classes; `CLASSES`, which you extend by your own, if absent.
        half: store the weights of the model in 16 bits, in half the space: each is rounded to 11
            significant binary digits. What `load` gives is in 32 bits.

    Raises `CheckpointError` where a weight is beyond what 16 bits hold.
    """
    arguments(save, locals())
    folder = Path(folder)
    classes = CLASSES if classes is None else classes
    config = {
        "format": FORMAT,
        **{name: to_plain(part, classes) for name, part in checkpoint.model.parts.items()},
        "front": to_plain(checkpoint.front, classes, FrontEnd),
        "sampler": to_plain(checkpoint.sampler, classes, Sampler),
        "samplers": to_plain(checkpoint.samplers, classes, tuple[SamplerRange, ...]),
        "licence": checkpoint.licence,
        "training": to_plain(checkpoint.training, classes, Mapping[str, Any]),
    }
    if checkpoint.qualities:  # so that earlier versions read the files of models without
        config["qualities"] = to_plain(checkpoint.qualities, classes, Mapping[str, Quality])
    if checkpoint.dry:
        config["dry"] = checkpoint.dry
    if checkpoint.effect is not None:
        config["effect"] = to_plain(checkpoint.effect, classes, Effect)
    if checkpoint.mends:
        config["mends"] = list(checkpoint.mends)
    if checkpoint.segment != SEGMENT:
        config["segment"] = checkpoint.segment
    if checkpoint.strength != 1:
        config["strength"] = checkpoint.strength
    if checkpoint.upper_band is not None:
        config["upper_band"] = to_plain(checkpoint.upper_band, classes)
    text = json.dumps(config, indent=2) + "\n"
    card = _card(folder.resolve().name, checkpoint) if card is None else card
    contents = {WEIGHTS: _bytes(checkpoint.model.trained, half)}
    beside = _beside(checkpoint)
    contents |= {name: _bytes(network) for name, network in beside.items() if network is not None}
    contents |= {CARD: card.encode(), CONFIG: text.encode()}
    for name, content in contents.items():
        write_whole(folder / name, content)
    for name in (name for name, network in beside.items() if network is None):
        (folder / name).unlink(missing_ok=True)  # of a model that was there
    return folder


def _beside(checkpoint: Checkpoint) -> dict[str, nn.Module | None]:
    """The networks beside the model, by their files; None where it has none."""
    return {UPPER_BAND: checkpoint.upper_band, AUTOENCODER: checkpoint.front.transform.learned}


def _bytes(network: nn.Module, half: bool = False) -> bytes:
    """A file of the weights."""
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    if half:
        state = {name: _halved(name, value) for name, value in state.items()}
    return to_bytes({name: value.contiguous() for name, value in state.items()})


def _halved(name: str, value: Tensor) -> Tensor:
    """A weight in 16 bits; counts stay what they are. Raises `CheckpointError`."""
    if not value.is_floating_point():
        return value
    if bool((value.abs() > LARGEST_HALF).any()):
        raise CheckpointError(
            f"{name} has weights of {float(value.abs().max()):g}, and 16 bits hold "
            f"{LARGEST_HALF:g} at most; save it in 32 bits"
        )
    return value.to(float16)


def refuse_compat(model: str | Path, compat: str | None) -> None:
    """Raise `ArgumentError` where a native model is asked for a published sampler."""
    if compat is not None:
        raise ArgumentError(
            f"{model} is no published checkpoint, which alone have a sampler with "
            f"compat={compat!r}; leave it out"
        )


def load(folder: str | Path, *, classes: Classes | None = None) -> Checkpoint:
    """Read a folder that `save` wrote; the model is in evaluation mode, on the CPU.

    Raises `CheckpointError` for what is missing, damaged, of a newer format or does not fit.
    """
    arguments(load, locals())
    folder = Path(folder)
    checkpoint = _described(folder, classes)
    _fill(checkpoint.model.trained, folder / WEIGHTS)
    checkpoint.model.eval().requires_grad_(False)
    for name, network in _beside(checkpoint).items():
        if network is not None:
            _fill(network, folder / name)
            network.eval().requires_grad_(False)
    return checkpoint


def _described(folder: Path, classes: Classes | None) -> Checkpoint:
    """The checkpoint of which the config speaks, without its weights."""
    values = _config(folder)
    try:
        if values.pop("format") == 1:
            values = sections(values)
        config: Config = from_plain(Config, values, CLASSES if classes is None else classes)
        return config.checkpoint()
    except ValueError as error:
        why = _short(error)
        raise CheckpointError(f"{folder / CONFIG} does not describe a model: {why}") from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if folder.is_file():
        raise CheckpointError(
            f"{folder} is a file; a model is a folder with {CONFIG} and {WEIGHTS}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        missing = f"has no {CONFIG}{_inside(folder)}" if folder.is_dir() else "does not exist"
        raise CheckpointError(f"the model {folder} {missing}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({_short(error)})") from error
    version = config.get("format") if isinstance(config, dict) else None
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} is not the config of a model: it has no 'format'")
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}, newer than {FORMAT}; update sgmse")
    return dict(config)


def _inside(folder: Path) -> str:
    """Where the model may be that is not in a folder itself, such as that of a run."""
    if models := sorted(path.parent for path in folder.glob(f"*/{CONFIG}")):
        return f"; name a model in it: {', '.join(map(str, models[:3]))}"
    return f"; name the folder that holds {CONFIG} and {WEIGHTS}"


def _fill(module: nn.Module, path: Path) -> None:
    """Load the weights of a network, or of several."""
    try:
        state = load_file(path)
        module.load_state_dict(state)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} has no {path.name}; copy the whole folder again"
        ) from error
    except (SafetensorError, OSError) as error:
        why = _short(error)
        raise CheckpointError(f"{path} is damaged ({why}); copy it again") from error
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit its config: {_short(error)}") from error
    if odd := [name for name, value in state.items() if not value.isfinite().all()]:
        raise CheckpointError(f"{path} has weights that are not finite, such as {odd[0]}")


def _short(error: Exception) -> str:
    """An error in one line that can be read."""
    return shorten(str(error), 300, placeholder=" ...")


def _card(name: str, checkpoint: Checkpoint) -> str:
    parts = [checkpoint.model.sde, checkpoint.model.parametrization, checkpoint.front.transform]
    rows = "".join(f"- {key}: {value}\n" for key, value in checkpoint.training.items())
    front = f"license: {checkpoint.licence}\n" if checkpoint.licence else ""
    return (
        f"---\nlibrary_name: sgmse\ntags: [speech-enhancement]\n{front}---\n\n# {name}\n\n"
        f"A speech enhancement model at {checkpoint.front.sample_rate} Hz: "
        f"{type(checkpoint.model.network).__name__}, {', '.join(map(str, parts))}.\n\n"
        f"Recommended sampler: {checkpoint.sampler}.\n"
        f"Made for: {', or '.join(map(str, checkpoint.ranges))}.\n"
        + (f"\n## Training\n\n{rows}" if rows else "")
    )
