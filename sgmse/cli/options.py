"""What several commands share: how they are described, kinds of arguments, a bar for their work."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgmse.bench.run import Progress


def command(
    parsers: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    title: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Describe a command to the subparsers of the command line.

    Args:
        parsers: the subparsers.
        name: what is typed.
        run: from its options to the exit code.
        title: its line in `sgmse --help`.
        description, epilog: what its own help begins and ends with, lines kept as they are.

    Returns:
        Its parser, which takes its arguments.
    """
    parser: argparse.ArgumentParser = parsers.add_parser(
        name,
        help=title,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_changes(parser: argparse.ArgumentParser, what: str) -> None:
    """The option --set of commands that read a recipe; `what` says what it changes."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{what}; may be given several times",
    )


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def names(text: str) -> list[str]:
    """From "a, b"; what is empty is left out."""
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def stages(quiet: bool) -> "Iterator[Progress]":
    """A bar for each stage of a run, as `run_suite` tells of them."""
    from tqdm import tqdm

    current = ""
    with tqdm(desc="checking", unit=" files", disable=True if quiet else None) as bar:

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal current
            if stage != current:
                current = stage
                bar.reset(total)
                bar.set_description(stage, refresh=False)
                bar.initial = done  # made earlier: they say nothing of the speed
            bar.n = done
            bar.refresh()

        yield tell
