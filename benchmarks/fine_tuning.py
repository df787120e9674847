"""What minutes of training further do for a new noise: python benchmarks/fine_tuning.py CORPUS

The noise is one that the default model does not know: a rotary tool, harmonics of a pitch that
follows the load, with its motor's hum and hiss, generated with other constants in every recording.
`sgmse train --from default --data FOLDER` gets 20 recordings of it and the speech of CORPUS/train;
before and after, the model is scored on speech of CORPUS/valid in 10 others, at 0 and 5 dB, and on
the noisy recordings of CORPUS/valid, where it may forget. Writes benchmarks/results/fine-tuning.md
and .json.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from writing import arguments, write

from sgmse.checkpoints import load_model
from sgmse.data.degradations import add_noise
from sgmse.enhancer import Enhancer
from sgmse.report import numbers
from sgmse.scoring.intervals import interval, paired
from sgmse.training.validation import Validation, ValidationPair, evaluate, measure_of

RATE = 16000
SCORES = ("pesq_wb", "estoi", "si_sdr")
MEASURES = [measure_of(score) for score in SCORES]
SNRS = (0.0, 5.0)


def tool(rng: Generator, seconds: float) -> NDArray[np.float32]:
    """A rotary tool: a pitch that drops under load, its harmonics, hum at 50 Hz and hiss."""
    samples = round(seconds * RATE)
    t = np.arange(samples) / RATE
    # The load comes and goes, smoothly: noise of 1 to 3 Hz.
    knots = np.linspace(0, seconds, max(4, round(seconds * rng.uniform(1, 3))))
    load = np.interp(t, knots, rng.uniform(0, 1, len(knots)))
    pitch = rng.uniform(180, 700) * (1 - rng.uniform(0.1, 0.4) * load)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    orders = np.arange(1, 40)
    gains = rng.uniform(0.2, 1, len(orders)) * orders ** -rng.uniform(0.3, 1.0)
    tone = np.zeros(samples)
    for k, gain in zip(orders, gains, strict=True):
        audible = k * pitch < 0.47 * RATE  # nothing folds back
        tone += gain * audible * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3))
    hiss = np.diff(rng.standard_normal(samples + 1))
    audio = tone * (0.6 + 0.4 * load) + rng.uniform(0.05, 0.3) * hum
    audio = audio + rng.uniform(0.1, 0.5) * (0.3 + load) * hiss
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def mixtures(folder: Path, clean: Sequence[Path]) -> list[ValidationPair]:
    """Speech in noise that the training does not have, at each ratio in turn."""
    pairs = []
    for i, file in enumerate(clean):
        speech, rate = soundfile.read(file, dtype="float32")
        assert rate == RATE
        rng = np.random.default_rng([1, i % 10])
        noise = tool(rng, len(speech) / RATE)
        noisy = add_noise(speech, noise, SNRS[i // 10 % len(SNRS)], RATE)
        gain = min(1.0, 0.99 / float(np.abs(noisy).max()))
        paths = folder / "clean" / f"{i}.wav", folder / "noisy" / f"{i}.wav"
        for path, audio in zip(paths, (speech, noisy), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, gain * audio, RATE, subtype="FLOAT")
        pairs.append(ValidationPair(path.name, *paths))
    return pairs


def scored(model: str | Path, pairs: Sequence[ValidationPair]) -> NDArray[np.float64]:
    """Scores (pairs, scores)."""
    return evaluate(Enhancer.of(load_model(model)), pairs, SCORES)[0]


def unprocessed(pair: ValidationPair) -> list[float]:
    """Scores of the noisy recording."""
    clean, noisy = (soundfile.read(file)[0] for file in (pair.clean, pair.noisy))
    return [measure(clean, noisy, RATE) for measure in MEASURES]


def row(*cells: str) -> str:
    """A line of the table."""
    return f"| {' | '.join(cells)} |"


def means(values: NDArray[np.float64]) -> list[str]:
    """Of scores (pairs, scores)."""
    return [numbers.mean(m, interval(v)) for m, v in zip(MEASURES, values.T, strict=True)]


def changes(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[str]:
    """Of scores (pairs, scores)."""
    return [
        numbers.change(measure, paired(new, old))
        for measure, new, old in zip(MEASURES, after.T, before.T, strict=True)
    ]


def main() -> None:
    given = arguments(__doc__, "train and valid").parse_args()
    corpus = given.corpus.resolve()
    known = Validation(Path("valid/clean"), Path("valid/noisy"), files=30).pairs(corpus)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "data" / "noise").mkdir(parents=True)
        (folder / "data" / "clean").symlink_to(corpus / "train" / "clean")
        for i in range(20):
            noise = tool(np.random.default_rng([0, i]), 10.0)
            soundfile.write(folder / "data" / "noise" / f"{i}.wav", noise, RATE)
        new = mixtures(folder / "new", [pair.clean for pair in known])
        noisy = np.array([unprocessed(pair) for pair in new])
        before = {"new": scored("default", new), "known": scored("default", known)}
        command = [sys.executable, "-m", "sgmse", "train", "--from", "default", "--data"]
        began = time.monotonic()
        subprocess.run([*command, folder / "data", "-o", folder / "run"], check=True)
        minutes = (time.monotonic() - began) / 60
        after = {"new": scored(folder / "run" / "best", new)}
        after["known"] = scored(folder / "run" / "best", known)
    lines = [row("noise", "model", *map(numbers.heading, MEASURES))]
    lines += ["|---" * (2 + len(MEASURES)) + "|", row("new", "none", *means(noisy))]
    for name, title in (("new", "new"), ("known", "of the corpus")):
        lines.append(row(title, "before", *means(before[name])))
        lines.append(row(title, "after", *means(after[name])))
        lines.append(row(title, "change", *changes(before[name], after[name])))
    scores = {
        "minutes": round(minutes, 1),
        "before": {name: values.mean(0).tolist() for name, values in before.items()},
        "after": {name: values.mean(0).tolist() for name, values in after.items()},
    }
    page = (
        "# A few minutes of training further\n\n"
        "Made by `python benchmarks/fine_tuning.py CORPUS`.\n\n"
        f"The default model, trained further by `sgmse train --from default --data FOLDER` for "
        f"{minutes:.1f} minutes on two\ncores (the decoding of the speech included) on 20 "
        "generated recordings of a rotary tool, a noise that it does not know.\nScores of 30 "
        "recordings of the validation set with other recordings of that noise, at 0 and 5 dB, and "
        "with the noises\nof the corpus. ± half a 95 % bootstrap interval; Wilcoxon signed rank: "
        "* p < 0.05, ** p < 0.01, *** p < 0.001.\n\n" + "\n".join(lines) + "\n"
    )
    write(given.output, "fine-tuning", page, scores)


if __name__ == "__main__":
    main()
