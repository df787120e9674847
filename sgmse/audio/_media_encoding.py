"""Sound on its way into a container of PyAV's, beside what else its source holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sgmse.audio import _speakers
from sgmse.audio._bitrates import constant
from sgmse.audio._info import BLOCK, Info, Samples
from sgmse.audio._media import Container, demuxed, kind_of, package
from sgmse.audio._media_coding import CODECS, OPUS_RATES
from sgmse.audio._sources import Source, bytes_at, name_of, opened_bytes
from sgmse.errors import AudioError

#: What holds sound alone; of a film it takes nothing else, but for the picture of a cover.
SOUND_ALONE = ("IPOD", "ADTS", "AC3", "EAC3", "AMR")
#: Samples by which an encoder is late where the container cannot say so.
DELAYS = {("ADTS", "AAC"): 1024, ("AC3", "AC3"): 256, ("EAC3", "EAC3"): 256, ("AMR", "AMR_NB"): 40}
DELAYS |= {("AVI", "MPEG_LAYER_III"): 1105, ("AVI", "AC3"): 256}


class MediaEncoder:
    """Encodes one stream and copies the others of `rest`, packets and times as they are.

    Both are written side by side, so that no more than a packet of the others is held.
    """

    def __init__(self, part: Path, about: Info, path: Path, rest: Source | None) -> None:
        self._about, self._path = about, path
        self.notes: list[str] = []
        self._av = package(path, path.suffix[1:] or about.format.lower())
        self._open = ExitStack()
        with ExitStack() as opened, self._failures_named():
            file = opened.enter_context(part.open("w+b"))
            self._out = opened.enter_context(self._av.open(file, "w", **_muxer(about)))
            self._copies: dict[int, Any] = {}  # index of a stream -> its copy
            self._packets: Iterator[Any] = iter(())
            self._next: Any = None
            source = self._source(opened, rest)
            self._stream = self._streams(source)
            if source is not None and self._copies:
                self._packets = source.demux([source.streams[index] for index in self._copies])
                self._next = next(self._packets, None)
            self._open = opened.pop_all()
        self._skip = DELAYS.get((about.format, about.subtype), 0)
        self._done = 0
        self._first = round(about.start * about.sample_rate) + self._skip
        if about.subtype == "WMAV2":  # whose first frame no decoder gives
            rate = about.sample_rate
            lead = 512 if rate <= 16000 else 1024 if rate <= 22050 else 2048
            self._first -= lead
            self._encode(np.zeros((about.channels, lead), np.float32))

    def write(self, block: Samples) -> None:
        with self._failures_named():
            skipped = min(self._skip, block.shape[1])
            self._skip -= skipped
            for start in range(skipped, block.shape[1], BLOCK):
                self._encode(block[:, start : start + BLOCK])

    def close(self) -> None:
        with self._failures_named():
            end = (self._first + self._done) * self._time_base
            # An encoder that is late ends with a frame of nothing.
            end -= Fraction(DELAYS.get((self._about.format, self._about.subtype), 0), 2) * (
                self._time_base
            )
            self._mux([p for p in self._stream.encode(None) if p.pts * p.time_base < end])
            self._copy(None)
            self._open.close()

    def abandon(self) -> None:
        with suppress(OSError, ValueError, self._av.error.FFmpegError):
            self._open.close()  # there is another error to tell of

    def _encode(self, block: Samples) -> None:
        rows = np.ascontiguousarray(block.T.reshape(1, -1))
        frame = self._av.AudioFrame.from_ndarray(rows, "flt", self._layout)
        frame.sample_rate = self._about.sample_rate
        frame.time_base = self._time_base
        frame.pts = self._first + self._done
        self._done += block.shape[1]
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if packet.dts is not None:
                self._copy(packet.dts * packet.time_base)
            self._out.mux(packet)

    def _copy(self, until: Any) -> None:
        """The packets of the other streams up to a time, all where there is none."""
        while (packet := self._next) is not None:
            time = packet.dts if packet.dts is not None else packet.pts
            if until is not None and time is not None and time * packet.time_base > until:
                return
            if packet.size:  # else it is the end of a stream
                if time is None:  # of a cover
                    packet.pts = packet.dts = 0
                packet.stream = self._copies[packet.stream.index]
                self._out.mux(packet)
            self._next = next(self._packets, None)

    def _source(self, opened: ExitStack, rest: Source | None) -> Container | None:
        """The container whose other streams are copied; None for what has none."""
        if rest is None:
            return None
        stream = opened.enter_context(opened_bytes(rest))
        name = name_of(rest)
        if kind_of(name, bytes_at(stream, 0, 64)) is None:
            return None
        return opened.enter_context(demuxed(stream, name))

    def _streams(self, source: Container | None) -> Any:
        """Make all streams in the order of the source; return that of the sound."""
        if source is None:
            return self._sound(None)
        self._out.metadata.update(
            {key: value for key, value in source.metadata.items() if key not in _OWN}
        )
        if chapters := source.chapters():
            self._out.set_chapters(chapters)
        best = source.streams.best("audio")
        sound = None
        for stream in source.streams:
            if stream is best:
                sound = self._sound(stream)
            elif self._about.format not in SOUND_ALONE or self._is_cover(stream):
                self._add(stream)
        return sound

    def _is_cover(self, stream: Any) -> bool:
        cover = self._av.stream.Disposition.attached_pic
        return stream.type == "video" and bool(stream.disposition & cover)

    def _add(self, stream: Any) -> None:
        """Make a copy of a stream that is not changed."""
        if stream.type == "data":  # such as times of chapters, which are made anew
            if not self._out.chapters():
                self.notes.append(f"lacks stream {stream.index}, of data")
            return
        try:
            copy = self._out.add_stream_from_template(stream, opaque=True)
        except (ValueError, TypeError, self._av.error.FFmpegError):
            self.notes.append(f"lacks stream {stream.index} ({stream.type}), which cannot be kept")
            return
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy

    def _sound(self, like: Any) -> Any:
        about, codec = self._about, CODECS[self._about.subtype]
        rate = about.sample_rate
        if about.subtype == "OPUS" and rate != 48000:
            rate = rate if rate in OPUS_RATES else 48000
            self.notes.append(f"is at 48000 Hz, as all Opus, and not at {about.sample_rate} Hz")
        self._layout = _layout(self._av, about)
        options = {"vbr": "constrained"} if about.subtype == "OPUS" else {}
        stream = self._out.add_stream(
            codec.encoder, rate=rate, layout=self._layout, options=options
        )
        if codec.sample_format is not None:
            stream.codec_context.format = codec.sample_format
        if codec.span is not None:
            wanted = about.bitrate or codec.usual * about.channels
            if about.subtype == "MPEG_LAYER_III":
                wanted = min(constant(rate), key=lambda other: abs(other - wanted))
            stream.bit_rate = round(1000 * wanted)
        self._time_base = Fraction(1, about.sample_rate)
        if like is not None:
            stream.metadata.update(like.metadata)
            stream.disposition = like.disposition
        return stream

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except self._av.error.FFmpegError as error:
            about = self._about
            kind = f"{about.format} {about.subtype}, {about.channels} channels"
            problem = f"cannot be written as {kind} ({error.strerror})"
            remedy = "write the container of the input, or wav"
            raise AudioError(self._path, problem, remedy) from error


_OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER"}


def _muxer(about: Info) -> dict[str, Any]:
    """What FFmpeg is told to write."""
    options: dict[str, str] = {}
    if about.format in ("IPOD", "MP4", "MOV", "3GP", "3G2"):
        # Which counts the length of the sound, else to the millisecond below.
        options["movie_timescale"] = str(about.sample_rate)
    if about.format == "IPOD":  # the same but for its brand; PyAV lets it have no cover
        return {"format": "mp4", "options": options | {"brand": "M4A "}}
    if about.format == "MOV":  # tags of any name are kept so
        options["movflags"] = "use_metadata_tags"
    return {"format": about.format.lower(), "options": options}


def _layout(av: Any, about: Info) -> str:
    """FFmpeg's name of the speakers."""
    usual = _speakers.USUAL.get(about.channels)
    mask = about.speakers if about.speakers is not None else usual
    if mask is None or mask.bit_count() != about.channels:
        mask = usual or 0
    if usual is not None and _speakers.alike(mask, usual):
        mask = usual  # encoders know no difference between side and back
    names = _speakers.named(mask).split()
    return str(av.AudioLayout("+".join(names)).name)
