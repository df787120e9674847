"""Small recordings of noise in the working folder."""

from pathlib import Path

import numpy as np

from sgmse.audio import Info, write

RATE = 16000
#: Two channels, (2, 800).
STEREO = (0.3 * np.random.default_rng(0).standard_normal((2, 800))).astype(np.float32)


def save(name: str, samples: np.ndarray) -> None:
    """Samples (samples,) or (channels, samples): a .wav of floats, other files of 16 bit."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    subtype = "FLOAT" if name.endswith("wav") else "PCM_16"
    write(name, np.atleast_2d(samples).astype(np.float32), Info(RATE, subtype=subtype))


def noisy_set(*names: str, suffix: str = ".wav") -> None:
    """clean/NAME.wav and noisy/NAME of a tenth of a second each, at 0 dB."""
    for i, name in enumerate(names):
        draw = np.random.default_rng(i).standard_normal
        clean, noise = 0.1 * draw(1600), 0.1 * draw(1600)
        save(f"clean/{name}.wav", clean)
        save(f"noisy/{name}{suffix}", clean + noise)
