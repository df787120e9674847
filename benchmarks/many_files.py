"""Many short files on an idle machine and on a busy one: python benchmarks/many_files.py

Writes benchmarks/results/many-files.md and .json: seconds that `sgmse enhance` takes for a folder
of short recordings at 16 kHz, one channel, from its start to its end: one file after the other on
one thread, as it is by default, and with `-j 2`; on a machine that does nothing else, and beside 8
processes that compute all the time. Rounds take turns, medians. The machine should do nothing else.

The bars, for two cores: `-j 2` is 1.4 times as fast as one file after the other on one thread, and
beside 8 processes nothing takes more than 6 times as long as alone, the fair share of the cores.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from threads import LOAD, busy, environment
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.scoring.provenance import machine

HERE = Path(__file__).resolve().parent
NOISY = HERE.parent / "tests" / "data" / "noisy.wav"
ONE = "one after the other, `-j 1 --threads 1`"
WAYS: dict[str, tuple[str, ...]] = {
    ONE: ("-j", "1", "--threads", "1"),
    "as it is by default": (),
    "`-j 2`": ("-j", "2"),
}
FASTER, SLOWER = 1.4, 6.0  # the bars


def recordings(folder: Path, count: int) -> None:
    """Of one to three seconds, cut out of a noisy recording that is repeated."""
    audio, rate = soundfile.read(NOISY, dtype="float32")
    rng = np.random.default_rng(0)
    for number in range(count):
        length, start = int(rng.uniform(1, 3) * rate), int(rng.integers(len(audio)))
        wave = audio.take(np.arange(start, start + length), mode="wrap")
        soundfile.write(folder / f"{number:04}.wav", wave, rate)


def seconds(source: Path, options: tuple[str, ...], load: int) -> float:
    """Of one call, with its results counted."""
    with tempfile.TemporaryDirectory() as target, busy(load):
        command = [sys.executable, "-m", "sgmse", "enhance", str(source), "-o", target, "-q"]
        start = time.perf_counter()
        subprocess.run([*command, *options], env=environment(""), check=True)
        took = time.perf_counter() - start
        made, meant = len(list(Path(target).iterdir())), len(list(source.iterdir()))
    if made != meant:
        raise SystemExit(f"{made} of {meant} results")
    return took


def taken(files: int, rounds: int, loads: tuple[int, ...]) -> dict[str, dict[str, list[float]]]:
    """Seconds of each way beside so many busy processes each, ways and loads in turn."""
    times: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        recordings(source, files)
        for _ in tqdm(range(rounds), unit="round", desc=f"{files} files"):
            for load in loads:
                for way, options in WAYS.items():
                    times[way].setdefault(str(load), []).append(seconds(source, options, load))
    return times


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside-files", type=int, default=40, help="0: nothing beside processes")
    parser.add_argument("--beside-rounds", type=int, default=3)
    options = parser.parse_args()
    alone = taken(options.files, options.rounds, (0,))
    busy_too = options.beside_files > 0
    beside = taken(options.beside_files, options.beside_rounds, (0, LOAD)) if busy_too else {}
    found = {way: median(by["0"]) for way, by in alone.items()}
    rows, slower = "", {}
    for way, idle in found.items():
        rows += f"| {way} | {idle:.1f} | {found[ONE] / idle:.2f} |"
        if busy_too:
            less, more = (median(beside[way][str(load)]) for load in (0, LOAD))
            each = [b / a for a, b in zip(*beside[way].values(), strict=True)]
            slower[way] = median(each)
            spread = f"{slower[way]:.1f} ({min(each):.1f} to {max(each):.1f})"
            rows += f" {less:.1f} | {more:.1f} | {spread} |"
        rows += "\n"
    head = f"| way | {options.files} files, idle [s] | times as fast |"
    rule = "|---|---|---|"
    text = f"{options.files} files of 1 to 3 s, rounds: {options.rounds}."
    if busy_too:
        head += f" {options.beside_files} files, idle [s] | beside {LOAD} processes [s] |"
        head += " times as long |"
        rule += "---|---|---|"
        text += (
            f" Beside the others {options.beside_files} files, rounds: {options.beside_rounds}; "
            "the least and the most of them in brackets."
        )
    page = (
        "# Many short files\n\n"
        "Made by `python benchmarks/many_files.py`.\n\n"
        f"{paragraph(__doc__, 1)} {text} "
        f"{machine()['processor']}, {os.cpu_count()} cores, Python {platform.python_version()}.\n\n"
        f"{head}\n{rule}\n{rows}"
    )
    facts = {"files": options.files, "seconds": alone, "beside": beside}
    write(options.output, "many-files", page, facts)
    if (ratio := found[ONE] / found["`-j 2`"]) < FASTER:
        raise SystemExit(f"-j 2 is {ratio:.2f} times as fast, and the bar is {FASTER}")
    if slower and max(slower.values()) > SLOWER:
        raise SystemExit(f"beside {LOAD} processes {max(slower.values()):.1f} times as long")


if __name__ == "__main__":
    main()
