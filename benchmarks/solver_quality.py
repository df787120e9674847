"""How near each solver comes to the exact posterior: python benchmarks/solver_quality.py

Writes benchmarks/results/solver-quality.md, .json and .png.

The posterior is bimodal: x0 given y is y/2 +- 1/4, each with a standard deviation of 0.08, and
y = 0.4 + 0.2i; the model is its exact estimate. W1 is the Wasserstein-1 distance between the real
parts of 200,000 samples and of the posterior, in standard deviations of the posterior,
sqrt(0.25^2 + 0.08^2). Each solver runs with as many steps as its evaluations allow, on the grid
that was best for it in another draw, of 200,000 samples over the evaluations.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import erf
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))  # the exact problem

from names import short  # noqa: E402
from problems import bimodal  # noqa: E402
from writing import arguments, paragraph  # noqa: E402

from sgmse import sdes, solvers  # noqa: E402
from sgmse.sdes import SDE  # noqa: E402
from sgmse.solvers import LAST_START, Grid, Solver, solve  # noqa: E402

Y = 0.4 + 0.2j
SD = float(np.hypot(0.25, 0.08))
BUDGETS = (5, 10, 16, 30, 60)
COUNT = 200_000

PROCESSES: tuple[SDE, ...] = (
    sdes.OUVE(),
    sdes.SBVE(),
    sdes.BBED(),
    sdes.StraightFlow(),
    sdes.FlowMatching(),
    sdes.VP(),
)
SOLVERS: tuple[Solver, ...] = (
    solvers.EulerMaruyama(),
    solvers.EulerMaruyama(eta=0.0),
    solvers.ReverseDiffusion(),
    solvers.PredictorCorrector(solvers.EulerMaruyama(), solvers.AnnealedLangevin()),
    solvers.Exponential(),
    solvers.Exponential(eta=1.0),
    solvers.Multistep(),
    solvers.Multistep(eta=0.5),
    solvers.Multistep(eta=1.0),
    solvers.Multistep(order=3),
    solvers.Multistep(order=3, eta=0.5),
    solvers.Singlestep(),
    solvers.Singlestep(eta=0.5),
    solvers.Singlestep(eta=1.0),
    solvers.UniPC(),
    solvers.UniPC(order=3),
    solvers.Heun(),
    solvers.Heun(churn=0.1),
    solvers.RungeKutta4(),
    solvers.InterpolatingSDE(),
    solvers.InterpolatingSDE(kappa=0.0),
    solvers.DormandPrince(1e-2, 1e-2),
    solvers.DormandPrince(1e-3, 1e-3),
)
INNER = {short(solvers.MeanShifted(solver)): short(solver) for solver in SOLVERS}
#: Those that the figure has in colour.
PICTURED = [
    "PredictorCorrector()",
    "EulerMaruyama()",
    "Exponential()",
    "Exponential(eta=1.0)",
    "Multistep()",
    "Multistep(eta=0.5)",
    "UniPC(order=3)",
    "Singlestep(eta=1.0)",
    "Heun()",
    "RungeKutta4()",
]
GRIDS: tuple[Grid, ...] = tuple(
    replace(shape, end=end)
    for shape, end in product(
        (
            solvers.Uniform(),
            solvers.Polynomial(rho=2.0),
            solvers.Polynomial(rho=5.0),
            solvers.LogSNR(),
            solvers.AsinhSNR(),
            solvers.Karras(),
        ),
        (0.03, 0.01, 1e-3, 3e-4),
    )
)


class Run(NamedTuple):
    """One point of the figure."""

    w1: float
    nfe: int
    grid: str


def quantiles(count: int) -> np.ndarray:
    """Of the real part of the exact posterior, whose modes have half of the variance there."""
    x = np.linspace(-1.2, 1.6, 400_001)
    centre = Y.real / 2
    below = sum(1 + erf((x - centre - mode) / 0.08) for mode in (-0.25, 0.25)) / 4
    return np.interp((np.arange(count) + 0.5) / count, below, x)


def distance(x: torch.Tensor) -> float:
    """W1 of the real parts (1, count), in standard deviations."""
    sample = np.sort(x.real.numpy().ravel())
    return float(np.abs(sample - quantiles(len(sample))).mean()) / SD


def sample(sde: SDE, solver: Solver, grid: Grid, count: int, seed: int) -> tuple[float, int]:
    """W1 and the evaluations that it took."""
    generator = torch.Generator().manual_seed(seed)

    def randn(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    y = torch.full((1, count), Y, dtype=torch.complex64)
    x, nfe, _ = solve(bimodal(sde), y, solver, grid, randn=randn)
    return distance(x) if x.isfinite().all() else float("inf"), nfe


def adaptive(solver: Solver) -> bool:
    """Whether it chooses its steps itself, whatever the evaluations."""
    within = solver.inner if isinstance(solver, solvers.MeanShifted) else solver
    return isinstance(within, solvers.DormandPrince)


def most_steps(sde: SDE, solver: Solver, start: float, budget: int) -> int | None:
    """The most steps that stay within the evaluations; None if not even two do."""
    if adaptive(solver):
        return 2
    for steps in range(budget // solver.evaluations + 1, 1, -1):
        if sample(sde, solver, solvers.Uniform(steps, start), 2, 0)[1] <= budget:
            return steps
    return None


def best(task: tuple[SDE, Solver, int]) -> Run | None:
    """The run of a solver with a number of evaluations, on the grid that suits it best."""
    torch.set_num_threads(1)
    sde, solver, budget = task
    start = LAST_START if solver.refusal(sde, 1.0) else 1.0
    steps = most_steps(sde, solver, start, budget)
    if steps is None:
        return None
    grids = [replace(grid, steps=steps, start=start) for grid in GRIDS]
    tried = [(sample(sde, solver, grid, COUNT // budget, 1)[0], grid) for grid in grids]
    grid = min(tried, key=lambda pair: pair[0])[1]
    return Run(*sample(sde, solver, grid, COUNT, 0), short(grid))


def solvers_of(sde: SDE) -> list[Solver]:
    """All that can sample a process; where its prior is off centre, also from the right mean."""
    able = [solver for solver in SOLVERS if not solver.refusal(sde, LAST_START)]
    if isinstance(sde, sdes.OUVE):
        able += [solvers.MeanShifted(solver) for solver in SOLVERS]
    return able


def tables(results: dict[str, dict[str, list[Run | None]]]) -> str:
    """A table for each process: solvers x evaluations."""
    parts = []
    for process, rows in results.items():
        head = "| solver | " + " | ".join(map(str, BUDGETS)) + " | grid with 10 |"
        lines = [f"## {process}", "", head, "|---" * (len(BUDGETS) + 2) + "|"]
        for solver, runs in rows.items():
            if len(runs) == 1:  # with the evaluations of its own choice, under the next budget
                (run,) = runs
                assert run is not None
                place = sum(budget < run.nfe for budget in BUDGETS[:-1])
                cells = [""] * len(BUDGETS)
                cells[place] = f"{run.w1:.4f} ({run.nfe})"
                lines.append(f"| `{solver}` | {' | '.join(cells)} | |")
                continue
            cells = ["" if run is None else f"{run.w1:.4f}" for run in runs]
            ten = runs[BUDGETS.index(10)]
            lines.append(f"| `{solver}` | {' | '.join(cells)} | {f'`{ten.grid}`' if ten else ''} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def plot(results: dict[str, dict[str, list[Run | None]]], floor: float, file: Path) -> None:
    """W1 against evaluations, a panel a process: some solvers in colour, all others in grey."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(15, 10), sharex=True, sharey=True)
    for panel, (process, rows) in zip(panels.flat, results.items(), strict=True):
        shifted = any(solver.startswith("MeanShifted") for solver in rows)
        for solver, runs in rows.items():
            done = [run for run in runs if run is not None]
            points = [run.nfe for run in done], [run.w1 for run in done]
            inner = INNER.get(solver, solver)
            if inner not in PICTURED:
                panel.loglog(*points, color="0.85", linewidth=1, zorder=1)
                continue
            style = "--" if shifted and solver == inner else "-"
            colour = f"C{PICTURED.index(inner)}"
            label = inner if style == "-" else None
            panel.loglog(*points, style, color=colour, marker=".", label=label)
        panel.axhline(floor, color="grey", linewidth=6, alpha=0.3)
        note = "; dashed: from the prior's mean" if shifted else ""
        panel.set(title=f"{process}{note}", xlabel="evaluations", ylabel="W1 / sd", ylim=(1e-3, 1))
        panel.set_xticks(BUDGETS, [str(n) for n in BUDGETS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    handles, labels = panels.flat[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(file, dpi=80)


def measure(workers: int) -> dict:
    """Every solver on every process with every budget."""
    tasks = [
        (sde, solver, budget)
        for sde in PROCESSES
        for solver in solvers_of(sde)
        for budget in ((10,) if adaptive(solver) else BUDGETS)
    ]
    with ProcessPoolExecutor(workers) as pool:
        measured = list(tqdm(pool.map(best, tasks), total=len(tasks), unit="run"))
    results: dict[str, dict[str, list[Run | None]]] = {}
    for (sde, solver, _), run in zip(tasks, measured, strict=True):
        results.setdefault(short(sde), {}).setdefault(short(solver), []).append(run)
    y = torch.full((1, COUNT), Y, dtype=torch.complex128)
    floor = distance(bimodal(PROCESSES[0]).draw(y, y))
    return {"budgets": BUDGETS, "floor": floor, "runs": results}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("-j", "--workers", type=int, default=2)
    parser.add_argument("--redraw", action="store_true", help="table and figure of what was found")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "solver-quality.json"
    if not options.redraw:
        file.write_text(json.dumps(measure(options.workers), indent=1) + "\n")
    results_file = json.loads(file.read_text())
    floor = results_file["floor"]
    results = {
        process: {solver: [run and Run(*run) for run in runs] for solver, runs in rows.items()}
        for process, rows in results_file["runs"].items()
    }
    plot(results, floor, options.output / "solver-quality.png")
    (options.output / "solver-quality.md").write_text(
        "# Distance to the exact posterior against evaluations\n\n"
        "Made by `python benchmarks/solver_quality.py`.\n\n"
        f"{paragraph(__doc__, 2)} Samples of the posterior itself come to {floor:.4f}. An empty "
        "cell: not even two steps fit. `DormandPrince` chooses its evaluations itself: its number "
        "stands in brackets.\n\n"
        f"{tables(results)}\n\n![W1 against evaluations](solver-quality.png)\n"
    )
    print(options.output / "solver-quality.md")


if __name__ == "__main__":
    main()
