"""The table and the charts of a report say what the statistics say."""

from dataclasses import replace

import numpy as np
import pytest

from sgmse.metrics.measures import select
from sgmse.report.charts import Panel, Point, draw
from sgmse.report.content import cost_charts, cost_figure, fact_charts, grids
from sgmse.scoring.facts import BINS
from sgmse.scoring.intervals import interval, paired, stars
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table

PESQ, LSD = select(["pesq-wb", "lsd"])
COUNT = 20
A, B = (np.random.default_rng(i).normal(i, 1, COUNT) for i in (2, 3))
KINDS = {"first": 0, "second": 1}


def row(system: str, i: int, **more) -> Row:
    value = (A if system == "first" else B)[i]
    facts = {"snr_db": "10" if i % 2 else "-2.5", "noise": "ab"[i % 2], "speaker": str(i)}
    values = {"PESQ-WB": value, "LSD": value}
    return replace(Row(f"f{i:02}", system, values=values, facts=facts), **more)


@pytest.fixture
def scores() -> Scores:
    rows = [row(system, i) for system in KINDS for i in range(COUNT)]
    return Scores(tuple(rows), (PESQ, LSD))


def test_the_table_says_what_the_statistics_say(scores):
    (table,) = grids(Table(scores, "first"), {})
    assert table.title == ""
    assert table.columns == ["files", "problems", "mean rank"]
    (first, of_first), (second, of_second) = table.lines
    assert (first, second) == ("first", "second")
    a, b, d = interval(A), interval(B), paired(B, A)
    assert of_first[0].text == f"{a.mean:.3f} ± {a.half_width:.3f}"
    assert of_first[0].change == of_first[0].mark == ""
    assert of_second[0].value == b.mean
    assert of_second[0].change == f"{d.mean:+.3f} ± {(d.high - d.low) / 2:.3f} {stars(2 * d.p)}"
    assert stars(2 * d.p)  # of two comparisons, and the other has the same p
    assert [cell.text for cell in of_second[2:4]] == ["20", "0"]
    rank = Table(scores, "first").ranks["second"]
    assert of_second[4].text == f"1.5 ({rank.low:.1f} to {rank.high:.1f})"
    assert of_second[4].value == rank.mean == 1.5  # the better one, and the worse one in LSD
    assert of_second[1].outcome.endswith(f"), {sum(LSD.noise < B - A)} worse")
    assert of_first[1].outcome == ""


def test_better_and_worse_know_the_direction(scores):
    (table,) = grids(Table(scores, "first"), {})
    (_, of_first), (_, of_second) = table.lines
    assert [cell.mark for cell in of_second[:2]] == ["better", "worse"]
    assert [cell.best for cell in of_first[:2]] == [False, True]
    assert [cell.best for cell in of_second[:2]] == [True, False]
    ((_, of_first), _) = grids(Table(scores, "second"), {})[0].lines
    assert [cell.mark for cell in of_first[:2]] == ["worse", "better"]


def test_what_may_be_chance_has_no_mark(scores):
    same = [
        replace(r, system="second", values={**r.values, "LSD": 0.1})
        for r in scores.rows_of("first")
    ]
    (table,) = grids(
        Table(replace(scores, rows=tuple(scores.rows_of("first") + same)), "first"), {}
    )
    assert table.lines[1][1][0].mark == ""
    assert "*" not in table.lines[1][1][0].change


def test_means_over_fewer_files_say_so_and_are_not_best(scores):
    rows = list(scores.rows)
    rows[-1] = replace(
        rows[-1], values={"PESQ-WB": None, "LSD": 1.0}, problems={"PESQ-WB": "it is silent"}
    )
    (table,) = grids(Table(replace(scores, rows=tuple(rows)), "first"), {})
    cells = table.lines[1][1]
    assert cells[0].text.endswith(" (19)")
    assert not cells[0].best
    assert not table.lines[0][1][0].best
    assert [cell.text for cell in cells[2:4]] == ["20", "1"]


def test_nothing_scored_is_an_empty_cell(scores):
    rows = [replace(r, values={"PESQ-WB": None, "LSD": 1.0}) for r in scores.rows_of("first")]
    cell = grids(Table(replace(scores, rows=tuple(rows)), "first"), {})[0].lines[0][1][0]
    assert (cell.value, cell.text) == (None, "-")


def test_costs_are_columns(scores):
    costs = {"second": {"evaluations": 4, "real-time factor": 0.12345, "memory": None}}
    (table,) = grids(Table(scores, "first"), costs)
    assert table.columns == [
        *("evaluations", "real-time factor", "memory", "files", "problems", "mean rank")
    ]
    assert [cell.text for cell in table.lines[0][1][2:5]] == ["-", "-", "-"]
    assert [cell.text for cell in table.lines[1][1][2:5]] == ["4", "0.123", "-"]
    assert table.lines[1][1][3].value == 0.12345


def test_sets_have_tables_of_their_own(scores):
    rows = [replace(r, set="easy" if r.name < "f10" else "hard") for r in scores.rows]
    whole, easy, hard = grids(
        Table(replace(scores, rows=tuple(rows)), "first"), {"first": {"x": 1}}
    )
    assert (whole.title, easy.title, hard.title) == ("all sets", "easy", "hard")
    assert easy.lines[0][1][0].value == interval(A[:10]).mean
    assert hard.lines[1][1][0].value == interval(B[10:]).mean
    assert [t.columns[0] for t in (whole, easy, hard)] == ["x", "files", "files"]
    alone = [r for r in rows if r.set == "hard" or r.system == "second"]
    _, _, easy = grids(Table(replace(scores, rows=tuple(alone)), "first"), {})
    assert easy.title == "easy"
    assert [name for name, _ in easy.lines] == ["second"]  # without its baseline
    assert easy.lines[0][1][0].change == ""


