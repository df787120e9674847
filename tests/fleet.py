"""For tests of corpora: recordings, and networks that take their time or end their process."""

import io
import os
import signal
import time
from pathlib import Path

import numpy as np

from sgmse.audio import Info, read, write
from sgmse.networks import Network


class Telling(Network):
    """Makes a file named by its process in a folder, and takes a while."""

    def __init__(self, folder: str, seconds: float) -> None:
        super().__init__()
        self.folder, self.seconds = folder, seconds

    def forward(self, x, y, t):
        (Path(self.folder) / str(os.getpid())).touch()
        time.sleep(self.seconds)
        return 0.5 * y + 0.3 * x


class Deadly(Network):
    """Ends its process over recordings of more than so many frames."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x, y, t):
        if y.shape[-1] > self.frames:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.5 * y + 0.3 * x


def recording(name: str, samples: int = 1600, channels: int = 1, seed: int = 0) -> None:
    z = np.random.default_rng(seed).standard_normal((channels, samples))
    Path(name).parent.mkdir(exist_ok=True)
    write(name, 0.03 * z.clip(-3, 3), Info(16000, channels))


def assert_alike(made: bytes, expected: bytes, step: float = 2**-15) -> None:
    """Two files of the same form and sound, but for a step of 16 bit.

    Not to the bit: what torch adds in which order depends on where its arrays lie in memory.
    """
    (ours, form), (theirs, expected_form) = (read(io.BytesIO(file)) for file in (made, expected))
    assert form == expected_form
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1.01 * step)


def assert_folders_alike(made: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Files by their names: none more, none less, each like the other."""
    assert set(made) == set(expected)
    for name, content in made.items():
        assert_alike(content, expected[name])
