"""What results sound like beside their speech: python benchmarks/sound.py CORPUS CORPUS48

Level, limit of the attenuation, band above the model's, and what is said of recordings that are no
noisy speech, with the default model: on CORPUS/valid, on mixtures and noises of CORPUS/train, and
on CORPUS48/valid. Writes benchmarks/results/sound.md and .json.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from soxr import resample
from writing import arguments, write

from sgmse.audio import find
from sgmse.enhancer import Enhancer, load
from sgmse.errors import RecordingWarning
from sgmse.metrics import lsd_high
from sgmse.postprocessing import AboveBand, Level, at_least, share_of

RATE = 16000
LIMITS = (6.0, 12.0, 20.0)
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    """A recording (samples,), what the network made of it and its strength, what was said of it,
    and its speech, if it has any."""

    noisy: Audio
    network: Audio
    remarks: str
    clean: Audio | None = None

    @property
    def kept(self) -> Audio:
        """The result, as loud as its speech was."""
        audio: Audio = Level(RATE)(self.network[None], self.noisy[None])[0]
        return audio


def read(path: Path, rate: int | None = None) -> tuple[Audio, int]:
    """The first channel of a file, at its rate or another one."""
    audio, own = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(audio[:, 0])
    return (mono, own) if rate in (None, own) else (resample(mono, own, rate, "VHQ"), int(rate))


def excerpt(files: Sequence[Path], rng: np.random.Generator, seconds: float) -> Audio:
    """Recordings in a row, from anywhere in the first one, to that length."""
    wanted, parts = round(seconds * RATE), []
    while sum(map(len, parts)) < wanted:
        audio = read(files[rng.integers(len(files))], RATE)[0]
        parts.append(audio[rng.integers(max(len(audio) - wanted, 1)) :])
    return np.concatenate(parts)[:wanted]


def decibels(ratio: float) -> float:
    """Of energies."""
    return float(10 * np.log10(max(ratio, 1e-20)))


def level(result: Audio, clean: Audio) -> float:
    """Of the speech in a result, from its level in the clean recording, in dB."""
    return decibels(float(result @ clean / (clean @ clean)) ** 2)


def si_sdr(clean: Audio, out: Audio) -> float:
    """In dB."""
    target = float(out @ clean / (clean @ clean)) * clean
    return decibels(float(np.sum(target**2) / np.sum((target - out) ** 2)))


def spread(values: Sequence[float]) -> str:
    """Median, and the extremes."""
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def said(result: Result) -> str:
    """What is said of a recording, in a word."""
    words = {"music": "music", "clean already": "clean", "no speech": "no speech"}
    return next((name for word, name in words.items() if word in result.remarks), "nothing")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


class Measured:
    """The sections of the page, and their numbers."""

    def __init__(self, enhancer: Enhancer) -> None:
        self.enhancer = enhancer
        front = replace(enhancer.front, level="published")
        self.network = replace(enhancer, front=front)
        self.numbers: dict[str, object] = {}

    def result(self, noisy: Audio, clean: Audio | None = None) -> Result:
        """Of the network alone."""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", RecordingWarning)
            made = self.network(noisy, RATE)
        return Result(noisy, made, " ".join(str(one.message) for one in heard), clean)

    def levels(self, valid: Sequence[Result]) -> str:
        """The level of speech before and after."""
        network = [level(r.network, r.clean) for r in valid if r.clean is not None]
        kept = [level(r.kept, r.clean) for r in valid if r.clean is not None]
        constant = [value - float(np.median(network)) for value in network]
        names = ["the network", "with a constant gain", "as it is enhanced"]
        found = dict(zip(names, (network, constant, kept), strict=True))
        self.numbers["level"] = found
        off = [[name, spread(v), f"{np.abs(v).mean():.2f}"] for name, v in found.items()]
        return table(["result", "level of the speech, dB", "distance from 0"], off)

    def strength(self, noises: Sequence[Result], valid: Sequence[Result]) -> str:
        """Noise alone, and speech, with a limit."""
        rows, found = [], {}
        for limit in LIMITS:
            f = share_of(limit)
            lost: dict[str, list[float]] = {"bins": [], "mix": []}
            for r in noises:
                energy = float(r.noisy @ r.noisy)
                if decibels(float(r.kept @ r.kept) / energy) > -limit - 3:
                    continue  # the model itself does not take away so much
                for name, out in outputs(r, f).items():
                    lost[name].append(decibels(float(out @ out) / energy))
            ratios: dict[str, list[float]] = {"bins": [], "mix": []}
            for r in valid:
                for name, out in outputs(r, f).items():
                    ratios[name].append(si_sdr(r.clean, out) if r.clean is not None else np.nan)
            found[f"{limit:g} dB"] = {"noise": lost, "si-sdr": ratios}
            cells = [spread(v) for v in lost.values()]
            cells += [f"{np.mean(v):.2f}" for v in ratios.values()]
            rows.append([f"{limit:g} dB", str(len(lost["bins"])), *cells])
        self.numbers["strength"] = found
        header = [
            "limit",
            "noises",
            "noise alone, dB",
            "plain mix",
            "SI-SDR of speech",
            "plain mix",
        ]
        return table(header, rows)

    def band(self, folder: Path) -> str:
        """Sound above the band of the model: left out, and kept, by a rule or by its network."""
        rule = "with the gains of the band below"
        names = ("noisy", "left out", rule, "by the network (the default)")
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        plain = replace(self.enhancer, upper_band=None)
        heard = 0
        for file in sorted((folder / "noisy").iterdir()):
            noisy, rate = read(file)
            clean, _ = read(folder / "clean" / file.name)
            listener = AboveBand(rate, RATE / 2)
            list(listener.passing([noisy[None]]))
            heard += listener.heard
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)
                outs = (
                    noisy,
                    self.enhancer(noisy, rate, upper_band=False),
                    plain(noisy, rate),
                    self.enhancer(noisy, rate),
                )
            for name, out in zip(names, outs, strict=True):
                scores = (lsd_high(clean, out, rate), si_sdr(clean, out))
                found[name].append(scores)
        kept = {name: [] for name in names[2:]}
        for file in sorted((folder / "clean").iterdir()):
            clean, rate = read(file)
            before = above(clean, rate)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)
                for name, model in zip(kept, (plain, self.enhancer), strict=True):
                    kept[name].append(above(model(clean, rate), rate) - before)
        self.numbers["band"] = {"recordings": found, "heard": heard, "clean": kept}
        rows = [
            [
                name,
                *(f"{m:.2f}" for m in np.mean(v, axis=0)),
                spread(kept[name]) if name in kept else "",
            ]
            for name, v in found.items()
        ]
        header = ["sound above 8 kHz", "distance 8 to 20 kHz, dB", "SI-SDR at 48 kHz"]
        return table([*header, "of clean recordings, dB"], rows)

    def content(self, kinds: dict[str, Sequence[Result]]) -> str:
        """What is said of recordings of several kinds."""
        counts = {name: Counter(map(said, results)) for name, results in kinds.items()}
        self.numbers["said"] = {name: dict(count) for name, count in counts.items()}
        words = ["nothing", "music", "clean", "no speech"]
        rows = [
            [name, str(count.total()), *(str(count[word]) for word in words)]
            for name, count in counts.items()
        ]
        return table(["recordings", "number", *words], rows)


def above(audio: Audio, rate: int) -> float:
    """The level from 8 to 20 kHz, in dB."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    frequency = np.fft.rfftfreq(len(audio), 1 / rate)
    return float(10 * np.log10(power[(frequency > 8000) & (frequency < 20000)].sum() + 1e-12))


