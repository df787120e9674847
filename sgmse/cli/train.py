"""The command `sgmse train`: a recipe, or a model to start from, becomes a model."""

import argparse
from typing import Any

from sgmse.cli import options as common

DESCRIPTION = "Train a model from a recipe, or train one further (needs the extra 'train')."
EPILOG = """examples:
  sgmse train default --data corpus
  sgmse train default --data corpus --set trainer.hours=8
  sgmse train --from default --data my_folder
  sgmse train --resume -o runs/default
"""


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line."""
    parser = common.command(
        parsers,
        "train",
        _run,
        title="train a model from a recipe, or train one further",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option(
        "recipe",
        nargs="?",
        help="a YAML file, or the name of a recipe in the package (default: that of the run to "
        "resume, or 'fine_tune' for the model to start from)",
    )
    option("--data", metavar="DIR", help="folder that relative paths in the recipe start from")
    option("-o", "--output", metavar="DIR", help="folder of the run (default: runs/NAME)")
    option(
        "--from",
        dest="start",
        metavar="MODEL",
        help="start from its weights: 'default', a folder, or a published checkpoint; the recipe "
        "need not describe the model then",
    )
    option("--resume", action="store_true", help="go on where the run in that folder stopped")
    common.add_changes(parser, "a change to the recipe, such as trainer.steps=1000")


def _run(options: argparse.Namespace) -> int:
    from sgmse.training import train

    folder = train(
        options.recipe,
        overrides=options.overrides,
        data=options.data,
        output=options.output,
        from_=options.start,
        resume=options.resume,
    )
    print(f"the run is in {folder}")
    return 0
