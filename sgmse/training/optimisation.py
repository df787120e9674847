"""From gradients to weights: optimisers, and the schedule of their rate."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from sgmse.errors import ArgumentError


@dataclass(frozen=True)
class Optimiser(ABC):
    """Makes an optimiser; subclasses are frozen dataclasses of its settings."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not (self.lr > 0 and self.eps > 0 and all(0 <= b < 1 for b in self.betas)):
            raise ArgumentError(f"{self}: lr and eps must be positive, betas in [0, 1)")

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of these parameters."""


@dataclass(frozen=True)
class Adam(Optimiser):
    """`torch.optim.Adam`."""

    @override
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, self.lr, self.betas, self.eps)


@dataclass(frozen=True)
class AdamW(Optimiser):
    """`torch.optim.AdamW`, which pulls the weights towards 0 by lr weight_decay a step."""

    weight_decay: float = 1e-2

    @override
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.lr, self.betas, self.eps, self.weight_decay)


#: Of the quintic a x + b x^3 + c x^5, steep at 0, which five times applied to singular values in
#: [0.01, 1] leads them to 0.7 to 1.2; as updates they are as good as 1.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


def orthogonal(x: Tensor) -> Tensor:
    """About U V^T of x = U S V^T (m, n), by the iteration of Newton and Schulz."""
    wide = x.T if x.shape[0] > x.shape[1] else x
    y: Tensor = (wide / (wide.norm() + 1e-7)).contiguous()
    for _ in range(ITERATIONS):
        square = y @ y.T
        y = A * y + (B * square + C * square @ square) @ y
    return y.T if x.shape[0] > x.shape[1] else y


@dataclass(frozen=True)
class Muon(Optimiser):
    """Orthogonalised momentum for matrices, Adam for biases and gains, at one learning rate.

        M <- mu M + G,    O = U V^T  where  U S V^T = G + mu M
        W <- (1 - lr decay) W - lr 0.2 sqrt(max(rows, columns)) O

    (Jordan et al. 2024, "Muon"; the factor by Liu et al. 2025, arXiv:2502.16982, sec. 2.2, with
    which updates have the root mean square 0.2 that Adam's have, so that learning rates carry
    over.) All that a gradient says of a matrix, along its strong and along its weak directions, is
    followed at one pace. The weight of a convolution is a matrix with a row for each output
    channel; `torch.optim.Muon` takes matrices alone, and no convolutions.

    Args:
        momentum: mu.
        weight_decay: of matrices alone, which are pulled towards 0 by lr weight_decay a step.
    """

    momentum: float = 0.95
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise ArgumentError(
                f"{self}: momentum must lie in [0, 1), weight_decay not be negative"
            )

    @override
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        given = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in given if p.ndim > 1], "matrices": True},
            {"params": [p for p in given if p.ndim <= 1], "matrices": False},
        ]
        return _Steps([group for group in groups if group["params"]], self)


class _Steps(torch.optim.Optimizer):
    """The updates; a group says whether its parameters are `matrices`."""

    def __init__(self, groups: list[dict[str, Any]], settings: Muon) -> None:
        names = ("lr", "betas", "eps", "momentum", "weight_decay")
        defaults = {name: getattr(settings, name) for name in names}
        super().__init__(groups, {**defaults, "matrices": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            update = _momentum if group["matrices"] else _adam
            for p in group["params"]:
                if p.grad is not None:
                    update(p, p.grad, self.state[p], group)


def _momentum(p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(p)
    m = state["momentum"].mul_(group["momentum"]).add_(g)
    o = orthogonal((g + group["momentum"] * m).flatten(1))
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.sub_(group["lr"] * 0.2 * max(o.shape) ** 0.5 * o.reshape(p.shape))


def _adam(p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    if not state:
        state |= {"step": torch.zeros(()), "m": torch.zeros_like(p), "v": torch.zeros_like(p)}
    state["step"] += 1
    (b1, b2), n = group["betas"], float(state["step"])
    m, v = state["m"].lerp_(g, 1 - b1), state["v"].lerp_(g * g, 1 - b2)
    p.sub_(group["lr"] * (m / (1 - b1**n)) / ((v / (1 - b2**n)).sqrt() + group["eps"]))


@dataclass(frozen=True)
class Schedule:
    """Factor on the learning rate: a linear rise, a plateau, a linear fall.

    Args:
        warmup: steps of the rise.
        settle: steps n after which the plateau falls as sqrt(n / step); never if absent (Karras et
            al. 2024, arXiv:2312.02696, eq. 67*).
        decay: share of the whole training, at its end, in which the factor falls.
        final: what it falls to.
    """

    warmup: int = 0
    decay: float = 0.0
    final: float = 0.0
    settle: int | None = None

    def __post_init__(self) -> None:
        if self.warmup < 0 or not (0 <= self.decay <= 1 and 0 <= self.final <= 1):
            raise ArgumentError(
                f"{self}: warmup must not be negative, decay and final lie in [0, 1]"
            )
        if self.settle is not None and self.settle < 1:
            raise ArgumentError(f"{self}: settle must be at least 1")

    def factor(self, step: int, progress: float) -> float:
        """For step 0, 1, ... at a progress from 0 to 1 of the whole training."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fallen = min(max(progress - 1 + self.decay, 0) / self.decay, 1.0) if self.decay else 0.0
        settled = min(1.0, sqrt(self.settle / (step + 1))) if self.settle else 1.0
        return rise * settled * (1 - fallen * (1 - self.final))
