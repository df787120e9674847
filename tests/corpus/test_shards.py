"""Shards are enhanced into shards: the same recordings as one by one, all else as it was."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tiny
from fleet import assert_alike, assert_folders_alike

from sgmse.audio import Info, info, write
from sgmse.cli.main import main
from sgmse.corpus import Job, Outcome, Settings, make_plan, run_jobs
from sgmse.corpus.shards import Named, enhance_shard
from sgmse.errors import ArgumentError, AudioError

SETTINGS = Settings(seed=2)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sound(seed: int = 0, suffix: str = "wav", rate: int = 16000) -> bytes:
    z = 0.03 * np.random.default_rng(seed).standard_normal((1, rate // 10))
    file = Named(f"x.{suffix}")
    write(file, z, Info(rate, 1, format="FLAC" if suffix == "flac" else "WAV"))
    return file.getvalue()


def tar(name: str, members: dict[str, bytes]) -> None:
    with tarfile.open(name, "w") as archive:
        for i, (member, content) in enumerate(members.items()):
            about = tarfile.TarInfo(member)
            about.size, about.mtime, about.uname = len(content), 1000 + i, "somebody"
            archive.addfile(about, io.BytesIO(content))


def members(name: str | Path) -> dict[str, bytes]:
    with tarfile.open(name) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def one_by_one(name: str, content: bytes, **options) -> bytes:
    out = Named(name)
    tiny.enhancer().enhance_file(Named(name, content), out, seed=2, **options)
    return out.getvalue()


def ran(pattern: str, to: str = "out", settings: Settings = SETTINGS, **options) -> list[Outcome]:
    plan = make_plan([pattern], to, **options).checked()
    enhancer = tiny.enhancer()
    return [*plan.ended, *run_jobs(plan.jobs, lambda job, _: settings.enhance(enhancer, job))]


SAMPLES = {
    "a/1.wav": sound(1),
    "a/1.json": b'{"text": "one"}',
    "a/2.flac": sound(2, "flac", 48000),
    "a/2.json": b"{}",
    "__key__": b"no sound",
}


def test_samples_keep_their_order_names_and_companions():
    tar("s.tar", SAMPLES)
    (outcome,) = ran("s.tar")
    assert (outcome.error, outcome.lost) == (None, ())
    assert outcome.job.seconds == pytest.approx(0.2)
    made = members("out/s.tar")
    assert list(made) == list(SAMPLES)
    for name, content in SAMPLES.items():
        if name.endswith(("wav", "flac")):
            assert_alike(made[name], one_by_one(name, content))
        else:
            assert made[name] == content
    with tarfile.open("out/s.tar") as archive:
        assert [m.mtime for m in archive] == [1000, 1001, 1002, 1003, 1004]
        assert {m.uname for m in archive} == {"somebody"}


def test_a_shard_that_is_made_again_is_the_same():
    tar("s.tar", SAMPLES)
    ran("s.tar", "one")
    ran("s.tar", "two")
    one, two = members("one/s.tar"), members("two/s.tar")
    assert list(one) == list(two)
    sounds = [name for name in one if name.endswith(("wav", "flac"))]
    assert_folders_alike(*({name: made[name] for name in sounds} for made in (one, two)))


def test_another_format_renames_the_recordings():
    tar("s.tar", SAMPLES)
    (outcome,) = ran("s.tar", settings=Settings(seed=2, format="flac"), format="flac")
    assert outcome.error is None
    made = members("out/s.tar")
    assert list(made) == ["a/1.flac", "a/1.json", "a/2.flac", "a/2.json", "__key__"]
    assert info(Named("x", made["a/1.flac"])).format == "FLAC"


def test_a_sample_that_fails_is_left_out_as_a_whole_and_named(capsys, model):
    bad = {"0.wav": b"no sound", "0.json": b"{}", "0/deep.wav": sound(3), "0/deep.txt": b"x"}
    tar("s.tar", bad | SAMPLES)
    line = ["enhance", "s.tar", "-o", "out", "--model", str(model), "--failures", "lost.jsonl"]
    assert main(line) == 1
    out, err = capsys.readouterr()
    assert "1 recording lost" in out
    assert err.count("s.tar/0.wav: is not audio") == 1
    assert list(members("out/s.tar")) == ["0/deep.wav", "0/deep.txt", *SAMPLES]
    (failed,) = map(json.loads, Path("lost.jsonl").read_text().splitlines())
    assert (failed["source"], failed["status"]) == ("s.tar/0.wav", "failed")
    assert "is not audio" in failed["error"]
    assert main([*line, "--skip-existing"]) == 0
    assert Path("lost.jsonl").read_text() == ""


def test_with_one_recording_of_a_sample_all_of_them_are_lost():
    tar("s.tar", {"1.a.wav": sound(1), "1.b.wav": b"no sound", "1.c.wav": sound(2)} | SAMPLES)
    (outcome,) = ran("s.tar")
    assert outcome.job.seconds == pytest.approx(0.2)
    assert [str(lost.source) for lost in outcome.lost] == [f"s.tar/1.{x}.wav" for x in "abc"]
    why = [str(lost.error) for lost in outcome.lost]
    assert why[0].startswith("s.tar/1.a.wav: is left out with 1.b.wav;")
    assert why[1].startswith("s.tar/1.b.wav: is not audio")
    assert list(members("out/s.tar")) == list(SAMPLES)


def test_two_results_of_one_name_are_refused():
    tar("s.tar", {"1.wav": sound(1), "1.flac": sound(2, "flac")} | SAMPLES)
    (outcome,) = ran("s.tar", settings=Settings(seed=2, format="flac"), format="flac")
    assert "would be called 1.flac, as another one" in str(outcome.lost[1].error)
    assert next(iter(members("out/s.tar"))) == "a/1.flac"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"1.a.wav": sound(), "1.b.wav": b"x"}, "none of its 2 recordings can be enhanced"),
        (b"none", "is no tar archive"),
        ({"a.txt": b"x"}, "holds no recordings"),
        ({"a.wav": b"x"}, "none of its 1 recordings can be enhanced"),
    ],
)
def test_a_shard_of_nothing_fails_and_leaves_nothing(content, words):
    if isinstance(content, bytes):
        Path("s.tar").write_bytes(content)
    else:
        tar("s.tar", content)
    (outcome,) = ran("s.tar")
    assert isinstance(outcome.error, AudioError)
    assert words in str(outcome.error)
    assert not list(Path().glob("out/*"))
    assert not list(Path().glob("out/.*"))


def test_a_shard_that_is_cut_off_fails_as_a_whole():
    tar("s.tar", SAMPLES)
    Path("s.tar").write_bytes(Path("s.tar").read_bytes()[:1000])
    (outcome,) = ran("s.tar")
    assert "cut off" in str(outcome.error) or "damaged" in str(outcome.error)
    assert not list(Path("out").iterdir())


def test_which_shards_are_meant_and_what_cannot_be():
    for name in ("b.tar", "a.tar"):
        tar(name, SAMPLES)
    jobs = make_plan(["*.tar"], "out").jobs
    assert [(str(job.source), str(job.target)) for job in jobs] == [
        ("a.tar", "out/a.tar"),
        ("b.tar", "out/b.tar"),
    ]
    assert [str(job.target) for job in make_plan(["a.tar"], format="mp3").jobs] == [
        "a_enhanced.tar"
    ]
    with pytest.raises(ArgumentError, match="holds many recordings; name a folder"):
        make_plan(["a.tar"], "x.wav")
    with pytest.raises(AudioError, match="exists already"):
        enhance_shard(Path("a.tar"), Path("b.tar"), lambda sound, name: b"", None, False)


def test_pictures_of_shards_are_refused(capsys):
    tar("a.tar", SAMPLES)
    assert main(["enhance", "a.tar", "-o", "out", "--plot"]) == 1
    assert "of which none is drawn" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_of_a_table_keep_all_else():
    arrow = pytest.importorskip("pyarrow", reason="needs the extra ray")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra ray")
    rows = [
        {"id": i, "audio": {"bytes": sound(i), "path": f"{i}.wav"}, "text": f"t{i}"}
        for i in range(20)
    ]
    rows[3]["audio"] = {"bytes": b"no sound", "path": "3.wav"}
    rows[4]["audio"] = {"bytes": None, "path": "4.wav"}
    rows[5]["audio"] = {"bytes": sound(5), "path": None}
    table = arrow.Table.from_pylist(rows).replace_schema_metadata({"huggingface": "features"})
    parquet.write_table(table, "s.parquet")
    (outcome,) = ran("s.parquet")
    assert outcome.error is None
    assert [str(lost.source) for lost in outcome.lost] == ["s.parquet/3.wav", "s.parquet/4.wav"]
    made = parquet.read_table("out/s.parquet")
    assert made.schema.equals(table.schema, check_metadata=True)
    kept = made.to_pylist()
    assert [row["id"] for row in kept] == [i for i in range(20) if i not in (3, 4)]
    for row in kept:
        before = rows[row["id"]]
        assert row["text"] == before["text"]
        assert row["audio"]["path"] == before["audio"]["path"]
        assert_alike(row["audio"]["bytes"], one_by_one("x", before["audio"]["bytes"]))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["x"]}, "has no column of {bytes, path} \\(there are text\\)"),
        ({n: [{"bytes": b"", "path": "a"}] for n in "ab"}, "has several columns of"),
        (None, "is no parquet file"),
    ],
)
def test_tables_without_sound_are_refused_before_any_work(columns, words):
    arrow = pytest.importorskip("pyarrow", reason="needs the extra ray")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra ray")
    Path("s.parquet").write_text("x")
    if columns is not None:
        parquet.write_table(arrow.table(columns), "s.parquet")
    plan = make_plan(["s.parquet"], "out").checked()
    assert plan.jobs == []
    with pytest.raises(AudioError, match=words):
        raise plan.ended[0].error


def test_failures_of_files_and_of_recordings_within():
    error = AudioError("x", "is bad", "no")
    job = Job(Path("s.tar"), Path("o.tar"))
    assert [json.loads(line)["source"] for line in Outcome(job, error).failures()] == ["s.tar"]
    assert Outcome(job).failures() == []
