"""A study of samplers: solvers x shares of fresh noise x grids x steps, of one model.

    study = Study({"Multistep": Multistep()}, {"Uniform": Uniform(end=0.0)}, steps=(1, 2, 4))
    results = run_study(study, NoisySet(Path("clean"), Path("noisy")), "runs/study", workers=4)
    results.write("results/")

A sampler that the process refuses is not run, and has its reason. One that the model is not made
for is run all the same, as a study is there to find such out, and is named. Samplers that are one
computation under several names, as most are at one step, are run once: those that do the same to a
`Probe`.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from sgmse import solvers
from sgmse.bench._study_results import OWN, REFERENCE, Setting, StudyResults
from sgmse.bench._systems import Noisy, System
from sgmse.bench.models import Model
from sgmse.bench.run import run_suite
from sgmse.bench.suite import NAME, NoisySet, Suite
from sgmse.enhancer import Enhancer
from sgmse.errors import SamplerWarning, SuiteError
from sgmse.estimates import Estimate
from sgmse.metrics.measures import Measure
from sgmse.scoring.scores import Stages
from sgmse.scoring.workers import Pool
from sgmse.sdes import SDE, expand
from sgmse.solvers import Grid, Sampler, SamplerRange, Solver, solve, too_late

MEASURES = ("pesq-wb", "estoi", "si-sdr")
SET = "recordings"  # the name of the set that a study runs on
NOISY = "noisy"  # the name of the recordings as they are
SAME = 1e-7  # relative: two ways to compute one thing differ by roundings of float64


@dataclass(frozen=True)
class Study:
    """What is swept. The sampler that the model recommends always takes part, as `OWN`, and is what
    the others are compared with, if there is no other `REFERENCE`.

    Args:
        solvers: by name; one with `eta` is taken with each of `etas`. `start`, the share of fresh
            noise in a first step from a pinned end, goes with it.
        grids: by name; each is taken with each of `steps`.
        steps: numbers of steps.
        etas: shares of fresh noise, 0 (ODE) to 1 (SDE).
        fixed: more solvers by name, taken as they are.
        model: "default", a folder, a published checkpoint or "hf://owner/name".
        device: where it runs, see `Model`.
        reference: the sampler that the others are compared with, such as the published one.

    Raises `SuiteError` for names and numbers that cannot be.
    """

    solvers: Mapping[str, Solver]
    grids: Mapping[str, Grid]
    steps: tuple[int, ...] = (1, 2, 4, 8)
    etas: tuple[float, ...] = (0.0, 1.0)
    fixed: Mapping[str, Solver] = field(default_factory=dict)
    model: str = "default"
    device: str | None = None
    reference: Sampler | None = None

    def __post_init__(self) -> None:
        if twice := set(self.solvers) & set(self.fixed):
            raise SuiteError(f"solvers: {twice.pop()!r} is named twice")
        for name in [*self.solvers, *self.fixed, *self.grids]:
            if not NAME.fullmatch(name):
                raise SuiteError(f"{name!r} cannot name a solver or grid; leave out slashes, bars")
        if not (self.solvers or self.fixed) or not self.grids:
            raise SuiteError("a study needs a solver and a grid at least")
        if not _different(self.steps) or min(self.steps) < 1:
            raise SuiteError(f"steps must be different numbers of at least 1, not {self.steps}")
        shares = _different(self.etas) and all(0 <= eta <= 1 for eta in self.etas)
        if self.solvers and not shares:
            raise SuiteError(f"etas must be different numbers from 0 to 1, not {self.etas}")

    @cached_property
    def enhancer(self) -> Enhancer:
        """The model with the sampler that it recommends. Raises `ValueError` if there is none."""
        return self._own.enhancer()

    def settings(self) -> list[Setting]:
        """All that is swept, possible or not, in the order of the tables.

        The first is that with which the others are compared.

        One that is the same computation as an earlier one has its name in `same_as`.
        """
        sde = self.enhancer.model.sde
        fingerprints: dict[str, tuple[int, Tensor]] = {}
        settings = []
        for setting in self._swept():
            if not setting.refused:
                solver = setting.system.solver or self.enhancer.sampler.solver
                grid = setting.system.grid or self.enhancer.sampler.grid
                nfe, x = fingerprint(sde, solver, grid)
                alike = (
                    name
                    for name, (calls, other) in fingerprints.items()
                    if nfe == calls and torch.allclose(x, other, rtol=SAME, atol=SAME)
                )
                setting = replace(setting, same_as=next(alike, ""))
                if not setting.same_as:
                    fingerprints[setting.name] = nfe, x
            settings.append(setting)
        return settings

    @property
    def _own(self) -> Model:
        return Model(self.model, device=self.device)

    def _swept(self) -> Iterator[Setting]:
        """`REFERENCE`, `OWN`, and solvers x shares of fresh noise x grids x steps."""
        own, other = self.enhancer.sampler, self.reference
        if other is not None:
            setting = Setting(REFERENCE, REFERENCE, "", None, "", other.grid.steps, self._own)
            yield self._completed(setting, other.solver, other.grid)
        yield Setting(OWN, OWN, "", None, "", own.grid.steps, self._own, str(own))
        swept: list[tuple[str, float | None, Solver]] = [
            (name, eta, solver)
            for name, plain in self.solvers.items()
            for eta, solver in with_etas(plain, self.etas).items()
        ]
        swept += [(name, None, solver) for name, solver in self.fixed.items()]
        for (name, eta, solver), grid, steps in product(swept, self.grids, self.steps):
            share = "" if eta is None else f" eta {eta:g}"
            line = f"{name}{share} {grid}"
            label = f"{line}, {steps} step{'s' * (steps > 1)}"
            setting = Setting(label, line, name, eta, grid, steps, self._own)
            try:
                placed = replace(self.grids[grid], steps=steps)
            except ValueError as error:
                yield replace(setting, refused=str(error))
            else:
                yield self._completed(setting, solver, placed)

    def _completed(self, setting: Setting, solver: Solver, grid: Grid) -> Setting:
        """With its sampler, or why it is not run."""
        model = self.enhancer
        outside = solvers.refusal(Sampler(solver, grid), model.model.sde, model.samplers)
        system = replace(setting.system, solver=solver, grid=grid, force=True)
        return replace(
            setting,
            system=system,
            sampler=f"{solver} on {grid}",
            refused=refusal(model, solver, grid) or "",
            outside=outside is not None,
        )


def _different(numbers: tuple[float, ...]) -> bool:
    """Whether there are some, and none twice."""
    return bool(numbers) and len(set(numbers)) == len(numbers)


def run_study(
    study: Study,
    recordings: NoisySet,
    output: str | Path,
    *,
    seeds: tuple[int, ...] = (0,),
    measures: tuple[str | Measure, ...] = MEASURES,
    files: int | None = None,
    workers: int | Pool = 0,
    progress: Stages | None = None,
) -> StudyResults:
    """Enhance and score what is not there yet, with each sampler of a study.

    Args:
        study: what is swept.
        recordings: what on. The study chooses a sampler: take no recordings that test it later.
        output: folder of the enhanced files and journals, from which an interrupted study goes on.
        seeds: what samplers that draw noise are run with.
        measures: names, or measures of one's own.
        files: how many recordings, evenly spaced over the sorted names; all if absent.
        workers, progress: as for `run_suite`.

    Raises as `run_suite`, before any work.
    """
    settings = study.settings()
    if settings[0].refused:
        raise SuiteError(f"reference: {settings[0].refused}")
    systems: dict[str, System] = {NOISY: Noisy()}
    systems |= {setting.name: setting.system for setting in settings if setting.is_run}
    suite = Suite(
        {SET: recordings},
        systems,
        seeds=seeds,
        measures=measures,
        baseline=settings[0].name,
        files=files,
    )
    load = _load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplerWarning)  # the results say which
        results = run_suite(suite, output, workers=workers, progress=progress)
    return StudyResults(study.model, tuple(settings), results, load)


def _load() -> float | None:
    """Processes that want a core, on average over a minute; None where the system cannot say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def with_etas(solver: Solver, etas: tuple[float, ...]) -> dict[float | None, Solver]:
    """A solver with each share of fresh noise; by None if it has no `eta`."""
    shares = {f.name for f in fields(solver)} & {"eta", "start"}  # type: ignore[arg-type]
    if "eta" not in shares:
        return {None: solver}
    return {eta: replace(solver, **dict.fromkeys(shares, eta)) for eta in etas}  # type: ignore[type-var]


