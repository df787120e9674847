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


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--idle-only", action="store_true", help="nothing beside busy processes")
    options = parser.parse_args()
    loads = {"idle": 0} if options.idle_only else {"idle": 0, "loaded": LOAD}
    times: dict[str, dict[str, list[float]]] = {way: {key: [] for key in loads} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        recordings(source, options.files)
        for _ in tqdm(range(options.rounds), unit="round"):
            for key, load in loads.items():
                for way, arguments_of_way in WAYS.items():
                    times[way][key].append(seconds(source, arguments_of_way, load))
    middle = {way: {key: median(own) for key, own in by.items()} for way, by in times.items()}
    rows = ""
    for way, by in middle.items():
        loaded = "- | -"
        if not options.idle_only:
            loaded = f"{by['loaded']:.1f} | {by['loaded'] / by['idle']:.1f}"
        rows += (
            f"| {way} | {by['idle']:.1f} | {middle[ONE]['idle'] / by['idle']:.2f} | {loaded} |\n"
        )
    page = (
        "# Many short files\n\n"
        "Made by `python benchmarks/many_files.py`.\n\n"
        f"{paragraph(__doc__, 1)} {options.files} files of 1 to 3 s, {options.rounds} rounds. "
        f"{machine()['processor']}, {os.cpu_count()} cores, Python {platform.python_version()}.\n\n"
        f"| way | idle [s] | times as fast | beside {LOAD} processes [s] | times as long |\n"
        f"|---|---|---|---|---|\n{rows}"
    )
    write(options.output, "many-files", page, {"files": options.files, "seconds": times})
    if (ratio := middle[ONE]["idle"] / middle["`-j 2`"]["idle"]) < FASTER:
        raise SystemExit(f"-j 2 is {ratio:.2f} times as fast, and the bar is {FASTER}")
    if not options.idle_only:
        slower = max(by["loaded"] / by["idle"] for by in middle.values())
        if slower > SLOWER:
            raise SystemExit(f"beside {LOAD} processes it takes {slower:.1f} times as long")


if __name__ == "__main__":
    main()
