"""Who works: processes of this machine, or the workers of a Ray cluster."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from sgmse.cli import console
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from sgmse.scoring.workers import Pool

HINT = "a worker for each of their cores, in place of -j"


def check(options: argparse.Namespace) -> None:
    """Refuse what does not go together, and an address at which there is no cluster."""
    if options.ray is None:
        return
    if options.jobs is not None:
        raise ArgumentError("with --ray there is a worker for each core; leave -j out")
    _device(options)
    from sgmse.corpus import Cluster

    Cluster(options.ray).check()


@contextmanager
def workers(options: argparse.Namespace, alone: int) -> "Iterator[int | Pool]":
    """The cluster of `--ray`, or so many processes as `-j` says; `alone` where it says nothing."""
    if options.ray is None:
        yield options.jobs or alone
        return
    from sgmse.corpus import Cluster, workers_of

    def tell(line: str) -> None:
        if not options.quiet:
            console.say(line)

    with workers_of(Cluster(options.ray, device=_device(options)), tell) as pool:
        yield pool


def _device(options: argparse.Namespace) -> Literal["cpu", "cuda"]:
    """Of each worker: a core, or a GPU where one is asked for."""
    device = getattr(options, "device", None) or "cpu"
    if device not in ("cpu", "cuda"):
        raise ArgumentError(
            "with --ray the device is cpu or cuda, of which Ray gives one to each worker, not "
            f"{device}"
        )
    return "cuda" if device == "cuda" else "cpu"
