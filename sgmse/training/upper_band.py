"""Training of the network for what lies above the band of a model (`sgmse.networks.BandGains`).

The model, which stays as it is, enhances mixtures at the rate of the recordings; the network learns
what to leave of the mixtures above its band:

    loss = d + 20 |c(z) - c(s)|^2,     z = istft(g U),     c(X) = |X|^0.3 X / |X|

with d the log-spectral distance above the band of the model in units of 5 dB (from 8 to 20 kHz for
one at 16 kHz, as `sgmse.metrics.lsd_high` measures it), and the truth s, the clean recording less
its round trip through the rate of the model.

The model takes most of the time. So each update learns from pairs that are drawn from a pool, in
which a few new ones take the place of the oldest. The pool of a run that resumes begins anew, so
that its weights are not to the bit those of one that was never interrupted.
"""

import pickle
import shlex
import signal
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import cos, pi
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sgmse import config
from sgmse._checks import kinds
from sgmse._files import whole, write_whole
from sgmse.audio import resample
from sgmse.checkpoints import Checkpoint, load_model, save
from sgmse.config import errors_as, from_plain, to_plain
from sgmse.data._checked import Within
from sgmse.data.training_pairs import ConsecutiveBatches, PairDataset, TrainingData
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, RecipeError
from sgmse.networks import BandGains
from sgmse.postprocessing import UpperBand
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.delivery import ignore_interrupts
from sgmse.training.recipe_files import RECIPE
from sgmse.training.state import STATE, one_line

MODEL, RESULT = "model", "best"  # in the folder of a run: what it starts from, and with the band
DEPTH = 1e-8  # of the loudest bin of the truth, below which nothing is heard
LONG, QUARTER = 2048, 512  # samples of the frames of the distance, at 48 kHz
DISTANCE = 5.0  # dB
COMPRESSED = 20.0


