"""What samplers make of the default model: python benchmarks/samplers.py [CORPUS]

Enhances the first three seconds of tests/data/noisy.wav with every solver of the command line in 1
to 30 steps, and with others, with one place of the frames. Each is tried as it is and, where it is
refused, by force. With CORPUS, the samplers that were candidates also enhance 30 recordings of
CORPUS/valid, those with the least and the most noise in turn, which bear out what the model is made
for. Writes benchmarks/results/samplers.md and .json: SI-SDR and level, or why there is none.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from writing import HERE, arguments, write

import sgmse
from sgmse import audio
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ResultError
from sgmse.metrics.energy_ratios import si_sdr
from sgmse.metrics.pesq import pesq_wb
from sgmse.report.text import markdown_table
from sgmse.solvers import (
    NAMED,
    AsinhSNR,
    Cosine,
    DormandPrince,
    EulerMaruyama,
    Exponential,
    Grid,
    Heun,
    InterpolatingSDE,
    LogSNR,
    Multistep,
    PredictorCorrector,
    RungeKutta4,
    Singlestep,
    Solver,
    Uniform,
    UniPC,
)

DATA = HERE.parent / "tests" / "data"
SECONDS = 3
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 30)
ODE = Exponential(start=0.0)
BESIDE = 0.999  # where solvers begin that cannot leave the end of a bridge
OTHERS: tuple[tuple[Solver, Grid], ...] = (
    *((Heun(), Uniform(n, start=BESIDE, end=0.0)) for n in (1, 2, 5)),
    *((UniPC(), Uniform(n, end=0.0)) for n in (1, 2, 5)),
    *((Singlestep(), Uniform(n, end=0.0)) for n in (1, 2)),
    (Multistep(), LogSNR(10)),
    (Multistep(eta=0.0, start=0.0), LogSNR(10)),
    (ODE, AsinhSNR(4, end=0.0)),
    (ODE, Cosine(2, end=0.0)),
    (ODE, Uniform(1, start=0.9, end=0.0)),
    (ODE, Uniform(2, start=0.5, end=0.0)),
    (Exponential(eta=0.1), Uniform(2, end=0.0)),
    (RungeKutta4(), Uniform(2, start=BESIDE, end=0.0)),
    (EulerMaruyama(), Uniform(30, start=BESIDE)),
    (InterpolatingSDE(), Uniform(10, start=BESIDE)),
    (PredictorCorrector(corrector=None), Uniform(30, start=BESIDE)),
    (DormandPrince(rtol=0.1, atol=0.1), Uniform(1, start=BESIDE, end=0.03)),
)
CANDIDATES: tuple[tuple[Solver, Grid], ...] = tuple(
    (ODE, Uniform(n, end=0.0)) for n in (1, 2, 3, 4)
)
PAGE = """# Samplers of the default model

Made by `python benchmarks/samplers.py{corpus}`.

The first {seconds} s of `tests/data/noisy.wav`, whose SI-SDR is {noisy:.1f} dB, with one place of
the frames (`shifts`), as the default takes. "As asked": what comes of it without `--force`, SI-SDR
in dB. "By force": SI-SDR, and in brackets the level against the recording in dB.

{table}

Those that are not refused: {least:.1f} dB at least, {gain:.1f} dB more than the recording.
{valid}"""
VALID = """
## The candidates

The candidates on {count} recordings of the validation set at 2.5 and 17.5 dB SNR: the mean of
SI-SDR and PESQ, and the least that a recording gains of each. The model is made for the numbers of
steps that it was trained in, as long as these make no recording worse in SI-SDR.