def test_one_system_differs_from_nothing(scores):
    (table,) = grids(Table(replace(scores, rows=tuple(scores.rows_of("first"))), "first"), {})
    ((_, cells),) = table.lines
    assert not any(cell.best or cell.change for cell in cells)


# Charts


def points(panel: Panel, system: str) -> list[Point]:
    """Of a system that has a place on the x axis."""
    (series,) = [series for series in panel.series if series.label == system]
    assert series.kind == KINDS[system]
    return list(series.points)


def point(x: float, values: np.ndarray) -> Point:
    about = interval(values)
    return Point(x, about.mean, about.low, about.high)


def test_quality_against_costs(scores):
    (group,) = cost_charts(Table(scores), {"second": {"evaluations": 4}}, KINDS)
    assert group.title == "Quality against evaluations"
    assert list(group.panels) == ["PESQ-WB", "LSD"]
    panel = group.panels["PESQ-WB"]
    assert (panel.x_label, panel.y_label, panel.log) == ("evaluations", "PESQ-WB", True)
    assert points(panel, "second") == [point(4, B)]
    (level,) = panel.levels  # without this cost: a line across
    assert (level.label, level.points[0].y) == ("first", A.mean())
    assert group.panels["LSD"].y_label == "LSD (less is better)"
    assert cost_charts(Table(scores), {"first": {"evaluations": 0}}, KINDS) == []
    assert cost_charts(Table(scores), {}, KINDS) == []


def test_the_front_knows_the_direction(scores):
    costs = {"first": {"evaluations": 1}, "second": {"evaluations": 4}}
    (group,) = cost_charts(Table(scores), costs, KINDS)
    fronts = [[(p.x, p.y) for p in panel.front] for panel in group.panels.values()]
    assert fronts == [[(1, A.mean()), (4, B.mean())], [(1, A.mean()), (4, A.mean())]]


def test_facts_with_few_labels_are_charted(scores):
    groups = fact_charts(Table(scores), None, KINDS)
    assert [group.title for group in groups] == ["Quality by snr_db", "Quality by noise"]
    snr, noise = (group.panels["PESQ-WB"] for group in groups)
    assert (snr.joined, snr.categories) == (True, ())
    assert points(snr, "first") == [point(-2.5, A[::2]), point(10, A[1::2])]
    assert (noise.joined, noise.categories) == (False, ("a", "b"))
    assert points(noise, "second") == [point(0, B[::2]), point(1, B[1::2])]
    assert fact_charts(Table(scores), [], KINDS) == []


def test_facts_of_systems_are_no_facts_of_recordings(scores):
    rows = [replace(r, facts={"evaluations": str(KINDS[r.system])}) for r in scores.rows]
    assert fact_charts(Table(replace(scores, rows=tuple(rows))), None, KINDS) == []


def test_many_numbers_are_binned(scores):
    (group,) = fact_charts(Table(scores), ["speaker"], KINDS)
    first, *_, last = binned = points(group.panels["PESQ-WB"], "first")
    assert len(binned) == BINS
    size = (COUNT - 1) / BINS
    assert first.x == pytest.approx(size / 2, rel=1e-3)
    assert first.y == A[[i for i in range(COUNT) if i < size]].mean()
    assert last.y == A[[i for i in range(COUNT) if i >= 5 * size]].mean()


def test_an_snr_of_many_values_is_charted_unasked(scores):
    rows = [replace(r, facts={"SNR": f"{A[int(r.name[1:])]}", "x": r.name}) for r in scores.rows]
    groups = fact_charts(Table(replace(scores, rows=tuple(rows))), None, KINDS)
    assert [group.title for group in groups] == ["Quality by SNR"]


def test_recordings_of_which_nothing_is_known_are_counted(scores):
    rows = [replace(r, facts={}) if r.name == "f03" else r for r in scores.rows]
    (group,) = fact_charts(Table(replace(scores, rows=tuple(rows))), ["snr_db"], KINDS)
    assert group.caption.endswith(": 1.")
    known = A[[i for i in range(1, COUNT, 2) if i != 3]]
    assert points(group.panels["PESQ-WB"], "first")[1].y == known.mean()


def test_an_unknown_fact(scores):
    with pytest.raises(
        ValueError, match=r"a fact 'snr' \(did you mean 'snr_db'\?\); known are snr_db, noise"
    ):
        fact_charts(Table(scores), ["snr"], KINDS)


def test_a_figure_of_one_cost(scores):
    pytest.importorskip("matplotlib")
    costs = {"first": {"seconds": 1.0, "evaluations": 4}, "second": {"seconds": None}}
    (group,) = cost_charts(Table(scores), {"first": {"seconds": 1.0}}, KINDS)
    figure = cost_figure(Table(scores), costs, "seconds")
    assert figure == draw(list(group.panels.values()), legend=True)
    assert cost_figure(Table(scores), costs, "watts") == ""
