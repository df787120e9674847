"""The training state: all that a training needs to go on as if it had never stopped.

One file, `training_state.pt`, apart from the checkpoints. It holds tensors and plain values only:
the fields of `TrainingState` and "format" in a dictionary. Reading it runs nothing in it. There are
no states of random generators: what is random is a function of the seed and the step.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from sgmse._files import whole
from sgmse.errors import RecipeError

FORMAT = 1


@dataclass(frozen=True)
class TrainingState:
    """A moment between two steps.

    Args:
        step: updates done; the next one is number `step`, counted from 0.
        items: pairs seen by all devices; the next is number `items`.
        seconds: spent.
        network: state dict of the network, or of the model where there are several.
        average: state dict of its moving average, with the same keys.
        updates: of the average.
        optimiser: state dict of the optimiser, whose parameters are those of the network that take
            gradients, in their order, then those of `learned` in a group of their own.
        best: the best score so far; None before the first validation.
        model: `Recipe.model`, plain values that say what the weights belong to.
        learned: state dict of what the loss learns; empty for most, and absent in older files.
        averages: state dicts of the averages of `Recipe.averages`, by length, after as many
            updates; empty for most, and absent in older files.
        adversary: `Adversary.state`; empty for most, and absent in older files.
    """

    step: int
    items: int
    seconds: float
    network: Mapping[str, Any]
    average: Mapping[str, Any]
    updates: int
    optimiser: Mapping[str, Any]
    best: float | None
    model: Mapping[str, Any]
    learned: Mapping[str, Any] = field(default_factory=dict)
    averages: Mapping[float, Mapping[str, Any]] = field(default_factory=dict)
    adversary: Mapping[str, Any] = field(default_factory=dict)


def save_state(state: TrainingState, path: Path) -> None:
    """Write the file; it appears whole or not at all."""
    values = {"format": FORMAT} | {f.name: getattr(state, f.name) for f in fields(state)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        torch.save(values, part)


def load_state(path: Path) -> TrainingState:
    """Read the file, onto the CPU. Raises `RecipeError` for what is no training state."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        why = " ".join(str(error).split())[:200]
        raise RecipeError(f"{path} cannot be read as a training state ({why})") from error
    names = {f.name for f in fields(TrainingState)}
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise RecipeError(f"{path} is not a training state of format {FORMAT}")
    for absent in ("learned", "averages", "adversary"):
        values.setdefault(absent, {})
    if values.keys() != names:
        odd = ", ".join(sorted(values.keys() ^ names))
        raise RecipeError(f"{path} is not a whole training state; missing or unknown: {odd}")
    return TrainingState(**values)
