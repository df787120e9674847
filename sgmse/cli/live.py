"""Clean sound while it is made: from stdin or a microphone, to stdout, a loudspeaker or a file.

What goes out is as long as what came in, and aligned with it. Whoever plays it hears it later by
the latency and by the time that the model takes. That has to be less than the time of the sound:
the load, which a terminal shows, is their ratio. An interrupt ends the sound, and what was heard
until then is still given.

In pipes WAV gives WAV, of the same samples, rate and channels; --raw takes and gives samples
without a header. A microphone is piped as WAV of 16 bits.

examples:
  ffmpeg -i talk.mkv -f wav - | sgmse live > clean.wav
  arecord -f S16_LE -r 48000 -c 1 | sgmse live | aplay
  ffmpeg -f pulse -i default -f s16le -ac 1 -ar 48000 - | sgmse live --raw s16 --rate 48000 | ...
  sgmse live --latency 0.25 < noisy.wav > clean.wav
  sgmse live --devices                                 microphones and loudspeakers
  sgmse live --input default --output default          from one to the other
  sgmse live --input usb --output clean.wav            until Ctrl-C
"""

import argparse
import shlex
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from sgmse.audio import CODINGS, SUFFIXES, Info, Pcm, Writer, check_target
from sgmse.cli import console
from sgmse.cli.options import Commands, command, count
from sgmse.cli.passing import Passage, form, from_line, from_pipe, status
from sgmse.cli.streaming import Ending, model, sound, stream_of
from sgmse.errors import ArgumentError, AudioError, ClippingWarning, ResultError, SgmseError

if TYPE_CHECKING:
    from sgmse.audio import Block
    from sgmse.live import Stream
    from sgmse.live.devices import Device


#: What helps where sound comes from a microphone, and where from stdin.
CLIPPED = (
    "lower the level of the microphone",
    "lower its level where it is recorded, or mend it later: sgmse enhance FILE --model restore",
)


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "live", run, __doc__)
    parser.quiet("errors")
    parser.group("input")
    parser.value("input", "-", "stdin, which is the default", nargs="?")
    parser.value(
        "--raw",
        "CODING",
        f"samples without a header come and go, little-endian: {', '.join(CODINGS)}",
        choices=tuple(CODINGS),
    )
    parser.value("--rate", "HZ", "of what is raw, or of a microphone (default: its own)", count)
    parser.value("--channels", "N", "of these, in turn (default: 1)", count)
    parser.group("devices")
    parser.value(
        "--input",
        "DEVICE",
        "a microphone in place of stdin: its number, a part of its name, or default",
        dest="source",
    )
    parser.value(
        "-o --output",
        "DEVICE|FILE",
        "a loudspeaker, or a file such as clean.wav, in place of stdout",
        dest="target",
    )
    parser.overwrite("a file that is there")
    parser.flag("--devices", "print what microphones and loudspeakers there are")
    parser.group("sound")
    sound(parser)
    parser.group("model")
    model(parser)
    parser.value("--threads", "N", "of the CPU to use", count, default=1)


