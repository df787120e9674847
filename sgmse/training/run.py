"""From a recipe to a run folder."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sgmse._extras import imported
from sgmse.checkpoints import load_model
from sgmse.config import errors_as, read_yaml
from sgmse.errors import RecipeError
from sgmse.training.recipe_files import (
    RECIPE,
    find_recipe,
    load_recipe,
    of_upper_band,
    shipped,
    start_of,
)

#: The recipe for a model that is given; it has no model of its own.
FINE_TUNE = "fine_tune"


def train(
    recipe: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    data: str | Path | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    from_: str | Path | None = None,
) -> Path:
    """Train as a recipe says, or go on with it.

    Args:
        recipe: a YAML file, or the name of one in the package; if absent, the one of the run that
            is resumed, or `fine_tune` for a model to start from.
        overrides: changes to it, "key.sub=value".
        data: the folder that relative folders in the recipe are in; that of the recipe if absent,
            and the working folder for a recipe of the package.
        output: the run folder; runs/<name of the recipe> if absent.
        resume: go on, to the step, where the run in that folder stopped.
        from_: a model (folder or name) whose weights to start from; it also gives the parts of a
            model and the sampler where the recipe has none.

    Returns:
        The run folder: `best` and `last` are checkpoints, `training_state.pt` is what resuming
        needs, `recipe.yaml` the whole recipe, `curves.csv` and `tensorboard` the curves.

    Raises:
        SgmseError: for all that is wrong with the recipe, the data or the folder, before anything
            is started; a recording that cannot be read, while it runs.
        KeyboardInterrupt: Ctrl-C (or SIGTERM) ended it after a step, whose state is saved; the
            message says how to go on.
    """
    if resume and from_ is not None:
        raise RecipeError("a run that resumes has its weights already; leave one of the two out")
    path = find_recipe(recipe) if recipe is not None else _implied(output, resume, from_)
    if data is not None and not Path(data).is_dir():
        raise RecipeError(f"--data {data}: there is no such folder; name the one of the recordings")
    for module in ("yaml", "lightning", "tensorboard", "matplotlib"):  # which take seconds
        imported(module, "training", "train")
    origin = None if from_ is None else load_model(from_)
    root = Path(data) if data is not None else Path() if path in shipped().values() else path.parent
    folder = Path(output) if output is not None else Path("runs") / path.stem
    with errors_as(RecipeError, path):
        values = read_yaml(path)
    if of_upper_band(values):
        if origin is None and not resume:
            raise RecipeError("an upper band belongs to a model; name that with --from")
        from sgmse.training.upper_band import upper_band_recipe
        from sgmse.training.upper_band_run import train_upper_band

        with _quiet():
            recipe_of_band = upper_band_recipe(values, overrides, path)
            return train_upper_band(recipe_of_band, root.resolve(), folder, origin)
    with errors_as(RecipeError):
        origin = None if origin is None else start_of(values, overrides, origin)
    parsed = load_recipe(path, overrides, origin)

    from sgmse.training.plan import prepare, start  # Lightning takes seconds

    with _quiet():
        plan = prepare(parsed, root.resolve(), folder, resume, origin, f"the model {from_}")
        start(plan)
    return folder


def _implied(output: str | Path | None, resume: bool, from_: str | Path | None) -> Path:
    """The recipe that nobody named."""
    if resume:
        if output is None:
            raise RecipeError("name the run to resume with --output, or its recipe")
        if not (Path(output) / RECIPE).is_file():
            raise RecipeError(f"{output} holds no run to resume; name one with --output")
        return Path(output) / RECIPE
    if from_ is None:
        raise RecipeError(
            f"name a recipe, one of {', '.join(shipped())} or a YAML file, or a model to start "
            "from with --from"
        )
    return find_recipe(FINE_TUNE)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks on hardware and workers."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)`.*")
            yield
    finally:
        logger.setLevel(level)
