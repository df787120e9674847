from dataclasses import dataclass

import numpy as np
import pytest
from sounds import RATE, noise, rng

from sgmse.data.degradations import Linear, MicrophoneColour, alike
from sgmse.data.degradations._base import check_choices, check_range, decibels


@dataclass(frozen=True)
class Owner:
    """What a message names."""


def test_decibels_are_of_amplitudes():
    assert decibels(20) == pytest.approx(10)
    assert decibels(-6.0206) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: check_range(Owner(), 0, 5, depth=(1, 6)),
            r"Owner: depth .*\[0, 5\], not \[1, 6\]",
        ),
        (lambda: check_range(Owner(), 0, 5, depth=(-1, 3)), "Owner: depth"),
        (lambda: check_range(Owner(), depth=(3, 1)), "two rising numbers"),
        (lambda: check_range(Owner(), depth=(float("nan"), 1)), "two rising numbers"),
        (lambda: check_range(Owner(), 0, 1, chance=1.1), r"Owner: chance .*\[0, 1\], not 1.1"),
        (lambda: check_range(Owner(), 1, most=0), r"Owner: most must lie in \[1, inf\], not 0"),
        (lambda: check_choices(Owner(), "ab", kinds=("a", "c")), "kinds may hold a, b, not 'c'"),
        (lambda: check_choices(Owner(), "ab", kinds=()), "not an empty list"),
    ],
)
def test_what_is_wrong_is_named(check, message):
    with pytest.raises(ValueError, match=message):
        check()


def test_what_is_right_passes():
    check_range(Owner(), 0, 5, one=(0, 5), two=(2, 2))
    check_range(Owner(), 0, 1, never=0, always=1)
    check_choices(Owner(), "ab", kinds=("b", "a", "b"))


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
