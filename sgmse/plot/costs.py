"""What quality costs: the Pareto front of systems or samplers.

pareto({"DeepFilterNet3": (0.120, 1.91), "sgmse": (0.167, 2.37)}, "real-time factor", "PESQ-WB")
"""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from sgmse._checks import flag
from sgmse.errors import ArgumentError
from sgmse.plot.house import Theme, colours, look, panels, style
from sgmse.scoring.pareto import pareto_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pareto(
    places: Mapping[str, tuple[float, float]],
    cost: str,
    quality: str,
    *,
    higher_is_better: bool = True,
    log: bool = True,
    theme: Theme = "light",
) -> "Figure":
    """Points of quality over cost, and the steps of those that no other beats in both.

    Args:
        places: (cost, quality) by name; what is not finite is left out, and named in no legend.
        cost, quality: names of the axes, with their units.
        higher_is_better: of the quality; of the cost less is better.
        log: a logarithmic axis of costs, which must be above 0 for it.
        theme: "light" or "dark".

    Raises `ArgumentError` if nothing is to be drawn, `MissingPackageError` without matplotlib.
    """
    flag("higher_is_better", higher_is_better)
    known = {name: (x, y) for name, (x, y) in places.items() if isfinite(x + y)}
    if not known:
        raise ArgumentError(f"there is nothing to show of {quality} against {cost}")
    if flag("log", log) and min(x for x, _ in known.values()) <= 0:
        raise ArgumentError(f"a logarithmic axis has no place for {cost} of 0 or less; log=False")
    with style(theme):
        figure, (axes,) = panels(1, 1, 6.4, 4)
        if log:
            axes.set_xscale("log")
        for kind, (name, (x, y)) in enumerate(known.items()):
            axes.plot(x, y, ls="", label=name, clip_on=False, zorder=3, **look(kind, theme))
        best = [known[name] for name in pareto_front(known, higher_is_better)]
        most = max(x for x, _ in known.values())
        if best[-1][0] < most:
            best.append((most, best[-1][1]))
        axes.step(*zip(*best, strict=True), ":", where="post", color=colours(theme)["faint"])
        axes.set(xlabel=cost, ylabel=quality)
        axes.xaxis.set_major_formatter("{x:g}")
        figure.legend(loc="outside right upper")
    return figure
