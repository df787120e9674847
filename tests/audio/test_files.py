"""Files in and out, resampling, finding."""

import io
import os
import pickle
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import together

from sgmse.audio import (
    Info,
    Writer,
    blocks,
    find,
    info,
    read,
    resample,
    resample_blocks,
    resampled_length,
    write,
    written_as,
)
from sgmse.errors import AudioError

RATES = [8000, 11025, 16000, 22050, 44100, 44101, 48000, 96000]
LENGTHS = [1, 2, 7, 100, 4411]

# suffix, libsndfile's names, sample rate, largest error of what comes back (None: lossy coding)
FORMATS = [
    ("wav", "WAV", "PCM_U8", 8000, 2**-7),
    ("wav", "WAV", "PCM_16", 44101, 2**-15),
    ("wav", "WAV", "PCM_24", 48000, 2**-23),
    ("wav", "WAV", "PCM_32", 48000, 2**-23),
    ("wav", "WAV", "FLOAT", 96000, 0),
    ("wav", "WAV", "DOUBLE", 16000, 0),
    ("wav", "WAVEX", "PCM_24", 48000, 2**-23),
    ("wav", "RF64", "PCM_16", 48000, 2**-15),
    ("wav", "WAV", "ULAW", 8000, 2**-5),
    ("wav", "NIST", "PCM_16", 16000, 2**-15),
    ("w64", "W64", "PCM_16", 48000, 2**-15),
    ("flac", "FLAC", "PCM_16", 44100, 2**-15),
    ("flac", "FLAC", "PCM_24", 96000, 2**-23),
    ("aiff", "AIFF", "PCM_16", 44100, 2**-15),
    ("caf", "CAF", "ALAC_16", 44100, 2**-15),
    ("au", "AU", "PCM_16", 16000, 2**-15),
    ("ogg", "OGG", "VORBIS", 44100, None),
    ("opus", "OGG", "OPUS", 16000, None),
    ("opus", "OGG", "OPUS", 48000, None),
    ("mp3", "MP3", "MPEG_LAYER_III", 44100, None),
    ("mp3", "MP3", "MPEG_LAYER_III", 16000, None),
]


def tone(frames: int, sample_rate: int, channels: int = 2) -> np.ndarray:
    """Other sines in each channel, so that a swap or a wrong stride is seen."""
    t = np.arange(frames) / sample_rate
    rows = [0.4 * np.sin(2 * np.pi * 300 * (1 + c) * t) for c in range(channels)]
    return np.stack(rows).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """A good stereo file of 10,007 frames at 16 kHz."""
    path = tmp_path / "good.wav"
    write(path, tone(10007, 16000), Info(16000, 2))
    return path


# Round trips


@pytest.mark.parametrize(("suffix", "container", "coding", "rate", "error"), FORMATS)
def test_a_file_keeps_format_rate_channels_and_length(
    tmp_path, suffix, container, coding, rate, error
):
    audio = tone(70003, rate)  # more than one block, no multiple of a codec's frame
    like = Info(rate, 2, 0, container, coding)
    wrote = write(tmp_path / f"x.{suffix}", audio, like)
    back, about = read(tmp_path / f"x.{suffix}")
    assert wrote == about == Info(rate, 2, 70003, container, coding)
    assert back.dtype == np.float32
    assert back.shape == audio.shape
    if error is None:  # lossy: aligned and close
        assert np.corrcoef(back.ravel(), audio.ravel())[0, 1] > 0.99
    else:
        assert np.abs(back - audio).max() <= error
        # the second generation is exact: enhancing with dry = 1 changes no bit
        write(tmp_path / f"y.{suffix}", back, about)
        np.testing.assert_array_equal(read(tmp_path / f"y.{suffix}")[0], back)


@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ULAW"])
def test_integers_are_clipped_and_never_wrap(tmp_path, coding):
    audio = np.array([[-3.0, -1.0001, -1.0, 0.0, 1.0, 1.0001, 3.0]], np.float32)
    with Writer(tmp_path / "x.wav", Info(16000, subtype=coding)) as writer:
        writer.write(audio)
    assert writer.clipped == 4
    back, _ = read(tmp_path / "x.wav")
    # mu-law ends at 32124/32768; its steps there, and those of 8 bit, are coarse
    np.testing.assert_allclose(back, audio.clip(-1, 1), atol=0.025)


