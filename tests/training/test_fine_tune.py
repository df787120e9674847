"""A model trained further, by a recipe that has none of its own."""

from dataclasses import replace

import pytest
import torch
from tiny import with_front, with_sampler

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.checkpoints import Checkpoint
from sgmse.errors import RecipeError
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import SlimUNet
from sgmse.training import load_recipe, train
from sgmse.training.state import load_state

#: A few steps on short crops; the recordings have 8 kHz, at which PESQ is not defined.
TINY = [
    *("data.samples=2400", "trainer.steps=6", "trainer.accelerator=cpu", "trainer.workers=0"),
    "loss.perceptual=0",
]


@pytest.fixture(scope="module")
def tuned(finished, corpus, tmp_path_factory):
    """The run of `sgmse train --from MODEL --data FOLDER`."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return train(from_=finished / "best", data=corpus, output=folder, overrides=TINY)


def test_the_model_is_that_of_the_start_with_other_weights(finished, tuned):
    before, after = (checkpoints.load(run / "best") for run in (finished, tuned))
    assert after.model.network.config == before.model.network.config
    for name in ("front", "sampler", "licence"):
        assert getattr(after, name) == getattr(before, name)
    assert after.model.sde == before.model.sde
    old, new = before.model.state_dict(), after.model.state_dict()
    moved = [float((new[name] - old[name]).norm() / (old[name].norm() + 1e-9)) for name in old]
    # Six steps at a low rate: it comes from those weights and has left them.
    assert 0 < max(moved) < 0.5


@pytest.mark.slow
def test_a_run_resumes_by_its_own_recipe(finished, tuned, corpus, tmp_path, interrupt_at):
    options = {"data": corpus, "overrides": TINY}
    with interrupt_at(2):
        train(from_=finished / "best", output=tmp_path / "run", **options)
    assert load_state(tmp_path / "run" / "training_state.pt").step == 3
    train(output=tmp_path / "run", resume=True)
    whole, parts = (load_state(run / "training_state.pt") for run in (tuned, tmp_path / "run"))
    assert whole.step == parts.step == 6
    assert all(torch.equal(v, parts.average[name]) for name, v in whole.average.items())


def test_what_a_recipe_says_of_the_model_must_be_true(finished, corpus, tmp_path):
    options = {"data": corpus, "output": tmp_path / "run", "from_": finished / "best"}
    with pytest.raises(RecipeError, match=r"16000 Hz, not at 8000; set loss.perceptual=0"):
        train(overrides=TINY[:-1], **options)
    with pytest.raises(RecipeError, match=r"best has sde .*SBVE.* the recipe has .*BBED"):
        train(overrides=[*TINY, "sde={class: BBED}"], **options)
    with pytest.raises(RecipeError, match=r"shifts must be a whole number .* not 999"):
        train(overrides=[*TINY, "sampler.shifts=999"], **options)
    # The sampler may be another one.
    train(overrides=[*TINY, "trainer.steps=1", "sampler.grid.steps=3"], **options)
    assert checkpoints.load(tmp_path / "run" / "last").sampler.grid.steps == 3


def test_frames_are_padded_and_shifted_as_before(finished, corpus, tmp_path):
    model = checkpoints.load(finished / "best")
    model = with_front(with_sampler(model, shifts=3), multiple=4, tail="published")
    checkpoints.save(model, tmp_path / "model")
    options = {"data": corpus, "output": tmp_path / "run", "from_": tmp_path / "model"}
    train(overrides=[*TINY, "trainer.steps=1"], **options)
    after = checkpoints.load(tmp_path / "run" / "last")
    assert (after.front, after.sampler) == (model.front, model.sampler)


def test_without_a_model_there_is_nothing_to_tune():
    with pytest.raises(RecipeError, match=r"lacks 'network'; give all .* --from"):
        load_recipe("fine_tune")


def test_nothing_is_resumed_where_no_run_is(tmp_path):
    with pytest.raises(RecipeError, match="holds no run"):
        train(output=tmp_path, resume=True)


def test_a_model_with_a_predictor_gives_both_networks(finished):
    small = {"channels": [4, 6], "blocks": [1, 1], "dual_paths": 0, "embedding": 8}
    plain = checkpoints.load(finished / "best")
    assert isinstance(plain.model, ScoreModel)
    model = Regeneration(SlimUNet(**small), plain.model, "noisy")
    recipe = load_recipe("fine_tune", TINY, replace(plain, model=model))
    assert recipe.predictor is not None
    assert recipe.predictor.network.config == SlimUNet(**small).config
    assert recipe.predictor.conditioning == "noisy"
    recipe.check_model(recipe.model, "it", "")
    assert isinstance(recipe.build_model(), Regeneration)
    assert isinstance(plain, Checkpoint)
