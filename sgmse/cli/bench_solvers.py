"""Sample one model in many ways and show what each costs and reaches.

Every solver is run with every share of fresh noise, on every grid, with every number of steps, and
so is the sampler that the model recommends. What the process refuses is listed with the reason;
what is the same computation under two names is run once. The results are study.md, study.csv,
study.json and figure.svg, with the Pareto fronts of each measure over the evaluations of the
network and over the real-time factor. A study that was interrupted goes on when it is called again:
nothing is enhanced or scored twice. It chooses a sampler, so take recordings of a validation set.

examples:
  sgmse bench solvers --clean valid/clean --noisy valid/noisy --files 20
  sgmse bench solvers --set /data/voicebank --model runs/mine/best -o study/ -j 4
  sgmse bench solvers --clean valid/clean --noisy valid/noisy --steps 4,8 \\
      --solvers 'Multistep, Multistep(order=3), Multistep(eta=0, start=1), Heun' \\
      --grids 'Uniform, Uniform(start=0.999), Polynomial(rho=3)'

The names are those of sgmse.solvers, with constants where they are not the defaults; see
docs/solvers.md. A suite file that is called 'solvers' is run by 'sgmse bench ./solvers'.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sgmse.cli import machines
from sgmse.cli.console import FAILED, complain, interruptible, stages
from sgmse.cli.options import Commands, command, names, several, whole
from sgmse.scoring.workers import cores

if TYPE_CHECKING:
    from sgmse.bench.study import Study

# As in `sgmse.bench.expressions`, which a test holds; importing them here takes long.
SOLVERS = "Exponential, Multistep, Multistep(eta=0, start=1), UniPC, Singlestep, Heun, MeanShifted"


def add(commands: Commands) -> None:
    """Describe the command, whose name has two words."""
    parser = command(commands, "bench solvers", run, __doc__, "or a sampler without any score")
    parser.value("--clean", "DIR", "the references", Path)
    parser.value("--noisy", "DIR", "what is enhanced, files of the same names", Path)
    text = "in place of both: the root of a known test set"
    parser.value("--set", "DIR", text, Path, dest="root")
    parser.value("--layout", "NAME", "of which set (default: found out by its folders)")
    parser.model()
    parser.device()
    parser.value("--solvers", "NAME,...", f"(default: {SOLVERS})")
    parser.value("--steps", "N,...", "to take", several(whole, "1,2,4"), default=(1, 2, 4, 8))
    parser.value(
        "--etas",
        "SHARE,...",
        "of fresh noise, from 0 (ODE) to 1 (SDE), also in a first step from the end of a bridge; "
        "of solvers that have one and do not say theirs",
        several(float, "0,0.5,1"),
        default=(0.0, 1.0),
    )
    parser.value(
        "--grids",
        "NAME,...",
        "with start, end and finish of the model's own one unless they are given (default: its "
        "kind, Uniform and AsinhSNR)",
    )
    parser.value(
        "--reference",
        "SOLVER, GRID",
        "what the others are compared with, such as 'PredictorCorrector, Uniform(steps=30)' "
        "(default: the sampler that the model recommends)",
    )
    parser.files()
    text = "as for 'sgmse score' (default: pesq-wb,estoi,si-sdr)"
    parser.value("--measures", "NAME,...", text, names)
    text = "of the samplers that draw noise"
    parser.value("--seeds", "N,...", text, several(whole, "0,1,2"), default=(0,))
    parser.output(
        "where the results go (default: runs/bench/solvers-NAME of the model)", metavar="OUT_DIR"
    )
    parser.value(
        "--work",
        "DIR",
        "where the enhanced files go, and what an interrupted study goes on from (default: "
        "OUT_DIR)",
    )
    parser.processes()
    parser.ray(machines.HINT)
    parser.quiet("the tables and errors")


def run(options: argparse.Namespace) -> int:
    """Run a study."""
    machines.check(options)
    from sgmse.bench.study import MEASURES, run_study
    from sgmse.bench.suite import NoisySet

    recordings = NoisySet(options.clean, options.noisy, options.root, options.layout)
    study = _study(options)
    output = Path(options.output or Path("runs", "bench", f"solvers-{Path(options.model).name}"))
    work = Path(options.work or output)
    kept = f"what is done is kept in {work}: call again to go on"
    with (
        interruptible(kept),
        stages(options.quiet) as tell,
        machines.workers(options, cores()) as workers,
    ):
        results = run_study(
            study,
            recordings,
            work,
            seeds=options.seeds,
            measures=tuple(options.measures or MEASURES),
            files=options.files,
            workers=workers,
            progress=tell,
        )
    faults = results.suite_results.unscored()
    if faults:
        complain("; ".join(faults))
    results.write(output, command=options.command)
    print(results.summary())
    if not options.quiet:
        enhanced = results.suite_results.enhanced
        files = "1 file was" if enhanced == 1 else f"{enhanced} files were"
        print(f"\nthe results are in {output}; {files} enhanced now")
    return FAILED if faults else 0


def _study(options: argparse.Namespace) -> "Study":
    """What the options ask for."""
    from sgmse.bench import expressions
    from sgmse.bench.models import Model
    from sgmse.bench.study import Study

    own = Model(options.model, device=options.device).enhancer().sampler.grid
    solvers, fixed = expressions.solvers(options.solvers or expressions.SOLVERS, "--solvers")
    if options.grids is None:
        grids = expressions.usual_grids(own)
    else:
        grids = expressions.grids(options.grids, own, "--grids")
    reference = options.reference
    return Study(
        solvers,
        grids,
        steps=options.steps,
        etas=options.etas,
        fixed=fixed,
        model=options.model,
        device=options.device,
        reference=reference and expressions.sampler(reference, own, "--reference"),
    )
