"""How commands are described, and what the kinds of arguments take."""

from argparse import ArgumentTypeError

import pytest

from sgmse.cli.options import (
    Parser,
    command,
    count,
    device,
    names,
    positive,
    several,
    share,
    whole,
)

TEXT = """Do what it does.

  In lines that
  are kept.

examples:
  p do it
"""


@pytest.fixture
def top():
    """A command line with one command of two words."""
    top = Parser(prog="p")
    parser = command(
        top.add_subparsers(), "do it", lambda options: len(options.overrides), TEXT, "or worse"
    )
    parser.changes("a change to it")
    parser.value("--most", "N", "of them", several(count, "1,2"), default=(1, 2))
    return top


def test_a_command_is_run(top):
    for arguments, changes in (([], 0), (["--set", "a=1", "--set", "b={c: 2}"], 2)):
        options = top.parse_args(["do it", *arguments])
        assert options.run(options) == changes
    assert top.parse_args(["do it", "--most", "3"]).most == (3,)


def test_numbers_that_begin_with_a_minus(top, capsys):
    with pytest.raises(SystemExit):
        top.parse_args(["do it", "--most", "-1,2"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith("argument --most: a value with a minus takes an =: --most=-1,2")


def test_a_command_is_described(top, capsys):
    with pytest.raises(SystemExit):
        top.parse_args(["--help"])
    assert "do what it does\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        top.parse_args(["do it", "--help"])
    text = capsys.readouterr().out
    assert "Do what it does.\n\n  In lines that\n  are kept.\n\n" in text
    assert "\n\nexamples:\n  p do it\n\nexit code: 0; 1 for an error, or worse; 2" in text
    assert "a change to it; may be given several times" in text
    assert "of them (default: 1,2)" in text


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        (whole, {"12": 12, "0": 0}, ["-1", "1.5", "", "two"]),
        (count, {"12": 12}, ["0", "-1", "1.5", "", "two"]),
        (share, {"0": 0, "0.5": 0.5, "1": 1}, ["-0.1", "1.1", "nan", "", "wet"]),
        (positive, {"0.5": 0.5}, ["0", "-1", "inf", "nan", "x"]),
        (several(float, "0,5"), {"1": (1,), "-1, 2": (-1, 2)}, ["", ",", "1,loud"]),
        (several(whole, "0,5"), {"0,1": (0, 1)}, ["1,x", "-1"]),
        (device, {"auto": None, "cpu": "cpu", "cuda:1": "cuda:1"}, ["tpu", "cuda:", ""]),
    ],
)
def test_kinds_of_arguments(kind, values, wrong):
    assert {text: kind(text) for text in values} == values
    for text in wrong:
        with pytest.raises(ArgumentTypeError, match="must be "):
            kind(text)


def test_names():
    assert names(" a, b c ,,") == ["a", "b c"]
    assert names(" ") == []
