"""Bars, warnings and lines while a command works."""

import warnings

import pytest
import tqdm

from sgmse.cli import console
from sgmse.errors import ClippingWarning


def test_each_stage_has_a_bar_that_counts_what_is_made_now(monkeypatch):
    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, **settings):
            assert settings.pop("disable") is None  # shown on a terminal
            super().__init__(**settings)
            bars.append(self)

    monkeypatch.setattr(console, "tqdm", Bar)
    seen = []
    with console.stages(quiet=False) as tell:
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
    with console.stages(quiet=True) as tell:
        tell("scoring", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_clipping_is_said_and_other_warnings_are_shown_as_they_are(quiet, capsys):
    def work():
        with console.warnings_said(quiet):
            warnings.warn("a.wav: clipped", ClippingWarning, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="another") as shown:
        work()
    assert len(shown) == 1
    assert capsys.readouterr().err == ("" if quiet else "sgmse: warning: a.wav: clipped\n")


def test_an_interrupt_says_what_is_kept():
    @console.interruptible("all is kept")
    def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="all is kept"):
        work()
