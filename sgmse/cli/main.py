"""What is typed, understood and run: the parser of all commands, and `main`."""

import io
import shlex
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

import sgmse
from sgmse.cli import average, bench, bench_solvers, convert, enhance, info, mix, score, train
from sgmse.cli.console import FAULT, INTERRUPTED, explain, failure, say
from sgmse.cli.options import Parser, epilog

COMMANDS = (enhance, info, convert, train, average, bench, bench_solvers, mix, score)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code, as `sgmse.cli.console` has them.

    Misuse and help end in `SystemExit` with 2 and 0.
    """
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be in no encoding
    try:
        code: int = options.run(options)
    except KeyboardInterrupt as interrupt:
        say("; ".join(["interrupted", *interrupt.args]), prefix="")
        return INTERRUPTED
    except Exception as error:
        code = failure(error, options.debug)
    if code == FAULT:
        explain(options.debug)
    return code


def parsed(arguments: Sequence[str]) -> Namespace:
    """The options of a command, with its `run`, and `command`, the line that was typed."""
    parser = Parser(
        prog="sgmse",
        description="Removes noise from recordings of speech.",
        epilog=epilog(enhance.__doc__),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sgmse {sgmse.__version__}")
    parser.debug(default=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    line = shlex.join(["sgmse", *arguments])
    return parser.parse_args(_joined(arguments), Namespace(command=line))


def _joined(arguments: Sequence[str]) -> list[str]:
    """With a name of two words as one argument: `bench solvers` beside `bench SUITE.yaml`."""
    words = list(arguments)
    start = next((i for i, word in enumerate(words) if not word.startswith("-")), 0)
    if words[start : start + 2] == ["bench", "solvers"]:
        words[start : start + 2] = ["bench solvers"]
    return words
