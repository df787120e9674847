"""The native format: a folder with model.safetensors, config.json and a card, README.md.

The weights are those to use (the moving average, where there was one); the config holds the objects
of which a model is made and the sampler recommended for it. Nothing in it is ever executed.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from sgmse.checkpoints.objects import CLASSES, from_dict, to_dict
from sgmse.estimates import Parametrization
from sgmse.model import ScoreModel
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


class CheckpointError(ValueError):
    """A model cannot be found or read; the message is one line with the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """All that is needed to enhance with a model, and what one wants to know of it.

    Args:
        model: network, process and parametrization.
        transform: the spectrogram that the network works on.
        sample_rate: of the audio it works on, in Hz.
        solver, grid: the recommended sampler.
        padding: what frames are padded with to a number that the network divides.
        licence: of the weights.
        training: plain values that say how it was trained and how it scores.
    """

    model: ScoreModel
    transform: Spectrogram
    sample_rate: int
    solver: Solver
    grid: Grid
    padding: Literal["zero", "reflect"] = "zero"
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sample_rate <= 0 or self.sample_rate != int(self.sample_rate):
            raise ValueError(f"sample_rate must be a whole number of Hz, not {self.sample_rate}")
        if self.padding not in ("zero", "reflect"):
            raise ValueError(f"padding must be 'zero' or 'reflect', not {self.padding!r}")


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
        "network": to_dict(checkpoint.model.network, classes),
        "sde": to_dict(checkpoint.model.sde, classes),
        "parametrization": to_dict(checkpoint.model.parametrization, classes),
        "transform": to_dict(checkpoint.transform, classes),
        "solver": to_dict(checkpoint.solver, classes),
        "grid": to_dict(checkpoint.grid, classes),
        "padding": checkpoint.padding,
        "licence": checkpoint.licence,
        "training": dict(checkpoint.training),
    }
    text = json.dumps(config, indent=2) + "\n"
    card = _card(folder.resolve().name, checkpoint) if card is None else card
    state = checkpoint.model.network.state_dict()
    weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{secrets.token_hex(4)}.part"
    try:
        contents = {WEIGHTS: to_bytes(weights), CARD: card.encode(), CONFIG: text.encode()}
        for name, content in contents.items():
            part.write_bytes(content)
            part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)
    return folder


def load(folder: str | Path, *, classes: Mapping[str, type] = CLASSES) -> Checkpoint:
    """Read a folder that `save` wrote; the model is in evaluation mode, on the CPU.

    Raises `CheckpointError` for what is missing, damaged, of a newer format or does not fit.
    """
    folder = Path(folder)
    config = _config(folder)
    try:
        parts = {name: from_dict(config.pop(name), classes) for name in PARTS}
        for name, kind in PARTS.items():
            if not isinstance(parts[name], kind):
                raise ValueError(f"{name} is a {type(parts[name]).__name__}, not a {kind.__name__}")
        network = parts.pop("network")
        model = ScoreModel(network, parts.pop("sde"), parts.pop("parametrization"))
        checkpoint = Checkpoint(model=model, **parts, **config)
    except KeyError as error:
        raise CheckpointError(f"{folder / CONFIG} does not say its {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a model: {error}") from error
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} has no {WEIGHTS}; copy the whole folder") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged ({error}); copy it again") from error
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise CheckpointError(f"{folder / WEIGHTS} does not fit its config: {why}") from error
    model.eval().requires_grad_(False)
    return checkpoint


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
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    version = config.pop("format", None) if isinstance(config, dict) else None
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path} is not the config of a model: it has no 'format'")
    if version > FORMAT:
        raise CheckpointError(f"{path} has format {version}, newer than {FORMAT}; update sgmse")
    return config


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
