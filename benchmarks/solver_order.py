"""The measured order of every solver on every process: python benchmarks/solver_order.py

Writes benchmarks/results/solver-order.md, .json and .png, and the matrix of docs/solvers.md.

On Gaussian posteriors of 16 variances, from t = 0.9 to 0.1 in equal steps of lambda: solvers that
draw no noise are compared with the exact probability flow, the others in the variance of their
samples, which their linear response gives without sampling. The order is the slope of the largest
error between the two finest runs.

With estimates that err (tests/erring.py: 0.8 of the exact one and a constant; a bias near t = 1;
one near t = 0) mean and variance are compared with those of the SDE, which their own equations
give. The order is that of the largest error of the three kinds, on one process of each family.

From t = 1 of a bridge and of a flow, where lambda is infinite, the same for the exact estimate and
the first of these three, on two grids.
"""

import json
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))  # the exact problems and the lists of what there is

from conftest import FAMILIES, SDES, SOLVERS  # noqa: E402
from erring import LINEAR  # noqa: E402
from names import short  # noqa: E402
from problems import slope  # noqa: E402
from proofs import STEPS, errors, faultless, law_errors, silent  # noqa: E402
from writing import arguments, paragraph, write  # noqa: E402

from sgmse import compat  # noqa: E402
from sgmse.sdes import SBVE, SDE, StraightFlow  # noqa: E402
from sgmse.solvers import (  # noqa: E402
    LAST_START,
    AsinhSNR,
    Between,
    Extended,
    LogSNR,
    MeanShifted,
    Multistep,
    Solver,
    UniPC,
)

#: One of each class of processes: the first that the tests list.
PROCESSES = list({type(sde).__name__: sde for sde in reversed(SDES)}.values())[::-1]
PICTURED = ("OUVE", "SBVE", "StraightFlow", "VP")
#: Options of those that the tests list: noise as a function of time, and published coefficients.
OPTIONS: tuple[Solver, ...] = (
    Multistep(eta=Between(1.0, 0.2, 0.8)),
    Multistep(eta=Extended()),
    UniPC(eta=Between(1.0, 0.2, 0.8), order=3),
    Multistep(coefficients="bh1"),
    Multistep(coefficients="bh2"),
    Multistep(eta=1.0, coefficients="bh2"),
    UniPC(coefficients="bh1"),
    UniPC(coefficients="bh2"),
    UniPC(order=3, coefficients="bh1"),
    UniPC(order=3, coefficients="bh2"),
)
BASELINES: tuple[Solver, ...] = (
    compat.DDIM(eta=0.5),
    compat.DBIM(points=2),
    compat.DBIM(points=3),
    compat.DBMSolver(),
    compat.HybridHeun(),
    compat.ERSDE(stages=1),
    compat.ERSDE(stages=2),
    compat.ERSDE(),
    compat.ERSDE(stages=2, points=None),
    compat.ERSDE(points=None),
)
ROWS = (*SOLVERS, *OPTIONS, *BASELINES)
#: What is measured beside the exact estimates on all processes, with the last two of STEPS.
FINEST = STEPS[-2:]
INSIDE = LogSNR(2, 0.9, 0.1, finish=False)
ENDS = [(sde, grid) for sde in (SBVE(), StraightFlow()) for grid in (AsinhSNR, LogSNR)]

#: Errors by solver, and by process or process and grid.
Errors = dict[str, dict[str, list[float] | None]]


def named(solver: Solver) -> str:
    """As it is typed, with the room of a baseline before it."""
    return f"{'compat.' * (solver in BASELINES)}{short(solver)}"


def measure(case: tuple[str, SDE, Solver]) -> list[float] | None:
    """Errors after STEPS, or FINEST."""
    torch.set_num_threads(1)
    what, sde, solver = case
    if what == "exact":
        return errors(sde, solver)
    if not solver.order or solver.refusal(sde, 0.9 if what == "erring" else 1.0):
        return None
    if what == "erring":
        kinds, grid = list(LINEAR.values()), INSIDE
    else:
        grid = {kind.__name__: kind for kind in (AsinhSNR, LogSNR)}[what](2, 1.0, 0.1, False)
        kinds = [faultless, LINEAR["linear"]]
    found = [law_errors(kind, sde, solver, grid, FINEST) for kind in kinds]
    return [max(each) for each in zip(*found, strict=True)]


