"""What holds for all degradations, on every kind of audio; and that none is missing here."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings, strategies as st
from sounds import RATE, lag, noise, rng

from sgmse.config import from_plain
from sgmse.data.degradations import (
    DEGRADATIONS,
    Clip,
    Codec,
    Degradation,
    Dropouts,
    GainChanges,
    HighPass,
    Linear,
    LowPass,
    MicrophoneColour,
    NoiseGate,
    PacketLoss,
    Resampled,
)
from sgmse.data.training_pairs import TrainingData
from sgmse.errors import ConfigError
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.recipe_files import find_recipe

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text("utf-8")

# Of each kind one that always happens, and some with settings at their limits.
ALL = [
    *(kind(probability=1.0) for kind in DEGRADATIONS if kind not in (Dropouts, NoiseGate)),
    Clip(1.0, soft=1.0),
    Codec(1.0, ("g721", "ms_adpcm")),
    Dropouts(1.0, (0.0, 20.0)),
    GainChanges(1.0, interval=(0.01, 0.02)),
    HighPass(1.0, (1.0, 5000.0), (1, 8)),
    LowPass(
        1.0, (100.0, 7000.0), ("butterworth", "chebyshev", "inverse_chebyshev", "elliptic"), (2, 12)
    ),
    MicrophoneColour(1.0, (-40.0, 40.0), (0.3, 10.0), 1.0, (1.0, 3000.0), (100.0, 30000.0)),
    NoiseGate(1.0, (-5.0, -5.0)),
    PacketLoss(1.0, (0.5, 0.5), (1.0, 10.0), (0.005, 0.1)),
    Resampled(1.0, qualities=("QQ", "LQ", "MQ", "HQ", "VHQ")),
]
each = pytest.mark.parametrize("degradation", ALL, ids=lambda d: type(d).__name__)

SIGNALS = {
    "silence": lambda samples: np.zeros(samples, "f"),
    "impulse": lambda samples: np.eye(1, samples, samples // 3, dtype="f")[0],
    "loud": lambda samples: 500 * noise(samples),
    "faint": lambda samples: 1e-6 * noise(samples),
    "constant": lambda samples: np.ones(samples, "f"),
}


def test_none_is_missing():
    def kinds(base: type) -> set[type]:
        return {base}.union(*map(kinds, base.__subclasses__()))

    written = {kind for kind in kinds(Degradation) if kind.__module__.startswith("sgmse.")}
    assert written - {Degradation, Linear} == set(DEGRADATIONS)
    assert {type(degradation) for degradation in ALL} == set(DEGRADATIONS)
    assert set(DEGRADATIONS) <= set(RECIPE_CLASSES.values())


def test_the_page_and_the_recipe_have_them_all():
    recipe = yaml.safe_load(find_recipe("everything").read_text("utf-8"))
    used = from_plain(TrainingData, recipe["data"], RECIPE_CLASSES, "data")
    named = {type(d).__name__ for d in used.kept + used.degradations}
    assert named == {type(d).__name__ for d in ALL}
    for line in (line for line in PAGE.splitlines() if line.startswith("|")):
        for name in re.findall(r"`([A-Z]\w+)`", line):
            kind = RECIPE_CLASSES[name]
            if not issubclass(kind, Degradation):
                continue  # a table of something else
            assert line.endswith("| never |") != issubclass(kind, Linear)
            named.discard(name)
    assert not named


def test_the_example_of_the_page_is_read():
    examples = re.findall(r"^```yaml\n(data:.*?)^```$", PAGE, re.M | re.S)
    assert examples
    for text in examples:
        source = from_plain(TrainingData, yaml.safe_load(text)["data"], RECIPE_CLASSES, "data")
        assert source.degradations


@pytest.mark.parametrize("name", ["Clip", "Codec", "PacketLoss"])
def test_kept_takes_linear_ones_alone(name):
    section = {"class": "MixedSpeech", "samples": 1, "clean": "c", "noise": "n"}
    with pytest.raises(ConfigError, match=r"data.kept\[0\].class: unknown .*GainChanges, HighPass"):
        from_plain(TrainingData, section | {"kept": [{"class": name}]}, RECIPE_CLASSES, "data")


@each
@settings(max_examples=8, deadline=None)
@given(
    signal=st.sampled_from(sorted(SIGNALS)),
    samples=st.sampled_from([1, 2, 399, 400, 3001]),
    rate=st.sampled_from([8000, 16000, 48000]),
    seed=st.integers(0, 10**6),
)
@example(signal="silence", samples=400, rate=16000, seed=0)
@example(signal="impulse", samples=1, rate=48000, seed=0)
def test_length_type_and_argument_stay_and_the_generator_decides(
    degradation, signal, samples, rate, seed
):
    audio = SIGNALS[signal](samples)
    before = audio.copy()
    audio.setflags(write=False)
    out, again = (degradation(audio, rng(seed), rate) for _ in range(2))
    assert out.shape == audio.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(audio, before)
    np.testing.assert_array_equal(out, again)
    if signal == "silence":
        assert not out.any()
    # A coder may ring, and an equaliser with 40 dB raise, but nothing explodes.
    assert np.abs(out).max() <= 200 * np.abs(audio).max() + 1e-9


@pytest.mark.parametrize("kind", sorted({type(d).__name__ for d in ALL}))
def test_noise_changes_and_is_not_delayed(kind):
    degradation = next(d for d in ALL if type(d).__name__ == kind)
    audio = noise(RATE)
    outs = [degradation(audio, rng(seed), RATE) for seed in range(6)]
    changed = [out for out in outs if not np.array_equal(out, audio)]
    assert len(changed) >= 3  # others drew a rate that the audio has, or no hole
    assert {lag(audio, out) for out in changed} == {0}


@each
def test_probability_zero_leaves_all_as_it_is(degradation):
    audio = noise(2000)
    np.testing.assert_array_equal(replace(degradation, probability=0.0)(audio, rng(), RATE), audio)


@each
def test_the_probability_is_that_of_a_change(degradation):
    """The first number drawn says whether, so that the rest is drawn in vain by none."""
    half = replace(degradation, probability=0.5)
    audio = noise(400)
    for seed in range(12):
        if rng(seed).random() >= 0.5:
            np.testing.assert_array_equal(half(audio, rng(seed), RATE), audio)
        else:
            np.testing.assert_array_equal(
                half(audio, rng(seed), RATE), degradation(audio, rng(seed), RATE)
            )


@pytest.mark.parametrize(
    "device", [d for d in ALL if isinstance(d, Linear)], ids=lambda d: type(d).__name__
)
def test_linear_ones_are_linear(device):
    one, two = noise(4000, 1), noise(4000, 2)
    for seed in range(5):
        together = device(2 * one + two, rng(seed), RATE)
        apart = 2 * device(one, rng(seed), RATE) + device(two, rng(seed), RATE)
        np.testing.assert_allclose(together, apart, atol=1e-5 * np.abs(together).max())


@pytest.mark.parametrize(
    "degradation",
    [d for d in ALL if not isinstance(d, Linear | Dropouts | PacketLoss)],
    ids=lambda d: type(d).__name__,
)
def test_the_others_are_not(degradation):
    """So that `kept` refuses what would befall speech and noise differently."""
    one, two = noise(4000, 1), noise(4000, 2)
    together = degradation(one + two, rng(1), RATE)
    apart = degradation(one, rng(1), RATE) + degradation(two, rng(1), RATE)
    assert not np.allclose(together, apart, atol=1e-4)
