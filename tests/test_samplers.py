"""What a model is made for: from its training and its file to a call and the command line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

import sgmse
from sgmse import checkpoints
from sgmse.audio import Info, write
from sgmse.bench import Model, NoisySet, Study, Suite, run_suite
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, SamplerWarning
from sgmse.solvers import (
    Exponential,
    Heun,
    LogSNR,
    Multistep,
    PredictorCorrector,
    SamplerRange,
    Uniform,
)
from sgmse.training.recipe_files import load_recipe
from sgmse.training.times import Times

ODE = Exponential(start=0.0)
RATE = 16000
NOISE = (0.1 * np.random.default_rng(0).standard_normal(2000)).astype(np.float32)


@pytest.fixture(scope="module")
def default() -> Enhancer:
    return sgmse.load(device="cpu", shifts=1)


#: Of the issue that asked for this; each gave noise with the default model of that time.
WRONG = [
    {"steps": 8},
    {"steps": 10},
    {"steps": 30},
    {"solver": "sde", "steps": 2},
    {"solver": "sde", "steps": 30},
    {"solver": "pc"},
    {"solver": "pc", "steps": 30},
    {"solver": Heun(), "steps": 5},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_noise_is_refused_in_one_line_with_what_works(default, wrong, tmp_path):
    write(tmp_path / "a.wav", NOISE[None], Info(RATE))
    ways = (
        lambda: default.with_sampler(**wrong),
        lambda: default(NOISE, RATE, **wrong),
        lambda: default.enhance_file(tmp_path / "a.wav", **wrong),
    )
    for way in ways:
        with pytest.raises(ArgumentError) as refused:
            way()
        said = str(refused.value)
        assert "\n" not in said
        assert "what works is Exponential(start=0.0) (ode) on Uniform(" in said
        assert "in 0, 1 or 3 steps" in said
        assert said.endswith("use --force (force=True)")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_grids_are_refused_too(default):
    for grid in (LogSNR(2), Uniform(2), Uniform(1, start=0.9, end=0.0)):
        with pytest.raises(ArgumentError, match=r"not made for|asked at"):
            default.with_sampler(grid=grid)
    assert default.with_sampler(shifts=5).sampler.shifts == 5


def test_load_refuses():
    with pytest.raises(ArgumentError, match="not made for 10 steps"):
        sgmse.load(device="cpu", steps=10)


def test_another_object_of_the_same_is_refused(default):
    sampler = replace(default.sampler, grid=Uniform(10, end=0.0))
    with pytest.raises(ArgumentError, match="not made for 10 steps"):
        replace(default, sampler=sampler)


def test_by_force_it_is_done_and_said(default, tmp_path):
    with pytest.warns(SamplerWarning, match="not made for 2 steps.*; this is done all the same"):
        made = default(NOISE, RATE, steps=2, force=True)
    assert np.isfinite(made).all()
    with pytest.warns(SamplerWarning):
        forced = sgmse.load(device="cpu", steps=2, shifts=1, force=True)
    np.testing.assert_allclose(forced(NOISE, RATE), made, atol=1e-6)


def test_a_hand_made_enhancer_is_free():
    made = tiny.checkpoint()
    free = Enhancer(made.model, made.front, made.sampler)
    assert free.with_sampler(PredictorCorrector(), 3).sampler.grid.steps == 3


# Files


def test_ranges_are_written_and_read(tmp_path):
    ranges = (
        SamplerRange((ODE, Multistep()), (LogSNR(7),), (1, 3)),
        SamplerRange(fewest=4, earliest=0.1, latest=0.9),
    )
    checkpoints.save(replace(tiny.checkpoint(), samplers=ranges), tmp_path)
    assert checkpoints.load(tmp_path).samplers == ranges
    assert json.loads((tmp_path / "config.json").read_text())["samplers"][0]["steps"] == [1, 3]


def without_ranges(folder: Path, **sampler) -> checkpoints.Checkpoint:
    """As an earlier version saved it."""
    made = tiny.checkpoint()
    checkpoints.save(replace(made, sampler=replace(made.sampler, **sampler)), folder)
    values = json.loads((folder / "config.json").read_text())
    del values["samplers"]
    (folder / "config.json").write_text(json.dumps(values))
    return checkpoints.load(folder)


def test_an_old_model_of_one_step_takes_one(tmp_path):
    old = without_ranges(tmp_path)
    assert old.samplers is None
    assert old.ranges == (SamplerRange(earliest=1.0),)
    enhancer = Enhancer.of(old)
    assert enhancer.with_sampler("sde", 1).sampler.grid.steps == 1
    for wrong in ({"steps": 2}, {"solver": "pc", "steps": 30}):
        with pytest.raises(ArgumentError, match="asked at t = 1 alone"):
            enhancer.with_sampler(**wrong)


def test_an_old_model_of_many_steps_takes_half_of_them(tmp_path):
    enhancer = Enhancer.of(without_ranges(tmp_path, grid=Uniform(30)))
    assert enhancer.with_sampler("ode2", 15).sampler.grid.steps == 15
    assert enhancer.with_sampler("pc", 60).sampler.grid.steps == 60
    with pytest.raises(ArgumentError, match=r"so few steps \(14\)"):
        enhancer.with_sampler(steps=14)
    with pytest.raises(ArgumentError, match=r"asked at t = 0\.0167; .* asked at t = 0\.03 to 1"):
        enhancer.with_sampler(grid=Uniform(60, end=0.0))


@pytest.mark.parametrize("samplers", [(), (SamplerRange(steps=(7,)),)])
def test_the_recommended_sampler_is_always_one(samplers):
    made = replace(tiny.checkpoint(), samplers=samplers)
    assert Enhancer.of(made).sampler == made.sampler
    assert made.ranges == (SamplerRange.of(made.sampler), *samplers)
    few = replace(made.sampler, solver=PredictorCorrector(), grid=Uniform(3, start=0.9))
    assert Enhancer.of(replace(made, sampler=few)).sampler == few


def test_the_digest_of_a_model_is_of_what_is_heard(tmp_path):
    def digest(**changes) -> str:
        folder = checkpoints.save(replace(tiny.checkpoint(), **changes), tmp_path / "m")
        return Model(str(folder)).conditions()["weights"]

    before = digest()
    for said in ({"samplers": ()}, {"licence": "MIT"}, {"training": {"steps": 1}}):
        assert digest(**said) == before
    assert digest(front=replace(tiny.FRONT, padding="reflect")) != before


# Trainings


def test_a_training_says_what_it_covers():
    recipe = load_recipe("default", ["unrolled={steps: [4, 1, 2]}"])
    results = SamplerRange((ODE,), (recipe.sampler.grid,), (1, 2, 4))
    assert recipe.covered == (results,)
    estimates = replace(recipe, unrolled=None, times=Times(low=0.1, high=0.9))
    assert estimates.covered == (SamplerRange(earliest=0.1, latest=0.9),)
    both = replace(recipe, unrolled=replace(recipe.unrolled, share=0.5))
    assert both.covered == (results, SamplerRange(earliest=0.02))
    alone = replace(recipe, unrolled=None, times=Times(at_one=1.0))
    assert alone.covered == (SamplerRange(earliest=1.0),)


@pytest.mark.slow
def test_published_recipes_say_what_they_cover():
    assert load_recipe("sgmse_plus_16k").covered == (SamplerRange(earliest=0.03),)
    recipe = load_recipe("crp")
    own = SamplerRange((recipe.sampler.solver,), (recipe.sampler.grid,), (1,))
    assert recipe.covered == (own,)


def test_a_model_trained_further_is_for_what_it_was(default):
    origin = checkpoints.load_model("default")
    tuned = load_recipe("fine_tune", origin=origin)
    assert tuned.covered == origin.samplers
    made = tuned.checkpoint(origin.model, {})
    with pytest.raises(ArgumentError, match="not made for 10 steps"):
        Enhancer.of(made).with_sampler(steps=10)
    other = load_recipe("fine_tune", ["samplers=null"], origin)
    assert other.covered == (SamplerRange(earliest=0.02),)


# Benchmarks


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder with a model for one step and a recording."""
    monkeypatch.chdir(tmp_path)
    checkpoints.save(replace(tiny.checkpoint(), samplers=()), "model")
    for name in ("clean", "noisy"):
        Path(name).mkdir()
        write(f"{name}/a.wav", NOISE[None], Info(RATE))
    return tmp_path


