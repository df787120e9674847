"""`posterior_variance`: what a model cannot know of clean audio at each time, from data.

At states x_t of clean recordings the mean over all elements of

    "error":  |x0 - x0_hat|^2,      or      "noise":  (sigma / a)^2 (1 - |noise_hat|^2)

is D_t, the variance of x0 given x_t and y, if the estimate is exact. "noise" is Analytic-DPM's (Bao
et al. 2022, arXiv:2201.06503, eq. 8*), which needs no truth beside the states, and is a difference
of near numbers where there is little noise. Of an estimate that errs, "error" is what its steps
lack, its bias with it (Bao et al. 2022, arXiv:2206.07309*).
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from sgmse._checks import arguments, choice, number, whole
from sgmse.errors import ArgumentError
from sgmse.sdes import expand
from sgmse.solvers import Grid, Model, PosteriorVariance, modelled


@torch.no_grad()
def posterior_variance(
    model: Model,
    x0: Tensor,
    y: Tensor | None,
    times: Grid | Iterable[float],
    *,
    by: Literal["error", "noise"] = "error",
    draws: int = 1,
    seed: int = 0,
) -> PosteriorVariance:
    """D_t of a model, for `Exponential(eta=1.0, unknown=...)`.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        x0, y: clean recordings that the model was not trained on and their observations, as the
            model hears them, (batch, ...); y is None without observations.
        times: the grid of the sampler, or times above 0 and up to 1. Each takes `draws` evaluations
            of the batch.
        by: which mean.
        draws: states of each recording at each time.
        seed: of their noise.

    Raises:
        ValueError: no times, or "noise" at one where a or sigma is 0.
    """
    arguments(posterior_variance, locals())
    sde = modelled(model)
    choice("by", by, ("error", "noise"))
    whole("draws", draws, least=1)
    found = times.times(sde).tolist() if isinstance(times, Grid) else times
    points = sorted({float(number("times", t, 0, 1)) for t in found} - {0.0})
    if not points:
        raise ArgumentError("posterior_variance needs at least one time above 0")
    generator = torch.Generator(x0.device).manual_seed(seed)
    values = []
    for point in points:
        t = torch.full((len(x0),), point, dtype=x0.real.dtype, device=x0.device)
        a, _, sigma = sde.scales(t)
        if by == "noise" and not (a[0] > 0 and sigma[0] > 0):
            raise ArgumentError(
                f'by="noise" needs noise and a part of x0 in the state, which {sde} lacks at t = '
                f'{point:g}: take by="error"'
            )
        total = 0.0
        for _ in range(draws):
            z = torch.randn(x0.shape, dtype=x0.dtype, device=x0.device, generator=generator)
            estimate = model(sde.sample(x0, y, t, z), y, t)
            if by == "error":
                total += float((x0 - estimate.x0).abs().square().double().mean())
            else:
                scale = expand((sigma / a) ** 2, x0)
                total += float((scale * (1 - estimate.noise.abs().square())).double().mean())
        values.append(max(total / draws, 0.0))  # no variance is negative, by sampling alone
    return PosteriorVariance(tuple(points), tuple(values))
