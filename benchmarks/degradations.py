"""What a degradation costs: python benchmarks/degradations.py

Writes benchmarks/results/degradations.md and .json: milliseconds of the processor of each
degradation, when it happens, for 2 s at 16 kHz; the mean over draws, in the quickest of rounds. The
audio is generated: harmonics in syllables with noise at 10 dB. A pair of training costs the sum of
these times their probabilities, which the recipe sets, and the reading of its crops; a worker makes
pairs while the network learns.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
from numpy.random import Generator
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.data.babble import Babble
from sgmse.data.cache import cached
from sgmse.data.degradations import DEGRADATIONS, Audio, Clip, Codec, Room, Speed, add_noise
from sgmse.data.degradations.codecs import CODINGS
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.pairs import recordings
from sgmse.training.recipe_files import load_recipe

RATE, SAMPLES = 16000, 32385
SLOW = 10  # ms

Spoil = Callable[[Audio, Generator, int], object]


def voice(seed: int, samples: int = SAMPLES) -> Audio:
    """Harmonics of a gliding tone, in syllables."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / RATE
    pitch = rng.uniform(100, 250) * (1 + 0.1 * np.sin(2 * np.pi * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 30))
    audio = tone * np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    return (0.3 * audio / np.abs(audio).max()).astype(np.float32)


def milliseconds(spoil: Spoil, draws: int = 12, rounds: int = 3) -> float:
    """The mean over draws, in the quickest of rounds; what is kept after a first draw is warm."""
    noise = np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)
    audio = add_noise(voice(0), noise, 10, RATE)
    times = []
    for _ in range(1 + rounds):
        began = time.process_time()
        for seed in range(draws):
            spoil(audio, np.random.default_rng(seed), RATE)
        times.append((time.process_time() - began) / draws)
    return 1000 * min(times[1:])


def speed(audio: Audio, rng: Generator, sample_rate: int) -> Audio:
    """`Speed`, always."""
    change = Speed(1.0)
    return change.apply(audio, change.draw(rng), SAMPLES)


def cases(folder: Path) -> dict[str, Spoil]:
    """Everything, by the name that the table has."""
    for i in range(10):
        file = folder / "clean" / f"{i}.wav"
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, voice(i, 3 * RATE), RATE)
        (folder / "noise").mkdir(exist_ok=True)
        soundfile.write(folder / "noise" / f"{i}.wav", voice(-i % 99, 5 * RATE), RATE)
    speech = folder / "clean"
    talkers = cached(recordings(speech), speech, folder / "cache", RATE)
    all_of_them: dict[str, Spoil] = {
        "Speed": speed,
        "Babble (3 to 8 talkers)": lambda _, rng, rate: Babble()(talkers, 0, SAMPLES, rng),
        "Room (new each time)": Room(1.0),
        "Room (of a bank, once it is filled)": Room(1.0, bank=12),
    }
    for kind in (kind for kind in DEGRADATIONS if kind is not Codec):
        all_of_them[kind.__name__] = kind(probability=1.0)
    all_of_them["Clip (soft)"] = Clip(1.0, soft=1.0)
    for coder in CODINGS:
        all_of_them[f"Codec: {coder}"] = Codec(1.0, (coder,))
    for recipe in ("default", "everything"):
        source = load_recipe(recipe).data
        assert isinstance(source, MixedSpeech)
        room = source.room and replace(source.room, bank=12)
        here = replace(source, clean=Path("clean"), noise=Path("noise"), room=room)
        pairs = here.open(folder, folder / "cache", RATE, 0)
        all_of_them[f"a whole pair of the recipe {recipe}"] = lambda _, rng, rate, pairs=pairs: (
            pairs.draw(0, rng)
        )
    return all_of_them


def main() -> None:
    options = arguments(__doc__).parse_args()
    with TemporaryDirectory() as folder:
        results = {
            name: milliseconds(spoil, 60 if "pair" in name else 12)
            for name, spoil in tqdm(cases(Path(folder)).items(), unit="degradation")
        }
    lines = ["| degradation | ms | |", "|---|---|---|"]
    for name, ms in results.items():
        lines.append(f"| {name} | {ms:.1f} | {f'more than {SLOW} ms' if ms > SLOW else ''} |")
    page = (
        "# What a degradation costs\n\nMade by `python benchmarks/degradations.py`.\n\n"
        f"{paragraph(__doc__, 1)} soundfile {soundfile.__version__}, "
        f"libsndfile {soundfile.__libsndfile_version__}, {platform.machine()}.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    write(options.output, "degradations", page, results)


if __name__ == "__main__":
    main()