def test_float_files_are_not_clipped(tmp_path):
    audio = np.array([[-3.0, 0.0, 3.0]], np.float32)
    write(tmp_path / "x.wav", audio, Info(16000, subtype="FLOAT"))
    np.testing.assert_array_equal(read(tmp_path / "x.wav")[0], audio)


def test_the_array_of_the_caller_is_left_alone(tmp_path):
    audio = np.full((1, 4), 2.0, np.float32)
    write(tmp_path / "x.wav", audio, Info(16000))
    assert (audio == 2).all()


def test_tensors_are_written(tmp_path):
    audio = torch.linspace(-0.5, 0.5, 100)[None]
    write(tmp_path / "x.wav", audio, Info(16000, subtype="FLOAT"))
    np.testing.assert_array_equal(read(tmp_path / "x.wav")[0], audio.numpy())


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
def test_blocks_are_the_file_in_pieces(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write(path, tone(20011, 16000), Info(16000, 2))
    pieces = list(blocks(path, 4096))
    assert [piece.shape[1] for piece in pieces] == [4096] * 4 + [20011 - 4 * 4096]
    # 1e-6: the mp3 decoder's rounding depends on where reading starts
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), read(path)[0], atol=1e-6)


def test_one_sample(tmp_path):
    write(tmp_path / "x.wav", np.array([[0.5]], np.float32), Info(44101))
    assert info(tmp_path / "x.wav").frames == 1
    assert read(tmp_path / "x.wav")[0] == 0.5


