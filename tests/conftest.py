"""Fixtures that every test may use, and the one list of each kind of object under test.

Who adds a process, a parametrization, a solver or a grid adds one line here; the property tests
take the fixtures `sde`, `parametrization`, `solver` and `grid` and so run on it by themselves.
"""

import os
import sys
from pathlib import Path

import pytest
import torch

from sgmse.estimates import Data, Noise, Parametrization, Score
from sgmse.sdes import BBED, OUVE, SBVE, SDE, VE, VP
from sgmse.solvers import (
    AnnealedLangevin,
    Exponential,
    Grid,
    Langevin,
    LogSNR,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Solver,
    Uniform,
)

torch.set_num_threads(1)  # tensors here are small, and the tests run in two processes

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))  # for `import problems` in the importlib mode

SDES: list[SDE] = [
    OUVE(),
    OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0),
    SBVE(),
    SBVE(k=0.5, c=1.0),
    BBED(),
    BBED(theta=0.1, k=10.0),
    VE(),
    VE(sigma_min=0.05, sigma_max=0.5),
    VP(),
    VP(beta_min=0.5, beta_max=5.0),
]

PARAMETRIZATIONS: list[Parametrization] = [Score(), Score(sign=-1), Noise(), Data()]

SOLVERS: list[Solver] = [
    Exponential(),
    Exponential(start=0.0),
    Exponential(eta=0.5),
    Exponential(eta=1.0),
    Multistep(),
    Multistep(eta=0.5),
    Multistep(eta=1.0),
    PredictorCorrector(),
    PredictorCorrector(corrector=None),
    PredictorCorrector(predictor=None),
    PredictorCorrector(corrector=Langevin(steps=2)),
    PredictorCorrector(ReverseDiffusion(stepsize=0.1), AnnealedLangevin(0.3, 2), denoise=False),
]

GRIDS: list[Grid] = [Uniform(5), LogSNR(5)]


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
