"""Train a model from a recipe, or train one further (needs the extra 'train').

examples:
  sgmse train default --data corpus
  sgmse train default --data corpus --set trainer.hours=8
  sgmse train --from default --data my_folder
  sgmse train --resume -o runs/default
"""

import argparse

from sgmse.cli.options import Commands, command


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "train", run, __doc__)
    parser.value(
        "recipe",
        "RECIPE",
        "a YAML file, or the name of a recipe in the package (default: that of the run to resume, "
        "or 'fine_tune' for the model to start from)",
        nargs="?",
    )
    parser.value("--data", "DIR", "folder that relative paths in the recipe start from")
    parser.output("folder of the run (default: runs/NAME)")
    parser.value(
        "--from",
        "MODEL",
        "start from its weights: 'default', a folder, or a published checkpoint; the recipe need "
        "not describe the model then",
        dest="start",
    )
    parser.flag("--resume", "go on where the run in that folder stopped")
    parser.changes("a change to the recipe, such as trainer.steps=1000")


def run(options: argparse.Namespace) -> int:
    """Train until the recipe is done."""
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
