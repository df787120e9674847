"""Recipes in files: found by name, read with what a model and the command line say, written."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from sgmse import config
from sgmse.checkpoints import Checkpoint
from sgmse.checkpoints.native import sections
from sgmse.config import errors_as, from_plain, to_plain
from sgmse.errors import ConfigError, RecipeError, did_you_mean, with_parts
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.solvers import Sampler, SamplerRange
from sgmse.training.belonging import REGENERATION, completed, model_of
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.recipe import Recipe

#: The whole recipe of a run, in its folder.
RECIPE = "recipe.yaml"


def shipped() -> dict[str, Path]:
    """The recipes of the package by name."""
    folder = Path(str(files("sgmse.training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str | Path) -> Path:
    """The file, or the shipped recipe of that name. Raises `RecipeError` if there is neither."""
    path = Path(name)
    if path.is_file():
        return path
    known = shipped()
    if str(name) in known:
        return known[str(name)]
    raise RecipeError(
        f"there is no recipe {name}{did_you_mean(name, known)}; give a YAML file or one of "
        f"{', '.join(known)}"
    )


def _changed(text: str, overrides: Sequence[str]) -> str:
    """Of which changes to a recipe an error may speak: those whose key it names."""
    keys = {one: one.partition("=")[0].rpartition(".")[2] for one in overrides}
    named = [one for one, key in keys.items() if re.search(rf"\b{re.escape(key)}\b", text)]
    return f", changed by {', '.join(named)}" if named else ""


def of_upper_band(values: Mapping[str, Any]) -> bool:
    """Whether the values of a recipe are those of an upper band, and of no model."""
    return "upper_band" in values and "network" not in values


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), origin: Checkpoint | None = None
) -> Recipe:
    """The recipe of a file (or a shipped one's name), with `key.sub=value` set over it.

    What it leaves out of a model and its sampler is that of `origin`, if there is one.

    Raises `RecipeError` for YAML that cannot be read, unknown keys, wrong types and values that do
    not go together.
    """
    path = find_recipe(path)
    with errors_as(RecipeError, path):
        values = sections(config.read_yaml(path))
    if of_upper_band(values):
        raise RecipeError(
            f"{path} is the recipe of an upper band, and of no model; `train` takes it"
        )
    if origin is not None:
        values = _completed_by(origin, values)
    with errors_as(RecipeError):
        for assignment in overrides:
            config.override(values, assignment)
        values = sections(values)  # says how to write an override of earlier versions
    try:
        recipe: Recipe = from_plain(Recipe, values, RECIPE_CLASSES, device="meta")
    except ConfigError as error:
        hint = "" if "network" in values else "; give all of a model, or start from one with --from"
        texts = error.parts or (str(error),)
        where = (f"{path}{_changed(text, overrides)}: {text}{hint}" for text in texts)
        raise with_parts(RecipeError, where) from error
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """YAML with every value, of which `load_recipe` makes the same recipe."""
    return config.to_yaml(to_plain(recipe, RECIPE_CLASSES, Recipe))


def start_of(values: Mapping[str, Any], overrides: Sequence[str], origin: Checkpoint) -> Checkpoint:
    """The part of a model with which a recipe of these values, and overrides, starts.

    That is all of it; but of a model that predicts and then refines the predictor alone, where the
    recipe names one network, or two and another process between them.
    """
    parts = origin.model.parts
    if "network" not in values or parts.get("predictor") is None:
        return origin
    changed = deepcopy(dict(values))
    for assignment in overrides:
        config.override(changed, assignment)
    own = {name: to_plain(parts[name], RECIPE_CLASSES) for name in ("sde", "parametrization")}
    if "predictor" in changed and all(
        completed(changed.get(name, part)) == part for name, part in own.items()
    ):
        return origin
    model = ScoreModel(parts["predictor"], parts["sde"], Data())
    return replace(origin, model=model, samplers=None, qualities={}, effect=None, mends=())


def _completed_by(origin: Checkpoint, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe, with those of a model where it leaves them out."""
    own = _like(origin)
    if "predictor" in values and "predictor" not in own:
        del own["samplers"]  # those of what is the predictor now
    if "predictor" in own and "predictor" not in values and "loss" in values:
        own["predictor"]["loss"] = values["loss"]  # both estimate clean audio
    given = {name: values.get(name, {}) for name in ("front", "sampler")}
    shared = {name: own[name] | keys for name, keys in given.items() if isinstance(keys, dict)}
    return own | dict(values) | shared


def _like(origin: Checkpoint) -> dict[str, Any]:
    """The values of a recipe that a model has, those that are not None."""
    values = model_of(origin)
    del values["sample_rate"], values["transform"]
    regeneration = {name: values.pop(name) for name in REGENERATION}
    if predictor := regeneration.pop("predictor"):
        values["predictor"] = {"network": predictor} | regeneration
    return values | {
        "front": to_plain(origin.front, RECIPE_CLASSES, FrontEnd),
        "sampler": to_plain(origin.sampler, RECIPE_CLASSES, Sampler),
        "samplers": to_plain(origin.ranges, RECIPE_CLASSES, tuple[SamplerRange, ...]),
        "licence": origin.licence,
        "strength": origin.strength,
    }
