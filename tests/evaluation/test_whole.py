from pathlib import Path

import pytest

from sgmse.evaluation.whole import put


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