def refusal(enhancer: Enhancer, solver: Solver, grid: Grid) -> str | None:
    """Why a sampler is not tried on a model, with the remedy; None if it is."""
    sde = enhancer.model.sde
    why = solver.refusal(sde, grid.start) or too_late(enhancer.model.latest, grid.start)
    return why or next(SamplerRange().refusals(Sampler(solver, grid), sde), None)


# The same computation


class Probe:
    """A model that is cheap, smooth, and answers no two questions alike.

    x0 = (0.4 + t / 2) y + x (1 + i t) / (2 + |x|^2)
    """

    latest = 1.0

    def __init__(self, sde: SDE) -> None:
        self.sde = sde

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x, y (batch, ...) and t (batch,)."""
        a, b, sigma = (expand(scale, x) for scale in self.sde.scales(t))
        y = torch.zeros_like(x) if y is None else y
        turned = torch.complex(torch.ones_like(t), t)
        x0 = (0.4 + expand(t, x) / 2) * y + x * expand(turned, x) / (2 + x.abs() ** 2)
        noise = torch.where(sigma > 0, x - a * x0 - b * y, 0) / torch.where(sigma > 0, sigma, 1)
        return Estimate(x0, noise)


def fingerprint(sde: SDE, solver: Solver, grid: Grid) -> tuple[int, Tensor]:
    """What a sampler makes of a `Probe`, and in how many evaluations (nfe, x)."""
    generator = torch.Generator().manual_seed(0)

    def randn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    y = randn(torch.empty(1, 1, 4, 4, dtype=torch.complex128))
    x, nfe, _ = solve(Probe(sde), y, solver, grid, randn=randn)
    return nfe, x
