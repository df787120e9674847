"""What commands that make a recording of each recording have in common.

Which ones they are and where results go, what is refused before any work, and what is said of each.
"""

import argparse
import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, cast

from sgmse._files import write_whole
from sgmse.audio import CLIP_MODES, SUFFIXES, seekable, unsearched
from sgmse.cli import console
from sgmse.cli.options import Parser, positive
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Self

    from sgmse.corpus import Job, Outcome, Plan

SHOWN = 3  # folders of many that a line names


def describe_recordings(parser: Parser, ending: str, example: str, shards: str = "") -> None:
    """Inputs, and where results go and how they are written.

    Args:
        parser: of the command.
        ending: of the names of results beside their inputs.
        example: the name of a result.
        shards: what is said of them, of a command that takes some.
    """
    parser.value(
        "inputs",
        "INPUT",
        "recordings, folders of them, patterns, or lists: a .scp file of lines 'ID PATH', a folder "
        f"with metadata.csv{shards}; - for stdin",
        nargs="+",
    )
    parser.output(
        f"a file for one input, such as {example}, - for stdout, or a folder, which is made if "
        f"absent; without it results are named NAME_{ending}, beside their inputs",
        metavar="FILE_OR_DIR",
    )
    parser.value(
        "--format",
        "FORMAT",
        f"of the results: {', '.join(SUFFIXES)} (default: that of the input)",
        lambda text: text.lower().removeprefix("."),
        choices=SUFFIXES,
    )
    parser.value(
        "--bitrate",
        "KBPS",
        "of mp3, ogg, opus, m4a and other lossy results, in kb/s (default: that of the input)",
        positive,
    )
    parser.value(
        "--clip-mode",
        "MODE",
        "what becomes of samples beyond full scale: clamp clips them, rescale scales the whole "
        "result so that its peak is full scale, none keeps them and writes float samples",
        choices=CLIP_MODES,
        default="clamp",
    )


def describe_many(parser: Parser) -> None:
    """Folders in folders, results that exist, and what failed."""
    parser.flag("--recursive", "look into the folders inside folders too")
    parser.flag("--skip-existing", "leave results that exist as they are, and do the others")
    parser.overwrite("results that exist")
    parser.value(
        "--failures",
        "FILE",
        "write there which files failed and why, an object a line as with --json; an empty file "
        "says that none did",
    )


@contextmanager
def planned(
    options: argparse.Namespace, ending: str, *, pictures: bool = False, shards: bool = True
) -> "Iterator[tuple[Sequence[Job], Report]]":
    """What is to be done, and who tells of it; what ended before any work is told.

    Args:
        options: those that are described here.
        ending: of the names of results beside their inputs.
        pictures: whether each result has one beside it.
        shards: whether the command takes those, too.

    Raises:
        ArgumentError: inputs and options that do not go together.
    """
    from sgmse.corpus import make_plan, with_pictures
    from sgmse.corpus.jobs import STANDARD
    from sgmse.corpus.shards import is_shard

    if options.quiet and options.verbose:
        raise ArgumentError("-q and -v contradict each other; choose one")
    with ExitStack() as held:
        stdin = held.enter_context(_stdin_read()) if str(STANDARD) in options.inputs else None
        plan = make_plan(
            options.inputs,
            options.output,
            format=options.format,
            bitrate=options.bitrate,
            clip_mode=options.clip_mode,
            recursive=options.recursive,
            stdin=stdin,
            ending=ending,
        )
        if not shards and (found := [job.source for job in plan.jobs if is_shard(job.source)]):
            raise ArgumentError(f"{found[0]} holds many recordings; unpack it, and name a folder")
        plan = with_pictures(plan) if pictures else plan
        plan = plan.checked(overwrite=options.overwrite, skip_existing=options.skip_existing)
        piped = any(job.target == STANDARD for job in plan.jobs)
        if options.failures is not None:
            _check_failures(Path(options.failures), options.inputs, plan)
        if piped and sys.stdout.isatty():
            raise ArgumentError("stdout is a terminal, which shows no sound; name a file with -o")
        report = held.enter_context(Report(options, piped))
        for outcome in plan.ended:
            report.tell(outcome)
        if not options.quiet and not options.recursive:
            known = {outcome.job.source for outcome in plan.ended if outcome.error is not None}
            _say_unsearched([name for name in options.inputs if Path(name) not in known], options)
        yield plan.jobs, report


