from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from sounds import RATE, noise, rng

from sgmse.data.degradations import (
    Checked,
    Linear,
    MicrophoneColour,
    Probability,
    Range,
    SomeOf,
    Within,
    alike,
    decibels,
)
from sgmse.errors import ArgumentError


@dataclass(frozen=True)
class Owner(Checked):
    """What a message names."""

    depth: Annotated[Range, Within(0, 5)] = (0, 5)
    width: Annotated[Range, Within()] = (2, 2)
    chance: Probability = 1
    most: Annotated[int, Within(1)] = 1
    kinds: Annotated[tuple[Literal["a", "b"], ...], SomeOf(Literal["a", "b"])] = ("b", "a", "b")


def test_decibels_are_of_amplitudes():
    assert decibels(20) == pytest.approx(10)
    assert decibels(-6.0206) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": (1, 6)}, r"Owner: depth .*\[0, 5\], not \[1, 6\]"),
        ({"depth": (-1, 3)}, "Owner: depth"),
        ({"width": (3, 1)}, "two rising numbers"),
        ({"width": (float("nan"), 1)}, "two rising numbers"),
        ({"chance": 1.1}, r"Owner: chance must lie in \[0, 1\], not 1.1"),
        ({"most": 0}, r"Owner: most must lie in \[1, inf\], not 0"),
        ({"kinds": ("a", "c")}, "Owner: kinds may hold a, b, not 'c'"),
        ({"kinds": ()}, "not an empty list"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    assert Owner() == Owner(chance=1.0)
    with pytest.raises(ArgumentError, match=message):
        Owner(**values)


def test_both_go_through_the_same_devices():
    @dataclass(frozen=True)
    class Gain(Linear):
        def apply(self, audio, rng, sample_rate):
            return audio * np.float32(rng.uniform())

    one, other = alike((Gain(), Gain()), noise(500), 3 * noise(500), rng(), RATE)
    np.testing.assert_allclose(other, 3 * one, rtol=1e-6)
    gain = one[0] / noise(500)[0]
    again, _ = alike((Gain(),), noise(500), noise(500), rng(), RATE)
    assert gain != pytest.approx((again[0] / noise(500)[0]) ** 2)  # each device draws anew
    a, b = alike((MicrophoneColour(0.5),) * 3, noise(500), 2 * noise(500), rng(1), RATE)
    np.testing.assert_allclose(b, 2 * a, atol=1e-6)
    assert not np.allclose(a, noise(500))


def test_no_devices_draw_nothing():
    generator = rng()
    one, other = alike((), noise(5), noise(6), generator, RATE)
    np.testing.assert_array_equal(one, noise(5))
    np.testing.assert_array_equal(other, noise(6))
    assert generator.random() == rng().random()
