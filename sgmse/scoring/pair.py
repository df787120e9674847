"""One pair of files scored: read, brought to one rate and length, each channel by itself.

Every file is read once and resampled once for each rate that a measure asks for; that is the rate
of the clean file, or the highest below it that the measure takes. What stands in the way of a score
is a problem with a reason, never an exception and never a number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sgmse import audio
from sgmse.audio import Samples
from sgmse.data.pairs import Pair
from sgmse.errors import AudioError, MetricError
from sgmse.metrics.measures import Channels, Measure

TOLERANCE = 0.1  # seconds of difference in length that are trimmed
FARTHEST = 1.0  # seconds of delay that are looked for
HEARD = 120.0  # seconds from the start of a file in which it is looked for; an hour needs gigabytes
LIKENESS = 0.2  # correlation coefficient below which a delay means nothing


@dataclass(frozen=True)
class PairScores:
    """The scores of a pair.

    Args:
        values: by measure name; None where there is a problem.
        problems: why there is no value, by measure name.
        seconds: of the clean file, or of the enhanced one where that cannot be read.
        sample_rate: in Hz, of the same file; the unit of the next two.
        excess: samples that the enhanced file is longer than the clean one, before trimming.
        delay: samples by which it is late; None where it resembles the clean one nowhere.
        inverted: whether it is the clean one turned over, which SI-SDR and PESQ do not hear.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sample_rate: int = 0
    excess: int = 0
    delay: int | None = None
    inverted: bool = False


def score_pair(
    pair: Pair,
    measures: Sequence[Measure],
    *,
    align: bool = False,
    tolerance: float = TOLERANCE,
) -> PairScores:
    """Score a pair.

    The score of several channels is the mean of theirs, and each must have one; files with
    different numbers of channels cannot be compared.

    Args:
        pair: the files.
        measures: what to score.
        align: shift the enhanced file by its delay first; else it is only estimated.
        tolerance: in seconds; a larger difference in length is a problem, a smaller one is trimmed
            at the end. A delay that is compensated may add to it.
    """
    files = _Files(pair, align, tolerance)
    values: dict[str, float | None] = {}
    problems: dict[str, str] = {}
    for group in _by_function(measures):
        for name, result in _results(group, files).items():
            values[name] = result if isinstance(result, float) else None
            if isinstance(result, str):
                problems[name] = " ".join(result.split())
    return PairScores(values, problems, *files.facts())


class Place(NamedTuple):
    """Where and which way up an estimate is most like its reference.

    Args:
        delay: samples by which it is late.
        inverted: whether its polarity is the other one.
    """

    delay: int
    inverted: bool


