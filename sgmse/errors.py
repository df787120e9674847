"""Every error that is raised for a user: one tree, whose messages name the value and the remedy.

    SgmseError
    ├── ArgumentError (ValueError)          a value that is given cannot be used
    │   └── ConfigError                     a text that describes objects: YAML, JSON, overrides
    │       ├── RecipeError                 of a training, its data or its run folder
    │       └── SuiteError                  of a benchmark
    ├── ArgumentTypeError (TypeError)       an object of another kind than is asked for
    ├── AudioError (ValueError)             a recording cannot be read, understood or written
    ├── CheckpointError (ValueError)        a model cannot be found or read
    ├── DataError (ValueError)              folders of recordings do not hold what they should
    │   ├── LayoutError                     of a known test set
    │   └── MixError                        from which a noisy set is to be mixed
    ├── DeviceError (RuntimeError)          a device has not enough memory
    ├── ExportError (RuntimeError)          a model has no file for another runtime
    ├── MetricError (ValueError)            signals cannot be scored
    ├── MissingPackageError (ImportError)   an extra is not installed
    ├── ResultError (RuntimeError)          what was computed cannot be used, such as NaN
    ├── SystemFailedError (RuntimeError)    an enhancer that is benchmarked made nothing of a file
    └── WorkerError (RuntimeError)          a process that did a share of the work died

The command line prints these in one line, and exits with 1. What is raised beside them, but for
`OSError`, is a fault of this library.

What is no error, and yet should be known of a result, is a `RecordingWarning`:

    UserWarning
    └── RecordingWarning                    of a recording or a result
        ├── ClippingWarning                 samples beyond full scale were clipped
        ├── FitWarning                      what was fitted to recordings does not hold for others
        ├── ResultWarning                   a result has what its recording has not
        └── SamplerWarning                  of a sampler that the model is not made for

The command line prints these in one line, too, as warnings, and exits with 0.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar


class SgmseError(Exception):
    """Any error for a user of this library; the message is one line with the remedy.

    `parts` are the messages of several errors of which it tells at once; none of a single one.
    """

    parts: tuple[str, ...] = ()


class ArgumentError(SgmseError, ValueError):
    """A value that is given cannot be used."""


class ArgumentTypeError(SgmseError, TypeError):
    """An object is of another kind than is asked for."""


class ConfigError(ArgumentError):
    """A text that describes objects cannot be used: a file of YAML or JSON, or an override."""


class RecipeError(ConfigError):
    """A recipe, its data or its run folder cannot be used."""


class SuiteError(ConfigError):
    """A suite of systems and sets cannot be used."""


class AudioError(SgmseError, ValueError):
    """A file cannot be read, understood or written; `str` is one line: file: problem; remedy."""

    def __init__(self, path: str | Path, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path

    def __str__(self) -> str:
        return "{}: {}; {}".format(*self.args).replace("\n", " ")


class CheckpointError(SgmseError, ValueError):
    """A model cannot be found or read."""


class DataError(SgmseError, ValueError):
    """Folders of recordings do not hold what they should."""


class LayoutError(DataError):
    """A folder does not hold the test set that it should."""


class MixError(DataError):
    """A noisy set cannot be mixed."""


class DeviceError(SgmseError, RuntimeError):
    """A device has not enough memory; the message says what takes less."""


class ExportError(SgmseError, RuntimeError):
    """A model cannot be written for another runtime; the message says why, and what can be."""


class MetricError(SgmseError, ValueError):
    """Signals cannot be scored; the message names what is wrong with them."""


class MissingPackageError(SgmseError, ImportError):
    """A package of an extra is not installed; the message says how to install it."""


class ResultError(SgmseError, RuntimeError):
    """What was computed cannot be used, such as samples that are not finite."""


class SystemFailedError(SgmseError, RuntimeError):
    """A system made nothing of a file that could be scored."""


class WorkerError(SgmseError, RuntimeError):
    """A worker process died; the message says over what."""


class RecordingWarning(UserWarning):
    """What whoever hears a result should know of it or of its recording, a line with the file."""


class ClippingWarning(RecordingWarning):
    """Samples of a result lay beyond full scale, and its file holds no larger ones."""


class FitWarning(RecordingWarning):
    """What was fitted to some recordings is worse, or no better than usual, on others."""


class ResultWarning(RecordingWarning):
    """A result has sound where its recording has next to none: it may be noise of the model."""


class SamplerWarning(RecordingWarning):
    """A model is sampled as it is not made for, because that was asked for (`force`)."""


E = TypeVar("E", bound=SgmseError)


class Together:
    """Errors of several parts, which are told of in one.

    >>> wrong = Together()
    >>> for text in ("1", "b"):
    ...     with wrong.part():
    ...         if not text.isdigit():
    ...             raise ArgumentError(f"{text!r} is no number")
    >>> wrong.end()
    Traceback (most recent call last):
    sgmse.errors.ArgumentError: 'b' is no number
    """

    def __init__(self) -> None:
        self.errors: list[SgmseError] = []

    @contextmanager
    def part(self) -> Iterator[None]:
        """One of them; what is wrong with it is kept until the end."""
        try:
            yield
        except SgmseError as error:
            self.errors.append(error)

    def end(self) -> None:
        """Raise what was wrong: an error as it is, several as one of the kind of the first."""
        if not self.errors:
            return
        first = self.errors[0]
        texts = [text for error in self.errors for text in error.parts or (str(error),)]
        if len(self.errors) == 1:
            raise first
        raise with_parts(type(first), texts) from first


def with_parts(kind: Callable[[str], E], texts: Iterable[str]) -> E:
    """An error that tells of several."""
    parts = tuple(dict.fromkeys(texts))
    error = kind("; and ".join(parts))
    error.parts = parts if len(parts) > 1 else ()
    return error


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A part of a message, " (did you mean 'x'?)"; "" where no known name is near.

    >>> did_you_mean("defualt", ["default", "live"])
    " (did you mean 'default'?)"
    """
    by_word = {item.lower().lstrip("-"): item for item in known}
    close = get_close_matches(str(name).lower().lstrip("-"), by_word, 1)
    return f" (did you mean {by_word[close[0]]!r}?)" if close else ""


def told(error: BaseException) -> str:
    """What an error says, of the system without its number: "x.wav: No such file or directory"."""
    if isinstance(error, OSError) and not isinstance(error, SgmseError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
