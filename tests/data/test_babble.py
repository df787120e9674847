import numpy as np
import pytest
import soundfile
from corpora import cached_folder
from sounds import level, rng, tone

from sgmse.data.babble import Babble
from sgmse.data.degradations import Speed, active_power

RATE = 8000
PITCHES = np.arange(10) * 100 + 400
STILL = Speed(0.0)


@pytest.fixture(scope="module")
def talkers(tmp_path_factory):
    """Ten talkers, each a tone of its own at a level of its own; whole periods in 0.1 s."""
    folder = tmp_path_factory.mktemp("talkers")
    for i, pitch in enumerate(PITCHES):
        audio = 0.5 ** (i % 4) * tone(pitch, 2.0, RATE)
        soundfile.write(folder / f"{i}.wav", audio, RATE, subtype="FLOAT")
    return cached_folder(folder, folder / "cache", RATE)


def heard(babble: np.ndarray) -> np.ndarray:
    """Amplitudes of all the talkers."""
    return np.array([level(babble, pitch, RATE) for pitch in PITCHES])


@pytest.mark.slow
def test_as_many_talk_as_it_says_and_never_the_target(talkers):
    babble = Babble(1.0, (3, 6), (0.0, 0.0), STILL)
    counts, voices = [], np.zeros(10)
    for seed in range(100):
        target = seed % 10
        amplitudes = heard(babble(talkers, target, RATE, rng(seed)))
        talking = amplitudes > 0.01
        assert not talking[target]
        counts.append(talking.sum())
        voices += talking
    assert set(counts) == {3, 4, 5, 6}
    assert voices.min() > 0.6 * voices.max()  # each as often


def test_levels_are_those_of_the_first_and_then_their_own(talkers):
    even = Babble(1.0, (5, 5), (0.0, 0.0), STILL)
    for seed in range(5):
        amplitudes = heard(even(talkers, 0, RATE, rng(seed)))
        talking = amplitudes[amplitudes > 0.01]
        np.testing.assert_allclose(talking, talking[0], rtol=1e-3)
        assert min(abs(talking[0] - 0.5**k) for k in range(4)) < 1e-3
    uneven = Babble(1.0, (5, 5), (-6.0, 6.0), STILL)
    spans = []
    for seed in range(20):
        amplitudes = heard(uneven(talkers, 0, RATE, rng(seed)))
        talking = amplitudes[amplitudes > 0.01]
        spans.append(20 * np.log10(talking.max() / talking.min()))
    assert 3 < np.mean(spans) < 12
    assert max(spans) <= 12.01


def test_each_has_a_speed_of_its_own(talkers):
    moved = Babble(1.0, (3, 3), (0.0, 0.0), Speed(1.0, (1.02, 1.08)))(talkers, 0, RATE, rng(0))
    spectrum = np.abs(np.fft.rfft(moved * np.hanning(RATE)))
    peaks = np.flatnonzero(spectrum > 0.3 * spectrum.max())
    peaks = peaks[np.diff(peaks, prepend=0) > 5]
    factors = np.array([p / PITCHES[p > PITCHES].max() for p in peaks])
    assert len(factors) == 3
    assert len(set(factors.round(3))) == 3
    assert factors.min() > 1.01
    assert factors.max() < 1.09


def test_all_may_talk_but_the_target(talkers):
    everyone = Babble(1.0, (9, 9), (0.0, 0.0), STILL)
    for target in (0, 4, 9):
        talking = heard(everyone(talkers, target, RATE, rng(target))) > 0.01
        assert list(np.flatnonzero(~talking)) == [target]


def test_short_talkers_go_on_and_silent_ones_add_nothing(tmp_path):
    for name, audio in {"a": tone(500, 0.3, RATE), "b": 0 * tone(500, 0.3, RATE)}.items():
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "target.wav", tone(900, 1.0, RATE), RATE, subtype="FLOAT")
    recordings = cached_folder(tmp_path, tmp_path / "cache", RATE)
    babble = Babble(1.0, (2, 2), (0.0, 0.0), STILL)(recordings, 2, RATE, rng(0))
    assert level(babble, 500, RATE) == pytest.approx(1, rel=1e-3)
    assert active_power(babble[-800:], RATE) > 0.4


def test_the_generator_decides_alone(talkers):
    one, again = (Babble()(talkers, 1, 2000, rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert one.dtype == np.float32
    assert one.shape == (2000,)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Babble(1.1), "probability"),
        (lambda: Babble(talkers=(0, 3)), "talkers"),
        (lambda: Babble(talkers=(5, 3)), r"talkers .* not \[5, 3\]"),
        (lambda: Babble(level=(1.0, 0.0)), "level"),
    ],
)
def test_bad_values_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
