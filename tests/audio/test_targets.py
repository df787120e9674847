"""Where results go."""

import os
from pathlib import Path

import pytest

from sgmse.audio import beside, check_target, make_folder
from sgmse.errors import AudioError


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
