"""What workers do, one part after another, is what one machine does."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
from fleet import assert_alike
from recordings import save

from sgmse.audio import Info, info, read, write
from sgmse.corpus import Job, Settings, make_plan, run_jobs
from sgmse.corpus.remarks import heard
from sgmse.corpus.workers import LONGEST, Done, Station, Worker, decode, encode, fits
from sgmse.errors import AudioError, WorkerError

SETTINGS = Settings(seed=3, max_attenuation=20.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def worker(folder: Path):
    from sgmse import __version__

    made = Worker(tiny.enhancer(), Station(folder))
    assert made.ready(__version__) is None
    with made.held:
        yield made


def in_parts(worker: Worker, job: Job, settings: Settings) -> Done:
    sound = worker.enhance_sound(job, settings, decode(job, worker.station))
    return encode(job, settings, worker.station, sound)


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        ("a.wav", Info(16000), {}),
        ("a.wav", Info(48000, 2, subtype="FLOAT"), {}),
        ("a.flac", Info(44100, 2, format="FLAC"), {"clip_mode": "rescale"}),
        ("a.ogg", Info(16000, format="OGG", subtype="VORBIS"), {"format": "flac"}),
        ("a.mp3", Info(48000, 2, format="MP3", subtype="MPEG_LAYER_III"), {"bitrate": 96.0}),
    ],
)
def test_parts_make_the_file_of_one_machine(name, form, options, worker):
    z = 0.3 * np.random.default_rng(0).standard_normal((form.channels, form.sample_rate // 4))
    write(name, z, form)  # beyond full scale, so that results are clipped
    settings = Settings(**options)
    here, there = (make_plan([name], f"{to}/", **options).checked() for to in ("here", "there"))
    with heard():
        (one,) = run_jobs(here.jobs, lambda job, progress: settings.enhance(worker.enhancer, job))
    done = in_parts(worker, there.jobs[0], settings)
    assert (done.error, one.error) == (None, None)
    assert sorted(done.warnings) == sorted(w.replace("here/", "there/") for w in one.warnings)
    files = [job.target.read_bytes() for job in (*there.jobs, *here.jobs)]
    assert_alike(*files, step=1e-3 if name.endswith(("mp3", "ogg")) else 2**-15)
    assert done.elapsed > 0


def test_a_whole_job_is_that_of_one_machine(worker):
    save("a.wav", 0.03 * np.random.default_rng(0).standard_normal(4000))
    worker.enhance(Job(Path("a.wav"), Path("there.wav")), SETTINGS)
    worker.enhancer.enhance_file("a.wav", "here.wav", seed=3, max_attenuation=20.0)
    assert_alike(Path("there.wav").read_bytes(), Path("here.wav").read_bytes())


def test_what_fails_is_told_by_the_part_in_which_it_does(worker):
    soundfile.write("nan.wav", np.full(500, np.nan, np.float32), 16000, "FLOAT")
    save("good.wav", np.full(500, 0.1))
    Path("there.wav").write_bytes(b"held")
    cases = {
        Job(Path("absent.wav"), Path("x.wav")): "no such file",
        Job(Path("nan.wav"), Path("x.wav")): "sample 0 .* is NaN",
        Job(Path("good.wav"), Path("there.wav")): "exists",
    }
    for job, words in cases.items():
        for done in (in_parts(worker, job, SETTINGS), worker.enhance(job, SETTINGS)):
            assert isinstance(done.error, AudioError)
            with pytest.raises(AudioError, match=words):
                raise pickle.loads(pickle.dumps(done.error))
    assert Path("there.wav").read_bytes() == b"held"
    assert sorted(p.name for p in Path().iterdir()) == ["good.wav", "nan.wav", "there.wav"]


def test_errors_of_any_kind_come_over_the_wire_with_where_they_are_from(worker, monkeypatch):
    class Mine(Exception):  # noqa: N818
        """Cannot be pickled: it is local."""

    def fail(*_, **__):
        raise Mine("so")

    monkeypatch.setattr(Settings, "enhance", fail)
    done = worker.enhance(Job(Path("a.wav"), Path("b.wav")), SETTINGS)
    assert type(done.error) is RuntimeError
    assert str(done.error) == "Mine: so"
    monkeypatch.setattr(Settings, "enhance", lambda *_: 1 / 0)
    done = worker.enhance(Job(Path("a.wav"), Path("b.wav")), SETTINGS)
    assert isinstance(done.error, ZeroDivisionError)
    assert "1 / 0" in pickle.loads(pickle.dumps(done.error)).__notes__[0]


def test_a_machine_that_is_not_as_this_one_says_so(folder):
    other = Worker(tiny.enhancer(), Station(folder / "absent"))
    from sgmse import __version__

    assert "other" not in __version__
    problem = other.ready("other")
    assert isinstance(problem, WorkerError)
    assert "install the same on all" in str(problem)
    assert "share it between the machines" in str(other.ready(__version__))
    done = decode(Job(Path("a.wav"), Path("b.wav")), other.station)
    assert isinstance(done, Done)
    assert "share it between the machines" in str(done.error)


def test_another_runtime_computes_where_the_worker_is(folder, monkeypatch):
    pytest.importorskip("onnx", reason="needs the extra export")
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    from sgmse import __version__

    monkeypatch.setenv("SGMSE_CACHE", str(folder / "cache"))
    worker = Worker(tiny.enhancer(), Station(folder, backend="onnx"))
    assert worker.ready(__version__) is None
    save("a.wav", 0.03 * np.random.default_rng(0).standard_normal(4000))
    with worker.held:
        assert worker.enhance(Job(Path("a.wav"), Path("b.wav")), SETTINGS).error is None
    tiny.enhancer().enhance_file("a.wav", "c.wav", seed=3, max_attenuation=20.0)
    np.testing.assert_allclose(read("b.wav")[0], read("c.wav")[0], atol=1e-5)
    assert list(Path("cache").glob("*.onnx"))


def test_long_recordings_and_pictures_stay_in_one_place():
    job = Job(Path("a.wav"), Path("b.wav"), 100.0, 16000, 1)
    assert fits(job)
    long = Job(Path("a.wav"), Path("b.wav"), 1.01 * LONGEST / 32000, 16000, 2)
    drawn = Job(Path("a.wav"), Path("b.wav"), 100.0, 16000, 1, picture=Path("b.png"))
    unknown = Job(Path("a.wav"), Path("b.wav"))
    assert not any(map(fits, (long, drawn, unknown)))


def test_an_enhancer_is_the_same_in_another_process(worker):
    save("a.wav", 0.03 * np.random.default_rng(0).standard_normal(4000))
    pickle.loads(pickle.dumps(worker.enhancer)).enhance_file("a.wav", "b.wav")
    worker.enhancer.enhance_file("a.wav", "c.wav")
    assert_alike(Path("b.wav").read_bytes(), Path("c.wav").read_bytes())
    assert info("b.wav").frames == 4000
