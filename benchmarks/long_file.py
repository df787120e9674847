"""Memory of an hour in one file: python benchmarks/long_file.py

Writes benchmarks/results/long-file.md and .json: the most memory that `sgmse enhance` has had, from
its start to its end, on files of different lengths, 16 kHz and one channel, wav to wav, with all
else as it is by default; voices in noise, generated. Each in a process of its own.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.scoring.provenance import machine

RATE, BLOCK = 16000, 60  # Hz, seconds
BAR = 900.0  # MB, of the longest

# Its own process, so that what it waited for is this one command and nothing before it.
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def recording(path: Path, minutes: float) -> None:
    """Voices of different pitch in noise, with pauses, written block by block."""
    rng = np.random.default_rng(0)
    time_of_block = np.arange(BLOCK * RATE) / RATE
    left = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while left:
            pitch = rng.uniform(90, 240)
            waves = [np.sin(2 * np.pi * k * pitch * time_of_block) / k for k in range(1, 12)]
            voice = sum(waves) * np.sin(2 * np.pi * 0.7 * time_of_block).clip(0) ** 2
            wave = 0.1 * voice + 0.02 * rng.standard_normal(len(time_of_block))
            file.write(wave[:left])
            left -= min(left, len(wave))


def measured(source: Path, target: Path, threads: int | None) -> dict[str, float]:
    """Megabytes and seconds of one call."""
    command = [sys.executable, "-m", "sgmse", "enhance", str(source), "-o", str(target), "-q"]
    command += [] if threads is None else ["--threads", str(threads)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *command], check=True, stdout=subprocess.PIPE, text=True
    )
    took = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    if soundfile.info(target).frames != soundfile.info(source).frames:
        raise SystemExit(f"{target} is not as long as {source}")
    return {"megabytes": int(done.stdout.split()[-1]) * unit / 1e6, "seconds": took}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 15, 60])
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in tqdm(options.minutes, unit="file"):
            source, target = Path(folder, "long.wav"), Path(folder, "clean.wav")
            recording(source, minutes)
            found[f"{minutes:g}"] = measured(source, target, options.threads)
            target.unlink()
    rows = "".join(
        f"| {minutes} | {own['megabytes']:.0f} | {own['seconds']:.0f} | "
        f"{60 * float(minutes) / own['seconds']:.1f} |\n"
        for minutes, own in found.items()
    )
    threads = options.threads or os.cpu_count()
    page = (
        "# Memory of long files\n\n"
        "Made by `python benchmarks/long_file.py`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, {threads} threads, Python "
        f"{platform.python_version()}.\n\n"
        f"| minutes | memory [MB] | seconds | times real time |\n|---|---|---|---|\n{rows}"
    )
    write(options.output, "long-file", page, {"threads": threads, "files": found})
    most = max(own["megabytes"] for own in found.values())
    if most > BAR:
        raise SystemExit(f"the bar is {BAR:.0f} MB, and it had {most:.0f}")


if __name__ == "__main__":
    main()
