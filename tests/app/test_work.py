"""What the page is asked to do, done without a web."""

import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import FRONT, Pointwise, Sampler, Uniform

from sgmse.app import markup
from sgmse.app.work import Asked, Limits, Made, Models, Stopped, Version, do, zipped
from sgmse.audio import Info, info, write
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError
from sgmse.estimates import Data
from sgmse.metrics import si_sdr
from sgmse.model import ScoreModel
from sgmse.sdes import OUVE
from sgmse.solvers import Exponential

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def models(model) -> Models:
    return Models(str(model))


@pytest.fixture
def ask(models, tmp_path, recordings):
    """Does what is asked with the tiny model, of recordings by their names."""

    def ask(*names: str, limits: Limits | None = None, **asked) -> list[Made]:
        folder = tmp_path / "work"
        folder.mkdir()
        files = [recordings / name for name in names]
        return do(Asked(files, models.names[0], **asked), folder, models, limits=limits)

    return ask


def test_the_result_is_that_of_the_enhancer(ask, models, recordings, tmp_path):
    options = {"dry": 0.2, "max_attenuation": 12.0, "upper_band": False, "seed": 3}
    (made,) = ask("stereo.wav", **options)
    before, after = made.versions
    enhancer = models.get(models.names[0])
    wanted = enhancer.enhance_file(recordings / "stereo.wav", tmp_path / "x.wav", **options)
    assert after.file.name == "stereo_enhanced.wav"
    assert after.file.read_bytes() == wanted.read_bytes()
    assert (before.label, after.label, before.file) == ("before", "after", None)
    assert (made.seconds, made.top, made.error) == (1.0, 24000, "")


@pytest.mark.parametrize(("times", "strength"), [(1.0, 0.8), (0.5, 0.4), (2.0, 1.6), (3.0, 2.0)])
def test_the_strength_is_times_that_of_the_model(
    ask, models, recordings, tmp_path, times, strength
):
    """What an enhancer takes is 2 at most."""
    usual, key = models.get(models.names[0]), (models.names[0], None)
    models.loaded[key] = usual.with_strength(0.8)
    try:
        (made,) = ask("a.wav", strength=times)
    finally:
        models.loaded[key] = usual
    wanted = usual.enhance_file(recordings / "a.wav", tmp_path / "x.wav", strength=strength)
    assert made.versions[1].file.read_bytes() == wanted.read_bytes()


def test_what_is_heard_and_seen_is_of_the_files(ask, recordings):
    (made,) = ask("b.flac")
    for version, path in zip(
        made.versions, (recordings / "b.flac", made.versions[1].file), strict=True
    ):
        heard, rate = soundfile.read(version.sound)
        there, _ = soundfile.read(path)
        np.testing.assert_allclose(heard, there, atol=2**-15)
        assert rate == 16000
        with Image.open(version.picture) as picture:
            assert picture.size[0] > 200
            assert np.asarray(picture).std() > 3
    assert made.versions[1].file.suffix == ".flac"


def test_many_channels_are_heard_as_one(models, tmp_path):
    audio = 0.05 * np.random.default_rng(0).standard_normal((4000, 10))
    soundfile.write(tmp_path / "ten.wav", audio, 16000)
    (made,) = do(Asked([tmp_path / "ten.wav"], models.names[0]), tmp_path, models)
    heard, _ = soundfile.read(made.versions[0].sound)
    np.testing.assert_allclose(heard, audio.mean(axis=1), atol=2**-14)
    assert soundfile.info(made.versions[1].file).channels == 10


def test_a_container_that_browsers_may_not_play(models, tmp_path):
    pytest.importorskip("av", reason="needs the extra media")
    sound = 0.05 * np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    write(tmp_path / "talk.m4a", sound, Info(16000, 1))
    (made,) = do(Asked([tmp_path / "talk.m4a"], models.names[0]), tmp_path, models)
    assert made.versions[1].file.name == "talk_enhanced.m4a"
    assert info(made.versions[1].file).format == info(tmp_path / "talk.m4a").format
    assert {soundfile.info(version.sound).format for version in made.versions} == {"FLAC"}


def test_one_that_fails_leaves_the_others(ask, recordings):
    broken, good, gone = ask("broken.wav", "a.wav", "gone.wav")
    assert "broken.wav: " in broken.error
    assert good.versions[1].file.exists()
    assert "no such file" in gone.error
    assert str(recordings) not in broken.error + gone.error
    text = markup.results([broken, good, gone], None)
    assert text.count("<details") == 3
    assert text.count("<audio") == 2
    assert markup.done([broken, good, gone], 1.0).count("1 recording, 2 failed") == 1


