"""An adversarial term: discriminators D_k learn to tell results of a sampler from clean recordings.

    D <- optimiser(grad mean_k [ (D_k(x0) - 1)^2 + D_k(x)^2 ])
    loss <- loss + r (weight adversarial + features matching)

    adversarial = mean_k (D_k(x) - 1)^2
    matching    = mean_k,l  mean |F_kl(x) - F_kl(x0)| / mean |F_kl(x0)|

(least squares of Mao et al. 2017, arXiv:1611.04076; distances of what the layers make of both, as
EnCodec scales them, Defossez et al. 2022, arXiv:2210.13438.) x is the audio of the estimate, x0
that of the truth, both with the gain that brings x0 to one level, so that quiet recordings count
alike. A distance to the truth leads to the mean of what may have been said, which is smoother than
any of it; a discriminator hears that nobody speaks so.

Half on its way the estimate of a diffusion is such a mean and must be. Only results are judged:
those of unrolled updates, and estimates at the start of a grid of one step, which ends with them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sgmse._device import certain, sent
from sgmse.errors import ArgumentError, RecipeError
from sgmse.estimates import Estimate
from sgmse.sdes import SDE
from sgmse.solvers import Grid
from sgmse.training.adversarial.discriminators import Discriminators, spectra
from sgmse.training.losses import Truth
from sgmse.training.optimisation import AdamW, Optimiser, Schedule
from sgmse.training.state import REMEDY
from sgmse.training.times import Times

#: What each discriminator says of a recording: its layers, and last its judgements.
Opinions = list[list[Tensor]]

#: Root mean square below which recordings are raised no further: -80 dB of full scale.
SILENCE = 1e-4


@dataclass(frozen=True)
class Adversarial:
    """The adversarial term of a recipe.

    Args:
        weight: of the judgement of the discriminators in the loss.
        features: of the distance in their layers.
        start: steps before the discriminators are made use of, and trained.
        rise: steps from then on in which r rises to 1, while they learn what to listen for.
        discriminators: their shape.
        optimiser: of the discriminators; the recipe's schedule counts their steps from `start`.
    """

    weight: float = 0.1
    features: float = 1.0
    start: int = 0
    rise: int = 500
    discriminators: Discriminators = field(default_factory=Discriminators)
    optimiser: Optimiser = field(default_factory=lambda: AdamW(lr=2e-4, betas=(0.8, 0.99)))

    def __post_init__(self) -> None:
        if min(self.weight, self.features) < 0 or not self.weight + self.features > 0:
            raise ArgumentError(
                "weight and features must not be negative, and one must be positive, not "
                f"{self.weight} and {self.features}"
            )
        for name in ("start", "rise"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"{name} must not be negative, not {getattr(self, name)}")

    def share(self, step: int) -> float:
        """r at step 0, 1, ... of the training; 0 before `start`."""
        done = step + 1 - self.start
        return min(1.0, done / self.rise) if self.rise and done > 0 else float(done > 0)

    def refusal(
        self, times: Times | None, grid: Grid, sde: SDE, steps: int | None, samples: int
    ) -> str | None:
        """Why it would never have an effect, with the remedy, or None.

        Args:
            times: of plain updates; None if others, of results, are sure to come.
            grid, sde: whose results are judged.
            steps: of the training; None if it is not known.
            samples: of a recording.
        """
        if times is not None:
            at_one = [1.0] if times.at_one else []
            certain = [times.low] if times.low == times.high and times.at_one < 1 else []
            if not results(torch.tensor([*at_one, *certain]), grid, sde).any():
                return (
                    f"no update gives a result to judge, {grid} at {times}; add unrolled={{}}, or "
                    "set grid.steps=1 and grid.start=1, and times.at_one above 0"
                )
        if steps is not None and self.start >= steps:
            return (
                f"the training ends after {steps} steps, before its start; set "
                f"adversarial.start below {steps}"
            )
        longest = max(self.discriminators.windows)
        if longest > samples:
            return (
                f"a window of {longest} samples is longer than a recording (data.samples) of "
                f"{samples}; set adversarial.discriminators.windows to shorter ones"
            )
        return None


def results(t: Tensor, grid: Grid, sde: SDE) -> Tensor:
    """Where estimates at times (batch,) are results of the sampler: at the start of its one step.

    Shape: (batch,), true or false.
    """
    whole = grid.steps == 1 and float(grid.times(sde)[-1]) == 0
    return (t == t.new_full((), grid.start)) & whole


def levelled(estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Both (batch, samples) with the gain that brings the clean one to a root mean square of 1."""
    gain = 1 / clean.square().mean(-1, keepdim=True).sqrt().clamp(min=SILENCE)
    return gain * estimate, gain * clean


def telling_apart(clean: Opinions, estimate: Opinions) -> Tensor:
    """What the discriminators are to lower: mean_k [ (D_k(x0) - 1)^2 + D_k(x)^2 ]."""
    pairs = zip(clean, estimate, strict=True)
    losses = [(c[-1].float() - 1).square().mean() + e[-1].float().square().mean() for c, e in pairs]
    return torch.stack(losses).mean()


def taken_for_clean(estimate: Opinions) -> Tensor:
    """What the network is to lower: mean_k (D_k(x) - 1)^2, between 0 and about 1."""
    return torch.stack([(e[-1].float() - 1).square().mean() for e in estimate]).mean()


