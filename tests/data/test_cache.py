import os
import pickle

import numpy as np
import pytest
import soundfile
from corpora import cached_folder, write

from sgmse.data import cache as module
from sgmse.data.cache import cached
from sgmse.data.pairs import recordings
from sgmse.errors import AudioError

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, length, scale in (("a", 500, 1e-3), ("b/c", 700, 0.9), ("zero", 50, 0.0)):
        write(tmp_path / "in" / f"{name}.wav", (scale * rng.standard_normal(length)).astype("f"))
    return tmp_path / "in"


def test_samples_are_those_of_the_files(folder, tmp_path):
    clips = cached_folder(folder, tmp_path / "cache", RATE)
    assert clips.names == ["a.wav", "b/c.wav", "zero.wav"]
    assert clips.lengths.tolist() == [500, 700, 50]
    assert clips.seconds == 1250 / RATE
    for i, name in enumerate(clips.names):
        audio, _ = soundfile.read(folder / name, dtype="float32")
        # half a step of 16 bits below the file's own peak, and float32
        half = 0.501 * np.abs(audio).max() / 32767
        np.testing.assert_allclose(clips.read(i), audio, atol=half)
        np.testing.assert_array_equal(clips.read(i, 10, 20), clips.read(i)[10:30])
    assert len(clips.read(0, 490, 100)) == 10


def test_channels_are_averaged_and_rates_converted(tmp_path):
    t = np.arange(2 * RATE) / (2 * RATE)
    left, right = np.sin(2 * np.pi * 400 * t), np.zeros_like(t)
    write(tmp_path / "in" / "x.wav", np.stack([left, right], 1), 2 * RATE)
    clips = cached_folder(tmp_path / "in", tmp_path / "cache", RATE)
    expected = 0.5 * np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE)
    # away from the ends, where the resampler sees silence; 16 bits
    np.testing.assert_allclose(clips.read(0)[500:-500], expected[500:-500], atol=1e-4)


def test_a_second_time_nothing_is_decoded(folder, tmp_path, monkeypatch):
    decoded = []
    read = module.read_mono
    monkeypatch.setattr(module, "read_mono", lambda *args: decoded.append(args) or read(*args))
    for _ in range(2):
        cached_folder(folder, tmp_path / "cache", RATE)
    assert [file.relative_to(folder).as_posix() for file, _ in decoded] == [
        *("a.wav", "b/c.wav", "zero.wav")
    ]


def test_the_order_is_that_of_the_files(folder, tmp_path):
    files = recordings(folder)[::-2]
    clips = cached(files, folder, tmp_path / "cache", RATE)
    assert clips.names == ["zero.wav", "a.wav"]
    assert clips.lengths.tolist() == [50, 500]


@pytest.mark.parametrize("change", ["content", "added", "removed", "renamed"])
def test_a_changed_folder_is_read_again_and_the_old_cache_removed(folder, tmp_path, change):
    cache = tmp_path / "cache"
    before = cached_folder(folder, cache, RATE)
    if change == "content":  # same size, another time
        write(folder / "a.wav", np.full(500, 0.25, "f"))
        stat = (folder / "a.wav").stat()
        os.utime(folder / "a.wav", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    elif change == "added":
        write(folder / "new.wav", np.ones(9, "f"))
    elif change == "removed":
        (folder / "a.wav").unlink()
    else:
        (folder / "a.wav").rename(folder / "d.wav")
    after = cached_folder(folder, cache, RATE)
    assert after.index != before.index
    assert sorted(after.names) == sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*.wav")
    )
    if change == "content":
        np.testing.assert_allclose(after.read(0), 0.25, rtol=1e-4)
    assert len(list(cache.iterdir())) == 2


def test_other_rates_and_folders_keep_theirs(folder, tmp_path):
    write(tmp_path / "other" / "x.wav", np.ones(9, "f"))
    cache = tmp_path / "cache"
    made = [cached_folder(folder, cache, RATE), cached_folder(folder, cache, 4000)]
    made.append(cached_folder(tmp_path / "other", cache, RATE))
    assert all(clips.index.exists() for clips in made)
    assert len({clips.index for clips in made}) == 3


def test_pickling_takes_the_name_not_the_samples(folder, tmp_path):
    clips = cached_folder(folder, tmp_path / "cache", RATE)
    data = pickle.dumps(clips)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).read(1), clips.read(1))


def test_a_bad_file_is_named_and_leaves_nothing(folder, tmp_path):
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        cached_folder(folder, tmp_path / "cache", RATE)
    assert list((tmp_path / "cache").iterdir()) == []
