"""Sets that `mix` makes are what their index says, to the sample, and always the same."""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse import audio
from sgmse.data.degradations import Clip
from sgmse.data.noisy_sets import FORMATS, Mixer, mix
from sgmse.errors import DataError, MissingPackageError, MixError

RATE = 8000
LSB = 1 / 32768


def speech(seed: int, seconds: float = 1.5, level: float = 0.3) -> np.ndarray:
    """Noise that comes and goes, with a pause of 0.3 s in the middle."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    wave = level * np.sin(2 * np.pi * 3 * t) ** 2 * rng.uniform(-1, 1, len(t))
    wave[abs(t - seconds / 2) < 0.15] = 0
    return wave


def write(path: Path, wave: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, "FLOAT")


@pytest.fixture
def folders(tmp_path):
    """Five recordings of speech by two speakers and two of noise."""
    for i in range(5):
        write(tmp_path / f"clean/s{i % 2}/{i}.wav", speech(i))
    rng = np.random.default_rng(9)
    write(tmp_path / "noise/long.wav", 0.2 * rng.uniform(-1, 1, 4 * RATE))
    write(tmp_path / "noise/street/short.wav", 0.1 * rng.uniform(-1, 1, RATE + 7))
    return tmp_path / "clean", tmp_path / "noise", tmp_path / "set"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    clean, noisy = (
        soundfile.read(folder / kind / f"{name}.flac")[0] for kind in ("clean", "noisy")
    )
    return clean, noisy


def active_decibels(wave: np.ndarray) -> float:
    """Power of the frames of 20 ms that are less than 30 dB below the loudest one, in dB."""
    frames = wave[: len(wave) // 160 * 160].reshape(-1, 160)
    levels = 10 * np.log10((frames**2).mean(axis=1) + 1e-20)
    return float(10 * np.log10((10 ** (levels[levels > levels.max() - 30] / 10)).mean()))


def test_mixtures_have_the_ratios_of_the_index(folders):
    mixer = Mixer((-5.0, 0.0, 12.5), sample_rate=RATE)
    made = mix(*folders, mixer, count=6)
    index = rows(made.folder)
    assert [row["name"] for row in index] == [f"00{i}" for i in range(6)]
    assert [float(row["snr_db"]) for row in index] == [-5, 0, 12.5] * 2
    for row in index:
        clean, noisy = pair(made.folder, row["name"])
        ratio = active_decibels(clean) - active_decibels(noisy - clean)
        assert ratio == pytest.approx(float(row["snr_db"]), abs=0.02)
        assert len(clean) == len(noisy) == round(float(row["seconds"]) * RATE)


def test_the_index_names_the_very_samples(folders):
    clean, noise, output = folders
    made = mix(clean, noise, output, Mixer((0.0,), sample_rate=RATE, seconds=1.2), count=10)
    short = 0
    for row in rows(made.folder):
        heard, noisy = pair(made.folder, row["name"])
        source = soundfile.read(clean / row["speech"])[0]
        start = round(float(row["speech_offset"]) * RATE)
        wanted = float(row["gain"]) * source[start : start + round(1.2 * RATE)]
        np.testing.assert_allclose(heard, wanted, atol=LSB)
        source = soundfile.read(noise / row["noise"])[0]
        start = round(float(row["noise_offset"]) * RATE)
        short += len(source) < len(heard)
        repeated = np.concatenate([source, source, source])[start : start + len(heard)]
        residual = noisy - heard
        g = (residual @ repeated) / (repeated @ repeated)
        np.testing.assert_allclose(residual, g * repeated, atol=2 * LSB)
    assert short == 5
    offsets = {row["noise_offset"] for row in rows(made.folder)}
    assert len(offsets) == 10
    assert len({row["speech_offset"] for row in rows(made.folder)}) == 10


def test_the_index_names_speakers_and_kinds_of_noise(folders):
    index = rows(mix(*folders, Mixer((0.0,), seed=7, sample_rate=RATE)).folder)
    assert {row["speech"]: row["speaker"] for row in index} == {
        f"s{i % 2}/{i}.wav": f"s{i % 2}" for i in range(5)
    }
    assert {row["noise"]: row["noise_source"] for row in index} == {
        "long.wav": "",
        "street/short.wav": "street",
    }
    assert {(row["seed"], row["room"]) for row in index} == {("7", "no")}


@pytest.mark.parametrize("count", [3, 5, 13])
def test_all_is_used_evenly(folders, count):
    made = mix(*folders, Mixer((0.0, 5.0, 10.0), sample_rate=RATE), count=count)
    for column, there in (("speech", 5), ("noise", 2), ("snr_db", 3)):
        uses = Counter(row[column] for row in rows(made.folder))
        assert len(uses) == min(there, count)
        assert max(uses.values()) - min(uses.values()) <= 1


def test_the_seed_decides_and_nothing_else(folders, tmp_path, monkeypatch):
    mixer = Mixer((0.0, 5.0), sample_rate=RATE, seconds=1.0)
    first = content(mix(*folders, mixer, count=7).folder)
    assert len(first) == 2 * 7 + 1
    assert content(mix(*folders, mixer, count=7, workers=3, overwrite=True).folder) == first
    other = content(mix(*folders, Mixer(mixer.snr, 1, RATE, 1.0), count=7, overwrite=True).folder)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)
    mix(*folders, mixer, count=7, overwrite=True)
    found = audio.find
    monkeypatch.setattr(audio, "find", lambda *a, **options: found(*a, **options)[::-1])
    assert content(mix(*folders, mixer, count=7, overwrite=True).folder) == first
    assert {path.name for path in tmp_path.iterdir()} == {"clean", "noise", "set"}


@pytest.mark.slow
def test_every_seed_has_orders_of_its_own(folders):
    orders = set()
    for seed in range(6):
        made = mix(*folders, Mixer((0.0, 5.0), seed, RATE), count=7, overwrite=True)
        orders |= {tuple(getattr(m, kind) for m in made.mixtures) for kind in ("speech", "noise")}
    assert len(orders) >= 10


def test_what_would_clip_is_lowered_with_its_clean_file(folders):
    clean, noise, output = folders
    write(clean / "s0/0.wav", speech(0, level=1.5))
    mixer = Mixer((-10.0,), sample_rate=RATE)
    index = rows(mix(clean, noise, output, mixer).folder)
    gains = {row["speech"]: float(row["gain"]) for row in index}
    lowered = {place for place, gain in gains.items() if gain != 1}
    assert "s0/0.wav" in lowered
    assert lowered < gains.keys()
    for row in index:
        pair_ = pair(output, row["name"])
        peak = max(np.abs(wave).max() for wave in pair_)
        if row["speech"] in lowered:
            assert peak == pytest.approx(0.99, abs=LSB)
        assert peak < 0.99 + LSB
        ratio = active_decibels(pair_[0]) - active_decibels(pair_[1] - pair_[0])
        assert ratio == pytest.approx(-10, abs=0.02)


def test_recordings_of_other_rates_and_channels_fit(tmp_path):
    t = np.arange(48000) / 48000
    tone = 0.2 * np.sin(2 * np.pi * 400 * t)
    write(tmp_path / "clean/a.wav", np.stack([tone, 2 * tone], axis=1), 48000)
    hum = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(2 * 44100) / 44100)
    write(tmp_path / "noise/n.wav", hum, 44100)
    mix(tmp_path / "clean", tmp_path / "noise", tmp_path / "set", Mixer((6.0,)))
    clean, noisy = pair(tmp_path / "set", "000")
    assert len(clean) == 16000
    inner = slice(500, -500)  # where no filter rings
    wanted = 0.3 * np.sin(2 * np.pi * 400 * np.arange(16000) / 16000)
    np.testing.assert_allclose(clean[inner], wanted[inner], atol=2e-4)
    peak = np.abs((noisy - clean)[inner]).max()
    assert peak == pytest.approx(0.3 * 10 ** (-6 / 20), rel=0.01)


def test_what_cannot_be_used_is_skipped_with_its_reason(folders):
    clean, noise, output = folders
    write(clean / "mute.wav", np.zeros(2 * RATE))
    write(clean / "blip.wav", speech(0, seconds=0.5))
    (clean / "text.wav").write_text("no audio at all")
    write(noise / "still.wav", np.full(2 * RATE, 5e-4))
    made = mix(clean, noise, output, Mixer((0.0,), sample_rate=RATE))
    reasons = {path.relative_to(clean.parent).as_posix(): why for path, why in made.skipped}
    assert reasons.keys() == {
        "clean/mute.wav",
        "clean/blip.wav",
        "clean/text.wav",
        "noise/still.wav",
    }
    assert reasons["clean/mute.wav"] == "silent, below -60 dB"
    assert reasons["clean/blip.wav"] == "0.50 s long, below 1 s"
    assert "not audio" in reasons["clean/text.wav"]
    assert reasons["noise/still.wav"] == "silent, below -60 dB"
    assert len(made.mixtures) == 5
    for i in range(20):
        write(clean / f"mute/{i}.wav", np.zeros(2 * RATE))
    few = mix(clean, noise, output, Mixer((0.0,), sample_rate=RATE), count=5, overwrite=True)
    assert len({row.speech for row in few.mixtures}) == 5


def test_a_part_is_never_silent(folders):
    clean, noise, output = folders
    burst = np.zeros(20 * RATE)
    burst[-RATE:] = 0.5 * np.random.default_rng(1).uniform(-1, 1, RATE)
    for file in noise.rglob("*.wav"):
        file.unlink()
    write(noise / "dog.wav", burst)
    mixer = Mixer((0.0,), sample_rate=RATE)
    assert all(row.noise_offset > 20 - 1 - 1.5 for row in mix(clean, noise, output, mixer).mixtures)
    click = np.zeros(60 * RATE)
    click[0] = 1e3
    write(noise / "dog.wav", click)
    with pytest.raises(MixError, match=r"dog\.wav: 100 places in a row are silent; leave it out"):
        mix(clean, noise, output, mixer, overwrite=True)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("clean", "there is no folder .*clean; name the one with the clean recordings"),
        ("noise", "there is no folder .*noise; name the one with the noise recordings"),
    ],
)
def test_folders_must_be_there(folders, what, why):
    folder = folders[0].with_name(what)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(DataError, match=why):
        mix(*folders, Mixer((0.0,)))


def test_something_must_be_usable(folders, tmp_path):
    mixer = Mixer((0.0,), shortest=1.2, sample_rate=RATE)
    (folders[1] / "long.wav").unlink()
    with pytest.raises(MixError, match=r"none of 1 recordings can be used, such as .*short\.wav"):
        mix(*folders, mixer)
    assert {path.name for path in tmp_path.iterdir()} == {"clean", "noise"}


def test_a_set_is_replaced_when_asked_and_nothing_else_is(folders, tmp_path):
    clean, noise, output = folders
    mixer = Mixer((0.0,), sample_rate=RATE)
    mix(*folders, mixer, count=4)
    before = content(output)
    with pytest.raises(MixError, match="exists; name another folder, or use --overwrite"):
        mix(*folders, mixer, count=1)
    assert content(output) == before
    mix(*folders, mixer, count=1, overwrite=True)
    assert content(output).keys() == {"clean/000.flac", "noisy/000.flac", "index.csv"}
    (output / "notes.txt").touch()
    with pytest.raises(MixError, match=r"no set that could be replaced: it holds notes\.txt"):
        mix(*folders, mixer, overwrite=True)
    (output / "notes.txt").unlink()
    (output / "index.csv").unlink()
    with pytest.raises(MixError, match=r"no set that could be replaced: it has no index\.csv"):
        mix(*folders, mixer, overwrite=True)
    for place in (clean, clean / "set", tmp_path, noise):
        with pytest.raises(MixError, match="lie in one another"):
            mix(clean, noise, place, mixer, overwrite=True)


def test_a_set_that_fails_leaves_the_old_one(folders, tmp_path, monkeypatch):
    mixer = Mixer((0.0,), sample_rate=RATE)
    mix(*folders, mixer)
    before = content(folders[2])

    def full(self, number, *files):
        if number == 3:
            raise OSError("the disk is full")
        return original(self, number, *files)

    original = Mixer.mix
    monkeypatch.setattr(Mixer, "mix", full)
    for workers in (1, 3):
        with pytest.raises(OSError, match="the disk is full"):
            mix(*folders, mixer, overwrite=True, workers=workers)
        assert content(folders[2]) == before
        assert {path.name for path in tmp_path.iterdir()} == {"clean", "noise", "set"}


def test_a_set_that_cannot_be_put_in_place_leaves_the_old_one(folders, tmp_path, monkeypatch):
    mixer = Mixer((0.0,), sample_rate=RATE)
    mix(*folders, mixer)
    before = content(folders[2])
    rename = Path.rename

    def refused(path, target):
        if path.parent.suffix == ".part" and path.name == target.name:
            raise PermissionError("not here")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError, match="not here"):
        mix(*folders, mixer, count=2, overwrite=True)
    assert content(folders[2]) == before
    assert {path.name for path in tmp_path.iterdir()} == {"clean", "noise", "set"}


def test_rooms(folders):
    pytest.importorskip("pyroomacoustics")
    clean, noise, output = folders
    mixer = Mixer((60.0,), sample_rate=RATE, reverb=0.5)
    index = rows(mix(clean, noise, output, mixer).folder)
    rooms = Counter(row["room"] for row in index)
    assert rooms.keys() == {"yes", "no"}
    for row in index:
        heard, noisy = pair(output, row["name"])
        source = float(row["gain"]) * soundfile.read(clean / row["speech"])[0]
        tail = slice(round(0.65 * RATE), round(0.89 * RATE))  # in the pause
        reverberant = row["room"] == "yes"
        assert np.allclose(heard, source, atol=LSB) != reverberant
        if reverberant:
            assert np.abs(noisy[tail]).max() > 10 * np.abs(heard[tail]).max()
    before = content(output)
    assert content(mix(clean, noise, output, mixer, overwrite=True).folder) == before


def test_rooms_need_a_package(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(MissingPackageError, match=r"needs the package 'pyroomacoustics': pip"):
        mix(*folders, Mixer((0.0,), sample_rate=RATE, reverb=0.1))
    assert not folders[2].exists()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"snr": ()}, "snr must be one or more"),
        ({"snr": (float("nan"),)}, "snr must be one or more"),
        ({"shortest": 0.0}, "shortest must be positive, not 0"),
        ({"seconds": 0.5}, r"at least the 1 s of the shortest recording, not 0\.5"),
    ],
)
def test_values_that_make_no_sense(values, why):
    with pytest.raises(ValueError, match=why):
        Mixer(**{"snr": (0.0,)} | values)


def test_formats_are_lossless(folders):
    assert FORMATS == ("flac", "wav")
    with pytest.raises(MixError, match="format must be one of flac, wav, not 'opus'"):
        mix(*folders, Mixer((0.0,)), format="opus")


def test_a_babble_has_other_voices_at_equal_power(folders):
    """Of the same folder: never the recording that is to be heard, and none twice."""
    clean, _, output = folders
    few = mix(
        clean, clean, output.with_name("few"), Mixer((0.0,), sample_rate=RATE, noises=4), count=1
    )
    assert len({*few.mixtures[0].noise.split(" + "), few.mixtures[0].speech}) == 5
    mix(clean, clean, output, Mixer((0.0,), sample_rate=RATE, noises=3), count=7)
    for row in rows(output):
        voices = row["noise"].split(" + ")
        assert len({*voices, row["speech"]}) == 4
        assert set(row["noise_source"].split(" + ")) <= {"s0", "s1"}
        speech, noisy = pair(output, row["name"])
        assert active_decibels(noisy - speech) - active_decibels(speech) == pytest.approx(
            0, abs=0.1
        )


def test_a_recording_is_itself_by_any_name(folders, monkeypatch):
    clean, _, output = folders
    monkeypatch.chdir(clean.parent)
    (clean.parent / "link").symlink_to(clean)
    for noise in (clean, Path("link")):
        made = mix("clean", noise, output, Mixer((0.0,), sample_rate=RATE), overwrite=True)
        assert all(one.speech != one.noise for one in made.mixtures)


def test_there_must_be_enough_voices(folders):
    clean, _, output = folders
    with pytest.raises(MixError, match="needs 5 other recordings of noise, and there are fewer"):
        mix(clean, clean, output, Mixer((0.0,), sample_rate=RATE, noises=5))
    assert not output.exists()


def test_degradations_spoil_the_noisy_file_alone(folders):
    clean, noise, output = folders
    plain = Mixer((5.0,), sample_rate=RATE)
    mix(clean, noise, output, plain)
    clip = Mixer((5.0,), sample_rate=RATE, degradations=(Clip(1.0, level=(6, 6), soft=0),))
    spoilt = mix(clean, noise, output.with_name("spoilt"), clip).folder
    assert {row["degradations"] for row in rows(output)} == {""}
    assert {row["degradations"] for row in rows(spoilt)} == {"Clip"}
    for row, was in zip(rows(spoilt), rows(output), strict=True):
        assert {**row, "degradations": "", "gain": was["gain"]} == was
        (speech, noisy), (before, loud) = (pair(folder, row["name"]) for folder in (spoilt, output))
        np.testing.assert_allclose(speech, before, atol=LSB)
        level = abs(noisy).max()
        assert (abs(noisy) > level - 2 * LSB).sum() > 10  # where it is cut off
        within = abs(loud) < level / 2
        np.testing.assert_allclose(noisy[within], loud[within], atol=2 * LSB)
