"""Charts are well-formed, show what they are given where it belongs, and pass through no markup."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from sgmse.report.charts import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    SHAPES,
    TOP,
    WIDTH,
    Axis,
    Point,
    Series,
    chart,
    pareto,
    sheet,
    standalone,
    swatch,
)

A = Series("first", 0, (Point(1, 2.0, 1.9, 2.1), Point(10, 3.0, 2.8, 3.2)))
B = Series("second", 1, (Point(100, 2.5, 2.4, 2.6),))


def places(svg: str, kind: int) -> list[tuple[float, float]]:
    """Where the markers of a system are."""
    (group,) = [
        g for g in ET.fromstring(svg).iter("g") if g.get("data-kind") == str(kind) and len(g) > 0
    ][:1]
    found = [g.get("transform") for g in group.iter("g") if g.get("class") == "marker"]
    return [tuple(map(float, re.findall(r"[\d.]+", place))) for place in found]


def texts(svg: str, role: str) -> list[str]:
    return [t.text for t in ET.fromstring(svg).iter("text") if t.get("class") == role]


def test_points_lie_where_they_belong():
    svg = chart([A, B], "evaluations", "PESQ", log=True)
    (x1, y1), (x2, y2) = places(svg, 0)
    ((x3, y3),) = places(svg, 1)
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)  # decades
    assert (y1 - y3) / (y1 - y2) == pytest.approx(0.5, abs=0.01)
    assert y2 < y3 < y1  # more is higher
    for x, y in ((x1, y1), (x2, y2), (x3, y3)):
        assert LEFT < x < WIDTH - RIGHT
        assert TOP < y < HEIGHT - BOTTOM
    linear = chart([A, B], "evaluations", "PESQ")
    (x1, _), (x2, _) = places(linear, 0)
    ((x3, _),) = places(linear, 1)
    assert (x2 - x1) / (x3 - x1) == pytest.approx(9 / 99, abs=0.002)


def test_intervals_lines_and_what_a_pointer_tells():
    root = ET.fromstring(chart([A, B], "snr", "PESQ", joined=True))
    kinds = [p.get("class") for p in root.iter("path")]
    assert kinds.count("error") == 3
    assert kinds.count("line") == 1  # one point makes no line
    assert next(t.text for t in root.iter("title")) == "first: 2 (1.9 to 2.1) at 1"
    assert root.get("aria-label") == "PESQ against snr"
    assert "line" not in [
        p.get("class") for p in ET.fromstring(chart([A], "snr", "PESQ")).iter("path")
    ]


def test_points_of_one_category_stand_side_by_side():
    same = [Series(str(k), k, (Point(0, 1, 1, 1), Point(1, 2, 2, 2))) for k in range(3)]
    svg = chart(
        same, "noise", "PESQ", categories=["rain", "a street that is rather long, at night"]
    )
    xs = [places(svg, k)[0][0] for k in range(3)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert xs[1] - xs[0] > 4
    ticks = texts(svg, "tick")
    assert "rain" in ticks
    assert any(re.fullmatch(r"a street that.*….*, at night", tick) for tick in ticks)


def test_levels_are_lines_across():
    svg = chart(
        [A], "evaluations", "PESQ", levels=[Series("noisy", 3, (Point(math.nan, 2.5, 2, 3),))]
    )
    (level,) = [p for p in ET.fromstring(svg).iter("path") if p.get("class") == "level"]
    y = float(re.search(r"M\d+ ([\d.]+)H", level.get("d"))[1])
    (_, low), (_, high) = places(svg, 0)
    assert y == pytest.approx((low + high) / 2, abs=0.2)


def test_names_stand_beside_their_points_and_cover_nothing():
    near = [
        Series(f"system {k}", k, (Point(1 + k / 50, 2 + k / 50, 1.9, 2.2),)) for k in range(12)
    ] + [Series("right", 12, (Point(9, 3, 3, 3),))]
    root = ET.fromstring(chart(near, "evaluations", "PESQ", named=True))
    boxes = []
    for text in root.iter("text"):
        if text.get("class") == "label":
            x, y, width = float(text.get("x")), float(text.get("y")), 6.2 * len(text.text)
            boxes.append((x, y - 10, x + width, y + 2))
            assert x > LEFT
            assert x + width < WIDTH
    assert len(boxes) > 3
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert "right" in texts(chart(near, "evaluations", "PESQ", named=True), "label")


def test_names_are_text():
    hostile = '"><script>alert(1)</script>&'
    svg = chart(
        [Series(hostile, 0, A.points)],
        hostile,
        hostile,
        named=True,
        levels=[Series(hostile, 1, A.points)],
    )
    root = ET.fromstring(svg)
    assert not list(root.iter("script"))
    assert hostile in texts(svg, "name")
    assert root.get("aria-label") == f"{hostile} against {hostile}"
    assert "<script>" not in chart([A], "x", "y", categories=["<script>", hostile, "c"] * 4)


def test_values_that_are_not_finite_are_left_out():
    points = (Point(1, math.nan, 1, 2), Point(math.inf, 1, 1, 1), Point(2, 1.5, math.nan, math.nan))
    svg = chart([Series("a", 0, points)], "x", "y")
    assert len(places(svg, 0)) == 1
    assert "nan" not in svg
    with pytest.raises(ValueError, match="nothing to show of y against x"):
        chart([Series("a", 0, points[:2])], "x", "y")
    with pytest.raises(ValueError, match="no place for x of 0 or less"):
        chart([Series("a", 0, (Point(0, 1, 1, 1),))], "x", "y", log=True)


def test_the_front_is_of_points_that_no_other_beats():
    points = [Point(x, y, y, y) for x, y in [(4, 3), (1, 1), (2, 2), (3, 1.5), (2, 1), (8, 3)]]
    assert [(p.x, p.y) for p in pareto(points)] == [(1, 1), (2, 2), (4, 3)]
    assert [(p.x, p.y) for p in pareto(points, higher_is_better=False)] == [(1, 1)]
    assert pareto([Point(math.nan, 1, 1, 1)]) == []
    svg = chart([A], "x", "y", front=pareto(A.points))
    assert "front" in [p.get("class") for p in ET.fromstring(svg).iter("path")]


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [
        ((0, 1), False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ((-2.5, 17.5), False, [0, 5, 10, 15]),
        ((1000, 3000), False, [1000, 1500, 2000, 2500, 3000]),
        ((1, 1000), True, [1, 10, 100, 1000]),
        ((1, 16), True, [1, 3, 10]),
        ((0.011, 0.6), True, [0.01, 0.03, 0.1, 0.3]),
    ],
)
def test_ticks_are_round(values, log, expected):
    ticks = Axis.over(values, 0, 100, log=log).ticks()
    assert ticks == pytest.approx(expected)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("value", [1e-3, 1, 250])
def test_an_axis_of_one_value(value, log):
    axis = Axis.over([value], 0, 100, log=log)
    assert axis(value) == pytest.approx(50)
    assert len(axis.ticks()) > 1


def test_systems_differ_in_colour_and_marker():
    looks = {re.sub(r".*?(c\d+).*", r"\1", swatch(k)) + SHAPES[k % len(SHAPES)] for k in range(60)}
    assert len(looks) == 60
    assert f"c{COLOURS - 1}" in swatch(COLOURS - 1)


def test_a_file_of_its_own_brings_its_colours():
    text = standalone(chart([A, B], "x", "y"))
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root[0].text
    assert all(f"--c{k}:" in style for k in range(COLOURS))
    assert "prefers-color-scheme: dark" in style


def test_a_sheet_holds_charts_side_by_side_and_a_legend_below():
    svg = chart([A, B], "x", "y")
    names = {f"system <{i}> with a long name": i for i in range(9)}
    root = ET.fromstring(sheet([svg] * 3, names))
    size = [float(root.get(side)) for side in ("width", "height")]
    assert root.get("viewBox") == f"0 0 {size[0]:g} {size[1]:g}"
    panels = [[float(p.get(k)) for k in ("x", "y", "width", "height")] for p in root.findall("svg")]
    assert panels == [[x, y, WIDTH, HEIGHT] for x, y in ((0, 0), (WIDTH, 0), (0, HEIGHT))]
    entries = root.findall("g")
    assert [entry.find("text").text for entry in entries] == list(names)
    assert [f"c{i}" in entry.get("class") for i, entry in enumerate(entries)] == [True] * 9
    spots = [re.findall(r"[\d.]+", entry.get("transform")) for entry in entries]
    spots = [(float(x), float(y)) for x, y in spots]
    rows = {y: [x for x, other in spots if other == y] for _, y in spots}
    assert len(rows) > 1
    for y, xs in rows.items():
        assert 2 * HEIGHT < y < size[1]
        assert all(b - a > 150 for a, b in pairwise(xs))  # a name is as long
        assert max(xs) + 150 < size[0]
    alone = ET.fromstring(sheet([svg], {"a": 0}))
    assert float(alone.get("width")) == WIDTH
    assert "&lt;0&gt;" in standalone(sheet([svg], names))
