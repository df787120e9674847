"""Which recordings names mean, and what is said of what is left out."""

import os
import warnings
from pathlib import Path

import pytest

from sgmse.audio import find, look
from sgmse.data.pairs import recordings_by_name
from sgmse.errors import AudioError, RecordingWarning


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*paths: str, recursive: bool = True) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is to be said
        return " ".join(path.as_posix() for path in find(paths, recursive))


def said(path: str, recursive: bool = True) -> list[str]:
    """What `look` leaves out, which `find` warns of."""
    left_out = [str(problem) for problem in look(path, recursive)[1]]
    with pytest.warns(RecordingWarning) as warned:
        find([path], recursive)
    assert [str(warning.message) for warning in warned] == left_out
    return left_out


HIDDEN = [
    ".a.wav",
    "._a.wav",
    ".ipynb_checkpoints/a-checkpoint.wav",
    ".Trash-1000/files/a.wav",
    "sub/.git/x/a.wav",
    "__MACOSX/a.wav",
    "__MACOSX/sub/._a.wav",
    "sub/@eaDir/a.wav",
    "$RECYCLE.BIN/a.wav",
    "lost+found/a.wav",
]


def test_what_is_hidden_is_left_out():
    touch("in/a.wav", "in/sub/b.WAV", *(f"in/{name}" for name in HIDDEN))
    assert found("in") == "in/a.wav in/sub/b.WAV"
    assert found("in", recursive=False) == found("in/*.wav") == "in/a.wav"
    assert found("**/*.wav") == "in/a.wav"
    assert found("in/*") == "in/a.wav in/sub/b.WAV"
    # training, mixing and scoring read the same files
    assert list(recordings_by_name("in")) == ["a", "sub/b"]
    # what is named itself is meant
    assert found("in/.ipynb_checkpoints") == "in/.ipynb_checkpoints/a-checkpoint.wav"
    assert found("in/._a.wav", "in/__MACOSX", recursive=False) == "in/._a.wav in/__MACOSX/a.wav"
    assert found("in/__MACOSX/*.wav") == "in/__MACOSX/a.wav"


def test_links_to_folders_are_followed():
    touch("in/a.wav", "elsewhere/b.wav", "elsewhere/deep/c.wav")
    Path("in/more").symlink_to("../elsewhere")
    assert found("in") == "in/a.wav in/more/b.wav in/more/deep/c.wav"
    assert found("in", recursive=False) == "in/a.wav"
    assert list(recordings_by_name("in")) == ["a", "more/b", "more/deep/c"]
    Path("whole").symlink_to("in")
    assert found("whole") == "whole/a.wav whole/more/b.wav whole/more/deep/c.wav"


def test_loops_and_second_ways_are_walked_once():
    touch("in/z/a.wav", "in/z/deep/b.wav")
    for name, target in {
        "in/loop": ".",
        "in/z/deep/up": "../..",
        "in/z/deep/top": "../../..",
        "in/again": "z",
        "in/other": "z/deep",
    }.items():
        Path(name).symlink_to(target)
    assert found("in") == "in/z/a.wav in/z/deep/b.wav"
    Path("in/again").unlink()  # of two ways the first in the alphabet
    Path("in/other").unlink()
    Path("in/loop").rename("in/zz")
    assert sorted(found("in/**/*.wav").split()) == ["in/z/a.wav", "in/z/deep/b.wav"]
    Path("x/y").mkdir(parents=True)
    Path("x/one").symlink_to("../in")
    Path("x/two").symlink_to("../in")
    assert len(found("x").split()) == 2


def test_links_to_files_are_files_and_those_to_nothing_are_said():
    touch("in/a.wav", "b.wav")
    Path("in/link.flac").symlink_to("../b.wav")
    assert found("in") == "in/a.wav in/link.flac"
    Path("in/gone.wav").symlink_to("../nothing.wav")
    Path("in/gone.txt").symlink_to("../nothing.txt")
    Path("in/self.wav").symlink_to("self.wav")
    assert said("in") == [
        "in/gone.wav: is a link to nothing; mend or remove it",
        "in/self.wav: is a link to nothing; mend or remove it",
    ]
    assert len(said("in/*")) == 2
    with pytest.raises(AudioError, match=r"gone\.wav: is a link to nothing"):
        look("in/g*.wav")


def test_what_is_named_like_audio_and_is_no_file_is_said():
    touch("in/a.wav")
    os.mkfifo("in/pipe.wav")
    assert said("in") == ["in/pipe.wav: is not a regular file; name a file with sound in it"]
    Path("in/folder.wav").mkdir()
    assert len(said("in")) == 1
    touch("in/folder.wav/b.wav")
    assert [p.as_posix() for p in look("in", True)[0]] == ["in/a.wav", "in/folder.wav/b.wav"]


def test_a_folder_that_cannot_be_looked_into_is_said(monkeypatch):
    touch("in/a.wav", "in/locked/b.wav", "in/z/c.wav")
    original = Path.iterdir

    def iterdir(self):  # root, who may run this, reads everything
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return original(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    problem = "in/locked: cannot be looked into (Permission denied); check its permissions"
    assert said("in") == [problem]
    assert [path.as_posix() for path in look("in", True)[0]] == ["in/a.wav", "in/z/c.wav"]
    with pytest.raises(AudioError, match="in/locked: cannot be looked into"):
        look("in/locked")


def test_nothing_found_says_where_to_look():
    touch("in/sub/a.wav", "in/notes.txt", "texts/notes.txt")
    with pytest.raises(AudioError, match=r"one, or look into subfolders too \(--recursive\)$"):
        find(["in"])
    with pytest.raises(AudioError, match=r"suffix, or look into subfolders too \(--recursive\)$"):
        find(["i*"])
    with pytest.raises(AudioError, match=r"texts: no audio files there; name another one$"):
        find(["texts"], recursive=True)
    with pytest.raises(AudioError, match=r"no audio files there; check the folder and the suffix$"):
        find(["t*"])
    assert found("i*") == "in/sub/a.wav"


def test_formats_that_a_folder_is_not_searched_for_are_said(tmp_path):
    for name in ("a.wav", "b.mp2", "c.MP2", "d.dts", "e.txt"):
        (tmp_path / name).touch()
    files, left_out = look(tmp_path)
    assert files == [tmp_path / "a.wav"]
    second, first = map(str, left_out)
    assert "2 files of mp2 are left out; name each by itself" in first
    assert "a file of dts is left out" in second
