"""Charts are well-formed, show what they are given where it belongs, and pass through no markup."""

import math
import re
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from sgmse.errors import MissingPackageError
from sgmse.plot import house
from sgmse.report.charts import (
    COLOURS,
    HEIGHT,
    MARKERS,
    WIDTH,
    Panel,
    Point,
    Series,
    draw,
    front,
    standalone,
    swatch,
)

matplotlib = pytest.importorskip("matplotlib")

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
A = Series("first", 0, (Point(1, 2.0, 1.9, 2.1), Point(10, 3.0, 2.8, 3.2)))
B = Series("second", 1, (Point(100, 2.5, 2.4, 2.6),))


def groups(svg: str, kind: int) -> list[ET.Element]:
    """What is drawn of a system."""
    return [g for g in ET.fromstring(svg).iter(SVG + "g") if g.get("data-kind") == str(kind)]


def places(svg: str, kind: int) -> list[tuple[float, float]]:
    """Where the markers of a system are."""
    uses = [use for group in groups(svg, kind) for use in group.iter(SVG + "use")]
    return [(float(use.get("x")), float(use.get("y"))) for use in uses]


def path(group: ET.Element) -> list[tuple[float, float]]:
    """The points of a line."""
    line = next(group.iter(SVG + "path")).get("d")
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]


def steps(svg: str) -> list[list[tuple[float, float]]]:
    """The fronts."""
    return [path(g) for g in ET.fromstring(svg).iter(SVG + "g") if g.get("class") == "front"]


def titles(svg: str, kind: int) -> list[str]:
    return [group.find(SVG + "title").text for group in groups(svg, kind)]


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """Where each text is."""
    found = {}
    for element in ET.fromstring(svg).iter(SVG + "text"):
        spot = re.search(
            r"(?:translate\(|rotate\(\S+ )([-\d.]+) ([-\d.]+)", element.get("transform")
        )
        found[element.text] = float(spot[1]), float(spot[2])
    return found


def test_points_lie_where_they_belong():
    svg = draw([Panel([A, B], "evaluations", "PESQ", log=True)])
    (x1, y1), (x2, y2) = places(svg, 0)
    ((x3, y3),) = places(svg, 1)
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)  # decades
    assert (y1 - y3) / (y1 - y2) == pytest.approx(0.5, abs=0.01)
    assert y2 < y3 < y1  # more is higher
    for x, y in ((x1, y1), (x2, y2), (x3, y3)):
        assert 30 < x < WIDTH - 10
        assert 10 < y < HEIGHT - 40
    linear = draw([Panel([A, B], "evaluations", "PESQ")])
    (x1, _), (x2, _) = places(linear, 0)
    ((x3, _),) = places(linear, 1)
    assert (x2 - x1) / (x3 - x1) == pytest.approx(9 / 99, abs=0.002)


def test_intervals_lines_and_what_a_pointer_tells():
    svg = draw([Panel([A, B], "snr", "PESQ", joined=True)])
    point = "first: 2 (1.9 to 2.1) at 1"
    assert titles(svg, 0)[:3] == ["first", point, point]  # line, interval, marker
    assert titles(svg, 1) == ["second: 2.5 (2.4 to 2.6) at 100"] * 2  # one point makes no line
    (_, low), (_, high) = path(groups(svg, 0)[1])
    assert low > places(svg, 0)[0][1] > high
    assert ET.fromstring(svg).get("aria-label") == "PESQ against snr"
    assert titles(draw([Panel([A], "snr", "PESQ")]), 0)[0] == point


