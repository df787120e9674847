"""What minutes of training further do for a new noise: python benchmarks/fine_tuning.py CORPUS

The noise is one that the default model does not know: a rotary tool, harmonics of a pitch that
follows the load, with its motor's hum and hiss, generated with other constants in every recording.
`sgmse train --from default --data FOLDER` gets 20 recordings of it and the speech of CORPUS/train;
before and after, the model is scored on speech of CORPUS/valid in 10 others, at 0 and 5 dB, and on
the noisy recordings of CORPUS/valid, where it may forget. Writes benchmarks/results/fine-tuning.md
and .json.
"""

import argparse
import json
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

from sgmse.checkpoints import load_model
from sgmse.data.degradations import add_noise
from sgmse.enhancer import Enhancer
from sgmse.scoring.intervals import interval, paired, stars
from sgmse.training.validation import Validation, ValidationPair, evaluate, measure_of

HERE = Path(__file__).resolve().parent
RATE = 16000
SCORES = ("pesq_wb", "estoi", "si_sdr")
TITLES = ("PESQ-WB", "ESTOI", "SI-SDR [dB]")
DIGITS = (3, 3, 2)
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
    return [measure_of(name)(clean, noisy, RATE) for name in SCORES]


def rows(what: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> list[str]:
    """Three lines of the table: before, after, and the change."""
    lines = []
    for name, values in (("before", before), ("after", after)):
        cells = [
            f"{(about := interval(column)).mean:.{d}f} ± {about.half_width:.{d}f}"
            for column, d in zip(values.T, DIGITS, strict=True)
        ]
        lines.append(f"| {what} | {name} | {' | '.join(cells)} |")
    cells = []
    for new, old, d in zip(after.T, before.T, DIGITS, strict=True):
        change = paired(new, old)
        half = (change.high - change.low) / 2
        cells.append(f"{change.mean:+.{d}f} ± {half:.{d}f} {stars(change.p)}".rstrip())
    return [*lines, f"| {what} | change | {' | '.join(cells)} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder with train and valid")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    given = parser.parse_args()
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
    heads = f"| noise | model | {' | '.join(TITLES)} |\n|---|---|" + "---|" * len(TITLES)
    none = " | ".join(
        f"{(about := interval(column)).mean:.{d}f} ± {about.half_width:.{d}f}"
        for column, d in zip(noisy.T, DIGITS, strict=True)
    )
    lines = [f"| new | none | {none} |"]
    for name, title in (("new", "new"), ("known", "of the corpus")):
        lines += rows(title, before[name], after[name])
    given.output.mkdir(parents=True, exist_ok=True)
    told = {
        "minutes": round(minutes, 1),
        "before": {name: values.mean(0).tolist() for name, values in before.items()},
        "after": {name: values.mean(0).tolist() for name, values in after.items()},
    }
    (given.output / "fine-tuning.json").write_text(json.dumps(told, indent=1) + "\n")
    (given.output / "fine-tuning.md").write_text(
        "# A few minutes of training further\n\n"
        "Made by `python benchmarks/fine_tuning.py CORPUS`.\n\n"
        f"The default model, trained further by `sgmse train --from default --data FOLDER` for "
        f"{minutes:.1f} minutes on two\ncores (the decoding of the speech included) on 20 "
        "generated recordings of a rotary tool, a noise that it does not know.\nScores of 30 "
        "recordings of the validation set with other recordings of that noise, at 0 and 5 dB, and "
        "with the noises\nof the corpus. ± half a 95 % bootstrap interval; Wilcoxon signed rank: "
        "* p < 0.05, ** p < 0.01, *** p < 0.001.\n\n" + "\n".join([heads, *lines]) + "\n"
    )
    print(given.output / "fine-tuning.md")


if __name__ == "__main__":
    main()
