"""Charts as SVG text: what a system costs against what it reaches, and how that depends on a fact.

    svg = chart([Series("ours", 0, (Point(4, 2.9, 2.8, 3.0),))], "evaluations", "PESQ-WB", log=True)
    Path("front.svg").write_text(standalone(svg))

Colours are those of the page that holds them (figures.css), so that a chart suits dark and light.
A system keeps its colour and its marker, its `kind`, from chart to chart.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import product

from sgmse.errors import ArgumentError

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 46  # the margins, which hold ticks and names of axes
COLOURS = 10  # in figures.css
SHAPES = (
    '<circle r="4.5"/>',
    '<path d="M-4.2-4.2h8.4v8.4h-8.4z"/>',
    '<path d="M0-5.5 5.2 4.2H-5.2z"/>',
    '<path d="M0-6 5 0 0 6-5 0z"/>',
    '<path d="M0 5.5 5.2-4.2H-5.2z"/>',
    '<path d="M-1.7-5.2h3.4v3.5h3.5v3.4h-3.5v3.5h-3.4v-3.5h-3.5v-3.4h3.5z"/>',
    '<path d="M-5-5 5 5M-5 5 5-5" class="stroke"/>',
)
LINE = 20  # of a legend
CHARACTER = 6.2  # the width of one in a label, which is 11 units high


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
    points: tuple[Point, ...]


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
    joined: bool = False,
    named: bool = False,
    front: Sequence[Point] = (),
    levels: Sequence[Series] = (),
    categories: Sequence[str] = (),
) -> str:
    """An SVG element of `WIDTH` x `HEIGHT` units; it has a class for each thing that it shows.

    Args:
        series: points with their intervals; those of which x or y is not finite are left out.
        log: a logarithmic x axis, on which x must be above 0.
        joined: draw lines between the points of a series.
        named: write the names of series at their first points, where there is room.
        front: points joined by steps, as `pareto` gives them.
        levels: series whose first y is drawn as a line across: they have no x.
        categories: names of x = 0, 1, 2, ...

    Raises `ValueError` if there is nothing to show or x is not above 0 on a logarithmic axis.
    """
    shown = [(s, [p for p in s.points if math.isfinite(p.x + p.y)]) for s in series]
    points = [point for _, of in shown for point in of]
    flat = [s for s in levels if s.points and math.isfinite(s.points[0].y)]
    if not points:
        raise ArgumentError(f"there is nothing to show of {y_label} against {x_label}")
    if log and min(point.x for point in points) <= 0:
        raise ArgumentError(f"a logarithmic axis has no place for {x_label} of 0 or less")
    xs = range(len(categories)) if categories else [point.x for point in points]
    ys = [y for p in points for y in (p.low, p.high, p.y)] + [s.points[0].y for s in flat]
    across = Axis.over(xs, LEFT, WIDTH - RIGHT, log=log, unit=bool(categories))
    up = Axis.over(ys, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} against {escape(x_label)}">',
        _frame(across, up, x_label, y_label, categories),
    ]
    if len(front) > 1:
        parts.append(f'<path class="front" d="{_steps(across, up, front)}"/>')
    for one in flat:
        y = up(one.points[0].y)
        parts.append(
            f'<g class="series {_colour(one.kind)}" data-kind="{one.kind}">'
            f"<title>{escape(one.label)}: {one.points[0].y:.4g}</title>"
            f'<path class="level" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/></g>'
        )
    widest = 60 if categories else 16
    spread = min(7.0, widest / len(shown), 0.6 * (WIDTH - LEFT) / (len(set(xs)) * len(shown)))
    taken = [_box(across(p.x), up(p.y), 10, 10) for p in points]
    taken += [(across(p.x) - 3, up(p.high), across(p.x) + 3, up(p.low)) for p in points]
    for place, (one, of) in enumerate(shown):
        shift = spread * (place - (len(shown) - 1) / 2) if joined or categories else 0.0
        parts.append(_drawn(one, of, across, up, shift, joined))
        if named and of:  # below first: the front goes to the right and upwards
            parts.append(_label(one, across(of[0].x), up(of[0].y), taken, (15, -7, 4, 26, -18)))
    for one in flat if named else ():
        parts.append(_label(one, LEFT, up(one.points[0].y), taken, (4, -4, 12)))
    return "".join([*parts, "</svg>"])


def pareto(points: Iterable[Point], higher_is_better: bool = True) -> list[Point]:
    """The points that no other one beats in both, a lower x and a better y; by x."""
    sign = 1 if higher_is_better else -1
    front: list[Point] = []
    finite = [point for point in points if math.isfinite(point.x + point.y)]
    for point in sorted(finite, key=lambda p: (p.x, -sign * p.y)):
        if not front or sign * point.y > sign * front[-1].y:
            front.append(point)
    return front


def swatch(kind: int) -> str:
    """The marker of a system as a small SVG element, for legends."""
    return (
        f'<svg class="swatch series {_colour(kind)}" viewBox="-7 -7 14 14" aria-hidden="true">'
        f"{SHAPES[kind % len(SHAPES)]}</svg>"
    )


def style() -> str:
    """The style sheet of the charts, figures.css."""
    return (files(__package__) / "figures.css").read_text(encoding="utf-8")


def sheet(charts: Sequence[str], kinds: Mapping[str, int], columns: int = 2) -> str:
    """Charts side by side, and the markers of systems by name below them, as one SVG element."""
    columns = min(columns, len(charts))
    width, bottom = columns * WIDTH, -(-len(charts) // columns) * HEIGHT
    placed = [
        chart.replace(
            "<svg ",
            f'<svg x="{i % columns * WIDTH}" y="{i // columns * HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" ',
            1,
        )
        for i, chart in enumerate(charts)
    ]
    left, base = LEFT, bottom + LINE // 2
    for name, kind in kinds.items():
        text = _shortened(name, (width - LEFT) // round(CHARACTER) - 4)
        room = 16 + CHARACTER * len(text)
        if left > LEFT and left + room > width - RIGHT:
            left, base = LEFT, base + LINE
        placed.append(
            f'<g class="series {_colour(kind)}" transform="translate({left:.0f} {base})">'
            f"{SHAPES[kind % len(SHAPES)]}{_text(10, 4, text, 'start', 'label')}</g>"
        )
        left += round(room + 18)
    height = base + LINE
    return (
        f'<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img">{"".join(placed)}</svg>'
    )


def standalone(svg: str) -> str:
    """An SVG element as the content of a file of its own."""
    opened = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, _, rest = opened.partition(">")
    return f"{head}><style>{style()}</style>{rest}\n"


@dataclass(frozen=True)
class Axis:
    """Where values lie: low at `start`, high at `stop`, linear or logarithmic."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        stop: float,
        *,
        log: bool = False,
        unit: bool = False,
    ) -> "Axis":
        """An axis that holds the finite values with some room; half a step of 1 for `unit`."""
        scaled = [math.log(v) if log else v for v in values if math.isfinite(v)]
        low, high = min(scaled), max(scaled)
        room = 0.5 if unit else 0.07 * (high - low) or (math.log(2) if log else 0.1 * abs(low) or 1)
        ends = (low - room, high + room)
        low, high = map(math.exp, ends) if log else ends
        return cls(low, high, start, stop, log)

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        scale = math.log if self.log else float
        part = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + part * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Round numbers in it, about five."""
        if not self.log:
            return _round_steps(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
            found = [d * 10.0**k for k in decades for d in digits]
            found = [v for v in found if self.low <= v <= self.high]
            if len(found) > 2:
                return found
        return found if len(found) > 1 else _round_steps(self.low, self.high)


def _round_steps(low: float, high: float) -> list[float]:
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(s * size for s in (0.2, 0.25, 0.5, 1, 2, 5) if (high - low) / (s * size) <= 6)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _frame(
    across: Axis, up: Axis, x_label: str, y_label: str, categories: Sequence[str] = ()
) -> str:
    """Grid, ticks and the names of the axes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in up.ticks():
        y = up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(_text(LEFT - 6, y + 3.5, f"{value:.6g}", "end"))
    if categories:
        room = int((right - LEFT) / len(categories) / CHARACTER)
        x_ticks = [(float(x), _shortened(name, room)) for x, name in enumerate(categories)]
    else:
        x_ticks = [(value, f"{value:.6g}") for value in across.ticks()]
    for value, text in x_ticks:
        x = across(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(_text(x, bottom + 15, text, "middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    parts.append(_text((LEFT + right) / 2, HEIGHT - 8, x_label, "middle", "name"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<g transform="translate(13 {middle}) rotate(-90)">'
        f"{_text(0, 0, y_label, 'middle', 'name')}</g>"
    )
    return "".join(parts)


def _drawn(
    one: Series, points: Sequence[Point], across: Axis, up: Axis, shift: float, joined: bool
) -> str:
    """A series: its line, then for each point the interval, the marker and what it says."""
    places = [(across(p.x) + shift, up(p.y), p) for p in points]
    parts = [f'<g class="series {_colour(one.kind)}" data-kind="{one.kind}">']
    if joined and len(points) > 1:
        parts.append(
            f'<path class="line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places)}"/>'
        )
    for x, y, point in places:
        known = math.isfinite(point.low + point.high)
        around = f" ({point.low:.4g} to {point.high:.4g})" if known else ""
        told = f"{one.label}: {point.y:.4g}{around} at {point.x:.4g}"
        parts.append(f"<g><title>{escape(told)}</title>")
        if known:
            parts.append(
                f'<path class="error" d="M{x:.1f} {up(point.low):.1f}V{up(point.high):.1f}"/>'
            )
        marker = SHAPES[one.kind % len(SHAPES)]
        parts.append(f'<g class="marker" transform="translate({x:.1f} {y:.1f})">{marker}</g></g>')
    return "".join([*parts, "</g>"])


def _label(
    one: Series, x: float, y: float, taken: list[tuple[float, ...]], heights: Sequence[float]
) -> str:
    """The name of a series beside (x, y), at the first of some heights where it covers nothing."""
    name = _shortened(one.label, 28)
    width, height = CHARACTER * len(name), 12
    for dx, dy in product((7, -7 - width), heights):
        left, base = x + dx, y + dy
        box = (left, base - height + 2, left + width, base + 2)
        inside = box[0] > LEFT and box[2] < WIDTH and box[1] > TOP - 8 and box[3] < HEIGHT - BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            text = _text(left, base, name, "start", "label")
            return f'<g class="series {_colour(one.kind)}" data-kind="{one.kind}">{text}</g>'
    return ""


def _steps(across: Axis, up: Axis, front: Sequence[Point]) -> str:
    """A Pareto front: at each x the best y that this or a lower x reaches."""
    path = f"M{across(front[0].x):.1f} {up(front[0].y):.1f}"
    return path + "".join(f"H{across(p.x):.1f}V{up(p.y):.1f}" for p in front[1:])


def _text(x: float, y: float, text: str, anchor: str, role: str = "tick") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{role}" {place}>{escape(text)}</text>'


def _shortened(text: str, room: int) -> str:
    """Both ends of a text: names of settings differ at their ends."""
    if len(text) <= room:
        return text
    tail = max(room - 1, 0) // 2
    return text[: max(room - 1 - tail, 1)] + "…" + text[len(text) - tail :]


def _colour(kind: int) -> str:
    return f"c{kind % COLOURS}"


def _box(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