def test_points_of_one_category_stand_side_by_side():
    same = [Series(str(k), k, (Point(0, 1, 1, 1), Point(1, 2, 2, 2))) for k in range(3)]
    names = ["rain", "a street that is rather long, at night, in winter"]
    svg = draw([Panel(same, "noise", "PESQ", categories=names)])
    xs = [places(svg, k)[0][0] for k in range(3)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert xs[1] - xs[0] > 4
    assert "rain" in texts(svg)
    assert any(re.fullmatch(r"a street that.*….*, in winter", text) for text in texts(svg))


def test_levels_are_lines_across():
    noisy = Series("noisy", 3, (Point(math.nan, 2.5, 2, 3),))
    svg = draw([Panel([A], "evaluations", "PESQ", levels=[noisy])])
    (group,) = groups(svg, 3)
    (left, y), (right, other) = path(group)
    (_, low), (_, high) = places(svg, 0)
    assert y == other == pytest.approx((low + high) / 2, abs=0.2)
    assert right - left > 0.8 * WIDTH
    assert titles(svg, 3) == ["noisy: 2.5"]


def test_names_are_text():
    hostile = '"><script>alert(1)</script>& $x$ \u202e'
    series = Series(hostile, 0, A.points)
    level = Series(hostile + "2", 1, A.points)
    svg = draw([Panel([series], hostile, hostile, levels=[level])], legend=True, caption=hostile)
    root = ET.fromstring(svg)
    assert not list(root.iter(SVG + "script"))
    assert {hostile, hostile + "2"} <= texts(svg).keys()
    assert root.get("aria-label") == f"{hostile} against {hostile}"
    assert titles(svg, 0)[0].startswith(hostile)
    many = ["<script>", hostile, "bad \udcff bytes"] * 4
    assert "<script>" not in draw([Panel([A], "\udcff", "y", categories=many)])


def test_values_that_are_not_finite_are_left_out():
    points = (Point(1, math.nan, 1, 2), Point(math.inf, 1, 1, 1), Point(2, 1.5, math.nan, math.nan))
    svg = draw([Panel([Series("a", 0, points)], "x", "y")])
    assert len(places(svg, 0)) == 1
    assert titles(svg, 0) == ["a: 1.5 at 2"]
    assert "nan" not in svg
    with pytest.raises(ValueError, match="nothing to show of y against x"):
        Panel([Series("a", 0, points[:2])], "x", "y")
    with pytest.raises(ValueError, match="no place for x of 0 or less"):
        Panel([Series("a", 0, (Point(0, 1, 1, 1),))], "x", "y", log=True)


def test_the_front_goes_in_steps_to_the_largest_cost():
    series = [
        Series("a", 0, [Point(x, y, y, y) for x, y in [(1, 2), (2, 3), (4, 3.5)]]),
        Series("b", 1, [Point(x, y, y, y) for x, y in [(1, 2.5), (2, 1)]]),
    ]
    assert [(p.x, p.y) for p in front(series)] == [(1, 2.5), (2, 3), (4, 3.5)]
    assert [(p.x, p.y) for p in front(series, False)] == [(1, 2), (2, 1), (4, 1)]
    assert front([Series("a", 0, [Point(math.nan, 1, 1, 1)])]) == []
    svg = draw([Panel(series, "x", "y", log=True, front=front(series))])
    (corners,) = steps(svg)
    (x1, y1), *_, (x4, y4) = corners
    assert (x1, y1) == places(svg, 1)[0]
    assert (x4, y4) == places(svg, 0)[2]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))


@pytest.mark.parametrize(
    ("xs", "log", "expected"),
    [
        ((0, 1), False, {"0", "0.2", "0.4", "0.6", "0.8", "1"}),
        ((1, 1000), True, {"1", "10", "100", "1000"}),
        ((1, 16), True, {"1", "2", "5", "10"}),
        ((0.011, 0.6), True, {"0.02", "0.05", "0.1", "0.2", "0.5"}),
    ],
)
def test_ticks_are_round(xs, log, expected):
    series = Series("a", 0, [Point(x, 300.0, 300, 300) for x in xs])
    assert expected <= texts(draw([Panel([series], "x", "y", log=log)])).keys()


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("value", [1e-3, 1, 250])
def test_an_axis_of_one_value(value, log):
    series = Series("a", 0, (Point(value, value, value, value),))
    svg = draw([Panel([series], "x", "y", log=log)])
    ((x, y),) = places(svg, 0)
    assert x == pytest.approx(WIDTH / 2, abs=50)
    assert y == pytest.approx(HEIGHT / 2, abs=50)
    assert len(texts(svg)) > 5


