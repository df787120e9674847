from argparse import ArgumentParser, ArgumentTypeError

import pytest
import tqdm

from sgmse.cli.options import add_changes, command, count, names, stages


def test_a_command_is_described_and_run(capsys):
    top = ArgumentParser(prog="p")
    parser = command(
        top.add_subparsers(),
        "do it",
        lambda options: len(options.overrides),
        title="its line",
        description="What it does,\n  in two lines.",
        epilog="examples:\n  p do",
    )
    add_changes(parser, "a change to it")
    for arguments, changes in (([], 0), (["--set", "a=1", "--set", "b={c: 2}"], 2)):
        options = top.parse_args(["do it", *arguments])
        assert options.run(options) == changes
    with pytest.raises(SystemExit):
        top.parse_args(["--help"])
    assert "its line" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        top.parse_args(["do it", "--help"])
    told = capsys.readouterr().out
    assert "What it does,\n  in two lines." in told
    assert "examples:\n  p do" in told
    assert "a change to it; may be given several times" in told


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
