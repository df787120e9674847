"""Generated speech and noise, and a recipe that trains on them in a second."""

import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8000

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


def voice(seed: int, seconds: float) -> np.ndarray:
    """Harmonics of a gliding tone in syllables: sparse in frequency and in time, as speech is."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(100, 250) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * t + rng.uniform(0, 6)), 0, None)
    audio = tone * syllables
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="FLOAT")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """clean, noise, valid/clean and valid/noisy; the clean ones differ in length."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for i in range(4):
        write(folder / "clean" / "talker" / f"{i}.wav", voice(i, 0.2 + 0.4 * i))
    for i in range(2):
        write(folder / "noise" / f"{i}.wav", 0.1 * rng.standard_normal(RATE // (1 + 7 * i)))
    for i in range(2):
        clean = voice(10 + i, 1.0)
        write(folder / "valid" / "clean" / f"{i}.wav", clean)
        noisy = clean + 0.05 * rng.standard_normal(len(clean))
        write(folder / "valid" / "noisy" / f"{i}.wav", noisy)
    return folder


@pytest.fixture(scope="session")
def handful(tmp_path_factory) -> Path:
    """clean and noisy, three pairs of a second."""
    folder = tmp_path_factory.mktemp("handful")
    rng = np.random.default_rng(0)
    for i in range(3):
        clean = voice(i, 1.0)
        write(folder / "clean" / f"{i}.wav", clean)
        write(folder / "noisy" / f"{i}.wav", clean + 0.05 * rng.standard_normal(len(clean)))
    return folder


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
            if self.step == number:
                signal.raise_signal(signal.SIGINT)
            return step(self, batch, batch_idx)

        monkeypatch.setattr(Training, "training_step", interrupted)

    yield at
    monkeypatch.undo()