@pytest.mark.parametrize(("suffix", "container", "coding", "rate", "_"), FORMATS)
def test_a_file_in_memory_is_read_as_one_on_disk(tmp_path, suffix, container, coding, rate, _):
    path = tmp_path / f"x.{suffix}"
    write(path, tone(20011, rate), Info(rate, 2, 0, container, coding))
    expected, about = read(path)
    memory = io.BytesIO(path.read_bytes())
    memory.seek(100)  # read from its beginning, wherever it stands
    assert info(memory) == about
    np.testing.assert_array_equal(read(memory)[0], expected)
    np.testing.assert_array_equal(np.concatenate(list(blocks(memory, 999)), axis=1), expected)
    with path.open("rb") as file:  # stays the caller's
        assert info(file).bitrate == about.bitrate
        assert not file.closed
    assert (about.bitrate is not None) == (container in ("MP3", "OGG"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", r"is empty \(0 bytes\)"), (b"Dear diary" * 9, "is not audio"), (b"RIFF", "is damaged")],
)
def test_what_is_no_audio_in_memory(content, words):
    with pytest.raises(AudioError, match=f"<memory>: {words}"):
        read(io.BytesIO(content))


def test_a_pipe_cannot_be_read_twice():
    ours, theirs = os.pipe()
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe, pytest.raises(AudioError, match="read it into an io"):
        info(pipe)


def test_long_vorbis_in_one_write(tmp_path):
    """libsndfile itself dies of this one: three minutes of Vorbis from one call."""
    audio = np.zeros((1, 180 * 16000), np.float32)
    assert write(tmp_path / "x.ogg", audio, Info(16000)) == info(tmp_path / "x.ogg")


@pytest.mark.slow
def test_bounded_memory(tmp_path):
    """5 minutes of stereo through reading, resampling twice and writing, by blocks."""
    script = """
import resource
import numpy as np
from sgmse.audio import *
with Writer("in.wav", Info(44100, 2)) as writer:
    for _ in range(30):
        writer.write(np.full((2, 441000), 0.1))
about = info("in.wav")
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Writer("out.wav", about) as writer:
    low = resample_blocks(blocks("in.wav"), 44100, 16000)
    for block in resample_blocks(low, 16000, 44100, length=about.frames):
        writer.write(block)
assert info("out.wav") == about
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
"""
    run = [sys.executable, "-c", script]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(run, cwd=tmp_path, env=here, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) < 50_000  # kB; the whole sound is 106,000


# Output formats


@pytest.mark.parametrize(
    ("name", "like", "format", "expected"),
    [
        ("x.wav", ("WAV", "PCM_24"), None, ("WAV", "PCM_24")),
        ("x.wav", ("WAVEX", "PCM_24"), None, ("WAVEX", "PCM_24")),
        ("x.wav", ("MP3", "MPEG_LAYER_III"), None, ("WAV", "PCM_16")),
        ("x.mp3", ("MP3", "MPEG_LAYER_II"), None, ("MP3", "MPEG_LAYER_III")),
        ("x.flac", ("WAV", "PCM_16"), None, ("FLAC", "PCM_16")),
        ("x.flac", ("WAV", "FLOAT"), None, ("FLAC", "PCM_24")),
        ("x.FLAC", ("WAV", "PCM_32"), None, ("FLAC", "PCM_24")),
        ("x.flac", ("OGG", "VORBIS"), None, ("FLAC", "PCM_16")),
        ("x.ogg", ("OGG", "OPUS"), None, ("OGG", "OPUS")),
        ("x.ogg", ("WAV", "PCM_16"), None, ("OGG", "VORBIS")),
        ("x.opus", ("WAV", "PCM_16"), None, ("OGG", "OPUS")),
        ("x.opus", ("OGG", "VORBIS"), None, ("OGG", "OPUS")),
        ("x.wav", ("WAV", "PCM_16"), "flac", ("FLAC", "PCM_16")),
        ("x.wav", ("WAV", "PCM_16"), ".MP3", ("MP3", "MPEG_LAYER_III")),
        ("x", ("FLAC", "PCM_24"), None, ("FLAC", "PCM_24")),
        ("x.take2", ("FLAC", "PCM_24"), None, ("FLAC", "PCM_24")),
    ],
)
def test_which_format_is_written(tmp_path, name, like, format, expected):  # noqa: A002
    about = written_as(name, Info(48000, 2, 0, *like), format)
    assert (about.format, about.subtype) == expected
    assert write(tmp_path / name, tone(100, 48000), Info(48000, 2, 0, *like), format).frames == 100
    opened = soundfile.info(tmp_path / name)
    assert (opened.format, opened.subtype) == expected


@pytest.mark.parametrize(
    ("name", "rate", "format", "words"),
    [
        ("x.wav", 48000, "raw", "'raw' cannot be written; use one of wav"),
        ("x.wav", 48000, "", "'' cannot be written; use one of wav"),
        ("x.opus", 44100, None, "OPUS cannot be written at 44100 Hz; resample to one of 8000, "),
        ("x.mp3", 96000, None, "MPEG_LAYER_III cannot be written at 96000 Hz"),
    ],
)
def test_formats_that_cannot_be_written(name, rate, format, words):  # noqa: A002
    with pytest.raises(AudioError, match=words):
        written_as(name, Info(rate, 2), format)


# Bad files


def test_errors_are_one_line_and_can_be_pickled():
    error = AudioError("a\nb.wav", "is bad", "mend it")
    assert str(error) == "a b.wav: is bad; mend it"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def bad_file(path: Path, content: bytes) -> AudioError:
    path.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        list(blocks(path))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text  # the remedy
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.wav", b"", r"is empty \(0 bytes\)"),
        ("x.wav", b"Dear diary, this is no sound.\n" * 99, "can be read: it holds text; name the"),
        ("x.mp3", b"Dear diary, this is no sound.\n" * 99, "is not audio that can be read"),
        ("x.flac", b"\x89PNG\r\n\x1a\n" + bytes(99), "is not audio that can be read"),
        ("x.raw", bytes(1000), "is not audio that can be read; convert it to wav"),
        ("x.wav", b"RIFF" + bytes(99), "damaged or cut off in its header"),
    ],
)
def test_what_is_no_audio(tmp_path, name, content, words):
    error = bad_file(tmp_path / name, content)
    with pytest.raises(AudioError, match=words):
        raise error


@pytest.mark.parametrize(("suffix", "container", "coding", "rate", "_"), FORMATS)
def test_truncated_files(tmp_path, suffix, container, coding, rate, _):
    path = tmp_path / f"x.{suffix}"
    write(path, tone(70003, rate), Info(rate, 2, 0, container, coding))
    content = path.read_bytes()
    for size in (30, *(int(keep * len(content)) for keep in (0.02, 0.6, 0.999))):
        error = bad_file(tmp_path / f"{size}.{suffix}", content[:size])
        assert any(word in str(error) for word in ("cut off", "no samples", "is not audio"))


