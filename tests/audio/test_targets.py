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


def test_folders_are_made_or_refused(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match=r"file/b: cannot be made \(.*\); choose another folder"):
        make_folder(tmp_path / "file" / "b")
