import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import cached_folder, write

from sgmse.data import cache as module
from sgmse.data.cache import cached
from sgmse.data.pairs import recordings
from sgmse.errors import AudioError, DataError, RecordingWarning

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
    read = module.mono
    monkeypatch.setattr(module, "mono", lambda *args: decoded.append(args) or read(*args))
    for _ in range(2):
        cached_folder(folder, tmp_path / "cache", RATE)
    assert sorted(file.relative_to(folder).as_posix() for file, _ in decoded) == [
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
    assert len(shown(cache)) == 2


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


def shown(cache: Path) -> list[Path]:
    """What is no part and no lock."""
    return [path for path in cache.iterdir() if not path.name.startswith(".")]


def test_a_bad_file_is_named_and_leaves_nothing_that_could_be_taken_for_all(folder, tmp_path):
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        cached_folder(folder, tmp_path / "cache", RATE)
    assert shown(tmp_path / "cache") == []


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of files that are decoded from now on."""
    names: list[str] = []
    read = module.mono

    def noted(file, rate):
        names.append(file.name)
        return read(file, rate)

    monkeypatch.setattr(module, "mono", noted)
    return names


def replaced(path: Path, audio: np.ndarray, way: str) -> None:
    """Another file of the same size and the same nanosecond."""
    before = path.stat()
    if way == "another file":
        path.unlink()
    write(path, audio)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("way", ["in place", "another file"])
def test_a_file_with_other_contents_is_seen_whatever_its_size_and_time(folder, tmp_path, way):
    cached_folder(folder, tmp_path / "cache", RATE)
    time.sleep(0.02)  # the clock of the kernel ticks every few milliseconds
    replaced(folder / "a.wav", np.full(500, 0.25, "f"), way)
    after = cached_folder(folder, tmp_path / "cache", RATE)
    np.testing.assert_allclose(after.read(0), 0.25, rtol=1e-4)


def test_only_what_is_new_is_decoded(folder, tmp_path, decoded):
    before = cached_folder(folder, tmp_path / "cache", RATE)
    kept = [before.read(i) for i in range(3)]
    decoded.clear()
    time.sleep(0.02)
    (folder / "a.wav").touch()
    (folder / "zero.wav").rename(folder / "null.wav")
    write(folder / "new.wav", np.full(9, 0.5, "f"))
    after = cached_folder(folder, tmp_path / "cache", RATE)
    assert decoded == ["new.wav"]
    assert after.names == ["a.wav", "b/c.wav", "new.wav", "null.wav"]
    for number, samples in zip((0, 1, 3), kept, strict=True):
        np.testing.assert_array_equal(after.read(number), samples)


@pytest.mark.parametrize(
    ("cut", "again"), [("nothing", []), ("samples", ["c.wav"]), ("line", ["c.wav"])]
)
def test_an_interrupted_decoding_goes_on(folder, tmp_path, decoded, monkeypatch, cut, again):
    cache, stopped = tmp_path / "cache", folder / "m.wav"
    write(stopped, np.full(700, 0.5, "f"))
    read = module.mono

    def interrupted(file, rate):
        if file == stopped:
            raise KeyboardInterrupt
        return read(file, rate)

    with monkeypatch.context() as patch:
        patch.setattr(module, "mono", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_folder(folder, cache, RATE)
    (part,), (notes,) = cache.glob(".*.part"), cache.glob(".*.clips")
    if cut == "samples":  # the last of them are lost
        part.write_bytes(part.read_bytes()[:-100])
    elif cut == "line":
        notes.write_text(notes.read_text()[:-20])
    decoded.clear()
    clips = cached_folder(folder, cache, RATE)
    assert sorted(decoded) == sorted([*again, "m.wav", "zero.wav"])
    assert clips.names == ["a.wav", "b/c.wav", "m.wav", "zero.wav"]
    expected = soundfile.read(folder / "b" / "c.wav", dtype="float32")[0]
    np.testing.assert_allclose(clips.read(1), expected, atol=1e-4)
    np.testing.assert_allclose(clips.read(2), 0.5, atol=1e-4)
    assert not [path for path in cache.iterdir() if path.suffix in (".part", ".clips")]


@pytest.mark.parametrize("content", ["[1, 2]", "{}", "nothing", '{"folder": 1, "clips": [[]]}'])
def test_a_foreign_file_is_left_alone(folder, tmp_path, content):
    (tmp_path / "cache").mkdir()
    foreign = tmp_path / "cache" / "notes.json"
    foreign.write_text(content)
    cached_folder(folder, tmp_path / "cache", RATE)
    write(folder / "new.wav", np.ones(9, "f"))
    cached_folder(folder, tmp_path / "cache", RATE)
    assert foreign.read_text() == content


@pytest.mark.parametrize("damage", ["index", "short", "gone"])
def test_a_damaged_cache_is_said_and_made_again(folder, tmp_path, damage):
    made = cached_folder(folder, tmp_path / "cache", RATE)
    expected, samples = made.read(1), made.index.with_suffix(".pcm")
    if damage == "index":
        made.index.write_text(made.index.read_text()[:-9])
    elif damage == "short":
        os.truncate(samples, 100)
    else:
        samples.unlink()
    with pytest.warns(RecordingWarning, match=r"in-\w+\.json: is damaged; .*in is decoded again"):
        again = cached_folder(folder, tmp_path / "cache", RATE)
    np.testing.assert_array_equal(again.read(1), expected)


def test_a_full_disk_is_said(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.json, "dumps", full)  # of the first line that is written
    monkeypatch.setattr(module, "_digest", lambda *_: "name")
    with pytest.raises(DataError, match=r"cache is full after 0 of 3 recordings .*trainer\.cache"):
        cached_folder(folder, tmp_path / "cache", RATE)


def test_one_process_decodes_and_the_others_wait(folder, tmp_path, decoded):
    """Threads stand for processes: a lock of a file keeps them out all the same."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: cached_folder(folder, tmp_path / "cache", RATE), range(4)))
    assert len({clips.index for clips in made}) == 1
    assert sorted(decoded) == ["a.wav", "c.wav", "zero.wav"]
