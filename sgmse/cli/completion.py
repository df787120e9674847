"""Print a script that lets a shell complete commands, options and their values.

examples:
  sgmse completion bash      used in ~/.bashrc as eval "$(sgmse completion bash)"
  sgmse completion zsh       the same in ~/.zshrc, after compinit
  sgmse completion fish      written to ~/.config/fish/completions/sgmse.fish
"""

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sgmse.cli.options import MODELS, Commands, Parser, command


@dataclass(frozen=True)
class Word:
    """What may be typed after a command: an option, or what stands without one.

    Args:
        names: of the option, such as ("-o", "--output"); none for what stands without one.
        text: what it is, in a few words.
        takes: of "nothing", "values" (the choices, if any), "files" and "folders".
        choices: the values that there are, where they are few.
        also: names that stand for files.
        many: whether it may be typed several times.
    """

    names: tuple[str, ...]
    text: str
    takes: str
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    many: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Its names, longest first."""
        return tuple(sorted(self.names, key=len, reverse=True))


@dataclass(frozen=True)
class Described:
    """A command: its name, which may be of two words, what it does, and what follows it."""

    name: str
    text: str
    words: tuple[Word, ...]


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "completion", run, __doc__)
    parser.value("shell", "bash|zsh|fish", "the shell", choices=tuple(SCRIPTS))


def run(options: argparse.Namespace) -> int:
    """Print the script of one shell."""
    print(script(options.shell, options.parsers))
    return 0


def script(shell: str, parsers: Mapping[str, Parser]) -> str:
    """What a shell is to run; `parsers` are those of the commands, and "" that of all."""
    described = [
        Described(name, _brief(parser.description or ""), tuple(map(_word, parser.described())))
        for name, parser in parsers.items()
    ]
    return SCRIPTS[shell](described)


def _word(action: argparse.Action) -> Word:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    return Word(
        tuple(action.option_strings),
        _brief(action.help or ""),
        "nothing" if action.nargs == 0 else _taken(metavar),
        tuple(map(str, action.choices or ())),
        _also(metavar),
        action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction),
    )


def _taken(metavar: str) -> str:
    if re.search("FILE|INPUT|MODEL|DOMAIN|RECIPE|SUITE", metavar):
        return "files"
    return "folders" if re.search("DIR$|RUN", metavar) else "values"


def _also(metavar: str) -> tuple[str, ...]:
    """Models and recipes in the package."""
    if metavar == "RECIPE":
        recipes = files("sgmse") / "training" / "recipes"
        return tuple(sorted(Path(str(file)).stem for file in recipes.iterdir()))
    return {"MODEL": MODELS, "DOMAIN": ("prior",)}.get(metavar, ())


def _brief(text: str) -> str:
    """The first words of a help text, without what shells take for syntax."""
    first = re.split(r"[:;(\n]| \(|\. ", text)[0].strip().rstrip(".")
    return re.sub(r"[\[\]'\"`$\\]", "", first)


# Bash


def _bash(commands: Sequence[Described]) -> str:
    values, words = [], []
    for one in commands:
        for word in one.words:
            for name in word.names:
                if word.takes != "nothing":
                    values.append(f'        "{one.name} {name}") rest=({_bash_values(word)});;')
        options = " ".join(name for word in one.words for name in word.options)
        stands = next((word for word in one.words if not word.names), None)
        rest = "" if stands is None else _bash_values(stands)
        words.append(f'            "{one.name}") options="{options}"; rest=({rest});;')
    names = " ".join(shlex.quote(one.name) for one in commands if " " not in one.name and one.name)
    return BASH.format(values="\n".join(values), words="\n".join(words), names=names)


def _bash_values(word: Word) -> str:
    """Arguments of compgen."""
    if word.choices:
        return f'-W "{" ".join(word.choices)}"'
    also = f' -W "{" ".join(word.also)}"' if word.also else ""
    return {"files": f"-f{also}", "folders": "-d"}.get(word.takes, "")


BASH = """\
# Completion of sgmse for bash, by `sgmse completion bash`.
_sgmse() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local command="" options="" word i
    local -a rest=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == -* ]] || {{ command=${{COMP_WORDS[i]}}; break; }}
    done
    if [[ $command == bench && ${{COMP_WORDS[i+1]}} == solvers ]] && ((i + 1 < COMP_CWORD)); then
        command="bench solvers"
    fi
    if [[ $before == "=" ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if [[ $current == "=" ]]; then before=${{COMP_WORDS[COMP_CWORD-1]}} current=""; fi
    case "$command $before" in
{values}
        *) case "$command" in
{words}
        esac
        if [[ $current == -* ]]; then
            rest=(-W "$options")
        elif [[ -z $command ]]; then
            rest=(-W "{names}")
        fi;;
    esac
    COMPREPLY=()
    ((${{#rest[@]}})) || return 0
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "${{rest[@]}}" -- "$current")
    if [[ $before == bench && $command == bench && solvers == "$current"* ]]; then
        COMPREPLY+=(solvers)
    fi
}}
complete -F _sgmse sgmse"""


# Zsh


def _zsh(commands: Sequence[Described]) -> str:
    one_word = [one for one in commands if one.name and " " not in one.name]
    names = "\n".join(f"        {shlex.quote(f'{one.name}:{one.text}')}" for one in one_word)
    cases = "\n".join(_zsh_case(one) for one in commands if one.name)
    top = next(one for one in commands if not one.name)
    return ZSH.format(names=names, cases=cases, top=_zsh_arguments(top, "            "))


def _zsh_case(one: Described) -> str:
    return f"        {shlex.quote(one.name)}) _arguments -s \\\n{_zsh_arguments(one, ' ' * 12)};;"


def _zsh_arguments(one: Described, indent: str) -> str:
    lines = []
    for word in one.words:
        action = "" if word.takes == "nothing" else f":value:{_zsh_values(word)}"
        if not word.names:
            lines.append(shlex.quote(f"{'*' if word.many else ''}:{word.text}:{_zsh_values(word)}"))
            continue
        for name in word.names:
            others = "" if word.many else f"({' '.join(word.names)})"
            star = "*" if word.many else ""
            equals = "=" if name.startswith("--") and action else ""
            lines.append(shlex.quote(f"{others}{star}{name}{equals}[{word.text}]{action}"))
    return " \\\n".join(indent + line for line in lines)


def _zsh_values(word: Word) -> str:
    if word.choices:
        return f"({' '.join(word.choices)})"
    named = f"{{compadd {' '.join(word.also)}; _files}}" if word.also else "_files"
    return {"files": named, "folders": "_files -/"}.get(word.takes, " ")


ZSH = """\
#compdef sgmse
# Completion of sgmse for zsh, by `sgmse completion zsh`.
_sgmse() {{
    local -a names=(
{names}
    )
    local command=${{words[2]}}
    if (( CURRENT == 2 )); then
        if [[ ${{words[2]}} == -* ]]; then
            _arguments \\
{top}
        else
            _describe command names
        fi
        return
    fi
    if [[ $command == bench && ${{words[3]}} == solvers ]] && (( CURRENT > 3 )); then
        command="bench solvers"
        shift words; (( CURRENT-- ))
    fi
    shift words; (( CURRENT-- ))
    case $command in
{cases}
    esac
}}
if [[ $zsh_eval_context == *eval* || $zsh_eval_context == *file* ]] &&
    [[ ${{funcstack[1]}} != _sgmse ]]; then
    compdef _sgmse sgmse
else
    _sgmse "$@"
fi"""


# Fish


def _fish(commands: Sequence[Described]) -> str:
    lines = ["# Completion of sgmse for fish, by `sgmse completion fish`.", "complete -c sgmse -f"]
    for one in commands:
        condition = _fish_condition(one.name)
        if one.name and " " not in one.name:
            text = shlex.quote(one.text)
            lines.append(f"complete -c sgmse -n __fish_use_subcommand -a {one.name} -d {text}")
        elif one.name:
            first, second = one.name.split()
            text, seen = shlex.quote(one.text), _fish_condition(first)
            lines.append(f"complete -c sgmse -n {seen} -a {second} -d {text}")
        for word in one.words:
            parts = [f"complete -c sgmse -n {condition}"]
            for name in word.names:
                parts.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
            if word.names and word.takes != "nothing":
                parts.append("-r")
            parts += _fish_values(word)
            if word.names:
                parts.append(f"-d {shlex.quote(word.text)}")
            if word.names or word.takes != "values" or word.choices:
                lines.append(" ".join(parts))
    return "\n".join(lines)


def _fish_values(word: Word) -> list[str]:
    if word.choices:
        return [f"-f -a {shlex.quote(' '.join(word.choices))}"]
    folders = "-f -a '(__fish_complete_directories)'"
    names = [f"-a {shlex.quote(' '.join(word.also))}"] if word.also else []
    return {"files": ["-F", *names], "folders": [folders], "values": ["-f"]}.get(word.takes, [])


def _fish_condition(name: str) -> str:
    if not name:
        return "__fish_use_subcommand"
    if name == "bench":
        return "'__fish_seen_subcommand_from bench; and not __fish_seen_subcommand_from solvers'"
    seen = "; and ".join(f"__fish_seen_subcommand_from {part}" for part in name.split())
    return f"'{seen}'"


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
