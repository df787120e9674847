"""Recordings of one domain as those of another, such as clean speech as telephone speech.

A domain is a prior, a model that was trained on its recordings alone: prior (clean speech), or the
folder of a run of sgmse train. The prior of the domain that a recording is of gives its latent, and
the other one decodes that. Each result keeps format, sample rate, channels and length; nothing is
drawn, and the same recording gives the same result. docs/transfer.md says what to expect of it.

examples:
  sgmse transfer speech.wav --to runs/telephone/best      writes speech_transferred.wav beside it
  sgmse transfer call.wav --from runs/telephone/best --to prior -o clean.wav
  sgmse transfer speech/ --to runs/mine/best -o mine/     every recording of a folder, names kept
  sgmse transfer speech.wav --to runs/mine/best --start 0.5    changes less, and takes as long
"""

import argparse
from contextlib import ExitStack, closing
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from sgmse.cli import console
from sgmse.cli.options import Commands, command, count, share
from sgmse.cli.recordings import Report, describe_many, describe_recordings, planned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sgmse.corpus import Job
    from sgmse.enhancer import Progress
    from sgmse.transfer import Transfer

ENDING = "transferred"
DOMAIN = "prior, a folder, or hf://owner/name for a repository on the Hugging Face hub"


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "transfer", run, __doc__)
    parser.quiet("errors")
    parser.flag("-v --verbose", "say what is done: models, solver, each file")
    parser.json("an object a line for each file")
    parser.group("domains")
    parser.value("--to", "DOMAIN", f"where recordings go: {DOMAIN}", required=True)
    parser.value("--from", "DOMAIN", "what they are, likewise", dest="source", default="prior")
    parser.value(
        "--start",
        "TIME",
        "of the process, up to which a recording is encoded: from 0, where nothing changes, to 1, "
        "where its latent is noise (default: that of the model, all of it)",
        share,
    )
    parser.value(
        "--steps", "N", "of each of the two ways (default: those of the model of --from)", count
    )
    parser.device()
    parser.group("input and output")
    describe_recordings(parser, ENDING, "call.wav")
    describe_many(parser)


@console.interruptible("finished files are kept; --skip-existing goes on")
def run(options: argparse.Namespace) -> int:
    """Transfer every file, whatever becomes of the others."""
    with ExitStack() as held:
        jobs, report = held.enter_context(planned(options, ENDING, shards=False))
        if jobs:
            _transfer(jobs, options, report)
    return report.end()


def _transfer(jobs: "Sequence[Job]", options: argparse.Namespace, report: Report) -> None:
    from sgmse.corpus import run_jobs

    move = _loaded(options)

    def work(job: "Job", progress: "Progress") -> None:
        move.transfer_file(
            job.sound,
            job.place,
            format=options.format,
            bitrate=options.bitrate,
            clip_mode=options.clip_mode,
            overwrite=options.overwrite,
            progress=progress,
        )

    seconds = sum(job.seconds for job in jobs)
    with ExitStack() as held:
        bar = console.seconds_of_audio(seconds, options.quiet, "transferring")
        outcomes = run_jobs(jobs, work, progress=held.enter_context(bar))
        for outcome in held.enter_context(closing(outcomes)):
            report.tell(outcome)


def _loaded(options: argparse.Namespace) -> "Transfer":
    """The two models."""
    from sgmse.transfer import load_transfer

    start = perf_counter()
    load = partial(load_transfer, options.source, options.to, device=options.device)
    with console.warnings_said(options.quiet):
        move = load(steps=options.steps, start=options.start)
    if options.verbose:
        console.say(
            f"the models {options.source} and {options.to} are loaded in "
            f"{perf_counter() - start:.1f} s"
        )
        console.say(f"{move.solver} on {move.grid}, up and down")
    return move
