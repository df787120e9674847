"""What the options of a report mean; the commands that have them are tested for what they do."""

import argparse
import sys

import pytest

from sgmse.cli import reports
from sgmse.cli.options import Parser
from sgmse.errors import ArgumentError, MissingPackageError


def parsed(*arguments: str, unsaid: bool | None = None) -> argparse.Namespace:
    parser = Parser()
    reports.add(parser, unsaid)
    parser.quiet("errors")
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("text", "files"),
    [("5", 5), ("0", 0), ("a,b/c", ["a", "b/c"]), ("007,", ["007"]), ("7,8", ["7", "8"])],
)
def test_files(text, files):
    assert reports.extent(parsed("--report-files", text)) == {"files": files}


def test_what_is_not_said_is_left_to_the_report():
    assert reports.extent(parsed()) == {}
    assert reports.extent(parsed("--report-megabytes", "0.5")) == {"megabytes": 0.5}


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--report-files", text] for text in ("", ",", " ,")),
        *(["--report-megabytes", text] for text in ("0", "-1", "x", "nan", "inf")),
    ],
)
def test_misuse(arguments, capsys):
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert f"argument {arguments[0]}: must be a" in capsys.readouterr().err


def checked(*arguments: str, unsaid: bool | None = None):
    return reports.checked(parsed(*arguments, unsaid=unsaid), ["si-sdr"], ["mine"])


@pytest.mark.parametrize("unsaid", [None, False])
def test_when_a_page_is_written(unsaid, monkeypatch):
    for package in ("jinja2", "matplotlib"):
        pytest.importorskip(package)
    assert checked(unsaid=unsaid) == ([], unsaid is None)
    assert checked("--report", unsaid=unsaid) == ([], True)
    assert checked("--no-report", unsaid=unsaid) == ([], False)
    with pytest.raises(ArgumentError, match="--report-files goes with --report"):
        checked("--no-report", "--report-files", "1", unsaid=unsaid)
    assert reports.missing() == ""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert checked(unsaid=unsaid) == ([], False)
    assert "'sgmse-toolkit[report]'" in reports.missing()
    with pytest.raises(MissingPackageError, match="needs the package 'matplotlib'"):
        checked("--report", unsaid=unsaid)


def test_what_must_be_reached():
    thresholds, _ = checked("--fail-under", "si-sdr=3", "--fail-under", "mine:si-sdr=4")
    assert [(t.value, t.system) for t in thresholds] == [(3, None), (4, "mine")]
    with pytest.raises(ArgumentError, match="no system is called 'theirs'"):
        checked("--fail-under", "theirs:si-sdr=4")


def test_names():
    recordings = [("set", "0"), ("set", "1")]
    reports.check_names(parsed(), recordings)
    reports.check_names(parsed("--report-files", "7"), recordings)
    reports.check_names(parsed("--report-files", "1,set/0"), recordings)
    with pytest.raises(ValueError, match="no recording '7'"):
        reports.check_names(parsed("--report-files", "1,7"), recordings)


def test_a_page_is_of_the_extent_that_is_asked_for(capsys):
    def write(command, progress, files):
        progress("report", 1, 2)
        return f"{command}: {files}.html"

    options = parsed("--report-files", "3")
    options.command = "sgmse score"
    for quiet in (False, True):
        options.quiet = quiet
        reports.write_page(options, write)
        said = "" if quiet else "the report is sgmse score: 3.html\n"
        assert capsys.readouterr().out == said
