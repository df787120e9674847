"""Solvers and grids as they are written: classes with constants, and nothing else."""

import pytest

from sgmse.bench.expressions import GRIDS, SOLVERS, grids, solvers, usual_grids
from sgmse.solvers import (
    AnnealedLangevin,
    AsinhSNR,
    Cosine,
    Exponential,
    Fitted,
    Heun,
    Multistep,
    Polynomial,
    PredictorCorrector,
    Uniform,
)

OWN = Uniform(7, start=0.9, end=0.01)


def test_names_and_constants():
    text = "Heun,Multistep( order = 3 ), PredictorCorrector(corrector=AnnealedLangevin(snr=0.3)),"
    assert solvers(text) == (
        {
            "Heun": Heun(),
            "Multistep(order=3)": Multistep(order=3),
            "PredictorCorrector(corrector=AnnealedLangevin(snr=0.3))": PredictorCorrector(
                corrector=AnnealedLangevin(0.3)
            ),
        },
        {},
    )


def test_a_solver_that_says_its_eta_keeps_it():
    assert solvers("Exponential, Multistep(eta=0, start=1)") == (
        {"Exponential": Exponential()},
        {"Multistep(eta=0, start=1)": Multistep(eta=0.0, start=1.0)},
    )


def test_grids_have_the_ends_of_the_model():
    assert grids("Polynomial(rho=3), Uniform(start=0.5, finish=False)", OWN) == {
        "Polynomial(rho=3)": Polynomial(start=0.9, end=0.01, rho=3.0),
        "Uniform(start=0.5, finish=False)": Uniform(start=0.5, end=0.01, finish=False),
    }


def test_the_usual_ones():
    free, fixed = solvers(SOLVERS)
    assert list(free) == ["Exponential", "Multistep", "UniPC", "Singlestep", "Heun", "MeanShifted"]
    assert fixed == {"Multistep(eta=0, start=1)": Multistep(eta=0.0, start=1.0)}
    assert list(usual_grids(OWN).values()) == list(grids(GRIDS, OWN).values())
    assert usual_grids(OWN)["AsinhSNR"] == AsinhSNR(start=0.9, end=0.01)
    cosine = Cosine(3, start=0.8)
    assert list(usual_grids(cosine)) == ["Cosine", "Uniform", "AsinhSNR"]
    assert usual_grids(cosine)["Cosine"] == cosine
    fitted = Fitted(2, end=0.0, points=(1.0, 0.4, 0.0))
    assert list(usual_grids(fitted)) == ["Uniform", "AsinhSNR"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Huen", r"--solvers.class: unknown 'Huen' \(did you mean 'Heun'"),
        ("Uniform", "unknown 'Uniform'"),
        ("Heun(churm=1)", "does not take 'churm'"),
        ("Heun(churn=3)", "churn is the share"),
        ("Heun(0.1)", "the name of each constant"),
        ("Heun(**{})", "is no list of names"),
        ("Heun(class_=1), 3", "is no list of names"),
        ("Heun(churn=open('x'))", "is no list of names"),
        ("os.system('x')", "is no list of names"),
        ("Heun(", "is no list of names"),
        ("", "is no list of names"),
        ("Heun, Heun", "Heun is named twice"),
        ("Heun, Heun()", "Heun is named twice"),
    ],
)
def test_what_is_no_solver(text, says):
    with pytest.raises(ValueError, match=says):
        solvers(text, "--solvers")


def test_what_is_no_grid():
    with pytest.raises(ValueError, match="one number of steps"):
        grids("Fitted(points=[1.0, 0.0])", OWN)
    with pytest.raises(ValueError, match="unknown 'Heun'"):
        grids("Heun", OWN)
