"""How near posterior sampling with a prior comes to the posterior: python benchmarks/posteriors.py

Writes benchmarks/results/posteriors/posteriors.md and .json.

Priors of eight real elements whose posterior is known: "equal", N(0, 1) each; "smooth", one
Gaussian with the correlations 0.9^|i - j|; "modes", three smooth Gaussians of a third of that
variance around means of N(0, 1). Measurements of four draws of each prior, with noise of 0.2:
all elements (denoising), five of eight (a gap), up to half of the band, a room of three taps, and,
for "equal" alone, elements clipped at 0.7.

A cell has two numbers: how far the mean of {count} samples is off, in deviations of the posterior
(root mean square over elements and measurements), and their deviation over that of the posterior
(root of the mean ratio of variances); 0.00 and 1.00 are right, and of exact samples the first is
about {floor:.2f}. All have a budget of {steps} evaluations; on VP from t = 1 to 0.001 in equal
steps of lambda. "Flow" is `Multistep()`, "SDE" `Multistep(eta=1.0)`.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from writing import arguments, paragraph, write

from sgmse.estimates import Estimate
from sgmse.inference import (
    DAPS,
    DPS,
    MMPS,
    Clipping,
    DiffPIR,
    Filter,
    Mask,
    Measurement,
    Operator,
    PiGDM,
    Posterior,
    PublishedDPS,
    Renewed,
    Room,
)
from sgmse.report.text import markdown_table
from sgmse.sdes import SDE, VP
from sgmse.solvers import LogSNR, Model, Multistep, Solver, solve

SIZE, DRAWS, COUNT, STEPS = 8, 4, 1024, 50
NOISE = 0.2
REAL = torch.float64
PAGE = """# Posterior sampling with a prior, against the posterior

Made by `python benchmarks/posteriors.py`.

{about}

{laws}

{cells}

{tables}
"""
KEPT = torch.tensor([1, 1, 0, 0, 1, 1, 0, 1], dtype=REAL)
OPERATORS: dict[str, Operator] = {
    "all": Mask(torch.ones(SIZE, dtype=REAL)),
    "gap": Mask(KEPT),
    "half band": Filter(torch.tensor([1, 1, 1, 0, 0], dtype=REAL)),
    "room": Room(torch.tensor([1.0, 0.6, -0.3], dtype=REAL)),
    "clipped": Clipping(0.7),
}


@dataclass(frozen=True, eq=False)
class Prior:
    """A mixture of Gaussians: means (modes, size), covariances (modes, size, size), weights."""

    means: Tensor
    covariances: Tensor
    weights: Tensor
    sde: SDE = field(default_factory=VP)
    latest: float = 1.0

    @cached_property
    def axes(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues and eigenvectors of each covariance."""
        values, vectors = torch.linalg.eigh(self.covariances)
        return values.clamp(min=0), vectors

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The exact estimate at x (batch, size)."""
        a, _, sigma = (scale[:, None, None] for scale in self.sde.scales(t))
        values, vectors = self.axes
        c = torch.einsum("kij,bki->bkj", vectors, x[:, None] - a * self.means)
        w = a**2 * values + sigma**2
        logs = (-(c**2) / w - w.log()).sum(dim=2) / 2 + self.weights.log()
        x0 = self.means + torch.einsum("kij,bkj->bki", vectors, a * values * c / w)
        x0 = (torch.softmax(logs, dim=1)[..., None] * x0).sum(dim=1)
        return Estimate(x0, (x - a[:, 0] * x0) / sigma[:, 0])

    def draw(self, count: int, seed: int) -> Tensor:
        """(count, size)."""
        rng = torch.Generator().manual_seed(seed)
        mode = torch.multinomial(self.weights, count, replacement=True, generator=rng)
        z = torch.randn(count, SIZE, dtype=REAL, generator=rng)
        values, vectors = self.axes
        return self.means[mode] + torch.einsum("bij,bj->bi", vectors[mode], values[mode].sqrt() * z)

    def given(self, A: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variances (size,) of x0 given m = A x0 + noise."""
        C = self.covariances
        S = A @ C @ A.T + NOISE**2 * torch.eye(SIZE, dtype=REAL)
        residual = m - self.means @ A.T
        gain = C @ A.T @ torch.linalg.inv(S)
        logs = -(residual[:, None] @ torch.linalg.inv(S) @ residual[..., None])[:, 0, 0] / 2
        shares = torch.softmax(logs - torch.logdet(S) / 2 + self.weights.log(), dim=0)
        means = self.means + (gain @ residual[..., None])[..., 0]
        variances = (C - gain @ A @ C).diagonal(dim1=1, dim2=2)
        mean = shares @ means
        return mean, shares @ (variances + (means - mean) ** 2)


