"""Features of sound, by torchaudio, against plain formulas and against there and back."""

import sys
from importlib.util import find_spec

import pytest
import torch
from problems import noise

from sgmse.errors import ArgumentError, MissingPackageError
from sgmse.features import Features
from sgmse.features._torchaudio import torchaudio
from sgmse.networks._wavenet import Mels

REAL = torch.float64
installed = pytest.mark.skipif(find_spec("torchaudio") is None, reason="needs the extra features")


def chirp(samples: int = 8000, rate: int = 8000) -> torch.Tensor:
    """A rising tone with overtones, that comes and goes."""
    t = torch.arange(samples, dtype=REAL) / rate
    phase = 2 * torch.pi * (200 * t + 150 * t**2)
    return (phase.sin() + 0.5 * (3 * phase).sin()) * (0.3 + 0.2 * torch.cos(12 * t))


@installed
def test_the_mel_spectrum_is_that_of_the_vocoder():
    features = Features(8000, 256, 64, 20)
    audio = noise(2, 3000, dtype=REAL)
    found = features.mel(audio)
    assert found.shape == (2, 20, 1 + 3000 // 64)
    ours = Mels(256, 20, 8000, (8, 8), 1).double().spectrum(audio)
    window = torch.hann_window(256, dtype=REAL).norm()
    expected = (0.8 + (found / window).log10() / 5).clamp(min=0)
    torch.testing.assert_close(expected, ours, rtol=1e-4, atol=1e-4)


@installed
def test_cepstra_are_cosines_of_the_logarithm():
    features = Features(8000, 256, 64, 20)
    audio = noise(3000, dtype=REAL)
    logs = (features.mel(audio) + 1e-6).log()
    n = torch.arange(20, dtype=REAL)
    waves = torch.cos(torch.pi / 20 * (n + 0.5) * torch.arange(5, dtype=REAL)[:, None])
    waves = waves * torch.tensor([(1 / 20) ** 0.5, *[(2 / 20) ** 0.5] * 4], dtype=REAL)[:, None]
    torch.testing.assert_close(features.mfcc(audio, 5), waves @ logs, rtol=1e-4, atol=1e-4)
    # A level is in the first one alone.
    louder = features.mfcc(2 * audio, 5) - features.mfcc(audio, 5)
    assert louder[0].abs().min() > 2
    assert louder[1:].abs().max() < 1e-2


@installed
def test_sound_of_a_mel_spectrum_has_it():
    features = Features(8000, 256, 64, 40)
    audio = chirp()
    mel = features.mel(audio)
    again = features.audio(mel, len(audio), seed=1)
    assert again.shape == audio.shape
    assert torch.equal(again, features.audio(mel, len(audio), seed=1))
    off = torch.linalg.norm(features.mel(again) - mel) / torch.linalg.norm(mel)
    other = torch.linalg.norm(features.mel(audio.flip(0)) - mel) / torch.linalg.norm(mel)
    assert off < 0.15 < 0.5 < other
    back = Features(8000, 256, 64, 40).magnitudes(mel)
    assert back.min() >= 0


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    torchaudio.cache_clear()
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[features\]'"):
        Features().mel(torch.zeros(2000))
    torchaudio.cache_clear()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Features(hop=2000), "hop be at most n_fft"),
        (lambda: Features(mels=0), "mels must be"),
        (lambda: Features(mels=8).mfcc(torch.zeros(2000), 9), "between 1 and 8"),
    ],
)
def test_mistakes(make, says):
    with pytest.raises(ArgumentError, match=says):
        make()


@installed
def test_the_pitch_of_a_voice():
    """Of harmonics without the fundamental, too, as on a telephone."""
    t = torch.arange(16000, dtype=REAL) / 16000
    phase = 2 * torch.pi * (110 * t + 30 * t**2)
    voice = sum((k * phase).sin() / k for k in range(3, 20))
    found = Features(hop=160).pitch(torch.stack([voice, 0.01 * voice]))
    wanted = 110 + 60 * torch.arange(found.shape[1]) * 0.01
    assert found.shape[0] == 2
    assert 80 < found.shape[1] <= 100
    assert ((found - wanted).abs() < 4).all()


@installed
@pytest.mark.parametrize(
    ("samples", "low", "high", "why"),
    [
        (16000, 0.0, 400.0, "between low and high"),
        (16000, 60.0, 9000.0, "up to 8000 Hz"),
        (16000, 400.0, 60.0, "not between"),
        (500, 60.0, 400.0, "too short for a pitch of 60 Hz"),
    ],
)
def test_no_pitch_there(samples, low, high, why):
    with pytest.raises(ArgumentError, match=why):
        Features().pitch(torch.ones(samples), low, high)
