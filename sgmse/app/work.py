"""What the page is asked to do, done: recordings in a folder, their results, sounds and pictures.

made = do(Asked([Path("noisy.wav")]), folder, Models(), report=print)
made[0].versions[1].file          # the result, as `sgmse enhance` writes it
"""

import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

import sgmse
from sgmse.audio import Info, Writer, beside, blocks, info
from sgmse.checkpoints import ENHANCING, QualityName, load_model
from sgmse.data.pairs import Pair
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, MissingPackageError, RecordingWarning, SgmseError
from sgmse.metrics.measures import MEASURES
from sgmse.plot.spectra import picture, powers
from sgmse.scoring.pair import score_pair

ROWS, COLUMNS = 192, 900  # of a spectrogram
MOST = 8  # channels of a FLAC file
STRONGEST = 2.0  # that an enhancer takes
SCORES = ("PESQ-WB", "STOI", "ESTOI", "SI-SDR")  # those that are installed


class Stopped(Exception):  # noqa: N818
    """Ends work that is no longer wanted."""


@dataclass(frozen=True)
class Limits:
    """What a page takes at once.

    Args:
        minutes: of a recording.
        megabytes: of a file that is sent.
        files: at once.
        samples: results that a model draws of a recording.
        waiting: who may wait while others are served.
    """

    minutes: float = 30.0
    megabytes: float = 500.0
    files: int = 50
    samples: int = 5
    waiting: int = 8


@dataclass(frozen=True)
class Asked:
    """What somebody asks of the page; the settings are those of `sgmse enhance`.

    Args:
        files: the recordings.
        model, quality, dry, max_attenuation, upper_band, seed: see `Enhancer.enhance_file`.
        strength: times that of the model or its quality.
        samples: results of a model that draws; each has the next seed.
        clean: the clean recording, to score against; of one file.
    """

    files: Sequence[Path]
    model: str = "default"
    quality: QualityName | None = None
    dry: float | None = None
    max_attenuation: float | None = None
    upper_band: bool = True
    strength: float = 1.0
    seed: int = 0
    samples: int = 1
    clean: Path | None = None


@dataclass(frozen=True)
class Version:
    """A recording as it was or became: what is heard and seen of it in a browser.

    Args:
        label: "before", "after" or the like.
        sound: a FLAC file.
        picture: its spectrogram as PNG, on the scale of the first version.
        file: what is taken home; none of the recording itself.
    """

    label: str
    sound: Path
    picture: Path
    file: Path | None = None


@dataclass(frozen=True)
class Made:
    """What became of a recording.

    Args:
        name: of its file.
        versions: the recording and its results; none where there is an error.
        seconds: its length.
        top: the highest frequency of the pictures in Hz.
        notes: what should be known of it, a line each.
        error: why there is no result.
        disagreement: a picture of where several results differ.
        scores: rows of a measure, its value before and after.
    """

    name: str
    versions: Sequence[Version] = ()
    seconds: float = 0.0
    top: float = 0.0
    notes: Sequence[str] = ()
    error: str = ""
    disagreement: Path | None = None
    scores: Sequence[tuple[str, str, str]] = field(default_factory=list)


#: Told of the share of all that is done, 0 to 1, and what is being done.
Report = Callable[[float, str], object]


class Models:
    """Models by name and quality, each loaded once; and what may be chosen of them."""

    def __init__(self, other: str | None = None) -> None:
        first = () if other is None else (other,)
        self.names = list(dict.fromkeys([*first, *ENHANCING]))
        self.loaded: dict[tuple[str, str | None], Enhancer] = {}
        self._lock = threading.Lock()

    def get(self, name: str, quality: QualityName | None = None) -> Enhancer:
        """Raises what `sgmse.load` does, and `ArgumentError` for a name that is not offered."""
        if name not in self.names:  # a path that a browser sends is none of its business
            raise ArgumentError(f"the page has no model {name!r}; it has {', '.join(self.names)}")
        with self._lock:
            if (name, quality) not in self.loaded:
                self.loaded[name, quality] = sgmse.load(name, quality=quality)
            return self.loaded[name, quality]

    @staticmethod
    @cache
    def qualities(name: str) -> tuple[QualityName, ...]:
        """The qualities that a model offers."""
        return tuple(cast("QualityName", name) for name in load_model(name).qualities)

    def usual(self, name: str) -> QualityName | None:
        """The quality that is chosen unless another one is; None of a model that offers none."""
        offered = self.qualities(name)
        return "balanced" if "balanced" in offered else next(iter(offered), None)

    def offered(self, name: str, quality: str | None) -> QualityName | None:
        """That quality, if the model offers it."""
        return next((own for own in self.qualities(name) if own == quality), None)

    def draws(self, name: str) -> bool:
        """Whether results of a model depend on the seed."""
        enhancer = self.get(name, self.usual(name))
        sde, sampler = enhancer.model.sde, enhancer.sampler
        pinned = sde.pinned and sampler.grid.start == 1
        return sampler.grid.steps > 0 and (not pinned or sampler.solver.draws(sde))


