"""The notebooks run from top to bottom."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from sgmse.errors import MissingPackageError

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


#: What each needs.
EXTRAS = {
    "a_process_in_ten_lines": "dev",
    "benchmark_your_enhancer": "report",
    "first_steps": "report",
    "processes_and_solvers": "plot",
    "train_on_your_own_data": "train",
    "transfer": "plot",
}


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {*EXTRAS}


def code(path):
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize(
    ("path", "extra"),
    [(path, EXTRAS[path.stem]) for path in NOTEBOOKS],
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


@pytest.mark.slow  # they enhance, train, or run hundreds of tests themselves
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    if EXTRAS[path.stem] == "train":
        pytest.importorskip("lightning")
    if path.stem == "transfer" and find_spec("torchaudio") is None:
        pytest.skip("needs the extra features")
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(path.parent)
    space = {"__name__": path.stem}
    for number, source in enumerate(code(path)):
        exec(compile(source, f"{path.name}, code cell {number}", "exec"), space)
    pyplot.close("all")
