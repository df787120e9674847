"""How a command is described: kinds of arguments, and the options that several commands have."""

import argparse
import math
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any, NoReturn, TypeAlias, TypeVar

from typing_extensions import override

from sgmse.cli.console import MISUSED, Tone
from sgmse.errors import did_you_mean

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
T = TypeVar("T")

#: Those of `sgmse.checkpoints.ENHANCING`, for which the help does not wait.
MODELS = ("default", "score", "live", "restore")
MODEL = (
    f"{', '.join(MODELS)}, a folder, a published checkpoint such as file.ckpt, "
    "or hf://owner/name for a repository on the Hugging Face hub"
)


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str | None,
    fails: str = "",
) -> "Parser":
    """Describe a command.

    Args:
        commands: where it is added.
        name: what is typed.
        run: from its options to the exit code.
        text: its help, in which lines are kept as they are; the first, a sentence, is also its line
            in `sgmse --help`, and from "examples:" on it stands below the options.
        fails: why it ends with 1, beside errors.

    Returns:
        Its parser, which takes its arguments.
    """
    description = (text or name).partition("\nexamples:\n")[0]
    title = description.partition("\n")[0].rstrip(".")
    parser = commands.add_parser(
        name,
        help=title[:1].lower() + title[1:],
        description=description,
        epilog=epilog(text, fails),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.debug()
    return parser


def epilog(text: str | None, fails: str = "") -> str:
    """The examples of a help text, and what the exit code says."""
    _, head, examples = (text or "").partition("examples:\n")
    codes = (
        f"exit code: 0; 1 for an error{fails and ', ' + fails}; 2 for arguments that are not "
        "understood; 70 for a fault of sgmse, see --debug; 130 after an interrupt"
    )
    return f"{head}{examples}\n{fill(codes, 100)}\n"


class _NoOption(str):
    """A word behind "--", which is no option whatever it begins with."""


class Parser(argparse.ArgumentParser):
    """Takes values and flags, and by their names the options that several commands have."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._place: argparse._ActionsContainer = self  # where what is described next stands
        self._intermixed = False  # being asked by argparse's own parsing of intermixed arguments

    def group(self, title: str) -> None:
        """Let what is described next stand below a title of its own in the help."""
        self._place = self.add_argument_group(title)

    def described(self) -> list[argparse.Action]:
        """All that may be typed; the commands, of the parser that has them, left out."""
        return [a for a in self._actions if not isinstance(a, argparse._SubParsersAction)]

    # What is said of misuse

    @override
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but options may stand anywhere: a.wav -o out b.wav.

        And what a command does not know is its error, with its own usage.
        """
        if self._intermixed:
            return super().parse_known_args(args, namespace)
        words = sys.argv[1:] if args is None else list(args)
        for word in self._own(words):
            self._check_option(word)
        self._check_values(words)
        if self._subparsers is None and "--" in words:  # of which argparse loses what follows
            at = words.index("--")
            words = [*words[:at], *map(_NoOption, words[at + 1 :])]
        if self._subparsers is not None:
            options, unknown = super().parse_known_args(words, namespace)
        else:
            self._intermixed = True
            options, unknown = self.parse_known_intermixed_args(words, namespace)
            self._intermixed = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def _own(self, words: list[str]) -> list[str]:
        """The words before those of a command and before what "--" makes no options of."""
        subcommands = self._subparsers is not None
        ends = (
            i for i, word in enumerate(words) if word == "--" or (subcommands and word[:1] != "-")
        )
        return words[: next(ends, len(words))]

    @override
    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, _NoOption) else super()._parse_optional(arg_string)

    def _check_option(self, word: str) -> None:
        name = word.partition("=")[0]
        known = [name for name in self._option_string_actions if name.startswith("--")]
        if len(name) > 4 and name[1] != "-":  # -overwrite would be -o verwrite
            meant = [option for option in known if name[0] == "-" and option[1:].startswith(name)]
            if meant:
                self.error(f"unrecognized option {name} (did you mean {meant[0]!r}?)")
        is_option = word[:2] in (*self._option_string_actions, "--")
        if word[:1] == "-" != word and not is_option and Path(word).exists():
            self.error(f"unrecognized option {word} (did you mean the file './{word}'?)")
        if not name.startswith("--") or " " in name or any(k.startswith(name) for k in known):
            return
        self.error(f"unrecognized option {name}{did_you_mean(name, known)}")

    def _check_values(self, words: list[str]) -> None:
        """Say how numbers are given of which the first has a minus, which reads as an option."""
        for option, word in pairwise(words):
            action = self._option_string_actions.get(option)
            takes = action is not None and action.nargs is None
            if takes and re.fullmatch(r"-[\d.]+,\S*", word):
                self.error(f"argument {option}: a value with a minus takes an =: {option}={word}")

    @override
    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        text = f"must be one of {', '.join(known)}, not {value!r}{did_you_mean(value, known)}"
        raise argparse.ArgumentError(action, text)

    @override
    def error(self, message: str) -> NoReturn:
        """One line, and how the command is used. Raises `SystemExit` with 2."""
        usage = self.format_usage().strip()
        text = f"{usage}; see {self.prog} --help\nsgmse: {Tone.ERROR.word(sys.stderr)}{message}\n"
        self.exit(MISUSED, text)

    @override
    def format_usage(self) -> str:
        self.usage = self.usage or self._short_usage()
        return super().format_usage()

    @override
    def format_help(self) -> str:
        self.usage = self.usage or self._short_usage()
        return super().format_help()

    def _short_usage(self) -> str:
        """The program and what stands without an option; the options are listed below it."""
        formatter = self._get_formatter()
        formatter.add_usage(None, self._get_positional_actions(), [], prefix="")
        return f"{' '.join(formatter.format_help().split())} [options]".replace("%", "%%")

    # What is understood

    def value(
        self,
        names: str,
        metavar: str,
        text: str,
        kind: Callable[[str], object] = str,
        default: object = None,
        **more: Any,
    ) -> None:
        """An argument with a value, such as "-o --output"; its help says the default, if any."""
        if default is not None and default != ():
            items = default if isinstance(default, tuple) else (default,)
            text += f" (default: {','.join(str(item).removesuffix('.0') for item in items)})"
        self._place.add_argument(
            *names.split(), metavar=metavar, help=text, type=kind, default=default, **more
        )

    def values(self, name: str, metavar: str, text: str, **more: Any) -> None:
        """An option that may be given several times; its values are a list."""
        text += "; may be given several times"
        self._place.add_argument(
            name, metavar=metavar, help=text, default=[], action="append", **more
        )

    def flag(self, names: str, text: str, **more: Any) -> None:
        """An option without a value."""
        self._place.add_argument(*names.split(), action="store_true", help=text, **more)

    def switch(self, name: str, text: str, default: bool | None) -> None:
        """An option --NAME with its opposite, --no-NAME; None where neither is said."""
        self._place.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, help=text, default=default
        )

    def debug(self, default: object = argparse.SUPPRESS) -> None:
        """Show tracebacks; it stands before a command, where it has a default, or after it."""
        self.flag("--debug", "show where an error comes from", default=default)

    def model(self, default: str | None = "default", note: str = "") -> None:
        """Name a model; None where the command chooses, which the note says."""
        self.value("--model", "MODEL", f"{MODEL}{note}", default=default)

    def dry(self) -> None:
        """How much of the input stays; None where the quality says it."""
        self.value(
            "--dry",
            "SHARE",
            "of the input to keep in the result, 0 to 1 (default: 0, or that of the quality)",
            share,
        )

    def strength(self) -> None:
        """How strongly each bin is attenuated; None where the model says it."""
        self.value(
            "--strength",
            "S",
            "of the attenuation, 0 to 2: what anything loses, in dB, times S; less leaves more of "
            "the noise and of quiet speech (default: that of the model, which sgmse info says)",
            strength,
        )

    def compat(self) -> None:
        """Sample a published checkpoint as its code does."""
        text = "of a published checkpoint: sample in the arithmetic of its code, sgmse, in place of"
        self._place.add_argument("--compat", choices=("sgmse",), help=f"{text} the exact one")

    def force(self) -> None:
        """Sample a model as it is not made for."""
        text = "sample as the model is not made for (sgmse info says what it is made for), and keep"
        self.flag(
            "--force", f"{text} results that are like no recording, which is what comes of it"
        )

    def device(self) -> None:
        """Where to compute; None where the library chooses."""
        text = "where to compute: auto, cpu, cuda, cuda:1, mps (default: auto, which is cuda where "
        self.value("--device", "NAME", text + "it is available, else cpu)", device)

    def seed(self, what: str) -> None:
        """Seed `what`."""
        self.value("--seed", "N", what, whole, default=0)

    def files(self) -> None:
        """Take a part of each test set."""
        self.value("--files", "N", "of each set, evenly spaced (default: all)", count)

    def output(self, text: str, metavar: str = "DIR") -> None:
        """Where the results go."""
        self.value("-o --output", metavar, text)

    def overwrite(self, what: str) -> None:
        """Replace `what`."""
        self.flag("--overwrite", f"replace {what}")

    def changes(self, text: str) -> None:
        """Change a recipe."""
        self.values("--set", "KEY=VALUE", text, dest="overrides")

    def jobs(self, hint: str = "", default: int | None = 1) -> None:
        """Work on several files in one process; None where the command chooses how many."""
        text = f"files worked on at the same time{hint}"
        self.value("-j --jobs", "N", text, count, default=default)

    def processes(self) -> None:
        """Work in several processes; None for one for each core."""
        text = "processes, of one thread each (default: one for each core)"
        self.value("-j --jobs", "N", text, count)

    def ray(self, hint: str) -> None:
        """Work on the machines of a cluster."""
        self.value(
            "--ray",
            "ADDRESS",
            "work on the machines of a Ray cluster, which need the files under the same names: "
            "local for the cores of this machine, auto for the cluster that it belongs to, "
            f"HOST:PORT of its head, ray://HOST:PORT from outside; {hint}",
        )

    def json(self, what: str) -> None:
        """Print objects for programs."""
        self.flag("--json", f"print {what} on stdout, and nothing else there")

    def quiet(self, what: str) -> None:
        """Print `what` only."""
        self.flag("-q --quiet", f"print {what} only")


