"""ViSQOL against its package, on what its authors publish, and its limits."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import visqol

DATA = Path(__file__).parent.parent / "data"
RATE = 16000


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return tuple(soundfile.read(DATA / f"{name}.wav")[0][:48000] for name in ("clean", "noisy"))


def test_what_is_refused_before_the_package_is_loaded(pair):
    with pytest.raises(MetricError, match="must be 16000 Hz, not 48000 Hz; resample"):
        visqol(*pair, 48000)
    with pytest.raises(MetricError, match=r"0\.500 s are too short; .* needs 1\.0 s"):
        visqol(pair[0][:8000], pair[1][:8000], RATE)
    with pytest.raises(MetricError, match="reference is silent"):
        visqol(0 * pair[0], pair[1], RATE)


@pytest.mark.slow  # some seconds to load, and a minute where its loops are not compiled yet
def test_known_values(pair):
    package = pytest.importorskip("visqol")
    pytest.importorskip("ai_edge_litert")
    api = package.VisqolApi()
    api.create(mode="speech", use_lattice_model=True)
    assert visqol(*pair, RATE) == api.measure_from_arrays(*pair, RATE).moslqo
    clean, noise = pair[0], pair[1] - pair[0]
    scores = [visqol(clean, clean + gain * noise, RATE) for gain in (0, 0.03, 0.1, 0.3, 1)]
    assert scores[:4] == sorted(scores[:4], reverse=True)
    assert 1 <= scores[3] < scores[4] < 1.5  # noise as loud as this it does not order
    assert 4 < scores[0] <= 5
    assert visqol(clean, 0.1 * (clean + 0.1 * noise), RATE) == pytest.approx(scores[2], abs=0.05)


def test_errors_of_the_package_are_metric_errors(pair, monkeypatch):
    """It raises IndexError where it finds no patch of speech."""

    class Model:
        def measure_from_arrays(self, *_):
            raise IndexError("list index out of range")

    monkeypatch.setattr(import_module("sgmse.metrics.visqol"), "_model", Model)
    with pytest.raises(MetricError, match=r"ViSQOL cannot score this pair .*half a second of"):
        visqol(*pair, RATE)
