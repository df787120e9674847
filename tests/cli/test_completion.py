"""Scripts by which shells complete, run by the shells that there are."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sgmse.checkpoints import ENHANCING
from sgmse.cli import main as cli
from sgmse.cli.options import MODELS

BASH = """\
t() {{ COMP_WORDS=(sgmse "$@"); COMP_CWORD=$#; _sgmse; echo "${{COMPREPLY[*]}}"; }}
{calls}
"""
ZSH = """\
compdef() { print -r -- "$@" }
eval "$script"
_arguments() { print -rl -- "$@" }
_describe() { print -rl -- ${(P)2} }
t() { words=(sgmse "$@"); CURRENT=$(( $# + 1 )); _sgmse; }
"""

# What is typed, what must be offered, and what must not.
TYPED = [
    ("", "enhance info bench completion", "--solver"),
    ("enh", "enhance", "info bench"),
    ("--v", "--version", "--solver"),
    ("enhance --so", "--solver", "--steps"),
    ("enhance --solver s", "sde sde2", "ode noisy.wav"),
    ("enhance --format fl", "flac", "wav"),
    ("enhance no", "noisy.wav notes", "--solver"),
    ("enhance --steps 3 no", "noisy.wav", "--solver"),
    ("enhance --steps ", "", "noisy.wav notes"),
    ("enhance --model re", "restore", "default noisy.wav"),
    ("enhance --model no", "noisy.wav notes", "default"),
    ("info li", "live", "noisy.wav"),
    ("train fl", "flowse", "bbed"),
    ("train --data no", "notes", "noisy.wav"),
    ("bench s", "solvers", "noisy.wav"),
    ("bench solvers --gr", "--grids", "--report"),
    ("bench suite.yaml --rep", "--report --report-files", "--grids"),
    ("completion ", "bash zsh fish", "noisy.wav"),
]


@pytest.fixture
def script(call):
    return lambda shell: call("completion", shell)[1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("noisy.wav").touch()
    Path("notes").mkdir()


def shell(name: str, *arguments: str) -> list[str]:
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    done = subprocess.run([name, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def check(offered: dict[str, set[str]]) -> None:
    for typed, wanted, unwanted in TYPED:
        assert set(wanted.split()) <= offered[typed], typed
        assert not set(unwanted.split()) & offered[typed], typed


def test_bash(script):
    calls = "\n".join(f"t {shlex.join(typed.split(' '))}" for typed, *_ in TYPED)
    lines = shell("bash", "--norc", "-c", script("bash") + "\n" + BASH.format(calls=calls))
    check({typed: set(line.split()) for (typed, *_), line in zip(TYPED, lines, strict=True)})
    (line,) = shell(
        "bash", "-c", script("bash") + "\n" + BASH.format(calls="t enhance --solver = o")
    )
    assert line == "ode ode2"
    (line,) = shell("bash", "-c", script("bash") + "\n" + BASH.format(calls="t --debug info --com"))
    assert line == "--compat"


def test_fish(script):
    calls = "\n".join(
        f"complete -C {shlex.quote('sgmse ' + typed)}; echo ---" for typed, *_ in TYPED
    )
    text = "\n".join(shell("fish", "--no-config", "-c", script("fish") + "\n" + calls))
    parts = [part.split("\n") for part in text.removesuffix("---").split("---\n")]
    offered = [{line.split("\t")[0].rstrip("/") for line in part if line} for part in parts]
    check({typed: words for (typed, *_), words in zip(TYPED, offered, strict=True)})


def test_zsh(script):
    """What it hands to the functions of zsh, which do the rest."""
    text = f"script={shlex.quote(script('zsh'))}\n{ZSH}"
    assert shell("zsh", "-f", "-c", text) == ["_sgmse sgmse"]
    lines = shell("zsh", "-f", "-c", f"{text}\nt ''")[1:]
    assert [line.split(":")[0] for line in lines] == [c for c in cli_names() if " " not in c]
    lines = shell("zsh", "-f", "-c", f"{text}\nt bench solvers --gr")
    assert any(line.startswith("(--grids)--grids=[") for line in lines)
    lines = shell("zsh", "-f", "-c", f"{text}\nt enhance --so")
    assert "(--solver)--solver=[how to sample]:value:(ode ode2 sde sde2 pc)" in lines
    assert any(line.startswith("(-o --output)--output=[") for line in lines)
    assert "*:recordings, folders of them, patterns, or lists:_files" in lines


def cli_names() -> list[str]:
    options = cli.parsed(["completion", "zsh"])
    return [name for name in options.parsers if name]


@pytest.mark.parametrize(
    ("shell", "form"),
    [("bash", r"[ \"]{}[ \"]"), ("zsh", r"\){}[=\[]|\*{}[=\[]"), ("fish", "-l {} ")],
)
def test_every_option_is_known(shell, form, script):
    text = script(shell)
    names = {
        name.removeprefix("--") if shell == "fish" else name
        for parser in cli.parsed(["completion", shell]).parsers.values()
        for action in parser.described()
        for name in action.option_strings
        if name.startswith("--")
    }
    assert len(names) > 30
    assert [name for name in names if not re.search(form.replace("{}", name), text)] == []


def test_the_models_that_are_offered_are_those_of_the_package():
    assert ENHANCING == MODELS
