"""Solvers at work on a posterior of one number, whose estimates are exact.

trajectories({"ODE": Exponential(), "SDE": Exponential(eta=1.0)}, OUVE(), LogSNR(8, end=0.03))
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sgmse._checks import an, whole
from sgmse.errors import ArgumentTypeError
from sgmse.plot.house import Theme, colours, panels, style
from sgmse.plot.posterior import Posterior
from sgmse.sdes import SDE
from sgmse.solvers import Grid, Solver, Trajectory, solve

EXACT = 100_000  # samples of the posterior itself

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def trajectories(
    solvers: Solver | Mapping[str, Solver],
    sde: SDE,
    grid: Grid,
    *,
    posterior: Posterior | None = None,
    paths: int = 24,
    samples: int = 4000,
    seed: int = 0,
    theme: Theme = "light",
) -> "Figure":
    """Paths of solvers from t = 1 to clean, over the density of the process; where they end.

    For each solver a row: to the left some paths over the exact density of the state at each time
    (each time on its own scale), to the right all ends as a histogram, the exact density, and their
    distance, W1 / sd: Wasserstein-1 between samples and posterior over the deviation of that.

    Args:
        solvers: one, or several by name.
        sde: the process.
        grid: the times.
        posterior: what is to be sampled; two modes if absent.
        paths: that are drawn.
        samples: in the histogram.
        seed: of the noise, the same for each solver.
        theme: "light" or "dark".

    Raises `ArgumentError` for what `solve` refuses, `MissingPackageError` without matplotlib.
    """
    named = solvers if isinstance(solvers, Mapping) else {repr(solvers): solvers}
    for solver in named.values():
        an("solver", solver, Solver, "Exponential()")
    if not named:
        raise ArgumentTypeError("solvers must be a solver, or several by name, not none")
    an("sde", sde, SDE, "SBVE()")
    whole("paths", paths, 1)
    law = Posterior() if posterior is None else posterior
    runs = {
        name: run(solver, sde, grid, law, whole("samples", samples, paths), seed)
        for name, solver in named.items()
    }
    exact = law.draw(EXACT, seed).sort().values
    with style(theme):
        figure, axes = panels(
            len(runs), 2, 9, 0.6 + 2.6 * len(runs), sharex="col", sharey=True, width_ratios=(3, 1)
        )
        low, high = _range(law, sde)
        for (name, (times, states)), left, right in zip(
            runs.items(), axes[::2], axes[1::2], strict=True
        ):
            _density(left, law, sde, (low, high), theme)
            drawn, tones = states[:, :paths].numpy(), colours(theme)
            left.plot(times.numpy(), drawn, color=tones["c1"], lw=0.8, alpha=0.75)
            left.plot(float(times[0]), law.y, "D", color=tones["c0"], zorder=3)
            steps = len(times) - 1
            left.set(title=f"{name}, {steps} step{'s' * (steps > 1)}", ylabel="state")
            left.set(xlim=(float(times[0]), 0), ylim=(low, high))
            _ends(right, states[-1], law, sde, (low, high), theme)
            right.locator_params(axis="x", nbins=3)
            right.set_title(f"W1 / sd = {distance(states[-1], exact):.3f}")
        axes[-2].set_xlabel("time t of the process")
        axes[-1].set_xlabel("density of x0")
    return figure


def run(
    solver: Solver, sde: SDE, grid: Grid, law: Posterior, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Times (times,) and states (times, count) of a solver on exact estimates."""
    generator = torch.Generator().manual_seed(seed)

    def randn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    path = Trajectory()
    y = torch.full((count, 1), law.y, dtype=torch.float64)
    start = None if sde.observed else sde.prior(None, randn(y), grid.start)
    seen = y if sde.observed else None
    solve(law.model(sde), seen, solver, grid, x=start, randn=randn, callback=path)
    return torch.tensor(path.times, dtype=torch.float64), path.states()[:, :, 0]


def distance(samples: Tensor, exact: Tensor) -> float:
    """Wasserstein-1 between samples (n,) and sorted exact ones, over the deviation of these."""
    places = (torch.arange(len(samples)) + 0.5) / len(samples)
    quantiles = exact[(places * len(exact)).long()]
    return float((samples.sort().values - quantiles).abs().mean() / exact.std())


def _range(law: Posterior, sde: SDE) -> tuple[float, float]:
    """Where states are: from the lowest mode to the highest, with three deviations, at any time."""
    _, centre, variance, _ = law.modes(torch.linspace(0, 1, 101, dtype=torch.float64), sde)
    spread = 3 * variance.sqrt()
    return float((centre - spread).min()), float((centre + spread).max())


def _density(
    axes: "Axes", law: Posterior, sde: SDE, ends: tuple[float, float], theme: Theme
) -> None:
    """The exact density of the state as a picture, each time relative to its own highest point."""
    from matplotlib.colors import LinearSegmentedColormap

    count = 300
    t = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    x = ends[0] + (torch.arange(count, dtype=torch.float64) + 0.5) / count * (ends[1] - ends[0])
    density = law.density(x, t, sde)
    level = density / density.amax(dim=1, keepdim=True)
    tones = colours(theme)
    shades = LinearSegmentedColormap.from_list("density", [tones["paper"], tones["faint"]])
    image = axes.imshow(level.T.numpy(), shades, aspect="auto", origin="lower", vmin=0, vmax=2)
    image.set_extent((0, 1, *ends))
    axes.grid(visible=False)


def _ends(
    axes: "Axes",
    samples: Tensor,
    law: Posterior,
    sde: SDE,
    ends: tuple[float, float],
    theme: Theme,
) -> None:
    """A histogram of the samples over the height, and the exact density as a line."""
    tones = colours(theme)
    axes.hist(
        samples.numpy(),
        bins=80,
        range=ends,
        density=True,
        orientation="horizontal",
        color=tones["c1"],
        alpha=0.6,
    )
    x = torch.linspace(*ends, 600, dtype=torch.float64)
    exact = law.density(x, torch.zeros(1, dtype=torch.float64), sde)[0]
    axes.plot(exact.numpy(), x.numpy(), color=tones["c0"])
