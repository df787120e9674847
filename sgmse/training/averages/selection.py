"""The average of a training chosen after it: made of its snapshots, scored, the best one written.

Needs the packages that the scores of the recipe's validation need.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from sgmse.checkpoints import save
from sgmse.enhancer import Enhancer
from sgmse.errors import RecipeError
from sgmse.model import Regeneration, ScoreModel
from sgmse.training.averages.profiles import Combination, Profile, check_length, combination
from sgmse.training.averages.snapshots import AVERAGES, Snapshot, combine, find_snapshots
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.recipe_files import RECIPE, load_recipe
from sgmse.training.state import STATE, fill, load_state
from sgmse.training.transform import with_transform
from sgmse.training.validation import Validation, ValidationPair, check, evaluate, means

AVERAGED = "averaged"
#: What is tried where nothing is asked for, as far as the snapshots give it.
LENGTHS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25)
#: The largest `Combination.miss` of an average that is called one of that length.
MISS = 0.1


@dataclass(frozen=True)
class Selection:
    """What was tried, and what came of it.

    Args:
        folder: of the model.
        length: of its average.
        step: that the average ends at.
        scores: mean of each score by length; none where there was nothing to choose.
    """

    folder: Path
    length: float
    step: int
    scores: dict[float, dict[str, float]]


def select_average(
    run: str | Path,
    *,
    lengths: Sequence[float] | None = None,
    step: int | None = None,
    output: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Selection:
    """Make averages of several lengths, score them, write the best as a model.

    The scores are those of the recipe's validation, on its pairs; each length is printed as it is
    scored. Where there is a GPU it is used.

    Args:
        run: the folder of a run whose recipe has `averages`.
        lengths: sigma_rel of each; if absent, those of `LENGTHS` that the snapshots give and those
            stored.
        step: one with a snapshot, where the averages end; the last one if absent.
        output: where the model goes; `averaged` in the run folder if absent.
        overrides: changes to the recipe of the run, "key.sub=value".

    Raises:
        SgmseError: there are no snapshots, none of that step, they do not give a length, there is
            nothing to choose by, or the output exists; before any work.
    """
    run = Path(run)
    folder = run / AVERAGED if output is None else Path(output)
    if not (run / RECIPE).is_file():
        above = run.absolute().parent
        meant = f" (did you mean {run.parent}?)" if (above / RECIPE).is_file() else ""
        raise RecipeError(f"{run} is not the folder of a run: it has no {RECIPE}{meant}")
    recipe = load_recipe(run / RECIPE, overrides)
    snapshots = _until(find_snapshots(run / AVERAGES), run, step)
    last = snapshots[-1]
    recipe.check_model(last.model, "the snapshots have", "leave that change of the recipe out")
    averages = _combinations(snapshots, lengths)
    if folder.exists():
        raise RecipeError(f"{folder} exists; choose another place with --output, or remove it")
    validation = recipe.validation
    pairs = [] if validation is None else validation.pairs(Path())
    if validation is None and len(averages) > 1:
        raise RecipeError(
            "the recipe has no validation to choose a length by; give one length with --lengths, "
            "or set validation"
        )

    if validation is not None:
        check(validation, pairs, recipe.front.sample_rate)
    if recipe.front.transform.learned is not None:  # its weights are not among those averaged
        recipe = with_transform(recipe, load_state(run / STATE))
    model = recipe.build_model().eval().requires_grad_(False)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    best, scores = next(iter(averages)), {}
    if validation is not None:
        enhancer = Enhancer.of(recipe.checkpoint(model, {}))
        print("  ".join(["length", *(f"{name:>8}" for name in validation.scores)]))
        for length, average in averages.items():
            _fill(model, snapshots, average)
            scores[length] = _scored(enhancer, pairs, validation, f"length {length:g}")
            values = [f"{scores[length][name]:8.3f}" for name in validation.scores]
            print("  ".join([f"{length:<6g}", *values]), flush=True)
        best = _best(scores, validation)
    _fill(model, snapshots, averages[best])
    training = {key: value for key, value in last.training.items() if key != "ema"} | {
        "average": f"power function of length {best:g}, made of {len(snapshots)} snapshots",
        **{f"validation {n}": round(score, 4) for n, score in scores.get(best, {}).items()},
    }
    kept = load_state(run / STATE).band_gains if (run / STATE).exists() else None
    made = replace(recipe.checkpoint(model, training), upper_band=kept)
    save(made, folder, classes=RECIPE_CLASSES)
    return Selection(folder, best, last.step, scores)


def _until(snapshots: Sequence[Snapshot], run: Path, step: int | None) -> list[Snapshot]:
    """Those up to a step, one for each number of updates."""
    if not snapshots:
        raise RecipeError(
            f"{run} has no snapshots of averages; train with averages in the recipe, such as "
            "--set 'averages={every: 500}'"
        )
    steps = [snapshot.step for snapshot in snapshots]
    if step is not None and step not in steps:
        shown = ", ".join(map(str, steps if len(steps) < 8 else [*steps[:3], "...", *steps[-3:]]))
        raise RecipeError(f"{run} has no snapshot of step {step}; it has {shown}")
    end = steps[-1] if step is None else step
    # Steps without an update between two snapshots make one of them superfluous.
    return list({s.updates: s for s in snapshots if s.step <= end}.values())


def _combinations(
    snapshots: Sequence[Snapshot], lengths: Sequence[float] | None
) -> dict[float, Combination]:
    """By length, in their order; if none are asked for, all that are possible."""
    stored = [profile for snapshot in snapshots for profile in snapshot.profiles]
    last = snapshots[-1]

    def nearest(lengths: Sequence[float]) -> dict[float, Combination]:
        return {n: combination(stored, Profile(last.updates, n)) for n in lengths}

    usual = nearest(sorted({*LENGTHS, *last.lengths}))
    possible = {length: average for length, average in usual.items() if average.miss <= MISS}
    if lengths is None:
        return possible
    for length in lengths:
        check_length(length)
    averages = nearest(lengths)
    for length, average in averages.items():
        if average.miss > MISS:
            raise RecipeError(
                f"the {len(snapshots)} snapshots do not give the length {length:g} (the nearest is "
                f"off by {average.miss:.0%}); choose from {min(possible):g} to {max(possible):g}, "
                "or train with a smaller averages.every or nearer averages.lengths"
            )
    if not averages:
        raise RecipeError("there is no length to make an average of; give one at least")
    return averages


def _fill(
    model: ScoreModel | Regeneration, snapshots: Sequence[Snapshot], average: Combination
) -> None:
    """Give the model the weights of an average."""
    names = {name for name, _ in model.trained.named_parameters()}
    fill(model.trained, combine(snapshots, average.weights.tolist(), names), "snapshots")


def _scored(
    enhancer: Enhancer, pairs: Sequence[ValidationPair], validation: Validation, what: str
) -> dict[str, float]:
    """The mean of each score over the pairs."""
    bar = tqdm(pairs, desc=what, unit="file", disable=None, leave=False)
    rows = [evaluate(enhancer, [pair], validation.scores).table for pair in bar]
    return means(np.concatenate(rows), validation.scores)


def _best(scores: Mapping[float, Mapping[str, float]], validation: Validation) -> float:
    """The length of the best score, of equal ones the shortest."""
    name, best = validation.best, None
    for length in sorted(scores):
        if validation.improves(scores[length][name], None if best is None else scores[best][name]):
            best = length
    if best is None:
        raise RecipeError(
            f"{name} is not defined on anything that they enhance, which may be silent; "
            "choose by another score: --set validation.best=NAME"
        )
    return best
