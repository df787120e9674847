"""How near each solver comes to the exact posterior: python benchmarks/solver_quality.py

Writes benchmarks/results/solver-quality.md, .json and .png.

A number is the sliced Wasserstein-1 distance between 2,048 samples and the exact law of x0 given y
(y = 0.4 + 0.2i), a mean over fixed directions, each in standard deviations of the law there. It is
a mean over ten seeds with its 95 % interval (Student's t). All draws are stratified (Latin
hypercubes: of 2,048 values of each draw one lies in each 2,048th part of its law), and the same for
all solvers, so that solvers are compared seed by seed.

Laws: two modes of deviation 0.08 at y/2 +- 1/4 (complex); three modes of two elements with full
covariances, complex and real; heavy tails, four Gaussians of deviations 0.05 to 0.5 around one mean
(real). Two estimates err: that of "two modes, shrunk" is drawn to the mean by 1/50, that of
"three modes, rough" has sin(40 x) / 50 added; the distance is to the exact law there, too.

Each solver takes as many steps as its evaluations allow, on the grid of ten that was best for it
in other draws of "two modes"; the other laws had no say in it. On a grid without a time in the
interval of `Restart()`, in few steps, that is `Multistep()`. `ERSDE` is of `sgmse.compat`.
"""

import json
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from laws import LAWS, Law, Model
from names import short
from scipy.stats import t as student
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse import compat, sdes, solvers
from sgmse.sdes import SDE
from sgmse.solvers import LAST_START, Grid, Solver, solve

BUDGETS = (5, 10, 20, 60)
SEEDS, COUNT = 10, 2048
#: Two numbers differ where their paired difference does at this level: one of a thousand by chance.
LEVEL = 0.999

PROCESSES: tuple[SDE, ...] = (sdes.OUVE(), sdes.SBVE(), sdes.VP(), sdes.StraightFlow())
SOLVERS: tuple[Solver, ...] = (
    solvers.EulerMaruyama(),
    solvers.ReverseDiffusion(),
    solvers.PredictorCorrector(solvers.EulerMaruyama(), solvers.AnnealedLangevin()),
    solvers.Exponential(),
    solvers.Exponential(eta=1.0),
    solvers.Multistep(),
    solvers.Multistep(eta=0.5),
    solvers.Multistep(eta=1.0),
    solvers.Multistep(order=3),
    solvers.Singlestep(),
    solvers.Singlestep(eta=1.0),
    solvers.UniPC(),
    solvers.UniPC(order=3),
    solvers.Heun(),
    solvers.Heun(churn=0.1),
    solvers.RungeKutta4(),
    solvers.InterpolatingSDE(),
    solvers.Restart(),
    solvers.Multistep(eta=solvers.Between(1.0, 0.2, 0.8)),
    solvers.Multistep(eta=solvers.Extended()),
    solvers.Multistep(coefficients="bh2"),
    solvers.UniPC(eta=1.0),
    solvers.UniPC(eta=solvers.Between(1.0, 0.2, 0.8), order=3),
    compat.ERSDE(),
)
SHIFTED = tuple(
    solvers.MeanShifted(inner)
    for inner in (solvers.Exponential(), *(solvers.Multistep(eta=eta) for eta in (0.0, 0.5, 1.0)))
)
SHAPES: tuple[Grid, ...] = (
    solvers.Uniform(),
    solvers.Polynomial(),
    solvers.LogSNR(),
    solvers.AsinhSNR(),
    solvers.Karras(),
)
GRIDS = tuple(replace(shape, end=end) for shape, end in product(SHAPES, (0.03, 0.001)))
#: The first against the second, in the order of the page.
DUELS = [
    ("Multistep()", "Exponential()"),
    ("Multistep(order=3)", "Multistep()"),
    ("UniPC()", "Multistep()"),
    ("UniPC(order=3)", "Multistep()"),
    ("Singlestep()", "Multistep()"),
    ("Heun()", "Multistep()"),
    ("RungeKutta4()", "Multistep()"),
    ("Multistep(eta=0.5)", "Multistep()"),
    ("Multistep(eta=1.0)", "Multistep()"),
    ("Exponential(eta=1.0)", "Exponential()"),
    ("Exponential(eta=1.0)", "EulerMaruyama()"),
    ("PredictorCorrector()", "Multistep(eta=1.0)"),
    ("InterpolatingSDE()", "Multistep(eta=0.5)"),
    ("MeanShifted()", "Multistep()"),
    ("MeanShifted()", "Multistep(eta=1.0)"),
    ("Multistep(coefficients='bh2')", "Multistep()"),
    ("Multistep(eta=Between(low=0.2, high=0.8))", "Multistep()"),
    ("Multistep(eta=Between(low=0.2, high=0.8))", "Multistep(eta=1.0)"),
    ("Multistep(eta=Extended())", "Multistep(eta=1.0)"),
    ("ERSDE()", "Multistep(eta=Extended())"),
    ("UniPC(eta=1.0)", "Multistep(eta=1.0)"),
    ("UniPC(eta=Between(low=0.2, high=0.8), order=3)", "Multistep()"),
    ("Restart()", "Multistep()"),
    ("Restart()", "Multistep(eta=1.0)"),
    ("Restart()", "MeanShifted()"),
]
#: In the figure, the others in grey.
PICTURED = list(dict.fromkeys(name for pair in DUELS[:15] for name in pair))


