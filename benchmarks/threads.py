"""Ways to use the cores, on an idle machine and on a busy one: python benchmarks/threads.py

Writes benchmarks/results/threads.md and .json: seconds that the default model takes for 8 s of
audio at 16 kHz, one channel, in a process that has its model loaded, and that `sgmse enhance` takes
from its start to its end; alternately on a machine that does nothing else, and beside 8 processes
that compute all the time. The model takes two places of the frames, which are two pieces, and the
command one. Medians of the rounds. The machine should do nothing else.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.cli.main import SPINS
from sgmse.scoring.provenance import machine

HERE = Path(__file__).resolve().parent
NOISY = HERE.parent / "tests" / "data" / "noisy.wav"
SECONDS, LOAD, LIMIT = 8, 8, 30.0

WORK = """
import sys, time
import soundfile, torch, sgmse, sgmse._lanes
threads, pieces, source = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(threads or torch.get_num_threads())
sgmse._lanes.MOST = pieces
audio, rate = soundfile.read(source, dtype="float32")
enhancer = sgmse.load(shifts=2)
enhancer(audio[: rate // 2], rate)
for _ in sys.stdin:
    start = time.perf_counter()
    enhancer(audio, rate)
    print(time.perf_counter() - start, flush=True)
"""


@dataclass(frozen=True)
class Way:
    """How the cores are used: threads in all (0: all), pieces at once, how threads wait."""

    text: str
    threads: int
    pieces: int
    waiting: Mapping[str, str] = field(default_factory=dict)


PASSIVELY = {"OMP_WAIT_POLICY": "PASSIVE"}
SHORTLY = {"GOMP_SPINCOUNT": SPINS}
WAYS = (
    Way("all threads on each operation, waiting actively (the default of torch)", 0, 1),
    Way("all threads on each operation, waiting passively", 0, 1, PASSIVELY),
    Way(
        "all threads on each operation, spinning shortly (what the command line does)",
        0,
        1,
        SHORTLY,
    ),
    Way("one thread", 1, 1),
    Way("pieces side by side (what is done with several)", 0, 4),
    Way("pieces side by side, spinning shortly (what the command line does)", 0, 4, SHORTLY),
)


def environment(waiting: Mapping[str, str]) -> dict[str, str]:
    rest = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
    }
    return rest | dict(waiting)


def measured(way: Way, source: Path, load: int) -> float:
    """Seconds of one call; infinite beyond `LIMIT`."""
    command = [sys.executable, "-c", WORK, str(way.threads), str(way.pieces), str(source)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(way.waiting), **pipes)  # type: ignore[call-overload]
    try:
        print("", file=process.stdin, flush=True)  # the first call is not counted
        process.stdout.readline()
        with busy(load):
            return float(process.communicate("\n", timeout=LIMIT)[0])
    except subprocess.TimeoutExpired:
        return float("inf")
    finally:
        process.kill()
        process.wait()


def command_line(source: Path, load: int) -> float:
    command = [sys.executable, "-m", "sgmse", "enhance", str(source), "-q", "--overwrite"]
    with busy(load):
        start = time.perf_counter()
        subprocess.run(command, env=environment({}), check=True)
        return time.perf_counter() - start


@contextmanager
def busy(load: int) -> Iterator[None]:
    """So many processes that compute."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(load)]
    time.sleep(1 if load else 0.2)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    times: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "noisy.wav"
        audio, rate = soundfile.read(NOISY, dtype="float32")
        soundfile.write(source, np.resize(audio, SECONDS * rate), rate)
        for _ in tqdm(range(options.rounds), unit="round"):
            for load in (0, LOAD):
                key = "loaded" if load else "idle"
                for way in WAYS:
                    seconds = measured(way, source, load)
                    times.setdefault(way.text, {}).setdefault(key, []).append(seconds)
                seconds = command_line(source, load)
                times.setdefault("`sgmse enhance`", {}).setdefault(key, []).append(seconds)
    rows = "".join(
        f"| {text} | {shown(by['idle'])} | {shown(by['loaded'])} |\n" for text, by in times.items()
    )
    page = (
        "# Ways to use the cores\n\n"
        "Made by `python benchmarks/threads.py`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; {options.rounds} rounds, in brackets the shortest and the "
        f"longest; a call that takes more than {LIMIT:.0f} s is ended.\n\n"
        f"| way | idle [s] | beside {LOAD} processes [s] |\n|---|---|---|\n{rows}"
    )
    finite = {
        text: {key: [min(s, LIMIT) for s in values] for key, values in by.items()}
        for text, by in times.items()
    }
    write(options.output, "threads", page, finite)


def shown(seconds: list[float]) -> str:
    def one(value: float) -> str:
        return f"over {LIMIT:.0f}" if value > LIMIT else f"{value:.2f}"

    return f"{one(median(seconds))} ({one(min(seconds))} to {one(max(seconds))})"


if __name__ == "__main__":
    main()
