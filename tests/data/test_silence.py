"""What is scaled to a level has one: pauses, dither and channels that cancel are not taken."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from corpora import RATE, cached_folder, voice, write

from sgmse import audio
from sgmse.data.babble import Babble
from sgmse.data.degradations import HighPass, active_power
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.mono import alike, mono, read_mono
from sgmse.data.noisy_sets import MixedSet, Mixer, mix
from sgmse.data.paired import Paired
from sgmse.errors import RecipeError, RecordingWarning

SNR = 5.0


def mixed(**changes) -> MixedSpeech:
    fields = {"clean": Path("clean"), "noise": Path("noise"), "snr": (SNR, SNR), "more_noise": 0.0}
    return MixedSpeech(4000, **fields | changes)


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))


@pytest.fixture
def folder(tmp_path) -> Path:
    for i in range(3):
        write(tmp_path / "clean" / f"{i}.wav", voice(i, 2.0))
    return tmp_path


def ratios(data: MixedSpeech, folder: Path, count: int) -> np.ndarray:
    """Signal-to-noise ratios of the first pairs, in dB."""
    pairs = data.open(folder, folder / "cache", RATE, 0)
    values = []
    for i in range(count):
        clean, noisy = (signal.numpy() for signal in pairs[i])
        powers = [active_power(x, RATE) for x in (clean, noisy - clean)]
        values.append(10 * np.log10(powers[0] / max(powers[1], 1e-20)))
    return np.array(values)


@pytest.mark.parametrize("rest", [0.0, 2.0**-15], ids=["zeros", "dither"])
def test_each_pair_has_the_noise_and_not_the_pause_after_it(folder, rest):
    signs = np.sign(noise(15, 1))
    write(folder / "noise" / "a.wav", np.r_[noise(5), rest * signs], subtype="PCM_16")
    pairs = mixed().open(folder, folder / "cache", RATE, 0)
    for i in range(60):
        clean, noisy = (signal.numpy() for signal in pairs[i])
        values = np.abs(noisy - clean).round(5)
        assert len(np.unique(values[values > 0])) > 10  # dither has one size


def test_files_without_sound_are_named_and_left_out(folder):
    write(folder / "noise" / "good.wav", noise(2))
    write(folder / "noise" / "mute.wav", 0 * noise(60))
    write(folder / "noise" / "last bit.wav", 2.0**-15 * np.sign(noise(60)) / 2)
    says = (
        r"data\.noise: 2 of 3 recordings are silent \(below -90 dB\) and left out: "
        r"last bit\.wav, mute\.wav$"
    )
    with pytest.warns(RecordingWarning, match=says):
        np.testing.assert_allclose(ratios(mixed(), folder, 10), SNR, atol=0.01)
    (folder / "noise" / "good.wav").unlink()
    with pytest.raises(RecipeError, match=r"data\.noise: all 2 recordings are silent"):
        mixed().open(folder, folder / "cache", RATE, 0)


def test_ordinary_recordings_are_not_warned_of(folder):
    write(folder / "noise" / "a.wav", np.stack([noise(2), noise(2, 1)], 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ratios(mixed(), folder, 3)


def test_changes_that_leave_nothing_are_drawn_again_or_refused(folder):
    write(folder / "noise" / "a.wav", noise(2))
    nothing = HighPass(0.5, (4000.0, 4000.0))  # all of the band
    for change in ({"noise_changes": (nothing,)}, {"clean_changes": (nothing,)}):
        np.testing.assert_allclose(ratios(mixed(**change), folder, 8), SNR, atol=0.01)
    always = HighPass(1.0, (4000.0, 4000.0))
    for change, key in (
        ({"noise_changes": (always,)}, "data.noise"),
        ({"clean_changes": (always,)}, "data.clean"),
        ({"degradations": (always,)}, "data.kept, data.degradations"),
    ):
        with pytest.raises(RecipeError, match=f"{re.escape(key)}: 100 "):
            ratios(mixed(**change), folder, 1)
    spoilt = mixed(degradations=(nothing,)).open(folder, folder / "cache", RATE, 0)
    assert all(spoilt[i][1].abs().max() > 0.1 for i in range(8))


def test_a_babble_of_pauses_is_drawn_again(folder):
    write(folder / "noise" / "a.wav", noise(2))
    for i in range(3):
        write(folder / "clean" / f"{i}.wav", np.r_[voice(i, 1.0), np.zeros(9 * RATE, "f")])
    data = mixed(babble=Babble(1.0, (1, 1)))
    np.testing.assert_allclose(ratios(data, folder, 20), SNR, atol=0.01)


def test_a_pair_whose_noisy_file_pauses_is_cropped_elsewhere(tmp_path):
    for i in range(2):
        clean = np.r_[voice(i, 2.0), np.zeros(8 * RATE)]
        dither = 2.0**-15 * np.sign(noise(10, i))
        write(tmp_path / "clean" / f"{i}.wav", clean)
        write(tmp_path / "noisy" / f"{i}.wav", clean + dither)
    data = Paired(2000, clean=Path("clean"), noisy=Path("noisy"), peak=(0.0, 0.0))
    pairs = data.open(tmp_path, tmp_path / "cache", RATE, 0)
    for i in range(20):
        clean, noisy = pairs[i]
        assert (noisy - clean).abs().max() < 0.1  # the dither is not the sound


# Channels that cancel


def inverted(seconds: float, rate: int = RATE) -> np.ndarray:
    """The two channels of a cable with wrong polarity, with a last bit between them."""
    one = noise(seconds, rate=rate)
    return np.stack([one, -one + 2.0**-15 * np.sign(noise(seconds, 1, rate))], 1)


def test_channels_that_cancel_are_not_averaged(tmp_path):
    write(tmp_path / "a.wav", inverted(1))
    samples, cancels = mono(tmp_path / "a.wav", RATE)
    assert cancels
    np.testing.assert_array_equal(samples, audio.read(tmp_path / "a.wav")[0][0])
    for k, channels in enumerate((2, 8)):  # independent ones are
        write(tmp_path / f"{k}.wav", noise(channels).reshape(-1, channels))
        samples, cancels = mono(tmp_path / f"{k}.wav", RATE)
        assert not cancels
        np.testing.assert_array_equal(samples, audio.read(tmp_path / f"{k}.wav")[0].mean(axis=0))
    write(tmp_path / "zero.wav", np.zeros((RATE, 2)))
    assert not mono(tmp_path / "zero.wav", RATE).cancels


def test_what_belongs_together_is_folded_alike(tmp_path):
    write(tmp_path / "a.wav", inverted(1))
    write(tmp_path / "b.wav", inverted(1) + noise(2, 3).reshape(-1, 2))
    clean, noisy = alike([tmp_path / "a.wav", tmp_path / "b.wav"], RATE)
    assert clean.cancels
    assert noisy.cancels
    np.testing.assert_array_equal(noisy.samples, audio.read(tmp_path / "b.wav")[0][0])
    assert not mono(tmp_path / "b.wav", RATE).cancels


def test_training_says_which_and_takes_one_channel(folder):
    write(folder / "noise" / "a.wav", inverted(2))
    write(folder / "noise" / "b.wav", inverted(2))
    says = r"noise/a\.wav: its channels cancel each other, .* \(and 1 more such files\); check"
    for _ in range(2):  # decoded and from the cache
        with pytest.warns(RecordingWarning, match=says):
            np.testing.assert_allclose(ratios(mixed(), folder, 10), SNR, atol=0.01)
    clips = cached_folder(folder / "noise", folder / "cache", RATE)
    np.testing.assert_allclose(clips.read(0), inverted(2)[:, 0], atol=2e-5)


def test_partners_of_which_one_cancels_are_refused(tmp_path):
    write(tmp_path / "clean" / "a.wav", inverted(1))
    write(tmp_path / "noisy" / "a.wav", noise(1))
    data = Paired(2000, clean=Path("clean"), noisy=Path("noisy"))
    with pytest.warns(RecordingWarning), pytest.raises(RecipeError, match=r"a\.wav cancel each"):
        data.open(tmp_path, tmp_path / "cache", RATE, 0)


def mix_all(folder: Path) -> MixedSet:
    mixer = Mixer((SNR,), 0, RATE)
    return mix(folder / "clean", folder / "noise", folder / "out", mixer, quiet=True)


def test_mixing_takes_one_channel_and_says_so(folder):
    write(folder / "noise" / "a.wav", inverted(3))
    with pytest.warns(RecordingWarning, match=r"a\.wav: its channels cancel each other"):
        mix_all(folder)
    for i in range(3):
        files = [folder / "out" / kind / f"00{i}.flac" for kind in ("clean", "noisy")]
        clean, noisy = (read_mono(file, RATE) for file in files)
        assert len(np.unique(np.abs(noisy - clean).round(4))) > 50  # no last bits


def test_noise_that_is_lost_in_rounding_is_said(folder):
    write(folder / "noise" / "a.wav", noise(3))
    says = r"out: the noise of 2 of 3 mixtures, such as 000, is lost in the rounding to 16 bits"
    mixer = Mixer((100.0, 20.0), 0, RATE)
    with pytest.warns(RecordingWarning, match=says):
        mix(folder / "clean", folder / "noise", folder / "out", mixer, quiet=True)


def test_noise_beyond_the_band_of_a_set_is_skipped(folder):
    rate = 6 * RATE
    t = np.arange(3 * rate) / rate
    write(folder / "noise" / "whistle.wav", 0.5 * np.sin(2 * np.pi * 15000 * t), rate)
    write(folder / "noise" / "good.wav", noise(3))
    made = mix_all(folder)
    assert made.skipped == ((folder / "noise" / "whistle.wav", "silent, below -60 dB"),)
    assert {mixture.noise for mixture in made.mixtures} == {"good.wav"}


def test_noise_that_is_a_constant_is_none(folder):
    write(folder / "noise" / "still.wav", np.full(3 * RATE, 0.5))
    write(folder / "noise" / "good.wav", noise(3))
    made = mix_all(folder)
    assert made.skipped == ((folder / "noise" / "still.wav", "silent, below -60 dB"),)
