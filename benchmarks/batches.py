"""Whether batches help on cores: python benchmarks/batches.py

Writes benchmarks/results/batches.md and .json: seconds of CPU time that the default model takes for
four recordings of 4 s, in two shifts each, with 1 and 2 threads: one piece after the other as it is
done on cores, and in batches of 2 and 8 pieces as it is done on a GPU. The rounds alternate between
the ways; a ratio is the median of those of the rounds, above 1 where the batch is faster. The
difference is that of the results, relative to the largest value.
"""

import platform
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
from tqdm import tqdm
from writing import arguments, paragraph, write

import sgmse
from sgmse.bench._together import Together
from sgmse.scoring.provenance import machine

NOISY = Path(__file__).resolve().parent.parent / "tests" / "data" / "noisy.wav"
RECORDINGS, SECONDS = 4, 4


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    plain = sgmse.load(device="cpu")
    samples, rate = soundfile.read(NOISY, dtype="float32")
    whole = np.resize(samples, RECORDINGS * SECONDS * rate).reshape(RECORDINGS, 1, -1)
    ways = {"one by one": plain, **{f"batches of {n}": Together.like(plain, n) for n in (2, 8)}}
    rows, lines = [], []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        spent: dict[str, list[float]] = {way: [] for way in ways}
        made = {}
        for way, enhancer in ways.items():
            made[way] = enhancer(whole[:, :, :rate], rate)
        for _ in tqdm(range(options.rounds), unit="round"):
            for way, enhancer in ways.items():
                start = time.process_time()
                made[way] = enhancer(whole, rate)
                spent[way].append(time.process_time() - start)
        for way, seconds in spent.items():
            ratio = median(one / own for one, own in zip(spent["one by one"], seconds, strict=True))
            off = np.abs(made[way] - made["one by one"]).max() / np.abs(made[way]).max()
            row = {"threads": threads, "way": way, "seconds": median(seconds), "ratio": ratio}
            rows.append(row | {"difference": float(off)})
            lines.append(
                f"| {threads} | {way} | {median(seconds):.2f} ({min(seconds):.2f} to "
                f"{max(seconds):.2f}) | {ratio:.2f} | {off:.1e} |\n"
            )
    page = (
        "# Batches on cores\n\n"
        "Made by `python benchmarks/batches.py`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, Python {platform.python_version()}, "
        f"torch {torch.__version__}; {options.rounds} rounds, in brackets the shortest and the "
        "longest.\n\n| threads | way | CPU time [s] | ratio | difference |\n|---|---|---|---|---|\n"
        + "".join(lines)
    )
    write(options.output, "batches", page, rows)


if __name__ == "__main__":
    main()
