"""Means and differences are those of the values, of parts too, and no bootstrap is drawn twice."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sgmse.metrics.measures import select
from sgmse.report import summary, to_json, write, write_report
from sgmse.scoring import intervals
from sgmse.scoring.intervals import corrected, interval, paired
from sgmse.scoring.journal import Row
from sgmse.scoring.ranks import mean_ranks
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Counts, Table

COUNT = 20
A, B = (np.random.default_rng(i).normal(i, 1, COUNT) for i in (2, 3))


def row(system: str, i: int, **more) -> Row:
    value = (A if system == "first" else B)[i]
    facts = {"snr_db": "10" if i % 2 else "2.5"}
    return replace(
        Row(f"f{i:02}", system, values={"SI-SDR": value, "LSD": -value}, facts=facts), **more
    )


@pytest.fixture
def scores() -> Scores:
    rows = [row(system, i) for system in ("first", "second") for i in range(COUNT)]
    return Scores(tuple(rows), select(["si-sdr", "lsd"]))


@pytest.fixture
def spoilt(scores) -> Scores:
    """Of `second`, f04 has no SI-SDR."""
    rows = list(scores.rows)
    rows[COUNT + 4] = row(
        "second", 4, values={"SI-SDR": None, "LSD": 1.0}, problems={"SI-SDR": "it is silent"}
    )
    return replace(scores, rows=tuple(rows))


def test_means_are_those_of_the_values(scores):
    means = Table(scores).means
    assert means["first"]["SI-SDR"] == interval(A)
    assert means["second"]["LSD"] == interval(-B)
    nothing = replace(scores, rows=(row("first", 0, values={"SI-SDR": None, "LSD": 1.0}),))
    assert math.isnan(Table(nothing).means["first"]["SI-SDR"].mean)


def both(values, baseline):
    """The difference in SI-SDR, corrected beside that in LSD, which is its negative."""
    return corrected([paired(values, baseline), paired(-values, -baseline)])[0]


def test_p_values_are_corrected_for_all_comparisons_of_a_table(scores):
    third = tuple(replace(r, system="third") for r in scores.rows_of("first"))
    found = Table(replace(scores, rows=scores.rows + third)).differences
    p = paired(B, A).p
    assert found["second"]["SI-SDR"].p == p
    assert found["second"]["SI-SDR"].p_holm == pytest.approx(4 * p)  # of two systems, two measures
    assert (found["third"]["LSD"].p, found["third"]["LSD"].p_holm) == (1.0, 1.0)


def test_differences_are_paired_by_name(scores):
    mixed = replace(scores, rows=scores.rows[::-1])
    difference = Table(mixed, "first").differences["second"]["SI-SDR"]
    assert difference.mean == pytest.approx((B - A).mean())
    assert list(Table(scores).differences) == ["second"]  # from the first
    assert Table(scores).differences["second"]["SI-SDR"] == both(B, A)
    assert Table(scores, "second").differences["first"]["SI-SDR"] == both(A, B)
    with pytest.raises(ValueError, match="no system is called 'third'; there are first, second"):
        Table(scores, "third")


def test_all_differences_are_over_the_same_files(spoilt):
    """What one system lacks in one measure is in no comparison of any, and in each of its means."""
    third = tuple(replace(r, system="third") for r in spoilt.rows_of("first"))
    table = Table(replace(spoilt, rows=spoilt.rows + third))
    found = [d for own in table.differences.values() for d in own.values()]
    assert [d.count for d in found] == [COUNT - 1] * 4
    assert table.outcomes["third"]["LSD"].count == COUNT - 1
    assert table.means["third"]["LSD"].count == COUNT
    others = [i for i in range(COUNT) if i != 4]
    found = Table(spoilt).differences["second"]["SI-SDR"]
    assert replace(found, p_holm=found.p) == paired(B[others], A[others])
    apart = replace(spoilt, rows=spoilt.rows[:3] + spoilt.rows[COUNT + 10 :])
    assert Table(apart).differences["second"]["SI-SDR"] is None
    silent = [replace(r, values={**r.values, "LSD": None}) for r in spoilt.rows_of("first")]
    without = Table(replace(spoilt, rows=(*silent, *spoilt.rows[COUNT:]))).differences["second"]
    assert without["LSD"] is None  # and takes no recording from the other measure
    assert without["SI-SDR"].count == COUNT - 1


def test_outcomes_count_recordings_beyond_the_noise_of_the_measure(spoilt):
    measures = tuple(replace(m, noise=0.5) for m in spoilt.measures)
    found = Table(replace(spoilt, measures=measures)).outcomes["second"]["SI-SDR"]
    others = [i for i in range(COUNT) if i != 4]
    gains = (B - A)[others]
    assert (found.better, found.worse) == (sum(gains > 0.5), sum(gains < -0.5))
    assert (found.count, found.noise) == (19, 0.5)
    apart = replace(spoilt, rows=spoilt.rows[:3] + spoilt.rows[COUNT + 10 :])
    assert Table(apart).outcomes["second"]["SI-SDR"] is None


def test_ranks_are_over_the_files_that_all_have(spoilt):
    others = [i for i in range(COUNT) if i != 4]
    third = [replace(r, system="third", values={"SI-SDR": 0.0}) for r in spoilt.rows_of("first")]
    silent = [replace(r, system="silent", values={}) for r in spoilt.rows_of("first")]
    table = Table(replace(spoilt, rows=(*spoilt.rows, *third, *silent)))
    assert [m.name for m in table.ranked] == ["SI-SDR"]  # third has no LSD, silent nothing
    data = np.stack([A[others], B[others], np.zeros(COUNT - 1)])[:, None]
    found = dict(zip(("first", "second", "third"), mean_ranks(data, [True]), strict=True))
    assert table.ranks == found
    assert list(table.ranks) == ["second", "first", "third"]
    assert Table(replace(spoilt, rows=spoilt.rows[:COUNT])).ranks == {}
    both = Table(spoilt).ranks  # SI-SDR and LSD, which is its negative and less is better
    assert [(r.mean, r.count) for r in both.values()] == [(1.0, COUNT - 1), (2.0, COUNT - 1)]


def test_the_best_mean_is_of_the_same_files(scores, spoilt):
    assert Table(scores).best == {"SI-SDR": B.mean(), "LSD": (-B).mean()}
    assert list(Table(spoilt).best) == ["LSD"]
    assert Table(replace(scores, rows=scores.rows[:COUNT])).best == {}


def test_counts(spoilt):
    assert Table(spoilt).counts == {"first": Counts(20, 0), "second": Counts(20, 1)}


def test_parts_have_their_rows_and_the_baseline_of_all(scores):
    rows = tuple(replace(r, set="easy" if r.name < "f10" else "hard") for r in scores.rows)
    table = Table(replace(scores, rows=rows[: COUNT + 10]), "first")
    assert list(table.sets) == ["easy", "hard"]
    assert table.sets["easy"].differences["second"]["SI-SDR"] == both(B[:10], A[:10])
    assert table.sets["hard"].means["first"]["SI-SDR"] == interval(A[10:])
    by_snr = table.by("snr_db")
    assert list(by_snr) == ["2.5", "10"]
    assert by_snr["2.5"].means["first"]["SI-SDR"] == interval(A[::2])
    second = table.part(replace(scores, rows=rows[COUNT:]))
    assert (second.baseline, second.differences) == ("first", {})


@pytest.mark.slow
def test_a_report_draws_each_bootstrap_once(tmp_path, monkeypatch):
    """Nine systems, 95 files, 5 measures, 5 SNRs: 45 means, 40 differences, 225 means by SNR."""
    pytest.importorskip("jinja2")
    samples = []
    resampled_means = intervals._resampled_means

    def counted(data, draws, seed):
        samples.append(data.tobytes())
        return resampled_means(data, 10, seed)

    monkeypatch.setattr(intervals, "_resampled_means", counted)
    measures = select(["pesq-wb", "stoi", "estoi", "si-sdr", "lsd"])
    rng = np.random.default_rng(0)
    rows = [
        Row(
            f"{i:02}",
            f"system {k}",
            values={m.name: float(rng.normal(k)) for m in measures},
            facts={"snr_db": str(i % 5)},
        )
        for k in range(9)
        for i in range(95)
    ]
    table = Table(Scores(tuple(rows), measures), "system 4")
    by = ["snr_db"]
    costs = {"system 4": {"evaluations": 4.0}}
    assert summary(table, by)
    assert to_json(table, by)
    write(table, tmp_path, by=by)
    write_report(table, tmp_path / "report.html", by=by, costs=costs)
    assert len(samples) == len(set(samples)) == 45 + 40 + 225


def test_changes_have_the_worst_first_of_what_both_have(spoilt):
    third = tuple(replace(r, system="third") for r in spoilt.rows_of("first"))
    table = Table(replace(spoilt, rows=spoilt.rows + third))
    assert table.changes.keys() == {"second", "third"}
    found = table.changes["second"]["SI-SDR"]
    expected = {f"f{i:02}": B[i] - A[i] for i in range(COUNT) if i != 4}
    assert {c.recording[1]: c.gain for c in found} == expected
    assert [c.gain for c in found] == sorted(expected.values())
    first = found[0]
    assert first.gain == first.value - first.baseline == min(expected.values())
    # Lower is better in LSD, which is minus the other; what `second` lacks is none of the third's.
    lsd = table.changes["second"]["LSD"]
    assert lsd[0].gain == lsd[0].baseline - lsd[0].value
    assert [c.gain for c in lsd] == sorted(c.gain for c in lsd)
    assert len(table.changes["third"]["SI-SDR"]) == COUNT
    assert Table(table.scores, "third").changes.keys() == {"first", "second"}
    assert Table(replace(spoilt, rows=third)).changes == {}