@cache
def stratified(index: int, base: int) -> torch.Tensor:
    """The draw of that index, N(0, 1), (seeds x COUNT, 4): stratified by column and seed."""
    generator = torch.Generator().manual_seed(1000 * base + index)
    order = torch.rand(SEEDS, COUNT, 4, generator=generator).argsort(dim=1)
    inside = torch.rand(SEEDS, COUNT, 4, generator=generator, dtype=torch.float64)
    return torch.special.ndtri((order + inside) / COUNT).float().reshape(-1, 4)


class Draws:
    """The same stratified draws in each run, the n-th for the n-th time that one is asked for."""

    def __init__(self, base: int) -> None:
        self.base, self.asked = base, 0

    def __call__(self, like: torch.Tensor) -> torch.Tensor:
        """The next draw, like (1, seeds x COUNT, size)."""
        drawn = stratified(self.asked, self.base)[: like.shape[1]]
        self.asked += 1
        if not like.is_complex():
            return drawn[None, :, : like.shape[2]]
        pairs = drawn[:, : 2 * like.shape[2]].reshape(len(drawn), -1, 2) / 2**0.5
        return torch.view_as_complex(pairs.contiguous())[None]


def sample(
    sde: SDE, solver: Solver, grid: Grid, law: Law, base: int = 0, seeds: int = SEEDS
) -> Any:
    """W1 of each seed, and the evaluations that a run takes."""
    y = torch.full((1, seeds * COUNT, law.size), law.y, dtype=law.dtype)
    x, nfe, _ = solve(Model(sde, law), y, solver, grid, randn=Draws(base))
    return [round(w1, 6) for w1 in law.distance(x, seeds)], nfe