def test_the_models_that_are_offered():
    assert Models().names == ["default", "score", "live", "restore"]
    assert Models("score").names == ["score", "default", "live", "restore"]
    assert Models("mine/").names[0] == "mine/"
    assert Models().usual("default") == "balanced"
    assert Models().usual("score") is None
    assert Models().offered("default", "best") == "best"
    assert Models().offered("live", "best") is None


def test_limits_are_said_with_the_way_out(ask, models, tmp_path):
    (long,) = ask("long.wav", limits=Limits(minutes=0.5))
    assert long.error == (
        "long.wav is 0.7 minutes long, and this page takes 0.5; sgmse enhance on the command line "
        "takes any length"
    )
    for asked, limits, says in (
        (Asked([]), None, "there is no recording yet"),
        (Asked([Path("a")] * 3), Limits(files=2), "3 files at once; this page takes 2"),
        (Asked([Path("a")] * 2, clean=Path("c")), None, "belongs to one file"),
        (Asked([Path("a")], "/etc"), None, "the page has no model '/etc'"),
    ):
        with pytest.raises(ArgumentError, match=says):
            do(asked, tmp_path, models, limits=limits)


def test_it_tells_how_far_it_is_and_stops_when_told(models, recordings, tmp_path):
    told, stop = [], threading.Event()
    asked = Asked([recordings / "stereo.wav", recordings / "a.wav"], models.names[0])
    do(asked, tmp_path, models, report=lambda *one: told.append(one))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {what for _, what in told} == {
        "loading the model",
        "stereo.wav (1 of 2)",
        "a.wav (2 of 2)",
    }
    (tmp_path / "again").mkdir()
    with pytest.raises(Stopped):
        do(asked, tmp_path / "again", models, report=lambda *_: stop.set(), stop=stop)
    assert not list((tmp_path / "again").rglob("*_enhanced*"))


def test_scores_against_a_clean_recording(ask, recordings, monkeypatch):
    monkeypatch.setattr("sgmse.app.work.SCORES", ("SI-SDR", "LSD"))
    (made,) = ask("a.wav", clean=recordings / "clean.wav")
    rows = {name: (before, after) for name, before, after in made.scores}
    both = [soundfile.read(recordings / name)[0] for name in ("clean.wav", "a.wav")]
    assert rows["SI-SDR [dB]"][0] == f"{si_sdr(*both, 16000):.2f}"
    assert set(rows) == {"SI-SDR [dB]", "LSD"}
    assert rows["LSD"][0] != rows["LSD"][1]
    assert "SI-SDR [dB]" in markup.results([made], None)


def test_several_samples_and_where_they_differ(recordings, tmp_path, models):
    model = ScoreModel(Pointwise(), OUVE(), Data())
    drawing = Enhancer(model, FRONT, Sampler(Exponential(), Uniform(2, end=0.0)), force=True)
    own = Models()
    own.names = ["draws", models.names[0]]
    own.loaded = {("draws", None): drawing, (models.names[0], None): models.get(models.names[0])}
    own.qualities = lambda name: ()
    assert own.draws("draws")
    assert not own.draws(models.names[0])
    (made,) = do(Asked([recordings / "a.wav"], "draws", samples=3), tmp_path, own)
    assert [v.label for v in made.versions] == ["before", "sample 1", "sample 2", "sample 3"]
    contents = {v.file.read_bytes() for v in made.versions[1:]}
    assert len(contents) == 3
    with Image.open(made.disagreement) as picture:
        assert np.asarray(picture).max() > 10
    assert "where the samples differ" in markup.results([made], None)


def test_a_zip_holds_each_result_once(tmp_path):
    def made(folder: str, name: str) -> Made:
        file = tmp_path / folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(folder)
        return Made(name, [Version("after", file, file, file)])

    every = [made("1", "a.wav"), made("2", "a.wav"), made("3", "b.wav"), Made("c.wav", error="no")]
    archive = zipfile.ZipFile(io.BytesIO(zipped(every, tmp_path / "all.zip").read_bytes()))
    contents = {name: archive.read(name).decode() for name in archive.namelist()}
    assert contents == {"a.wav": "1", "a (2).wav": "2", "b.wav": "3"}


def test_names_are_text():
    name = "<img src=x onerror=alert(1)>\"'&.wav"
    place = Path("/tmp/x") / name
    one = Made(name, [Version("before", place, place), Version("after", place, place, place)], 1.0)
    for text in (
        markup.results([one, Made(name, error=name)], place),
        markup.results([one], None),
        markup.progress(0.5, name),
        markup.alert(name),
    ):
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
