"""Trainings whose transform has weights of its own, which stay as they are."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import latent_checkpoint

from sgmse.checkpoints import load, save
from sgmse.errors import RecipeError

TRAINING = """
data: {class: MixedSpeech, clean: clean, noise: noise, samples: 2032, snr: [0, 5]}
loss: {class: Reconstruction, complex: 10, si_sdr: 1}
trainer: {batch: 2, steps: 3, accelerator: cpu, workers: 0, save_every: 1}
"""


@pytest.mark.slow
def test_a_bridge_trains_in_the_latent_of_a_model(corpus: Path, tmp_path: Path):
    pytest.importorskip("lightning")
    from sgmse.training import train

    made = latent_checkpoint()
    start = save(replace(made, front=replace(made.front, sample_rate=8000)), tmp_path / "start")
    (tmp_path / "tiny.yaml").write_text(TRAINING)
    given = {"data": corpus, "output": tmp_path / "run"}
    train(tmp_path / "tiny.yaml", from_=start, overrides=["trainer.steps=2"], **given)
    train(resume=True, overrides=["trainer.steps=3"], **given)
    before, after = load(start), load(tmp_path / "run" / "best")
    own = after.front.transform.learned.state_dict()
    for name, weight in before.front.transform.learned.state_dict().items():
        assert torch.equal(weight, own[name]), name
    changed = after.model.state_dict()
    assert any(not torch.equal(w, changed[n]) for n, w in before.model.state_dict().items())
    recipe = tmp_path / "run" / "recipe.yaml"
    with pytest.raises(RecipeError, match=r"a BandAutoencoder needs weights; name a model"):
        train(recipe, data=corpus, output=tmp_path / "other")
