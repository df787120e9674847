"""An extension of griffe, which reads the docstrings for the reference: formulas are set as such.

A paragraph of lines like `a = 1 - t,   b = t` is one, even where it stands at the margin, to which
formatters move it when a docstring has nothing else below its first line.
"""

import re
from typing import Any

import griffe

LINE = re.compile(r"\S+ = .*[^.:]", re.DOTALL)


def with_formulas(text: str) -> str:
    """A docstring whose formulas are indented."""
    first, *rest = text.split("\n\n")
    return "\n\n".join([first, *map(_set, rest)])


def _set(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if not all(LINE.fullmatch(line) for line in lines):
        return paragraph
    return "\n".join(f"    {line}" for line in lines)


class Formulas(griffe.Extension):
    """Indents the formulas of all docstrings."""

    def on_instance(self, *, obj: Any, **_others: Any) -> None:
        """Look at a module, class or function as it is read."""
        if obj.docstring is not None:
            obj.docstring.value = with_formulas(obj.docstring.value)
