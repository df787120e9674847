"""How a training runs: the section of a recipe on the run itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgmse.errors import ArgumentError


@dataclass(frozen=True)
class Trainer:
    """How a training runs.

    Args:
        batch: pairs at a time, on each device.
        accumulate: batches that a step takes, one after the other, each of which needs memory
            alone: the step is that of one batch of so many times as many pairs.
        steps: end after so many in all, those before an interruption included.
        hours: end after so many of them, likewise; whatever is reached first ends it.
        precision: of the network; the loss and the weights are float32.
        clip: largest norm of the gradients.
        seed: of all that is random.
        accelerator, devices: what Lightning offers; "auto" and all of them by default.
        nodes: machines, each with so many devices, on which this same command was started by
            torchrun or SLURM.
        workers: processes that prepare pairs; 0 prepares them in the training itself.
        threads: of the processor for the network; torch's choice if absent.
        channels_last: memory order of convolutions, quicker on most processors.
        cache: folder for decoded audio; `cache` in the run folder if absent.
        save_every: steps between savings of the training state.
        log_every: steps between points of a curve.
        wandb: "PROJECT" or "TEAM/PROJECT" of Weights & Biases that gets the curves, too.
    """

    batch: int = 8
    accumulate: int = 1
    steps: int | None = None
    hours: float | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    clip: float | None = None
    seed: int = 0
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int | None = None
    nodes: int = 1
    workers: int = 1
    threads: int | None = None
    channels_last: bool = True
    cache: Path | None = None
    save_every: int = 500
    log_every: int = 50
    wandb: str | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.hours is None:
            raise ArgumentError("say when to end, with steps or hours")
        counts = ("batch", "accumulate", "steps", "devices", "nodes", "threads")
        for name in (*counts, "save_every", "log_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"{name} must be at least 1, not {value}")
        for name in ("hours", "clip"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ArgumentError(f"{name} must be positive, not {value}")
        if self.wandb is not None and not self.wandb.rpartition("/")[2].strip():
            raise ArgumentError(f"wandb must be PROJECT or TEAM/PROJECT, not {self.wandb!r}")
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"{name} must not be negative, not {getattr(self, name)}")

    @property
    def pairs(self) -> int:
        """Of a step, on each device."""
        return self.batch * self.accumulate

    def pairs_of_all(self, devices: int = 1) -> int:
        """Of a step, on all devices together; with so many of a machine where it is not said."""
        return self.pairs * (self.devices or devices) * self.nodes