def do(
    asked: Asked,
    folder: Path,
    models: Models,
    *,
    limits: Limits | None = None,
    report: Report = lambda share, what: None,
    stop: threading.Event | None = None,
) -> list[Made]:
    """Enhance all recordings into a folder; what fails is said, and the others are done.

    Raises `Stopped` once `stop` is set, and `ArgumentError` for more than the limits allow.
    """
    own = Limits() if limits is None else limits
    stop = threading.Event() if stop is None else stop
    if not asked.files:
        raise ArgumentError("there is no recording yet; choose a file, or record one")
    if len(asked.files) > own.files:
        raise ArgumentError(f"{len(asked.files)} files at once; this page takes {own.files}")
    if asked.clean is not None and len(asked.files) > 1:
        raise ArgumentError("a clean recording belongs to one file; leave it out, or the others")
    report(0.0, "loading the model")
    enhancer = models.get(asked.model, asked.quality)
    samples = min(asked.samples, own.samples) if models.draws(asked.model) else 1
    made = []
    for number, file in enumerate(asked.files):
        place = folder / f"{number}"
        place.mkdir()
        share = partial_report(report, number, len(asked.files), file.name)
        share(0.0)
        try:
            each = replace(asked, samples=samples)
            made.append(_one(each, file, place, enhancer, own, share, stop))
        except (SgmseError, OSError) as error:
            made.append(Made(file.name, error=_told(error, file)))
    return made


def partial_report(report: Report, number: int, count: int, name: str) -> Callable[[float], None]:
    """Of one file among several, told as the share of all."""
    what = name if count == 1 else f"{name} ({number + 1} of {count})"

    def tell(share: float) -> None:
        report((number + min(share, 1.0)) / count, what)

    return tell


def zipped(made: Sequence[Made], target: Path) -> Path:
    """All results in one file, each once by its name."""
    names: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for one in made:
            for version in one.versions:
                if version.file is not None:
                    name, count = version.file.name, 2
                    while name in names:
                        name = f"{version.file.stem} ({count}){version.file.suffix}"
                        count += 1
                    names.add(name)
                    archive.write(version.file, name)
    return target


def _one(
    asked: Asked,
    file: Path,
    folder: Path,
    enhancer: Enhancer,
    limits: Limits,
    report: Callable[[float], None],
    stop: threading.Event,
) -> Made:
    """A recording, its results and what is to be shown of them."""
    about = info(file)
    if about.duration > 60 * limits.minutes:
        raise ArgumentError(
            f"{file.name} is {about.duration / 60:.1f} minutes long, and this page takes "
            f"{limits.minutes:g}; sgmse enhance on the command line takes any length"
        )
    done = 0.0

    def progress(seconds: float) -> None:
        nonlocal done
        if stop.is_set():
            raise Stopped
        done += seconds / about.duration / asked.samples
        report(0.9 * done)

    targets = []
    with _noted() as notes:
        for sample in range(asked.samples):
            name = beside(file).name
            if asked.samples > 1:
                name = f"{file.stem}_enhanced_{sample + 1}{file.suffix}"
            targets.append(
                enhancer.enhance_file(
                    file,
                    folder / name,
                    seed=asked.seed + sample,
                    dry=asked.dry,
                    max_attenuation=asked.max_attenuation,
                    upper_band=asked.upper_band,
                    strength=min(round(asked.strength * enhancer.strength, 6), STRONGEST),
                    progress=progress,
                )
            )
        names = ["after"] if len(targets) == 1 else [f"sample {n + 1}" for n in range(len(targets))]
        versions, peak = [], 0.0
        for label, path in zip(["before", *names], [file, *targets], strict=True):
            version, peak = _version(label, path, folder, peak, None if path == file else path)
            versions.append(version)
            if stop.is_set():
                raise Stopped
        differing = _disagreement(targets, folder, peak) if len(targets) > 1 else None
        scores = [] if asked.clean is None else _scores(asked.clean, file, targets[0])
    report(1.0)
    lines = tuple(dict.fromkeys(_without_folders(str(note), file, folder) for note in notes))
    top = about.sample_rate / 2
    return Made(file.name, versions, about.duration, top, lines, "", differing, scores)


