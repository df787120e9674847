"""Training: a recipe in, a run folder with checkpoints out. Needs the extra `train`.

    from sgmse.training import train

    folder = train("default", data="corpus", overrides=["trainer.steps=1000"])

Importing this is light; Lightning is imported when a training starts.
"""

from sgmse.errors import RecipeError
from sgmse.training.recipe import Recipe, load_recipe
from sgmse.training.run import train

__all__ = ["Recipe", "RecipeError", "load_recipe", "train"]
