"""Objects by the arguments that one has to type: what tables and legends say of them."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def short(value: Any) -> str:
    """The repr of a dataclass without what has its default: `Multistep(order=3)`."""
    if not is_dataclass(value):
        return repr(value)
    said = []
    for field in fields(value):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if getattr(value, field.name) != default:
            said.append(f"{field.name}={short(getattr(value, field.name))}")
    return f"{type(value).__name__}({', '.join(said)})"