def _version(
    label: str, path: Path, folder: Path, peak: float, file: Path | None
) -> tuple[Version, float]:
    """What is heard and seen of a file; and the power that is 0 dB, its own where there is none."""
    about = info(path)
    key = label.replace(" ", "_")
    sound = folder / f"{key}.flac"
    mixed = about.channels > MOST  # of which FLAC has no file, and nobody that many ears
    like = Info(about.sample_rate, 1 if mixed else about.channels, about.frames, "FLAC", "PCM_16")
    with Writer(sound, like) as writer:
        for block in blocks(path):
            writer.write(block.mean(axis=0, keepdims=True) if mixed else block)
    power = powers(blocks(path), about.frames, about.sample_rate, ROWS, COLUMNS)
    peak = peak or float(power.max()) or 1.0
    drawn = folder / f"{key}.png"
    drawn.write_bytes(picture(power, peak))
    return Version(label, sound, drawn, file), peak


def _disagreement(files: Sequence[Path], folder: Path, peak: float) -> Path:
    """Where results differ: the standard deviation of their spectrograms, bin by bin, as a picture.

    With n results x_i of the mean m it is sqrt(sum |STFT(x_i - m)|^2 / (n - 1)), on the scale of
    the recording.
    """
    about = info(files[0])

    def differences(number: int) -> Iterator[Any]:
        for same in zip(*(blocks(file) for file in files), strict=True):
            yield same[number] - np.mean(same, axis=0)

    form = (about.frames, about.sample_rate, ROWS, COLUMNS)
    total = sum(powers(differences(number), *form) for number in range(len(files)))
    drawn = folder / "disagreement.png"
    drawn.write_bytes(picture(np.asarray(total) / (len(files) - 1), peak))
    return drawn


def _scores(clean: Path, noisy: Path, enhanced: Path) -> list[tuple[str, str, str]]:
    """Of each measure that is installed its name, and its value before and after."""
    measures = []
    for measure in MEASURES:
        try:
            if measure.name in SCORES:
                measure.require()
                measures.append(measure)
        except MissingPackageError:
            continue
    both = [score_pair(Pair("", clean, file, noisy), measures) for file in (noisy, enhanced)]

    def shown(place: int, name: str, digits: int) -> str:
        value = both[place].values[name]
        return f"{value:.{digits}f}" if value is not None else "-"

    rows = []
    for m in measures:
        name = f"{m.name} [{m.unit}]" if m.unit else m.name
        rows.append((name, shown(0, m.name, m.digits), shown(1, m.name, m.digits)))
    problems = {line for scores in both for line in scores.problems.values()}
    for line in problems:
        warnings.warn(f"scores: {line}", RecordingWarning, stacklevel=2)
    return rows


@contextmanager
def _noted() -> Iterator[list[Warning | str]]:
    """What is warned of recordings in this block, which one thread at a time may enter."""
    notes: list[Warning | str] = []
    with _noting, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecordingWarning)
        yield notes
        notes += [w.message for w in caught if issubclass(w.category, RecordingWarning)]


_noting = threading.Lock()


def _told(error: Exception, file: Path) -> str:
    """An error in a line, without the folders of this page in it."""
    return _without_folders(" ".join(str(error).split()), file, file.parent)


def _without_folders(text: str, *places: Path) -> str:
    for place in places:
        for folder in (place, place.parent):
            text = text.replace(f"{folder}/", "")
    return text
