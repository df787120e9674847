"""What the settings for a training on a processor gain: python benchmarks/training_speed.py CORPUS

Seconds of an update of the recipe `default`, four pairs of two seconds on two cores, with one
setting after the other; the difference of two short trainings, so that the start does not count.
All settings take turns in every round. Writes benchmarks/results/training-speed.md and .json.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from tqdm import tqdm
from writing import arguments, write

from sgmse.training.state import load_state

#: Updates of the two trainings whose difference is measured.
UPDATES = (5, 25)
TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4000000000:"
    "glibc.malloc.trim_threshold=8000000000"
)
PAGE = """# A training on a processor

Made by `python benchmarks/training_speed.py CORPUS` on two cores.

An update of the recipe `default`, four pairs of two seconds. Medians over {rounds} rounds in which
all settings take turns; the last column is the median of the ratios to the first line.

| settings | seconds of an update | times as fast |
|---|---|---|
{rows}
"""


class Settings(NamedTuple):
    """A line of the table: changes of the recipe and of the environment."""

    name: str
    changes: tuple[str, ...]
    tunables: str = ""


WHOLE = ("trainer.devices=1", "trainer.threads=2", "trainer.batch=4")
EACH = ("trainer.devices=2", "trainer.threads=1", "trainer.batch=2")
BF16 = "trainer.precision=bf16"
ALL = (
    Settings("one process, float32", (*WHOLE, "trainer.precision=fp32")),
    Settings("one process, bfloat16", (*WHOLE, BF16)),
    Settings("a process for each core, bfloat16", (*EACH, BF16)),
    Settings("the same, memory stays with the process", (*EACH, BF16), TUNABLES),
)


def spent(settings: Settings, updates: int, corpus: Path, folder: Path) -> float:
    """Seconds that a training of so many updates takes."""
    command = [sys.executable, "-m", "sgmse", "train", "default", "--data", str(corpus)]
    command += ["-o", str(folder), "--set", f"trainer.cache={folder.parent / 'cache'}"]
    common = ("trainer.accelerator=cpu", "validation=null", f"trainer.steps={updates}")
    for change in (*common, *settings.changes):
        command += ["--set", change]
    # A thread for every core in each of two processes would be measured otherwise.
    environment = os.environ | {"GLIBC_TUNABLES": settings.tunables, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return load_state(folder / "training_state.pt").seconds


def main() -> None:
    parser = arguments(__doc__, "train")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    times = np.empty((given.rounds, len(ALL)))
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        spent(ALL[0], 1, given.corpus.resolve(), folder / "first")  # the recordings are read here
        for i, j in tqdm(list(np.ndindex(*times.shape)), unit="training"):
            few, many = (
                spent(ALL[j], n, given.corpus.resolve(), folder / f"{i}-{j}-{n}") for n in UPDATES
            )
            times[i, j] = (many - few) / (UPDATES[1] - UPDATES[0])
    medians, ratios = np.median(times, axis=0), np.median(times[:, :1] / times, axis=0)
    rows = "\n".join(
        f"| {settings.name} | {median:.2f} | {ratio:.2f} |"
        for settings, median, ratio in zip(ALL, medians, ratios, strict=True)
    )
    page = PAGE.format(rounds=given.rounds, rows=rows)
    numbers = {"names": [settings.name for settings in ALL], "seconds": times.tolist()}
    write(given.output, "training-speed", page, numbers)


if __name__ == "__main__":
    main()
