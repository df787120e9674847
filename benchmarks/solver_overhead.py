"""What a step costs outside the network: python benchmarks/solver_overhead.py

Writes benchmarks/results/solver-overhead.md and .json: milliseconds a step of every solver for one
complex64 spectrogram of 256 x 256 on the CPU, with a network that returns its input, so that all
that is left is the solver, the process and the parametrization. A tensor of 31 MiB is made and
freed before, as networks do all the time: after that the allocator of Linux keeps what is freed.
Drawing the noise of a step takes 0.35 ms. Medians over rounds; the machine should do nothing else.
"""

import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))  # the list of what there is

from conftest import SOLVERS  # noqa: E402
from names import short  # noqa: E402
from writing import arguments, paragraph, write  # noqa: E402

from sgmse.estimates import Data  # noqa: E402
from sgmse.model import ScoreModel  # noqa: E402
from sgmse.networks import Network  # noqa: E402
from sgmse.sdes import OUVE, SBVE, SDE, StraightFlow  # noqa: E402
from sgmse.solvers import LAST_START, Solver, Uniform, solve  # noqa: E402

PROCESSES: tuple[SDE, ...] = (OUVE(), SBVE(), StraightFlow())


class Nothing(Network):
    """The network that returns its state."""

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """X itself."""
        return x


def milliseconds(sde: SDE, solver: Solver, steps: int = 10, rounds: int = 9) -> float | None:
    """A step, the median of rounds; None where the solver refuses the process."""
    if solver.refusal(sde, LAST_START):
        return None
    start = LAST_START if solver.refusal(sde, 1.0) else 1.0
    model, grid = ScoreModel(Nothing(), sde, Data()), Uniform(steps, start)
    torch.zeros(31 * 2**18)
    y = torch.randn(1, 1, 256, 256, dtype=torch.complex64)
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds):
            began = time.perf_counter()
            solve(model, y, solver, replace(grid, steps=steps))
            seconds.append((time.perf_counter() - began) / steps)
    return 1000 * median(seconds)


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(2)
    names = [type(sde).__name__ for sde in PROCESSES]
    results = {
        short(solver): {
            name: milliseconds(sde, solver) for name, sde in zip(names, PROCESSES, strict=True)
        }
        for solver in tqdm(SOLVERS, unit="solver")
    }
    lines = [
        "| solver | evaluations a step | " + " | ".join(f"{n}, ms" for n in names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for solver in SOLVERS:
        cells = [f"{ms:.2f}" if ms else "" for ms in results[short(solver)].values()]
        lines.append(f"| `{short(solver)}` | {solver.evaluations} | {' | '.join(cells)} |")
    page = (
        "# What a step costs outside the network\n\n"
        "Made by `python benchmarks/solver_overhead.py`.\n\n"
        f"{paragraph(__doc__, 1)} torch {torch.__version__}, 2 threads, "
        f"{platform.machine()}.\n\n" + "\n".join(lines) + "\n"
    )
    write(options.output, "solver-overhead", page, results)


if __name__ == "__main__":
    main()
