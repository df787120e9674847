"""What a command says while it works: lines, bars, warnings, and how it ends.

Results are lines on stdout; all else goes to stderr, as lines that begin with "sgmse: " and, where
they tell of one, "warning: " or "error: ", and bars that are shown on a terminal alone.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tqdm import tqdm

from sgmse.corpus.remarks import heard
from sgmse.errors import AudioError, SgmseError, told

if TYPE_CHECKING:
    from sgmse.scoring.scores import Stages

# Exit codes, beside 0 for success and for misuse.
FAILED, MISUSED, FAULT, INTERRUPTED, UNREAD = 1, 2, 70, 130, 141


class Tone(Enum):
    """How a line is to be taken: the word that it begins with, and the colour of that."""

    NOTE = "", ""
    WARNING = "warning: ", "\x1b[33m"
    ERROR = "error: ", "\x1b[31m"

    def word(self, stream: IO[str]) -> str:
        """The word, coloured where the stream takes colours."""
        text, colour = self.value
        return f"{colour}{text.rstrip()}\x1b[0m " if text and takes_colour(stream) else text


def takes_colour(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that is to be coloured (https://no-color.org).

    NO_COLOR says no and FORCE_COLOR yes, each where it is not empty, to whatever the stream is.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def say(text: object, tone: Tone = Tone.NOTE) -> None:
    """A line on stderr, above the bars."""
    line = " ".join(str(text).split())
    tqdm.write(f"sgmse: {tone.word(sys.stderr)}{line}", file=sys.stderr)


def warn(text: object) -> None:
    """A line on stderr of what should be known."""
    say(text, Tone.WARNING)


def complain(text: object) -> None:
    """A line on stderr of what did not succeed."""
    say(text, Tone.ERROR)


def show(text: str, piped: bool = False) -> None:
    """A line of results above the bars: on stdout, or on stderr where sound is piped there."""
    tqdm.write(text, file=sys.stderr if piped else sys.stdout)


def failure(error: Exception, debug: bool, source: Path | None = None) -> int:
    """Say what went wrong, perhaps with one file of many; return the exit code.

    That is `FAILED` for what `sgmse.errors` and the system raise for a user, and `FAULT` for all
    else, which is a fault of this library. With `debug` the traceback comes first.
    """
    if debug:
        traceback.print_exception(error)
    where = "" if source is None or isinstance(error, AudioError) else f"{source}: "
    if isinstance(error, SgmseError | OSError):
        parts = error.parts if isinstance(error, SgmseError) else ()
        for text in parts or (told(error),):
            complain(f"{where}{text}")
        return FAILED
    complain(f"{where}{type(error).__name__}: {error}".rstrip(": "))
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
def seconds_of_audio(
    total: float, quiet: bool, doing: str = "enhancing"
) -> Iterator[Callable[[float], object]]:
    """A bar that is told of seconds done."""
    with tqdm(
        total=total,
        desc=doing,
        disable=True if quiet or not total else None,  # None: if stderr is no terminal
        bar_format="{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s, {remaining} left",
    ) as bar:
        yield bar.update


@contextmanager
def warnings_said(quiet: bool) -> Iterator[None]:
    """Say what there is to know of recordings, a line each, or nothing; others stay as they are."""
    with heard(lambda text: None if quiet else warn(text)):
        yield
