"""Every sampler that a page or a help text shows on the default model makes speech better.

The lines are found in the sources: commands, `{class: Model, ...}` of suites, `solve(...)`, calls
with `steps=` or `solver=`. Each sampler is run once, on three seconds of the shipped recording.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import sgmse
from sgmse import solvers
from sgmse.audio import read
from sgmse.bench import Model
from sgmse.bench.suite import SUITE_CLASSES
from sgmse.checkpoints import ENHANCING, QualityName
from sgmse.cli import main as cli
from sgmse.config import from_plain
from sgmse.enhancer import Enhancer
from sgmse.front import FrontEnd
from sgmse.metrics import si_sdr
from sgmse.model import Regeneration, ScoreModel
from sgmse.solvers import Sampler

ROOT = Path(__file__).resolve().parent.parent
#: Pages, and what help texts and docstrings are made of.
TEXTS = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sgmse/pretrained/default/README.md"),
    *(ROOT / "sgmse/pretrained" / name / "README.md" for name in ("score", "live", "restore")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *sorted((ROOT / "sgmse").rglob("*.py")),
    *sorted((ROOT / "sgmse").rglob("*.yaml")),
    *sorted((ROOT / "benchmarks").glob("*.yaml")),
]
NAMES = {name: value for name, value in vars(solvers).items() if not name.startswith("_")}


@cache
def ours(model: str = "default", quality: QualityName | None = None) -> Enhancer:
    return sgmse.load(model, quality=quality)


@cache
def text(path: Path) -> str:
    """Of a notebook its cells; of code its docstrings, in which examples are."""
    content = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in json.loads(content)["cells"])
    if path.suffix == ".py":
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        tree = ast.parse(content)
        docs = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        return "\n".join(filter(None, docs))
    return content


@cache
def calls(page: str) -> list[ast.Call]:
    """Of blocks, and of lines that are Python by themselves."""
    found: list[ast.Call] = []
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    for source in [*blocks, *(line.strip() for line in page.splitlines())]:
        if not re.search(r"solve\(|steps=|solver=|shifts=", source):
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        found += (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return found


def value(node: ast.expr) -> object:
    return eval(compile(ast.Expression(node), "page", "eval"), dict(NAMES))


def by_command(page: str) -> Iterator[tuple[str, Enhancer]]:
    """sgmse enhance noisy.wav --steps 2"""
    for line in re.findall(r"(sgmse enhance [^`\n]*)", page):
        words = re.split(r"\s{2,}|#", line)[0]
        if "--help" in words:
            continue
        try:
            options = cli.parsed(shlex.split(words)[1:])
        except (SystemExit, ValueError):  # prose that only begins so, see test_docs
            continue
        if options.model in ENHANCING:
            keys = ("solver", "steps", "shifts", "force")
            changes = {key: getattr(options, key) for key in keys}
            yield words, ours(options.model, options.quality).with_sampler(**changes)


def by_suite(page: str) -> Iterator[tuple[str, Enhancer]]:
    """name: {class: Model, steps: 2}"""
    for line in re.findall(r"\{class: Model\b.*\}", page):
        system = from_plain(Model, yaml.safe_load(line), SUITE_CLASSES)
        if system.model in ENHANCING and not system.force:
            changes = (system.solver, system.steps, system.shifts, system.grid)
            yield line, ours(system.model, system.quality).with_sampler(*changes)


def by_solve(page: str) -> Iterator[tuple[str, Enhancer]]:
    """solve(model, y, Exponential(start=0.0), Uniform(steps=2, end=0.0)), where model is ours."""
    if (
        "enhancer.observe(" not in page
        and "enhancer.model" not in page
        and "load().model" not in page
    ):
        return
    for call in calls(page):
        if isinstance(call.func, ast.Name) and call.func.id == "solve" and len(call.args) == 4:
            try:
                made = Sampler(value(call.args[2]), value(call.args[3]))
            except NameError:  # variables, of a loop over samplers
                continue
            yield ast.unparse(call), ours().with_sampler(made.solver, grid=made.grid)


def by_call(page: str) -> Iterator[tuple[str, Enhancer]]:
    """enhancer(audio, rate, steps=2), sgmse.load(solver="ode2", steps=2), .with_sampler(...)"""
    for call in calls(page):
        name = ast.unparse(call.func).rpartition(".")[2]
        if name not in ("enhancer", "enhance", "enhance_file", "load", "with_sampler"):
            continue
        model = "default"
        if name == "load" and call.args:
            if ast.unparse(call.args[0]).strip("'") not in ENHANCING:
                continue
            model = str(value(call.args[0]))
        keys = ("solver", "steps", "shifts", "quality")
        changes = {k.arg: value(k.value) for k in call.keywords if k.arg in keys}
        if changes:
            quality = changes.pop("quality", None)
            yield ast.unparse(call), ours(model, quality).with_sampler(**changes)


def lines() -> list[tuple[str, str, Enhancer]]:
    return [
        (path.relative_to(ROOT).as_posix(), line, enhancer)
        for path in TEXTS
        for kind in (by_command, by_suite, by_solve, by_call)
        for line, enhancer in kind(text(path))
    ]


@cache
def excerpt() -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Noisy and clean, three seconds."""
    data = ROOT / "tests" / "data"
    noisy, clean = (read(data / f"{name}.wav")[0][0, :48000] for name in ("noisy", "clean"))
    return noisy, clean


