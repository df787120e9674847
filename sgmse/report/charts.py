"""Charts as SVG text: what a system costs against what it reaches, and how that depends on a fact.

    ours = Series("ours", 0, (Point(4, 2.9, 2.8, 3.0),))
    svg = draw([Panel([ours], "evaluations", "PESQ-WB", log=True)])
    Path("front.svg").write_text(standalone(svg))

Matplotlib draws, in the style of `sgmse.plot`; its colours are then called by their names in its
style sheet, so that a chart suits dark and light. A system keeps its colour and its marker, its
`kind`, from chart to chart.
"""

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from sgmse.errors import ArgumentError
from sgmse.plot import house
from sgmse.plot.house import COLOURS, MARKERS, colours, look
from sgmse.scoring.pareto import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH, HEIGHT = 460, 300  # of a panel, in units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 46  # its margins, which hold ticks and names of axes
LINE, CHARACTER = 18, 6.2  # the height of a line of the legend, the width of a character


@dataclass(frozen=True)
class Point:
    """A value y at x, with its interval [low, high]."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """The points of a system; `kind` numbers the systems and gives its colour and marker."""

    label: str
    kind: int
    points: Sequence[Point]

    @property
    def shown(self) -> list[Point]:
        """The points of which x and y are finite."""
        return [point for point in self.points if math.isfinite(point.x + point.y)]


@dataclass(frozen=True)
class Panel:
    """One chart.

    Args:
        series: points with their intervals.
        x_label, y_label: names of the axes.
        log: a logarithmic x axis, on which x must be above 0.
        joined: draw lines between the points of a series.
        front: points joined by steps, as `front` gives them.
        levels: by system a y that is drawn as a line across, as it has no x.
        categories: names of x = 0, 1, 2, ...

    Raises `ArgumentError` if there is nothing to show or x is not above 0 on a logarithmic axis.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    log: bool = False
    joined: bool = False
    front: Sequence[Point] = ()
    levels: Sequence[Series] = ()
    categories: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.xs:
            axes = f"{self.y_label} against {self.x_label}"
            raise ArgumentError(f"there is nothing to show of {axes}")
        if self.log and min(self.xs) <= 0:
            raise ArgumentError(f"a logarithmic axis has no place for {self.x_label} of 0 or less")

    @property
    def xs(self) -> set[float]:
        """Where there are points."""
        return {point.x for series in self.series for point in series.shown}


def front(series: Sequence[Series], higher_is_better: bool = True) -> list[Point]:
    """The Pareto front of all points; the last one is there at the largest x, too."""
    places = {point: (point.x, point.y) for one in series for point in one.shown}
    points = pareto_front(places, higher_is_better)
    most = max((point.x for point in places), default=math.nan)
    return points + [replace(point, x=most) for point in points[-1:] if point.x < most]


def draw(
    panels: Sequence[Panel], *, columns: int = 2, legend: bool = False, caption: str = ""
) -> str:
    """Panels of `WIDTH` x `HEIGHT` units in rows, as one SVG element.

    What belongs to a system has its kind as `data-kind`, and tells its numbers to a pointer. The
    legend below names the systems of all panels, under a caption.

    Raises `MissingPackageError` without matplotlib.
    """
    require()
    content = io.StringIO()
    with house.style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's font may have it
        figure = _figure(panels, columns, legend, caption)
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(content, format="svg", transparent=True, metadata=metadata)
    name = "; ".join(f"{panel.y_label} against {panel.x_label}" for panel in panels)
    return _in_house_style(content.getvalue(), name)


def swatch(kind: int) -> str:
    """The marker of a system as an HTML element, for legends."""
    marker = list(MARKERS.values())[kind % len(MARKERS)]
    return f'<span class="swatch" style="color: var(--c{kind % COLOURS})">{marker}</span>'


def standalone(svg: str) -> str:
    """An SVG element as the content of a file of its own."""
    head, _, rest = svg.partition(">")
    return f"{head}><style>{house.sheet()}</style>{rest}\n"


def require() -> None:
    """Raise `MissingPackageError`, which names the remedy, unless charts can be drawn."""
    house.require("a chart", "report")


