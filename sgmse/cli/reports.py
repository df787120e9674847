"""Options of the commands that write a report, `sgmse score` and `sgmse bench`."""

import argparse
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from sgmse.report.clips import Recording
    from sgmse.scoring.scores import Progress

NAME = "report.html"
# The defaults in `sgmse.report.page`, which a test holds; importing that here takes long.
FILES, MEGABYTES = 6, 10


def add(parser: argparse.ArgumentParser) -> None:
    """The options that say what is in a report; `parser` has a --report of its own."""
    parser.add_argument(
        "--report-files",
        type=_files,
        metavar="N or NAME,...",
        help="recordings to listen to: how many, evenly spaced from the worst to the best, or "
        f"which; a name of digits alone with a comma after it (default: {FILES})",
    )
    parser.add_argument(
        "--report-megabytes",
        type=_megabytes,
        metavar="M",
        help="largest size of the report; fewer recordings are in it if it must be "
        f"(default: {MEGABYTES})",
    )


def extent(options: argparse.Namespace) -> dict[str, Any]:
    """What is said of the report, as arguments of `write_report`."""
    given = {"files": options.report_files, "megabytes": options.report_megabytes}
    return {name: value for name, value in given.items() if value is not None}


def wanted(options: argparse.Namespace) -> bool:
    """Whether to write one: if asked to, or if nothing is said of it and its packages are there.

    Raises:
        ValueError: something is said of a report that is not to be written.
        ImportError: a package is missing for one that is asked for.
    """
    from sgmse.report.page import require

    asked = extent(options)
    if options.report is False:
        if asked:
            raise ArgumentError(f"--report-{next(iter(asked))} goes with --report")
        return False
    if options.report or asked:
        require()
        return True
    return not missing()


def missing() -> str:
    """Why there cannot be a report, and the remedy; "" if there can."""
    from sgmse.report.page import require

    try:
        require()
    except ImportError as error:
        return str(error)
    return ""


def check_names(options: argparse.Namespace, recordings: "Iterable[Recording]") -> None:
    """Raise `ValueError` for a recording that is asked for and is not there."""
    from sgmse.report.clips import called

    if isinstance(options.report_files, list):
        called(recordings, options.report_files)


@contextmanager
def progress(quiet: bool) -> "Iterator[Progress]":
    """A bar for the recordings of a report, as `write_report` tells of them."""
    from tqdm import tqdm

    with tqdm(desc="report", unit=" recordings", disable=True if quiet else None) as bar:

        def tell(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        yield tell


def _files(text: str) -> int | list[str]:
    if text.isdecimal():
        return int(text)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"must be a whole number or names, not {text!r}")
    return names


def _megabytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return size
