"""What becomes of samples beyond full scale."""

import numpy as np
import pytest

from sgmse.audio import Info, Writer, read, written_as
from sgmse.errors import ArgumentError, AudioError, RecordingWarning

LOUD = np.array([[0.5, -2.0, 1.0, 0.25, -0.125]], np.float32)


def written(path, audio, like, mode):
    with Writer(path, like, clip_mode=mode) as writer:
        for block in np.split(audio, [2, 3], axis=1):
            writer.write(block)
    return read(path), writer.clipped


def test_clamp_keeps_the_level_of_the_rest(tmp_path):
    (back, _), clipped = written(tmp_path / "x.wav", LOUD, Info(16000), "clamp")
    np.testing.assert_allclose(back, LOUD.clip(-1, 1), atol=2**-15)
    assert clipped == 1


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.aiff"])
def test_rescale_keeps_the_proportions(tmp_path, name):
    with pytest.warns(RecordingWarning, match=r"x\.\w+: was scaled by -6\.0 dB, so that its peak"):
        (back, about), clipped = written(tmp_path / name, LOUD, Info(16000), "rescale")
    np.testing.assert_allclose(back, LOUD / 2, atol=2**-15)
    assert about.subtype == "PCM_16"
    assert clipped == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_rescale_leaves_alone_what_is_not_too_loud(tmp_path, recwarn):
    (back, _), _ = written(tmp_path / "x.wav", LOUD / 4, Info(16000, subtype="FLOAT"), "rescale")
    np.testing.assert_array_equal(back, LOUD / 4)
    assert not recwarn


@pytest.mark.parametrize("name", ["x.wav", "x.aiff", "x.caf", "x.au", "x.w64"])
def test_none_is_written_as_float(tmp_path, name):
    (back, about), clipped = written(tmp_path / name, LOUD, Info(16000), "none")
    np.testing.assert_array_equal(back, LOUD)
    assert about.subtype == "FLOAT"
    assert clipped == 0


@pytest.mark.parametrize("name", ["x.flac", "x.mp3", "x.ogg", "x.opus"])
def test_none_is_refused_where_there_is_no_float(name):
    with pytest.raises(AudioError, match="holds nothing beyond full scale; choose clip mode clamp"):
        written_as(name, Info(48000), clip_mode="none")


def test_other_modes_are_refused():
    with pytest.raises(ArgumentError, match="clip_mode must be one of clamp, rescale, none, not"):
        written_as("x.wav", Info(48000), clip_mode="limit")


def test_a_failure_while_it_is_held_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with Writer(tmp_path / "x.wav", Info(16000), clip_mode="rescale") as writer:
            writer.write(LOUD)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
