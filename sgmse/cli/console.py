"""What a command says while it works: lines, bars, warnings, and how it ends.

Results are lines on stdout; all else goes to stderr, as lines that begin with "sgmse: ", and bars
that are shown on a terminal alone.
"""

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sgmse.errors import AudioError, RecordingWarning, SgmseError

if TYPE_CHECKING:
    from sgmse.scoring.scores import Stages

# Exit codes, beside 0 for success and the 2 of argparse for misuse.
FAILED, FAULT, INTERRUPTED = 1, 70, 130


def say(text: object, prefix: str = "sgmse: ") -> None:
    """A line on stderr, above the bars."""
    tqdm.write(prefix + " ".join(str(text).split()), file=sys.stderr)


def show(text: str) -> None:
    """A line of results on stdout, above the bars."""
    tqdm.write(text, file=sys.stdout)


def failure(error: Exception, debug: bool, source: Path | None = None) -> int:
    """Say what went wrong, perhaps with one file of many; return the exit code.

    That is `FAILED` for what `sgmse.errors` and the system raise for a user, and `FAULT` for all
    else, which is a fault of this library. With `debug` the traceback comes first.
    """
    if debug:
        traceback.print_exception(error)
    where = "" if source is None or isinstance(error, AudioError) else f"{source}: "
    if isinstance(error, SgmseError | OSError):
        say(f"{where}{error}")
        return FAILED
    say(f"{where}{type(error).__name__}: {error}".rstrip(": "))
    return FAULT


def explain(debug: bool) -> None:
    """Say whose a fault is, and what to do about it."""
    with_what = "the lines above" if debug else "what the same command says with --debug"
    say(f"this is a fault of sgmse and not of the recording; please report it with {with_what}")


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Let an interrupt say what is kept; also a decorator."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept) from None


@contextmanager
def stages(quiet: bool) -> "Iterator[Stages]":
    """A bar that is told of the stages of some work."""
    current = ""
    with tqdm(desc="checking", unit=" files", disable=True if quiet else None) as bar:

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal current
            if stage != current:
                current = stage
                bar.reset(total)
                bar.set_description(stage, refresh=False)
                bar.initial = done  # made earlier: they say nothing of the speed
            bar.n = done
            bar.refresh()

        yield tell


@contextmanager
def seconds_of_audio(total: float, quiet: bool) -> Iterator[Callable[[float], object]]:
    """A bar that is told of seconds done."""
    with tqdm(
        total=total,
        desc="enhancing",
        disable=True if quiet or not total else None,  # None: if stderr is no terminal
        bar_format="{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s, {remaining} left",
    ) as bar:
        yield bar.update


@contextmanager
def warnings_said(quiet: bool) -> Iterator[None]:
    """Say what enhancing warns of, a line each, or nothing of it; others stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", RecordingWarning)
        show_others = warnings.showwarning

        def shown(
            message: Warning | str, category: type[Warning], *where: Any, **more: Any
        ) -> None:
            if issubclass(category, RecordingWarning):
                say(f"warning: {message}")
            else:
                show_others(message, category, *where, **more)

        warnings.showwarning = shown
        yield
