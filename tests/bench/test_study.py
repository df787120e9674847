"""A study: what is swept, what is refused, what is one computation, and that it goes on."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny
from recordings import noisy_set

from sgmse.bench import study as studies
from sgmse.bench.study import OWN, Study, fingerprint, run_study, with_etas
from sgmse.bench.suite import NoisySet
from sgmse.checkpoints import save
from sgmse.errors import SuiteError
from sgmse.estimates import Data
from sgmse.model import ScoreModel
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import (
    Exponential,
    Fitted,
    Heun,
    LogSNR,
    Multistep,
    PredictorCorrector,
    Uniform,
    UniPC,
)

SET = NoisySet(Path("clean"), Path("noisy"))
GRID = Uniform(end=0.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a model of a bridge and a set of two recordings."""
    monkeypatch.chdir(tmp_path)
    save(tiny.checkpoint(), "model")
    noisy_set("0", "1")
    return tmp_path


def study(*solvers, **changes) -> Study:
    named = {type(solver).__name__: solver for solver in solvers or (Exponential(),)}
    return replace(Study(named, {"Uniform": GRID}, model="model"), **changes)


def test_everything_is_swept():
    grids = {"Uniform": GRID, "LogSNR": LogSNR()}
    s = study(Exponential(), Heun(), grids=grids, steps=(3, 5), etas=(0.0, 0.5))
    s = replace(s, fixed={"DBIM": Multistep(start=1.0)}, device="cpu")
    own, *found = s.settings()
    assert (own.name, own.steps, own.system.solver) == (OWN, 1, None)
    assert {(one.system.model, one.system.device) for one in (own, *found)} == {("model", "cpu")}
    assert [one.name for one in found] == [
        f"{line} {grid}, {steps} steps"
        for line in ("Exponential eta 0", "Exponential eta 0.5", "Heun", "DBIM")
        for grid in ("Uniform", "LogSNR")
        for steps in (3, 5)
    ]
    by_name = {one.name: one for one in found}
    one = by_name["Exponential eta 0.5 LogSNR, 5 steps"]
    assert one.system.solver == Exponential(eta=0.5, start=0.5)
    assert one.system.grid == LogSNR(5)
    assert (one.solver, one.eta, one.grid, one.steps) == ("Exponential", 0.5, "LogSNR", 5)
    assert by_name["DBIM Uniform, 3 steps"].system.solver == Multistep(eta=0.0, start=1.0)
    assert by_name["DBIM Uniform, 3 steps"].eta is None


def test_one_step_is_called_so():
    assert study(steps=(1,)).settings()[1].name == "Exponential eta 0 Uniform, 1 step"


def test_noise_is_a_matter_of_solvers_that_have_some():
    assert with_etas(Heun(), (0.0, 1.0)) == {None: Heun()}
    assert with_etas(UniPC(order=3), (0.0, 1.0)) == {
        0.0: UniPC(eta=0.0, start=0.0, order=3),
        1.0: UniPC(eta=1.0, start=1.0, order=3),
    }


def test_refusals_have_their_reasons():
    fitted = Fitted(2, end=0.0, points=(1.0, 0.4, 0.0))
    grids = {"Uniform": GRID, "late": Uniform(start=0.9, end=0.0), "fitted": fitted}
    s = study(Heun(), PredictorCorrector(), grids=grids, steps=(2, 12))
    why = {one.name: one.refused for one in s.settings()}
    assert why[OWN] == ""
    assert "start the grid before it" in why["Heun Uniform, 2 steps"]
    assert why["Heun late, 2 steps"] == why["Heun late, 12 steps"] == ""
    assert why["PredictorCorrector late, 2 steps"].endswith("worse in fewer than 10 steps")
    assert why["PredictorCorrector late, 12 steps"] == ""
    assert "fit again" in why["Heun fitted, 12 steps"]


def test_the_latest_time_of_a_model_is_kept():
    checkpoint = tiny.checkpoint()
    model = ScoreModel(tiny.network(), SBVE(), Data(), latest=0.95)
    early = tiny.with_sampler(checkpoint, grid=Uniform(1, start=0.95, end=0.0))
    save(replace(early, model=model), "early")
    _, late, early = study(
        model="early", steps=(2,), etas=(0.0,), grids={"a": GRID, "b": Uniform(start=0.9)}
    ).settings()
    assert "up to t = 0.95" in late.refused
    assert not early.refused


