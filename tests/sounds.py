"""Signals and measures for the tests of degradations."""

import numpy as np
from scipy.signal import butter, sosfilt

RATE = 16000


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype("f")


def level(audio: np.ndarray, frequency: float, rate: int = RATE) -> float:
    """Amplitude of a component, from its projection; exact over whole periods."""
    t = np.arange(len(audio)) / rate
    return 2 * abs(np.mean(audio * np.exp(-2j * np.pi * frequency * t)))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).astype("f")


def speechlike(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Noise with its power between 200 and 1000 Hz mostly, in bursts: what coders are made for."""
    shaped = sosfilt(
        butter(1, [200, 1000], "bandpass", fs=rate, output="sos"), noise(round(seconds * rate), 3)
    )
    bursts = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * np.arange(len(shaped)) / rate)
    return (0.5 * shaped * bursts / np.abs(shaped).max()).astype("f")


def lag(reference: np.ndarray, other: np.ndarray, most: int = 500) -> int:
    """Samples by which the other comes later, at the largest correlation."""
    n = 2 * len(reference)
    spectrum = np.fft.rfft(other, n) * np.fft.rfft(reference, n).conj()
    correlation = np.fft.irfft(spectrum)
    around = np.concatenate([correlation[-most:], correlation[: most + 1]])
    return int(around.argmax()) - most


def ratio(reference: np.ndarray, other: np.ndarray) -> float:
    """Of the power of the reference to that of the difference, in dB."""
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - other) ** 2)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)
