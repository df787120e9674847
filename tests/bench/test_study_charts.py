"""The figure of a study: every panel in its place, one legend, the front of each."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from sgmse.bench.study_charts import ROW, Panel, figure
from sgmse.report.charts import HEIGHT, WIDTH, Point

SVG = "{http://www.w3.org/2000/svg}"


def line(*places: tuple[float, float]) -> list[Point]:
    return [Point(x, y, y - 0.1, y + 0.1) for x, y in places]


LINES = {"one <&>": line((1, 2), (2, 3), (4, 3.5)), "two": line((1, 2.5), (2, 1))}


def test_panels_stand_in_rows_and_the_legend_below():
    root = ET.fromstring(figure([Panel("cost", f"m{i}", LINES) for i in range(3)], "so <it> is"))
    charts = [s for s in root if s.get("class") == "chart"]
    assert [(float(c.get("x")), float(c.get("y"))) for c in charts] == [
        (0, 0),
        (WIDTH, 0),
        (0, HEIGHT),
    ]
    texts = {t.text: t for t in root if t.tag == SVG + "text"}
    assert set(texts) == {"one <&>", "two", "so <it> is"}
    assert all(float(t.get("y")) > 2 * HEIGHT for t in texts.values())
    assert root.get("viewBox").endswith(root.get("height"))
    assert float(root.get("height")) > max(float(t.get("y")) for t in texts.values())


def test_a_line_is_joined_and_looks_the_same_everywhere():
    root = ET.fromstring(figure([Panel("c", "m", LINES), Panel("d", "n", LINES)]))
    for chart in (s for s in root if s.get("class") == "chart"):
        kinds = [g.get("data-kind") for g in chart.iter(SVG + "g") if g.get("data-kind")]
        assert kinds == ["0", "1"]
        drawn = [p.get("d") for p in chart.iter(SVG + "path") if p.get("class") == "line"]
        assert [d.count("L") for d in drawn] == [2, 1]
    swatches = [s.get("class") for s in root if "swatch" in s.get("class", "")]
    assert swatches == ["swatch series c0", "swatch series c1"]


@pytest.mark.parametrize("higher", [True, False])
def test_the_front_is_of_all_lines_and_goes_on_to_the_largest_cost(higher):
    """Higher: 2.5, 3, 3.5; lower: 2, 1, and 1 is the best that 4 buys, too."""
    root = ET.fromstring(figure([Panel("cost", "m", LINES, higher)]))
    (front,) = [p.get("d") for p in root.iter(SVG + "path") if p.get("class") == "front"]
    steps = [(float(x), float(y)) for x, y in re.findall(r"[MH]([\d.]+)[ V]([\d.]+)", front)]
    (x1, y1), (x2, y2), (x4, y4) = steps
    assert x2 - x1 == pytest.approx(x4 - x2, abs=0.2)  # 1, 2, 4 on a logarithmic axis
    assert (y1 > y2 > y4) if higher else (y1 < y2 == y4)


def test_a_long_legend_does_not_overlap():
    names = {f"a rather long name of a solver, number {i}": line((1, i), (2, i)) for i in range(23)}
    root = ET.fromstring(figure([Panel("cost", "m", names)], columns=2))
    texts = [t for t in root if t.tag == SVG + "text" and "name" in t.get("class")]
    places = [(float(t.get("x")), float(t.get("y"))) for t in texts]
    assert len(set(places)) == len(names)
    columns = sorted({x for x, _ in places})
    assert len(columns) > 1
    assert min(b - a for a, b in pairwise(columns)) > 250
    rows = sorted({y for _, y in places})
    assert min(b - a for a, b in pairwise(rows)) == pytest.approx(ROW)
