"""What the commands that score share: options, refusals, what is said of scores, and the page."""

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from sgmse.cli.console import say, stages, warn
from sgmse.cli.options import Parser, names, positive
from sgmse.errors import ArgumentError, MissingPackageError
from sgmse.metrics.measures import ALIASES, MEASURES, Measure, select
from sgmse.report.page import FILES, MEGABYTES, require
from sgmse.report.selection import select_by_name
from sgmse.report.text import notes, problems, require_parquet
from sgmse.scoring.journal import Recording
from sgmse.scoring.scores import Scores
from sgmse.scoring.thresholds import Threshold

NAME = "report.html"
SHOWN = 20  # problems that are printed; the files have them all


def add(parser: Parser, report: bool | None) -> None:
    """The options of what must be reached and what is written; `report` is the default of that."""
    parser.values(
        "--fail-under",
        "[SYSTEM:]NAME=VALUE",
        "exit with 1 if the mean of a measure is worse; of all systems but the baseline of several "
        "if none is named",
    )
    when = "not" if report is False else "if that is installed"
    parser.switch(
        "report",
        "write report.html, one page with table, charts, sounds and spectrograms; it needs the "
        f"extra 'report' (default: {when})",
        default=report,
    )
    parser.value(
        "--report-files",
        "N or NAME,...",
        "recordings to listen to: how many, half of them those that got worst, the others evenly "
        "spaced from the worst upwards, or which; a name of digits alone with a comma after it "
        f"(default: {FILES})",
        _files,
    )
    text = "largest size of the report; fewer recordings are in it if it must be"
    parser.value("--report-megabytes", "M", f"{text} (default: {MEGABYTES:g})", positive)
    parser.flag("--parquet", "write scores.parquet too (needs pyarrow)")


def extent(options: argparse.Namespace) -> dict[str, Any]:
    """What is said of the page, as arguments of `write_report`."""
    given = {"files": options.report_files, "megabytes": options.report_megabytes}
    return {name: value for name, value in given.items() if value is not None}


def checked(
    options: argparse.Namespace, measures: Sequence[str | Measure], systems: Collection[str]
) -> tuple[list[Threshold], bool]:
    """What must be reached, and whether a page is written.

    It is if it is asked for, or if nothing is said of it and its packages are there.

    Raises:
        ArgumentError: a threshold that is none, or a page is described that is not to be written.
        MissingPackageError: a package is missing for what is asked for.
    """
    known = select(measures)
    if not options.quiet:
        _say_short(measure for measure in measures if isinstance(measure, str))
    thresholds = [Threshold.parse(text, known, systems) for text in options.fail_under]
    if options.parquet:
        require_parquet()
    if options.report is False and (asked := extent(options)):
        raise ArgumentError(f"--report-{next(iter(asked))} goes with --report")
    if options.report or extent(options):
        require()
    return thresholds, options.report is not False and not missing()


def _say_short(given: Iterable[str]) -> None:
    """Say of short names of measures which one is taken, and which others are called so."""
    for short in given:
        if (meant := ALIASES.get(short.strip().lower())) is not None:
            names = [measure.name.lower() for measure in MEASURES]
            others = [name for name in names if name.startswith(short.lower()) and name != meant]
            say(f"{short} is taken as {meant}; others are {', '.join(others)}")


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
        select_by_name(recordings, options.report_files)


def say_problems(scores: Scores, quiet: bool, where: str) -> None:
    """Say what could not be scored, and what was noticed of the files; `where` has all of it."""
    lines = problems(scores)
    for line in lines[:SHOWN]:
        warn(line)
    if len(lines) > SHOWN:
        warn(f"and {len(lines) - SHOWN} more; {where}")
    for line in [] if quiet else notes(scores):
        say(line)


def write_page(options: argparse.Namespace, write: Callable[..., Path]) -> None:
    """Have a page written, of the extent that is asked for, and say where it is."""
    with stages(options.quiet) as tell:
        page = write(command=options.command, progress=tell, **extent(options))
    if not options.quiet:
        print(f"the report is {page}")


def _files(text: str) -> int | list[str]:
    if text.isdecimal():
        return int(text)
    if not (listed := names(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number or names, not {text!r}")
    return listed