def outputs(result: Result, share: float) -> dict[str, Audio]:
    """With that share of the input left: in bins, and by a plain mix."""
    bins: Audio = at_least(result.kept[None], result.noisy[None], share, RATE)[0]
    return {"bins": bins, "mix": (1 - share) * result.kept + share * result.noisy}


def mixture(speech: Sequence[Path], noises: Sequence[Path], seed: int) -> tuple[Audio, Audio]:
    """Noisy and clean, 4 s at -7 to 20 dB."""
    rng = np.random.default_rng([0, seed])
    clean, noise = excerpt(speech, rng, 4.0), excerpt(noises, rng, 4.0)
    ratio = np.sum(clean**2) / max(np.sum(noise**2), 1e-9)
    noise = noise * np.sqrt(ratio / 10 ** (rng.uniform(-7, 20) / 10)).astype(np.float32)
    gain = np.float32(0.9 / np.abs(clean + noise).max())
    return gain * (clean + noise), gain * clean


def main() -> None:
    parser = arguments(__doc__, "train and valid")
    parser.add_argument("corpus48", type=Path, help="folder with valid, at 48 kHz")
    given = parser.parse_args()
    train, valid = given.corpus / "train", given.corpus / "valid"
    measured = Measured(load(device="cpu"))
    speech = find([train / "clean"], recursive=True)
    music = find([train / "noise" / "music"], recursive=True)
    noises = [file for file in find([train / "noise"], recursive=True) if file not in music]
    pairs = [
        [read(valid / name / file.name)[0] for name in ("noisy", "clean")]
        for file in sorted((valid / "noisy").iterdir())
    ]
    kinds: dict[str, list[Result]] = {
        "noisy speech, `valid`": [measured.result(*pair) for pair in pairs],
        "noisy speech, mixed": [
            measured.result(*mixture(speech, [*noises, *music], seed)) for seed in range(60)
        ],
        "music": [
            measured.result(excerpt([file], np.random.default_rng(0), 8.0)) for file in music[:20]
        ],
        "clean speech, `valid`": [measured.result(clean) for _, clean in pairs[::5]],
        "noise": [
            measured.result(excerpt([file], np.random.default_rng(0), 6.0))
            for file in noises[:: len(noises) // 16]
        ],
    }
    results = kinds["noisy speech, `valid`"]
    page = (
        "# What results sound like\n\n"
        "Made by `python benchmarks/sound.py CORPUS CORPUS48`, with the default model.\n\n"
        "## Level\n\nOf the speech in results for the 60 recordings of `valid`, from its level in "
        "the input (the projection on the clean recording):\nmedian and extremes, and the mean "
        f"distance.\n\n{measured.levels(results)}\n"
        "## Limit of the attenuation\n\nNoises of `train` alone, of which the model takes away 3 "
        "dB more than the limit at least: what is left of them, median and extremes.\nSI-SDR of "
        "`valid`. The limit holds in each time-frequency bin; the plain mix is (1 - f) x + f y.\n\n"
        f"{measured.strength(kinds['noise'], results)}\n"
        "## Sound above the band of the model\n\nMeans over `valid` at 48 kHz: log-spectral "
        "distance from 8 to 20 kHz, of all within 80 dB of the loudest, and SI-SDR. What the "
        "clean recordings have there becomes louder by, median and extremes.\n\n"
        f"{measured.band(given.corpus48 / 'valid')}\n"
        "## What is said\n\nOf recordings of several kinds; of noisy speech nothing should be. "
        "Mixtures are at -7 to 20 dB, with noises and music of `train`.\n\n"
        f"{measured.content(dict(kinds))}"
    )
    write(given.output, "sound", page, measured.numbers)


if __name__ == "__main__":
    main()
