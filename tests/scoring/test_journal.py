"""Rows that survive an interrupt, and files that are no journals."""

from dataclasses import replace

import pytest

from sgmse.scoring.journal import Journal, Row

ROW = Row(
    name="a/1",
    system="mine",
    set="test",
    seed=3,
    values={"SI-SDR": 0.1 + 0.2, "STOI": None},
    problems={"STOI": "it is silent \u2028 and short"},
    facts={"snr_db": "2.5"},
    seconds=1 / 3,
    sample_rate=16000,
    excess=-7,
    delay=None,
    fingerprint="f",
)


def test_rows_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "scores.jsonl"
    with Journal(path, Row) as journal:
        assert journal.entries == {}
        journal.write(ROW)
        assert Journal(path, Row).entries == {ROW.key: ROW}  # at once, not at the end
        journal.write(replace(ROW, name="b"))
    assert ROW.key == ("test", "mine", 3, "a/1")
    assert list(Journal(path, Row).entries.values()) == [ROW, replace(ROW, name="b")]


def test_the_last_row_of_a_key_counts(tmp_path):
    later = replace(ROW, fingerprint="g")
    for row in (ROW, later):
        with Journal(tmp_path / "j", Row) as journal:
            journal.write(row)
    assert Journal(tmp_path / "j", Row).entries == {ROW.key: later}
    assert len((tmp_path / "j").read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_was_cut_off_is_passed_over(cut, tmp_path):
    path = tmp_path / "j"
    with Journal(path, Row) as journal:
        journal.write(ROW)
        journal.write(replace(ROW, name="b"))
    path.write_bytes(path.read_bytes()[:-cut])
    whole = {replace(ROW, name="b").key} if cut == 1 else set()  # only its end of line is gone
    assert Journal(path, Row).entries.keys() == {ROW.key} | whole
    with Journal(path, Row) as journal:
        journal.write(replace(ROW, name="c"))
    assert Journal(path, Row).entries.keys() == {ROW.key, replace(ROW, name="c").key} | whole


def test_another_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "j"
    path.write_text('{"my": "notes"}\nand more\n')
    with pytest.raises(ValueError, match="holds no rows; name another folder, or remove it"):
        Journal(path, Row)
    assert path.read_text() == '{"my": "notes"}\nand more\n'