@dataclass(frozen=True, eq=False)
class UpperBandRecipe:
    """A training of an upper band.

    Args:
        upper_band: the network.
        data: pairs at the sample rate.
        sample_rate: in Hz, more than that of the model.
        batch: pairs of an update.
        fresh: new pairs of an update.
        pool: pairs to draw from.
        steps, hours: end after so many updates, or so much time, whatever comes first.
        lr: the largest rate of Adam, which falls to 0 along a half of a cosine.
        clip: largest norm of the gradients.
        seed: of all that is random.
        workers, threads, cache, save_every, log_every: as in `Trainer`.
    """

    upper_band: BandGains
    data: TrainingData
    sample_rate: Annotated[int, Within(16001)] = 48000
    batch: Annotated[int, Within(1)] = 8
    fresh: Annotated[int, Within(1)] = 2
    pool: Annotated[int, Within(1)] = 256
    steps: Annotated[int, Within(1)] = 3000
    hours: float | None = None
    lr: float = 2e-3
    clip: float = 1.0
    seed: Annotated[int, Within(0)] = 0
    workers: Annotated[int, Within(0)] = 1
    threads: int | None = None
    cache: Path | None = None
    save_every: Annotated[int, Within(1)] = 200
    log_every: Annotated[int, Within(1)] = 50

    def __post_init__(self) -> None:
        kinds(self)
        for name in ("lr", "clip", "hours"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ArgumentError(f"{name} must be positive, not {value}")
        if self.pool < self.batch:
            raise ArgumentError(
                f"pool {self.pool} must hold at least the pairs of a batch, {self.batch}"
            )
        least = round(LONG * self.sample_rate / 48000)
        if self.data.samples < least:
            raise ArgumentError(
                f"data.samples must be at least {least}, a frame of the loss at "
                f"{self.sample_rate} Hz, not {self.data.samples}"
            )

    def below(self, root: Path) -> "UpperBandRecipe":
        """The same with absolute folders, for a place apart from them."""
        source = replace(self.data, **{n: root / getattr(self.data, n) for n in self.data.folders})
        cache = None if self.cache is None else root / self.cache
        return replace(self, data=source, cache=cache)


class Heard(NamedTuple):
    """A pair as the network learns from it, rows of samples: of the result, the recording through
    the rate of the model, what lies above that, and what should."""

    x: Tensor
    v: Tensor
    u: Tensor
    target: Tensor
    loudest: Tensor  # power of a bin of the clean recording, ()


def upper_band_recipe(
    values: dict[str, Any], overrides: Sequence[str], path: Path
) -> UpperBandRecipe:
    """The recipe of values, with `key.sub=value` set over it. Raises `RecipeError`."""
    with errors_as(RecipeError):
        for assignment in overrides:
            config.override(values, assignment)
    with errors_as(RecipeError, path):
        recipe: UpperBandRecipe = from_plain(UpperBandRecipe, values, RECIPE_CLASSES)
    return recipe


def hear(enhancer: Enhancer, clean: Tensor, noisy: Tensor, sample_rate: int) -> Iterator[Heard]:
    """Pairs (batch, samples), as the network learns from them."""
    rate, samples = enhancer.front.sample_rate, noisy.shape[-1]

    def there_and_back(audio: Tensor) -> Tensor:
        return resample(resample(audio, sample_rate, rate), rate, sample_rate, samples)

    # As the model hears it: with a peak of 1.
    scale = 1 / noisy.abs().amax(dim=1, keepdim=True).clamp(min=1e-5)
    clean, noisy = clean * scale, noisy * scale
    with warnings.catch_warnings():  # of pairs that are no recordings of anyone
        warnings.simplefilter("ignore")
        x = enhancer(noisy[:, None], sample_rate, upper_band=False)[:, 0]
    v = there_and_back(noisy)
    target = clean - there_and_back(clean)
    loudest = _powers(clean, sample_rate).amax(dim=(1, 2))
    yield from map(Heard, x, v, noisy - v, target, loudest)


def _powers(audio: Tensor, sample_rate: int) -> Tensor:
    """(batch, frequencies, frames) in frames of 43 ms."""
    length, hop = (round(n * sample_rate / 48000) for n in (LONG, QUARTER))
    window = torch.hann_window(length)
    spectra = torch.stft(audio, length, hop, window=window, center=False, return_complex=True)
    return spectra.abs().square()


def loss_of(band: UpperBand, pairs: list[Heard]) -> dict[str, Tensor]:
    """ "loss", and its parts."""
    x, v, u, target, loudest = (torch.stack(rows) for rows in zip(*pairs, strict=True))
    spectra = [band.spectra.forward(row.numpy()) for row in (x, v, u, target)]
    gains = band.gains(*spectra[:3])
    z = band.spectra.sound(gains * spectra[2], u.shape[1])
    floor = (DEPTH * loudest)[:, None, None]
    powers = [_powers(sound, band.sample_rate) for sound in (z, target)]
    frequencies = torch.linspace(0, band.sample_rate / 2, powers[0].shape[1])
    above = (frequencies >= band.edge) & (frequencies < 2.5 * band.edge)
    logs = [10 * (power[:, above] + floor).log10() for power in powers]
    squares = (logs[0] - logs[1]).square().mean(dim=1)
    distance = (squares + 1e-4).sqrt().mean()

    def compressed(spectra: Tensor) -> Tensor:
        scale = spectra / (band.spectra.length / 4)
        return scale * (scale.abs().square() + 1e-10).pow((0.3 - 1) / 2)

    difference = compressed(band.spectra.forward_of(z)) - compressed(spectra[3])
    error = difference.abs().square().mean()
    return {
        "loss": distance / DISTANCE + COMPRESSED * error,
        "distance": distance,
        "compressed": error,
    }


class _Indexed(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, pairs: PairDataset) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pairs[index]


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
    state_file = folder / STATE
    if state_file.exists() and not resume:
        raise RecipeError(f"{folder} holds a run; go on with --resume, or name another folder")
    if not state_file.exists() and resume:
        raise RecipeError(f"{folder} holds no {STATE} to resume from; name the run with --output")
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
    torch.manual_seed(recipe.seed)
    network = BandGains(**recipe.upper_band.config)
    before = origin.upper_band
    if before is not None and before.config == network.config:
        network.load_state_dict(before.state_dict())
    optimiser = torch.optim.Adam(network.parameters(), recipe.lr)
    step, spent = 0, 0.0
    if resume:
        try:
            state = torch.load(state_file, weights_only=True)
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            step, spent = int(state["step"]), float(state["seconds"])
        except (OSError, EOFError, RuntimeError, LookupError, pickle.UnpicklingError) as error:
            raise RecipeError(
                f"{state_file} is no state of this training ({one_line(error)})"
            ) from error
    else:
        save(origin, folder / MODEL, classes=RECIPE_CLASSES)
    plain = to_plain(recipe.below(root), RECIPE_CLASSES, UpperBandRecipe)
    write_whole(folder / RECIPE, config.to_yaml(plain).encode())
    weights = sum(p.numel() for p in network.parameters())
    print(f"BandGains, {weights / 1e3:.0f} k weights; {pairs.summary}; writing to {folder}")
    started = monotonic()

    def seconds() -> float:
        return spent + monotonic() - started

    def keep() -> None:
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "seconds": seconds(),
        }
        with whole(state_file) as part:
            torch.save(state, part)

    enhancer = Enhancer.of(origin).with_sampler(shifts=1, force=True)
    band = UpperBand(network, recipe.sample_rate, rate)
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
    curves: list[dict[str, float]] = []
    bar = tqdm(total=recipe.steps, initial=step, desc="training", unit="step", disable=None)
    with _interrupts() as interrupted, bar:
        while step < recipe.steps and not interrupted:
            progress = step / recipe.steps
            if recipe.hours is not None:
                progress = max(progress, seconds() / 3600 / recipe.hours)
            if progress >= 1:
                break
            while True:
                clean, noisy = next(batches)
                pool.extend(hear(enhancer, clean, noisy, recipe.sample_rate))
                if len(pool) >= recipe.batch:
                    break
            rng = np.random.default_rng([recipe.seed, step])
            chosen = [pool[i] for i in rng.choice(len(pool), recipe.batch, replace=False)]
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * (1 + cos(pi * progress)) / 2
            terms = loss_of(band, chosen)
            optimiser.zero_grad()
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            if norm.isfinite():
                optimiser.step()
            step += 1
            bar.update()
            curves.append({name: float(value.detach()) for name, value in terms.items()})
            if step % recipe.log_every == 0:
                mean = {name: np.mean([c[name] for c in curves]) for name in curves[0]}
                curves.clear()
                text = ", ".join(f"{name} {value:.4g}" for name, value in mean.items())
                tqdm.write(f"step {step} after {seconds():.0f} s: {text}")
            if step % recipe.save_every == 0:
                keep()
        keep()
    if interrupted:
        again = f"go on with: sgmse train --resume -o {shlex.quote(str(folder))}"
        raise KeyboardInterrupt(f"step {step} is saved; {again}")
    network.eval().requires_grad_(False)
    result = folder / RESULT
    save(replace(origin, upper_band=network), result, classes=RECIPE_CLASSES)
    print(f"done after {step} steps; the model is {result}")
    return folder


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