def ordered(measured: list[float] | None) -> str:
    """The slope of the last errors, as it is printed."""
    return "" if measured is None else f"{slope(list(FINEST), measured[-2:]):.2f}"


def table(results: Errors, columns: dict[str, str]) -> str:
    """Solvers x columns (key, title) as Markdown: the measured order."""
    lines = [f"| solver | declared | {' | '.join(columns.values())} |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for solver in ROWS:
        cells = [ordered(results[named(solver)].get(key)) for key in columns]
        if any(cells):
            lines.append(f"| `{named(solver)}` | {declared(solver)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def declared(solver: Solver) -> int:
    """The order that `errors` measures: of the paths, or of mean and variance."""
    # A bridge, away from its ends, refuses none.
    return solver.order if silent(SBVE(), solver) else solver.weak_order


def orders_table(results: dict[str, dict[str, list[float] | None]]) -> str:
    """Solvers x processes as Markdown: the measured order, and before it the declared one."""
    names = [type(sde).__name__ for sde in PROCESSES]
    lines = ["| solver | declared | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for solver in ROWS:
        cells = []
        for sde in PROCESSES:
            measured = results[named(solver)].get(short(sde))
            cells.append("" if measured is None else f"{slope(list(STEPS), measured):.2f}")
        lines.append(
            f"| `{named(solver)}` | {declared(solver) or ''} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def reason(solver: Solver, sde: SDE, start: float) -> str | None:
    """Why a solver cannot start there, in words that are the same for all such pairs."""
    why = solver.refusal(sde, start)
    if why is None:
        return None
    subject = next(word for word in why.split() if word.isidentifier())
    return (
        why.replace(f"{subject} ", "the solver ", 1)
        .replace(repr(sde), "the process")
        .replace(f"use {MeanShifted().solver} by itself", "use its solver by itself")
    )


def matrix(ends: Errors) -> str:
    """Which solver can sample which process, from when, and what stands against it.

    `ends` are the errors from t = 1.
    """
    names = [type(sde).__name__ for sde in PROCESSES]
    from_end = [f"from a bridge's end, {grid.__name__}" for grid in (AsinhSNR, LogSNR)]
    reasons: list[str] = []
    heads = ["solver", "order", *from_end, "evaluations a step", "draws noise", *names]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for solver in ROWS:
        cells = []
        for sde in PROCESSES:
            at_once, later = (reason(solver, sde, start) for start in (1.0, LAST_START))
            why = later or at_once
            if why is None:
                cells.append("yes")
                continue
            if why not in reasons:
                reasons.append(why)
            word = "no" if later else f"from {LAST_START}"
            cells.append(f"{word} [{reasons.index(why) + 1}]")
        draws = {solver.draws(sde) for sde in PROCESSES if not solver.refusal(sde, LAST_START)}
        noise = "at a bridge's start" if len(draws) == 2 else "yes" if True in draws else "no"
        order = str(declared(solver) or "none")
        measured = [ends[named(solver)].get(f"SBVE {grid.__name__}") for grid in (AsinhSNR, LogSNR)]
        orders = [order, *map(ordered, measured)]
        head = [f"`{named(solver)}`", *orders, str(solver.evaluations), noise]
        lines.append(f"| {' | '.join(head + cells)} |")
    notes = [f"{number}. {why}" for number, why in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes])


def plot(results: dict[str, dict[str, list[float] | None]], file: Path) -> None:
    """Error against steps, a panel a process, a line a solver."""
    from matplotlib import pyplot

    pictured = [sde for sde in PROCESSES if type(sde).__name__ in PICTURED]
    figure, panels = pyplot.subplots(1, len(pictured), figsize=(18, 7), sharey=True)
    for panel, sde in zip(panels, pictured, strict=True):
        for number, solver in enumerate(SOLVERS):
            measured = results[named(solver)].get(short(sde))
            if measured is not None:
                style = ("-", "--", ":", "-.")[number // 10 % 4]
                panel.loglog(STEPS, measured, style, marker=".", label=named(solver))
        panel.set(title=short(sde), xlabel="steps from t = 0.9 to 0.1", xticks=STEPS)
        panel.set_xticks(STEPS, [str(n) for n in STEPS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("largest error: of the path, or relative of the variance")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, 0.27, 1, 1))
    figure.savefig(file, dpi=80)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs")
    parser.add_argument("-j", "--workers", type=int, default=2)
    parser.add_argument("--only", help="solvers whose names have this pattern; others as measured")
    options = parser.parse_args()
    cases = [("exact", sde, solver) for solver in ROWS for sde in PROCESSES]
    cases += [("erring", sde, solver) for solver in ROWS for sde in FAMILIES]
    cases += [(grid.__name__, sde, solver) for solver in ROWS for sde, grid in ENDS]
    file = options.output / "solver-order.json"
    before = json.loads(file.read_text()) if options.only else {}
    cases = [case for case in cases if re.search(options.only or "", named(case[2]))]
    with ProcessPoolExecutor(options.workers) as pool:
        measured = list(tqdm(pool.map(measure, cases), total=len(cases), unit="pair"))
    body: dict[str, Errors] = {
        part: {named(solver): before.get(part, {}).get(named(solver), {}) for solver in ROWS}
        for part in ("errors", "erring", "ends")
    }
    for (what, sde, solver), found in zip(cases, measured, strict=True):
        part = {"exact": "errors", "erring": "erring"}.get(what, "ends")
        key = short(sde) if part == "errors" else type(sde).__name__
        body[part][named(solver)][f"{key} {what}" if part == "ends" else key] = found

    options.output.mkdir(parents=True, exist_ok=True)
    options.docs.mkdir(parents=True, exist_ok=True)
    results = body["errors"]
    plot(results, options.output / "solver-order.png")
    families = {type(sde).__name__: type(sde).__name__ for sde in FAMILIES}
    corners = [f"{type(sde).__name__} {grid.__name__}" for sde, grid in ENDS]
    page = (
        "# The order of every solver on every process\n\n"
        "Made by `python benchmarks/solver_order.py`.\n\n"
        f"{paragraph(__doc__, 2)} An empty cell: no order to measure (a corrector, or ways back, "
        "whose steps do not shrink with the number of steps).\n\n"
        f"{orders_table(results)}\n\n![errors](solver-order.png)\n\n"
        f"## Estimates that err\n\n{paragraph(__doc__, 3)} With `churn`, whose SDE depends on the "
        f"grid, it is that of the distance to twice the steps.\n\n"
        f"{table(body['erring'], families)}\n\n"
        f"## From the end of a bridge or a flow\n\n{paragraph(__doc__, 4)} Why these orders are "
        "what they are: [theory](../../docs/theory.md#from-an-infinite-%CE%BB).\n\n"
        f"{table(body['ends'], dict(zip(corners, corners, strict=True)))}\n"
    )
    write(options.output, "solver-order", page, {"steps": STEPS, **body})
    (options.docs / "solvers.md").write_text(
        "# Which solver for which process\n\n"
        "Made by `python benchmarks/solver_order.py`. Every pair works, or is refused with the "
        'reason below before anything is computed. "from 0.999": the solver cannot leave t = 1 '
        "of that process, and is started just before it. The order is that for any estimate, exact "
        "or not, from where a / sigma is not 0; beside it that from t = 1 of `SBVE`, as measured "
        "on two grids (empty: refused there, or no order). All measured orders: "
        "[results](../benchmarks/results/solver-order.md); the distance to the exact posterior: "
        "[quality](../benchmarks/results/solver-quality.md). The arithmetic of each family "
        "from top to bottom: [loops](loops.md). `compat.` is the room of the published arithmetic. "
        "No row is that of `Exponential(unknown=...)`, whose noise belongs to one model and grid: "
        "it runs where `Exponential` does, with its orders.\n\n"
        f"{matrix(body['ends'])}\n"
    )
    print(options.docs / "solvers.md")


if __name__ == "__main__":
    main()
