"""Fixtures that every test may use, and the one list of each kind of object under test.

Who adds a process, a parametrization, a solver or a grid adds one line here; the property tests
take the fixtures `sde`, `parametrization`, `solver` and `grid` and so run on it by themselves.
"""

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from sgmse.estimates import (
    EDM,
    Additive,
    Data,
    Noise,
    Parametrization,
    Preconditioned,
    Score,
    Velocity,
)
from sgmse.sdes import (
    BBED,
    FOUVE,
    OUVE,
    OUVP,
    SBVE,
    SBVP,
    SDE,
    VE,
    VP,
    BrownianBridge,
    CosineOU,
    CosineVP,
    FlowMatching,
    LinearVE,
    Scaled,
    Shifted,
    StraightFlow,
    SubVP,
)
from sgmse.solvers import (
    AnnealedLangevin,
    AsinhSNR,
    Cosine,
    DormandPrince,
    EulerMaruyama,
    Exponential,
    Grid,
    Heun,
    InterpolatingSDE,
    Karras,
    Langevin,
    LogSNR,
    MeanShifted,
    Multistep,
    Polynomial,
    PredictorCorrector,
    ReverseDiffusion,
    RungeKutta4,
    Singlestep,
    Solver,
    Uniform,
    UniPC,
)

# The same examples in every run: a test that fails now and then is no use to who did not break it.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

torch.set_num_threads(1)  # tensors here are small, and the tests run in two processes

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))  # for `import problems` in the importlib mode

SDES: list[SDE] = [
    OUVE(),
    OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0),
    FOUVE(),
    OUVP(),
    CosineOU(),
    SBVE(),
    SBVE(k=0.5, c=1.0),
    SBVP(),
    BBED(),
    BrownianBridge(),
    VE(),
    LinearVE(),
    VP(),
    CosineVP(),
    SubVP(),
    FlowMatching(),
    StraightFlow(),
    StraightFlow(sigma_min=0.05),
    Shifted(VP(beta_min=0.5, beta_max=5.0)),
    Scaled(BBED(theta=0.1, k=10.0), 2.0),
]

if mine := os.environ.get("SGMSE_SDE"):
    # SGMSE_SDE="module:Process()" pytest tests/sdes ... runs the proofs on a process of one's own.
    module, _, expression = mine.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    SDES = [eval(expression, vars(importlib.import_module(module)))]

#: For proofs that take long together: one process of each family at once, the others as slow tests.
FAMILIES = (OUVE(), SBVE(), BBED(), VP(), FlowMatching(), StraightFlow())
OFTEN = [
    sde if mine or sde in FAMILIES else pytest.param(sde, marks=pytest.mark.slow) for sde in SDES
]

PARAMETRIZATIONS: list[Parametrization] = [
    Score(),
    Score(sign=-1),
    Score(scaling="1/sigma"),
    Score(sign=-1, scaling="1/t"),
    Noise(),
    Data(),
    Velocity(),
    EDM(),
    Preconditioned(c_in="edm", c_out="sigma", c_skip="edm", scaling="1/t"),
    Preconditioned(of="mean", c_in="edm", scaling="1/sigma", sigma_data=0.3),
    Preconditioned(of="data", c_out="edm", c_skip="edm", sigma_data=0.2),
    Preconditioned(of="data", c_out="1/sigma"),
    Additive(),
    Additive(of="data"),
]

SOLVERS: list[Solver] = [
    Exponential(),
    Exponential(start=0.0),
    Exponential(eta=0.5),
    Exponential(eta=1.0),
    Multistep(),
    Multistep(eta=0.5),
    Multistep(eta=1.0),
    Multistep(order=3),
    Multistep(eta=1.0, order=3),
    UniPC(),
    UniPC(order=3),
    Singlestep(),
    Singlestep(eta=0.5, ratio=0.3),
    Singlestep(eta=1.0),
    PredictorCorrector(),
    PredictorCorrector(corrector=None),
    PredictorCorrector(predictor=None),
    PredictorCorrector(corrector=Langevin(steps=2)),
    PredictorCorrector(EulerMaruyama(stepsize=0.1), AnnealedLangevin(0.3, 2), denoise=False),
    PredictorCorrector(Multistep(eta=0.5), AnnealedLangevin(0.3)),
    EulerMaruyama(),
    EulerMaruyama(eta=0.0),
    ReverseDiffusion(),
    InterpolatingSDE(),
    InterpolatingSDE(kappa=0.5, published=True),
    MeanShifted(),
    Heun(),
    Heun(churn=0.2, noise=1.1, first=0.8, last=0.1),
    RungeKutta4(),
    DormandPrince(rtol=1e-3, atol=1e-3),
]

GRIDS: list[Grid] = [Uniform(5), Polynomial(5), Cosine(5), LogSNR(5), AsinhSNR(5), Karras(5)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same draws for a test, whatever ran before it."""
    # torch.manual_seed would note three stack traces for devices that are not there: 2 ms.
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(0)


@pytest.fixture(params=SDES, ids=repr)
def sde(request: pytest.FixtureRequest) -> SDE:
    """Every process of the library, with several constants."""
    return request.param


@pytest.fixture(params=PARAMETRIZATIONS, ids=repr)
def parametrization(request: pytest.FixtureRequest) -> Parametrization:
    """Every parametrization of the library."""
    return request.param


@pytest.fixture(params=SOLVERS, ids=repr)
def solver(request: pytest.FixtureRequest) -> Solver:
    """Every solver of the library."""
    return request.param


@pytest.fixture(params=GRIDS, ids=repr)
def grid(request: pytest.FixtureRequest) -> Grid:
    """Every time grid of the library."""
    return request.param


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora and parity vectors that lies beside the repository.

    Without it the tests that need it are skipped; with SGMSE_REQUIRE_SHARED=1 they fail.
    """
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        if os.environ.get("SGMSE_REQUIRE_SHARED") == "1":
            pytest.fail("the folder ../shared is required but absent")
        pytest.skip("the folder ../shared (corpora and parity vectors) is absent")
    return folder


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """The folder of vectors made with the published code."""
    return shared / "parity"
