"""The pieces in which a model hears a stream, and the latency that they need."""

from dataclasses import dataclass

import numpy as np

from sgmse._checks import kinds, number
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError
from sgmse.live._resampling import Resampler

LONGEST = 0.05  # seconds of frames that are kept together


@dataclass(frozen=True)
class Pieces:
    """Pieces of a stream, in seconds: each is heard with some of what came before and comes after.

    A model hears `before`, a piece and `ahead` at once. Of the result the piece is kept, and its
    end is faded into the next one. A sample waits for the rest of its piece and for what is heard
    ahead of it: the latency is piece + ahead. A second costs (before + piece + ahead) / piece
    seconds of the model.

    Args:
        piece: what is made anew each time.
        ahead: what is heard after it.
        before: what is heard before it; from the start of the stream on until there is so much.
        fade: the part of `ahead` in which a piece is faded into the next one.
    """

    piece: float
    ahead: float
    before: float = 2.0
    fade: float = 0.032

    def __post_init__(self) -> None:
        kinds(self)
        number("piece", self.piece, 0)
        number("before", self.before, 0)
        number("ahead", self.ahead, 0)
        number("fade", self.fade, 0, self.ahead)
        if self.piece == 0:
            raise ArgumentError("piece must be longer than 0 s")


@dataclass(frozen=True)
class Plan:
    """Pieces in samples at the rate of the model, and when a stream at another rate makes them.

    Piece j has the samples j piece to (j + 1) piece. Windows start where a frame does.
    """

    piece: int
    ahead: int
    before: int
    fade: int
    down: Resampler
    up: Resampler

    @classmethod
    def of(cls, enhancer: Enhancer, sample_rate: int, pieces: Pieces | float) -> "Plan":
        """The plan of pieces, or that of a latency in seconds, which is not exceeded.

        Raises `ArgumentError` for a latency that is too short.
        """
        rate = enhancer.front.sample_rate
        # Frames that a network takes together are so in every window; but not where those are many,
        # for pieces would become long.
        hop, together = enhancer.front.transform.hop, enhancer.model.divisor[1]
        grid = hop * (together if hop * together <= LONGEST * rate else 1)
        down, up = Resampler(sample_rate, rate), Resampler(rate, sample_rate)
        if isinstance(pieces, Pieces):

            def samples(seconds: float, least: int) -> int:
                return max(round(seconds * rate / grid), least) * grid

            ahead = samples(pieces.ahead, 0)
            fade = min(round(pieces.fade * rate), ahead)
            return cls(samples(pieces.piece, 1), ahead, samples(pieces.before, 0), fade, down, up)
        number("latency", pieces, 0)
        default = Pieces(piece=1.0, ahead=1.0)
        # Short pieces are many, and what is heard before each is most of the work.
        seconds = min(max(4 * pieces, default.before / 4), default.before)
        before = max(round(seconds * rate / grid), 1) * grid
        for count in range(int(pieces * rate / grid) + 1, 1, -1):
            ahead = count // 2 * grid
            fade = min(round(default.fade * rate), ahead)
            plan = cls((count - count // 2) * grid, ahead, before, fade, down, up)
            if plan.delay <= pieces * sample_rate:
                return plan
        least = cls(grid, grid, before, 0, down, up).delay / sample_rate
        raise ArgumentError(
            f"latency must be at least {least:.3f} s for this model, not {pieces:g} s"
        )

    def due(self, piece: int) -> int:
        """Samples of the stream that must be there for that piece."""
        return self.down.needed((piece + 1) * self.piece + self.ahead)

    @property
    def delay(self) -> int:
        """Samples of the stream by which what goes out is later than what comes in.

        The sample before the one with which piece j is due still gets what the pieces before j say,
        at the latest when j is the one for which that is longest ago.
        """
        j = np.arange(self.up.down, dtype=np.int64)  # from there on all repeats
        waiting = self.down.needed((j + 1) * self.piece + self.ahead) - 1
        return int((waiting - self.up.ready(j * self.piece)).max())

    def pieces(self, rate: int) -> Pieces:
        """The same in seconds, for a model at that rate."""
        sizes = (self.piece, self.ahead, self.before, self.fade)
        return Pieces(*(size / rate for size in sizes))
