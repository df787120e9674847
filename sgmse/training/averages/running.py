"""Averages that follow the weights from update to update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from typing_extensions import override

from sgmse.errors import ArgumentError, RecipeError
from sgmse.training.averages.profiles import check_length, decay, exponent
from sgmse.training.state import REMEDY


class Averaged(AveragedModel):
    """average <- d average + (1 - d) weights,     d = decay(n) at update n = 2, 3, ...

    It is equal to the network until the first update, which copies the weights, and takes no
    gradients. Parameters are averaged in their own precision, on their device, buffers copied.
    `updates` are counted on the host: torch's own count is on the device, and each look at it
    waits.
    """

    def __init__(self, network: nn.Module, decay: Callable[[int], float]) -> None:
        super().__init__(network)
        self.decay, self.updates = decay, 0
        self.requires_grad_(False)

    def count(self, updates: int) -> None:
        """Go on after so many updates."""
        self.updates = updates
        self.n_averaged.fill_(updates)

    @torch.no_grad()
    @override
    def update_parameters(self, model: nn.Module) -> None:
        """One more update of the network."""
        average, weights = list(self.module.parameters()), list(model.parameters())
        self.updates += 1
        if self.updates == 1:
            for mine, its in zip(average, weights, strict=True):
                mine.copy_(its)
        else:
            step: Callable[[float], Callable[..., None]] = get_ema_multi_avg_fn
            step(self.decay(self.updates))(average, weights, self.updates)
        for kept, new in zip(self.module.buffers(), model.buffers(), strict=True):
            kept.copy_(new)
        self.n_averaged += 1


@dataclass(frozen=True)
class EMA:
    """Exponential moving average of the weights; it is what is validated and saved.

        average <- d average + (1 - d) weights
        d = 0 at update 1, which copies the weights
        d = min(decay, (1 + n) / (10 + n)) at update n = 2, 3, ...

    Args:
        decay: d in the long run.
        warmup: whether d rises to it as above, so that the first weights are forgotten; else
            d = decay from update 2 on.
    """

    decay: float = 0.999
    warmup: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ArgumentError(f"{self}: decay must lie in [0, 1)")

    def build(self, network: nn.Module) -> Averaged:
        """The average, equal to the network until the first update; it takes no gradients."""
        return Averaged(network, self.decay_at)

    def decay_at(self, update: int) -> float:
        """d at update 2, 3, ..."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warmup else self.decay


@dataclass(frozen=True)
class Averages:
    """Averages that a training keeps beside its moving average, to choose one afterwards.

    A snapshot takes 4 bytes for each weight and length: 12 MB for the default model and two
    lengths, 525 MB for a network of 65.6 M weights. While training, as much memory is taken once.

    Args:
        lengths: sigma_rel of each; two of them, the shortest not far above those of interest, do.
        every: steps between snapshots; there is always one at the end. Twenty and more in a
            training give lengths from half the shortest to 0.2.
    """

    lengths: tuple[float, ...] = (0.05, 0.1)
    every: int = 500

    def __post_init__(self) -> None:
        if not self.lengths or len(set(self.lengths)) < len(self.lengths):
            raise ArgumentError(f"lengths must be different ones, at least one, not {self.lengths}")
        for length in self.lengths:
            check_length(length)
        if self.every < 1:
            raise ArgumentError(f"every must be at least 1, not {self.every}")


class PowerAverages(nn.ModuleList):
    """The averages of a network, on its device; without lengths there are none.

    Parameters are averaged in their own precision, buffers copied.
    """

    def __init__(self, network: nn.Module, lengths: Sequence[float]) -> None:
        super().__init__(Averaged(network, partial(decay, exponent(length))) for length in lengths)
        self.lengths = tuple(lengths)

    @property
    def averages(self) -> list[Averaged]:
        """One for each length."""
        return [cast(Averaged, average) for average in self]

    def update(self, network: nn.Module) -> None:
        """One more update of the network."""
        for average in self.averages:
            average.update_parameters(network)

    def states(self) -> dict[float, dict[str, Tensor]]:
        """State dicts of the network by length; the tensors are shared, not copied."""
        pairs = zip(self.lengths, self.averages, strict=True)
        return {length: dict(average.module.state_dict()) for length, average in pairs}

    def restore(self, states: Mapping[float, Mapping[str, Any]], updates: int) -> None:
        """Go back to what they were after so many updates.

        Raises `RecipeError` for averages of other lengths.
        """
        if set(states) != set(self.lengths):
            were, are = (", ".join(map(str, sorted(v))) or "none" for v in (states, self.lengths))
            raise RecipeError(
                f"averages.lengths: the run was started with {were}, the recipe has {are}; {REMEDY}"
            )
        for length, average in zip(self.lengths, self.averages, strict=True):
            average.module.load_state_dict(states[length])
            average.count(updates)