def test_a_suite_refuses_before_the_work(folder):
    systems = {"two": Model("model", steps=2)}
    suite = Suite({"set": NoisySet(Path("clean"), Path("noisy"))}, systems, measures=("si-sdr",))
    with pytest.raises(
        ArgumentError, match=r"systems\.two: the model is not made for .*force=True"
    ):
        run_suite(suite, "out")
    assert not Path("out").exists()
    systems["two"] = Model("model", steps=2, force=True)
    with pytest.warns(SamplerWarning):
        assert run_suite(replace(suite, systems=systems), "out").enhanced == 1


def test_a_study_explores(folder):
    study = Study(
        {"Exponential": ODE}, {"Uniform": Uniform(end=0.0)}, (1, 2), (0.0,), model="model"
    )
    own, one, two = study.settings()
    assert [setting.outside for setting in (own, one, two)] == [False, False, True]
    assert two.is_run
    assert two.system.force


# The command line


def test_the_command_line_refuses_and_forces(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.wav", NOISE[None], Info(RATE))
    assert main(["enhance", "a.wav", "--steps", "10", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "--force (force=True)" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert main(["enhance", "a.wav", "--steps", "2", "--shifts", "1", "--force"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("sgmse: warning: the model is not made for 2 steps")
    assert Path("a_enhanced.wav").exists()


def test_info_says_what_a_model_is_made_for(capsys):
    assert main(["info"]) == 0
    assert "on Uniform(end=0.0) in 0, 1 or 3 steps" in capsys.readouterr().out
