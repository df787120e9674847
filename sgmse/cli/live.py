"""Clean sound while it is made: stdin to stdout, a little later.

WAV in gives WAV out, of the same samples, rate and channels; --raw takes and gives samples without
a header. What goes out is as long as what came in, and aligned with it. Whoever plays it hears it
later by the latency and by the time that the model takes. That has to be less than the time of the
sound: the load, which a terminal shows, is their ratio. An interrupt ends the sound, and what was
heard until then is still given.

examples:
  ffmpeg -i talk.mkv -f wav - | sgmse live > clean.wav
  arecord -f S16_LE -r 48000 -c 1 | sgmse live | aplay
  ffmpeg -f pulse -i default -f s16le -ac 1 -ar 48000 - | sgmse live --raw s16 --rate 48000 | ...
  sgmse live --latency 0.25 < noisy.wav > clean.wav
"""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from tqdm import tqdm

from sgmse.audio import CODINGS, Pcm, read_header
from sgmse.cli.options import Commands, command, count
from sgmse.cli.streaming import Ending, model, sound, stream_of
from sgmse.errors import ArgumentError, AudioError, RecordingWarning

if TYPE_CHECKING:
    from sgmse.audio import Block
    from sgmse.live import Stream

MOST = 1 << 16  # bytes that are read at once
STATUS = 0.25  # seconds from one status line to the next


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "live", run, __doc__)
    parser.quiet("errors")
    parser.group("input")
    parser.value("input", "-", "stdin, which is the default", nargs="?", choices=("-",))
    parser.value(
        "--raw",
        "CODING",
        f"samples without a header come and go, little-endian: {', '.join(CODINGS)}",
        choices=tuple(CODINGS),
    )
    parser.value("--rate", "HZ", "of what is raw", count)
    parser.value("--channels", "N", "of what is raw, in turn (default: 1)", count)
    parser.group("sound")
    sound(parser)
    parser.group("model")
    model(parser)
    parser.value("--threads", "N", "of the CPU to use", count, default=1)


def run(options: argparse.Namespace) -> int:
    """Pass the sound on until it ends, or until somebody ends it."""
    for name, remedy in (
        ("stdin", "pipe sound into it, ffmpeg -i talk.mkv -f wav - | sgmse live > clean.wav"),
        ("stdout", "which shows no sound; pipe it on, or write it to a file with >"),
    ):
        if getattr(sys, name).isatty():
            raise ArgumentError(f"{name} is a terminal; {remedy}")
    source, target = cast("BufferedReader", sys.stdin.buffer), sys.stdout.buffer
    pcm, frames = _form(options, source)
    stream = stream_of(options, pcm.sample_rate)
    if options.raw is None:
        target.write(pcm.header(frames))
        target.flush()
    with Ending() as ending, _status(options.quiet) as status:
        passage = _Passage(stream, pcm, target, status)
        try:
            for block in _blocks(source, pcm, frames, ending):
                passage.give(block)
        except AudioError:  # of a block, which the stream has not taken
            passage.end()
            raise
        passage.end()
        if ending.asked:
            raise KeyboardInterrupt("what was heard until then is written")
    return 0


def _form(options: argparse.Namespace, source: BinaryIO) -> tuple[Pcm, int | None]:
    """What comes in, and how many frames, if that is known."""
    if options.raw is None:
        for name in ("rate", "channels"):
            if getattr(options, name) is not None:
                raise ArgumentError(f"--{name} is that of --raw; WAV says it in its header")
        return read_header(source)
    if options.rate is None:
        raise ArgumentError("--raw needs --rate, such as --rate 48000, as nothing else says it")
    return Pcm(options.raw, options.rate, options.channels or 1), None


def _blocks(
    source: BufferedReader, pcm: Pcm, frames: int | None, ending: Ending
) -> "Iterator[Block]":
    """What comes in, as it comes, up to so many frames or the end."""
    held, done = b"", 0
    while (frames is None or done < frames) and (more := ending.before(lambda: source.read1(MOST))):
        held += more
        whole = len(held) // pcm.frame
        whole = whole if frames is None else min(whole, frames - done)
        if whole:
            yield pcm.samples(held[: whole * pcm.frame])
            held, done = held[whole * pcm.frame :], done + whole
    if frames is not None and done < frames and not ending.asked:
        missing = (frames - done) / pcm.sample_rate
        text = f"<stdin>: ends {missing:.2f} s before its header says, and so does the result"
        warnings.warn(text, RecordingWarning, stacklevel=2)


class _Passage:
    """From blocks to bytes: what the stream makes of them, without its delay."""

    def __init__(
        self, stream: "Stream", pcm: Pcm, target: BinaryIO, status: "_Status | None"
    ) -> None:
        self.stream, self.pcm, self.target, self.status = stream, pcm, target, status
        self.silence = stream.delay  # samples that are still to be left out
        self.heard = 0

    def give(self, block: "Block") -> None:
        """Pass a block on."""
        start = perf_counter()
        try:
            made = self.stream(block)
        except ArgumentError as error:
            at = f"after {self.heard / self.pcm.sample_rate:.2f} s"
            raise AudioError("<stdin>", f"{at}, {error}", "check what pipes into it") from error
        self.heard += block.shape[1]
        if self.status is not None:
            seconds = block.shape[1] / self.pcm.sample_rate
            self.status.tell(seconds, perf_counter() - start, self.stream.latency)
        self._write(made)

    def end(self) -> None:
        """Write what is still held."""
        if self.heard:
            self._write(self.stream.flush())

    def _write(self, made: "Block") -> None:
        skipped = min(self.silence, made.shape[1])
        self.silence -= skipped
        if made.shape[1] > skipped:
            self.target.write(self.pcm.content(made[:, skipped:]))
            self.target.flush()


class _Status:
    """The line on a terminal."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self.bar = bar
        self.heard = self.load = self.shown = 0.0

    def tell(self, seconds: float, spent: float, latency: float) -> None:
        """So much sound took so long."""
        self.heard += seconds
        # Over a few seconds: most blocks cost nothing, and those that end a piece all of it.
        weight = min(seconds / 3, 1.0)
        self.load += weight * (spent / seconds - self.load)
        if (now := perf_counter()) - self.shown > STATUS:
            self.shown = now
            minutes, rest = divmod(int(self.heard), 60)
            text = f"{minutes}:{rest:02} heard, load {self.load:.0%}, latency {latency:.2f} s"
            self.bar.set_description_str(text)


@contextmanager
def _status(quiet: bool) -> "Iterator[_Status | None]":
    """What to tell of the work, where stderr is a terminal."""
    hidden = True if quiet else None
    with tqdm(bar_format="{desc}", disable=hidden, leave=False, file=sys.stderr) as bar:
        yield None if bar.disable else _Status(bar)
