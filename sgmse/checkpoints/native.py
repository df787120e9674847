"""The native format: a folder with model.safetensors, config.json and a card, README.md.

The weights are those to use (the moving average, where there was one); the config holds the objects
of which a model is made and the sampler recommended for it. Nothing in it is ever executed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from sgmse._files import write_whole
from sgmse.checkpoints.classes import CLASSES
from sgmse.config import from_plain, to_plain
from sgmse.errors import ArgumentError, CheckpointError
from sgmse.estimates import Parametrization
from sgmse.model import Conditioning, Regeneration, ScoreModel, assemble
from sgmse.networks.base import Network
from sgmse.sdes import SDE
from sgmse.solvers import Grid, Solver
from sgmse.transforms import Spectrogram

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
PARTS: Mapping[str, type] = {
    "network": Network,
    "sde": SDE,
    "parametrization": Parametrization,
    "transform": Spectrogram,
    "solver": Solver,
    "grid": Grid,
}
#: Parts of the model that a config need not speak of.
OPTIONAL: Mapping[str, Any] = {
    "latest": float,
    "predictor": Network | None,
    "conditioning": Conditioning,
}


@dataclass(frozen=True)
class Checkpoint:
    """All that is needed to enhance with a model, and what one wants to know of it.

    Args:
        model: network, process and parametrization, with or without a predictor.
        transform: the spectrogram that the network works on.
        sample_rate: of the audio it works on, in Hz.
        solver, grid: the recommended sampler.
        padding: what frames are padded with to a number that the network divides.
        licence: of the weights.
        training: plain values that say how it was trained and how it scores.
        frames: their number is padded to a multiple of this, too, as the published models do. With
            more than 1, the added ones sound in the last half frame of the audio, as there.
        shifts: how many results, with the frames at other places, are averaged.
    """

    model: ScoreModel | Regeneration
    transform: Spectrogram
    sample_rate: int
    solver: Solver
    grid: Grid
    padding: Literal["zero", "reflect"] = "zero"
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 1
    shifts: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.sample_rate, int) or self.sample_rate <= 0:
            raise ArgumentError(
                f"sample_rate must be a whole number of Hz, not {self.sample_rate!r}"
            )
        check_frames(self.frames, self.shifts, self.transform.hop)
        if self.padding not in ("zero", "reflect"):
            raise ArgumentError(f"padding must be 'zero' or 'reflect', not {self.padding!r}")
        if not isinstance(self.training, Mapping):
            raise ArgumentError(f"training must be a table of values, not {self.training!r}")


def check_frames(frames: int, shifts: int, hop: int) -> None:
    """Refuse what is no number of frames to pad to, or of shifts within `hop` samples."""
    if not isinstance(frames, int) or frames < 1:
        raise ArgumentError(f"frames must be a whole number of at least 1, not {frames!r}")
    if not isinstance(shifts, int) or not 1 <= shifts <= hop:
        raise ArgumentError(
            f"shifts must be a whole number from 1 to {hop}, the samples from one frame to the "
            f"next, not {shifts!r}"
        )


def save(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    card: str | None = None,
    classes: Mapping[str, type] = CLASSES,
) -> Path:
    """Write the folder; each file appears whole, the config last. Returns the folder.

    Args:
        checkpoint: what to save.
        folder: made if absent.
        card: the text of README.md; a short one is made if absent.
        classes: the table of names, extended by your own classes where the model has some.
    """
    folder = Path(folder)
    config = {
        "format": FORMAT,
        "sample_rate": checkpoint.sample_rate,
        **{name: to_plain(part, classes) for name, part in checkpoint.model.parts.items()},
        "transform": to_plain(checkpoint.transform, classes),
        "solver": to_plain(checkpoint.solver, classes),
        "grid": to_plain(checkpoint.grid, classes),
        "padding": checkpoint.padding,
        "frames": checkpoint.frames,
        "shifts": checkpoint.shifts,
        "licence": checkpoint.licence,
        "training": dict(checkpoint.training),
    }
    text = json.dumps(config, indent=2) + "\n"
    card = _card(folder.resolve().name, checkpoint) if card is None else card
    state = checkpoint.model.trained.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    contents = {WEIGHTS: to_bytes(weights), CARD: card.encode(), CONFIG: text.encode()}
    for name, content in contents.items():
        write_whole(folder / name, content)
    return folder


def load(folder: str | Path, *, classes: Mapping[str, type] = CLASSES) -> Checkpoint:
    """Read a folder that `save` wrote; the model is in evaluation mode, on the CPU.

    Raises `CheckpointError` for what is missing, damaged, of a newer format or does not fit.
    """
    folder = Path(folder)
    checkpoint = _described(folder, classes)
    _fill(checkpoint.model.trained, folder / WEIGHTS)
    checkpoint.model.eval().requires_grad_(False)
    return checkpoint


def _described(folder: Path, classes: Mapping[str, type]) -> Checkpoint:
    """The checkpoint of which the config speaks, without its weights."""
    config = _config(folder)
    known = ("sample_rate", *PARTS, *OPTIONAL, "padding", "frames", "shifts", "licence", "training")
    if missing := [key for key in known[: 1 + len(PARTS)] if key not in config]:
        raise CheckpointError(f"{folder / CONFIG} does not say its {', '.join(missing)}")
    if odd := [key for key in config if key not in known]:
        raise CheckpointError(
            f"{folder / CONFIG} has unknown keys: {', '.join(odd)}; known are {', '.join(known)}"
        )
    try:
        read = {
            name: from_plain(kind, config.pop(name), classes, name)
            for name, kind in {**PARTS, **OPTIONAL}.items()
            if name in config
        }
        held = {name: read.pop(name) for name in ("transform", "solver", "grid")}
        return Checkpoint(model=assemble(**read), **held, **config)
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
        missing = f"has no {CONFIG}" if folder.is_dir() else "does not exist"
        raise CheckpointError(f"the model {folder} {missing}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({_short(error)})") from error
    version = config.pop("format", None) if isinstance(config, dict) else None
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} is not the config of a model: it has no 'format'")
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}, newer than {FORMAT}; update sgmse")
    return config


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
    parts = [checkpoint.model.sde, checkpoint.model.parametrization, checkpoint.transform]
    rows = "".join(f"- {key}: {value}\n" for key, value in checkpoint.training.items())
    front = f"license: {checkpoint.licence}\n" if checkpoint.licence else ""
    return (
        f"---\nlibrary_name: sgmse\ntags: [speech-enhancement]\n{front}---\n\n# {name}\n\n"
        f"A speech enhancement model at {checkpoint.sample_rate} Hz: "
        f"{type(checkpoint.model.network).__name__}, {', '.join(map(str, parts))}.\n\n"
        f"Recommended sampler: {checkpoint.solver} on {checkpoint.grid}.\n"
        + (f"\n## Training\n\n{rows}" if rows else "")
    )
