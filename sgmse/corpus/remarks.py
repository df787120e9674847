"""What is warned of while recordings are worked on, gathered by the recording that it is of.

with heard(print), gathered() as lines:
    enhancer.enhance_file(source, target)
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sgmse.errors import RecordingWarning

#: What is warned of in this context, for whoever gathers it.
_said: ContextVar[list[str] | None] = ContextVar("said", default=None)


@contextmanager
def heard(tell: Callable[[str], object] = lambda text: None) -> Iterator[None]:
    """Hand on what there is to know of recordings, a line each; other warnings stay as they are.

    For all threads, while the block lasts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default", RecordingWarning)  # once: files are read more than once
        show_others = warnings.showwarning

        def shown(
            message: Warning | str, category: type[Warning], *where: Any, **more: Any
        ) -> None:
            if not issubclass(category, RecordingWarning):
                show_others(message, category, *where, **more)
                return
            line = " ".join(str(message).split())
            if (lines := _said.get()) is not None:
                lines.append(line)
            tell(line)

        warnings.showwarning = shown
        yield


@contextmanager
def gathered() -> Iterator[list[str]]:
    """A list of what is `heard` in this context, a thread say, and of what was done in it."""
    lines: list[str] = []
    token = _said.set(lines)
    try:
        yield lines
    finally:
        _said.reset(token)
