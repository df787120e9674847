"""What the commands that score share: options, refusals, what is said of scores, and the page."""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from sgmse.cli.console import say, stages
from sgmse.cli.options import Parser, names, positive
from sgmse.errors import ArgumentError, MissingPackageError
from sgmse.report.clips import Recording, called
from sgmse.report.page import FILES, MEGABYTES, require
from sgmse.report.text import notes, problems
from sgmse.scoring.scores import Scores

NAME = "report.html"
SHOWN = 20  # problems that are printed; the files have them all


def add(parser: Parser) -> None:
    """The options that say what more is written; `parser` has a --report of its own."""
    parser.value(
        "--report-files",
        "N or NAME,...",
        "recordings to listen to: how many, evenly spaced from the worst to the best, or which; a "
        f"name of digits alone with a comma after it (default: {FILES})",
        _files,
    )
    parser.value(
        "--report-megabytes",
        "M",
        "largest size of the report; fewer recordings are in it if it must be (default: "
        f"{MEGABYTES:g})",
        positive,
    )
    parser.flag("--parquet", "write scores.parquet too (needs pyarrow)")


def extent(options: argparse.Namespace) -> dict[str, Any]:
    """What is said of the page, as arguments of `write_report`."""
    given = {"files": options.report_files, "megabytes": options.report_megabytes}
    return {name: value for name, value in given.items() if value is not None}


def wanted(options: argparse.Namespace) -> bool:
    """Whether to write a page: if asked to, or if nothing is said of it and its packages are there.

    Raises:
        ArgumentError: something is said of a page that is not to be written.
        MissingPackageError: a package is missing for one that is asked for.
    """
    asked = extent(options)
    if options.report is False:
        if asked:
            raise ArgumentError(f"--report-{next(iter(asked))} goes with --report")
        return False
    if options.report or asked:
        require()
    return not missing()


def missing() -> str:
    """Why there cannot be a page, and the remedy; "" if there can."""
    try:
        require()
    except MissingPackageError as error:
        return str(error)
    return ""


def check_names(options: argparse.Namespace, recordings: Iterable[Recording]) -> None:
    """Raise `ArgumentError` for a recording that is asked for and is not there."""
    if isinstance(options.report_files, list):
        called(recordings, options.report_files)


def say_problems(scores: Scores, quiet: bool, where: str) -> None:
    """Say what could not be scored, and what was noticed of the files; `where` has all of it."""
    lines = problems(scores)
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        say(f"and {len(lines) - SHOWN} more; {where}")
    for line in [] if quiet else notes(scores):
        say(line)


def write_page(options: argparse.Namespace, write: Callable[..., Path]) -> None:
    """Have a page written, of the extent that is asked for, and say where it is."""
    with stages(options.quiet) as tell:
        page = write(command=options.command, progress=partial(tell, "report"), **extent(options))
    if not options.quiet:
        print(f"the report is {page}")


def _files(text: str) -> int | list[str]:
    if text.isdecimal():
        return int(text)
    if not (listed := names(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number or names, not {text!r}")
    return listed
