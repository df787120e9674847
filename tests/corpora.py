"""Small corpora of generated speech and noise."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.data.cache import CachedRecordings, cached
from sgmse.data.pairs import recordings

RATE = 8000


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


def write(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype)


def cached_folder(folder: Path, cache: Path, rate: int) -> CachedRecordings:
    """All recordings of a folder."""
    return cached(recordings(folder), folder, cache, rate)


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
