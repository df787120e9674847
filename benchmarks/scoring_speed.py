"""`sgmse score` in several processes against one: python benchmarks/scoring_speed.py

Writes benchmarks/results/scoring-speed.md and .json: seconds the whole command takes, its start
included, on the test set of the corpus with PESQ, STOI, ESTOI and SI-SDR, in one process and in
several, in alternating rounds; and whether the tables are the same. The machine should do nothing
else.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm
from writing import arguments, write

from sgmse.scoring.provenance import machine

HERE = Path(__file__).resolve().parent
MEASURES = "pesq-wb,stoi,estoi,si-sdr"
BAR = 1.8  # times as fast on two cores


def scored(folder: Path, jobs: int) -> tuple[float, str]:
    """Seconds of the command, and the table of all files that it wrote."""
    with TemporaryDirectory() as output:
        command = [sys.executable, "-m", "sgmse", "score", folder / "clean", folder / "noisy"]
        command += ["--measures", MEASURES, "-j", str(jobs), "-o", output, "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began, (Path(output) / "scores.csv").read_text()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, default=HERE.parent.parent / "shared" / "corpus")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = options.corpus / "test"
    if not folder.is_dir():
        raise SystemExit(f"{folder} does not exist; name the corpus with --corpus")
    times: dict[int, list[float]] = {1: [], options.jobs: []}
    tables = set()
    for number in tqdm(range(options.rounds), unit="round"):
        for jobs in sorted(times, reverse=number % 2 == 0):
            seconds, table = scored(folder, jobs)
            times[jobs].append(seconds)
            tables.add(table)
    ratios = [a / b for a, b in zip(times[1], times[options.jobs], strict=True)]
    result = {
        "seconds": {str(jobs): median(values) for jobs, values in times.items()},
        "ratio": median(ratios),
        "ratios": ratios,
        "same": len(tables) == 1,
        "processor": machine()["processor"],
        "torch": torch.__version__,
    }
    rows = [f"| {jobs} | {median(values):.1f} |" for jobs, values in times.items()]
    rows[0] += " 1 |"
    rows[1] += f" {result['ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
    page = (
        "# Scoring in several processes\n\n"
        f"Made by `python benchmarks/scoring_speed.py`: `sgmse score` with {MEASURES} on the 95 "
        "pairs of the corpus's test set, the whole command; medians of "
        f"{options.rounds} alternating rounds on {result['processor']}. "
        f"The tables are {'the same to the bit' if result['same'] else 'NOT the same'}.\n\n"
        "| processes | seconds | times as fast |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    write(options.output, "scoring-speed", page, result)
    if result["ratio"] < BAR or not result["same"]:
        raise SystemExit(f"the bar is {BAR} times as fast, with the same table")


if __name__ == "__main__":
    main()
