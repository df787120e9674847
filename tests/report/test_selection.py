"""What a report lets one listen to: what got worst, and some of all that is between."""

import numpy as np
import pytest

from sgmse.metrics.measures import Measure, select as measures
from sgmse.report.selection import (
    Selection,
    select,
    select_by_name,
    select_by_score,
    select_worst,
)
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table

LSD = Measure("LSD", max, higher_is_better=False)


@pytest.mark.parametrize("higher", [True, False])
def test_recordings_from_the_worst_to_the_best(higher):
    measure = measures(["si-sdr"])[0] if higher else Measure("SI-SDR", max, higher_is_better=False)
    order = np.random.default_rng(0).permutation(11)
    rows = [
        Row(f"{i:02}", system, values={"SI-SDR": float(order[i]) + 100 * (system == "b")})
        for i in range(11)
        for system in "ab"
    ]
    rows += [Row("bad", system, values={"SI-SDR": None}) for system in "ab"]
    scores = Scores(tuple(rows), (measure,))
    there = [("", f"{i:02}") for i in range(11)] + [("", "bad"), ("", "never scored")]
    found = [int(order[int(name)]) for _, name in select_by_score(scores, there, 3)]
    assert found == ([0, 3, 7] if higher else [10, 7, 3])
    assert len(select_by_score(scores, there, 50)) == 11
    assert select_by_score(scores, there, 0) == []
    assert [int(order[int(name)]) for _, name in select_by_score(scores, there, 1)] == [
        0 if higher else 10
    ]


def test_recordings_by_name():
    known = [("a", "1"), ("b", "1"), ("b", "c/2")]
    assert select_by_name(known, ["c/2", "1", "b/1"]) == [known[2], known[0], known[1]]
    assert select_by_name(known, []) == []
    for name in ("2", "b", "1.wav"):
        message = rf"no recording '{name}' to listen to; names have no suffix, such as '1', '1'"
        with pytest.raises(ValueError, match=message):
            select_by_name(known, ["1", name])


def table(higher: bool = True) -> Table:
    """Ten recordings: `a` is worst on 7, then on 2, and harms no other; `b` on 7, then on 4."""
    sign = 1 if higher else -1
    gains = {"noisy": {}, "a": {7: -3.0, 2: -1.0}, "b": {7: -2.0, 4: -4.0, 1: 0.5}}
    gains["b"][7], gains["b"][4] = -4.0, -2.0
    rows = [
        Row(str(i), system, values={"LSD": sign * (i + (own.get(i, 1.0) if own else 0))})
        for system, own in gains.items()
        for i in range(10)
    ]
    return Table(Scores(tuple(rows), (Measure("LSD", max) if higher else LSD,)))


@pytest.mark.parametrize("higher", [True, False])
def test_what_got_worst_comes_first(higher):
    there = [("", str(i)) for i in range(10)]
    # The worst of both, then the second of `b`, which lost more than that of `a`.
    names = [name for _, name in select_worst(table(higher), there)]
    assert names[:4] == ["7", "4", "2", "1"]
    assert sorted(names) == sorted(name for _, name in there)
    assert select_worst(table(higher), there[:5]) == [there[i] for i in (4, 2, 1, 0, 3)]
    found = select(table(higher), there, 5)
    assert [name for _, name in found.worst] == ["7", "4", "2"]
    others = [("", str(i)) for i in (0, 1, 3, 5, 6, 8, 9)]
    assert found.others == select_by_score(table(higher).scores, others, 2)
    assert len(found) == 5
    assert select(table(higher), there, 1).recordings == [("", "7")]
    assert len(select(table(higher), there, 0)) == 0
    assert len(select(table(higher), there, 50)) == 10


def test_one_system_has_no_worst_against_another():
    scores = table().scores
    alone = Table(Scores(tuple(scores.rows_of("a")), scores.measures))
    found = select(alone, [("", str(i)) for i in range(10)], 4)
    assert not found.worst
    assert [name for _, name in found.others] == ["0", "1", "4", "6"]


def test_fewer_are_half_of_each():
    def ones(*numbers: int) -> list[tuple[str, str]]:
        return [("", str(i)) for i in numbers]

    selection = Selection(ones(1, 2, 3), ones(4, 5, 6))
    assert selection.fewer(5) == Selection(ones(1, 2, 3), ones(4, 5))
    assert selection.fewer(3) == Selection(ones(1, 2), ones(4))
    assert selection.fewer(1) == Selection(ones(1), [])
    assert selection.fewer(0) == Selection([], [])
    assert Selection([], ones(4, 5, 6)).fewer(2) == Selection([], ones(4, 5))
    assert Selection(ones(1, 2, 3), ones(4)).fewer(3) == Selection(ones(1, 2), ones(4))
