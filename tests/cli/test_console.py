"""Bars, warnings and lines while a command works."""

import io
import sys
import warnings

import pytest
import tqdm

from sgmse.cli import console
from sgmse.cli.options import Parser
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


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"TERM": "xterm"}, True),
        (Terminal, {"TERM": "dumb"}, False),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"NO_COLOR": "0", "FORCE_COLOR": "1"}, False),
        (io.StringIO, {}, False),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
        (io.StringIO, {"FORCE_COLOR": ""}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(stream, environment, coloured, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream())
    console.say("noted")
    console.warn("watch out")
    console.complain("it\n broke")
    with pytest.raises(SystemExit):
        Parser(prog="p").error("misused")
    lines = ["sgmse: noted", "sgmse: warning: watch out", "sgmse: error: it broke"]
    if coloured:
        lines[1:] = [
            "sgmse: \x1b[33mwarning:\x1b[0m watch out",
            "sgmse: \x1b[31merror:\x1b[0m it broke",
        ]
    assert sys.stderr.getvalue().splitlines()[:3] == lines
    misuse = sys.stderr.getvalue().splitlines()[-1]
    assert misuse == lines[2].replace("it broke", "misused")


def test_an_interrupt_says_what_is_kept():
    @console.interruptible("all is kept")
    def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="all is kept"):
        work()
