from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import write

from sgmse.errors import RecipeError
from sgmse.front import FrontEnd
from sgmse.metrics import si_sdr
from sgmse.training.validation import (
    Example,
    Validation,
    ValidationPair,
    check,
    evaluate,
    figure,
    means,
    read_pair,
)
from sgmse.transforms import Spectrogram

RATE = 8000
FRONT = FrontEnd(Spectrogram(), RATE)
VALIDATION = Validation(Path("clean"), Path("noisy"))


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(10):
        clean = rng.standard_normal(RATE // 2).astype("f")
        write(tmp_path / "clean" / f"{i}.wav", 0.1 * clean)
        noisy = 0.1 * clean + 0.01 * (i + 1) * rng.standard_normal(RATE // 2).astype("f")
        write(tmp_path / "noisy" / f"{i}.wav", noisy)
    return tmp_path


@dataclass
class Louder:
    """An enhancer that does nothing of use."""

    front: FrontEnd = FRONT
    factor: float = 2.0

    def __call__(self, audio, sample_rate, force):
        assert force  # noise is no error in a training
        assert sample_rate == self.front.sample_rate
        return self.factor * audio


@pytest.mark.parametrize(
    ("files", "expected"), [(None, range(10)), (3, (0, 3, 6)), (99, range(10))]
)
def test_files_are_evenly_spaced(folder, files, expected):
    pairs = Validation(Path("clean"), Path("noisy"), files).pairs(folder)
    assert [pair.name for pair in pairs] == [f"{i}.wav" for i in expected]
    assert all(pair.clean.name == pair.noisy.name for pair in pairs)


def test_scores_are_those_of_the_enhanced_files(folder):
    pairs = VALIDATION.pairs(folder)[:3]
    table, shown, problems, inverted = evaluate(Louder(), pairs, ["si_sdr", "estoi"], examples=2)
    assert table.shape == (3, 2)
    for row, pair in zip(table, pairs, strict=True):
        clean, noisy = (soundfile.read(f, dtype="float32")[0] for f in (pair.clean, pair.noisy))
        assert row[0] == pytest.approx(si_sdr(clean, 2 * noisy, RATE))
    assert [example.name for example in shown] == ["0.wav", "1.wav"]
    assert problems == {"si_sdr": [], "estoi": []}
    assert inverted == []
    np.testing.assert_array_equal(shown[0].enhanced, 2 * shown[0].noisy)


def test_the_other_polarity_is_found(folder):
    pairs = VALIDATION.pairs(folder)[:2]
    found = evaluate(Louder(factor=-0.5), pairs, ["si_sdr"])
    assert found.inverted == ["0.wav", "1.wav"]
    plain = evaluate(Louder(), pairs, ["si_sdr"])
    np.testing.assert_allclose(found.table, plain.table, atol=1e-4)  # which do not hear it


def test_channels_are_averaged_and_other_rates_converted(tmp_path):
    write(tmp_path / "a.wav", np.stack([np.ones(6000, "f"), np.zeros(6000, "f")], 1), 48000)
    pair = ValidationPair("a", tmp_path / "a.wav", tmp_path / "a.wav")
    _, shown, *_ = evaluate(Louder(), [pair], [], examples=1)
    assert len(shown[0].clean) == 1000
    # away from the ends, where the resampler sees silence
    np.testing.assert_allclose(shown[0].clean[300:-300], 0.5, atol=1e-3)


def test_what_cannot_be_scored_is_left_out_of_the_mean(folder):
    write(folder / "noisy" / "0.wav", np.zeros(RATE // 2, "f"))
    table, _, problems, inverted = evaluate(Louder(), VALIDATION.pairs(folder)[:2], ["si_sdr"])
    assert np.isnan(table[0, 0])
    says = "0.wav: estimate is silent; leave this pair out, there is nothing to compare"
    assert problems == {"si_sdr": [says]}
    assert inverted == []
    assert means(table, ["si_sdr"]) == {"si_sdr": table[1, 0]}
    assert np.isnan(means(table[:1], ["si_sdr"])["si_sdr"])
    assert means(np.array([[1.0, np.inf], [3.0, 5.0]]), ["a", "b"]) == {"a": 2.0, "b": 5.0}


def test_missing_folders_and_partners_name_the_key(folder):
    with pytest.raises(RecipeError, match=r"validation\.noisy: there is no folder .*--data.*=null"):
        Validation(Path("clean"), Path("absent")).pairs(folder)
    (folder / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"validation\.clean: .*no audio"):
        Validation(Path("empty"), Path("noisy")).pairs(folder)
    (folder / "noisy" / "4.wav").unlink()
    with pytest.raises(RecipeError, match=r"validation: .*clean/4\.wav has no partner \(1 such"):
        VALIDATION.pairs(folder)


# What no validation could be of use with is found before the first


SI_SDR = Validation(Path("clean"), Path("noisy"), scores=("si_sdr",), best="si_sdr")


def test_pairs_that_differ_by_a_sample_are_trimmed_as_for_scores(folder):
    clean, _ = soundfile.read(folder / "clean" / "0.wav", dtype="float32")
    write(folder / "clean" / "0.wav", clean[:-1])
    pairs = SI_SDR.pairs(folder)[:1]
    check(SI_SDR, pairs, RATE)
    table, (shown,), *_ = evaluate(Louder(), pairs, ["si_sdr"], examples=1)
    assert len(shown.clean) == len(shown.noisy) == len(clean) - 1
    noisy, _ = soundfile.read(folder / "noisy" / "0.wav", dtype="float32")
    assert table[0, 0] == pytest.approx(si_sdr(clean[:-1], noisy[:-1], RATE))


def test_pairs_of_other_lengths_are_refused(folder):
    write(folder / "clean" / "7.wav", np.ones(RATE, "f"))
    pairs = SI_SDR.pairs(folder)
    words = r"validation: 7\.wav has 1\.000 s clean but 0\.500 s noisy; pairs must be aligned"
    with pytest.raises(RecipeError, match=words):
        check(SI_SDR, pairs, RATE)
    with pytest.raises(RecipeError, match=words):
        evaluate(Louder(), pairs, ["si_sdr"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda clean, noisy: (0 * clean, noisy), "reference is silent"),
        (lambda clean, noisy: (clean, clean), "the score is inf"),
        (lambda clean, noisy: (clean[:200], noisy[:200]), "0.025 s are too short"),
    ],
)
def test_a_score_that_no_recording_has_is_refused_with_the_reason(folder, spoil, reason):
    score = "segsnr" if "short" in reason else "si_sdr"
    validation = Validation(Path("clean"), Path("noisy"), scores=(score,), best=score)
    for i in range(10):
        files = [folder / kind / f"{i}.wav" for kind in ("clean", "noisy")]
        signals = [soundfile.read(file, dtype="float32")[0] for file in files]
        for file, signal in zip(files, spoil(*signals), strict=True):
            write(file, signal)
        if i == 8:  # one that has the score is enough
            check(validation, validation.pairs(folder), RATE)
    says = rf"none of 10 recordings has a {score}, such as 0\.wav: {reason}.*; repair"
    with pytest.raises(RecipeError, match=says):
        check(validation, validation.pairs(folder), RATE)


def test_a_file_that_cannot_be_read_is_refused(folder):
    (folder / "noisy" / "9.wav").write_bytes(b"RIFF")
    with pytest.raises(RecipeError, match=r"validation: .*9\.wav: "):
        check(SI_SDR, SI_SDR.pairs(folder), RATE)


def test_both_of_a_pair_are_folded_alike(folder):
    """The clean one has opposite signs; the mean of the noisy one would be noise alone."""
    rng = np.random.default_rng(0)
    clean = 0.1 * rng.standard_normal(RATE).astype("f")
    noise = 0.1 * rng.standard_normal((RATE, 2)).astype("f")
    write(folder / "clean" / "0.wav", np.stack([clean, -clean], 1))
    write(folder / "noisy" / "0.wav", np.stack([clean, -clean], 1) + noise)
    (pair,) = SI_SDR.pairs(folder)[:1]
    a, b = read_pair(pair, RATE)
    np.testing.assert_array_equal(a, clean)
    np.testing.assert_array_equal(b, clean + noise[:, 0])


def test_figure_shows_three_spectrograms_in_one_scale():
    pytest.importorskip("matplotlib")
    t = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t).astype("f")
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype("f")
    axes = figure(Example("x", tone, tone + noise, 0.5 * tone), RATE).axes
    assert [axis.get_title() for axis in axes] == ["noisy", "enhanced", "clean"]
    images = [axis.images[0] for axis in axes]
    assert len({image.get_clim() for image in images}) == 1
    low, high = images[0].get_clim()
    assert high - low == pytest.approx(80)
    for image in images:  # the tone is where the axis says 1 kHz
        levels = np.asarray(image.get_array())
        top = image.get_extent()[3]
        assert levels.mean(axis=1).argmax() / (len(levels) - 1) * top == pytest.approx(1, abs=0.02)