def test_header_only(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros((0, 2)), 16000)
    with pytest.raises(AudioError, match="holds no samples, only a header"):
        info(tmp_path / "x.wav")


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_from_a_pipe_does_not_know_its_length_and_is_whole(wav, size):
    content = bytearray(wav.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = struct.pack("<I", size)
    expected, about = read(wav)
    wav.write_bytes(content)
    back, same = read(wav)
    assert about == same
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "is NaN"), (np.inf, "is infinite"), (-np.inf, "is infinite")],
)
def test_first_sample_that_is_not_finite_is_named(tmp_path, value, words):
    audio = tone(200_000, 16000)
    audio[1, 160_000] = audio[0, 160_001] = value
    soundfile.write(tmp_path / "x.wav", audio.T, 16000, subtype="FLOAT")
    for function in (read, lambda path: list(blocks(path, 1000))):
        with pytest.raises(AudioError, match=rf"sample 160000 \(10.000 s\), channel 1 {words}; "):
            function(tmp_path / "x.wav")


def test_missing_folder_and_special_files(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        read(tmp_path / "x.wav")
    with pytest.raises(AudioError, match="is a folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="is not a regular file"):
        read(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    with pytest.raises(AudioError, match=r"loop\.wav: "):
        read(tmp_path / "loop.wav")


def test_unreadable(wav, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # chmod does not stop the superuser
    with pytest.raises(AudioError, match=r"cannot be read \(Permission denied\); check its permis"):
        read(wav)


# Atomic writing


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(wav, error):
    before = wav.read_bytes()

    def interrupted() -> None:
        with Writer(wav, Info(16000, 2)) as writer:
            writer.write(tone(100, 16000))
            assert len(list(wav.parent.iterdir())) == 2
            raise error

    with pytest.raises(error):
        interrupted()
    assert wav.read_bytes() == before
    assert list(wav.parent.iterdir()) == [wav]


def test_nan_and_wrong_shapes_are_not_written(tmp_path):
    good = tone(100, 16000)
    bad = good.copy()
    bad[0, 7] = np.nan

    def diverged() -> None:
        with Writer(tmp_path / "x.wav", Info(16000, 2)) as writer:
            writer.write(good)
            writer.write(bad)

    with pytest.raises(AudioError, match=r"sample 107 .*, channel 0 is NaN"):
        diverged()
    for shape in [(100,), (100, 2), (1, 100), (1, 2, 100)]:
        with pytest.raises(AudioError, match=r"give \(channels, samples\)"):
            write(tmp_path / "x.wav", np.zeros(shape, np.float32), Info(16000, 2))
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be(tmp_path):
    with pytest.raises(AudioError, match="No such file or directory"):
        write(tmp_path / "none" / "x.wav", tone(100, 16000), Info(16000, 2))
    with pytest.raises(AudioError, match="it is a folder"):
        write(tmp_path, tone(100, 16000), Info(16000, 2))
    with pytest.raises(AudioError, match="FLAC PCM_16 holds at most 8 channels, not 12"):
        write(tmp_path / "x.flac", tone(100, 16000, 12), Info(16000, 12))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
def test_a_full_disk(tmp_path, suffix):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 200_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(AudioError, match="cannot be written"):
            write(tmp_path / f"x.{suffix}", audio, Info(16000, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


# Resampling


@pytest.mark.slow
@together(source=RATES, target=RATES)
def test_lengths(source, target):
    for n in LENGTHS:
        there = resample(torch.ones(2, n), source, target)
        assert there.shape == (2, -(-n * target // source))
        assert there.shape[-1] == resampled_length(n, source, target)
        assert resample(there, target, source).shape[-1] >= n
        assert resample(there, target, source, length=n).shape == (2, n)


@together(source=RATES, target=RATES)
def test_a_sine_stays_where_it_is(source, target):
    """Sample k is the signal at k / target: no delay, no gain, in closed form."""
    frequency = 0.35 * min(source, target)
    t = torch.arange(source // 4, dtype=torch.float64) / source
    result = resample(torch.sin(2 * torch.pi * frequency * t), source, target)
    expected = torch.sin(
        2 * torch.pi * frequency * torch.arange(len(result), dtype=t.dtype) / target
    )
    middle = slice(len(result) // 4, -len(result) // 4)  # the ends feel the silence outside
    # the filter's gain is 1 within 1e-4 (0.001 dB); a delay of 1e-4 samples would exceed this too
    assert (result - expected)[middle].abs().max() < 2e-4


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 44101, 48000, 96000])
def test_round_trip_of_a_band_limited_signal(rate):
    n = rate // 2 + 1
    t = torch.arange(n, dtype=torch.float64) / rate
    phase = 2 * torch.pi * (200 * t + 0.5 * 5200 * t**2)  # 200 Hz to 2800 Hz
    signal = torch.sin(phase) * torch.hann_window(n, periodic=False, dtype=torch.float64)
    back = resample(resample(signal, rate, 16000), 16000, rate, length=n)
    assert back.shape == signal.shape
    assert (back - signal).abs().max() < 1e-5


def test_leak_of_a_tone_above_the_new_band():
    """10 kHz from 48 to 16 kHz would alias to 6 kHz; a good filter leaves below -100 dB."""
    t = torch.arange(48000, dtype=torch.float64) / 48000
    source = torch.sin(2 * torch.pi * 10000 * t)
    for dtype, bar in ((torch.float64, -140), (torch.float32, -130)):  # rounding of float32
        left = resample(source.to(dtype), 48000, 16000)[1000:-1000]
        assert 20 * torch.log10(left.square().mean().sqrt() / 0.5**0.5) < bar


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(dtype):
    audio = torch.randn(2, 3, 480, dtype=dtype, generator=torch.Generator().manual_seed(0))
    before = audio.clone()
    low = resample(audio, 48000, 16000)
    assert low.shape == (2, 3, 160)
    assert low.dtype == dtype
    torch.testing.assert_close(low[1, 2], resample(audio[1, 2], 48000, 16000))
    assert resample(audio, 48000, 48000).equal(before)
    assert resample(audio, 48000, 16000, length=0).shape == (2, 3, 0)
    assert resample(audio[..., :0], 48000, 16000).shape == (2, 3, 0)
    assert resample(audio[..., :1], 48000, 16000).shape == (2, 3, 1)
    assert audio.equal(before)


def test_bad_arguments_of_resample():
    with pytest.raises(ValueError, match="positive whole number of Hz, not 0"):
        resample(torch.ones(4), 0, 16000)
    with pytest.raises(ValueError, match="positive whole number of Hz, not -1"):
        resample(torch.ones(4), 16000, -1)
    with pytest.raises(TypeError, match=r"float32 or float64, not torch\.int64"):
        resample(torch.ones(4, dtype=torch.long), 16000, 8000)


@pytest.mark.parametrize("length", [None, 5000, 33000])
@pytest.mark.parametrize(("source", "target"), [(48000, 16000), (16000, 44101), (16000, 16000)])
def test_blocks_resampled_are_the_whole_resampled(source, target, length):
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((2, 12007)).astype(np.float32)
    cuts = np.sort(rng.integers(0, 12007, 20))
    pieces = resample_blocks(np.split(audio, cuts, axis=1), source, target, length)
    whole = resample(torch.from_numpy(audio), source, target, length)
    np.testing.assert_array_equal(np.concatenate(list(pieces), axis=1), whole.numpy())


# Finding


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = "b.wav a.FLAC notes.txt .hidden.wav sub/c.mp3 sub/deep/d.opus take[1].wav empty/x.txt"
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "recursive", "expected"),
    [
        (["."], False, "a.FLAC b.wav take[1].wav"),
        (["."], True, "a.FLAC b.wav sub/c.mp3 sub/deep/d.opus take[1].wav"),
        (["b.wav", "a.FLAC", "b.wav"], False, "b.wav a.FLAC"),
        (["b.wav", "."], False, "b.wav a.FLAC take[1].wav"),
        (["notes.txt"], False, "notes.txt"),
        (["missing.wav", "b.wav"], False, "missing.wav b.wav"),
        (["take[1].wav"], False, "take[1].wav"),
        (["*.wav"], False, "b.wav take[1].wav"),
        (["*"], False, "a.FLAC b.wav sub/c.mp3 take[1].wav"),
        (["**/*.opus"], False, "sub/deep/d.opus"),
        (["s*"], True, "sub/c.mp3 sub/deep/d.opus"),
        (["sub/../b.wav", "./b.wav"], False, "./b.wav"),
    ],
)
def test_find(tree, paths, recursive, expected):
    assert find(paths, recursive) == [Path(name) for name in expected.split()]


@pytest.mark.parametrize("path", ["*.w64", "empty", "n[xyz].wav", "nowhere/*"])
def test_nothing_found_is_an_error(tree, path):
    with pytest.raises(AudioError, match="no audio files there; "):
        find([path])
