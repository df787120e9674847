"""Validation: enhance recordings, score them, and show some.

Needs the packages of the extra `train`, which are imported where they are used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from sgmse import metrics
from sgmse._extras import imported
from sgmse.data.cache import read_mono
from sgmse.data.degradations import Audio
from sgmse.data.training_pairs import matched, recordings
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES: Mapping[str, Any] = {
    f.__name__: f
    for f in (metrics.pesq_wb, metrics.pesq_nb, metrics.stoi, metrics.estoi, metrics.si_sdr)
}


ScoreName = Literal["pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr"]
#: Rates that a score is defined at, where not at all.
SCORE_RATES: Mapping[str, tuple[int, ...]] = {"pesq_wb": (16000,), "pesq_nb": (8000, 16000)}


@dataclass(frozen=True)
class Validation:
    """Pairs that are enhanced with the averaged weights and scored while training goes on.

    Args:
        clean, noisy: folders with files of the same names.
        files: how many, evenly spaced over the sorted names; all if absent.
        every: steps between validations; there is always one at the end.
        scores: which ones.
        best: the score by which the best weights are kept.
        examples: how many of the files TensorBoard gets as audio and spectrograms.
    """

    clean: Path
    noisy: Path
    files: int | None = None
    every: int = 1000
    scores: tuple[ScoreName, ...] = ("pesq_wb", "estoi", "si_sdr")
    best: ScoreName = "pesq_wb"
    examples: int = 3

    def __post_init__(self) -> None:
        if self.every < 1 or self.examples < 0 or (self.files is not None and self.files < 1):
            raise ArgumentError("every and files must be at least 1, examples at least 0")
        if self.best not in self.scores:
            raise ArgumentError(
                f"best is {self.best}, which scores [{', '.join(self.scores)}] lack"
            )


class Pair(NamedTuple):
    """Files of one recording."""

    name: str
    clean: Path
    noisy: Path


@dataclass(frozen=True)
class Example:
    """What a listener compares."""

    name: str
    clean: Audio
    noisy: Audio
    enhanced: Audio


def pairs_of(validation: Validation, root: Path) -> list[Pair]:
    """The files to enhance, evenly spaced over all. Raises `RecipeError` for bad folders."""
    clean, noisy = root / validation.clean, root / validation.noisy
    left, right = recordings("validation.clean", clean), recordings("validation.noisy", noisy)
    pairs = [
        Pair(left[c], clean / left[c], noisy / right[n])
        for c, n in matched("validation", left, right)
    ]
    count = min(validation.files or len(pairs), len(pairs))
    return [pairs[i * len(pairs) // count] for i in range(count)]


def evaluate(
    enhancer: Enhancer, pairs: Sequence[Pair], scores: Sequence[str], examples: int = 0
) -> tuple[np.ndarray, list[Example]]:
    """Scores (pairs, scores), NaN for what a score is not defined on, and the first examples."""
    table = np.full((len(pairs), len(scores)), nan)
    shown: list[Example] = []
    for row, pair in zip(table, pairs, strict=True):
        clean, noisy = (read_mono(file, enhancer.sample_rate) for file in (pair.clean, pair.noisy))
        enhanced = enhancer(noisy, enhancer.sample_rate)
        for column, name in enumerate(scores):
            try:
                row[column] = SCORES[name](clean, enhanced, enhancer.sample_rate)
            except metrics.MetricError:
                continue  # such as silence, which early weights may well give
        if len(shown) < examples:
            shown.append(Example(pair.name, clean, noisy, enhanced))
    return table, shown


def means(table: np.ndarray, scores: Sequence[str]) -> dict[str, float]:
    """The mean of each score over what it is defined on; NaN if that is nothing."""
    defined = np.isfinite(table)
    sums = np.where(defined, table, 0).sum(axis=0)
    counts = defined.sum(axis=0)
    return {
        name: float(s / n) if n else nan for name, s, n in zip(scores, sums, counts, strict=True)
    }


def figure(example: Example, sample_rate: int) -> "Figure":
    """Spectrograms of the noisy, the enhanced and the clean recording, in one scale of 80 dB."""
    figures = imported("matplotlib.figure", "training", "train")
    panels = {"noisy": example.noisy, "enhanced": example.enhanced, "clean": example.clean}
    levels = {name: _decibels(samples) for name, samples in panels.items()}
    top = max(float(level.max()) for level in levels.values())
    result = figures.Figure(figsize=(12, 3.2))
    result.subplots_adjust(0.06, 0.16, 0.99, 0.9, wspace=0.08)
    axes = result.subplots(1, 3, sharey=True)
    for axis, (name, level) in zip(axes, levels.items(), strict=True):
        extent = (0, len(example.clean) / sample_rate, 0, sample_rate / 2000)
        axis.imshow(
            level,
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=top - 80,
            vmax=top,
            cmap="magma",
        )
        axis.set(title=name, xlabel="s")
    axes[0].set_ylabel("kHz")
    return result


def _decibels(samples: Audio) -> np.ndarray:
    window = torch.hann_window(512)
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (256, 256))
    x = torch.stft(padded, 512, 128, window=window, center=False, return_complex=True)
    return (20 * x.abs().clamp(min=1e-6).log10()).numpy()
