"""Predicted opinions: what the packages are handed, what they gave, what they cannot score."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from sgmse.errors import MetricError
from sgmse.metrics import DNSMOS, distillmos, dnsmos, mos

DATA = Path(__file__).parent.parent / "data"
RATE = 16000


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return soundfile.read(DATA / "clean.wav")[0]


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    return soundfile.read(DATA / "noisy.wav")[0]


class Recorder(torch.nn.Module):
    """Stands for the network of DistillMOS."""

    seen: torch.Tensor

    def forward(self, x):
        type(self).seen = x
        return torch.tensor([[3.25]])


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins of both packages; the first holds what it was given."""
    speech, distilled = ModuleType("speechmos"), ModuleType("distillmos")
    speech.dnsmos = ModuleType("dnsmos")

    def run(sample, sr):
        speech.given = sample, sr
        return {"ovrl_mos": np.float64(3), "sig_mos": 1, "bak_mos": np.float32(2), "p808_mos": 4}

    speech.dnsmos.run = run
    distilled.ConvTransformerSQAModel = Recorder
    monkeypatch.setitem(sys.modules, "speechmos", speech)
    monkeypatch.setitem(sys.modules, "distillmos", distilled)
    mos._distillmos_model.cache_clear()
    yield speech
    mos._distillmos_model.cache_clear()


def test_dnsmos_hands_over_and_names_the_scores(packages, noisy):
    scores = dnsmos(torch.from_numpy(noisy), RATE)
    assert scores == DNSMOS(sig=1, bak=2, ovrl=3, p808=4)
    assert all(type(score) is float for score in scores)
    samples, rate = packages.given
    assert np.array_equal(samples, noisy)
    assert rate == RATE


def test_distillmos_hands_over_and_is_loaded_once(packages, noisy):
    assert distillmos(noisy, RATE) == 3.25
    assert Recorder.seen.shape == (1, len(noisy))
    assert Recorder.seen.dtype == torch.float32
    assert mos._distillmos_model() is mos._distillmos_model()


@pytest.mark.parametrize("metric", [dnsmos, distillmos])
@pytest.mark.parametrize(
    ("change", "rate", "words"),
    [
        (lambda x: x, 48000, r"must be 16000 Hz, not 48000 Hz; resample"),
        (lambda x: 0 * x, RATE, "estimate is silent"),
        (lambda x: x[:0], RATE, "one channel of floats"),
        (lambda x: x[None], RATE, "one channel of floats"),
    ],
)
def test_what_cannot_be_scored(metric, change, rate, words, packages, noisy):
    with pytest.raises(MetricError, match=words):
        metric(change(noisy), rate)


def test_dnsmos_scales_what_is_beyond_full_scale(packages, noisy):
    full = noisy / np.abs(noisy).max()
    for gain, given in ((1.25, 1.0), (1.0, 1.0), (0.5, 0.5)):  # below it the level counts
        dnsmos(gain * full, RATE)
        assert np.abs(packages.given[0]).max() == given


@pytest.mark.parametrize(
    ("metric", "package", "extra"),
    [(dnsmos, "speechmos", "mos"), (distillmos, "distillmos", "distillmos")],
)
def test_a_missing_package_names_the_extra(metric, package, extra, packages, noisy, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    install = rf"'{package}': pip install 'sgmse-toolkit\[{extra}\]'"
    with pytest.raises(ImportError, match=install):
        metric(noisy, RATE)


def test_a_module_that_cannot_be_loaded_is_stood_in_for_and_gone_afterwards(tmp_path, monkeypatch):
    (tmp_path / "broken_wheel").mkdir()
    (tmp_path / "broken_wheel" / "part.py").touch()
    source = "import broken_wheel.part\nraise OSError('libcudart.so: cannot open')"
    (tmp_path / "broken_wheel" / "__init__.py").write_text(source)
    (tmp_path / "sound_wheel.py").write_text("loaded = True")
    monkeypatch.syspath_prepend(tmp_path)
    with mos.importable("broken_wheel"):
        import broken_wheel  # noqa: F401
    assert not {"broken_wheel", "broken_wheel.part"} & set(sys.modules)
    with mos.importable("sound_wheel"):
        import sound_wheel
    assert sound_wheel.loaded
    assert sys.modules["sound_wheel"] is sound_wheel


# By the packages themselves, speechmos 0.0.1.1 from the files and distillmos 0.9.1.
@pytest.mark.slow
def test_dnsmos_of_the_shipped_recordings(clean, noisy):
    pytest.importorskip("speechmos.dnsmos", exc_type=ImportError)
    assert dnsmos(clean, RATE) == pytest.approx((3.6112, 3.8922, 3.2343, 3.7553), abs=5e-3)
    assert dnsmos(noisy, RATE) == pytest.approx((1.8872, 1.2152, 1.3009, 2.3069), abs=5e-3)


@pytest.mark.slow
def test_distillmos_of_the_shipped_recordings(clean, noisy):
    if find_spec("distillmos") is None:
        pytest.skip("distillmos is not installed")
    assert distillmos(clean, RATE) == pytest.approx(4.4820, abs=5e-3)
    assert distillmos(noisy, RATE) == pytest.approx(1.8916, abs=5e-3)
    assert distillmos(0.1 * noisy, RATE) == pytest.approx(distillmos(noisy, RATE), abs=1e-3)
