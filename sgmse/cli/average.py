"""Choose the average of the weights after a training whose recipe has 'averages'.

Averages of several lengths are made of the snapshots of the run (Karras et al. 2024) and scored on
the pairs of the recipe's validation; the best by validation.best becomes a model, RUN/averaged. A
length is the standard deviation of the weighting in time, relative to the training until then.

examples:
  sgmse average runs/mine
  sgmse average runs/mine --lengths 0.04 0.05 0.06 --set validation.files=50 -o runs/mine/fine
  sgmse average runs/mine --step 4000 -o runs/mine/at-4000
"""

import argparse

from sgmse.cli.options import Commands, command, count


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "average", run, __doc__)
    parser.value("folder", "RUN", "the folder of a run")
    parser.value(
        "--lengths",
        "LENGTH",
        "to try, above 0 and up to 0.2886 (default: those from 0.01 to 0.25 that the snapshots "
        "give)",
        float,
        nargs="+",
    )
    parser.value(
        "--step", "N", "where the averages end, one with a snapshot (default: the last)", count
    )
    parser.output("where the model goes (default: RUN/averaged)")
    parser.changes(
        "a change to the recipe of the run, such as validation.files=50 or, if the recordings were "
        "moved, validation.clean=DIR"
    )


def run(options: argparse.Namespace) -> int:
    """Choose the average of one run."""
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
