"""The floors of the house: what may import what."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import together

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "sgmse"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up. A floor is a file or a folder; it imports only from the floors below it (a
# folder from itself, too) and, where it is in ALONE, nothing of the package.
FLOORS = [
    "errors",
    "_checks",
    "_extras",
    "_files",
    "_device",
    "config",
    "_lanes",
    "_noise",
    "_batches",
    "_pool",
    "audio",
    "metrics",
    "transforms",
    "front",
    "features",
    "networks",
    "sdes",
    "estimates",
    "model",
    "latent",
    "solvers",
    "_pieces",
    "compat",
    "inference",
    "checkpoints",
    "postprocessing",
    "prior",
    "enhancer",
    "transfer",
    "live",
    "pipelines",
    "export",
    "data",
    "scoring",
    "plot",
    "training",
    "report",
    "bench",
    "corpus",
    "app",
    "cli",
    "__main__",
]
# Of the package these import nothing but errors, checks, extras, and files that appear whole.
GROUND = {"errors", "_checks", "_extras", "_files", "_device"}
ALONE = {
    *GROUND,
    "_lanes",
    "_noise",
    "_batches",
    "_pool",
    "audio",
    "metrics",
    "transforms",
    "features",
    "networks",
}

# The front door, `import sgmse`, stands outside: it names what is public and imports it on demand.
FRONT = {"", *FLOORS} - {"cli", "app", "__main__"}

# Too slow, too large or too rare to be paid for by everyone who imports the package.
HEAVY = {
    "av",
    "distillmos",
    "gradio",
    "librosa",
    "livekit",
    "lightning",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "openvino",
    "pandas",
    "pesq",
    "pesqc2",
    "pipecat",
    "pocketsphinx",
    "pyroomacoustics",
    "pystoi",
    "ray",
    "resemblyzer",
    "scipy",
    "sounddevice",
    "speechmos",
    "tensorboard",
    "torchaudio",
    "visqol",
    "wandb",
    "websockets",
}


def name(file: Path) -> str:
    return file.relative_to(REPOSITORY).as_posix()


def floor(module: str) -> str:
    """sgmse.solvers._grids -> solvers; the package itself -> ''."""
    return [*module.split("."), ""][1]


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(file: Path) -> list[str]:
    """Every module that a file imports, at its top or inside its functions, by full name."""
    package = [*file.relative_to(REPOSITORY).parent.parts]
    modules = []
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from sgmse import solvers` imports a module, `from sgmse import load` does not.
            names = [f"{base}.{alias.name}" for alias in node.names]
            modules += [n for n in names if base == "sgmse" and floor(n) in FLOORS] or [base]
    return modules


def test_files_are_found():
    assert {"sgmse/errors.py", "sgmse/solvers/__init__.py"} <= {name(file) for file in FILES}


@together(file=FILES)
def test_imports_only_from_below(file):
    own = floor(".".join(file.relative_to(REPOSITORY).with_suffix("").parts))
    used = {floor(module) for module in imports(file) if module.split(".")[0] == "sgmse"}
    if own == "__init__":
        assert used <= FRONT, f"sgmse/__init__.py imports {used - FRONT}"
        return
    assert own in FLOORS, f"{name(file)} stands on no floor: give it one in FLOORS"
    own_files = {own} if file.parent != PACKAGE else set()
    below = GROUND if own in ALONE - GROUND else set(FLOORS[: FLOORS.index(own)])
    if own in ("cli", "app", "corpus", "export"):
        below |= {""}  # `from sgmse import __version__`
    too_high = used - below - own_files
    assert not too_high, f"{name(file)} imports {sorted(too_high)}, which is not below it"


def test_no_circles():
    """Nor within a room; imports that only types need count as well."""
    modules = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
        for file in FILES
    }

    def needed(file: Path) -> set[str]:
        # The face of a room imports its own modules, not the other way round.
        used = {base for base in imports(file) if base in modules}
        return used - {".".join(file.relative_to(REPOSITORY).parent.parts)}

    graph = {module: needed(file) for module, file in modules.items() if file.name != "__init__.py"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@together(file=FILES)
def test_no_guessing(file):
    """No `hasattr`; no keyword arguments that swallow typos.

    A catch-all whose every value is used is fine if its name says what it holds, unlike `kwargs`.
    """
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Name):
            assert node.id != "hasattr", f"{name(file)}:{node.lineno} asks hasattr"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg:
            catch_all = node.args.kwarg.arg
            read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            assert catch_all != "kwargs", f"{name(file)}:{node.lineno} takes **kwargs"
            assert catch_all in read, f"{name(file)}:{node.lineno} ignores **{catch_all}"


def test_import_is_light():
    # The test's own path, so that the same package is imported as here.
    script = f"""
import sys
sys.path[:] = {sys.path!r}
import sgmse
sgmse.__version__
assert "torch" not in sys.modules
[getattr(sgmse, name) for name in sgmse.__all__]  # some may load when they are first asked for
assert sgmse.solvers.Uniform().steps == 30  # a module that nobody has imported
print(*sys.modules)
"""
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = {module.split(".")[0] for module in run.stdout.split()}
    assert "torch" in loaded
    assert not loaded & HEAVY


@pytest.mark.slow
def test_import_is_quick():
    # Machines vary: beside the import of torch, which it takes 0.3 to 0.4 times.
    script = f"""
import sys
from time import process_time
sys.path[:] = {sys.path!r}
before = process_time()
import torch
start = process_time()
import sgmse
[getattr(sgmse, name) for name in sgmse.__all__]
print((process_time() - start) / (start - before))
"""
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1
