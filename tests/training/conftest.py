"""A recipe that trains on generated speech and noise in a second."""

import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from corpora import corpus, handful

RECIPE = """
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
front:
  sample_rate: 8000
  transform:
    class: Spectrogram
    n_fft: 126
    hop: 32
    compression: {class: Power, exponent: 0.5, factor: 0.3}
times: {low: 0.02, high: 0.99, at_one: 0.5}
loss: {class: Reconstruction, complex: 10, magnitude: 10, si_sdr: 1}
optimiser: {class: AdamW, lr: 1e-3}
schedule: {warmup: 2, decay: 0.5, final: 0.1}
sampler: {grid: {class: Uniform, steps: 1}}
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
def run(recipe_file: Path, corpus: Path, tmp_path: Path):
    """Train by the recipe with changes, in a folder of that name; options are those of `train`."""
    from sgmse.training import train

    def start(*overrides: str, output: str | Path = "run", **options) -> Path:
        options = {"data": corpus, "output": tmp_path / output, **options}
        return train(recipe_file, overrides=overrides, **options)

    return start


@pytest.fixture
def whole_and_parts(run, interrupt_at):
    """Two runs by the recipe with changes, the second one interrupted after a step, and resumed.

    Also the state that the second one had in between.
    """
    from sgmse.training.state import load_state

    def start(step: int, *overrides: str):
        whole = run(*overrides, output="whole")
        with interrupt_at(step):
            run(*overrides, output="parts")
        parts = whole.with_name("parts")
        before = load_state(parts / "training_state.pt")
        run(*overrides, output="parts", resume=True)
        return whole, parts, before

    return start


@pytest.fixture
def undefined(monkeypatch):
    """Let the loss be no number."""
    from sgmse.training.losses import Reconstruction

    call = Reconstruction.__call__
    monkeypatch.setattr(
        Reconstruction,
        "__call__",
        lambda self, e, t: {"loss": call(self, e, t)["loss"] * float("nan")},
    )


@pytest.fixture
def interrupt_at(monkeypatch):
    """Send SIGINT to a training in the middle of a step, which ends it after that."""
    from sgmse.training.module import Training

    step = Training.training_step

    @contextmanager
    def at(number: int):
        def interrupted(self, batch, batch_idx):
            if self.position.step == number:
                signal.raise_signal(signal.SIGINT)
            return step(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "training_step", interrupted)
            with pytest.raises(KeyboardInterrupt) as ended:
                yield
        assert str(ended.value).startswith(f"step {number + 1} is saved; go on with: sgmse train")

    return at
