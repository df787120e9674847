"""The measured order of every solver on every process: python benchmarks/solver_order.py

Writes benchmarks/results/solver-order.md, .json and .png, and the matrix of docs/solvers.md.

On Gaussian posteriors of 16 variances, from t = 0.9 to 0.1 in equal steps of lambda: solvers that
draw no noise are compared with the exact probability flow, the others in the variance of their
samples, which their linear response gives without sampling. The order is the slope of the largest
error between the two finest runs.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))  # the exact problems and the lists of what there is

from conftest import SDES, SOLVERS  # noqa: E402
from names import short  # noqa: E402
from problems import slope  # noqa: E402
from proofs import STEPS, errors, silent  # noqa: E402
from writing import arguments, paragraph, write  # noqa: E402

from sgmse.sdes import SDE  # noqa: E402
from sgmse.solvers import LAST_START, Solver  # noqa: E402

#: One of each class of processes: the first that the tests list.
PROCESSES = list({type(sde).__name__: sde for sde in reversed(SDES)}.values())[::-1]
PICTURED = ("OUVE", "SBVE", "StraightFlow", "VP")


def measure(pair: tuple[SDE, Solver]) -> list[float] | None:
    """Errors after STEPS."""
    torch.set_num_threads(1)
    sde, solver = pair
    return errors(sde, solver)


def declared(solver: Solver) -> int:
    """The order that `errors` measures: of the paths, or of mean and variance."""
    return solver.order if silent(PROCESSES[0], solver) else solver.weak_order


def orders_table(results: dict[str, dict[str, list[float] | None]]) -> str:
    """Solvers x processes as Markdown: the measured order, and before it the declared one."""
    names = [type(sde).__name__ for sde in PROCESSES]
    lines = ["| solver | declared | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for solver in SOLVERS:
        cells = []
        for sde in PROCESSES:
            measured = results[short(solver)][short(sde)]
            cells.append("" if measured is None else f"{slope(list(STEPS), measured):.2f}")
        lines.append(
            f"| `{short(solver)}` | {declared(solver) or ''} | " + " | ".join(cells) + " |"
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
        .replace("use Multistep(eta=0.0, start=1.0, order=2) by itself", "use its solver by itself")
    )


def matrix() -> str:
    """Which solver can sample which process, from when, and what stands against it."""
    names = [type(sde).__name__ for sde in PROCESSES]
    reasons: list[str] = []
    lines = [
        "| solver | order | evaluations a step | draws noise | " + " | ".join(names) + " |",
        "|---" * (len(names) + 4) + "|",
    ]
    for solver in SOLVERS:
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
        head = [f"`{short(solver)}`", order, str(solver.evaluations), noise]
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
            measured = results[short(solver)][short(sde)]
            if measured is not None:
                style = ("-", "--", ":", "-.")[number // 10 % 4]
                panel.loglog(STEPS, measured, style, marker=".", label=short(solver))
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
    options = parser.parse_args()
    pairs = [(sde, solver) for solver in SOLVERS for sde in PROCESSES]
    with ProcessPoolExecutor(options.workers) as pool:
        measured = list(tqdm(pool.map(measure, pairs), total=len(pairs), unit="pair"))
    results: dict[str, dict[str, list[float] | None]] = {short(solver): {} for solver in SOLVERS}
    for (sde, solver), errors_of_pair in zip(pairs, measured, strict=True):
        results[short(solver)][short(sde)] = errors_of_pair

    options.output.mkdir(parents=True, exist_ok=True)
    options.docs.mkdir(parents=True, exist_ok=True)
    body = {"steps": STEPS, "errors": results}
    plot(results, options.output / "solver-order.png")
    page = (
        "# The order of every solver on every process\n\n"
        "Made by `python benchmarks/solver_order.py`.\n\n"
        f"{paragraph(__doc__, 2)} An empty cell: no order to measure (steps that the solver "
        "chooses by itself, or a corrector, whose steps do not shrink with the number of "
        "steps).\n\n"
        f"{orders_table(results)}\n\n![errors](solver-order.png)\n"
    )
    write(options.output, "solver-order", page, body)
    (options.docs / "solvers.md").write_text(
        "# Which solver for which process\n\n"
        "Made by `python benchmarks/solver_order.py`. Every pair works, or is refused with the "
        'reason below before anything is computed. "from 0.999": the solver cannot leave t = 1 '
        "of that process, and is started just before it. The measured orders: "
        "[results](../benchmarks/results/solver-order.md); the distance to the exact posterior: "
        "[quality](../benchmarks/results/solver-quality.md). The arithmetic of each family "
        "from top to bottom: [loops](loops.md).\n\n"
        f"{matrix()}\n"
    )
    print(options.docs / "solvers.md")


if __name__ == "__main__":
    main()
