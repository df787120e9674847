"""What a scores.csv says is what was written into it."""

from dataclasses import replace

import pytest

from sgmse.metrics.measures import Measure, select
from sgmse.report import from_csv, to_csv
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores

OWN = Measure("mine; L|SD", max, higher_is_better=False)
MEASURES = (*select(["pesq-wb", "si-sdr"]), OWN)
ROWS = (
    Row(
        *("a/0", "first", "easy", 3),
        {"PESQ-WB": 1.1, "SI-SDR": -0.1 + 0.3, "mine; L|SD": 1e-17},
        facts={"snr_db": "2.5", "system": "x", "seconds": "7", "index": "1", "index_9": "b, c"},
        seconds=2.5,
        sample_rate=8000,
        excess=-3,
        delay=16,
        inverted=True,
    ),
    Row(
        *("a/1", "second", "easy"),
        values={"PESQ-WB": None, "SI-SDR": 1.0, "mine; L|SD": None},
        problems={"PESQ-WB": 'too short; "x", SI-SDR: no', "mine; L|SD": "it is\nsilent"},
        facts={"noise": "rain"},
    ),
)


def test_scores_come_back():
    scores = Scores(ROWS, MEASURES, hashes={"first": "abc"}, align=True)
    found = from_csv(to_csv(scores), MEASURES, hashes={"first": "abc"}, align=True)
    assert found == scores
    # The columns of measures of one's own are facts where they are not told to be measures.
    known = from_csv(to_csv(scores))
    assert known.measures == MEASURES[:2]
    assert known.rows[0].facts == {**ROWS[0].facts, "mine; L|SD": "1e-17"}
    assert known.values("first", "SI-SDR") == scores.values("first", "SI-SDR")


def test_older_files_do_not_say_the_polarity():
    lines = to_csv(Scores(ROWS[1:], MEASURES)).splitlines()
    at = lines[0].split(",").index("inverted")
    assert lines[1].split(",")[at] == "False"
    older = to_csv(Scores(ROWS[1:], MEASURES)).replace(",inverted", "").replace(",False", "")
    assert from_csv(older, MEASURES) == Scores(ROWS[1:], MEASURES)


def test_an_empty_file_has_no_rows():
    scores = Scores(ROWS[:1], MEASURES[:2])
    head = to_csv(replace(scores, rows=(replace(ROWS[0], problems={}),))).splitlines()[0]
    assert from_csv(head).rows == ()


@pytest.mark.parametrize(
    ("content", "measures", "says"),
    [
        ("name,PESQ-WB\nx,1\n", None, "no scores.csv: it has no column 'system'"),
        ("", None, "no scores.csv: it has no column 'system'"),
        (None, ["stoi"], "the scores have no column 'STOI'"),
        (None, ["none"], "no measure is called 'none'"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(content, measures, says):
    content = to_csv(Scores(ROWS, MEASURES)) if content is None else content
    with pytest.raises(ValueError, match=says):
        from_csv(content, measures)


def test_a_line_that_is_cut_off_is_named():
    content = to_csv(Scores(ROWS[:1], MEASURES[:2]))
    cut = content.strip().rpartition(",2.5,")[0]
    with pytest.raises(ValueError, match=r"line 2 is none of a scores\.csv"):
        from_csv(cut)
