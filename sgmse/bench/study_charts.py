"""The figure of a study of samplers: panels in columns, the same lines in each, one legend."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from sgmse.report.charts import (
    CHARACTER,
    HEIGHT,
    WIDTH,
    Point,
    Series,
    chart,
    pareto,
    standalone,
    swatch,
)

ROW = 18  # the height of a line of the legend
MARGIN = 12


@dataclass(frozen=True)
class Panel:
    """Lines over a cost, with their Pareto front; by name the points of each, by rising cost."""

    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[Point]]
    higher_is_better: bool = True


def figure(panels: Sequence[Panel], told: str = "", columns: int = 2) -> str:
    """Panels side by side, in rows, as the content of an SVG file.

    A line has the same colour and marker in each panel. The legend names those of the first panel;
    below it is what is `told`.
    Raises `ValueError` for a panel that has nothing to show, and for a cost that is not above 0.
    """
    names = list(panels[0].lines)
    width = WIDTH * columns
    parts = []
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        parts.append(_placed(_chart(panel), WIDTH * column, HEIGHT * row, WIDTH, HEIGHT))
    top = HEIGHT * -(-len(panels) // columns) + MARGIN
    across = max(1, int((width - 2 * MARGIN) / (CHARACTER * max(map(len, names)) + 2 * ROW)))
    down = -(-len(names) // across)
    for kind, name in enumerate(names):
        column, row = divmod(kind, down)
        x, y = MARGIN + column * (width - 2 * MARGIN) / across, top + ROW * row
        parts.append(_placed(swatch(kind), x, y, 14, 14))
        parts.append(f'<text class="name" x="{x + ROW:.1f}" y="{y + 11:.1f}">{escape(name)}</text>')
    bottom = top + ROW * down
    parts.append(f'<text class="told" x="{MARGIN}" y="{bottom + 13:.1f}">{escape(told)}</text>')
    height = bottom + ROW + MARGIN
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return standalone("".join([head, *parts, "</svg>"]))


def _chart(panel: Panel) -> str:
    series = [
        Series(name, kind, tuple(points)) for kind, (name, points) in enumerate(panel.lines.items())
    ]
    points = [point for one in series for point in one.points]
    front = pareto(points, panel.higher_is_better)
    most = max((point.x for point in points if math.isfinite(point.x)), default=math.nan)
    if front and front[-1].x < most:  # whoever can spend more need not
        front.append(replace(front[-1], x=most))
    return chart(series, panel.x_label, panel.y_label, log=True, joined=True, front=front)


def _placed(svg: str, x: float, y: float, width: float, height: float) -> str:
    """An SVG element within another one."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return svg.replace("<svg ", f"<svg {place} ", 1)
