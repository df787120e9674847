"""Whether the parts of a recipe go together; each check says what to set instead."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sgmse.errors import ArgumentError
from sgmse.model import assemble
from sgmse.solvers import LAST_START

if TYPE_CHECKING:
    from sgmse.training.recipe import Recipe


def problems(recipe: "Recipe") -> Iterator[str]:
    """What does not go together, as "key: what; remedy". Raises `ArgumentError`, too."""
    recipe.front.delays(recipe.sampler.shifts)
    yield from _bridges_end(recipe)
    bins, frames = assemble(**recipe.parts).divisor
    if why := recipe.sampler.solver.refusal(recipe.sde, recipe.sampler.grid.start):
        yield f"sampler.grid.start: {why}"
    yield from _latest(recipe)
    yield from _unrolled(recipe)
    if recipe.adversarial is not None:
        times = recipe.times if recipe.unrolled is None else None
        run = (recipe.trainer.steps, recipe.data.samples)
        if why := recipe.adversarial.refusal(times, recipe.sampler.grid, recipe.sde, *run):
            yield f"adversarial: {why}"
    yield from _rates(recipe)
    at_one = [1.0] * (recipe.times.at_one > 0)
    trained = torch.tensor([recipe.times.low, recipe.times.high, *at_one])
    if recipe.timed and (why := recipe.loss.refusal(recipe.sde, trained)):
        yield f"loss: {why}"
    if why := recipe.front.refusal(bins):
        yield f"front.transform.n_fft: {why}"
    yield from _samples(recipe, frames)


def _bridges_end(recipe: "Recipe") -> Iterator[str]:
    """The score of a bridge does not exist where it ends, but just before."""
    why = recipe.parametrization.refusal(recipe.sde, 1.0) if recipe.latest == 1 else None
    if why and not recipe.parametrization.refusal(recipe.sde, LAST_START):
        yield f"{why}; or set latest={LAST_START}, times.high and sampler.grid.start alike"


def _latest(recipe: "Recipe") -> Iterator[str]:
    """Nothing asks the network later than it may be asked."""
    latest, times = recipe.latest, recipe.times
    asked = {"sampler.grid.start": (recipe.sampler.grid.start, latest)}
    if recipe.timed:
        asked["times.high"] = times.high, latest
        asked["times.at_one"] = 1.0 if times.at_one else 0.0, 0.0
    for key, (t, remedy) in asked.items():
        if t > latest:
            yield (
                f"{key}: the network is asked up to t = {latest:g} (latest), not {t:g}; "
                f"set {key}={remedy:g}"
            )


def _unrolled(recipe: "Recipe") -> Iterator[str]:
    """Its loss is one of a result, and the grid has these numbers of steps."""
    if recipe.unrolled is None:
        return
    if why := recipe.loss.untimed():
        yield f"loss: unrolled trains a result of the sampler, and {why}"
    for steps in recipe.unrolled.steps:
        try:
            replace(recipe.sampler.grid, steps=steps)
        except ArgumentError as error:
            yield f"unrolled.steps: {error}"


def _rates(recipe: "Recipe") -> Iterator[str]:
    """Scores and losses are defined at the rate."""
    rate, predictor = recipe.front.sample_rate, recipe.predictor
    if recipe.validation is not None and (why := recipe.validation.refusal(rate)):
        yield f"validation.scores: {why}"
    losses = {"loss": recipe.loss} | (
        {} if predictor is None else {"predictor.loss": predictor.loss}
    )
    for key, loss in losses.items():
        if loss.sample_rates is not None and rate not in loss.sample_rates:
            yield (
                f"{key}: its perceptual part is defined at "
                f"{', '.join(map(str, loss.sample_rates))} Hz, not at {rate}; "
                f"set {key}.perceptual=0"
            )


def _samples(recipe: "Recipe", divisor: int) -> Iterator[str]:
    """A pair has as many frames as the network divides."""
    transform, samples = recipe.front.transform, recipe.data.samples
    frames = transform.frames(samples)
    if samples < transform.shortest or frames % divisor:
        fitting = -(-max(frames, 2) // divisor) * divisor
        yield (
            f"data.samples: {samples} give {frames} frames, and the network needs a multiple of "
            f"{divisor}; {(fitting - 1) * transform.hop} would do"
        )
