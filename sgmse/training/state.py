"""Where a training is, and the file from which it goes on as if it had never stopped.

`training_state.pt` lies apart from the checkpoints. It holds tensors and plain values only: the
fields of `TrainingState` and "format" in a dictionary. Reading it runs nothing in it. There are no
states of random generators: what is random is a function of the seed and the step.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from sgmse._files import whole
from sgmse.errors import RecipeError
from sgmse.networks import BandGains

FORMAT = 1
STATE = "training_state.pt"  # in the folder of a run
#: What to do about a run whose recipe has changed too much.
REMEDY = "resume with the recipe it was started with, or start another run"


@dataclass
class Position:
    """Where a training is; nobody writes into it but its own methods.

    Attributes:
        step: updates done; the next one is number `step`, counted from 0.
        items: pairs seen by all devices; the next is number `items`.
        best: the best score so far; None before the first validation.
        skipped: steps in a row, up to this one, whose gradients were not finite.
        spent: seconds until the clock was started last.
    """

    step: int = 0
    items: int = 0
    best: float | None = None
    skipped: int = 0
    spent: float = 0.0
    _started: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        """Time spent, interruptions left out."""
        return self.spent + monotonic() - self._started

    def start_clock(self) -> None:
        """Count seconds from now on."""
        self._started = monotonic()

    def advance(self, items: int, finite: bool) -> None:
        """One more step, with so many items; `finite` says whether it changed the weights."""
        self.step += 1
        self.items += items
        self.skipped = 0 if finite else self.skipped + 1

    def set_best(self, score: float) -> None:
        """Remember a score that is better than all before."""
        self.best = score


@dataclass(frozen=True)
class TrainingState:
    """A moment between two steps.

    Args:
        step, items, best: as in `Position`.
        seconds: spent.
        network: state dict of the network, or of the model where there are several.
        average: state dict of its moving average, with the same keys.
        updates: of the average.
        optimiser: state dict of the optimiser, whose parameters are those of the network that take
            gradients, in their order, then those of `learned` in a group of their own.
        model: `Recipe.model`, plain values that say what the weights belong to.
        learned: state dict of what the loss learns; empty for most, and absent in older files.
        averages: state dicts of the averages of `Recipe.averages`, by length, after as many
            updates; empty for most, and absent in older files.
        adversary: `Adversary.state`; empty for most, and absent in older files.
        history: state dict of the `History` of losses by time; likewise.
        upper_band: "config" and "weights" of the `BandGains` of the model that the training started
            from, which stay with it; likewise.
        autoencoder: state dict of the transform, where that has weights; likewise.
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
    history: Mapping[str, Any] = field(default_factory=dict)
    upper_band: Mapping[str, Any] = field(default_factory=dict)
    autoencoder: Mapping[str, Any] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        """Where the training goes on."""
        return Position(self.step, self.items, self.best, spent=self.seconds)

    @property
    def band_gains(self) -> BandGains | None:
        """The upper band. Raises `RecipeError` for weights of another one."""
        if not self.upper_band:
            return None
        network = BandGains(**self.upper_band["config"])
        fill(network, self.upper_band["weights"], "weights of the upper band")
        return network.eval().requires_grad_(False)


def save_state(state: TrainingState, path: Path) -> None:
    """Write the file; it appears whole or not at all."""
    values = {"format": FORMAT} | {f.name: getattr(state, f.name) for f in fields(state)}
    for name in ("history", "upper_band", "autoencoder"):  # earlier versions read files without
        if not values[name]:
            del values[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        torch.save(values, part)


def load_state(path: Path) -> TrainingState:
    """Read the file, onto the CPU. Raises `RecipeError` for what is no training state."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise RecipeError(
            f"{path} cannot be read as a training state ({one_line(error)})"
        ) from error
    names = {f.name for f in fields(TrainingState)}
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise RecipeError(f"{path} is not a training state of format {FORMAT}")
    absent = ("learned", "averages", "adversary", "history", "upper_band", "autoencoder")
    values = dict[str, Any]({name: {} for name in absent}) | values
    if values.keys() != names:
        odd = ", ".join(sorted(values.keys() ^ names))
        raise RecipeError(f"{path} is not a whole training state; missing or unknown: {odd}")
    return TrainingState(**values)


def fill(network: nn.Module, weights: Mapping[str, Any], owner: str = "weights") -> None:
    """Load a state dict. Raises `RecipeError` for one of another network."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RecipeError(
            f"the {owner} do not fit the recipe's network: {one_line(error)}"
        ) from error


def one_line(error: Exception) -> str:
    """What an error of a library says, for a message of one line."""
    return " ".join(str(error).split())[:300]
