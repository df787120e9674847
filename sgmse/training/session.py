"""What goes on around the steps: curves, validation, files, and an end that loses nothing."""

import signal
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tqdm import tqdm

from sgmse.checkpoints import save
from sgmse.training.averages.snapshots import AVERAGES, remove_later, save_snapshot
from sgmse.training.module import Training
from sgmse.training.recipe import RECIPE_CLASSES
from sgmse.training.state import save_state
from sgmse.training.validation import Example, Pair, Validation, evaluate, figure, means

STATE = "training_state.pt"
BEST, LAST = "best", "last"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Session(Callback):
    """Keeps the run folder.

        training_state.pt   to resume from
        last/, best/        checkpoints of the averaged weights
        averages/           snapshots of the recipe's averages
        tensorboard/        curves, audio, spectrograms

    Ctrl-C (or SIGTERM) ends the training after the step; a second one ends it at once, and what has
    been saved before stays.

    Args:
        folder: of the run.
        pairs: to validate on.

    Attributes:
        interrupted: whether a signal ended the training.
    """

    def __init__(self, folder: Path, pairs: Sequence[Pair] = ()) -> None:
        self.folder = folder
        self.pairs = pairs
        self.interrupted = False
        self._bar = tqdm(disable=True)
        self._handlers: dict[int, Any] = {}
        self._saved = self._validated = self._kept = -1  # steps

    # Lightning calls these

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Show a bar and listen for signals."""
        assert isinstance(module, Training)
        if trainer.is_global_zero:  # as for the curves: what comes after is written again
            remove_later(self.folder / AVERAGES, module.step)
        self._bar = tqdm(
            total=module.recipe.trainer.steps,
            initial=module.step,
            desc="training",
            unit="step",
            disable=None if trainer.is_global_zero else True,  # None: where stderr is no terminal
            dynamic_ncols=True,
        )
        try:
            self._handlers = {s: signal.signal(s, self._on_signal) for s in SIGNALS}
        except ValueError:  # only the main thread may listen
            self._handlers = {}

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step: what is due."""
        assert isinstance(module, Training)
        settings, validation = module.recipe.trainer, module.recipe.validation
        self._bar.update()
        if module.step % settings.log_every == 0:
            self._log(trainer, module)
        if module.step % settings.save_every == 0:
            self._save(trainer, module)
        averages = module.recipe.averages
        if averages is not None and module.step % averages.every == 0:
            self._snapshot(trainer, module)
        hours = settings.hours
        over = self.interrupted or (hours is not None and module.seconds >= 3600 * hours)
        # One decision for all devices, or they would wait for each other.
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = True
        elif validation is not None and module.step % validation.every == 0:
            self._validate(trainer, module, validation)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """The last state and, unless interrupted, the last validation."""
        assert isinstance(module, Training)
        validation = module.recipe.validation
        self._log(trainer, module)
        self._save(trainer, module)
        # A device that got no signal must not wait in a validation for one that did.
        self.interrupted = trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)
        if not self.interrupted and module.recipe.averages is not None:
            self._snapshot(trainer, module)
        if self.interrupted:
            self._write(trainer, module, {}, (LAST,))
        elif validation is None:
            self._write(trainer, module, {}, (LAST, BEST))
        elif self._validated != module.step:
            self._validate(trainer, module, validation)
        self._quiet()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self._quiet()

    # What they do

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        tqdm.write("stopping after this step; once more to stop at once")

    def _quiet(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        self._bar.close()

    def _log(self, trainer: Trainer, module: Training) -> None:
        """The means since the last time, as points of curves, and for people."""
        if not module.curves:
            return
        points: dict[str, list[float]] = {}  # not every update has every term
        for name, value in (item for curve in module.curves for item in curve.items()):
            points.setdefault(name, []).append(float(value))
        mean = {name: sum(values) / len(values) for name, values in points.items()}
        module.curves.clear()
        if trainer.is_global_zero:
            named = {f"training/{name}": value for name, value in mean.items()}
            board(trainer).log_metrics(named, module.step)
            self._bar.set_postfix(loss=f"{mean['loss']:.3g}")
            if self._bar.disable:  # no terminal: a line for the file that the output goes to
                parts = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
                tqdm.write(f"step {module.step} after {module.seconds:.0f} s: {parts}")

    def _save(self, trainer: Trainer, module: Training) -> None:
        """The training state, once a step."""
        if trainer.is_global_zero and self._saved != module.step:
            save_state(module.state(), self.folder / STATE)
        self._saved = module.step

    def _snapshot(self, trainer: Trainer, module: Training) -> None:
        """The recipe's averages, once a step, if there has been an update."""
        if trainer.is_global_zero and self._kept != module.step and module.updates:
            save_snapshot(
                self.folder / AVERAGES,
                module.averages.states(),
                step=module.step,
                updates=module.updates,
                model=module.recipe.model,
                training=module.record,
            )
        self._kept = module.step

    def _write(
        self, trainer: Trainer, module: Training, scores: dict[str, float], names: Sequence[str]
    ) -> None:
        """The averaged weights as checkpoints."""
        if trainer.is_global_zero:
            for name in names:
                save(module.checkpoint(scores), self.folder / name, classes=RECIPE_CLASSES)

    def _validate(self, trainer: Trainer, module: Training, validation: Validation) -> None:
        """Score the averaged weights, write them, and keep the best."""
        self._save(trainer, module)  # first what must not be lost
        self._validated = module.step
        rank, world = trainer.global_rank, trainer.world_size
        table = np.full((len(self.pairs), len(validation.scores)), np.nan, np.float32)
        table[rank::world], shown = evaluate(
            module.enhancer(),
            self.pairs[rank::world],
            validation.scores,
            validation.examples if rank == 0 else 0,
        )
        # Each device has filled rows of its own.
        gathered = module.all_gather(torch.from_numpy(table).to(module.device))
        assert isinstance(gathered, torch.Tensor)
        rows = gathered.cpu().numpy().reshape(-1, len(validation.scores))
        scores = means(rows, validation.scores)
        score = scores[validation.best]
        best = not isnan(score) and (module.best is None or score > module.best)
        if best:
            module.best = score
            self._saved = -1  # it is part of the state
        self._write(trainer, module, scores, (LAST, BEST) if best else (LAST,))
        self._save(trainer, module)
        if trainer.is_global_zero:
            self._show(trainer, module, scores, shown)
            text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            note = f"; the best so far, written to {self.folder / BEST}" if best else ""
            tqdm.write(f"step {module.step}, validation: {text}{note}")

    def _show(
        self, trainer: Trainer, module: Training, scores: dict[str, float], shown: list[Example]
    ) -> None:
        """Scores, audio and spectrograms for TensorBoard."""
        points = {f"validation/{name}": value for name, value in scores.items()}
        board(trainer).log_metrics(points, module.step)
        writer, rate = board(trainer).experiment, module.recipe.sample_rate
        for example in shown:
            for name in ("noisy", "enhanced", "clean"):
                samples = torch.from_numpy(getattr(example, name))[None]
                writer.add_audio(f"{example.name}/{name}", samples, module.step, rate)
            writer.add_figure(example.name, figure(example, rate), module.step, close=False)
        writer.flush()


def board(trainer: Trainer) -> TensorBoardLogger:
    """The logger that `run` gave the trainer."""
    assert isinstance(trainer.logger, TensorBoardLogger)
    return trainer.logger
