"""The notebooks run from top to bottom."""

import json
from pathlib import Path

import pytest

from sgmse.errors import MissingPackageError

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


def code(path):
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize(
    ("path", "extra"),
    zip(NOTEBOOKS, ("dev", "report"), strict=True),
    ids=lambda value: getattr(value, "stem", value),
)
def test_says_which_extra_it_needs(path, extra, monkeypatch):
    """In its head, and with the error of the package where it is missing, before any work."""
    head = "".join(json.loads(path.read_text())["cells"][0]["source"])
    assert f"[{extra}]" in head
    monkeypatch.setattr("sgmse._extras.find_spec", lambda package: None)
    says = rf"this notebook needs the package 'matplotlib': pip install 'sgmse-toolkit\[{extra}\]'"
    with pytest.raises(MissingPackageError, match=says):
        exec(code(path)[0], {"__name__": path.stem})


#: It runs hundreds of tests itself.
LONG = {"a_process_in_ten_lines"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LONG else [])
        for path in NOTEBOOKS
    ],
)
def test_runs(path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(path.parent)
    space = {"__name__": path.stem}
    for number, source in enumerate(code(path)):
        exec(compile(source, f"{path.name}, code cell {number}", "exec"), space)
    pyplot.close("all")
