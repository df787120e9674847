"""Twenty pairs on which other implementations have been run, and what those gave.

`golden_pairs.json` holds, for each pair, `llr`, `wss`, `segmental_snr`, `csig`, `cbak`, `covl` as
pysepm computes them (schmiph2/pysepm on GitHub, commit 7ef88af) with the package pesq 0.0.4, and
`lsd` as `lsd_metric` of the URGENT 2024 challenge does (urgent-challenge/urgent2024_challenge,
calculate_intrusive_se_metrics.py) with librosa 0.11, all of the float64 samples that `golden_pairs`
returns. Only numbers were taken over.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000
CUTS = (0, 29000, 57017, 85000, 113600)  # of the recording, in samples; one second and more each


def golden_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name -> reference and estimate (samples,) at 16 kHz, made of the recordings in tests/data."""
    data = Path(__file__).parent.parent / "data"
    clean, noisy = (soundfile.read(data / f"{name}.wav")[0] for name in ("clean", "noisy"))
    pairs = {}
    for k, (start, stop) in enumerate(pairwise(CUTS)):
        c = clean[start:stop]
        n = noisy[start:stop] - c
        estimates = {
            "noisy": c + n,
            "less-noise": c + 0.1 * n,
            "quiet": 0.5 * c + 0.02 * n,
            "muffled": np.convolve(c + 0.3 * n, np.ones(5) / 5, "same"),
            "clipped": np.clip(c + 0.3 * n, -0.1, 0.1),
        }
        pairs |= {f"{k}-{name}": (c, estimate) for name, estimate in estimates.items()}
    return pairs


@pytest.fixture(scope="session")
def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return golden_pairs()


@pytest.fixture(scope="session")
def golden() -> dict[str, dict[str, float]]:
    """name -> measure -> value of the other implementation."""
    path = Path(__file__).with_name("golden_pairs.json")
    return json.loads(path.read_text(encoding="utf-8"))
