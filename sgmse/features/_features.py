"""Mel spectra, MFCCs and the pitch of audio, and audio of mel spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sgmse._checks import kinds, number, rate, whole
from sgmse.errors import ArgumentError
from sgmse.features._torchaudio import torchaudio


@dataclass(frozen=True)
class Features:
    """Of audio at a rate, in Hann windows (extra `features`).

    The mel scale is HTK's and the triangles are of height 1, torchaudio's defaults, and those of
    the vocoder `WaveNet(mels=...)`: its condition is the level of `mel`.

    Args:
        sample_rate: in Hz.
        n_fft: samples of a frame.
        hop: samples from one frame to the next.
        mels: their number.

    Raises:
        ValueError: such sizes make no spectrum.
    """

    sample_rate: int = 16000
    n_fft: int = 1024
    hop: int = 256
    mels: int = 80

    def __post_init__(self) -> None:
        kinds(self)
        rate("Features: sample_rate", self.sample_rate)
        for name in ("n_fft", "hop", "mels"):
            whole(f"Features: {name}", getattr(self, name), least=1)
        if self.hop > self.n_fft:
            raise ArgumentError(
                f"Features: frames of {self.n_fft} samples that are {self.hop} apart leave some "
                "out; let hop be at most n_fft"
            )

    def mel(self, audio: Tensor) -> Tensor:
        """Magnitudes on the mel scale, (..., mels, 1 + samples // hop), of float audio.

        Raises:
            ImportError: torchaudio is not installed.
        """
        make = torchaudio().transforms.MelSpectrogram(
            **self._frames, sample_rate=self.sample_rate, n_mels=self.mels, pad_mode="constant"
        )
        found: Tensor = make.to(audio)(audio)
        return found

    def mfcc(self, audio: Tensor, count: int = 13) -> Tensor:
        """Cepstral coefficients: the cosine transform of ln(mel + 1e-6), (..., count, frame).

        The first is the level; the shape of the spectrum is in the next ones.

        Raises:
            ValueError: more coefficients than mels.
            ImportError: torchaudio is not installed.
        """
        if not 1 <= whole("count", count) <= self.mels:
            raise ArgumentError(f"count must lie between 1 and {self.mels}, the mels, not {count}")
        make = torchaudio().transforms.MFCC(
            sample_rate=self.sample_rate,
            n_mfcc=count,
            log_mels=True,
            melkwargs={**self._frames, "n_mels": self.mels, "pad_mode": "constant"},
        )
        found: Tensor = make.to(audio)(audio)
        return found

    def pitch(self, audio: Tensor, low: float = 60.0, high: float = 400.0) -> Tensor:
        """The fundamental frequency of a voice in Hz, (..., frame), a frame for each hop.

        The lag of the largest normalised cross-correlation, and the median of five frames. A number
        is given for frames without a voice, too, and means nothing there.

        Args:
            audio: float (..., samples), of more than two periods of `low`.
            low, high: between which it is sought, in Hz.

        Raises:
            ValueError: frequencies that are no range, or not below half the sample rate.
            ImportError: torchaudio is not installed.
        """
        if not 0 < number("low", low) < number("high", high) <= self.sample_rate / 2:
            raise ArgumentError(
                f"pitch lies between low and high, both above 0 and up to {self.sample_rate / 2:g} "
                f"Hz, not between {low:g} and {high:g}"
            )
        if audio.shape[-1] <= 2 * self.sample_rate / low:
            raise ArgumentError(
                f"{audio.shape[-1]} samples are too short for a pitch of {low:g} Hz; give more, or "
                "a larger low"
            )
        found: Tensor = torchaudio().functional.detect_pitch_frequency(
            audio,
            self.sample_rate,
            frame_time=self.hop / self.sample_rate,
            win_length=5,
            freq_low=low,
            freq_high=high,
        )
        return found

    def magnitudes(self, mel: Tensor) -> Tensor:
        """Magnitudes (..., n_fft // 2 + 1, frame) of which a mel spectrum is: of least squares.

        What lies within a triangle is not known; it is not negative.

        Raises:
            ImportError: torchaudio is not installed.
        """
        make = torchaudio().transforms.InverseMelScale(
            n_stft=self.n_fft // 2 + 1, n_mels=self.mels, sample_rate=self.sample_rate
        )
        found: Tensor = make.to(mel)(mel)
        return found

    def audio(self, mel: Tensor, samples: int, iterations: int = 32, seed: int = 0) -> Tensor:
        """Sound (..., samples) of a mel spectrum, with phases that its frames agree on.

        Griffin and Lim 1984, with momentum (Perraudin et al. 2013), from random phases. It is what
        a vocoder is compared with.

        Raises:
            ImportError: torchaudio is not installed.
        """
        whole("samples", samples, least=1)
        whole("iterations", iterations, least=1)
        make = torchaudio().transforms.GriffinLim(
            **self._frames, n_iter=iterations, length=samples, momentum=0.99
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found: Tensor = make.to(mel)(self.magnitudes(mel))
        return found

    @property
    def _frames(self) -> dict[str, float]:
        """Of magnitudes, which are the power 1."""
        return {"n_fft": self.n_fft, "hop_length": self.hop, "power": 1.0}
