"""A transform with learned weights in a training, which takes them as they are."""

from dataclasses import replace

from sgmse.checkpoints import Checkpoint
from sgmse.config import from_plain, to_plain
from sgmse.errors import RecipeError
from sgmse.front import FrontEnd
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.recipe import Recipe
from sgmse.training.state import TrainingState, fill


def with_transform(
    recipe: Recipe, state: TrainingState | None, origin: Checkpoint | None = None
) -> Recipe:
    """The recipe with the weights of its transform, if that has any: they are not trained here.

    Raises `RecipeError` where there are none.
    """
    learned = recipe.front.transform.learned
    if learned is None:
        return recipe
    if origin is not None:
        front = origin.front  # whose transform is that of the recipe (`Recipe.check_origin`)
    elif state is not None:
        plain = to_plain(recipe.front, RECIPE_CLASSES, FrontEnd)
        front = from_plain(FrontEnd, plain, RECIPE_CLASSES)
        made = front.transform.learned
        fill(made, state.autoencoder, "weights of the transform")
        made.eval().requires_grad_(False)
    else:
        raise RecipeError(
            f"front.transform: a {type(learned).__name__} needs weights; name a model of that "
            "latent with --from"
        )
    return replace(recipe, front=replace(recipe.front, transform=front.transform))
