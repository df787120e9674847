from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from recordings import RATE, STEREO

from sgmse.audio import Info, read, write
from sgmse.bench._systems import Folder, Noisy, SignalEnhancer, System, peak_memory
from sgmse.data.pairs import Pair
from sgmse.errors import ArgumentTypeError, SystemFailedError

pytestmark = pytest.mark.usefixtures("stereo")


@dataclass(frozen=True)
class Gain(SignalEnhancer):
    """Louder, and that is all."""

    gain: float = 4.0

    def require(self):
        pass

    def load_signal(self):
        return lambda: lambda samples, sample_rate, seed: self.gain * samples


@dataclass(frozen=True)
class Shorter(Gain):
    def load_signal(self):
        return lambda: lambda samples, sample_rate, seed: samples[1:]


# Arrays


def test_a_system_of_arrays_enhances_each_channel_of_a_file():
    work = Gain().load()(Path("noisy.flac"), Path("out.wav"), 0)
    noisy, clean = read("noisy.flac"), read("out.wav")
    np.testing.assert_array_equal(clean[0], 4 * noisy[0])  # exact, and beyond full scale too
    assert np.abs(clean[0]).max() > 1
    assert clean[1] == replace(noisy[1], format="WAV", subtype="FLOAT")
    assert b"PEAK" not in Path("out.wav").read_bytes()  # which has the time of day
    assert 0 < work.seconds < 5
    assert work.evaluations is None
    np.testing.assert_array_equal(Gain(2).enhance(STEREO[0], RATE), 2 * STEREO[0])


@pytest.mark.parametrize(
    ("system", "says"),
    [(Gain(np.inf), "not finite"), (Shorter(), r"of 800 samples it made an array of shape \(799,")],
)
def test_what_is_no_recording_is_not_written(system, says):
    with pytest.raises(SystemFailedError, match=says), np.errstate(invalid="ignore"):
        system.load()(Path("noisy.flac"), Path("out.wav"), 0)
    assert not Path("out.wav").exists()


@pytest.mark.slow
def test_memory_grows():
    before = peak_memory()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(2**24)  # 128 MiB
    assert peak_memory() >= before
    assert peak_memory() > held.nbytes


# Files that are there


def pairs(*names: str) -> list[Pair]:
    return [
        Pair(name, None, Path(f"noisy/{name}.wav"), Path(f"noisy/{name}.wav")) for name in names
    ]


def test_noisy_files_are_as_they_are():
    assert Noisy().files(pairs("a", "b/c"), "set") == {
        "a": Path("noisy/a.wav"),
        "b/c": Path("noisy/b/c.wav"),
    }


def test_finished_files_are_found_by_place_and_by_name():
    for name in ("a.flac", "b/c.wav", "x/d.wav", "x/e.wav", "y/e.wav"):
        Path("done/set", name).parent.mkdir(exist_ok=True, parents=True)
        write(Path("done/set", name), STEREO, Info(RATE, 2))
    found = Folder(Path("{set}")).rooted(Path("done")).files(pairs("a", "b/c", "d", "e"), "set")
    assert found == {
        "a": Path("done/set/a.flac"),
        "b/c": Path("done/set/b/c.wav"),
        "d": Path("done/set/x/d.wav"),  # two are called e
    }
    with pytest.raises(ValueError, match="no recording in done has the name"):
        Folder(Path("done")).files(pairs("z"), "set")
    with pytest.raises(ValueError, match="there is no folder"):
        Folder(Path("absent")).files(pairs("z"), "set")


def test_a_system_has_files_or_what_makes_them():
    with pytest.raises(ArgumentTypeError, match="System overrides neither files nor load"):
        System().load()
