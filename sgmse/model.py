"""A network, a process and a parametrization make a model: (x_t, y, t) to an `Estimate`.

A model of the library is a `ScoreModel`, whose process leads to the observation, or a
`Regeneration`, whose process leads to what a predictive network makes of it. Both `observe`:

    model, anchor = model.observe(y)
    x = solve(model, anchor, solver, grid).x

A `Regeneration` may refine in frames that lie elsewhere in the sound than those of its prediction.
Then the result is that sound in those frames, and `observe` needs to be told how they are made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sgmse._checks import an, choice, real
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate, Parametrization
from sgmse.networks import Network
from sgmse.sdes import SDE, expand

__all__ = ["Conditioning", "Refinement", "Regeneration", "ScoreModel", "assemble"]


class ScoreModel(nn.Module):
    """The estimate of (x0, noise) at a state of a process.

    Args:
        network: net(x, y, t), complex (batch, channel, frequency, frame) in and out, t (batch,).
        sde: the process.
        parametrization: what the output of the network means.
        latest: the largest time at which it is asked; less than 1 for a score network of a bridge,
            which has no score at its end.

    Raises:
        ValueError: that is no process (`SDE.refusal`), the parametrization does not serve it up to
            the latest time (`Parametrization.refusal`), or that is no time after 0.
    """

    __call__: Callable[..., Estimate]

    def __init__(
        self, network: Network, sde: SDE, parametrization: Parametrization, latest: float = 1.0
    ) -> None:
        super().__init__()
        an("network", network, nn.Module, "NCSNpp()")
        an("sde", sde, SDE, "SBVE()")
        an("parametrization", parametrization, Parametrization, "Data()")
        if why := sde.refusal():
            raise ArgumentError(f"{why}; correct its scales until sde.refusal() is None")
        real("latest", latest)
        if not 0 < latest <= 1:
            raise ArgumentError(f"latest must lie between 0 and 1, not {latest!r}")
        if why := parametrization.refusal(sde, latest):
            raise ArgumentError(why)
        self.network = network
        self.sde = sde
        self.parametrization = parametrization
        self.latest = latest

    def forward(
        self,
        x: Tensor,
        y: Tensor | None,
        t: Tensor,
        seen: Tensor | None = None,
        *,
        s: Tensor | None = None,
    ) -> Estimate:
        """The estimate at x (batch, ...) with the observation y (like x) and times t (batch,).

        Where there is no observation, y is None: the network is given None, and b y is 0. What the
        network sees in its place, if `seen`, may hold several spectrograms along the channel axis;
        it is scaled as y is.

        With a time s (batch,), which a network of `two_times` takes, it is the estimate of the
        whole step from t to s: that with which x_s = a_s x0 + b_s y + sigma_s noise.
        """
        end = x.new_zeros(()).expand_as(x) if y is None else y
        state, observation, time = self.parametrization.inputs(x, end, t, self.sde)
        if seen is not None:
            _, observation, _ = self.parametrization.inputs(x.expand_as(seen), seen, t, self.sde)
        nothing = y is None and seen is None
        times = (
            (time,) if s is None else (time, self.parametrization.inputs(x, end, s, self.sde)[2])
        )
        output: Tensor = self.network(state, None if nothing else observation, *times)
        return self.parametrization.estimate(output, x, end, t, self.sde)

    def score(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """grad log p_t(x | y) = -noise / sigma, in the complex (Wirtinger) convention, like x."""
        return -self(x, y, t).noise / expand(self.sde.scales(t).sigma, x)

    def observe(self, y: Tensor, later: "Later | None" = None) -> tuple["ScoreModel", Tensor]:
        """What `solve` takes for y: a model and the observation to which its process leads."""
        return self, y

    def heard(self, anchor: Tensor) -> Tensor:
        """The observation, in the frames of what `observe` gave: that itself."""
        return anchor

    def delay(self, hop: int) -> int:
        """Samples by which its results are later than y: none (`Regeneration.delay`)."""
        return 0

    @property
    def divisor(self) -> tuple[int, int]:
        """Frequencies and frames must be multiples of these."""
        return self.network.divisor

    @property
    def two_times(self) -> bool:
        """Whether it can be told to which time a step leads."""
        return isinstance(self.network, Network) and self.network.two_times

    @property
    def deaf(self) -> bool:
        """Whether it is a prior of clean audio, to which a recording makes no difference."""
        sees = not isinstance(self.network, Network) or self.network.observations > 0
        return not (sees or self.sde.observed)

    @property
    def trained(self) -> nn.Module:
        """What is trained, averaged and saved."""
        return self.network

    @property
    def parts(self) -> dict[str, Any]:
        """What `assemble` makes the model of."""
        return {
            "network": self.network,
            "sde": self.sde,
            "parametrization": self.parametrization,
            "latest": self.latest,
        }


Conditioning = Literal["noisy", "post", "both"]
Later = Callable[[Tensor], Tensor]  # spectrograms of some sound to those of it some samples later


class Regeneration(nn.Module):
    """Predict, then refine: stochastic regeneration (Lemercier et al. 2023, arXiv:2212.11851).

        anchor = D(y),      x_t = a x0 + b anchor + sigma z

    The predictor D removes noise and, with it, some of the speech; the process restores that from
    where it ends, near x0 already. D is any network, called at t = 1 with y for the state.

    Args:
        predictor: D, from y to an estimate of x0.
        refiner: the model of the process between x0 and the anchor.
        conditioning: what the network of the refiner sees beside the state: y ("noisy"), the anchor
            ("post"), or y and the anchor ("both"), for which it must take two observations.
        moved: how much later than the frames of the prediction those of the refiner lie, as a share
            of the distance between two frames, at least 0 and less than 1. What a network makes of
            a sound depends a little on where its frames lie; at 1/2 a refiner sees what the
            predictor has done to it from between them.

    Its process, parametrization and latest time are those of the refiner.

    Raises:
        ValueError: an unknown conditioning, networks that take another number of observations, or
            no such share.
    """

    __call__: Callable[..., Estimate]

    def __init__(
        self,
        predictor: Network,
        refiner: ScoreModel,
        conditioning: Conditioning = "both",
        moved: float = 0.0,
    ) -> None:
        super().__init__()
        an("predictor", predictor, nn.Module, "NCSNpp()")
        an("refiner", refiner, ScoreModel, "ScoreModel(network, sde, parametrization)")
        choice("conditioning", conditioning, get_args(Conditioning))
        wanted = {"predictor": 1, "network": 2 if conditioning == "both" else 1}
        for name, network in (("predictor", predictor), ("network", refiner.network)):
            if network.observations != wanted[name]:
                raise ArgumentError(
                    f"conditioning {conditioning!r} needs a {name} of {wanted[name]} observations, "
                    f"not {network.observations}"
                )
        real("moved", moved)
        if not 0 <= moved < 1:
            raise ArgumentError(
                f"moved must be a share of the distance between two frames, at least 0 and less "
                f"than 1, not {moved!r}"
            )
        self.predictor = predictor
        self.refiner = refiner
        self.conditioning = conditioning
        self.moved = moved
        self.sde = refiner.sde
        self.parametrization = refiner.parametrization
        self.latest = refiner.latest

    def predict(self, y: Tensor) -> Tensor:
        """The anchor D(y), like y."""
        end = torch.ones(y.shape[0], dtype=y.dtype.to_real(), device=y.device)
        anchor: Tensor = self.predictor(y, y, end)
        return anchor

    def forward(self, x: Tensor, anchor: Tensor, t: Tensor, y: Tensor) -> Estimate:
        """The estimate at x of the process to the anchor of y; all (batch, ...), t (batch,)."""
        if self.conditioning == "post":
            return self.refiner(x, anchor, t)
        noisy = y.expand_as(anchor)  # one observation may have several samples
        seen = noisy if self.conditioning == "noisy" else torch.cat([noisy, anchor], dim=1)
        return self.refiner(x, anchor, t, seen)

    def observe(self, y: Tensor, later: Later | None = None) -> tuple["Refinement", Tensor]:
        """What `solve` takes for y: a model and the anchor to which its process leads.

        Args:
            y: the observation.
            later: makes of spectrograms of some sound, like y, those of the same sound `delay`
                samples later (`sgmse.front.FrontEnd.later`); for one whose frames are moved, and
                ignored by others.

        Raises:
            ValueError: the frames are moved, and there is nothing that moves them.
        """
        anchor = self.predict(y)
        if self.moved == 0:
            return Refinement(self, y), anchor
        if later is None:
            raise ArgumentError(
                f"the refiner's frames lie elsewhere (moved={self.moved:g}): observe(y, later) "
                "needs to be told how they are made, as FrontEnd.later does"
            )
        return Refinement(self, later(y)), later(anchor)

    @property
    def deaf(self) -> bool:
        """Never: it has a predictor, which hears the recording."""
        return False

    def delay(self, hop: int) -> int:
        """Samples by which its results are later than y, of frames that are `hop` samples apart."""
        return round(self.moved * hop)

    @property
    def network(self) -> Network:
        """That of the refiner."""
        return self.refiner.network

    @property
    def divisor(self) -> tuple[int, int]:
        """Frequencies and frames must be multiples of these."""
        (f, n), (g, m) = self.predictor.divisor, self.refiner.divisor
        return lcm(f, g), lcm(n, m)

    @property
    def trained(self) -> nn.Module:
        """What is trained, averaged and saved."""
        return self

    @property
    def parts(self) -> dict[str, Any]:
        """What `assemble` makes the model of."""
        return self.refiner.parts | {
            "predictor": self.predictor,
            "conditioning": self.conditioning,
            "moved": self.moved,
        }


@dataclass(frozen=True)
class Refinement:
    """The refiner of a `Regeneration` for one observation y: x, anchor, t to an `Estimate`."""

    model: Regeneration
    y: Tensor

    @property
    def sde(self) -> SDE:
        """The process."""
        return self.model.sde

    @property
    def latest(self) -> float:
        """The largest time at which it is asked."""
        return self.model.latest

    def heard(self, anchor: Tensor) -> Tensor:
        """The observation, in the frames of the anchor."""
        return self.y

    def for_items(self, items: Tensor) -> "Refinement":
        """The same for these items of y, whole numbers (items,) in any order and number."""
        return Refinement(self.model, self.y[items.to(self.y.device)])

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x with the anchor in place of the observation."""
        return self.model(x, y, t, self.y)


def check_steps(model: ScoreModel | Regeneration, steps: int) -> None:
    """Refuse none for a model without a predictor, of which they would be the recording."""
    if steps == 0 and model.parts.get("predictor") is None:
        raise ArgumentError(
            "steps must be at least 1, not 0: the model has no predictor that says anything before "
            "the first one"
        )


def assemble(
    network: Network,
    sde: SDE,
    parametrization: Parametrization,
    latest: float = 1.0,
    predictor: Network | None = None,
    conditioning: Conditioning = "both",
    moved: float = 0.0,
) -> ScoreModel | Regeneration:
    """The model of these parts: a `Regeneration` if there is a predictor."""
    model = ScoreModel(network, sde, parametrization, latest)
    return model if predictor is None else Regeneration(predictor, model, conditioning, moved)