def test_the_same_computation_has_one_name():
    grids = {"Uniform": GRID, "LogSNR": LogSNR(end=0.0)}
    s = study(Exponential(), Multistep(), UniPC(), grids=grids, steps=(1, 2, 4))
    same = {one.name: one.same_as for one in s.settings()}
    run = [name for name, of in same.items() if not of]
    assert run == [
        OWN,
        "Exponential eta 0 Uniform, 2 steps",
        "Exponential eta 0 Uniform, 4 steps",
        "Exponential eta 1 Uniform, 2 steps",
        "Exponential eta 1 Uniform, 4 steps",
        *(
            f"{solver} eta {eta} Uniform, 4 steps"
            for solver in ("Multistep", "UniPC")
            for eta in (0, 1)
        ),
    ]
    # Without noise one step is the model's own sampler; with it, too, as the last step adds none.
    assert {of for name, of in same.items() if name.endswith(" 1 step")} == {OWN}
    # Four steps in log-SNR between t = 0.75 and t = 0.25 of this bridge have their middle at 0.5.
    assert same["Multistep eta 1 LogSNR, 4 steps"] == "Multistep eta 1 Uniform, 4 steps"
    # The second step from a pinned end is of first order.
    assert same["Multistep eta 0 Uniform, 2 steps"] == "Exponential eta 0 Uniform, 2 steps"


@dataclass(frozen=True)
class Wasteful(Exponential):
    """Asks the model twice for the same."""

    def step(self, model, x, y, t, s, memory, randn):
        model(x, y, t)
        return super().step(model, x, y, t, s, memory, randn)


def test_the_same_result_at_another_cost_is_another_computation():
    found = study(Exponential(), Wasteful(), steps=(2,), etas=(0.0,)).settings()
    assert [one.same_as for one in found] == ["", "", ""]


@pytest.mark.parametrize("sde", [SBVE(), OUVE()], ids=repr)
@pytest.mark.parametrize("solver", [Exponential(eta=1.0), Multistep(), UniPC()], ids=repr)
def test_fingerprints_tell_samplers_apart(sde, solver):
    nfe, x = fingerprint(sde, solver, Uniform(4))
    again, other = fingerprint(sde, replace(solver), replace(Uniform(4)))
    assert (nfe, again) == (4, 4)
    assert x.equal(other)
    for changed in (
        fingerprint(sde, solver, Uniform(5)),
        fingerprint(sde, solver, Uniform(4, end=0.029)),
        fingerprint(sde, replace(solver, eta=0.5), Uniform(4)),
    ):
        assert (x - changed[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": ()}, "steps must be different"),
        ({"steps": (2, 2)}, "steps must be different"),
        ({"steps": (0,)}, "at least 1"),
        ({"etas": ()}, "etas must be different"),
        ({"etas": (1.5,)}, "from 0 to 1"),
        ({"solvers": {}}, "needs a solver"),
        ({"grids": {}}, "and a grid"),
        ({"solvers": {"a/b": Exponential()}}, "'a/b' cannot name"),
        ({"fixed": {"Exponential": Exponential()}}, "named twice"),
    ],
)
def test_what_cannot_be_swept(changes, says):
    with pytest.raises(SuiteError, match=says):
        study(**changes)


@pytest.mark.slow
def test_a_study_runs_each_computation_once_and_counts():
    outcome = run_study(study(Multistep(), steps=(1, 2, 3)), SET, "work", measures=("si-sdr",))
    evaluations = {name: costs.evaluations for name, costs in outcome.costs.items()}
    assert evaluations == {
        OWN: 1,
        "Multistep eta 0 Uniform, 2 steps": 2,
        "Multistep eta 0 Uniform, 3 steps": 3,
        "Multistep eta 1 Uniform, 2 steps": 2,
        "Multistep eta 1 Uniform, 3 steps": 3,
    }
    assert outcome.suite_results.enhanced == 2 * len(evaluations)
    assert outcome.suite_results.suite.baseline == OWN
    assert {row.system for row in outcome.suite_results.scores.rows} == {"noisy", *evaluations}
    assert list(outcome.lines()) == [OWN, "Multistep eta 0 Uniform", "Multistep eta 1 Uniform"]
    line = outcome.lines()["Multistep eta 1 Uniform"]
    assert [evaluations[name] for name in line] == [1, 2, 3]


@pytest.mark.slow
def test_an_interrupted_study_goes_on():
    s = study(Multistep(), steps=(2, 3))
    seen = []

    def stop(stage, done, total):
        seen.append((stage, done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(s, SET, "work", measures=("si-sdr",), progress=stop)
    assert seen[-1] == ("enhancing", 5, 10)
    resumed = run_study(s, SET, "work", measures=("si-sdr",))
    whole = run_study(s, SET, "other", measures=("si-sdr",))
    assert (resumed.suite_results.enhanced, whole.suite_results.enhanced) == (5, 10)
    table = [[(r.key, r.values) for r in o.suite_results.scores.rows] for o in (resumed, whole)]
    assert table[0] == table[1]


def test_what_is_wrong_is_said_before_the_work():
    with pytest.raises(SuiteError, match="no folder"):
        run_study(study(), NoisySet(Path("clean"), Path("absent")), "work")
    with pytest.raises(ValueError, match="pesq-xb"):
        run_study(study(), SET, "work", measures=("pesq-xb",))
    assert not Path("work").exists()
    assert studies.MEASURES == ("pesq-wb", "estoi", "si-sdr")
