"""From a recipe to a run folder."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from sgmse._extras import imported
from sgmse._files import write_whole
from sgmse.checkpoints import Checkpoint, load_model
from sgmse.errors import RecipeError
from sgmse.training.recipe import (
    RECIPE,
    Recipe,
    dump_recipe,
    find_recipe,
    load_recipe,
    model_of,
    shipped,
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
        needs, `recipe.yaml` the whole recipe, `tensorboard` the curves.

    Raises:
        RecipeError: for all that is wrong with the recipe, the data or the folder, before anything
            is started.
    """
    for module in ("yaml", "lightning", "tensorboard", "matplotlib"):
        imported(module, "training", "train")
    if resume and from_ is not None:
        raise RecipeError("a run that resumes has its weights already; leave one of the two out")
    path = find_recipe(recipe) if recipe is not None else _implied(output, resume, from_)
    origin = None if from_ is None else load_model(from_)
    parsed = load_recipe(path, overrides, origin)
    root = Path(data) if data is not None else Path() if path in shipped().values() else path.parent
    folder = Path(output) if output is not None else Path("runs") / path.stem
    with _quiet():
        return _run(parsed, root.resolve(), folder, resume, from_, origin)


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


def _run(
    recipe: Recipe,
    root: Path,
    folder: Path,
    resume: bool,
    from_: str | Path | None,
    origin: Checkpoint | None,
) -> Path:
    # These import Lightning, which takes seconds.
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import TensorBoardLogger
    from lightning.pytorch.utilities import rank_zero_only
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from sgmse.training.module import Training
    from sgmse.training.session import BEST, LAST, STATE, Session
    from sgmse.training.state import load_state
    from sgmse.training.validation import pairs_of

    say = rank_zero_only(print)
    settings = recipe.trainer
    state_file = folder / STATE
    if resume and not state_file.exists():
        raise RecipeError(f"{folder} holds no {STATE} to resume from; name the run with --output")
    if not resume and state_file.exists():
        raise RecipeError(f"{folder} holds a run; go on with --resume, or choose another --output")
    state = load_state(state_file) if resume else None
    if state is not None and settings.steps is not None and state.step >= settings.steps:
        raise RecipeError(
            f"the run in {folder} is complete with {state.step} steps; "
            "to go on, set trainer.steps to more"
        )
    if state is not None:
        remedy = "resume with the recipe it was started with, or start another run"
        recipe.check_model(state.model, "the run was started with", remedy)
    if origin is not None:
        remedy = "change the recipe, or start from another model"
        recipe.check_model(model_of(origin), f"the model {from_} has", remedy)
    pairs = pairs_of(recipe.validation, root) if recipe.validation else []
    recipe.data.check(root)
    session = Session(folder, pairs)
    try:
        trainer = Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices or "auto",
            max_epochs=1,
            logger=TensorBoardLogger(
                folder,
                name="tensorboard",
                version="",
                # What a run wrote after the state that it resumes from will be written again.
                purge_step=(0 if state is None else state.step) + 1,
            ),
            callbacks=[session],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=settings.log_every,
        )
    except MisconfigurationException as error:
        raise RecipeError(f"trainer.accelerator, trainer.devices: {error}") from error

    # What can be wrong has been checked, for to decode a corpus takes long.
    cache = folder / "cache" if settings.cache is None else root / settings.cache
    data = recipe.data.open(root, cache, recipe.sample_rate, settings.seed)

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    module = Training(recipe, data)
    if origin is not None:
        module.load_weights(origin.model.trained.state_dict())
    if state is not None:
        module.restore(state)
        say(f"resuming at step {module.step}")

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECIPE, dump_recipe(recipe.below(root)).encode())
    weights = sum(p.numel() for p in module.model.parameters())
    name = type(module.model.network).__name__
    say(f"{name}, {weights / 1e6:.2f} M weights; {data.summary}; {len(pairs)} pairs to validate on")
    say(f"writing to {folder}; watch with: tensorboard --logdir {folder}")

    trainer.fit(module)
    if session.interrupted:
        say(f"interrupted at step {module.step}; go on with --resume")
    else:
        result = folder / (BEST if (folder / BEST).exists() else LAST)
        say(f"done after {module.step} steps; the model is {result}")
    return folder


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
