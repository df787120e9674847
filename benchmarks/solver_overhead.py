"""What a step costs outside the network: python benchmarks/solver_overhead.py

Writes benchmarks/results/solver-overhead.md and .json: the CPU time of a step of every solver, in
steps of `Exponential()`, for one complex64 spectrogram of 256 x 256 on one core, with a network
that returns its input, so that all that is left is the solver, the process and the parametrization.
Each number is the median of 15 ratios, of runs of ten steps one after the other; the half of the
ratios lies within the interval. CPU time and paired runs are for machines that do other things,
too. A tensor of 31 MiB is made and freed before, as networks do all the time: after that the
allocator of Linux keeps what is freed.
"""

import platform
import time
from statistics import median, quantiles

import torch
from solver_order import ROWS, named
from torch import Tensor
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.estimates import Data
from sgmse.model import ScoreModel
from sgmse.networks import Network
from sgmse.sdes import OUVE, SBVE, SDE, StraightFlow
from sgmse.solvers import LAST_START, Exponential, Solver, Uniform, solve

PROCESSES: tuple[SDE, ...] = (OUVE(), SBVE(), StraightFlow())
STEPS, ROUNDS = 10, 15


class Nothing(Network):
    """The network that returns its state."""

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """X itself."""
        return x


def cpu(sde: SDE, solver: Solver, start: float) -> float:
    """Milliseconds a step, of the CPU."""
    model = ScoreModel(Nothing(), sde, Data())
    y = torch.randn(1, 1, 256, 256, dtype=torch.complex64)
    with torch.inference_mode():
        began = time.process_time()
        solve(model, y, solver, Uniform(STEPS, start))
        return 1000 * (time.process_time() - began) / STEPS


def pairs(sde: SDE, solver: Solver) -> list[tuple[float, float]] | None:
    """Steps of the solver and of `Exponential()`, by rounds; None where it refuses the process."""
    if solver.refusal(sde, LAST_START):
        return None
    start = LAST_START if solver.refusal(sde, 1.0) else 1.0
    cpu(sde, solver, start)  # what is imported or computed once
    return [(cpu(sde, solver, start), cpu(sde, Exponential(), start)) for _ in range(ROUNDS)]


def cell(found: list[tuple[float, float]] | None) -> str:
    """Median and quartiles of the ratios."""
    if found is None:
        return ""
    ratios = [ours / theirs for ours, theirs in found]
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    torch.zeros(31 * 2**18)
    names = [type(sde).__name__ for sde in PROCESSES]
    results = {
        named(solver): {
            name: pairs(sde, solver) for name, sde in zip(names, PROCESSES, strict=True)
        }
        for solver in tqdm(ROWS, unit="solver")
    }
    own = [
        median(theirs for row in results.values() for _, theirs in row[name] or [])
        for name in names
    ]
    lines = [
        f"| solver | evaluations a step | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for solver in ROWS:
        cells = [cell(found) for found in results[named(solver)].values()]
        lines.append(f"| `{named(solver)}` | {solver.evaluations} | {' | '.join(cells)} |")
    page = (
        "# What a step costs outside the network\n\n"
        "Made by `python benchmarks/solver_overhead.py`.\n\n"
        f"{paragraph(__doc__, 1)} A step of `Exponential()` takes "
        f"{', '.join(f'{ms:.2f} ms on {n}' for n, ms in zip(names, own, strict=True))} here "
        f"(torch {torch.__version__}, {platform.machine()}).\n\n" + "\n".join(lines) + "\n"
    )
    rounded = {
        solver: {
            name: found and [[round(ms, 4) for ms in pair] for pair in found]
            for name, found in row.items()
        }
        for solver, row in results.items()
    }
    write(options.output, "solver-overhead", page, rounded, None)


if __name__ == "__main__":
    main()