# Kinds of arguments


def whole(text: str, least: int = 0) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal() or int(text) < least:
        raise ArgumentTypeError(f"must be a whole number of at least {least}, not {text!r}")
    return int(text)


def count(text: str) -> int:
    """A whole number of at least 1."""
    return whole(text, least=1)


def number(text: str) -> float:
    """A number, `nan` where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := number(text)) <= 1:
        raise ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")
    return value


def strength(text: str) -> float:
    """A number from 0 to 2."""
    if not 0 <= (value := number(text)) <= 2:
        raise ArgumentTypeError(f"must be a number between 0 and 2, not {text!r}")
    return value


def decibels(text: str) -> float:
    """A number of at least 0, inf too."""
    if not (value := number(text)) >= 0:
        raise ArgumentTypeError(f"must be a number of dB of at least 0, not {text!r}")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    if not 0 < (value := number(text)) < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def names(text: str) -> list[str]:
    """From "a, b"; what is empty is left out."""
    return [name.strip() for name in text.split(",") if name.strip()]


def several(kind: Callable[[str], T], example: str) -> Callable[[str], tuple[T, ...]]:
    """A kind of arguments: numbers with commas between them."""

    def values(text: str) -> tuple[T, ...]:
        try:
            if numbers := tuple(map(kind, names(text))):
                return numbers
        except (ValueError, ArgumentTypeError):
            pass
        raise ArgumentTypeError(f"must be numbers such as {example}, not {text!r}")

    return values


def device(text: str) -> str | None:
    """A device of torch, None for "auto"."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", text):
        near = did_you_mean("cuda" if text == "gpu" else text, ("auto", "cpu", "cuda", "mps"))
        raise ArgumentTypeError(f"must be auto, cpu, cuda, cuda:1 or the like, not {text!r}{near}")
    return None if text == "auto" else text
