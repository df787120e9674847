"""A step of a training on a device, without one: what it waits for."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from accelerator import DEVICE, Watched
from conftest import first_often

pytest.importorskip("lightning")

from sgmse.training import module as modules
from sgmse.training.adversarial import adversary
from sgmse.training.module import Training
from sgmse.training.recipe_files import load_recipe

ADVERSARIAL = "adversarial={discriminators: {windows: [256], channels: [4, 4]}}"
AT_ONE = ["times.at_one=0.5", "times.high=1.0"]


@pytest.mark.parametrize(
    ("overrides", "looks"),
    first_often(
        1,
        [
            ([], 1),
            (["loss={class: Reconstruction, complex: 1}", "optimiser={class: Muon}"], 1),
            (["network={class: NCSNpp, channels: 4, multipliers: [1, 2], blocks: 1, bins: 64}"], 1),
            ([ADVERSARIAL, *AT_ONE], 2),
        ],
    ),
)
def test_a_step_waits_once_for_each_of_its_updates(
    recipe_file, corpus, tmp_path, monkeypatch, overrides, looks
):
    """What it looks at is whether the gradients are finite; all else stays where it is."""
    recipe = load_recipe(recipe_file, overrides)
    pairs = recipe.data.open(corpus, tmp_path / "cache", recipe.front.sample_rate, 0)
    training = Training(recipe, pairs).to(DEVICE)
    training.weights = list(training.model.parameters())
    training.optimiser = recipe.optimiser.build(training.weights)
    if training.adversary is not None:
        judges = training.adversary.discriminators.to(DEVICE)
        training.adversary.optimiser = recipe.adversarial.optimiser.build(judges.parameters())
    strategy = SimpleNamespace(reduce=lambda values, reduce_op: values)
    training._trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy)
    looked = []

    def look(answer):
        looked.append(answer.device)
        return True

    for place in (modules, adversary):
        monkeypatch.setattr(place, "certain", look)
    monkeypatch.setattr(modules, "draws_of", lambda generator: torch.randn_like)
    monkeypatch.setattr(Training, "seed", lambda self: torch.Generator().manual_seed(0))
    monkeypatch.setattr(Training, "optimizers", lambda self: self.optimiser)
    monkeypatch.setattr(Training, "manual_backward", lambda self, loss: loss.backward())
    monkeypatch.setattr(torch, "autocast", lambda *of, **how: nullcontext())  # knows no "meta"
    batch = tuple(torch.zeros(2, recipe.data.samples, device=DEVICE) for _ in range(2))
    with Watched():
        for number in range(2):
            training.training_step(batch, number)
    assert looked == [DEVICE] * 2 * looks
    assert training.position.step == 2
