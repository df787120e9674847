"""One step of training, as a Lightning module.

    x_t = a x0 + b y + sigma z,     t as `Times` draws it,     z ~ CN(0, 1)
    weights <- optimiser(grad loss(model(x_t, y, t), (x0, z)))
    average <- EMA(weights),     and the recipe's `averages` likewise

With a predictor D its estimate takes the place of y in x_t, and if it is trained, too, grad
loss(D(y), x0) is added. Where the recipe says so (`Unrolled`), the loss is that of a sampler's
result, in place of the estimate. And where it says so (`Adversarial`), discriminators learn beside
the network and add to the loss.

All that is random in step n comes from (seed, n, rank), so that a training which resumes at step n
is the one that was never interrupted.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import inf
from typing import cast

import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from sgmse._device import certain, sent
from sgmse.data.training_pairs import ConsecutiveBatches, PairDataset
from sgmse.errors import RecipeError
from sgmse.estimates import Estimate
from sgmse.solvers import Randn
from sgmse.training.adversarial import results
from sgmse.training.delivery import Delivered, Delivery, collated, ignore_interrupts
from sgmse.training.learner import Learner
from sgmse.training.losses import Truth
from sgmse.training.recipe import Recipe
from sgmse.training.times import Drawn

#: So many updates in a row that are not finite end a training.
MAX_SKIPPED = 100
#: Steps of a training that ends by the clock.
ENDLESS = 1 << 40


class Training(Learner):
    """What learns, and the steps in which it does.

    Args:
        recipe: says everything.
        pairs: the opened data.

    Attributes:
        curves: what was computed in each step since they were last taken.
    """

    def __init__(self, recipe: Recipe, pairs: PairDataset) -> None:
        super().__init__(recipe)
        self.automatic_optimization = False
        self.pairs = pairs
        self.curves: list[dict[str, Tensor]] = []

    # What Lightning asks for

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser, which exists already so that its state can be restored."""
        return self.optimiser

    @override
    def train_dataloader(self) -> DataLoader[Delivered]:
        """The batches from the next pair on, to the end of the training."""
        settings, trainer, position = self.recipe.trainer, self.trainer, self.position
        steps = ENDLESS if settings.steps is None else settings.steps - position.step
        return DataLoader(
            Delivery(self.pairs),
            collate_fn=collated,
            batch_sampler=ConsecutiveBatches(
                position.items, steps, settings.pairs, trainer.global_rank, trainer.world_size
            ),
            num_workers=settings.workers,
            prefetch_factor=8 if settings.workers else None,
            pin_memory=trainer.strategy.root_device.type == "cuda",
            worker_init_fn=ignore_interrupts,
        )

    @override
    def on_train_start(self) -> None:
        """Start the clock; what Lightning does not know of goes to the device, too."""
        if self.adversary is not None:
            self.adversary.to(self.device)
        self.recipe.front.to(self.device)
        self.position.start_clock()

    @override
    def training_step(self, batch: Delivered, batch_idx: int) -> None:
        """One update, in five stages."""
        if isinstance(batch, Exception):
            raise batch
        recipe, (clean, noisy) = self.recipe, batch
        # 1. The rate of this step, and what is random in it.
        generator = self.seed()
        rate = self.set_rate()
        # 2. The truth: clean audio, noise, times.
        transform = recipe.front.transform
        y = transform.forward(noisy)[:, None]
        clean = self.later(clean)
        x0 = transform.forward(clean)[:, None]
        # The times are drawn on the host, which needs to know them.
        drawn = self.draw(len(x0), on_host(generator))
        t = sent(drawn.t, x0.device)
        truth = Truth(x0, draws_of(generator)(x0), clean, transform, t, recipe.sde)
        # 3. The estimate at these times, or the result of a sampler of so many steps.
        # 4. What they are apart. Both of a part of the pairs at a time, as memory asks for.
        terms = self.compared(truth, y, drawn, generator)
        # 5. New weights.
        norm, moved = self.update()
        self.position.advance(len(x0) * self.trainer.world_size, moved)
        if self.position.skipped >= MAX_SKIPPED:
            raise RecipeError(
                f"the gradients of {MAX_SKIPPED} steps in a row are not finite, up to step "
                f"{self.position.step}; lower optimiser.lr, or set trainer.clip or "
                "trainer.precision=fp32"
            )
        self.curves.append(terms | {"gradient": norm, "lr": torch.tensor(rate)})

    # The stages of a step

    def seed(self) -> torch.Generator:
        """The generator of this step; what a network itself draws is seeded alike."""
        key = [self.recipe.trainer.seed, self.position.step, self.trainer.global_rank, 2]
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
        torch.manual_seed(seed)
        return torch.Generator(self.device).manual_seed(seed)

    def set_rate(self) -> float:
        """The learning rate of this step, as scheduled."""
        step, progress, schedule = self.position.step, self.progress, self.recipe.schedule
        rate = self.recipe.optimiser.lr * schedule.factor(step, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self.adversary is not None:
            self.adversary.set_rate(schedule, step, progress)
        return rate

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """The times of a batch of this device, and what their losses are worth."""
        place = self.trainer.global_rank, self.trainer.world_size
        return self.recipe.times.sample(count, generator, self.recipe.sde, self.history, *place)

    def sampler_steps(self) -> int | None:
        """Of the sampler whose result this step trains; None if it trains an estimate."""
        unrolled = self.recipe.unrolled
        # Of a key without the rank: all devices take as many steps.
        key = [self.recipe.trainer.seed, self.position.step, 3]
        return None if unrolled is None else unrolled.draw(key)

    def estimate(
        self, truth: Truth, y: Tensor, steps: int | None, generator: torch.Generator
    ) -> tuple[Estimate, Tensor, Truth]:
        """The estimate; the anchor that the process starts from: y, or what is predicted of it; and
        the truth as the loss has it for that estimate (`Loss.ask`).

        The networks alone compute in bfloat16; the transform and the loss need float32.
        """
        recipe = self.recipe
        half = recipe.trainer.precision == "bf16"
        transform, samples = recipe.front.transform, truth.audio.shape[-1]

        def later(x: Tensor) -> Tensor:
            with torch.autocast(self.device.type, enabled=False):
                sound = transform.inverse(x[:, 0], samples)
                return transform.forward(self.later(sound))[:, None]

        with torch.autocast(self.device.type, torch.bfloat16, half):
            model, anchor = self.model.observe(y, later)
            if recipe.unrolled is None or steps is None:
                estimate, truth = recipe.loss.ask(model, anchor, truth, generator)
                return estimate, anchor, truth
            grid, randn = replace(recipe.sampler.grid, steps=steps), draws_of(generator)
            result = recipe.unrolled.result(model, anchor, recipe.sampler.solver, grid, randn)
            return result, anchor, truth

    def later(self, audio: Tensor) -> Tensor:
        """Audio where the frames of the results lie (`Regeneration.moved`): later, cut at the end.

        Like audio (batch, samples); as long, so that it has as many frames.
        """
        delay = self.model.delay(self.recipe.front.transform.hop)
        return nn.functional.pad(audio, (delay, 0))[..., : audio.shape[-1]]

    def compare(
        self, estimate: Estimate, anchor: Tensor, truth: Truth, steps: int | None, drawn: Drawn
    ) -> dict[str, Tensor]:
        """Scalars: "loss", which is to fall, and its parts; the discriminators learn from both."""
        recipe = self.recipe
        # A result has no time to be weighted by.
        plain = drawn.weights is None or steps is not None
        terms = dict(recipe.loss(estimate, truth) if plain else self.weigh(estimate, truth, drawn))
        if recipe.predictor is not None and recipe.predictor.trained:
            prediction = Estimate(x0=anchor, noise=torch.zeros_like(truth.z))
            terms = joint(terms, recipe.predictor.loss(prediction, truth))
        if self.adversary is not None:
            judged = results(drawn.t, recipe.sampler.grid, recipe.sde) | (steps is not None)
            step, average = self.position.step, self.average_of_devices
            parts = self.adversary(estimate, truth, judged, step, average)
            terms |= parts | {"loss": terms["loss"] + parts.get("loss", 0.0)}
        if steps is not None:
            terms[f"loss of {steps} steps"] = terms["loss"]
        return terms

    def weigh(self, estimate: Estimate, truth: Truth, drawn: Drawn) -> dict[str, Tensor]:
        """The mean of the losses of the items with the weights of their times, and of its parts.

        A loss is a mean over items, so that each item has one: that of a batch of it alone.
        """
        items = [self.recipe.loss(*item(estimate, truth, i)) for i in range(len(truth.t))]
        if self.history is not None and drawn.bins is not None and drawn.scale is not None:
            losses = torch.stack([terms["loss"].detach() for terms in items]).double().cpu()
            # All devices keep one history, or each would draw by another.
            seen = torch.stack([drawn.bins.double(), losses * drawn.scale]).to(self.device)
            every = cast(Tensor, self.all_gather(seen.float()))
            gathered = every.reshape(-1, 2, len(items)).transpose(0, 1)
            bins, losses = gathered.flatten(1).cpu()
            self.history.record(bins.long(), losses)
        weights = torch.ones_like(truth.t) if drawn.weights is None else drawn.weights.to(truth.t)
        return {
            name: (weights * torch.stack([terms[name] for terms in items])).mean()
            for name in items[0]
        }

    def compared(
        self, truth: Truth, y: Tensor, drawn: Drawn, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The gradients of a step, of `accumulate` parts one after the other; means of its terms.

        Devices average the gradients with those of the last part.
        """
        optimiser, strategy = self.optimizers(), self.trainer.strategy
        cast(LightningOptimizer, optimiser).zero_grad(set_to_none=True)
        steps, settings = self.sampler_steps(), self.recipe.trainer
        scalars: list[dict[str, Tensor]] = []
        for first in range(0, settings.pairs, settings.batch):
            items = slice(first, first + settings.batch)
            one, of = truth.part(items), drawn.part(items)
            if self.learned is not None:
                one = one._replace(u=self.learned(one.t))
            estimate, anchor, one = self.estimate(one, y[items], steps, generator)
            terms = self.compare(estimate, anchor, one, steps, of)
            last = first + settings.batch == settings.pairs
            if isinstance(strategy, ParallelStrategy) and not last:
                apart: AbstractContextManager[None] = strategy.block_backward_sync()
            else:
                apart = nullcontext()
            with apart:
                self.manual_backward(terms["loss"] / settings.accumulate)
            scalars.append({name: value.detach() for name, value in terms.items()})
        return {name: torch.stack([terms[name] for terms in scalars]).mean() for name in scalars[0]}

    def update(self) -> tuple[Tensor, bool]:
        """Move the weights and their averages, unless the norm of the gradients is not finite.

        Returns the norm, before it is clipped, and whether they have moved. For that, the host
        waits for the device: once a step, when all of it has been asked for.
        """
        optimiser = cast(LightningOptimizer, self.optimizers())  # that of configure_optimizers
        norm = nn.utils.clip_grad_norm_(self.weights, self.recipe.trainer.clip or inf)
        if finite := certain(norm.isfinite()):
            optimiser.step()
            self.average.update_parameters(self.model)
            self.averages.update(self.model.trained)
        return norm, finite

    # What the stages share

    def take_curves(self) -> list[dict[str, Tensor]]:
        """The curves since the last time."""
        taken, self.curves = self.curves, []
        return taken

    def average_of_devices(self, values: Tensor) -> Tensor:
        """The mean over all devices, which wait for each other here."""
        return cast(Tensor, self.trainer.strategy.reduce(values, reduce_op="mean"))

    @property
    def progress(self) -> float:
        """Share of the whole training that is done, by steps or by the clock, whichever leads."""
        steps, hours = self.recipe.trainer.steps, self.recipe.trainer.hours
        by_steps = self.position.step / steps if steps else 0.0
        if hours is None:
            return by_steps
        # All devices follow one clock, or their weights would part.
        seconds: float = self.trainer.strategy.broadcast(self.position.seconds)
        return max(by_steps, seconds / 3600 / hours)


def item(estimate: Estimate, truth: Truth, i: int) -> tuple[Estimate, Truth]:
    """One item of a batch, as a batch of it alone."""
    only = slice(i, i + 1)
    return Estimate(estimate.x0[only], estimate.noise[only]), truth.part(only)


def draws_of(generator: torch.Generator) -> Randn:
    """The noise that a generator draws."""
    return lambda like: torch.randn(
        like.shape, dtype=like.dtype, device=like.device, generator=generator
    )


def on_host(generator: torch.Generator) -> torch.Generator:
    """A generator of the host, seeded as that of a device; itself if it is one."""
    if generator.device.type == "cpu":
        return generator
    return torch.Generator().manual_seed(generator.initial_seed())


def joint(refiner: Mapping[str, Tensor], predictor: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sum of two losses, and the parts of both."""
    losses = {"refiner": refiner, "predictor": predictor}
    parts = {f"{owner}/{n}": value for owner, loss in losses.items() for n, value in loss.items()}
    return {"loss": refiner["loss"] + predictor["loss"]} | parts
