"""The command `sgmse bench solvers`: a model in, its samplers on a Pareto front out."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgmse.cli import options as common
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from sgmse.bench.study import Study
    from sgmse.bench.suite import NoisySet

DESCRIPTION = """Sample one model in many ways and show what each costs and reaches.

Every solver is run with every share of fresh noise, on every grid, with every number of steps, and
so is the sampler that the model recommends. What the process refuses is listed with the reason;
what is the same computation under two names is run once. The results are study.md, study.csv,
study.json and figure.svg, with the Pareto fronts of each measure over the evaluations of the
network and over the real-time factor. A study that was interrupted goes on when it is called again:
nothing is enhanced or scored twice. It chooses a sampler, so take recordings of a validation set.
"""
EPILOG = """examples:
  sgmse bench solvers --clean valid/clean --noisy valid/noisy --files 20
  sgmse bench solvers --set /data/voicebank --model runs/mine/best -o study/ -j 4
  sgmse bench solvers --clean valid/clean --noisy valid/noisy --steps 4,8 \\
      --solvers 'Multistep, Multistep(order=3), Multistep(eta=0, start=1), Heun' \\
      --grids 'Uniform, Uniform(start=0.999), Polynomial(rho=3)'

The names are those of sgmse.solvers, with constants where they are not the defaults; see
docs/solvers.md. A suite file that is called 'solvers' is run by 'sgmse bench ./solvers'.

exit code: 0; 1 for an error, or a sampler without any score; 130 after an interrupt
"""
# As in `sgmse.bench.expressions`, which a test holds; importing them here takes long.
SOLVERS = "Exponential, Multistep, Multistep(eta=0, start=1), UniPC, Singlestep, Heun, MeanShifted"


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line, under its name of two words."""
    parser = common.command(
        parsers,
        "bench solvers",
        _run,
        title="compare the samplers of one model",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option("--clean", metavar="DIR", help="the references")
    option("--noisy", metavar="DIR", help="what is enhanced, files of the same names")
    option("--set", metavar="ROOT", help="in place of both: the folder of a known test set")
    option("--layout", metavar="NAME", help="of which set (default: found out by its folders)")
    option(
        "--model",
        default="default",
        help="default, a folder, a published checkpoint, or hf://owner/name (default: default)",
    )
    option("--device", metavar="NAME", help="such as cpu or cuda (default: cuda if there is one)")
    option(
        "--solvers",
        metavar="NAME,...",
        help=f"(default: {SOLVERS})",
    )
    option(
        "--steps", type=_wholes, default=(1, 2, 4, 8), metavar="N,...", help="(default: 1,2,4,8)"
    )
    option(
        "--etas",
        type=_numbers,
        default=(0.0, 1.0),
        metavar="SHARE,...",
        help="of fresh noise, from 0 (ODE) to 1 (SDE), also in a first step from the end of a "
        "bridge; of solvers that have one and do not say theirs (default: 0,1)",
    )
    option(
        "--grids",
        metavar="NAME,...",
        help="with start, end and finish of the model's own one unless they are given (default: "
        "its kind, Uniform and AsinhSNR)",
    )
    option(
        "--files", type=common.count, metavar="N", help="evenly spaced over the set (default: all)"
    )
    option(
        "--measures",
        type=common.names,
        metavar="NAME,...",
        help="as for 'sgmse score' (default: pesq-wb,estoi,si-sdr)",
    )
    option(
        "--seeds",
        type=_wholes,
        default=(0,),
        metavar="N,...",
        help="of the samplers that draw noise (default: 0)",
    )
    option(
        "-o",
        "--output",
        metavar="OUT_DIR",
        help="where the results go (default: runs/bench/solvers-NAME of the model)",
    )
    option(
        "--work",
        metavar="DIR",
        help="where the enhanced files go, and what an interrupted study goes on from (default: "
        "OUT_DIR)",
    )
    option(
        "-j",
        "--jobs",
        type=common.count,
        metavar="N",
        help="processes, of one thread each (default: one for each core)",
    )
    option("-q", "--quiet", action="store_true", help="print the tables and errors only")


def _wholes(text: str) -> tuple[int, ...]:
    names = common.names(text)
    if not names or not all(name.isdecimal() for name in names):
        raise argparse.ArgumentTypeError(f"must be whole numbers such as 1,2,4, not {text!r}")
    return tuple(map(int, names))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, common.names(text)))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be numbers such as 0,0.5,1, not {text!r}")


def _run(options: argparse.Namespace) -> int:
    from sgmse.bench import study as studies
    from sgmse.scoring.workers import cores

    study = _study(options)
    output = Path(options.output or Path("runs", "bench", f"solvers-{Path(options.model).name}"))
    work = Path(options.work or output)
    try:
        with common.stages(options.quiet) as progress:
            outcome = studies.run_study(
                study,
                _recordings(options),
                work,
                seeds=options.seeds,
                measures=tuple(options.measures or studies.MEASURES),
                files=options.files,
                workers=options.jobs or cores(),
                progress=progress,
            )
    except KeyboardInterrupt:
        print(f"interrupted; what is done is kept in {work}: call again to go on", file=sys.stderr)
        return 130
    faults = outcome.outcome.unscored()
    if faults:
        print(f"sgmse: {'; '.join(faults)}", file=sys.stderr)
    outcome.write(output, command=shlex.join(["sgmse", *options.given]))
    print(outcome.summary())
    if not options.quiet:
        print(f"\nthe results are in {output}; {outcome.outcome.enhanced} files were enhanced now")
    return int(bool(faults))


def _study(options: argparse.Namespace) -> "Study":
    """What the options ask for."""
    from sgmse.bench import expressions as study_names
    from sgmse.bench.models import Model
    from sgmse.bench.study import Study

    own = Model(options.model, device=options.device).enhancer().grid
    solvers, fixed = study_names.solvers(options.solvers or study_names.SOLVERS, "--solvers")
    if options.grids is None:
        grids = study_names.usual_grids(own)
    else:
        grids = study_names.grids(options.grids, own, "--grids")
    return Study(
        solvers,
        grids,
        steps=options.steps,
        etas=options.etas,
        fixed=fixed,
        model=options.model,
        device=options.device,
    )


def _recordings(options: argparse.Namespace) -> "NoisySet":
    """The set. Raises `ValueError` with the remedy where it is not said."""
    from sgmse.bench.suite import NoisySet

    clean, noisy, root = (
        None if path is None else Path(path) for path in (options.clean, options.noisy, options.set)
    )
    both, one = clean is not None and noisy is not None, root is not None
    if both == one or (one and (clean or noisy)) or (both and options.layout):
        raise ArgumentError("give --clean and --noisy, or --set and perhaps --layout")
    return NoisySet(clean, noisy, root, options.layout)
