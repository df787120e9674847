"""Where results go."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tiny

from sgmse.audio import Info, beside, check_target, info, make_folder, write
from sgmse.errors import AudioError, RecordingWarning


def test_names_beside():
    assert beside(Path("a/b.c.wav")) == Path("a/b.c_enhanced.wav")
    assert beside(Path("a/b"), "FLAC") == Path("a/b_enhanced.flac")
    assert beside(Path("a/b.wav"), ".ogg") == Path("a/b_enhanced.ogg")


@pytest.mark.parametrize("overwrite", [False, True])
def test_targets(tmp_path, overwrite):
    source, there = tmp_path / "x.wav", tmp_path / "y.wav"
    source.touch()
    there.touch()
    check_target(tmp_path / "new.wav", source, overwrite)
    with pytest.raises(AudioError, match="is the input itself; choose another name"):
        check_target(tmp_path / "." / "x.wav", source, overwrite)
    with pytest.raises(AudioError, match="is a folder; name a file in it"):
        check_target(tmp_path, source, overwrite)
    if overwrite:
        check_target(there, source, overwrite)
    else:
        with pytest.raises(AudioError, match="exists already; use --overwrite"):
            check_target(there, source, overwrite)


@pytest.mark.parametrize("letter", ["x", "ä", "音"])  # of one, two and three bytes
def test_a_name_takes_255_bytes_and_no_more(tmp_path, letter):
    source = tmp_path / "x.wav"
    source.touch()
    size = len(letter.encode())
    longest = (255 - len(".wav")) // size * letter + ".wav"
    check_target(tmp_path / longest, source, overwrite=False)
    (tmp_path / longest).touch()
    (tmp_path / longest).unlink()
    with pytest.raises(AudioError, match=r"a name of 25[5-9] bytes, .* 255; choose a shorter one"):
        check_target(tmp_path / (letter + longest), source, overwrite=False)
    with pytest.raises(AudioError, match="a name of 256 bytes"):
        check_target(tmp_path / ("y" * 256) / "x.wav", source, overwrite=False)
    named = beside(tmp_path / ("y" * 243 + ".wav"))  # for which there is room; not for its result
    with pytest.raises(AudioError, match="a name of 256 bytes"):
        check_target(named, source, overwrite=False)


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    source = tmp_path / "x.wav"
    source.touch()
    with pytest.raises(AudioError, match=r"x\.wav: is no folder; choose another place than .*y"):
        check_target(source / "deep" / "y.wav", source, overwrite=False)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(AudioError, match="cannot be written to; check its permissions"):
        check_target(tmp_path / "deep" / "y.wav", source, overwrite=False)


def test_folders_are_made_or_refused(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match=r"file/b: cannot be made \(.*\); choose another folder"):
        make_folder(tmp_path / "file" / "b")


def _closed() -> io.BytesIO:
    stream = io.BytesIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    ("stream", "problem"),
    [(_closed(), "<memory>: is closed; open it again"), (io.StringIO("a"), "is a file of text")],
)
def test_open_files_that_hold_no_bytes_are_named(stream, problem, tmp_path):
    with pytest.raises(AudioError, match=problem):
        info(stream)
    with pytest.raises(AudioError, match=problem):
        write(stream, np.zeros((1, 10)), Info(16000, 1))
    with pytest.raises(AudioError, match=problem):
        tiny.enhancer().enhance_file(stream, tmp_path / "a.wav")


def test_open_files_go_one_way(tmp_path):
    write(tmp_path / "a.wav", np.zeros((1, 10)), Info(16000, 1))
    with (tmp_path / "a.wav").open("rb") as stream, pytest.raises(AudioError, match="open it with"):
        write(stream, np.zeros((1, 10)), Info(16000, 1))
    with (tmp_path / "b.wav").open("wb") as stream, pytest.raises(AudioError, match="open it with"):
        info(stream)


def test_rf64_that_is_asked_for_is_not_warned_of(recwarn):
    assert write(io.BytesIO(), np.zeros((1, 10)), Info(16000, 1), "rf64").format == "RF64"
    assert not recwarn.list


def test_what_a_coding_rounds_to_silence_is_said():
    loud, quiet = np.full((2, 1, 100), [[[2e-5]], [[3.2e-5]]])[::-1]
    with pytest.warns(RecordingWarning, match="a peak of -94 dB, of which nothing is left in WAV"):
        write(io.BytesIO(), quiet, Info(16000, 1, subtype="PCM_16"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(io.BytesIO(), quiet, Info(16000, 1, subtype="PCM_24"))
        write(io.BytesIO(), quiet, Info(16000, 1, subtype="FLOAT"))
        write(io.BytesIO(), loud, Info(16000, 1, subtype="PCM_16"))
        write(io.BytesIO(), 0 * loud, Info(16000, 1, subtype="PCM_16"))
