"""Fixtures that every test may use, and the one list of each kind of object under test.

Who adds a process, a parametrization, a solver or a grid adds one line here; the property tests
take the fixtures `sde`, `parametrization`, `solver` and `grid` and so run on it by themselves.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from sgmse import estimates, sdes, solvers
from sgmse.estimates import Parametrization
from sgmse.sdes import SDE
from sgmse.solvers import Grid, Solver

# The same examples in every run: a test that fails now and then is no use to who did not break it.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

torch.set_num_threads(1)  # tensors here are small, and the tests run in two processes

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))  # for `import problems` in the importlib mode

SDES: list[SDE] = [
    sdes.OUVE(),
    sdes.OUVE(theta=2.0, sigma_min=0.1, sigma_max=1.0),
    sdes.FOUVE(),
    sdes.OUVP(),
    sdes.CosineOU(),
    sdes.SBVE(),
    sdes.SBVE(k=0.5, c=1.0),
    sdes.SBVP(),
    sdes.BBED(),
    sdes.BrownianBridge(),
    sdes.VE(),
    sdes.LinearVE(),
    sdes.VP(),
    sdes.CosineVP(),
    sdes.SubVP(),
    sdes.FlowMatching(),
    sdes.StraightFlow(),
    sdes.StraightFlow(sigma_min=0.05),
    sdes.Shifted(sdes.VP(beta_min=0.5, beta_max=5.0)),
    sdes.Scaled(sdes.BBED(theta=0.1, k=10.0), 2.0),
]

if mine := os.environ.get("SGMSE_SDE"):
    # SGMSE_SDE="module:Process()" pytest tests/sdes ... runs the proofs on a process of one's own.
    module, _, expression = mine.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    SDES = [eval(expression, vars(importlib.import_module(module)))]

#: For proofs that take long together: one process of each kind at once, the others as slow tests.
#: A mean that reverts, a bridge, a diffusion from noise, and a flow without noise at its start.
FAMILIES = (sdes.OUVE(), sdes.SBVE(), sdes.VP(), sdes.StraightFlow())
OFTEN = [
    sde if mine or sde in FAMILIES else pytest.param(sde, marks=pytest.mark.slow) for sde in SDES
]


def first_often(count: int, cases: Iterable[Any]) -> list[Any]:
    """The first cases of a proof that takes long as they are, the others as slow tests."""
    return [
        case
        if number < count
        else pytest.param(*(case if isinstance(case, tuple) else [case]), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]


def first_of_each(cases: Iterable[Any]) -> list[Any]:
    """One case of each class, of its first object, as it is, the others as slow tests."""
    kinds: set[type] = set()
    made = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        seen = type(values[0]) in kinds
        kinds.add(type(values[0]))
        made.append(pytest.param(*values, marks=[pytest.mark.slow] * seen))
    return made


def in_turn(first: list[Any], *others: list[Any]) -> list[Any]:
    """All combinations: those of the others with one of the first, in turn, the rest as slow tests.

    So at once there is every combination of the others, and every value of the first.
    """
    numbers = product(*(range(len(values)) for values in (first, *others)))
    return [
        pytest.param(
            *(values[i] for values, i in zip((first, *others), places, strict=True)),
            marks=[pytest.mark.slow] * (sum(places) % len(first) > 0),
        )
        for places in numbers
    ]


PARAMETRIZATIONS: list[Parametrization] = [
    estimates.Score(),
    estimates.Score(sign=-1),
    estimates.Score(scaling="1/sigma"),
    estimates.Score(sign=-1, scaling="1/t"),
    estimates.Noise(),
    estimates.Data(),
    estimates.Velocity(),
    estimates.EDM(),
    estimates.Preconditioned(c_in="edm", c_out="sigma", c_skip="edm", scaling="1/t"),
    estimates.Preconditioned(of="mean", c_in="edm", scaling="1/sigma", sigma_data=0.3),
    estimates.Preconditioned(of="data", c_out="edm", c_skip="edm", sigma_data=0.2),
    estimates.Preconditioned(of="data", c_out="1/sigma"),
    estimates.Additive(),
    estimates.Additive(of="data"),
]

SOLVERS: list[Solver] = [
    solvers.Exponential(),
    solvers.Exponential(start=0.0),
    solvers.Exponential(eta=0.5),
    solvers.Exponential(eta=1.0),
    solvers.Multistep(),
    solvers.Multistep(eta=0.5),
    solvers.Multistep(eta=1.0),
    solvers.Multistep(order=3),
    solvers.Multistep(eta=1.0, order=3),
    solvers.UniPC(),
    solvers.UniPC(order=3),
    solvers.Singlestep(),
    solvers.Singlestep(eta=0.5, ratio=0.3),
    solvers.Singlestep(eta=1.0),
    solvers.PredictorCorrector(),
    solvers.PredictorCorrector(corrector=None),
    solvers.PredictorCorrector(predictor=None),
    solvers.PredictorCorrector(corrector=solvers.Langevin(steps=2)),
    solvers.PredictorCorrector(
        solvers.EulerMaruyama(stepsize=0.1), solvers.AnnealedLangevin(0.3, 2), denoise=False
    ),
    solvers.PredictorCorrector(solvers.Multistep(eta=0.5), solvers.AnnealedLangevin(0.3)),
    solvers.EulerMaruyama(),
    solvers.EulerMaruyama(eta=0.0),
    solvers.ReverseDiffusion(),
    solvers.InterpolatingSDE(),
    solvers.InterpolatingSDE(kappa=0.5, published=True),
    solvers.MeanShifted(),
    solvers.Restart(),
    solvers.Heun(),
    solvers.Heun(churn=0.2, noise=1.1, first=0.8, last=0.1),
    solvers.RungeKutta4(),
    solvers.DormandPrince(rtol=1e-3, atol=1e-3),
]

SOLVERS_OFTEN = first_of_each(SOLVERS)

GRIDS: list[Grid] = [
    solvers.Uniform(5),
    solvers.Polynomial(5),
    solvers.Cosine(5),
    solvers.LogSNR(5),
    solvers.AsinhSNR(5),
    solvers.Karras(5),
]


def seed() -> None:
    """The same draws for a test, whatever ran before it."""
    # torch.manual_seed would note three stack traces for devices that are not there: 2 ms.
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(0)


def pytest_collection() -> None:
    """Thousands of tests are made and kept, which no search for garbage needs to look at."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser takes long to start, and for every page."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def seeded() -> None:
    seed()


