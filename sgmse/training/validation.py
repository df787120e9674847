"""Validation: recordings enhanced with the averaged weights, scored, and a few of them shown.

Needs the packages of the extra `train`, which are imported where they are used.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sgmse import audio
from sgmse._extras import imported
from sgmse.data.degradations import Audio
from sgmse.data.mono import alike
from sgmse.data.pairs import evenly_spaced
from sgmse.data.training_pairs import section_pairs
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, AudioError, MetricError, RecipeError, RecordingWarning
from sgmse.metrics.measures import Measure, select
from sgmse.scoring.pair import LIKENESS, TOLERANCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ValidationPair(NamedTuple):
    """The files of one recording, and its name."""

    name: str
    clean: Path
    noisy: Path


@dataclass(frozen=True)
class Validation:
    """Pairs that are enhanced with the averaged weights and scored while training goes on.

    Args:
        clean, noisy: folders with files of the same names, or lists of the same ids.
        files: how many, evenly spaced over the sorted names; all if absent.
        every: steps between validations; there is always one at the end.
        scores: which measures, by their names with "_" for "-": pesq_wb is PESQ-WB.
        best: the score by which the best weights are kept.
        examples: how many of the files TensorBoard gets as audio and spectrograms.
    """

    clean: Path
    noisy: Path
    files: int | None = None
    every: int = 1000
    scores: tuple[str, ...] = ("pesq_wb", "estoi", "si_sdr")
    best: str = "pesq_wb"
    examples: int = 3

    def __post_init__(self) -> None:
        if self.every < 1 or self.examples < 0 or (self.files is not None and self.files < 1):
            raise ArgumentError("every and files must be at least 1, examples at least 0")
        for name in self.scores:
            measure_of(name)
        if self.best not in self.scores:
            raise ArgumentError(
                f"best is {self.best}, which scores [{', '.join(self.scores)}] lack"
            )

    def refusal(self, sample_rate: int) -> str | None:
        """Why recordings of that rate cannot be scored, with the remedy, or None."""
        for name in self.scores:
            rates = measure_of(name).rates
            if rates and sample_rate not in rates:
                return (
                    f"{name} is not defined at {sample_rate} Hz; leave it out, and choose another "
                    "one as best"
                )
        return None

    def require(self) -> None:
        """Raise `MissingPackageError` for packages that the scores need."""
        for name in self.scores:
            measure_of(name).require()

    def improves(self, score: float, best: float | None) -> bool:
        """Whether a score of `best` is better than one; what is not defined never is."""
        if isnan(score) or best is None:
            return not isnan(score)
        return score > best if measure_of(self.best).higher_is_better else score < best

    def pairs(self, root: Path) -> list[ValidationPair]:
        """The files to enhance. Raises `SgmseError` for folders that cannot be used."""
        clean = root / self.clean
        pairs = section_pairs("validation", clean, root / self.noisy)
        return [
            ValidationPair(_place(pair.clean, clean) or pair.name, pair.clean, pair.enhanced)
            for pair in evenly_spaced(pairs, self.files)
            if pair.clean
        ]


def _place(file: Path, folder: Path) -> str:
    """Where it lies in a folder; "" for what lies elsewhere, as the recordings of a list do."""
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else ""


@dataclass(frozen=True)
class Example:
    """What a listener compares."""

    name: str
    clean: Audio
    noisy: Audio
    enhanced: Audio


def measure_of(score: str) -> Measure:
    """The measure of a score in a recipe. Raises `ArgumentError` if there is none."""
    return select([score.replace("_", "-")])[0]


class Evaluation(NamedTuple):
    """What `evaluate` found.

    Args:
        table: scores (pairs, scores), NaN for what has none.
        examples: the first of the recordings.
        problems: by score, why there is none, with the name of the recording, a line for each.
        inverted: names of recordings whose results have the other polarity than clean speech.
    """

    table: NDArray[np.float64]
    examples: list[Example]
    problems: dict[str, list[str]]
    inverted: list[str]


def evaluate(
    enhancer: Enhancer, pairs: Sequence[ValidationPair], scores: Sequence[str], examples: int = 0
) -> Evaluation:
    """Scores of what the enhancer makes of the noisy recordings, be it noise of its network."""
    table = np.full((len(pairs), len(scores)), nan)
    shown: list[Example] = []
    problems: dict[str, list[str]] = {name: [] for name in scores}
    inverted: list[str] = []
    rate = enhancer.front.sample_rate
    for row, pair in zip(table, pairs, strict=True):
        clean, noisy = read_pair(pair, rate)
        with warnings.catch_warnings():
            # A model in training may well find no speech, or make noise; the scores say it.
            warnings.simplefilter("ignore", RecordingWarning)
            enhanced = enhancer(noisy, rate, force=True)
        for column, name in enumerate(scores):
            try:
                row[column] = _score(name, clean, enhanced, noisy, rate)
            except MetricError as problem:
                problems[name].append(f"{pair.name}: {problem}")
        if _inverted(clean, enhanced):
            inverted.append(pair.name)
        if len(shown) < examples:
            shown.append(Example(pair.name, clean, noisy, enhanced))
    return Evaluation(table, shown, problems, inverted)


def _inverted(clean: Audio, enhanced: Audio) -> bool:
    """Whether it is rather the negative of clean speech, which most scores do not hear."""
    x, y = clean.astype(np.float64), enhanced.astype(np.float64)
    return bool(x @ y < -LIKENESS * np.linalg.norm(x) * np.linalg.norm(y))


def read_pair(pair: ValidationPair, sample_rate: int) -> tuple[Audio, Audio]:
    """Clean and noisy (samples,), as one channel at a rate, trimmed to the shorter one.

    Raises `RecipeError` for lengths that differ by more than the tolerance of scores.
    """
    clean, noisy = (one.samples for one in alike([pair.clean, pair.noisy], sample_rate))
    _refuse_lengths(pair, len(clean) / sample_rate, len(noisy) / sample_rate)
    samples = min(len(clean), len(noisy))
    return clean[:samples], noisy[:samples]


def check(validation: Validation, pairs: Sequence[ValidationPair], sample_rate: int) -> None:
    """Find what would leave a score without a value in every validation, before there is one.

    All pairs are looked at, none decoded but those that it takes until each score has a value of a
    noisy recording, which is one where nothing is wrong.

    Raises `RecipeError`: files that cannot be read, lengths that differ, a score that none has.
    """
    try:
        for pair in pairs:
            _refuse_lengths(pair, *(audio.info(file).duration for file in (pair.clean, pair.noisy)))
        for name in validation.scores:
            if problem := _problem(name, pairs, sample_rate):
                raise RecipeError(
                    f"validation: none of {len(pairs)} recordings has a {name}, such as {problem}; "
                    "repair the recordings, or leave that score out"
                )
    except AudioError as error:
        raise RecipeError(f"validation: {error}") from error


def _problem(name: str, pairs: Sequence[ValidationPair], sample_rate: int) -> str | None:
    """Why the noisy recordings have no such score, of the first of them; None if one has."""
    problems = []
    for pair in pairs:
        clean, noisy = read_pair(pair, sample_rate)
        try:
            _score(name, clean, noisy, noisy, sample_rate)
        except MetricError as problem:
            problems.append(f"{pair.name}: {problem}")
        else:
            return None
    return problems[0]


def _score(name: str, clean: Audio, enhanced: Audio, noisy: Audio, sample_rate: int) -> float:
    """A score, finite. Raises `MetricError`, or `ImportError`, which concerns all recordings."""
    try:
        score = measure_of(name)(clean, enhanced, sample_rate, noisy)
    except ImportError:
        raise
    except Exception as error:  # such as silence, which early weights may well give
        raise MetricError(" ".join(str(error).split())) from error
    if not isfinite(score):
        raise MetricError(f"the score is {score}")
    return score


def _refuse_lengths(pair: ValidationPair, clean: float, noisy: float) -> None:
    """The lengths are in seconds."""
    if abs(clean - noisy) > TOLERANCE:
        raise RecipeError(
            f"validation: {pair.name} has {clean:.3f} s clean but {noisy:.3f} s noisy; pairs must "
            f"be aligned, and of one length up to {TOLERANCE:g} s"
        )


def means(table: NDArray[np.floating], scores: Sequence[str]) -> dict[str, float]:
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
    result: Figure = figures.Figure(figsize=(12, 3.2))
    result.subplots_adjust(0.06, 0.16, 0.99, 0.9, wspace=0.08)
    axes = result.subplots(1, 3, sharey=True)
    extent = (0, len(example.clean) / sample_rate, 0, sample_rate / 2000)
    scale = {"vmin": top - 80, "vmax": top, "cmap": "magma"}
    for axis, (name, level) in zip(axes, levels.items(), strict=True):
        axis.imshow(level, origin="lower", aspect="auto", extent=extent, **scale)
        axis.set(title=name, xlabel="s")
    axes[0].set_ylabel("kHz")
    return result


def _decibels(samples: Audio) -> NDArray[np.float32]:
    window = torch.hann_window(512)
    padded = torch.nn.functional.pad(torch.from_numpy(samples), (256, 256))
    x = torch.stft(padded, 512, 128, window=window, center=False, return_complex=True)
    return np.asarray(20 * x.abs().clamp(min=1e-6).log10())
