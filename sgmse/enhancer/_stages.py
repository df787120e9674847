"""The stages of a stream, from a recording to the segments of a model and back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sgmse.audio import (
    Block,
    count_segments,
    cut,
    in_segments,
    mixed,
    peaks,
    resample_blocks,
    resampled_length,
)
from sgmse.enhancer._options import Options
from sgmse.enhancer._segments import Segments
from sgmse.front import FrontEnd
from sgmse.networks import BandGains
from sgmse.postprocessing import Content, Finish, Remarks, UpperBand, whole_band


@dataclass(frozen=True, eq=False)
class Stages:
    """What a recording passes.

    Args:
        segments: in the middle.
        upper_band, mends: see `Enhancer`.
    """

    segments: Segments
    upper_band: BandGains | None
    mends: tuple[str, ...] = ()

    @property
    def front(self) -> FrontEnd:
        """What the model hears."""
        return self.segments.drawing.front

    def heard(self, sample_rate: int, options: Options) -> Remarks:
        """Who listens to a recording."""
        kept = options.upper_band or options.least > 0 or options.dry > 0
        return Remarks(sample_rate, self.front.sample_rate, upper_band=kept, mends=self.mends)

    def whole(self, rows: Block, sample_rate: int, options: Options, heard: Remarks) -> Block:
        """A recording (channels, samples), enhanced."""
        out, done = np.empty_like(rows), 0
        form = (sample_rate, rows.shape[1])
        for block in self.stream(cut(rows), peaks([rows]), *form, options, heard):
            out[:, done : done + block.shape[1]] = block
            done += block.shape[1]
        return out

    def stream(
        self,
        blocks: Iterable[Block],
        levels: NDArray[np.floating],
        sample_rate: int,
        length: int,
        options: Options,
        remarks: Remarks,
    ) -> Iterator[Block]:
        """A recording of `length` samples whose channels have the peaks `levels`, enhanced."""
        heard = levels > 0  # a silent channel stays exactly silent
        scale = levels[heard, None]
        remarks.silence = 0.0 if heard.any() else length / sample_rate

        def enhanced(blocks: Iterable[Block]) -> Iterator[Block]:
            loud = (block[heard] / scale for block in blocks)
            for block in self._resampled(loud, sample_rate, length, options, remarks.content):
                out = np.zeros((len(heard), block.shape[1]), block.dtype)
                out[heard] = block * scale
                yield out

        def silent(blocks: Iterable[Block]) -> Iterator[Block]:
            for block in blocks:
                yield np.zeros_like(block)
                options.done(block.shape[1] / sample_rate)

        dry = 1.0 if options.least == 1 else float(options.dry)
        return mixed(remarks.listening(blocks), enhanced if heard.any() else silent, dry)

    def _resampled(
        self,
        blocks: Iterable[Block],
        sample_rate: int,
        length: int,
        options: Options,
        content: Content,
    ) -> Iterator[Block]:
        """A stream of `length` samples, enhanced in segments at the rate of the model."""
        rate = self.front.sample_rate
        cuts = self.segments.length, self.segments.overlap
        upper_band = options.upper_band and sample_rate > rate
        # What is lost on the way there and back: the band above, and a little below half a rate.
        tracks = upper_band or (options.least > 0 and sample_rate != rate)
        network = self.upper_band if upper_band else None
        finish = Finish(
            rate,
            level=self.front.level == "kept",
            least=options.least,
            upper_band=upper_band,
            tracks=tracks,
        )
        pieces = count_segments(resampled_length(length, sample_rate, rate), *cuts)
        with self.segments.lanes(pieces) as side_by_side:

            def enhanced(segment: Block, number: int) -> tuple[Block, Block, Block]:
                check = side_by_side.check
                return (*self.segments.enhanced(segment, number, options, check), segment)

            def process(segments: Iterator[Block]) -> Iterator[Block]:
                for said, clean, segment in side_by_side.map(enhanced, segments, count()):
                    content.add(said, segment)
                    yield finish(clean, segment)

            def there_and_back(blocks: Iterable[Block]) -> Iterator[Block]:
                there = resample_blocks(blocks, sample_rate, rate)
                made = in_segments(there, process, *cuts)
                return resample_blocks(made, rate, sample_rate, length)

            if sample_rate == rate:
                yield from in_segments(blocks, process, *cuts)
            elif network is not None:
                band = UpperBand(network, sample_rate, rate)
                yield from band.stream(blocks, there_and_back, options.least)
            elif tracks:
                yield from whole_band(blocks, there_and_back)
            else:
                yield from there_and_back(blocks)
