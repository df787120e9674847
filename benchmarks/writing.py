"""What the benchmarks share: their arguments, and the numbers and the page that each writes."""

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def arguments(docstring: str | None, corpus: str = "") -> argparse.ArgumentParser:
    """Of a script: where it writes and, if it reads a corpus, which folders of it."""
    parser = argparse.ArgumentParser(description=(docstring or "").split("\n")[0])
    if corpus:
        parser.add_argument("corpus", type=Path, help=f"folder with {corpus}")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser


def paragraph(docstring: str | None, number: int) -> str:
    """Of a docstring, on one line; of "Writes FILES: what they hold." what they hold."""
    text = " ".join((docstring or "").split("\n\n")[number].split())
    start, colon, rest = text.partition(": ")
    return rest[0].upper() + rest[1:] if colon and start.startswith("Writes ") else text


def write(folder: Path, name: str, page: str, numbers: Any, indent: int | None = 1) -> None:
    """Write NAME.md and NAME.json, and print where the page is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(numbers, indent=indent) + "\n")
    (folder / f"{name}.md").write_text(page)
    print(folder / f"{name}.md")
