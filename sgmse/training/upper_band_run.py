"""Training of the network for the sound above the band of a model: from its recipe to a run folder.

The model takes most of the time. So each update learns from pairs that are drawn from a pool, in
which a few new ones take the place of the oldest. The pool of a run that resumes begins anew, so
that its weights are not to the bit those of one that was never interrupted.
"""

import pickle
import shlex
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sgmse import config
from sgmse._files import whole, write_whole
from sgmse.checkpoints import Checkpoint, load_model, save
from sgmse.config import to_plain
from sgmse.data.training_pairs import ConsecutiveBatches, PairDataset
from sgmse.enhancer import Enhancer
from sgmse.errors import RecipeError
from sgmse.networks import BandGains
from sgmse.postprocessing import UpperBand
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.delivery import ignore_interrupts
from sgmse.training.recipe_files import RECIPE
from sgmse.training.state import STATE, Position, one_line
from sgmse.training.upper_band import Heard, UpperBandRecipe, hear, loss_of

MODEL, RESULT = "model", "best"  # in the folder of a run: what it starts from, and with the band


def train_upper_band(
    recipe: UpperBandRecipe, root: Path, folder: Path, origin: Checkpoint | None
) -> Path:
    """Train the network for a model, and write the model with it to the run folder.

    Args:
        recipe: of the training.
        root: the folder that relative folders of the recipe are in.
        folder: of the run.
        origin: the model, whose own upper band, if it has one of that shape, is trained further;
            None to go on with the run in the folder.

    Raises:
        RecipeError: the model hears all of the band, the data or the folder cannot be used.
        KeyboardInterrupt: Ctrl-C (or SIGTERM) ended it; what is done is saved.
    """
    resume = origin is None
    _check_folder(folder, resume)
    if origin is None:
        origin = load_model(folder / MODEL)
    rate = origin.front.sample_rate
    if not rate < recipe.sample_rate:
        raise RecipeError(
            f"sample_rate: the model hears all of {recipe.sample_rate} Hz; it has {rate} Hz"
        )
    cache = folder / "cache" if recipe.cache is None else root / recipe.cache
    pairs = recipe.data.open(root, cache, recipe.sample_rate, recipe.seed)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    learner = _Learner(recipe, rate, origin.upper_band)
    if resume:
        learner.restore(folder / STATE)
    else:
        save(origin, folder / MODEL, classes=RECIPE_CLASSES)
    plain = to_plain(recipe.below(root), RECIPE_CLASSES, UpperBandRecipe)
    write_whole(folder / RECIPE, config.to_yaml(plain).encode())
    weights = sum(p.numel() for p in learner.network.parameters())
    print(f"BandGains, {weights / 1e3:.0f} k weights; {pairs.summary}; writing to {folder}")
    learner.position.start_clock()
    with _interrupts() as interrupted:
        _learn(learner, pairs, Enhancer.of(origin), folder / STATE, interrupted)
    step = learner.position.step
    if interrupted:
        again = f"go on with: sgmse train --resume -o {shlex.quote(str(folder))}"
        raise KeyboardInterrupt(f"step {step} is saved; {again}")
    network = learner.network.eval().requires_grad_(False)
    result = folder / RESULT
    save(replace(origin, upper_band=network), result, classes=RECIPE_CLASSES)
    print(f"done after {step} steps; the model is {result}")
    return folder


def _check_folder(folder: Path, resume: bool) -> None:
    """Raise `RecipeError` for a folder with a run that is not resumed, or without one that is."""
    exists = (folder / STATE).exists()
    if exists and not resume:
        raise RecipeError(f"{folder} holds a run; go on with --resume, or name another folder")
    if not exists and resume:
        raise RecipeError(f"{folder} holds no {STATE} to resume from; name the run with --output")


