"""A model trained further, by a recipe that has none of its own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tiny import with_front, with_sampler

pytest.importorskip("lightning")

from sgmse import checkpoints
from sgmse.checkpoints import Checkpoint
from sgmse.errors import RecipeError
from sgmse.estimates import EDM
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import Network, SlimUNet
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


@pytest.mark.slow
def test_the_model_is_that_of_the_start_with_other_weights(finished, tuned):
    before, after = (checkpoints.load(run / "best") for run in (finished, tuned))
    assert after.model.network.config == before.model.network.config
    for name in ("front", "sampler", "licence", "strength"):
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
    with pytest.raises(RecipeError, match=r"lacks 'network', 'sde', .*; give all .* --from"):
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


REFINE = """
predictor:
  network: {class: SlimUNet, channels: [4, 8], blocks: [1, 1], dual_paths: 1, embedding: 8}
  trained: false
  inherited: true
network:
  class: SlimUNet
  channels: [4, 8]
  blocks: [1, 1]
  dual_paths: 1
  embedding: 8
  observations: 2
"""


@pytest.fixture
def refine(recipe, tmp_path):
    """The tiny recipe with a second network that refines what the first one says."""
    path = tmp_path / "refine.yaml"
    start = recipe.index("network:"), recipe.index("sde:")
    sampler = "unrolled: {steps: [1, 2]}\nsde:"
    times = recipe.index("times:"), recipe.index("loss:")
    text = recipe[: start[0]] + REFINE + recipe[start[1] : times[0]] + recipe[times[1] :]
    path.write_text(text.replace("sde:", sampler))
    return path


@pytest.mark.slow
def test_a_model_becomes_the_predictor_of_another(finished, corpus, refine, tmp_path):
    options = {"data": corpus, "from_": finished / "best"}
    before = checkpoints.load(finished / "best").model.network.state_dict()
    run = train(refine, output=tmp_path / "run", **options)
    after = checkpoints.load(run / "last")
    assert isinstance(after.model, Regeneration)
    kept = after.model.predictor.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in before.items())
    # The refiner has begun with them, and the sampler may leave it out.
    moved = after.model.network.state_dict()
    change = {n: (moved[n] - v).norm() / v.norm() for n, v in before.items() if "lstm" in n}
    assert 0 < max(change.values()) < 0.2
    assert after.ranges[0].steps == (0, 1, 2)
    # Before the first update the refined is the predicted.
    start = load_recipe(refine).build_model()
    with pytest.raises(AssertionError):
        torch.testing.assert_close(start.predictor.state_dict(), before)
    # It goes on without the model, whose weights are in its state.
    train(output=run, resume=True, overrides=["trainer.steps=9"])
    again = checkpoints.load(run / "last").model.predictor.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in before.items())


@pytest.mark.slow
def test_a_recipe_takes_the_predictor_of_two_networks(finished, corpus, recipe, refine, tmp_path):
    """One of one network, or of another process; one of the same goes on with both."""
    options = {"data": corpus, "overrides": ["optimiser.lr=1e-30", "trainer.steps=1"]}
    both = train(refine, output=tmp_path / "both", from_=finished / "best", **options)
    given = checkpoints.load(both / "last").model

    def trained(path: Path, *changes: str) -> ScoreModel | Regeneration:
        name = f"{path.stem}{len(changes)}"
        own = options | {"overrides": [*options["overrides"], *changes]}
        run = train(path, output=tmp_path / name, from_=both / "last", **own)
        return checkpoints.load(run / "last").model

    def same(one: Network, other: Network) -> bool:
        pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        return all(torch.allclose(a, b, rtol=0, atol=1e-20) for a, b in pairs)

    (alone := tmp_path / "alone.yaml").write_text(recipe)
    assert same(trained(alone).network, given.predictor)
    again = trained(refine)
    assert same(again.predictor, given.predictor)
    assert same(again.network, given.network)
    with torch.no_grad():
        for parameter in given.network.parameters():
            parameter.add_(1)
    checkpoints.save(replace(checkpoints.load(both / "last"), model=given), both / "last")
    other = trained(refine, "sde={class: SBVE, k: 3}")
    assert same(other.predictor, given.predictor)
    assert not same(other.network, given.network)


def test_two_networks_are_trained_further_by_the_loss_of_both(finished, corpus, refine, tmp_path):
    options = {"data": corpus, "overrides": ["trainer.steps=1"]}
    both = train(refine, output=tmp_path / "both", from_=finished / "best", **options)
    path = tmp_path / "further.yaml"
    kept = ("data", "loss", "trainer", "times", "optimiser")
    values = {k: v for k, v in yaml.safe_load(refine.read_text()).items() if k in kept}
    path.write_text(yaml.safe_dump(values))
    recipe = load_recipe(path, [], checkpoints.load(both / "last"))
    assert recipe.predictor.trained
    assert recipe.predictor.loss == recipe.loss
    assert (recipe.predictor.conditioning, recipe.predictor.moved) == ("both", 0.0)


@pytest.mark.parametrize("parametrization", ["{class: EDM, sigma_data: 0.3}", "{class: Data}"])
def test_the_network_of_a_process_starts_as_a_predictor(
    finished, corpus, recipe, tmp_path, parametrization
):
    path = tmp_path / "score.yaml"
    path.write_text(recipe)
    changes = ["inherited=true", f"parametrization={parametrization}", "sde={class: OUVE}"]
    options = {"data": corpus, "from_": finished / "best"}
    tiny = ["optimiser.lr=1e-30", "trainer.steps=1", "sampler.grid.end=0.02"]
    run = train(path, output=tmp_path / "run", overrides=[*changes, *tiny], **options)
    before, after = (checkpoints.load(f).model for f in (finished / "best", run / "last"))
    size = after.parametrization.data_size
    y = torch.randn(1, 1, 32, 4, dtype=torch.complex64)
    x, t = torch.randn_like(y), torch.tensor([0.3])
    said = before.network(y, y, torch.ones(1)) / size
    torch.testing.assert_close(after.network(x, y / size, t), said, rtol=0, atol=1e-4)
    # A model of its own kind has weights of its own.
    again = train(
        path,
        output=tmp_path / "again",
        overrides=[*changes, *tiny],
        **options | {"from_": run / "last"},
    )
    ours, theirs = (checkpoints.load(f / "last").model.state_dict() for f in (run, again))
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-20)


def test_what_a_network_cannot_start_as(finished, corpus, recipe, refine, tmp_path):
    path = tmp_path / "score.yaml"
    path.write_text(recipe)
    options = {"data": corpus, "output": tmp_path / "run"}
    own = ["inherited=true", "sde={class: OUVE}", "sampler.grid.end=0.02"]
    with pytest.raises(RecipeError, match="inherited: the network starts as a model; name it with"):
        train(path, overrides=own, **options)
    with pytest.raises(RecipeError, match=r"inherited: the other .* set predictor.inherited"):
        train(refine, overrides=own[:1], **options)
    options["from_"] = finished / "best"
    score = [*own, "loss={class: ScoreMatching}", "parametrization={class: Score}"]
    with pytest.raises(RecipeError, match=r"inherited: an output of Score\(.* does not estimate"):
        train(path, overrides=score, **options)
    with pytest.raises(RecipeError, match=r"has network .* the recipe has .*'taps': 3"):
        train(path, overrides=[*own, "network.taps=3"], **options)


def test_what_cannot_become_a_predictor(finished, corpus, refine, tmp_path):
    options = {"data": corpus, "output": tmp_path / "run"}
    with pytest.raises(RecipeError, match=r"predictor.trained: .* name it with --from"):
        train(refine, **options)
    with pytest.raises(RecipeError, match=r"predictor.inherited: .* name it with --from"):
        train(refine, overrides=["predictor.trained=true"], **options)
    options["from_"] = finished / "best"
    with pytest.raises(RecipeError, match=r"has network .* the recipe has .*'taps': 3"):
        train(refine, overrides=["predictor.network.taps=3"], **options)
    with pytest.raises(RecipeError, match=r"predictor.inherited: .* give both networks the same"):
        train(refine, overrides=["network.dual_paths=2"], **options)
    with pytest.raises(RecipeError, match=r"predictor.loss: a predictor that is not trained has"):
        train(refine, overrides=["predictor.loss={class: Reconstruction, complex: 2}"], **options)
    tiny = checkpoints.load(finished / "best")
    other = ScoreModel(tiny.model.network, tiny.model.sde, EDM())
    checkpoints.save(replace(tiny, model=other, samplers=()), tmp_path / "other")
    with pytest.raises(RecipeError, match=r"has parametrization .*EDM.* the recipe has .*Data"):
        train(refine, **options | {"from_": tmp_path / "other"})
