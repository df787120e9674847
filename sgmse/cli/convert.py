"""Write a published checkpoint as a folder: weights, config and card.

examples:
  sgmse convert file.ckpt folder/
  sgmse convert runs/mine/best small/ --half
"""

import argparse

from sgmse.cli.options import Commands, command


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "convert", run, __doc__)
    parser.value("checkpoint", "FILE", "a published checkpoint, the folder of a model, or its name")
    parser.value("folder", "DIR", "where the model goes")
    parser.compat()
    parser.flag(
        "--half", "store its weights in 16 bits, in half the space: each is rounded to 0.05 %%"
    )
    parser.overwrite("a model that is there")


def run(options: argparse.Namespace) -> int:
    """Convert one checkpoint."""
    from sgmse.checkpoints import convert, locate

    folder = convert(
        locate(options.checkpoint),
        options.folder,
        compat=options.compat,
        overwrite=options.overwrite,
        half=options.half,
    )
    print(f"{options.checkpoint} -> {folder}")
    return 0