def clipped(limit: float, m: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variances of elements of N(0, 1) given m = clip(x0) + noise, by quadrature."""
    x = torch.linspace(-8, 8, 16_001, dtype=REAL)
    off = x.clamp(-limit, limit) - m[:, None]
    p = torch.softmax(-(x**2) / 2 - off**2 / (2 * NOISE**2), dim=1)
    mean = p @ x
    return mean, p @ x**2 - mean**2


def priors() -> dict[str, Prior]:
    place = torch.arange(SIZE, dtype=REAL)
    smooth = 0.9 ** (place[:, None] - place).abs()
    means = torch.randn(3, SIZE, dtype=REAL, generator=torch.Generator().manual_seed(5))
    one, zero = torch.ones(1, dtype=REAL), torch.zeros(1, SIZE, dtype=REAL)
    return {
        "equal": Prior(zero, torch.eye(SIZE, dtype=REAL)[None], one),
        "smooth": Prior(zero, smooth[None], one),
        "modes": Prior(
            means, (smooth / 3).expand(3, -1, -1), torch.tensor([0.5, 0.3, 0.2], dtype=REAL)
        ),
    }


def methods(prior: Prior, measured: Measurement) -> dict[str, tuple[Model, Solver, int]]:
    """Model, solver and steps of each."""
    flow, sde = Multistep(), Multistep(eta=1.0)

    def posterior(by: object) -> Posterior:
        return Posterior(prior, measured, by)  # type: ignore[arg-type]

    return {
        "MMPS, flow": (posterior(MMPS(SIZE)), flow, STEPS),
        "MMPS, SDE": (posterior(MMPS(SIZE)), sde, STEPS),
        "MMPS(1), SDE": (posterior(MMPS(1)), sde, STEPS),
        "PiGDM, flow": (posterior(PiGDM()), flow, STEPS),
        "PiGDM, SDE": (posterior(PiGDM()), sde, STEPS),
        "DPS, SDE": (posterior(DPS()), sde, STEPS),
        "DPS(0.1), SDE": (posterior(DPS(0.1)), sde, STEPS),
        "PublishedDPS": (prior, PublishedDPS(measured), STEPS),
        "DiffPIR, 0.3": (posterior(DiffPIR()), Renewed(0.3), STEPS),
        "DiffPIR, 1": (posterior(DiffPIR()), Renewed(1.0), STEPS),
        "DAPS(variance=1)": (prior, DAPS(measured, variance=1.0), STEPS),
        "DAPS": (prior, DAPS(measured), STEPS),
        "DAPS(steps=5)": (prior, DAPS(measured, steps=5), STEPS // 5),
    }


def errors(prior: Prior, operator: Operator) -> dict[str, tuple[float, float] | None]:
    """Of each method: how far its mean is off, and its deviation, over the posterior's.

    None for one that explodes.
    """
    truth = prior.draw(DRAWS, seed=1)
    rng = torch.Generator().manual_seed(2)
    seen = operator(truth) + NOISE * torch.randn(DRAWS, SIZE, dtype=REAL, generator=rng)
    if operator.linear:
        A = operator(torch.eye(SIZE, dtype=REAL)).T
        laws = [prior.given(A, m) for m in seen]
    else:
        laws = [clipped(operator.limit, m) for m in seen]  # type: ignore[attr-defined]
    mean, variance = (torch.stack(part) for part in zip(*laws, strict=True))
    measured = Measurement(operator, seen.repeat_interleave(COUNT, dim=0), NOISE)
    found: dict[str, tuple[float, float] | None] = {}
    for name, (model, solver, steps) in methods(prior, measured).items():
        noise = torch.Generator().manual_seed(3)

        def randn(like: Tensor, noise: torch.Generator = noise) -> Tensor:
            return torch.randn(like.shape, dtype=like.dtype, generator=noise)

        start = randn(measured.value)
        x = solve(model, None, solver, LogSNR(steps, 1.0, 1e-3), x=start, randn=randn).x
        runs = x.reshape(DRAWS, COUNT, SIZE)
        off = ((runs.mean(dim=1) - mean) ** 2 / variance).mean().sqrt()
        spread = (runs.var(dim=1) / variance).mean().sqrt()
        ends = torch.stack([off, spread])
        found[name] = (float(off), float(spread)) if bool((ends < 99).all()) else None
    return found


def cell(found: tuple[float, float] | None) -> str:
    return "explodes" if found is None else f"{found[0]:.2f} / {found[1]:.2f}"


def main() -> None:
    folder = arguments(__doc__).parse_args().output / "posteriors"
    numbers: dict[str, dict[str, dict[str, tuple[float, float] | None]]] = {}
    tables = []
    for name, prior in priors().items():
        numbers[name] = {
            own: errors(prior, operator)
            for own, operator in OPERATORS.items()
            if operator.linear or name == "equal"
        }
        kinds = list(numbers[name])
        rows = [
            [method, *(cell(numbers[name][kind][method]) for kind in kinds)]
            for method in numbers[name]["all"]
        ]
        tables.append(f"## {name}\n\n" + markdown_table(["", *kinds], rows))
    page = PAGE.format(
        about="What each of `sgmse.inference`'s methods makes of a prior with an exact estimate.",
        laws=paragraph(__doc__, 2),
        cells=paragraph(__doc__, 3).format(count=COUNT, floor=COUNT**-0.5, steps=STEPS),
        tables="\n\n".join(tables),
    )
    write(folder, "posteriors", page, numbers)


if __name__ == "__main__":
    main()
