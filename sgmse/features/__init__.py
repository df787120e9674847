"""What is measured of sound beside its spectrogram: mel spectra, MFCCs, pitch, and sound of mels.

Audio (..., samples) as tensors comes in, features (..., number, frame) go out, and back. It is
torchaudio (extra `features`) that computes them.
"""

from sgmse.features._features import Features

__all__ = ["Features"]
