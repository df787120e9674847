"""What the length of segments costs and changes: python benchmarks/segments.py CORPUS

Writes benchmarks/results/segments.md and .json: the scores of recordings of CORPUS/valid that the
default model has enhanced one after the other in files of two minutes and more, in segments of
different lengths; the differences from the longest, recording by recording; and the memory and the
time of the processor that a process of its own took for them, with two threads.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse import audio, load
from sgmse.metrics.measures import select
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import corrected, interval, paired
from sgmse.scoring.provenance import machine

RATE, TOGETHER = 16000, 120  # Hz, seconds
MEASURES = select(["pesq-wb", "estoi", "si-sdr"])
THREADS = 2
PAGE = """# The length of segments

Made by `python benchmarks/segments.py CORPUS`.

{about} {count} recordings in {files} files. {machine}. Differences with half a 95 %
interval; Wilcoxon signed rank, corrected by Holm's method over the table: * p < 0.05, ** p < 0.01,
*** p < 0.001.

{table}
"""

Wave = NDArray[np.float32]


def joined(valid: Path) -> list[list[tuple[str, Wave]]]:
    """Names and noisy recordings, of which those of a list are one file."""
    files: list[list[tuple[str, Wave]]] = [[]]
    for path in sorted((valid / "noisy").iterdir()):
        if sum(len(x) for _, x in files[-1]) > TOGETHER * RATE:
            files.append([])
        rows, _ = audio.read(path)
        files[-1].append((path.name, rows[0].astype(np.float32)))
    return files


def enhanced(files: Sequence[Wave], segment: float) -> tuple[list[Wave], float, float]:
    """The files, seconds of the processor, and megabytes."""
    torch.set_num_threads(THREADS)
    enhancer = replace(load(), segment=segment)
    start = time.process_time()
    made = [enhancer(file, RATE) for file in files]
    took = time.process_time() - start
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return made, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def alone(files: Sequence[Wave], segment: float) -> tuple[list[Wave], float, float]:
    """The same in a process of its own, whose memory is this one's alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(enhanced, files, segment).result()


def scores(
    valid: Path, files: Sequence[list[tuple[str, Wave]]], made: Sequence[Wave]
) -> NDArray[np.float64]:
    """(recording, measure)."""
    rows = []
    for file, result in zip(files, made, strict=True):
        ends = np.cumsum([len(x) for _, x in file])[:-1]
        for (name, _), part in zip(file, np.split(result, ends), strict=True):
            clean = audio.read(valid / "clean" / name)[0][0]
            rows.append([m.function(clean, part, RATE) for m in MEASURES])
    return np.array(rows)


def main() -> None:
    parser = arguments(__doc__, "valid/clean and valid/noisy")
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 10, 20, 40])
    options = parser.parse_args()
    valid = options.corpus / "valid"
    files = joined(valid)
    waves = [np.concatenate([x for _, x in file]) for file in files]
    found, costs = {}, {}
    for seconds in tqdm(sorted(options.seconds, reverse=True), unit="length"):
        made, *costs[seconds] = alone(waves, seconds)
        found[seconds] = scores(valid, files, made)
    longest, *others = found
    changes = corrected(
        [paired(found[s][:, i], found[longest][:, i]) for s in others for i in range(len(MEASURES))]
    )
    told = iter(changes)
    rows, plain = [], []
    for seconds, own in found.items():
        means = [interval(own[:, i]) for i in range(len(MEASURES))]
        differences = [next(told) for _ in MEASURES] if seconds != longest else []
        took, megabytes = costs[seconds]
        shown = (
            [numbers.change(m, d) for m, d in zip(MEASURES, differences, strict=True)]
            if differences
            else [f"{x.mean:.{m.digits}f}" for m, x in zip(MEASURES, means, strict=True)]
        )
        rows.append([f"{seconds:g}", *shown, f"{took:.0f}", f"{megabytes:.0f}"])
        names = [m.name for m in MEASURES]
        plain.append(
            {
                "segment": seconds,
                "scores": {name: vars(x) for name, x in zip(names, means, strict=True)},
                "differences": {n: vars(x) for n, x in zip(names, differences, strict=False)},
                "cpu_seconds": took,
                "megabytes": megabytes,
            }
        )
    heads = ["seconds", *map(numbers.heading, MEASURES), "processor [s]", "memory [MB]"]
    page = PAGE.format(
        about=paragraph(__doc__, 1),
        count=sum(map(len, files)),
        files=len(files),
        machine=f"{machine()['processor']}, {THREADS} threads",
        table=markdown_table(heads, rows),
    )
    write(options.output, "segments", page, plain)


if __name__ == "__main__":
    main()
