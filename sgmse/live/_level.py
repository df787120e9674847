"""How loud a stream is, followed without what comes later.

Models hear recordings at full scale: offline at the peak of all of it. In a stream the level of a
piece is the largest of the peak of what the model hears with it and of the level before, which
falls slowly:

    l_j = max(peak of window j, 2^(-piece / release) l_(j-1))

So it rises at once, before the louder sound is heard, as a window looks ahead; and it halves within
`RELEASE` seconds of quiet.
"""

import numpy as np
from numpy.typing import NDArray

from sgmse.audio import Block

RELEASE = 10.0  # seconds in which the level halves, at the fastest


class RunningLevel:
    """The levels of the windows of a stream, (channels,).

    Args:
        release: seconds in which it halves at the fastest.
    """

    def __init__(self, release: float = RELEASE) -> None:
        self.release = release
        self._level: NDArray[np.floating] | float = 0.0

    def __call__(self, window: Block, seconds: float) -> NDArray[np.floating]:
        """The level for a window, that many seconds after the one before."""
        fallen = self._level * 2 ** (-seconds / self.release)
        level: NDArray[np.floating] = np.maximum(np.abs(window).max(axis=1), fallen)
        self._level = level
        return level
