"""Clean recordings; each keeps its format, sample rate, channels and length.

examples:
  sgmse enhance noisy.wav                      writes noisy_enhanced.wav beside it
  sgmse enhance noisy.wav -o clean.flac        another name, another format
  sgmse enhance recordings/ -o clean/          every recording of a folder, names kept
  sgmse enhance '*.mp3' --dry 0.1              keeps a tenth of the original in the mix
"""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

import sgmse
from sgmse.audio import SUFFIXES
from sgmse.cli import console
from sgmse.cli.options import Commands, command, count, share

if TYPE_CHECKING:
    from sgmse.cli.jobs import Job
    from sgmse.enhancer import Progress
    from sgmse.solvers import Solver

SOLVERS = ("ode", "ode2", "sde", "sde2", "pc")


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "enhance", run, __doc__)
    parser.value("inputs", "INPUT", "recordings, folders of them, or patterns", nargs="+")
    parser.output(
        "a file for one input, such as clean.wav, or a folder, which is made if absent; "
        "without it results are named NAME_enhanced, beside their inputs",
        metavar="FILE_OR_DIR",
    )
    parser.value(
        "--format",
        "FORMAT",
        f"of the results: {', '.join(SUFFIXES)} (default: that of the input)",
        lambda text: text.lower().removeprefix("."),
        choices=SUFFIXES,
    )
    parser.flag("--recursive", "look into the folders inside folders too")
    parser.overwrite("results that exist")
    parser.value("--dry", "SHARE", "of the input to keep in the result, 0 to 1", share, default=0.0)
    parser.model()
    parser.compat()
    parser.value(
        "--solver",
        "SOLVER",
        "how to sample: ode (first order), ode2 (second order), sde and sde2 (the same with fresh "
        "noise), pc (predictor-corrector); with one step, all but pc give the same (default: the "
        "model's own)",
        choices=SOLVERS,
    )
    text = "steps of the solver: more take longer (default: the model's own)"
    parser.value("--steps", "N", text, count)
    parser.value(
        "--shifts",
        "N",
        "average N results with the frames of the spectrogram at other places: N times as slow, a "
        "little cleaner (default: the model's own)",
        count,
    )
    parser.seed(
        "of the noise where some is drawn: by sde, sde2 and pc from two steps on, by all at the "
        "start of a process that starts in noise"
    )
    parser.device()
    parser.threads("; one alone uses all cores")
    parser.quiet("errors")


@console.interruptible("finished files are kept")
def run(options: argparse.Namespace) -> int:
    """Enhance every file, whatever becomes of the others."""
    import torch

    from sgmse.cli.jobs import plan, run_jobs

    jobs, problems = plan(
        options.inputs, options.output, format=options.format, recursive=options.recursive
    )
    code = max((console.failure(problem, options.debug) for problem in problems), default=0)
    if not jobs:
        return max(code, console.FAILED)
    enhancer = sgmse.load(
        options.model,
        device=options.device,
        solver=None if options.solver is None else _solver(options.solver),
        steps=options.steps,
        shifts=options.shifts,
        compat=options.compat,
    )
    # Threads that wait for each other's cores are slower than none.
    torch.set_num_threads(max(1, torch.get_num_threads() // options.jobs))

    def work(job: "Job", progress: "Progress") -> None:
        enhancer.enhance_file(
            job.source,
            job.target,
            seed=options.seed,
            dry=options.dry,
            format=options.format,
            overwrite=options.overwrite,
            progress=progress,
        )

    seconds = sum(job.seconds for job in jobs)
    with (
        console.seconds_of_audio(seconds, options.quiet) as progress,
        console.warnings_said(options.quiet),
        closing(run_jobs(jobs, work, workers=options.jobs, progress=progress)) as ended,
    ):
        for job, error in ended:
            if error is not None:
                code = max(code, console.failure(error, options.debug, job.source))
            elif not options.quiet:
                console.show(f"{job.source} -> {job.target}")
    return code


def _solver(name: str) -> "Solver":
    from sgmse.solvers import Exponential, Multistep, PredictorCorrector

    solvers = (
        Exponential(eta=0.0, start=0.0),
        Multistep(eta=0.0, start=0.0),
        Exponential(eta=1.0),
        Multistep(eta=1.0),
        PredictorCorrector(),
    )
    return dict(zip(SOLVERS, solvers, strict=True))[name]
