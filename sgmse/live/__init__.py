"""Blocks in, blocks out: a model that hears a recording while it is made.

An enhancer and a sample rate make a stream; blocks of any length come in, as many samples go out,
later by a latency that is known to the sample. How a recording is cut into blocks never changes
what comes out.
"""

from sgmse.live._frames import by_frames
from sgmse.live._limits import Limits, Place
from sgmse.live._pieces import Pieces
from sgmse.live._server import Server
from sgmse.live._stream import Stream

__all__ = ["Limits", "Pieces", "Place", "Server", "Stream", "by_frames"]
