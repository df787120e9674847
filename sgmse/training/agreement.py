"""Whether the sections of a recipe go together; each check says what to set instead."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from sgmse._checks import number
from sgmse.errors import ArgumentError
from sgmse.model import assemble
from sgmse.solvers import LAST_START
from sgmse.training.sections import Sections


def problems(recipe: Sections) -> Iterator[str]:
    """What does not go together, as "key: what; remedy". Raises `ArgumentError`, too."""
    recipe.front.delays(recipe.sampler.shifts)
    number("strength", recipe.strength, 0, 2)
    yield from _bridges_end(recipe)
    bins, frames = assemble(**recipe.parts).divisor
    if why := recipe.sampler.solver.refusal(recipe.sde, recipe.sampler.grid.start):
        yield f"sampler.grid.start: {why}"
    if recipe.inherited and recipe.predictor is not None:
        yield "inherited: the other network of a predictor starts so; set predictor.inherited"
    yield from _latest(recipe)
    yield from _two_times(recipe)
    yield from _unrolled(recipe)
    if recipe.adversarial is not None:
        times = recipe.times if recipe.unrolled is None else None
        run = (recipe.trainer.steps, recipe.data.samples)
        if why := recipe.adversarial.refusal(times, recipe.sampler.grid, recipe.sde, *run):
            yield f"adversarial: {why}"
        if recipe.trainer.accumulate > 1:
            yield (
                "adversarial: discriminators learn from all pairs of a step at once; set "
                "trainer.accumulate=1"
            )
    if recipe.validation is not None and assemble(**recipe.parts).deaf:
        yield (
            "validation: the network sees no recording, and enhances none that could be scored; "
            "leave it out (validation=null)"
        )
    yield from _rates(recipe)
    at_one = [1.0] * (recipe.times.at_one > 0)
    trained = torch.tensor([recipe.times.low, recipe.times.high, *at_one])
    if recipe.timed and (why := recipe.loss.refusal(recipe.sde, trained)):
        yield f"loss: {why}"
    yield from _times(recipe)
    if why := recipe.front.refusal(bins):
        yield f"front.transform.n_fft: {why}"
    yield from _samples(recipe, frames)


def _bridges_end(recipe: Sections) -> Iterator[str]:
    """The score of a bridge does not exist where it ends, but just before."""
    why = recipe.parametrization.refusal(recipe.sde, 1.0) if recipe.latest == 1 else None
    if why and not recipe.parametrization.refusal(recipe.sde, LAST_START):
        yield f"{why}; or set latest={LAST_START}, times.high and sampler.grid.start alike"


def _latest(recipe: Sections) -> Iterator[str]:
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


def _two_times(recipe: Sections) -> Iterator[str]:
    """Whole steps are asked of a network that is told where they lead, and has learned them."""
    told = recipe.network.two_times and recipe.predictor is None
    takes = 'the network takes one time; set network.end="length" of NCSNpp'
    trained = recipe.timed and recipe.loss.two_times
    if trained:
        name = type(recipe.loss).__name__
        if recipe.predictor is not None:
            yield f"predictor: {name} trains no refiner; leave it out, or use another loss"
        if not told:
            yield f"loss: {name} trains estimates of whole steps, and {takes}, or use another loss"
        if recipe.adversarial is not None:
            yield f"adversarial: it judges no whole steps of {name}; leave it out"
    if recipe.sampler.solver.whole:
        if not told:
            yield f"sampler.solver: it asks for whole steps, and {takes}, or solver.whole=false"
        if not (trained or recipe.unrolled or recipe.samplers):
            yield (
                "sampler.solver: it asks for whole steps, and the loss trains none; set "
                "solver.whole=false, or loss={class: MeanFlow}"
            )


def _unrolled(recipe: Sections) -> Iterator[str]:
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


def _times(recipe: Sections) -> Iterator[str]:
    """What is set of the times has an effect, and the one that it is for."""
    t, trainer = recipe.times, recipe.trainer
    if not recipe.timed:
        if t.settings:
            yield (
                f"times.{t.settings[0]}: all updates are unrolled, and no estimate at a time is "
                "trained; leave it out, or set unrolled.share below 1"
            )
        return
    if why := t.refusal(recipe.loss, recipe.sde):
        yield why
    if t.stratified and trainer.pairs_of_all(2) == 1:
        yield (
            "times.stratified: a batch of one has no strata; leave it out, or set trainer.batch "
            "above 1"
        )
    if t.loss_aware is not None and trainer.steps is not None:
        share = 1.0 if recipe.unrolled is None else 1 - recipe.unrolled.share
        losses = trainer.steps * trainer.pairs_of_all() * share * (1 - t.at_one)
        if losses <= (needed := t.loss_aware.bins * t.loss_aware.history):
            yield (
                f"times.loss_aware: the training has {losses:.0f} losses, and the first {needed} "
                "(bins times history) are drawn all alike; set fewer bins or trainer.steps higher"
            )


def _rates(recipe: Sections) -> Iterator[str]:
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


def _samples(recipe: Sections, divisor: int) -> Iterator[str]:
    """A pair has as many frames as the network divides."""
    transform, samples = recipe.front.transform, recipe.data.samples
    frames = transform.frames(samples)
    if samples < transform.shortest or frames % divisor:
        fitting = -(-max(frames, 2) // divisor) * divisor
        yield (
            f"data.samples: {samples} give {frames} frames, and the network needs a multiple of "
            f"{divisor}; {(fitting - 1) * transform.hop} would do"
        )