def run(options: argparse.Namespace) -> int:
    """Pass the sound on until it ends, or until somebody ends it."""
    if options.devices:
        return _listed()
    if options.input not in (None, "-"):
        file = shlex.quote(options.input)
        raise ArgumentError(
            f"sgmse live hears stdin or a microphone, and no file; pipe it, sgmse live < {file} > "
            f"clean.wav, or enhance it whole: sgmse enhance {file}"
        )
    _check_pipes(options)
    from sgmse.live.devices import microphone
    from sgmse.live.line import Line

    source = None if options.source is None else microphone(options.source)
    target = _target(options)
    stdin = cast("BufferedReader", sys.stdin.buffer)
    if source is None:
        pcm, frames = form(options, stdin)
    else:
        rate = options.rate or source.rate
        pcm, frames = Pcm(options.raw or "s16", rate, options.channels or 1), None
    stream = stream_of(options, pcm.sample_rate)
    speaker = None if isinstance(target, Path) else target
    line = None
    if source is not None or speaker is not None:
        _warm(stream)
        line = Line(pcm.sample_rate, pcm.channels, source, speaker)
    failed: SgmseError | None = None
    with Ending() as ending, status(options.quiet, line) as told, ExitStack() as opened:
        write = _written(options, target, pcm, frames, opened)
        if line is not None:
            opened.enter_context(line)
            if speaker is not None:
                write = partial(line.write, wait=source is None)
        if line is not None and source is not None:
            name, blocks = source.name, from_line(line, ending)
        else:
            name, blocks = "<stdin>", from_pipe(stdin, pcm, frames, ending)
        passage = Passage(stream, name, write, told)
        try:
            try:
                for block in blocks:
                    passage.give(block)
            except AudioError as error:  # of a block, which the stream has not taken; of a device
                failed = error
            passage.end()
        except ResultError as error:  # of the model; a file has what was written before
            failed = error
        if speaker is not None and line is not None and failed is None:
            line.drain()
    for loss in [] if line is None or options.quiet else line.losses:
        console.warn(f"{loss}; with a lower load, or more --latency, less is")
    passage.tell_clipped(CLIPPED[source is None])
    if failed is not None:
        raise failed
    if ending.asked:
        raise KeyboardInterrupt("what was heard until then is written")
    return 0


def _check_pipes(options: argparse.Namespace) -> None:
    """Refuse a terminal where sound would go."""
    heard = "pipe sound into it, ffmpeg -i talk.mkv -f wav - | sgmse live > clean.wav, or name a "
    heard += "microphone, --input default"
    played = "which shows no sound; pipe it on, write it to a file with >, or name a loudspeaker, "
    played += "--output default"
    for name, other, remedy in (
        ("stdin", options.source, heard),
        ("stdout", options.target, played),
    ):
        if other is None and getattr(sys, name).isatty():
            raise ArgumentError(f"{name} is a terminal; {remedy}")


def _target(options: argparse.Namespace) -> "Path | Device | None":
    """A file, by its suffix or its folder, a loudspeaker, or stdout."""
    word = options.target
    if word is None:
        return None
    path = Path(word)
    if path.suffix[1:].lower() not in SUFFIXES and len(path.parts) < 2:
        from sgmse.live.devices import loudspeaker

        return loudspeaker(word)
    check_target(path, None, options.overwrite)
    return path


def _written(
    options: argparse.Namespace,
    target: "Path | Device | None",
    pcm: Pcm,
    frames: int | None,
    opened: ExitStack,
) -> "Callable[[Block], object]":
    """What writes to a file or to stdout, whose header it writes."""
    if isinstance(target, Path):
        like = Info(pcm.sample_rate, pcm.channels, frames or 0)
        writer = opened.enter_context(Writer(target, like))
        opened.callback(_tell_clipped, writer)
        return writer.write
    stdout = sys.stdout.buffer

    def write(block: "Block") -> None:
        stdout.write(pcm.content(block))
        stdout.flush()

    if target is None and options.raw is None:
        stdout.write(pcm.header(frames))
        stdout.flush()
    return write


def _tell_clipped(writer: Writer) -> None:
    if writer.clipped:
        text = f"{writer.path}: {writer.clipped} samples beyond full scale were clipped"
        warnings.warn(text, ClippingWarning, stacklevel=2)


def _warm(stream: "Stream") -> None:
    """Let the model do once what takes longer the first time, before anybody waits for it."""
    seconds = 2 * stream.pieces.piece + stream.latency
    noise = np.random.default_rng(0).standard_normal(round(seconds * stream.sample_rate))
    with suppress(SgmseError):  # which the sound itself will have, too
        stream.whole(0.01 * noise)


def _listed() -> int:
    """A line for each device."""
    from sgmse.live.devices import devices

    found = devices()
    for d in found:
        kinds = {"microphone": d.default_input, "loudspeaker": d.default_output}
        chosen = " and ".join(kind for kind, is_default in kinds.items() if is_default)
        line = f"{d.number:3}  {d.name}: {d.inputs} in, {d.outputs} out, {d.rate} Hz"
        console.show(f"{line}, the default {chosen}" if chosen else line)
    if not found:
        console.say("PortAudio finds no microphone and no loudspeaker on this machine")
    return 0