def test_systems_differ_in_colour_and_marker():
    assert len({swatch(kind) for kind in range(70)}) == 70
    svg = draw([Panel([Series(str(k), k, A.points) for k in range(12)], "x", "y")])
    looks = set()
    for kind in range(12):
        (use, *_) = [use for group in groups(svg, kind) for use in group.iter(SVG + "use")]
        assert f"fill: var(--c{kind % COLOURS})" in use.get("style")
        looks.add((use.get(LINK), use.get("style")))
    assert len(looks) == 12
    assert len(MARKERS) == 7


def test_colours_have_names_and_a_file_of_its_own_brings_them():
    svg = draw([Panel([A, B], "x", "y", front=front([A, B]))], legend=True)
    for name in ("ink", "faint", "rule", "c0", "c1"):
        assert f": var(--{name})" in svg
    assert "#" not in re.sub(r'xlink:href="#|\(#', "", svg)
    root = ET.fromstring(standalone(svg))
    sheet = root[0].text
    assert all(sheet.count(f"--c{k}:") == 3 for k in range(COLOURS))  # light, dark, print
    assert "prefers-color-scheme: dark" in sheet


def test_panels_stand_in_rows_and_the_legend_below():
    names = {f"system <{i}> with a long name": i for i in range(9)}
    series = [Series(name, kind, A.points) for name, kind in names.items()]
    panels = [Panel(series, f"x{i}", f"y{i}", joined=True) for i in range(3)]
    svg = draw(panels, legend=True, caption="What is <dotted>")
    root, spots = ET.fromstring(svg), texts(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    assert width == 2 * WIDTH
    middles = [spots[f"x{i}"] for i in range(3)]
    assert [(x > WIDTH, y > HEIGHT) for x, y in middles] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    for name in (*names, "What is <dotted>"):
        assert 2 * HEIGHT < spots[name][1] < height
        assert 0 < spots[name][0] < width - 150  # a name is as long
    rows = {
        y: sorted(x for x, other in map(spots.get, names) if other == y)
        for _, y in map(spots.get, names)
    }
    assert len(rows) > 1
    assert all(b - a > 150 for xs in rows.values() for a, b in pairwise(xs))
    alone = ET.fromstring(draw([panels[0]]))
    assert (float(alone.get("width")), float(alone.get("height"))) == (WIDTH, HEIGHT)


def test_a_long_legend_does_not_overlap():
    names = [f"a rather long name of a solver, number {i}" for i in range(23)]
    series = [Series(name, kind, A.points) for kind, name in enumerate(names)]
    svg = draw([Panel(series, "cost", "m")] * 2, legend=True)
    spots = [texts(svg)[name] for name in names]
    assert len(set(spots)) == len(names)
    columns = sorted({round(x) for x, _ in spots})
    assert len(columns) > 1
    assert min(b - a for a, b in pairwise(columns)) > 240
    assert min(b - a for a, b in pairwise(sorted({y for _, y in spots}))) > 12
    assert max(y for _, y in spots) < float(ET.fromstring(svg).get("height"))


def test_a_chart_is_the_same_in_each_run():
    panel = Panel([A, B], "x", "y", joined=True)
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None}):  # of who calls it
        first = draw([panel], legend=True)
    assert first == draw([panel], legend=True)


def test_matplotlib_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[report\]'"):
        draw([Panel([A], "x", "y")])


def test_the_style_has_the_colours_of_the_page():
    text = house.STYLE.read_text()
    colours = {f"#{value}" for value in re.findall(r"olor: (\w{6})$", text, re.MULTILINE)}
    assert colours <= set(house.colours().values())
