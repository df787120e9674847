"""Small containers with a picture, sounds, chapters and tags, made by PyAV."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="containers of films need the package av (extra media)")

RATE = 48000
FORMATS = {"m4a": "mp4", "mka": "matroska", "mkv": "matroska", "wma": "asf", "aac": "adts"}


def sound(seconds: float = 1.0, channels: int = 1, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Bursts of smooth noise, in which any shift in time is seen, (channels, samples)."""
    samples = round(seconds * rate)
    z = np.random.default_rng(seed).standard_normal((channels, samples))
    smooth = sum(np.roll(z, k, axis=1) for k in range(8)) / 8
    bursts = np.sin(2 * np.pi * 1.7 * np.arange(samples) / rate) > -0.3
    return (0.25 * smooth * bursts).clip(-1, 1).astype(np.float32)


def film(
    path: Path,
    *sounds: np.ndarray,
    codec: str = "aac",
    rate: int = RATE,
    bitrate: int = 96000,
    picture: str | None = "mpeg4",
    late: float = 0.0,
    cover: bool = False,
) -> Path:
    """A container, by its suffix; its sounds begin `late` s after the picture of 25 frames a s.

    With `cover` the picture is one that belongs to the whole.
    """
    suffix = path.suffix[1:]
    with av.open(str(path), "w", format=FORMATS.get(suffix, suffix)) as out:
        out.metadata["title"] = "a talk"
        chapter = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
        if suffix in ("mp4", "mkv", "m4a", "mov"):
            out.set_chapters([{**chapter, "metadata": {"title": "opening"}}])
        if picture:
            video = out.add_stream(picture, rate=25)
            video.width, video.height = 64, 48
            video.pix_fmt = "yuvj420p" if picture == "mjpeg" else "yuv420p"
            if cover:
                video.disposition = av.stream.Disposition.attached_pic
        streams = []
        for rows in sounds:
            layout = ("mono", "stereo")[len(rows) - 1]
            trial = {"strict": "experimental"} if codec == "vorbis" else {}  # as FFmpeg has it
            stream = out.add_stream(codec, rate=rate, layout=layout, options=trial)
            stream.bit_rate = bitrate
            streams.append(stream)
        if picture:
            for index in range(1 if cover else round(sounds[0].shape[1] / rate * 25)):
                image = np.full((48, 64, 3), 5 * index % 255, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame = frame.reformat(format=video.pix_fmt)
                frame.pts = index
                out.mux(video.encode(frame))
            out.mux(video.encode())
        for stream, rows in zip(streams, sounds, strict=True):
            packed = np.ascontiguousarray(rows.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, "flt", stream.layout.name)
            frame.sample_rate, frame.pts = rate, round(late * rate)
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def lag(reference: np.ndarray, other: np.ndarray) -> int:
    """Samples by which the other comes later, at the largest correlation."""
    n = 2 * max(len(reference), len(other))
    spectrum = np.fft.rfft(other, n) * np.fft.rfft(reference, n).conj()
    peak = int(np.fft.irfft(spectrum).argmax())
    return peak if peak < n // 2 else peak - n


def packets(path: Path) -> list[tuple[str, float, bytes]]:
    """What is in the streams beside the best sound: kind, time and bytes of each packet."""
    with av.open(str(path)) as file:
        best = file.streams.best("audio")
        others = [s for s in file.streams if s is not best and s.type != "data"]
        if not others:
            return []
        found = [p for p in file.demux(others) if p.size]
        return [
            (p.stream.type, round(float((p.pts or 0) * p.time_base), 3), bytes(p)) for p in found
        ]


def facts(path: Path) -> dict[str, object]:
    """Tags, chapters and streams, by FFmpeg."""
    with av.open(str(path)) as file:
        return {
            "title": file.metadata.get("title"),
            "chapters": [chapter["metadata"]["title"] for chapter in file.chapters()],
            "streams": [(s.type, s.codec_context.name) for s in file.streams if s.type != "data"],
            "start": float(file.streams.best("audio").start_time or 0)
            * float(file.streams.best("audio").time_base),
        }
