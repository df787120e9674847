"""Trainings of benchmarks: runs of `sgmse train` that go on where they stopped, and their cost."""

import json
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path

from writing import arguments


def run_arguments(docstring: str | None, runs: Iterable[str], steps: int) -> ArgumentParser:
    """Of a script that trains runs and scores them on the validation part of a corpus."""
    parser = arguments(docstring)
    parser.add_argument("data", type=Path, help="folder with train/clean, train/noise and valid")
    parser.add_argument("corpus", type=Path, help="folder with valid/clean and valid/noisy")
    parser.add_argument("--steps", type=int, default=steps, help=f"of a run (default: {steps})")
    parser.add_argument("--work", type=Path, help="where runs and results stay, to go on from")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: in --work)")
    parser.add_argument("--files", type=int, default=60, help="that are scored (default: 60)")
    parser.add_argument("--only", choices=tuple(runs), help="train this run, and do no more")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    return parser


def trained(folder: Path, recipe: Sequence[str], steps: int, changes: Sequence[str]) -> None:
    """One run in a folder, or the rest of it, on one thread.

    What it took of the processor since it was last resumed is in its `cost.json`.

    Args:
        folder: of the run.
        recipe: the first words for `sgmse train`: a recipe, its data.
        steps: updates.
        changes: of the recipe, "key=value".
    """
    asked, done = folder / "asked.json", folder / "cost.json"
    own = {"recipe": [*recipe], "steps": steps, "changes": [*changes]}
    if folder.exists() and (not asked.exists() or json.loads(asked.read_text()) != own):
        raise SystemExit(f"{folder} holds another run than is asked for; take another --work")
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    asked.write_text(json.dumps(own))
    command = [sys.executable, "-m", "sgmse", "train"]
    if (folder / "training_state.pt").exists():
        command += ["--resume", "-o", str(folder)]
    else:
        command += [*recipe, "-o", str(folder)]
        for change in (f"trainer.steps={steps}", "trainer.threads=1", *changes):
            command += ["--set", change]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = {"processor minutes": spent / 60, "minutes": (time.monotonic() - began) / 60}
    done.write_text(json.dumps(cost))


def cost_of(folder: Path) -> dict[str, float]:
    """What `trained` wrote of a run: "processor minutes" and "minutes"."""
    found: dict[str, float] = json.loads((folder / "cost.json").read_text())
    return found