def place(reference: Samples, estimate: Samples, farthest: int) -> Place | None:
    """The delay, at most `farthest` either way, is where the peak of |c| is, the polarity its sign.

        c[k] = sum over channels and n of estimate[n + k] reference[n]

    Shape: both (channels, any number of samples) with as many channels. None for silence and where
    the peak is below `LIKENESS` of |estimate| |reference|.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    scale = float(np.linalg.norm(reference) * np.linalg.norm(estimate))
    if scale == 0:
        return None
    n = next_fast_len(max(reference.shape[1], estimate.shape[1]) + farthest, real=True)
    spectrum = rfft(estimate.astype(np.float64), n) * rfft(reference.astype(np.float64), n).conj()
    c = irfft(spectrum.sum(axis=0), n)
    near = np.concatenate([c[-farthest:], c[: farthest + 1]])  # lags -farthest to farthest
    peak = int(np.abs(near).argmax())
    if abs(near[peak]) < LIKENESS * scale:
        return None
    return Place(peak - farthest, bool(near[peak] < 0))


class _Files:
    """The files of a pair, read when first asked for, at every rate that is asked for."""

    def __init__(self, pair: Pair, align: bool, tolerance: float) -> None:
        self.pair, self.align, self.tolerance = pair, align, tolerance
        self._originals: dict[str, tuple[Samples, int] | AudioError] = {}
        self._resampled: dict[tuple[str, int], Samples] = {}

    def original(self, role: str) -> tuple[Samples, int]:
        """(channels, samples) and Hz of "clean", "enhanced" or "noisy", as it is in its file."""
        if role not in self._originals:
            if role not in self.pair.files:
                raise MetricError(f"there is no {role} file")
            try:
                data, about = audio.read(self.pair.files[role])
                self._originals[role] = data, about.sample_rate
            except AudioError as error:
                self._originals[role] = error
        original = self._originals[role]
        if isinstance(original, AudioError):
            raise original
        return original

    def at(self, role: str, rate: int) -> Samples:
        """The file at a rate in Hz."""
        if (role, rate) not in self._resampled:
            data, own = self.original(role)
            if own != rate:
                import torch  # a second, for each worker, which most sets do not need

                data = audio.resample(torch.from_numpy(data), own, rate).numpy()
            self._resampled[role, rate] = data
        return self._resampled[role, rate]

    @property
    def rate(self) -> int:
        """In Hz, of the clean file, or of the enhanced one where there is none to be read."""
        try:
            return self.original("clean")[1]
        except (AudioError, MetricError):
            return self.original("enhanced")[1]

    @cached_property
    def place(self) -> Place | None:
        """Of the enhanced file, in samples at the rate of the clean one."""
        rate = self.original("clean")[1]
        heard = round(HEARD * rate)
        clean, enhanced = (self.at(role, rate)[:, :heard] for role in ("clean", "enhanced"))
        if len(clean) != len(enhanced):
            return None
        return place(clean, enhanced, round(FARTHEST * rate))

    def excess(self, role: str) -> int:
        """Samples that a file is longer than the clean one, at the rate of that."""
        data, rate = self.original("clean")
        return int(self.at(role, rate).shape[1] - data.shape[1])

    def together(self, roles: Sequence[str], rate: int) -> list[Samples]:
        """The clean file and others at a rate, equally long and, if asked for, aligned."""
        shift = self.place.delay if self.align and self.place else 0
        clean, own = self.original("clean")
        for role in roles:
            self._refuse(role, clean, own, abs(shift) / own if role == "enhanced" else 0.0)
        lag = round(shift * rate / own)
        signals = [self.at(role, rate) for role in roles]
        starts = [max(lag, 0) if role == "enhanced" else max(-lag, 0) for role in roles]
        length = min(s.shape[1] - start for s, start in zip(signals, starts, strict=True))
        return [s[:, t : t + length] for s, t in zip(signals, starts, strict=True)]

    def _refuse(self, role: str, clean: Samples, rate: int, allowance: float) -> None:
        data = self.at(role, rate)
        if len(data) != len(clean):
            raise MetricError(
                f"the {role} file has {_count(len(data), 'channel')}, the clean one "
                f"{len(clean)}; give both the same"
            )
        seconds = self.excess(role) / rate
        if abs(seconds) > self.tolerance + allowance:
            word = "longer" if seconds > 0 else "shorter"
            raise MetricError(
                f"the {role} file is {abs(seconds):.3f} s {word} than the clean one, more than the "
                f"tolerance of {self.tolerance:g} s"
            )

    def facts(self) -> tuple[float, int, int, int | None, bool]:
        """Seconds, rate, excess, delay and polarity, as far as the files can be read."""
        try:
            clean, rate = self.original("clean")
        except (AudioError, MetricError):
            return self._facts_without_clean()
        seconds = clean.shape[1] / rate
        try:
            excess, place = self.excess("enhanced"), self.place
        except (AudioError, MetricError):
            return seconds, rate, 0, None, False
        return (seconds, rate, excess, *(place or (None, False)))

    def _facts_without_clean(self) -> tuple[float, int, int, int | None, bool]:
        try:
            enhanced, rate = self.original("enhanced")
        except (AudioError, MetricError):
            return 0.0, 0, 0, None, False
        return enhanced.shape[1] / rate, rate, 0, None, False


def _by_function(measures: Sequence[Measure]) -> list[list[Measure]]:
    """The measures, those together that one run of a function gives."""
    groups: dict[object, list[Measure]] = {}
    for measure in measures:
        groups.setdefault(measure.function, []).append(measure)
    return list(groups.values())


def _results(measures: Sequence[Measure], files: _Files) -> dict[str, float | str]:
    """The scores of measures that share a function, or why there is none."""
    try:
        return _means(measures, files)
    except ImportError:
        raise  # concerns all files, and the message says what to install
    except (AudioError, MetricError) as error:
        reason = str(error)
    except Exception as error:  # a package that fails on this file may do well on the others
        reason = f"{type(error).__name__}: {error}"
    return dict.fromkeys((measure.name for measure in measures), reason)


def _means(measures: Sequence[Measure], files: _Files) -> dict[str, float | str]:
    first = measures[0]
    rate = _rate(first, files.rate)
    text = files.pair.facts.get("text") if first.takes_text else None
    roles = ["enhanced"]
    if first.needs_reference and text is None:
        roles = ["clean", *roles] + ["noisy"] * first.needs_noisy
        signals = dict(zip(roles, files.together(roles, rate), strict=True))
    else:
        signals = {"enhanced": files.at("enhanced", rate)}
    count = len(signals["enhanced"])
    values: dict[str, list[float]] = {measure.name: [] for measure in measures}
    problems: dict[str, str] = {}
    for number in range(count):
        where = f"channel {number}: " if count > 1 else ""
        channel = {role: signal[number] for role, signal in signals.items()}
        channels = Channels(channel["enhanced"], channel.get("clean"), channel.get("noisy"), text)
        try:
            results = first.results(channels, rate)
        except MetricError as error:
            raise MetricError(f"{where}{error}") from error
        for measure in measures:
            value = measure.value_in(results)
            values[measure.name].append(value)
            if not math.isfinite(value):
                problems.setdefault(measure.name, where + _unfit(value))
    return {
        name: problems.get(name) or float(np.mean(per_channel))
        for name, per_channel in values.items()
    }


def _rate(measure: Measure, rate: int) -> int:
    """The rate at which to score a file of this rate: its own, or the next lower one."""
    if not measure.rates:
        return rate
    if rate < min(measure.rates):
        raise MetricError(
            f"the recording has {rate} Hz, {measure.name} needs {min(measure.rates)} Hz or more"
        )
    return max(r for r in measure.rates if r <= rate)


def _unfit(value: float) -> str:
    """Why this is no score that can be averaged."""
    why = {math.inf: ", the files are equal", -math.inf: ", nothing of the clean file is in it"}
    return f"the score is {value}{why.get(value, '')}; no mean can hold that"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