def _figure(panels: Sequence[Panel], columns: int, legend: bool, caption: str) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    named = [series for panel in panels for series in (*panel.series, *panel.levels)]
    named = sorted(named, key=lambda series: series.kind) if legend else []
    kinds = {_fitted(series.label, 64): series.kind for series in named}
    longest = max(map(len, kinds), default=0)
    across = max(1, int(columns * WIDTH / (CHARACTER * longest + 2 * LINE)))
    below = LINE * (-(-len(kinds) // across) + bool(caption) + 1) if legend else 0
    width, height = columns * WIDTH, rows * HEIGHT + below
    figure = Figure((width / 72, height / 72))
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        left, bottom = column * WIDTH + LEFT, height - (row + 1) * HEIGHT + BOTTOM
        size = (WIDTH - LEFT - RIGHT) / width, (HEIGHT - TOP - BOTTOM) / height
        axes = figure.add_axes((left / width, bottom / height, *size))
        _draw(axes, panel)
    if legend:
        markers = [Line2D([], [], ls="", **look(kind)) for kind in kinds.values()]
        box = figure.legend(markers, list(kinds), loc="lower left", ncols=across, title=caption)
        box.set(alignment="left")
    return figure


def _draw(axes: "Axes", panel: Panel) -> None:
    from matplotlib.transforms import ScaledTranslation

    _draw_axes(axes, panel)
    if panel.front:
        x, y = zip(*((point.x, point.y) for point in panel.front), strict=True)
        (steps,) = axes.plot(x, y, ":", color=colours()["faint"], gid="front")
        steps.set_drawstyle("steps-post")
    for level in panel.levels:
        for point in level.points[:1]:
            color = look(level.kind)["color"]
            axes.axhline(point.y, ls="--", color=color, gid=_gid(level, f"{point.y:.4g}"))
    places, count = len(panel.categories) or len(panel.xs), len(panel.series)
    step = min(7.0, (60 if panel.categories else 16) / count, 0.5 * WIDTH / (places * count))
    for place, series in enumerate(panel.series):
        lines = _draw_series(axes, series, panel.joined)
        if panel.joined or panel.categories:  # beside the others of the same x
            shift = step * (place - (count - 1) / 2) / 72
            beside = axes.transData + ScaledTranslation(shift, 0, axes.figure.dpi_scale_trans)
            for line in lines:
                line.set_transform(beside)
    for line in axes.get_lines():
        line.set_clip_on(False)  # a marker at the border is whole


def _draw_axes(axes: "Axes", panel: Panel) -> None:
    """Scales and ticks, grid and the names of the axes."""
    from matplotlib.ticker import LogLocator

    axes.set(xlabel=_text(panel.x_label), ylabel=_text(panel.y_label))
    axes.yaxis.set_label_coords(-0.11, 0.5)  # in all panels at the same place
    axes.grid(clip_on=False)
    if panel.log:
        axes.set_xscale("log")
        subs = (1, 2, 5) if max(panel.xs) / min(panel.xs) < 500 else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs))
        axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    if panel.categories:
        room = int(0.85 * WIDTH / len(panel.categories) / CHARACTER)
        names = [_fitted(name, room) for name in panel.categories]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)


def _draw_series(axes: "Axes", series: Series, joined: bool) -> "list[Line2D]":
    """Its line, then for each point the interval and the marker."""
    own = look(series.kind)
    lines: list[Line2D] = []
    if joined and len(series.shown) > 1:
        x, y = zip(*((point.x, point.y) for point in series.shown), strict=True)
        lines += axes.plot(x, y, lw=1.6, color=own["color"], gid=_gid(series))
    for point in series.shown:
        known = math.isfinite(point.low + point.high)
        interval = f" ({point.low:.4g} to {point.high:.4g})" if known else ""
        gid = _gid(series, f"{point.y:.4g}{interval} at {point.x:.4g}")
        if known:
            x, y = (point.x, point.x), (point.low, point.high)
            lines += axes.plot(x, y, alpha=0.75, color=own["color"], gid=gid)
        lines += axes.plot(point.x, point.y, ls="", gid=gid, **own)
    return lines


def _gid(series: Series, numbers: str = "") -> str:
    """What `_in_house_style` makes the kind and the title of an element."""
    title = f"{series.label}: {numbers}" if numbers else series.label
    return f"kind {series.kind} {quote(_text(title))}"


def _in_house_style(svg: str, name: str) -> str:
    """Matplotlib's SVG as an element of a page: its name, kinds, titles, names of colours."""
    box = r'viewBox="0 0 (\d+) (\d+)".*?</defs>'
    _, width, height, body = re.split(box, svg, maxsplit=1, flags=re.DOTALL)
    body = re.sub(
        r'<g id="kind (\d+) ([^"]*)">',
        lambda m: f'<g data-kind="{m[1]}"><title>{escape(unquote(m[2]))}</title>',
        body,
    )
    body = re.sub(r'<g id="front">', '<g class="front">', body)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)  # a page has many of each
    for colour, value in colours().items():
        body = re.sub(rf"(fill|stroke): {value}", rf"\1: var(--{colour})", body)
    return (
        f'<svg class="chart" role="img" aria-label="{escape(name)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{body.strip()}'
    )


def _fitted(text: str, room: int) -> str:
    """Both ends of a text: names of settings differ at their ends."""
    text = _text(text)
    if len(text) <= room:
        return text
    tail = max(room - 1, 0) // 2
    return text[: max(room - 1 - tail, 1)] + "…" + text[len(text) - tail :]


def _text(text: str) -> str:
    """A name with what cannot be written replaced."""
    return text.encode("utf-8", "replace").decode()
