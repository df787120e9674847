"""What goes on around the steps: curves, validation, files, and an end that loses nothing."""

import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tqdm import tqdm
from typing_extensions import override

from sgmse.checkpoints import save
from sgmse.training.averages.snapshots import AVERAGES, remove_later, save_snapshot
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.curves import CURVES, Curves
from sgmse.training.module import Training
from sgmse.training.shared import SharedCurves
from sgmse.training.state import STATE, save_state
from sgmse.training.validation import (
    Evaluation,
    Example,
    Validation,
    ValidationPair,
    evaluate,
    figure,
    means,
)

BEST, LAST = "best", "last"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Session(Callback):
    """Keeps the run folder.

        training_state.pt   to resume from
        last/, best/        checkpoints of the averaged weights
        averages/           snapshots of the recipe's averages
        curves.csv          curves, as a table
        tensorboard/        curves, audio, spectrograms

    Ctrl-C (or SIGTERM) ends the training after the step; a second one ends it at once, and what has
    been saved before stays.

    Args:
        folder: of the run.
        pairs: to validate on.

    Attributes:
        interrupted: whether a signal ended the training.
        shared: curves in Weights & Biases, if a recipe wants them there.
    """

    def __init__(self, folder: Path, pairs: Sequence[ValidationPair] = ()) -> None:
        self.folder = folder
        self.pairs = pairs
        self.interrupted = False
        self.shared: SharedCurves | None = None
        self._bar = tqdm(disable=True)
        self._handlers: dict[int, Any] = {}
        self._curves: Curves | None = None
        self._done: dict[str, int] = {}  # the last step at which something was done

    # Lightning calls these

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a bar and listen for signals."""
        module = _training(pl_module)
        step = module.position.step
        if trainer.is_global_zero:  # what comes after is written again
            remove_later(self.folder / AVERAGES, step)
            self._curves = Curves(self.folder / CURVES, step)
        self._bar = tqdm(
            total=module.recipe.trainer.steps,
            initial=step,
            desc="training",
            unit="step",
            disable=None if trainer.is_global_zero else True,  # None: where stderr is no terminal
            dynamic_ncols=True,
        )
        try:
            self._handlers = {s: signal.signal(s, self._on_signal) for s in SIGNALS}
        except ValueError:  # only the main thread may listen
            self._handlers = {}

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After each step: what is due."""
        module = _training(pl_module)
        recipe, position = module.recipe, module.position
        self._bar.update()
        if position.step % recipe.trainer.log_every == 0:
            self._log(module)
        if position.step % recipe.trainer.save_every == 0:
            self._save(module)
        if recipe.averages is not None and position.step % recipe.averages.every == 0:
            self._snapshot(module)
        hours = recipe.trainer.hours
        over = self.interrupted or (hours is not None and position.seconds >= 3600 * hours)
        # One decision for all devices, or they would wait for each other.
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = True
        elif recipe.validation is not None and position.step % recipe.validation.every == 0:
            self._validate(module, recipe.validation)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last state and, unless interrupted, the last validation."""
        module = _training(pl_module)
        validation = module.recipe.validation
        self._log(module)
        self._save(module)
        # A device that got no signal must not wait in a validation for one that did.
        self.interrupted = trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)
        if not self.interrupted and module.recipe.averages is not None:
            self._snapshot(module)
        if self.interrupted:
            self._write(module, {}, (LAST,))
        elif validation is None:
            self._write(module, {}, (LAST, BEST))
        else:
            self._validate(module, validation)
        self._close()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self._close()

    # What they do

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        tqdm.write("stopping after this step; once more to stop at once")

    def leave(self, failed: bool = False) -> None:
        """Let Weights & Biases know that nothing more comes."""
        if self.shared is not None:
            self.shared.close(failed)

    def _close(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        self._bar.close()

    def _first(self, task: str, module: Training) -> bool:
        """Whether the task has not been done after this step; from now on it has."""
        step = module.position.step
        first = self._done.get(task) != step
        self._done[task] = step
        return first

    def _log(self, module: Training) -> None:
        """The means since the last time, as points of curves, and for people."""
        curves, position = module.take_curves(), module.position
        if not curves or not module.trainer.is_global_zero:
            return
        points: dict[str, list[float]] = {}  # not every update has every term
        for name, value in (item for curve in curves for item in curve.items()):
            points.setdefault(name, []).append(float(value))
        mean = {name: sum(values) / len(values) for name, values in points.items()}
        named = {f"training/{name}": value for name, value in mean.items()}
        self._note(module, named)
        self._bar.set_postfix(loss=f"{mean['loss']:.3g}")
        if self._bar.disable:  # no terminal: a line for the file that the output goes to
            parts = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
            tqdm.write(f"step {position.step} after {position.seconds:.0f} s: {parts}")

    def _note(self, module: Training, points: dict[str, float]) -> None:
        """Points of curves at this step."""
        _board(module).log_metrics(points, module.position.step)
        if self._curves is not None:
            self._curves.add(module.position.step, points)
        if self.shared is not None:
            self.shared.add(module.position.step, points)

    def _save(self, module: Training, again: bool = False) -> None:
        """The training state, once a step unless something new belongs to it."""
        if (self._first("state", module) or again) and module.trainer.is_global_zero:
            save_state(module.state(), self.folder / STATE)

    def _snapshot(self, module: Training) -> None:
        """The recipe's averages, once a step, if there has been an update."""
        if self._first("averages", module) and module.updates and module.trainer.is_global_zero:
            save_snapshot(
                self.folder / AVERAGES,
                module.averages.states(),
                step=module.position.step,
                updates=module.updates,
                model=module.recipe.model,
                training=module.record,
            )

    def _write(self, module: Training, scores: dict[str, float], names: Sequence[str]) -> None:
        """The averaged weights as checkpoints."""
        if module.trainer.is_global_zero:
            for name in names:
                save(module.checkpoint(scores), self.folder / name, classes=RECIPE_CLASSES)

    def _validate(self, module: Training, validation: Validation) -> None:
        """Score the averaged weights, once a step, write them, and keep the best."""
        if not self._first("validation", module):
            return
        self._save(module)  # first what must not be lost
        position = module.position
        scores, found = self._scores(module, validation)
        score = scores[validation.best]
        best = validation.improves(score, position.best)
        if best:
            position.set_best(score)
        self._write(module, scores, (LAST, BEST) if best else (LAST,))
        self._save(module, again=best)
        if module.trainer.is_global_zero:
            self._show(module, scores, found.examples)
            text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            note = f"; the best so far, written to {self.folder / BEST}" if best else ""
            tqdm.write(f"step {position.step}, validation: {text}{note}")
            for name, lines in found.problems.items():
                if lines:
                    tqdm.write(f"no {name} of {len(lines)} recordings, such as {lines[0]}")
            if found.inverted:
                tqdm.write(
                    f"{len(found.inverted)} results have the other polarity than clean speech, "
                    f"such as that of {found.inverted[0]}; the term `level` of a loss hears it"
                )

    def _scores(
        self, module: Training, validation: Validation
    ) -> tuple[dict[str, float], Evaluation]:
        """The mean of each score, the same on all devices; what was found on this one."""
        rank, world = module.trainer.global_rank, module.trainer.world_size
        table = np.full((len(self.pairs), len(validation.scores)), np.nan, np.float32)
        found = evaluate(
            module.enhancer(),
            self.pairs[rank::world],
            validation.scores,
            validation.examples if rank == 0 else 0,
        )
        table[rank::world] = found.table
        # Each device has filled rows of its own.
        gathered = module.all_gather(torch.from_numpy(table).to(module.device))
        assert isinstance(gathered, torch.Tensor)
        rows = gathered.cpu().numpy().reshape(-1, len(validation.scores))
        return means(rows, validation.scores), found

    def _show(self, module: Training, scores: dict[str, float], examples: list[Example]) -> None:
        """Scores, audio and spectrograms for TensorBoard."""
        board, step, rate = _board(module), module.position.step, module.recipe.front.sample_rate
        self._note(module, {f"validation/{name}": value for name, value in scores.items()})
        writer = board.experiment
        for example in examples:
            for name in ("noisy", "enhanced", "clean"):
                samples = torch.from_numpy(getattr(example, name))[None]
                writer.add_audio(f"{example.name}/{name}", samples, step, rate)
            writer.add_figure(example.name, figure(example, rate), step, close=False)
            if self.shared is not None:
                self.shared.show(step, example, rate)
        writer.flush()


def _training(module: LightningModule) -> Training:
    assert isinstance(module, Training)  # all that this callback is given to
    return module


def _board(module: Training) -> TensorBoardLogger:
    logger = module.trainer.logger
    assert isinstance(logger, TensorBoardLogger)  # that of `plan`
    return logger
