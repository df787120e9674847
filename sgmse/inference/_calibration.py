"""How far the truth lies from the mean of an ensemble: intervals, their coverage, their correction.

An interval of an `Ensemble` is the disc |x - mean| <= r std, for real x an interval. A Gaussian has
the share p within

    r = sqrt(-ln(1 - p)) for complex x,      r = Phi^-1((1 + p) / 2) for real x,

and no more is known of r if the model is right. If it is not, r is taken from recordings of which
the truth is known, as a quantile of |x - mean| / std: split conformal prediction (Vovk, Gammerman,
Shafer 2005). The bins of a recording depend on each other, so the recordings are what is exchanged:
each of K weighs 1 / (K + 1), shared out over its bins, and 1 / (K + 1) lies at infinity (Lee,
Barber, Willett 2023, on hierarchical data). Then a bin drawn from a new recording lies within with
a probability of at least p, whatever the model and the law, on the mean over calibration sets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf, log, sqrt
from statistics import NormalDist

import torch
from torch import Tensor

from sgmse._checks import kinds, number
from sgmse.errors import ArgumentError
from sgmse.inference._ensembles import Ensemble


def check_level(level: float) -> float:
    """A probability between 0 and 1, ends left out."""
    if not 0 < number("level", level) < 1:
        raise ArgumentError(f"level must lie above 0 and below 1, not {level}")
    return level


def gaussian_radius(level: float, like: Tensor) -> float:
    """r of an interval that holds that share of a Gaussian, complex or real as `like`."""
    check_level(level)
    return sqrt(-log(1 - level)) if like.is_complex() else NormalDist().inv_cdf((1 + level) / 2)


def distances(found: Ensemble, truth: Tensor) -> Tensor:
    """|truth - mean| / std, (batch, ...) and real; infinite where only the spread is 0."""
    if truth.shape != found.mean.shape:
        raise ArgumentError(
            f"the truth {tuple(truth.shape)} must be shaped like the mean of the ensemble, "
            f"{tuple(found.mean.shape)}"
        )
    off = (truth - found.mean).abs()
    return torch.where(off == 0, 0.0, off / found.std)


def coverage(found: Ensemble, truth: Tensor, level: float) -> Tensor:
    """The share (batch,) of the bins of each item whose truth lies within its interval.

    Args:
        found: means and deviations, (batch, ...), as they are or by `Calibration.corrected`.
        truth: clean audio as the model's spectrograms, like the mean.
        level: what a Gaussian of that mean and deviation would have.
    """
    within = distances(found, truth) <= gaussian_radius(level, found.mean)
    return within.flatten(1).double().mean(dim=1)


@dataclass(frozen=True)
class Calibration:
    """Factors on the deviations of ensembles, one for each level of confidence.

    They hold for the model, the sampler and the count of the ensembles that they were fitted on,
    and for recordings like those. Plain numbers: `dataclasses.asdict` keeps them.

    Args:
        levels: probabilities, ascending.
        factors: by which the deviation of a bin is too small (above 1) or too large for each.
        recordings: on how many they were fitted.
    """

    levels: tuple[float, ...]
    factors: tuple[float, ...]
    recordings: int

    def __post_init__(self) -> None:
        kinds(self)
        for level in self.levels:
            check_level(level)
        if not self.levels or len(self.levels) != len(self.factors):
            raise ArgumentError(
                f"a calibration needs as many factors as levels, at least one, not {self.factors} "
                f"for {self.levels}"
            )

    @classmethod
    def fit(
        cls,
        pairs: Iterable[tuple[Ensemble, Tensor]],
        levels: Sequence[float] = (0.5, 0.8, 0.9),
    ) -> "Calibration":
        """From recordings that the model was not trained on, nor anything chosen by.

        Args:
            pairs: ensembles and the truth, (batch, ...) each; every item is a recording. All are
                complex or all real.
            levels: of the intervals that are wanted.

        Raises:
            ValueError: too few recordings for a level p, which needs p / (1 - p).
        """
        scores: list[Tensor] = []
        kind = torch.empty(0)
        for found, truth in pairs:
            scores += [one.flatten().double().cpu() for one in distances(found, truth)]
            kind = found.mean
        count = len(scores)
        for level in levels:
            check_level(level)
            need = ceil(level / (1 - level) - 1e-9)
            if count < need:
                raise ArgumentError(
                    f"intervals of level {level:g} need at least {need} recordings with their "
                    f"truth, not {count}: add some, or take a lower level"
                )
        values = torch.cat(scores)
        weights = torch.cat([torch.full_like(one, 1 / ((count + 1) * len(one))) for one in scores])
        ordered, places = values.sort()
        below = weights[places].cumsum(dim=0)
        factors = []
        for level in levels:
            # The weights sum to their level by roundings only.
            first = int(torch.searchsorted(below, level - 1e-12))
            radius = float(ordered[first]) if first < len(ordered) else inf
            factors.append(radius / gaussian_radius(level, kind))
        return cls(tuple(levels), tuple(factors), count)

    def factor(self, level: float) -> float:
        """That of a level."""
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise ArgumentError(f"the calibration was fitted for the levels {known}, not {level:g}")
        return self.factors[self.levels.index(level)]

    def corrected(self, found: Ensemble, level: float) -> Ensemble:
        """The ensemble with the deviation whose Gaussian interval of that level covers so much."""
        return found._replace(std=found.std * self.factor(level))

    def radius(self, found: Ensemble, level: float) -> Tensor:
        """The radius of the interval of each bin, (batch, ...) and real."""
        return self.corrected(found, level).std * gaussian_radius(level, found.mean)