def together(**lists: Iterable[Any]) -> Callable[[Callable], Callable]:
    """One test of all combinations of these values: a short proof costs less than a test does.

    Each has the draws of a test of its own. All are tried, and those that fail are named; those
    that are skipped are passed over, unless all are. Values that are marked, as those of OFTEN,
    make a test of their own with their marks.
    """
    param = type(pytest.param())
    plain, marked, marks = [], [], []
    for values in product(*lists.values()):
        own = [mark for value in values if isinstance(value, param) for mark in value.marks]
        bare = [
            value
            if not isinstance(value, param)
            else value.values[0]
            if len(value.values) == 1
            else value.values
            for value in values
        ]
        (marked if own else plain).append(dict(zip(lists, bare, strict=True)))
        marks = own or marks
    groups = [pytest.param(plain, id="all")] * bool(plain)
    groups += [pytest.param(marked, marks=marks, id="others")] * bool(marked)

    def decorate(test: Callable) -> Callable:
        @wraps(test)
        def run(*, cases: list[dict[str, Any]], **given: Any) -> None:
            failed, skipped = [], []
            for case in cases:
                seed()
                try:
                    test(**given, **case)
                except pytest.skip.Exception as reason:
                    skipped.append(reason)
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"with {case}")
                    failed.append(error)
            if len(failed) > 1:
                raise BaseExceptionGroup(f"{len(failed)} of {len(cases)} cases fail", failed)
            for error in failed or skipped[: len(skipped) == len(cases)]:
                raise error

        asked = [p for name, p in signature(test).parameters.items() if name not in lists]
        both = [*asked, Parameter("cases", Parameter.KEYWORD_ONLY)]
        run.__signature__ = signature(test).replace(parameters=both)
        return pytest.mark.parametrize("cases", groups)(run)

    return decorate


def each(objects: list) -> Any:
    """A fixture that is every object of a list in turn."""
    return pytest.fixture(params=objects, ids=repr)(lambda request: request.param)


sde = each(SDES)
parametrization = each(PARAMETRIZATIONS)
solver = each(SOLVERS)
grid = each(GRIDS)


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
