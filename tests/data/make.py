"""Makes clean.wav and noisy.wav from two Debian packages; LICENCE.md says whose sounds they are.

apt-get download pocketsphinx-testdata sonic-pi-samples
for package in *.deb; do dpkg-deb -x "$package" unpacked; done
python tests/data/make.py unpacked
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16000
SPEECH = "usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
NOISES = {  # file: its share of the noise in dB
    "usr/share/sonic-pi/samples/loop_3d_printer.flac": 0.0,
    "usr/share/sonic-pi/samples/ambi_sauna.flac": -8.0,
}
SNR = 5.0  # dB, over active speech
PEAK = 0.7  # of the louder of the two files


def mono(path: Path) -> np.ndarray:
    """The file as one channel at 16 kHz, float64."""
    audio, rate = soundfile.read(path, always_2d=True)
    return soxr.resample(audio.mean(axis=1), rate, RATE, "VHQ")


def power(audio: np.ndarray) -> float:
    """Mean square."""
    return float(np.mean(audio**2))


def active_power(speech: np.ndarray) -> float:
    """Mean square over the 32 ms frames that are at most 35 dB below the loudest one."""
    frames = speech[: len(speech) // 512 * 512].reshape(-1, 512)
    powers = np.mean(frames**2, axis=1)
    return float(powers[powers > powers.max() * 10**-3.5].mean())


def main(root: Path) -> None:
    """Write both files beside this script."""
    speech = mono(root / SPEECH)
    noise = np.zeros_like(speech)
    for name, share in NOISES.items():
        sound = mono(root / name)[: len(speech)]
        if len(sound) < len(speech):
            raise ValueError(f"{name} is shorter than the speech")
        noise += sound * np.sqrt(10 ** (share / 10) / power(sound))
    noise *= np.sqrt(active_power(speech) / power(noise) * 10 ** (-SNR / 10))
    noisy = speech + noise
    gain = PEAK / np.abs(np.stack([speech, noisy])).max()
    for name, audio in (("clean", speech), ("noisy", noisy)):
        target = Path(__file__).with_name(f"{name}.wav")
        soundfile.write(target, gain * audio, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
