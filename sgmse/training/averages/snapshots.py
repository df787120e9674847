"""Snapshots of averages in files, of which other averages are made after the training.

    RUN/averages/step-00000500.safetensors      float32: "<number of the length>/<name>"

A combination has weights x_i of both signs, of which the absolute values sum to 1 to 200: it
multiplies the rounding of the files as much, which float32 bears and bfloat16 does not.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sgmse._files import whole
from sgmse.errors import RecipeError
from sgmse.training.averages.profiles import Profile
from sgmse.training.state import one_line

FORMAT = 1
#: The folder of a run that they are in.
AVERAGES = "averages"
PATTERN = "step-*.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """What a file says of itself.

    Args:
        path: of the file.
        step: of the training.
        updates: those of its steps that changed the weights, at least 1.
        lengths: of the averages in it.
        model: `Recipe.model`, which the weights belong to.
        training: plain values that say how they were trained.
    """

    path: Path
    step: int
    updates: int
    lengths: tuple[float, ...]
    model: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def profiles(self) -> list[Profile]:
        """Of its averages."""
        return [Profile(self.updates, length) for length in self.lengths]


def save_snapshot(
    folder: Path,
    averages: Mapping[float, Mapping[str, Tensor]],
    *,
    step: int,
    updates: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Path:
    """Write the file of a step, over one that is there; it appears whole or not at all.

    Args:
        folder: made if absent.
        averages: state dicts by length.
        step, updates, model, training: as in `Snapshot`.
    """
    tensors = {
        f"{i}/{name}": value.detach().cpu().contiguous()
        for i, state in enumerate(averages.values())
        for name, value in state.items()
    }
    about = {"format": FORMAT, "step": step, "updates": updates, "lengths": [*averages]}
    about |= {"model": model, "training": training}
    path = folder / f"step-{step:08d}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        save_file(tensors, part, {"about": json.dumps(about)})
    return path


def find_snapshots(folder: Path) -> list[Snapshot]:
    """Those of a folder, none if it is absent, by their steps. Their weights are not read.

    Raises `RecipeError` for a file that is no snapshot.
    """
    return sorted((_read(path) for path in folder.glob(PATTERN)), key=lambda s: s.step)


def _read(path: Path) -> Snapshot:
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise RecipeError(
            f"{path} is damaged ({one_line(error)}); remove it to do without it"
        ) from error
    if not isinstance(about, dict) or about.pop("format", None) != FORMAT:
        raise RecipeError(f"{path} is not a snapshot of format {FORMAT}; remove it")
    try:
        return Snapshot(path, **about | {"lengths": tuple(about["lengths"])})
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{path} is not a whole snapshot ({one_line(error)})") from error


def remove_later(folder: Path, step: int) -> None:
    """Remove the snapshots after a step, from which a training goes on another way, perhaps."""
    for path in folder.glob(PATTERN):
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()


def combine(
    snapshots: Sequence[Snapshot], weights: Sequence[float], averaged: Collection[str]
) -> dict[str, Tensor]:
    """The state dict sum_i x_i average_i, summed in float64.

    Args:
        snapshots: one after the other, of one network.
        weights: x_i, one for each average of each snapshot.
        averaged: names of the parameters; all else is that of the last snapshot.
    """
    sources = [(snapshot.path, i) for snapshot in snapshots for i in range(len(snapshot.lengths))]
    sums: dict[str, Tensor] = {}
    state: dict[str, Tensor] = {}
    for (path, i), x in zip(sources, weights, strict=True):
        with safe_open(path, "pt") as file:
            for key in (key for key in file.keys() if key.startswith(f"{i}/")):  # noqa: SIM118
                name = key.removeprefix(f"{i}/")
                state[name] = value = file.get_tensor(key)
                if name in averaged:
                    wide = torch.promote_types(value.dtype, torch.float64)
                    total = sums.setdefault(name, torch.zeros_like(value, dtype=wide))
                    total.add_(value, alpha=float(x))
    return state | {name: total.to(state[name].dtype) for name, total in sums.items()}
