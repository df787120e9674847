"""Which files belong together."""

from pathlib import Path

import pytest

from sgmse.data.pairs import (
    Pair,
    evenly_spaced,
    facts_beside,
    find_index,
    match,
    match_all,
    read_index,
    recordings,
    recordings_by_name,
)
from sgmse.errors import AudioError, DataError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


@pytest.fixture
def clean(tmp_path):
    return touch(tmp_path / "clean", "a/1.wav", "a/2.flac", "3.v2.wav", "notes.txt")


def places(pairs: list[Pair], folder: Path) -> dict[str, str]:
    return {pair.name: pair.enhanced.relative_to(folder).as_posix() for pair in pairs}


def test_by_place_across_formats(clean, tmp_path):
    other = touch(tmp_path / "out", "a/1.opus", "a/2.mp3", "3.v2.ogg", "3.wav", "b/1.wav")
    pairs, alone = match(clean, other)
    assert places(pairs, other) == {"3.v2": "3.v2.ogg", "a/1": "a/1.opus", "a/2": "a/2.mp3"}
    assert [pair.clean for pair in pairs] == [
        clean / n for n in ("3.v2.wav", "a/1.wav", "a/2.flac")
    ]
    assert {(u.path.relative_to(tmp_path).as_posix(), u.reason) for u in alone} == {
        ("out/3.wav", f"has no partner in {clean}"),
        ("out/b/1.wav", f"has no partner in {clean}"),
    }


def test_by_name_alone_where_it_is_the_only_one(clean, tmp_path):
    flat = touch(tmp_path / "flat", "1.wav", "deep/2.wav", "3.v2.wav")
    pairs, alone = match(clean, flat)
    assert places(pairs, flat) == {"3.v2": "3.v2.wav", "a/1": "1.wav", "a/2": "deep/2.wav"}
    assert alone == []
    touch(clean, "b/1.wav")  # now 1 could be either
    pairs, alone = match(clean, flat)
    assert set(places(pairs, flat)) == {"3.v2", "a/2"}
    assert [u.path.name for u in alone] == ["1.wav", "1.wav", "1.wav"]


def test_the_noisy_files_and_what_lacks_one(clean, tmp_path):
    noisy = touch(tmp_path / "noisy", "a/1.flac", "3.v2.flac")
    pairs, alone = match(clean, clean, noisy)
    assert [pair.noisy for pair in pairs] == [noisy / "3.v2.flac", noisy / "a/1.flac", None]
    assert [(u.path, u.reason) for u in alone] == [
        (clean / "a/2.flac", f"has no partner in {noisy}")
    ]


def test_two_files_are_a_pair(tmp_path):
    touch(tmp_path, "x.wav", "y.flac", "z.ogg")
    pairs, alone = match(tmp_path / "x.wav", tmp_path / "y.flac", tmp_path / "z.ogg")
    files = [tmp_path / name for name in ("x.wav", "y.flac", "z.ogg")]
    assert (pairs, alone) == ([Pair("x", *files)], [])


def test_what_cannot_be_matched_is_refused(clean, tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*absent; check the spelling"):
        match(clean, tmp_path / "absent")
    with pytest.raises(AudioError, match="no audio files there"):
        match(touch(tmp_path / "texts", "a.txt"), clean)
    with pytest.raises(DataError, match=r"no recording in .*other has the name .* such as '3\.v2'"):
        match(clean, touch(tmp_path / "other", "x.wav"))
    touch(clean, "a/1.flac")
    with pytest.raises(DataError, match=r"a/1\.flac and .*a/1\.wav differ in their suffixes alone"):
        recordings_by_name(clean)
    assert len(recordings(clean)) == 4


def test_all_must_have_a_partner(tmp_path):
    def pairs():
        return match_all(*(recordings_by_name(tmp_path / kind) for kind in ("clean", "noisy")))

    touch(tmp_path, "clean/x/1.wav", "clean/2.flac", "noisy/2.wav", "noisy/x/1.wav")
    places = {"2": ("clean/2.flac", "noisy/2.wav"), "x/1": ("clean/x/1.wav", "noisy/x/1.wav")}
    assert [(p.name, p.clean, p.noisy) for p in pairs()] == [
        (name, *(tmp_path / place for place in both)) for name, both in places.items()
    ]
    assert all(pair.enhanced == pair.noisy for pair in pairs())
    touch(tmp_path, "noisy/4.wav")
    with pytest.raises(DataError, match=r"noisy/4\.wav has no partner \(1 such\); give clean and"):
        pairs()
    touch(tmp_path, "clean/3.wav")
    with pytest.raises(DataError, match=r"clean/3\.wav has no partner \(2 such\)"):
        pairs()


def test_one_rule_of_what_is_evenly_spaced():
    assert evenly_spaced("abcdefghij", 3) == ["a", "d", "g"]
    assert evenly_spaced("abc", 3) == evenly_spaced("abc", 9) == evenly_spaced("abc", None)
    assert evenly_spaced("abc", None) == ["a", "b", "c"]
    assert evenly_spaced("abc", 0) == evenly_spaced("", 5) == []
    for items, count in ((range(824), 12), (range(95), 30)):
        chosen = evenly_spaced(items, count)
        gaps = {b - a for a, b in zip(chosen, [*chosen[1:], len(items)], strict=True)}
        assert len(chosen) == count
        assert max(gaps) - min(gaps) <= 1


# Indices


def index(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_facts_of_an_index(clean, tmp_path):
    table = index(
        tmp_path / "index.csv", "\ufeffname,speaker,snr_db\na/1.wav,007,2.5\n2,008,-5\nx,009,0\n"
    )
    facts = read_index(table)
    assert facts["a/1"] == {"speaker": "007", "snr_db": "2.5"}  # text: 007 is no number
    pairs, _ = match(clean, clean, facts=facts)
    assert [dict(pair.facts) for pair in pairs] == [{}, facts["a/1"], facts["2"]]


def test_finding_an_index(clean, tmp_path):
    assert find_index(clean) is None
    beside = index(tmp_path / "index.csv", "file,price\n")
    assert find_index(clean) is None  # it names no recordings
    index(beside, "name\n")
    assert find_index(clean) == beside
    inside = index(clean / "index.csv", "snr_db,name\n")
    assert find_index(clean) == inside
    assert facts_beside(clean) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,snr\na,1\n", "has no column 'name'"),
        ("", "has no column 'name'"),
        ("name,snr\na,1\na.wav,2\n", "names 'a' twice"),
    ],
)
def test_what_is_no_index(text, says, tmp_path):
    with pytest.raises(DataError, match=says):
        read_index(index(tmp_path / "i.csv", text))
    with pytest.raises(DataError, match="cannot be read as an index"):
        read_index(tmp_path)