def filled(sde: SDE, solver: Solver, grid: Grid, budget: int) -> Grid | None:
    """The grid with as many steps as the evaluations allow; None if not even two do."""
    y = torch.full((1, 2, 1), 0.4, dtype=torch.complex64)
    for steps in range(budget // solver.evaluations + 1, 1, -1):
        grid = replace(grid, steps=steps)
        if solve(Model(sde, LAWS["two modes"]), y, solver, grid).nfe <= budget:
            return grid
    return None


def measured(task: tuple[SDE, Solver, int]) -> dict[str, Any] | None:
    """A solver with a number of evaluations, on the grid that suits it best, on all laws."""
    torch.set_num_threads(1)
    sde, solver, budget = task
    start = LAST_START if solver.refusal(sde, 1.0) else 1.0
    grids = [filled(sde, solver, replace(grid, start=start), budget) for grid in GRIDS]
    grids = [grid for grid in grids if grid]
    if not grids:
        return None
    tried = [np.mean(sample(sde, solver, g, LAWS["two modes"], 1, 2)[0]) for g in grids]
    grid = grids[int(np.argmin(tried))]
    runs = {name: sample(sde, solver, grid, law) for name, law in LAWS.items()}
    nfe = max(calls for _, calls in runs.values())
    return {"nfe": nfe, "grid": short(grid), "w1": {name: w1 for name, (w1, _) in runs.items()}}


def flow(sde: SDE) -> dict[str, list[float]]:
    """What the exact probability flow makes of the same starts: 300 steps of order 3."""
    torch.set_num_threads(1)
    solver, grid = solvers.Multistep(order=3), solvers.LogSNR(300, end=3e-4)
    return {name: sample(sde, solver, grid, law)[0] for name, law in LAWS.items()}


def on_grids(sde: SDE) -> dict[str, dict[str, list[float]]]:
    """`Multistep()` with ten evaluations on each grid."""
    torch.set_num_threads(1)
    grids = [replace(grid, steps=10) for grid in GRIDS]
    solver = solvers.Multistep()
    return {
        short(grid): {name: sample(sde, solver, grid, law)[0] for name, law in LAWS.items()}
        for grid in grids
    }


def exact(law: Law) -> list[float]:
    """Stratified draws of the law itself."""
    vectors, v, means = law.axes
    like = torch.zeros((1, SEEDS * COUNT, law.size), dtype=law.dtype)
    z = Draws(2)(like)[0]
    level = stratified(1, 2)[:, 3].double()
    edges = torch.from_numpy(law.weights.cumsum()[:-1])
    mode = torch.bucketize(torch.special.ndtr(level), edges)
    turned = means[mode] + v[mode].sqrt() * z
    return law.distance(torch.einsum("nij,nj->ni", vectors[mode], turned)[None], SEEDS)


def lowest(name: str, flows: list[dict[str, list[float]]]) -> list[float]:
    """The floor of a law: its own draws, or what an exact flow makes of the draws of the runs."""
    twin = name.replace(", shrunk", "").replace(", rough", "")
    return min([exact(LAWS[twin]), *(found[twin] for found in flows)], key=np.mean)


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half of its interval."""
    spread = np.std(values, ddof=1) / len(values) ** 0.5
    return float(np.mean(values)), float(student.ppf((1 + level) / 2, len(values) - 1) * spread)


def really(a: list[float], b: list[float], floor: list[float]) -> int:
    """-1 if a is nearer to the law than b, 1 if farther, 0 if that may be chance or the floor's."""
    if not np.isfinite([*a, *b]).all():
        return int(np.isinf(a).any()) - int(np.isinf(b).any())
    difference, half = interval([p - q for p, q in zip(a, b, strict=True)], LEVEL)
    above = max(np.mean(a), np.mean(b)) > sum(interval(floor, LEVEL))
    return int(np.sign(difference)) if abs(difference) > half and above else 0


def duel(numbers: dict[str, Any], first: str, second: str, budget: int) -> dict[str, list[str]]:
    """Where the first is really better, where worse, and where neither: "process: law"."""
    place, found = BUDGETS.index(budget), {"better": [], "worse": [], "neither": []}
    for process, rows in numbers["runs"].items():
        a, b = (rows.get(name, [None] * len(BUDGETS))[place] for name in (first, second))
        if a is None or b is None:
            continue
        for law in LAWS:
            sign = really(a["w1"][law], b["w1"][law], numbers["floor"][law])
            found[("neither", "worse", "better")[sign]].append(f"{process}: {law}")
    return found


def good_grids(numbers: dict[str, Any]) -> dict[str, int]:
    """On how many processes and laws each grid is not really farther than the best of them."""
    counts: dict[str, int] = {}
    for grids in numbers["grids"].values():
        for law, floor in numbers["floor"].items():
            best = min(grids, key=lambda grid: np.mean(grids[grid][law]))
            for grid, rows in grids.items():
                good = really(rows[law], grids[best][law], floor) <= 0
                counts[grid] = counts.get(grid, 0) + good
    return counts


def cell(values: list[float], best: bool) -> str:
    mean, half = interval(values)
    text = f"{mean:.4f} ± {half:.4f}" if mean < 10 else "diverges"
    return f"**{text}**" if best else text


def table(rows: dict[str, dict[str, list[float]]], floor: dict[str, list[float]]) -> str:
    """Rows by law; in bold what is not told apart from the best of its column."""
    lines = ["| | " + " | ".join(LAWS) + " |", "|---" * (len(LAWS) + 1) + "|"]
    rivals = [name for name in rows if name.startswith("`")]
    best = {law: min(rivals, key=lambda n, law=law: np.mean(rows[n][law])) for law in LAWS}
    for name, row in rows.items():
        cells = [
            cell(w1, name in rivals and really(w1, rows[best[law]][law], floor[law]) <= 0)
            for law, w1 in row.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def words(numbers: dict[str, Any]) -> str:
    """Which differences are real, by the numbers."""
    head = ["| first | second | evaluations | better | worse | not told apart | worse on |"]
    lines = [*head, "|---" * 7 + "|"]
    for (first, second), budget in product(DUELS, (10, 60)):
        found = duel(numbers, first, second, budget)
        counts = [str(len(found[key])) for key in ("better", "worse", "neither")]
        where = "; ".join(found["worse"]) if len(found["worse"]) <= 6 else "many"
        lines.append(f"| `{first}` | `{second}` | {budget} | {' | '.join(counts)} | {where} |")
    return "\n".join(lines)


def page(numbers: dict[str, Any]) -> str:
    floor = numbers["floor"]
    worst = max(sum(interval(w1)) for w1 in floor.values())
    parts = [
        "# Distance to the exact posterior against evaluations",
        "Made by `python benchmarks/solver_quality.py`.",
        *(paragraph(__doc__, number) for number in (2, 3, 4)),
        "The floor of a law is the lower of stratified draws of the law itself and of the exact "
        f"flow on the process where it is nearest, at most {worst:.4f}: below that nothing is told "
        "apart. A difference is real where the paired difference of the ten seeds lies beyond its "
        f"{LEVEL:.1%} interval and the larger number above the floor; in bold is what is not "
        'really farther than the nearest of its column. "The exact flow" of a process: 300 steps '
        "of order 3 with the same draws and, where the estimate errs, with that; on OUVE it keeps "
        "the bias of its prior.",
        f"## Which differences are real\n\nOver {len(PROCESSES)} processes and {len(LAWS)} laws, "
        "on how many the first is really nearer than the second, or farther:",
        words(numbers),
    ]
    for place, budget in enumerate(BUDGETS):
        for process, rows in numbers["runs"].items():
            shown = {"the floor": floor, "the exact flow": numbers["flow"][process]}
            done = {name: runs[place] for name, runs in rows.items() if runs[place]}
            shown |= {f"`{name}` on `{run['grid']}`": run["w1"] for name, run in done.items()}
            parts += [f"## {process}, {budget} evaluations", table(shown, floor)]
    parts.append("## Grids\n\n`Multistep()` in ten steps:")
    for process, grids in numbers["grids"].items():
        parts += [f"### {process}", table({f"`{g}`": w1 for g, w1 in grids.items()}, floor)]
    return "\n\n".join([*parts, "![W1 against evaluations](solver-quality.png)"]) + "\n"


def plot(numbers: dict[str, Any], file: Path) -> None:
    """W1 of "two modes" against evaluations, a panel a process."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(12, 10), sharex=True, sharey=True)
    for panel, (process, rows) in zip(panels.flat, numbers["runs"].items(), strict=True):
        for name, runs in rows.items():
            points = [(r["nfe"], *interval(r["w1"]["two modes"])) for r in runs if r]
            nfe, mean, half = zip(*points, strict=True)
            if name in PICTURED:
                colour = f"C{PICTURED.index(name) % 10}"
                style = "-" if PICTURED.index(name) < 10 else "--"
                panel.errorbar(nfe, mean, half, fmt=style, color=colour, label=name, capsize=2)
            else:
                panel.plot(nfe, mean, color="0.85", linewidth=1, zorder=1)
        panel.axhline(np.mean(numbers["floor"]["two modes"]), color="grey", linewidth=5, alpha=0.3)
        panel.set(title=process, xlabel="evaluations", ylabel="W1 / sd", ylim=(1e-3, 1))
        panel.set(xscale="log", yscale="log")
        panel.set_xticks(BUDGETS, [str(n) for n in BUDGETS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    figure.savefig(file, dpi=80)


def measure(workers: int, before: dict[str, Any], only: str) -> dict[str, Any]:
    """Every solver whose name has the pattern, on every process with every budget."""
    tasks = [
        (sde, solver, budget)
        for sde in PROCESSES
        for solver in (*SOLVERS, *(SHIFTED if isinstance(sde, sdes.OUVE) else ()))
        for budget in BUDGETS
        if re.search(only, short(solver)) and not solver.refusal(sde, LAST_START)
    ]
    names = [short(sde) for sde in PROCESSES]
    fresh: dict[tuple[str, str], list[Any]] = {}
    with ProcessPoolExecutor(workers) as pool:
        if not before:
            flows, grids = list(pool.map(flow, PROCESSES)), list(pool.map(on_grids, PROCESSES))
            before = {
                "budgets": BUDGETS,
                "floor": {name: lowest(name, flows) for name in LAWS},
                "flow": dict(zip(names, flows, strict=True)),
                "grids": dict(zip(names, grids, strict=True)),
                "runs": {},
            }
        done = tqdm(pool.map(measured, tasks), total=len(tasks), unit="run")
        for (sde, solver, _), run in zip(tasks, done, strict=True):
            fresh.setdefault((short(sde), short(solver)), []).append(run)
    known = {
        (sde, name): runs for sde, rows in before["runs"].items() for name, runs in rows.items()
    }
    known |= fresh
    order = [short(solver) for solver in (*SOLVERS, *SHIFTED)]
    runs = {
        sde: {name: known[sde, name] for name in order if (sde, name) in known} for sde in names
    }
    return before | {"runs": runs}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("-j", "--workers", type=int, default=2)
    parser.add_argument("--redraw", action="store_true", help="table and figure of what was found")
    parser.add_argument("--only", help="solvers whose names have this pattern; others as measured")
    options = parser.parse_args()
    file = options.output / "solver-quality.json"
    numbers = json.loads(file.read_text()) if options.redraw or options.only else {}
    if not options.redraw:
        numbers = measure(options.workers, numbers, options.only or "")
    write(options.output, "solver-quality", page(numbers), numbers, None)
    plot(numbers, options.output / "solver-quality.png")


if __name__ == "__main__":
    main()
