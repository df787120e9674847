"""Sound that is passed on through a stream: what comes through a pipe, and what is told of it."""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from math import log10
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from tqdm import tqdm

from sgmse.audio import Pcm, read_header
from sgmse.cli.streaming import Ending
from sgmse.errors import ArgumentError, AudioError, RecordingWarning

if TYPE_CHECKING:
    from sgmse.audio import Block
    from sgmse.live import Stream
    from sgmse.live.line import Line

MOST = 1 << 16  # bytes that are read at once
STATUS = 0.25  # seconds from one status line to the next
STALLED = 3.0  # seconds after which a microphone should have said something
WAIT = 0.1  # seconds after which it is seen that the end is asked for


def form(options: argparse.Namespace, source: BinaryIO) -> tuple[Pcm, int | None]:
    """What comes in, and how many frames, if that is known."""
    if options.raw is None:
        for name in ("rate", "channels"):
            if getattr(options, name) is not None:
                raise ArgumentError(f"--{name} is that of --raw; WAV says it in its header")
        return read_header(source)
    if options.rate is None:
        raise ArgumentError("--raw needs --rate, such as --rate 48000, as nothing else says it")
    return Pcm(options.raw, options.rate, options.channels or 1), None


def from_pipe(
    source: BufferedReader, pcm: Pcm, frames: int | None, ending: Ending
) -> "Iterator[Block]":
    """What comes in, as it comes, up to so many frames or the end."""
    held, done, first = b"", 0, True
    while (frames is None or done < frames) and (more := ending.before(lambda: source.read1(MOST))):
        held += more
        if first and frames is None and held.startswith(b"RIFF"):
            text = "<stdin>: begins with the header of a WAV file, which is taken as sound; leave"
            warnings.warn(f"{text} --raw out", RecordingWarning, stacklevel=2)
        first = False
        whole = len(held) // pcm.frame
        whole = whole if frames is None else min(whole, frames - done)
        if whole:
            yield pcm.samples(held[: whole * pcm.frame])
            held, done = held[whole * pcm.frame :], done + whole
    if frames is not None and done < frames and not ending.asked:
        missing = (frames - done) / pcm.sample_rate
        text = f"<stdin>: ends {missing:.2f} s before its header says, and so does the result"
        warnings.warn(text, RecordingWarning, stacklevel=2)
    elif frames is None and held and not ending.asked:
        count = f"{len(held)} byte{'s' * (len(held) > 1)}"
        text = f"<stdin>: ends within a frame of {pcm.frame} bytes; {count} left out"
        warnings.warn(text, RecordingWarning, stacklevel=2)


class Passage:
    """From blocks to blocks: what the stream makes of them, without its delay.

    Args:
        stream: that they pass through.
        name: of where they come from.
        write: is given what comes of them.
        status: is told of it, where somebody sees it.
    """

    def __init__(
        self,
        stream: "Stream",
        name: str,
        write: "Callable[[Block], object]",
        status: "Status | None",
    ) -> None:
        from sgmse.postprocessing import Tops  # which has torch, as the stream

        self.stream, self.name, self.write, self.status = stream, name, write, status
        self.silence = stream.delay  # samples that are still to be left out
        self.heard = 0
        self.tops = None if "clipping" in stream.enhancer.mends else Tops()

    def give(self, block: "Block") -> None:
        """Pass a block on."""
        start = perf_counter()
        try:
            made = self.stream(block)
        except ArgumentError as error:
            at = f"after {self.heard / self.stream.sample_rate:.2f} s"
            remedy = "check what pipes into it"
            raise AudioError(self.name, f"{at}, {error}", remedy) from error
        self.heard += block.shape[1]
        if self.tops is not None:
            self.tops.add(block)
        if self.status is not None and block.shape[1]:
            seconds = block.shape[1] / self.stream.sample_rate
            self.status.levels(block, made)
            self.status.tell(seconds, perf_counter() - start, self.stream.latency)
        self._write(made)

    def end(self) -> None:
        """Write what is still held."""
        if self.heard:
            self._write(self.stream.flush())

    def tell_clipped(self, remedy: str) -> None:
        """Warn of clipping in what was heard, with what helps."""
        if self.tops is not None and self.tops.clipped:
            text = f"{self.name}: this is clipped, and stays so; {remedy}"
            warnings.warn(text, RecordingWarning, stacklevel=2)

    def _write(self, made: "Block") -> None:
        skipped = min(self.silence, made.shape[1])
        self.silence -= skipped
        if made.shape[1] > skipped:
            self.write(made[:, skipped:])


def meter(peak: float) -> str:
    """A level as a bar of ten characters, 6 dB each, and as a number.

    >>> meter(0.1)
    '#######... -20 dB'
    """
    level = 20 * log10(max(peak, 1e-5))
    count = min(max(round(level / 6) + 10, 0), 10)
    return f"{'#' * count}{'.' * (10 - count)} {level:3.0f} dB"


class Status:
    """The line on a terminal.

    Args:
        bar: that shows it.
        line: of the devices, whose levels and losses are shown.
    """

    def __init__(self, bar: "tqdm[Any]", line: "Line | None" = None) -> None:
        self.bar, self.line = bar, line
        self.heard = self.load = self.shown = 0.0
        self.peaks = [0.0, 0.0]  # since it was last shown: of what came in, of what went out

    def levels(self, heard: "Block", made: "Block") -> None:
        """What goes in and out now."""
        now = (float(np.abs(block).max(initial=0)) for block in (heard, made))
        self.peaks = list(map(max, self.peaks, now))

    def tell(self, seconds: float, spent: float, latency: float) -> None:
        """So much sound took so long."""
        self.heard += seconds
        # Over a few seconds: most blocks cost nothing, and those that end a piece all of it.
        weight = min(seconds / 3, 1.0)
        self.load += weight * (spent / seconds - self.load)
        if (now := perf_counter()) - self.shown > STATUS:
            self.shown = now
            minutes, rest = divmod(int(self.heard), 60)
            latency += 0.0 if self.line is None else self.line.latency
            text = f"{minutes}:{rest:02} heard, load {self.load:.0%}, latency {latency:.2f} s"
            if self.line is not None:
                text += ", in {}, out {}".format(*map(meter, self.peaks))
                text += f", {', '.join(self.line.losses)}" if self.line.losses else ""
            self.peaks = [0.0, 0.0]
            self.bar.set_description_str(text)


@contextmanager
def status(quiet: bool, line: "Line | None" = None) -> "Iterator[Status | None]":
    """What to tell of the work, where stderr is a terminal."""
    hidden = True if quiet else None
    with tqdm(bar_format="{desc}", disable=hidden, leave=False, file=sys.stderr) as bar:
        yield None if bar.disable else Status(bar, line)


def from_line(line: "Line", ending: Ending) -> "Iterator[Block]":
    """What a microphone hears, until the end is asked for."""
    last: float | None = perf_counter()  # None: it is said that nothing comes
    while not ending.asked:
        if (block := line.read(WAIT)) is not None:
            last = perf_counter()
            yield block
        elif last is not None and perf_counter() - last > STALLED:
            last = None
            text = f"nothing has come from the microphone for {STALLED:g} s; is another one meant?"
            warnings.warn(text, RecordingWarning, stacklevel=2)