def matching(estimate: Opinions, clean: Opinions) -> Tensor:
    """Mean distance of layers relative to their size, of each recording.

    mean_k,l  mean |F_kl(x) - F_kl(x0)| / mean |F_kl(x0)|
    """
    parts = []
    for maps, maps0 in zip(estimate, clean, strict=True):
        for f, f0 in zip(maps[:-1], maps0[:-1], strict=True):
            size = f0.float().abs().mean((1, 2, 3)).clamp(min=1e-6)
            off = (f.float() - f0.float()).abs().mean((1, 2, 3))
            parts.append((off / size).mean())
    return torch.stack(parts).mean()


class Adversary:
    """Discriminators on their way, with their optimiser.

    No `nn.Module`: Lightning would wrap, with the one that holds it, its weights for several
    devices, which expects gradients of all of them in the one backward pass of the network.

    Args:
        settings: of the recipe.
        seed: of the first weights.
        half: whether the discriminators compute in bfloat16; the losses are float32.
    """

    def __init__(self, settings: Adversarial, seed: int, half: bool = False) -> None:
        self.settings = settings
        self.half = half
        self.discriminators = settings.discriminators.build(seed)
        self.optimiser = settings.optimiser.build(self.discriminators.parameters())
        # Only while they learn: the gradient of the network passes through and leaves no trace.
        self.discriminators.requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move all there is."""
        self.discriminators.to(device)
        self.optimiser.load_state_dict(self.optimiser.state_dict())  # goes where the weights are

    def set_rate(self, schedule: Schedule, step: int, progress: float) -> None:
        """The learning rate of a step of the training."""
        factor = schedule.factor(max(step - self.settings.start, 0), progress)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.optimiser.lr * factor

    def __call__(
        self,
        estimate: Estimate,
        truth: Truth,
        judged: Tensor,
        step: int,
        average: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """Train the discriminators, then let them judge.

        Args:
            estimate, truth: of a batch.
            judged: (batch,), true or false, on the host: which of its items.
            step: of the training.
            average: over devices, which all call this; of a vector, perhaps in place.

        Returns:
            "loss", to be added to that of the network, where an item that is not judged has 0; and
            means over those that are: "adversarial", "features" and "discriminator", the loss of
            the discriminators before they learned. Nothing before `start`.
        """
        r = self.settings.share(step)
        if not r:
            return {}
        share = float(judged.float().mean())
        if not share:
            self.learn(None, share, average)
            return {}
        # One copy less where all are judged, as most often.
        items = slice(None) if share == 1 else sent(judged.nonzero()[:, 0], truth.t.device)
        heard = truth.transform.inverse(estimate.x0[items, 0], truth.audio.shape[-1])
        x, x0 = levelled(heard, truth.audio[items])
        discriminator = self.learn((x.detach(), x0), share, average)
        opinions = self.hear(x)
        with torch.no_grad():
            opinions_of_clean = self.hear(x0)
        adversarial = taken_for_clean(opinions)
        features = matching(opinions, opinions_of_clean)
        loss = self.settings.weight * adversarial + self.settings.features * features
        parts = {"adversarial": adversarial, "features": features, "discriminator": discriminator}
        return {"loss": r * share * loss, **parts}

    def hear(self, audio: Tensor) -> Opinions:
        """What each discriminator makes of (batch, samples)."""
        opinions = []
        for n, d in zip(self.settings.discriminators.windows, self.discriminators, strict=True):
            s = spectra(audio, n)
            with torch.autocast(audio.device.type, torch.bfloat16, self.half):
                opinions.append(d(s))
        return opinions

    def learn(
        self,
        pair: tuple[Tensor, Tensor] | None,
        share: float,
        average: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """One update of the discriminators; none if there is nothing judged, or not finite.

        Args:
            pair: audio (batch, samples) of estimates and truths; None if there are none here.
            share: of the batch of this device that they are.
            average: over devices.

        Returns:
            The loss of this device before it.
        """
        weights = list(self.discriminators.parameters())
        loss = weights[0].new_zeros(())
        gradients = [torch.zeros_like(w) for w in weights]
        if pair is not None:
            x, x0 = pair
            self.discriminators.requires_grad_(True)
            both = [[m.chunk(2) for m in maps] for maps in self.hear(torch.cat([x0, x]))]
            clean, estimate = ([[m[i] for m in maps] for maps in both] for i in range(2))
            loss = telling_apart(clean, estimate)
            gradients = list(torch.autograd.grad(loss, weights))
            self.discriminators.requires_grad_(False)
        # Of all items of all devices alike; the last number is the share of them all.
        flat = torch.cat([*(g.flatten() for g in gradients), weights[0].new_ones(1)])
        flat = average(flat * share)
        if certain(flat.isfinite().all() & (flat[-1] > 0)):
            parts = (flat[:-1] / flat[-1]).split_with_sizes([w.numel() for w in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.grad = part.view_as(weight)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """State dicts of "discriminators" and "optimiser"."""
        return {
            "discriminators": self.discriminators.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state. Raises `RecipeError` for one of other discriminators."""
        try:
            self.discriminators.load_state_dict(state["discriminators"])
            self.optimiser.load_state_dict(dict(state["optimiser"]))
        except (RuntimeError, ValueError) as error:
            raise RecipeError(
                "adversarial.discriminators: the run was started with others than "
                f"{self.settings.discriminators}; {REMEDY}"
            ) from error