def _check_failures(file: Path, inputs: "Sequence[str]", plan: "Plan") -> None:
    """Refuse a list of failures in the place of a recording, of a list or of a shard."""
    if file.is_dir():
        raise ArgumentError(f"--failures {file}: is a folder; name a file in it")
    jobs = [*plan.jobs, *(outcome.job for outcome in plan.ended)]
    named = {Path(name) for name in inputs}
    named |= {path for job in jobs for path in (job.source, job.target, job.picture) if path}
    if os.path.realpath(file) in map(os.path.realpath, named):
        raise ArgumentError(f"--failures {file}: is an input or a result; name another file")
    if file.suffix[1:].lower() in SUFFIXES:
        raise ArgumentError(f"--failures {file}: is the name of a recording; name it .jsonl")


def _say_unsearched(inputs: "Sequence[str]", options: argparse.Namespace) -> None:
    """Say which folders inside folders hold recordings, but for the one of the results."""
    output = None if options.output is None else os.path.realpath(options.output)
    for name in inputs:
        folders = [path for path in unsearched(name) if os.path.realpath(path) != output]
        if folders:
            more = f" and {len(folders) - SHOWN} more" if len(folders) > SHOWN else ""
            named = ", ".join(map(str, folders[:SHOWN])) + more
            console.say(
                f"{name}: what is in its folders is left out ({named}); --recursive takes it"
            )


@contextmanager
def _stdin_read() -> "Iterator[BinaryIO]":
    """What comes from stdin, all of it."""
    if sys.stdin.isatty():
        raise ArgumentError("stdin is a terminal; pipe a recording into it, or name a file")
    with seekable(sys.stdin.buffer) as stream:
        yield cast("BinaryIO", stream)


class Report:
    """Says what becomes of each file, and of all at the end."""

    def __init__(self, options: argparse.Namespace, piped: bool) -> None:
        self.options = options
        self.piped = piped  # stdout is taken by sound
        self.outcomes: list[Outcome] = []
        self.code = 0
        self.said: set[str] = set()
        self.start = perf_counter()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        """Write the list of what failed, after an interrupt too."""
        if self.options.failures is not None:
            failed = [line for outcome in self.outcomes for line in outcome.failures()]
            write_whole(Path(self.options.failures), "".join(failed).encode())

    def tell(self, outcome: "Outcome") -> None:
        """Say what became of one file."""
        options, job = self.options, outcome.job
        if isinstance(outcome.error, BrokenPipeError):  # which ends a command without a word
            raise outcome.error
        self.outcomes.append(outcome)
        if outcome.error is not None and str(outcome.error) not in self.said:
            self.said.add(str(outcome.error))  # of the folder of many results, once
            code = console.failure(outcome.error, options.debug, job.source)
            self.code = max(self.code, code)
        for lost in outcome.lost:
            self.code = max(self.code, console.failure(lost.error, options.debug, lost.source))
        if options.json:
            console.show(outcome.as_json(), self.piped)
        elif outcome.status == "done" and not options.quiet:
            console.show(outcome.line(), self.piped)
        if options.verbose and outcome.status == "skipped":
            console.say(f"{job.source}: skipped, {job.target} exists")
        if options.verbose and outcome.status == "done":
            form = f"{job.sample_rate} Hz, channels {job.channels}, {job.seconds:.2f} s"
            console.say(f"{job.source}: {form}, done in {outcome.elapsed:.2f} s")

    def end(self) -> int:
        """Say what became of all, if they are several; return the exit code."""
        from sgmse.corpus import summary

        one = len(self.outcomes) == 1 and not self.outcomes[0].skipped
        if not one and not self.options.quiet:
            console.say(summary(self.outcomes, perf_counter() - self.start))
        return self.code
