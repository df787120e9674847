"""All that reads recordings sees the same sound, where a header is wrong, too."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import Identity, enhancer

from sgmse import audio
from sgmse.audio import Info
from sgmse.data.mono import read_mono
from sgmse.data.noisy_sets import Mixer, mix
from sgmse.data.pairs import Pair
from sgmse.metrics import si_sdr
from sgmse.metrics.measures import select
from sgmse.scoring.pair import score_pair

RATE = 16000
PACKAGE = Path(audio.__file__).parents[1]


def encoded(sound: np.ndarray, container: str, **how: object) -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, format=container, **how) as writer:
        writer.write(sound)
    return file.getvalue()


def bare_mp3(sound: np.ndarray) -> bytes:
    """Of a variable rate, without the frame that says how long it is."""
    mp3 = encoded(sound, "MP3", bitrate_mode="VARIABLE", compression_level=0.2)
    first = mp3[:4]
    assert b"Xing" in mp3[:64]
    return mp3[mp3.index(first[:2], 4) :]


def chain(sound: np.ndarray) -> bytes:
    """Two Oggs in a row."""
    half = len(sound) // 2
    return b"".join(encoded(part, "OGG", subtype="VORBIS") for part in (sound[:half], sound[half:]))


def unfinished(sound: np.ndarray) -> bytes:
    """A wav of a recorder that died."""
    wav = encoded(sound, "WAV", subtype="PCM_24")
    at = wav.index(b"data") + 4
    return wav[:at] + bytes(4) + wav[at + 4 :]


FILES = {"mp3": bare_mp3, "ogg": chain, "wav": unfinished}


@pytest.mark.filterwarnings("ignore::sgmse.errors.RecordingWarning")  # this is no speech
@pytest.mark.parametrize("suffix", FILES)
def test_every_reader_sees_the_whole_recording(tmp_path, suffix):
    sound = 0.003 * np.random.default_rng(0).standard_normal(3 * RATE)
    sound[: RATE // 2] *= 80  # loud, then quiet: where the first frames are not like the others
    path = tmp_path / "speech" / f"x.{suffix}"
    path.parent.mkdir()
    path.write_bytes(FILES[suffix](sound))
    whole, about = audio.read(path)
    assert 3 * RATE <= about.frames == whole.shape[1] < 3.2 * RATE

    # training and mixing
    np.testing.assert_array_equal(read_mono(path, RATE), whole[0])
    (tmp_path / "noise").mkdir()
    noise = 0.1 * np.random.default_rng(1).standard_normal((1, RATE))
    audio.write(tmp_path / "noise" / "x.wav", noise, Info(RATE))
    made = mix(path.parent, tmp_path / "noise", tmp_path / "set", Mixer(snr=(0.0,)), quiet=True)
    assert made.mixtures[0].seconds == about.duration

    # scoring
    other = whole + np.float32(1e-3) * np.sign(whole)
    audio.write(tmp_path / "other.wav", other, Info(RATE, subtype="FLOAT"))
    scores = score_pair(Pair("x", path, tmp_path / "other.wav"), select(["si-sdr"]))
    assert (scores.seconds, scores.excess, scores.problems) == (about.duration, 0, {})
    assert scores.values["SI-SDR"] == pytest.approx(si_sdr(whole[0], other[0], RATE), abs=1e-3)

    # enhancement
    target = enhancer(Identity()).enhance_file(path, tmp_path / "out.wav")
    assert audio.info(target).frames == about.frames
    np.testing.assert_allclose(audio.read(target)[0], whole, atol=1e-4)


def test_nothing_else_opens_recordings():
    """Sound that is encoded in memory only to be decoded again is no recording.

    The runner of an exported step is a file of its own, which is used without this library.
    """
    reader = re.compile(r"(soundfile\.(read|blocks|info)|wavfile\.read|\bwave\.open)\(")
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if reader.search(file.read_text(encoding="utf-8"))
    }
    assert {place for place in found if not place.startswith("audio/")} == {
        "data/degradations/codecs.py",
        "export/runner.py",
    }
