"""What is typed, understood and run: the parser of all commands, and `main`."""

import io
import os
import shlex
import signal
import sys
import threading
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sgmse
from sgmse.cli import (
    app,
    average,
    bench,
    bench_solvers,
    completion,
    convert,
    doctor,
    enhance,
    export,
    generate,
    info,
    live,
    mix,
    models,
    score,
    serve,
    train,
    transfer,
)
from sgmse.cli.console import FAULT, INTERRUPTED, UNREAD, explain, failure, say, warnings_said
from sgmse.cli.options import Parser, epilog
from sgmse.errors import did_you_mean

COMMANDS = (
    enhance,
    transfer,
    app,
    live,
    serve,
    models,
    info,
    doctor,
    generate,
    convert,
    export,
    train,
    average,
    bench,
    bench_solvers,
    mix,
    score,
    completion,
)


#: How often threads of torch look for each other before they leave their core to others, which is
#: read when torch is loaded. They spin for milliseconds otherwise: a lone piece, of which all share
#: each operation, then takes a minute in place of seconds beside other programs (`sgmse._lanes`).
#: With none it takes twice as long on an idle machine.
SPINS, WAITING = "3000", {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code, as `sgmse.cli.console` has them.

    Misuse and help end in `SystemExit` with 2 and 0.
    """
    if not WAITING & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
    _open_streams()
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be in no encoding
    try:
        with _ended_in_order(), warnings_said(options.quiet):
            code: int = options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        say("; ".join(["interrupted", *interrupt.args]))
        return INTERRUPTED
    except BrokenPipeError:  # by `| head`, say: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at exit
        return UNREAD
    except Exception as error:
        code = failure(error, options.debug)
    if code == FAULT:
        explain(options.debug)
    return code


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Take a request to end, or that a terminal is closed, as Ctrl-C: no files are left behind."""
    own = os.getpid()

    def end(number: int, _: object) -> None:
        if os.getpid() != own:  # a worker has inherited this, and is to end at once
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    numbers = [number for number in signal.Signals if number.name in ("SIGTERM", "SIGHUP")]
    if threading.current_thread() is not threading.main_thread():  # which alone hears of them
        numbers = []
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _open_streams() -> None:
    """Give a place to each standard stream that was closed, as by >&-; Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def parsed(arguments: Sequence[str]) -> Namespace:
    """The options of a command, with its `run`, and `command`, the line that was typed."""
    parser = Parser(
        prog="sgmse",
        description="Removes noise from recordings of speech.",
        epilog=epilog(enhance.__doc__),
        formatter_class=RawDescriptionHelpFormatter,
    )
    version = f"sgmse {sgmse.__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    parser.debug(default=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    words = _joined(arguments)
    if words[:1] == ["help"] and not Path("help").exists():
        words = [*words[1:], "--help"]
    if not words:
        parser.print_help()
        parser.exit()
    _check_command(parser, words, list(commands.choices))
    line = shlex.join(["sgmse", *arguments])
    parsers = {"": parser, **commands.choices}
    return parser.parse_args(words, Namespace(command=line, quiet=False, parsers=parsers))


def _check_command(parser: Parser, words: Sequence[str], known: Sequence[str]) -> None:
    """Say of a first word that is no command which one was meant. Ends in `SystemExit`."""
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None or name in known:
        return
    if _is_input(name):
        line = shlex.join(["sgmse", "enhance", *words])
        parser.error(f"{name!r} is no command; to enhance it: {line}")
    near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    parser.error(f"there is no command {name!r}{near}")


def _is_input(name: str) -> bool:
    """Whether a word is meant for a recording, a folder of them or a pattern."""
    from sgmse.audio import SUFFIXES

    suffix = Path(name).suffix[1:].lower()
    return suffix in SUFFIXES or Path(name).exists()


def _joined(arguments: Sequence[str]) -> list[str]:
    """With a name of two words as one argument: `bench solvers` beside `bench SUITE.yaml`."""
    words = list(arguments)
    start = next((i for i, word in enumerate(words) if not word.startswith("-")), 0)
    if words[start : start + 2] == ["bench", "solvers"]:
        words[start : start + 2] = ["bench solvers"]
    return words
