"""The command `sgmse average`: the length of the average of a training, chosen after it."""

import argparse
from typing import Any

from sgmse.cli import options as common

DESCRIPTION = """Choose the average of the weights after a training whose recipe has 'averages'.

Averages of several lengths are made of the snapshots of the run (Karras et al. 2024) and scored on
the pairs of the recipe's validation; the best by validation.best becomes a model, RUN/averaged. A
length is the standard deviation of the weighting in time, relative to the training until then.
"""
EPILOG = """examples:
  sgmse average runs/mine
  sgmse average runs/mine --lengths 0.04 0.05 0.06 --set validation.files=50 -o runs/mine/fine
  sgmse average runs/mine --step 4000 -o runs/mine/at-4000
"""


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line."""
    parser = common.command(
        parsers,
        "average",
        _run,
        title="choose the average of the weights of a finished training",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option("folder", metavar="RUN", help="the folder of a run")
    option(
        "--lengths",
        type=float,
        nargs="+",
        metavar="LENGTH",
        help="to try, above 0 and up to 0.2886 (default: those from 0.01 to 0.25 that the "
        "snapshots give)",
    )
    option(
        "--step",
        type=common.count,
        metavar="N",
        help="where the averages end, one with a snapshot (default: the last)",
    )
    option("-o", "--output", metavar="DIR", help="where the model goes (default: RUN/averaged)")
    common.add_changes(
        parser,
        "a change to the recipe of the run, such as validation.files=50 or, if the recordings were "
        "moved, validation.clean=DIR",
    )


def _run(options: argparse.Namespace) -> int:
    from sgmse.training.averages.selection import select_average

    chosen = select_average(
        options.folder,
        lengths=options.lengths,
        step=options.step,
        output=options.output,
        overrides=options.overrides,
    )
    best = "the best, " if len(chosen.scores) > 1 else ""
    print(f"{best}length {chosen.length:g} at step {chosen.step}, is in {chosen.folder}")
    return 0
