"""What a report lets one hear and see: short sounds and spectrograms inside the page itself."""

import io
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sgmse import audio
from sgmse.audio import BLOCK, RATES, cut
from sgmse.errors import ArgumentError, AudioError, did_you_mean
from sgmse.plot.spectra import picture, powers
from sgmse.scoring.journal import Recording
from sgmse.scoring.scores import Task


@dataclass(frozen=True)
class Coding:
    """How sounds are kept: libsndfile's names of it, and what browsers call it."""

    name: str
    format: str
    subtype: str
    type: str


CODINGS = {
    "opus": Coding("Opus", "OGG", "OPUS", "audio/ogg"),
    "flac": Coding("FLAC", "FLAC", "PCM_16", "audio/flac"),
}


@dataclass(frozen=True)
class Clip:
    """The start of a file as data URIs, or why there is none.

    Args:
        label: a system, "clean" or "noisy".
        sound: for an audio element.
        picture: a spectrogram for an img element, low frequencies below.
        seconds: of sound.
        sample_rate: in Hz, of the file.
        top: the highest frequency of the spectrogram in Hz.
        problem: why the file cannot be read; empty if it can.
    """

    label: str
    sound: str = ""
    picture: str = ""
    seconds: float = 0.0
    sample_rate: int = 0
    top: float = 0.0
    problem: str = ""


def files_by_recording(tasks: Iterable[Task]) -> dict[Recording, dict[str, Path]]:
    """The files of each recording by label: clean, noisy, then the systems, each its first seed.

    Where a system is itself called "clean" or "noisy" its own file has that label.
    """
    references: dict[Recording, dict[str, Path]] = {}
    enhanced: dict[Recording, dict[str, Path]] = {}
    for task in tasks:
        recording = task.set, task.pair.name
        own = {role: path for role, path in task.pair.files.items() if role != "enhanced"}
        references[recording] = own | references.get(recording, {})
        enhanced.setdefault(recording, {}).setdefault(task.system, task.pair.enhanced)
    return {recording: references[recording] | enhanced[recording] for recording in references}


def make_clips(
    files: Mapping[str, Path], *, seconds: float = 10.0, coding: str = "opus"
) -> list[Clip]:
    """The first `seconds` of files, made to be compared: spectrograms of one scale and one axis.

    0 dB is the loudest point of the first file that can be read, and frequencies reach to half of
    its rate. Sounds keep their level, rate and channels; what exceeds full scale is clipped. Opus,
    lossy and about a fifth of the size of FLAC, takes 8, 12, 16, 24 and 48 kHz; sounds of other
    rates are resampled for it.

    Raises `ArgumentError` for an unknown coding or a length that is not above 0.
    """
    check(seconds, coding)
    clips: list[Clip] = []
    rate, peak = 0, 0.0
    for label, path in files.items():
        try:
            sound, own = _start(path, seconds)
        except AudioError as error:
            clips.append(Clip(label, problem="; ".join(error.args[1:])))  # not where it lies
            continue
        rate = rate or own
        alike = _resampled(sound, own, rate)
        power = powers(cut(alike), alike.shape[1], rate)
        peak = peak or float(power.max()) or 1.0
        clips.append(
            Clip(
                label,
                _encoded(sound, own, coding),
                _uri("image/png", picture(power, peak)),
                sound.shape[1] / own,
                own,
                rate / 2,
            )
        )
    return clips


def check(seconds: float, coding: str) -> None:
    """Raise `ArgumentError` for an unknown coding or a length that is not above 0."""
    if coding not in CODINGS:
        raise ArgumentError(
            f"no coding is called {coding!r}{did_you_mean(coding, CODINGS)}; "
            f"choose from {', '.join(CODINGS)}"
        )
    if not seconds > 0:
        raise ArgumentError(f"clips must be longer than 0 s, not {seconds:g}")


def _start(path: Path, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The start of a file (channels, samples) and its rate. Raises as `audio.blocks` does."""
    about = audio.info(path)
    wanted = min(about.frames, max(round(seconds * about.sample_rate), 1))
    parts: list[NDArray[np.float32]] = []
    done = 0
    for block in audio.blocks(path):
        parts.append(block[:, : wanted - done])
        done += parts[-1].shape[1]
        if done == wanted:
            break
    return np.concatenate(parts, axis=1), about.sample_rate


def _resampled(sound: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    if source == target:
        return sound
    import torch  # a second, which who asks for no report does not wait for

    return audio.resample(torch.from_numpy(sound), source, target).numpy()


def _encoded(sound: NDArray[np.float32], rate: int, coding: str) -> str:
    form = CODINGS[coding]
    rates = RATES.get(form.subtype, (rate,))
    target = next((r for r in rates if r >= rate), rates[-1])
    content = io.BytesIO()
    data = np.clip(_resampled(sound, rate, target), -1, 1).T
    with soundfile.SoundFile(
        content, "w", target, len(sound), form.subtype, None, form.format
    ) as file:
        for start in range(0, len(data), BLOCK):
            file.write(data[start : start + BLOCK])
    return _uri(form.type, content.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
