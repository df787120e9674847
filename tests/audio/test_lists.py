"""Lists of recordings: what each line means, and which are refused, by name, before any work."""

import json
import re
from pathlib import Path

import pytest

from sgmse.audio import find, is_list, listed
from sgmse.errors import AudioError, DataError, RecordingWarning


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: wav/a.wav, wav/b c.flac, data/0.wav, data/s/1.wav, data/2.wav."""
    monkeypatch.chdir(tmp_path)
    for name in ("wav/a.wav", "wav/b c.flac", "data/0.wav", "data/s/1.wav", "data/2.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def scp(text: str) -> Path:
    Path("lists").mkdir(exist_ok=True)
    path = Path("lists/wav.scp")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_an_id_and_a_path(folder):
    text = f"\ufeff# id path\n\nspk1-utt.3\t../wav/b c.flac \r\n  u/2.wav {folder}/wav/a.wav\n"
    path = scp(text)
    assert listed(path) == {
        "spk1-utt.3": Path("lists/../wav/b c.flac"),
        "u/2": folder / "wav/a.wav",
    }
    assert find([path]) == [Path("lists/../wav/b c.flac"), folder / "wav/a.wav"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a sph2pipe -f wav a.sph |", r"line 1: .* is a command, and none in a list is run; write"),
        ("a raw.ark:1234", r"line 1: 'raw.ark:1234' is a place in an archive, .*; write"),
        ("a raw.ark", r"is a place in an archive"),
        ("\na", r"line 2: 'a' has no path; it needs an id and a path"),
        ("a ../wav/a.wav\n#\na.wav ../wav/a.wav", r"line 3: 'a' is named in line 1 already"),
        ("a ../wav/a.wav\nx no.wav\ny no.wav", r"line 2: there is no file lists/no.wav .*2 such"),
        ("../a ../wav/a.wav", r"line 1: '../a' would name a result outside of its folder; use"),
        ("/a ../wav/a.wav", r"'/a' would name a result outside"),
        ("# nothing\n", r"wav.scp names no recordings"),
    ],
)
def test_a_line_that_cannot_be_used(text, says):
    path = scp(text)
    with pytest.raises(DataError, match=says):
        listed(path)
    with pytest.raises(DataError, match=says):
        find([path])


def test_an_audiofolder_means_what_its_metadata_name():
    rows = "file_name,text\n0.wav,one\ns/1.wav,two\n"
    Path("data/metadata.csv").write_text(rows)
    named = {"0": Path("data/0.wav"), "s/1": Path("data/s/1.wav")}
    with pytest.warns(RecordingWarning, match=r"metadata.csv: does not name 1 .*such as 2.wav"):
        assert listed("data") == named
    Path("data/metadata.csv").unlink()
    lines = [json.dumps({"file_name": name, "snr": 2}) for name in ("0.wav", "s/1.wav", "2.wav")]
    Path("data/metadata.jsonl").write_text("\n".join(lines) + "\n")
    assert listed("data") == named | {"2": Path("data/2.wav")}
    Path("data/metadata.csv").write_text(rows)
    with pytest.raises(DataError, match=r"has both metadata.csv and metadata.jsonl"):
        listed("data")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("csv", "file_name\n0.wav\n9.wav\n", r"metadata.csv, line 3: there is no file data/9.wav"),
        ("csv", "file_name\n0.wav\n0.flac\n", r"line 3: '0' is named in line 2 already"),
        ("csv", "file_name\n../wav/a.wav\n", r"outside of its folder"),
        ("jsonl", '{"file_name": "0.wav"}\n{"text": ""}\n', r"line 2: has no 'file_name'"),
        ("jsonl", '{"file_name": "0.wav"}\n{\n', r"cannot be read as metadata"),
    ],
)
def test_metadata_that_cannot_be_used(name, text, says):
    Path(f"data/metadata.{name}").write_text(text)
    with pytest.raises(DataError, match=says):
        listed("data")


def test_what_is_no_list():
    Path("data/metadata.csv").write_text("speaker,age\n1,2\n")  # of something else
    Path("wav/metadata.jsonl").write_text("no JSON\n")
    assert [listed(path) for path in ("data", "wav", "wav/a.wav", "no.scp")] == [None] * 4
    assert find(["data"]) == [Path("data/0.wav"), Path("data/2.wav")]
    assert not is_list("wav")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf/data/train-00000-of-00001.parquet", r"hf: is a data set of parquet files of Hugging"),
        ("hf/dataset_dict.json", r"hf: is a data set that `save_to_disk` wrote of Hugging Face"),
        ("hf/state.json", r"hf: is a data set that `save_to_disk` wrote"),
        ("hf/wav.scp", r"hf: no audio files there; name the list that is there, hf/wav.scp"),
    ],
)
def test_folders_without_files_say_what_they_are(name, says):
    Path(name).parent.mkdir(parents=True)
    Path(name).touch()
    with pytest.raises(AudioError, match=says):
        find(["hf"])


def test_a_table_is_no_recording():
    Path("x.parquet").touch()
    with pytest.raises(AudioError, match=r"x.parquet: is a table .*; write .*soundfile.write"):
        find(["x.parquet"])


def test_the_remedy_for_tables_works(folder):
    """What the error says to type, with rows as `datasets` gives them."""
    import numpy as np
    import soundfile

    Path("hf").mkdir()
    Path("hf/0.parquet").touch()
    with pytest.raises(AudioError) as raised:
        find(["hf"])
    line = re.search(r"soundfile\.write\(.*\]\)", str(raised.value))
    assert line is not None
    row = {"audio": {"array": np.zeros(80), "sampling_rate": 8000}}
    exec(line[0], {"soundfile": soundfile, "row": row, "i": 7})
    assert soundfile.info("7.wav").samplerate == 8000
