"""What several commands share: kinds of arguments, and a bar that shows how far the work is."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgmse.evaluation.bench import Progress


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