def gain(enhancer: Enhancer) -> float:
    """In SI-SDR, dB; with one place of the frames, as more of them only help."""
    return gained(enhancer.model, enhancer.front, replace(enhancer.sampler, shifts=1))


@cache
def gained(model: ScoreModel | Regeneration, front: FrontEnd, sampler: Sampler) -> float:
    noisy, clean = excerpt()
    enhancer = Enhancer(model, front, sampler)
    return si_sdr(clean, enhancer(noisy, 16000), 16000) - si_sdr(clean, noisy, 16000)


@pytest.mark.slow
def test_the_qualities_are_ways_to_use_one_model():
    fast, balanced, best = (sgmse.load(quality=name) for name in ("fast", "balanced", "best"))
    assert isinstance(balanced.model, Regeneration)
    assert balanced.model.parts["moved"] == 0.5
    assert balanced.sampler == ours().sampler
    found = [(own.sampler.grid.steps, own.sampler.shifts) for own in (fast, balanced, best)]
    assert found == [(0, 1), (1, 1), (1, 2)]


@pytest.mark.slow
def test_the_lines_are_better_than_the_recording():
    found = lines()
    for source, line, enhancer in found:
        assert gain(enhancer) > 2, f"{source}: {line}"
    places = {source for source, _, _ in found}
    assert places >= {"README.md", "sgmse/cli/bench.py", "sgmse/cli/enhance.py"}
    assert {e.sampler.grid.steps for _, _, e in found} >= {1, 3}


@pytest.mark.parametrize(
    "page",
    [
        "sgmse enhance noisy.wav --steps 10",
        "two: {class: Model, steps: 5, solver: {class: Multistep}}",
        "enhancer.model\nx = solve(model, y, Multistep(eta=0.0), LogSNR(steps=10))",
        "enhancer(audio, rate, steps=30)",
        "clean = sgmse.load(solver='sde', steps=2)(audio, rate)",
    ],
)
def test_a_line_that_is_none_is_found(page):
    kinds = (by_command, by_suite, by_solve, by_call)
    with pytest.raises(sgmse.ArgumentError, match="is not made for"):
        [line for kind in kinds for line in kind(page)]


@pytest.mark.slow
def test_what_the_model_is_made_for_is_better_than_the_recording():
    """All that is not refused: each solver and grid of config.json in each number of steps."""
    (made_for,) = ours().samplers
    for solver in made_for.solvers:
        for grid in made_for.grids:
            for steps in made_for.steps:
                assert gain(ours().with_sampler(solver, steps, grid=grid)) > 3
