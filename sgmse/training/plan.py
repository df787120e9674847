"""A training in two halves: all that can be wrong is found, and then it starts.

Importing this imports Lightning, which takes seconds; `run` does so when a training is due.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities import rank_zero_only

from sgmse._files import write_whole
from sgmse.checkpoints import Checkpoint
from sgmse.config import to_plain
from sgmse.errors import RecipeError, ResultError
from sgmse.training import shared
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.module import Training
from sgmse.training.recipe import Recipe
from sgmse.training.recipe_files import RECIPE, dump_recipe
from sgmse.training.session import BEST, LAST, Session
from sgmse.training.state import REMEDY, STATE, TrainingState, load_state, one_line
from sgmse.training.transform import with_transform
from sgmse.training.validation import check

print_once = rank_zero_only(print)


@dataclass(frozen=True)
class Plan:
    """A training that nothing is known to be wrong with, and that has touched nothing.

    Args:
        recipe: of it.
        root: the folder that relative folders of the recipe are in.
        session: keeps the run folder.
        trainer: Lightning's, which has the session.
        state: to resume from, if there is one.
        origin: the model to start from, if there is one.
    """

    recipe: Recipe
    root: Path
    session: Session
    trainer: Trainer
    state: TrainingState | None = None
    origin: Checkpoint | None = None


def prepare(
    recipe: Recipe,
    root: Path,
    folder: Path,
    resume: bool = False,
    origin: Checkpoint | None = None,
    owner: str = "the model",
) -> Plan:
    """Find all that is wrong, as to decode a corpus takes long. `owner` names `origin`.

    Raises `SgmseError`: the folder holds a run, or none to resume; the weights are those of another
    model; folders of the data lack; scores need packages, or no recording has one; there is no such
    device.
    """
    state = _state_of(folder, recipe, resume)
    if origin is not None:
        recipe.check_origin(origin, owner)
    elif state is None and recipe.inherited:
        raise RecipeError("inherited: the network starts as a model; name it with --from")
    elif state is None and recipe.predictor is not None:
        named = "the weights of a model; name it with --from"
        if not recipe.predictor.trained:
            raise RecipeError(f"predictor.trained: one that is not trained has {named}")
        if recipe.predictor.inherited:
            raise RecipeError(f"predictor.inherited: what is inherited are {named}")
    recipe = with_transform(recipe, state, origin)
    validation = recipe.validation
    if validation is not None:
        validation.require()
    if recipe.trainer.wandb is not None:
        shared.require()
    session = Session(folder, [] if validation is None else validation.pairs(root))
    recipe.data.files(root)
    if validation is not None:
        check(validation, session.pairs, recipe.front.sample_rate)
    with _errors(recipe):
        trainer = _trainer(recipe, session, 0 if state is None else state.step)
    _check_machines(recipe.trainer.nodes, trainer)
    device = trainer.strategy.root_device.type
    if recipe.trainer.precision == "bf16" and not torch.amp.is_autocast_available(device):
        raise RecipeError(f"trainer.precision: there is no bf16 on {device}; set it to fp32")
    return Plan(recipe, root, session, trainer, state, origin)


def start(plan: Plan) -> None:
    """Train to the end.

    Raises:
        SgmseError: of the data, the device or its memory.
        KeyboardInterrupt: a signal ended it; the message says how to go on.
    """
    recipe, settings, folder = plan.recipe, plan.recipe.trainer, plan.session.folder
    if settings.wandb is not None and plan.trainer.is_global_zero:
        about = to_plain(recipe.below(plan.root), RECIPE_CLASSES, Recipe)
        plan.session.shared = shared.SharedCurves(folder, settings.wandb, about)
    try:
        _train(plan)
    except BaseException:
        plan.session.leave(failed=True)
        raise
    plan.session.leave()


def _train(plan: Plan) -> None:
    recipe, settings, folder = plan.recipe, plan.recipe.trainer, plan.session.folder
    cache = folder / "cache" if settings.cache is None else plan.root / settings.cache
    data = recipe.data.open(plan.root, cache, recipe.front.sample_rate, settings.seed)

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    module = Training(recipe, data)
    if plan.origin is not None:
        module.start_from(plan.origin.model)
        module.keep(plan.origin.upper_band)
    if plan.state is not None:
        module.restore(plan.state)
        print_once(f"resuming at step {plan.state.step}")

    if plan.trainer.is_global_zero:
        write_whole(folder / RECIPE, dump_recipe(recipe.below(plan.root)).encode())
    weights = sum(p.numel() for p in module.model.parameters())
    name, pairs = type(module.model.network).__name__, len(plan.session.pairs)
    print_once(
        f"{name}, {weights / 1e6:.2f} M weights; {data.summary}; {pairs} pairs to validate on"
    )
    print_once(f"writing to {folder}; watch with: tensorboard --logdir {folder}")
    if recipe.licence:
        print_once(f"licence of the weights: {recipe.licence}; --set licence=NAME says another")

    again = f"go on with: sgmse train --resume -o {shlex.quote(str(folder))}"
    try:
        with _errors(recipe):
            plan.trainer.fit(module)
    except SystemExit:  # which Lightning makes of a second signal
        saved = (folder / STATE).exists()
        text = f"what was saved before stays; {again}" if saved else "nothing was saved yet"
        raise KeyboardInterrupt(f"at once; {text}") from None
    step, validation = module.position.step, recipe.validation
    if plan.session.interrupted:
        raise KeyboardInterrupt(f"step {step} is saved; {again}")
    if validation is not None and module.position.best is None:
        raise ResultError(
            f"after {step} steps no validation had a {validation.best} to choose the best weights "
            f"by, as was said with each; the last ones are in {folder / LAST}"
        )
    result = folder / (BEST if (folder / BEST).exists() else LAST)
    print_once(f"done after {step} steps; the model is {result}")


def _state_of(folder: Path, recipe: Recipe, resume: bool) -> TrainingState | None:
    """The state that a run folder is resumed from; None for a folder without a run."""
    file = folder / STATE
    if not resume:
        if file.exists():
            raise RecipeError(
                f"{folder} holds a run; go on with --resume, or choose another --output"
            )
        return None
    if not file.exists():
        raise RecipeError(f"{folder} holds no {STATE} to resume from; name the run with --output")
    state, steps = load_state(file), recipe.trainer.steps
    if steps is not None and state.step >= steps:
        raise RecipeError(
            f"the run in {folder} is complete with {state.step} steps; "
            "to go on, set trainer.steps to more"
        )
    recipe.check_model(state.model, "the run was started with", REMEDY)
    return state


def _trainer(recipe: Recipe, session: Session, step: int) -> Trainer:
    settings = recipe.trainer
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices or "auto",
        num_nodes=settings.nodes,
        max_epochs=1,
        # What a run wrote after the state that it resumes from will be written again.
        logger=TensorBoardLogger(
            session.folder, name="tensorboard", version="", purge_step=step + 1
        ),
        callbacks=[session],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=settings.log_every,
    )


def _check_machines(nodes: int, trainer: Trainer) -> None:
    """Refuse several machines where none of the others is known: it would wait for them."""
    strategy = trainer.strategy
    alone = isinstance(strategy, ParallelStrategy) and isinstance(
        strategy.cluster_environment, LightningEnvironment
    )
    if nodes > 1 and alone and not {"NODE_RANK", "GROUP_RANK"} & os.environ.keys():
        raise RecipeError(
            f"trainer.nodes: of {nodes} machines this one knows no other; start the command on "
            "each by torchrun or SLURM, as docs/training.md shows, or set trainer.nodes=1"
        )


@contextmanager
def _errors(recipe: Recipe) -> Iterator[None]:
    """What Lightning and torch say of devices and their memory, as `RecipeError`."""
    try:
        yield
    except MisconfigurationException as error:
        raise RecipeError(f"trainer.accelerator, trainer.devices: {one_line(error)}") from error
    except torch.OutOfMemoryError as error:
        raise RecipeError(
            f"trainer.batch: no memory for {recipe.trainer.batch} pairs at once; set a smaller "
            "batch (and trainer.accumulate higher, for as many pairs a step), data.samples or "
            f"network ({one_line(error)})"
        ) from error
