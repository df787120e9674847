"""Write a published checkpoint as a folder: weights, config and card.

examples:
  sgmse convert file.ckpt folder/
"""

import argparse

from sgmse.cli.options import Commands, command


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "convert", run, __doc__)
    parser.value("checkpoint", "FILE", "a published checkpoint")
    parser.value("folder", "DIR", "where the model goes")
    parser.compat()
    parser.overwrite("a model that is there")


def run(options: argparse.Namespace) -> int:
    """Convert one checkpoint."""
    from sgmse.checkpoints import convert

    folder = convert(
        options.checkpoint, options.folder, compat=options.compat, overwrite=options.overwrite
    )
    print(f"{options.checkpoint} -> {folder}")
    return 0
