"""What weights belong to: the parts of a model as plain values, and whether two are alike."""

from collections.abc import Mapping
from typing import Any

from sgmse.checkpoints import Checkpoint
from sgmse.config import from_plain, to_plain
from sgmse.errors import ConfigError, RecipeError
from sgmse.front import FrontEnd
from sgmse.training.classes import RECIPE_CLASSES

REGENERATION = ("predictor", "conditioning", "moved")


def plain_model(front: FrontEnd, parts: Mapping[str, Any]) -> dict[str, Any]:
    """What weights of such parts are tied to."""
    names = ("network", "sde", "parametrization", "latest", *REGENERATION)
    tied = {name: parts.get(name) for name in names} | {"transform": front.transform}
    return {"sample_rate": front.sample_rate} | {
        name: to_plain(part, RECIPE_CLASSES) for name, part in tied.items()
    }


def model_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the weights of a checkpoint are tied to, as `Recipe.model` has it."""
    return plain_model(checkpoint.front, checkpoint.model.parts)


def check_alike(here: Mapping[str, Any], model: Mapping[str, Any], owner: str, remedy: str) -> None:
    """Raise `RecipeError`, "<owner> <what differs> ...", for a model of other parts."""
    # As those had it that do not say.
    moved = None if model.get("predictor") is None else 0.0
    model = {"latest": 1.0, "moved": moved} | dict(model)
    for name, part in here.items():
        if completed(model.get(name)) != part:
            raise RecipeError(f"{owner} {name} {model.get(name)}, the recipe has {part}; {remedy}")


def completed(part: Any) -> Any:
    """A part of `Recipe.model` as an earlier version wrote it, with the settings added since."""
    if not isinstance(part, Mapping):
        return part
    try:
        part = from_plain(object, part, RECIPE_CLASSES, device="meta")
        return to_plain(part, RECIPE_CLASSES)
    except ConfigError:  # a class or a setting that there is not; the comparison shows it
        return part
