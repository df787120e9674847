"""What the network for the sound above the band of a model learns from (`networks.BandGains`).

The model, which stays as it is, enhances mixtures at the rate of the recordings; the network learns
what to leave of the mixtures above its band:

    loss = d + 20 |c(z) - c(s)|^2,     z = istft(g U),     c(X) = |X|^0.3 X / |X|

with d the log-spectral distance above the band of the model in units of 5 dB (from 8 to 20 kHz for
one at 16 kHz, as `sgmse.metrics.lsd_high` measures it), and the truth s, the clean recording less
its round trip through the rate of the model.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from sgmse import config
from sgmse._checks import kinds
from sgmse.audio import resample
from sgmse.config import errors_as, from_plain
from sgmse.data._checked import Within
from sgmse.data.training_pairs import TrainingData
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, RecipeError
from sgmse.networks import BandGains
from sgmse.postprocessing import UpperBand
from sgmse.training.classes import RECIPE_CLASSES

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
