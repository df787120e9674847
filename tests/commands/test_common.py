from argparse import ArgumentTypeError

import pytest
import tqdm

from sgmse.commands.common import count, names, stages


def test_counts():
    assert count("12") == 12
    for wrong in ("0", "-1", "1.5", "", "two"):
        with pytest.raises(ArgumentTypeError, match="whole number of at least 1"):
            count(wrong)


def test_names():
    assert names(" a, b c ,,") == ["a", "b c"]
    assert names(" ") == []


def test_each_stage_has_a_bar_that_counts_what_is_made_now(monkeypatch):
    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, **settings):
            assert settings.pop("disable") is None  # shown on a terminal
            super().__init__(**settings)
            bars.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    seen = []
    with stages(quiet=False) as tell:
        for stage, done in (("enhancing", 2), ("enhancing", 3), ("scoring", 0), ("scoring", 5)):
            tell(stage, done, 5)
            (bar,) = bars
            seen.append((bar.desc.rstrip(": "), bar.initial, bar.n, bar.total))
    assert seen == [
        ("enhancing", 2, 2, 5),
        ("enhancing", 2, 3, 5),
        ("scoring", 0, 0, 5),
        ("scoring", 0, 5, 5),
    ]


def test_quiet_shows_nothing(capsys):
    with stages(quiet=True) as tell:
        tell("scoring", 1, 2)
    assert capsys.readouterr() == ("", "")
