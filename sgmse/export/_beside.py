"""What is written beside the step of a stream: what runs it without torch, and a page that does."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from sgmse._files import write_texts
from sgmse.errors import ExportError

RUNNER = ("runner.py",)
PAGE = ("index.html", "page.js", "worker.js", "recorder.js")
#: What the page knows of its model, as browsers are not told what a file says of itself.
MODEL = "model.json"
#: What brings the runtime of the page into its folder.
NPM = "npm install --prefix {folder} onnxruntime-web"


def check_beside(model: Path, *, runner: bool, page: bool, overwrite: bool) -> None:
    """Raise `ExportError` where one of the files is there and may not be replaced."""
    names = [*(RUNNER if runner else ()), *((*PAGE, MODEL) if page else ())]
    for file in (model.parent / name for name in names):
        if file.exists() and not overwrite:
            raise ExportError(
                f"{file} exists already; use --overwrite (overwrite=True) or choose another folder"
            )


def write_runner(model: Path) -> Path:
    """Write `sgmse.export.runner` beside a model. Returns its path."""
    write_texts(model.parent, {name: _text(name) for name in RUNNER})
    return model.parent / RUNNER[0]


def write_page(model: Path, facts: Mapping[str, str]) -> Path:
    """Write the page beside a model, of which these are the facts. Returns its path."""
    texts = {name: _text(f"page/{name}") for name in PAGE}
    texts[MODEL] = json.dumps({"file": model.name, **facts}, indent=1) + "\n"
    write_texts(model.parent, texts)
    return model.parent / PAGE[0]


def _text(name: str) -> str:
    return files("sgmse.export").joinpath(name).read_text("utf-8")