{table}
"""

Signal = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """A sampler: SI-SDR and level (dB) of what comes of it; None where nothing does."""

    solver: str
    grid: str
    refused: str
    si_sdr: float | None
    level: float | None

    def cells(self) -> list[str]:
        """Of the table."""
        value = "not finite" if self.si_sdr is None else f"{self.si_sdr:.1f}"
        if not self.refused:
            return [self.solver, self.grid, value, ""]
        level = "" if self.level is None else f" ({self.level:+.0f})"
        return [self.solver, self.grid, f"refused: {self.refused}", value + level]


def tried(enhancer: Enhancer, noisy: Signal, clean: Signal, solver: Solver, grid: Grid) -> Row:
    """What a sampler makes of a recording, by force where it is refused."""
    refused, si, level = "", None, None
    try:
        chosen = enhancer.with_sampler(solver, grid=grid)
    except ArgumentError as error:
        refused = str(error).partition(";")[0]
        chosen = enhancer.with_sampler(solver, grid=grid, force=True)
    try:
        made = chosen(noisy, 16000).astype(np.float64)
        si = si_sdr(clean, made, 16000)
        level = 20 * np.log10(np.std(made) / np.std(noisy))
    except ResultError as error:
        refused = refused or str(error).partition(";")[0]
    return Row(f"`{solver}`", f"`{grid}`", refused, si, level)


def judged(enhancer: Enhancer, corpus: Path) -> tuple[list[list[str]], int]:
    """The table of the candidates."""
    files = sorted((corpus / "valid" / "noisy").iterdir())
    files = [file for i, file in enumerate(files) if i % 4 in (0, 3)]
    rows: dict[tuple[Solver, Grid], list[tuple[float, ...]]] = {c: [] for c in CANDIDATES}
    for file in files:
        (noisy,), _ = audio.read(file)
        (clean,), _ = audio.read(corpus / "valid" / "clean" / file.name)
        before = si_sdr(clean, noisy, 16000), pesq_wb(clean, noisy, 16000)
        for solver, grid in CANDIDATES:
            made = enhancer.with_sampler(solver, grid=grid, force=True)(noisy, 16000)
            after = si_sdr(clean, made, 16000), pesq_wb(clean, made, 16000)
            rows[solver, grid].append((*after, after[0] - before[0], after[1] - before[1]))
    table = []
    for (solver, grid), scores in rows.items():
        (si, quality, _, _), worst = np.mean(scores, axis=0), np.min(scores, axis=0)
        numbers = f"{si:.2f}", f"{worst[2]:+.2f}", f"{quality:.3f}", f"{worst[3]:+.3f}"
        table.append([f"`{solver}`", f"`{grid}`", *numbers])
    return table, len(files)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("corpus", type=Path, nargs="?", help="folder with valid")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", sgmse.RecordingWarning)
    enhancer = sgmse.load(device="cpu", shifts=1)
    samples = SECONDS * 16000
    noisy, clean = (audio.read(DATA / f"{n}.wav")[0][0][:samples] for n in ("noisy", "clean"))
    rows = []
    for named in NAMED.values():
        for steps in STEPS:
            asked = enhancer.sampler.changed(enhancer.model.sde, named, steps)
            rows.append(tried(enhancer, noisy, clean, asked.solver, asked.grid))
            print(*rows[-1].cells(), flush=True)
    for solver, grid in OTHERS:
        rows.append(tried(enhancer, noisy, clean, solver, grid))
        print(*rows[-1].cells(), flush=True)
    before = si_sdr(clean, noisy, 16000)
    least = min(row.si_sdr for row in rows if not row.refused and row.si_sdr is not None)
    valid, about = "", None
    if options.corpus is not None:
        about, count = judged(enhancer, options.corpus)
        head = ["solver", "grid", "SI-SDR [dB]", "least gain", "PESQ-WB", "least gain"]
        valid = VALID.format(count=count, table=markdown_table(head, about))
    page = PAGE.format(
        corpus=" CORPUS" * bool(valid),
        seconds=SECONDS,
        noisy=before,
        table=markdown_table(
            ["solver", "grid", "as asked", "by force"], [row.cells() for row in rows]
        ),
        least=least,
        gain=least - before,
        valid=valid,
    )
    numbers: dict[str, Any] = {"noisy": before, "rows": [vars(row) for row in rows], "valid": about}
    write(options.output, "samplers", page, numbers)


if __name__ == "__main__":
    main()
