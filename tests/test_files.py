from pathlib import Path

import pytest

from sgmse._files import is_part, whole, whole_folder, write_whole as put


def test_a_file_with_the_folders_above_it(tmp_path):
    file = put(tmp_path / "a" / "b" / "c.txt", b"first")
    assert put(file, b"second") == file
    assert file.read_bytes() == b"second"
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_leaves_the_earlier_file(tmp_path, monkeypatch):
    file = put(tmp_path / "c.txt", b"first")

    def full(self, target):
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        put(file, b"second")
    assert file.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [file]


def test_names_as_long_as_a_file_system_takes(tmp_path):
    name = "n" * 251 + ".wav"
    assert put(tmp_path / name, b"sound").read_bytes() == b"sound"
    with whole_folder(tmp_path / ("f" * 255)) as made:
        (made / "file").write_bytes(b"inside")
    assert (tmp_path / ("f" * 255) / "file").read_bytes() == b"inside"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_replaces_another_or_leaves_it(tmp_path):
    folder = tmp_path / "set"
    for content in (b"first", b"second"):
        with whole_folder(folder) as made:
            (made / "file").write_bytes(content)
        assert (folder / "file").read_bytes() == content

    def interrupted():
        with whole_folder(folder) as made:
            (made / "file").write_bytes(b"third")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (folder / "file").read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [folder]


def test_parts_are_known_by_the_name_of_what_they_become(tmp_path):
    with whole(tmp_path / "a.wav") as part:
        part.touch()
        assert is_part(part, "a.wav")
        assert not is_part(part, "b.wav")
