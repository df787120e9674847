"""What no other beats in cost and quality at once."""

import math
from collections.abc import Mapping
from typing import TypeVar

Name = TypeVar("Name")


def pareto_front(
    places: Mapping[Name, tuple[float, float]], higher_is_better: bool = True
) -> list[Name]:
    """The names of the places (cost, quality) that none dominates, by cost.

    p dominates q if it costs no more and is no worse, and not both are equal. What is not finite is
    on no front.

    >>> pareto_front({"slow": (3.0, 2.5), "quick": (1.0, 2.0), "worse": (2.0, 1.9)})
    ['quick', 'slow']
    """
    sign = 1 if higher_is_better else -1
    known = {n: (x, sign * y) for n, (x, y) in places.items() if math.isfinite(x + y)}
    front = [
        name
        for name, (x, y) in known.items()
        if not any(u <= x and v >= y and (u, v) != (x, y) for u, v in known.values())
    ]
    return sorted(front, key=lambda name: known[name][0])
