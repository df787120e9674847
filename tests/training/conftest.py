"""A recipe that trains on generated speech and noise in a second."""

import signal
from pathlib import Path

import pytest
from corpora import corpus, handful

RECIPE = """
sample_rate: 8000
data:
  class: MixedSpeech
  clean: clean
  noise: noise
  samples: 2016 # 64 frames
  snr: [0, 5]
validation:
  clean: valid/clean
  noisy: valid/noisy
  every: 4
  scores: [si_sdr]
  best: si_sdr
  examples: 0
network: {class: SlimUNet, channels: [4, 8], blocks: [1, 1], dual_paths: 1, embedding: 8}
sde: {class: SBVE}
parametrization: {class: Data}
transform:
  class: Spectrogram
  n_fft: 126
  hop: 32
  compression: {class: Power, exponent: 0.5, factor: 0.3}
times: {low: 0.02, high: 0.99, at_one: 0.5}
loss: {class: Reconstruction, complex: 10, magnitude: 10, si_sdr: 1}
optimiser: {class: AdamW, lr: 1e-3}
schedule: {warmup: 2, decay: 0.5, final: 0.1}
grid: {class: Uniform, steps: 1}
trainer: {batch: 2, steps: 8, clip: 5.0, accelerator: cpu, workers: 0, save_every: 3, log_every: 2}
"""


@pytest.fixture(scope="session")
def recipe() -> str:
    return RECIPE


@pytest.fixture
def recipe_file(corpus: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def finished(corpus: Path, tmp_path_factory) -> Path:
    """The folder of a whole run of the recipe, to be read only."""
    pytest.importorskip("lightning")
    from sgmse.training import train

    place = tmp_path_factory.mktemp("finished")
    (place / "tiny.yaml").write_text(RECIPE)
    overrides = ["validation.examples=1"]
    return train(place / "tiny.yaml", data=corpus, output=place / "run", overrides=overrides)


@pytest.fixture
def interrupt_at(monkeypatch):
    """Send SIGINT to the training in the middle of a step."""
    from sgmse.training.module import Training

    step = Training.training_step

    def at(number: int):
        def interrupted(self, batch, batch_idx):
            if self.position.step == number:
                signal.raise_signal(signal.SIGINT)
            return step(self, batch, batch_idx)

        monkeypatch.setattr(Training, "training_step", interrupted)

    yield at
    monkeypatch.undo()
