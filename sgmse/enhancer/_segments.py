"""Segments of a recording, at the rate of the model: drawn, averaged and judged."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from sgmse._batches import Batches
from sgmse._device import memory_named
from sgmse._lanes import Lanes, callers, lanes
from sgmse._noise import Draws
from sgmse._pieces import Drawing, Piece, one_by_one, together
from sgmse.audio import Block
from sgmse.enhancer._options import Options
from sgmse.errors import ResultError
from sgmse.postprocessing import POSSIBLE, check_finite
from sgmse.solvers import Step

#: On a device, of one recording: their pieces fill its batches.
SEGMENTS_AT_ONCE = 8
MORE_MEMORY = "enhance fewer files at the same time (-j), or on the CPU (--device cpu)"


@dataclass(frozen=True, eq=False)
class Segments:
    """How segments are enhanced.

    Args:
        drawing: how the model draws them.
        batches: where their pieces wait for a device; None where cores do them one by one.
        length: in samples.
        overlap: samples at the start of each but the first that the one before it has, too.
        force: keep what is like no recording.
    """

    drawing: Drawing
    batches: Batches | None
    length: int
    overlap: int
    force: bool

    def lanes(self, count: int) -> AbstractContextManager[Lanes]:
        """Threads for so many: with a share of the cores, or to wait for batches."""
        return lanes(count) if self.batches is None else callers(min(count, SEGMENTS_AT_ONCE))

    @memory_named(MORE_MEMORY)
    def enhanced(
        self, segment: Block, number: int, options: Options, check: Callable[[], None]
    ) -> tuple[Block, Block]:
        """One segment (channels, samples), which calls `check` after each step.

        What the model says, and the result, which has the strength that is asked for; both are
        means of what is drawn with the frames at other places. Raises `ResultError` for what is not
        finite or like no recording.
        """
        delays = self.drawing.front.delays(self.drawing.sampler.shifts)
        rate = self.drawing.front.sample_rate
        fresh = segment.shape[1] - (self.overlap if number else 0)

        def report(step: Step) -> None:
            check()
            options.done(fresh / rate / step.steps / len(pieces))

        pieces = [
            Piece(channel, delay, Draws(options.seed, number, place), report)
            for channel in torch.from_numpy(segment)
            for place, delay in enumerate(delays)
        ]
        if self.batches is None:
            outputs = one_by_one(self.drawing, pieces)
        else:
            outputs = together(self.drawing, pieces, self.batches)
        with torch.inference_mode():
            means = [
                torch.stack(outputs[first : first + len(delays)]).mean(dim=0)
                for first in range(0, len(pieces), len(delays))
            ]
        rows = torch.stack(means, dim=1).numpy().astype(segment.dtype, copy=False)
        self._judge(rows[0], segment, options)
        return rows[0], rows[-1]

    def _judge(self, clean: Block, segment: Block, options: Options) -> None:
        """Raise `ResultError` for what cannot be, or cannot be of this recording."""
        check_finite(clean, self.drawing.sampler)
        excess = options.plausibility.judge(clean, segment, self.drawing.front.sample_rate)
        if excess > POSSIBLE and not self.force:
            powers = [np.mean(np.square(x)) + 1e-12 for x in (clean, segment)]
            change = 10 * np.log10(powers[0] / powers[1])
            level = f"{abs(change):.0f} dB {'louder' if change > 0 else 'quieter'}"
            raise ResultError(
                f"the result is noise: {excess:.0%} of its energy is where the recording has next "
                f"to none, and it is {level}; sample the model as it recommends, "
                "or take another one; to hear it all the same use --force (force=True)"
            )