class _Learner:
    """The network on its way, with its optimiser.

    Args:
        recipe: of the training.
        rate: of the model.
        before: the upper band that it has, where it starts if that has the shape of the recipe's.
    """

    def __init__(self, recipe: UpperBandRecipe, rate: int, before: BandGains | None) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.network = BandGains(**recipe.upper_band.config)
        if before is not None and before.config == self.network.config:
            self.network.load_state_dict(before.state_dict())
        self.optimiser = torch.optim.Adam(self.network.parameters(), recipe.lr)
        self.band = UpperBand(self.network, recipe.sample_rate, rate)
        self.position = Position()

    @property
    def progress(self) -> float:
        """Share of the training that is done, by steps or by the clock, whichever leads."""
        by_steps, hours = self.position.step / self.recipe.steps, self.recipe.hours
        return by_steps if hours is None else max(by_steps, self.position.seconds / 3600 / hours)

    def update(self, pairs: list[Heard], progress: float) -> dict[str, float]:
        """One step; the parts of its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.lr * (1 + cos(pi * progress)) / 2
        terms = loss_of(self.band, pairs)
        self.optimiser.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        finite = bool(norm.isfinite())
        if finite:
            self.optimiser.step()
        self.position.advance(len(pairs), finite)
        return {name: float(value.detach()) for name, value in terms.items()}

    def save(self, file: Path) -> None:
        """Write this moment."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.position.step,
            "seconds": self.position.seconds,
        }
        with whole(file) as part:
            torch.save(state, part)

    def restore(self, file: Path) -> None:
        """Go back to a moment. Raises `RecipeError` for a file of another training."""
        try:
            state = torch.load(file, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.position = Position(int(state["step"]), spent=float(state["seconds"]))
        except (OSError, EOFError, RuntimeError, LookupError, pickle.UnpicklingError) as error:
            raise RecipeError(f"{file} is no state of this training ({one_line(error)})") from error


def _learn(
    learner: _Learner, pairs: PairDataset, model: Enhancer, file: Path, interrupted: list[int]
) -> None:
    """All steps, or those up to an interrupt; the state goes to a file."""
    recipe, position = learner.recipe, learner.position
    drawn = _drawn(recipe, pairs, model.with_sampler(shifts=1, force=True), position.step)
    curves: list[dict[str, float]] = []
    total, step = recipe.steps, position.step
    with tqdm(total=total, initial=step, desc="training", unit="step", disable=None) as bar:
        while not interrupted and (progress := learner.progress) < 1:
            curves.append(learner.update(next(drawn), progress))
            bar.update()
            if position.step % recipe.log_every == 0:
                mean = {name: np.mean([c[name] for c in curves]) for name in curves[0]}
                curves.clear()
                text = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
                tqdm.write(f"step {position.step} after {position.seconds:.0f} s: {text}")
            if position.step % recipe.save_every == 0:
                learner.save(file)
        learner.save(file)


class _Indexed(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, pairs: PairDataset) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pairs[index]


def _drawn(
    recipe: UpperBandRecipe, pairs: PairDataset, model: Enhancer, step: int
) -> Iterator[list[Heard]]:
    """The pairs of each update, from that step on."""
    pool: deque[Heard] = deque(maxlen=recipe.pool)
    first = step * recipe.fresh + (recipe.batch if step else 0)
    batches = iter(
        DataLoader(
            _Indexed(pairs),
            batch_sampler=ConsecutiveBatches(first, recipe.steps + recipe.batch, recipe.fresh),
            num_workers=recipe.workers,
            prefetch_factor=4 if recipe.workers else None,
            worker_init_fn=ignore_interrupts,
        )
    )
    for number in count(step):
        while True:
            clean, noisy = next(batches)
            pool.extend(hear(model, clean, noisy, recipe.sample_rate))
            if len(pool) >= recipe.batch:
                break
        rng = np.random.default_rng([recipe.seed, number])
        yield [pool[i] for i in rng.choice(len(pool), recipe.batch, replace=False)]


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that is empty until the first Ctrl-C or SIGTERM; a second one raises."""
    got: list[int] = []

    def note(number: int, frame: object) -> None:
        if got:
            raise KeyboardInterrupt
        got.append(number)
        tqdm.write("stopping after this step; once more to stop at once")

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # only the main thread may listen
        before = {}
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
