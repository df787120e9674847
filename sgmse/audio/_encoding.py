"""Sound on its way into a file: by libsndfile."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from sgmse.audio import _bitrates, _speakers
from sgmse.audio._info import BLOCK, Info, Samples


class Encoder(Protocol):
    """An open file to which sound is appended; it holds all of it once it is closed.

    `notes` say what should be known of it.
    """

    notes: list[str]

    def write(self, block: Samples) -> None:
        """Append (channels, samples) in the order of wav."""

    def close(self) -> None:
        """Write what is held, and the header."""

    def abandon(self) -> None:
        """Let go of the file, in whatever state."""


class SoundFileEncoder:
    """What libsndfile writes.

    Where only a trial tells how a bit rate is reached, the beginning is held until it is enough.
    """

    def __init__(self, part: Path, about: Info, comment: str | None = None) -> None:
        self._part, self._about, self._comment = part, about, comment
        self._order = _speakers.order_in_file(about.format, about.subtype, about.channels)
        self._file: soundfile.SoundFile | None = None
        self.notes: list[str] = []
        self._held: list[Samples] = []
        self._total = self._heard = 0  # samples of a channel
        setting = _bitrates.by_formula(about)
        if setting is not None:
            self._file = self._opened(setting)

    def write(self, block: Samples) -> None:
        block = _speakers.reordered(block, self._order)
        if self._file is not None:
            self._append(self._file, block)
            return
        self._held.append(block.copy())
        self._total += block.shape[1]
        self._heard += int(_bitrates.heard(block).sum())
        rate = self._about.sample_rate
        if self._heard >= _bitrates.TRIED * rate or self._total >= _bitrates.HELD * rate:
            self._release()

    def close(self) -> None:
        file = self._release() if self._file is None else self._file
        file.close()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()

    def _release(self) -> soundfile.SoundFile:
        held = self._held or [np.zeros((self._about.channels, 0), np.float32)]
        sound = np.concatenate(held, axis=1)
        self._held = []
        self._file = self._opened(_bitrates.by_trial(self._about, sound))
        self._append(self._file, sound)
        return self._file

    def _opened(self, setting: _bitrates.Setting) -> soundfile.SoundFile:
        about = self._about
        form = (about.sample_rate, about.channels, about.subtype, None, about.format)
        file = soundfile.SoundFile(self._part, "w", *form, **setting)
        if self._comment is not None:
            file.comment = self._comment
        return file

    def _append(self, file: soundfile.SoundFile, block: Samples) -> None:
        for start in range(0, block.shape[1], BLOCK):
            file.write(np.ascontiguousarray(block[:, start : start + BLOCK].T))
