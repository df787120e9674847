import numpy as np
import pytest
from sounds import RATE, lag, level, noise, rng, tone

from sgmse.data.degradations import HighPass, LowPass, Resampled
from sgmse.data.degradations.bands import fitted, there_and_back


def spectrum(degradation, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and dB of the response to an impulse in the middle of a second."""
    impulse = np.zeros(rate, "f")
    impulse[rate // 2] = 1
    response = degradation(impulse, rng(), rate)
    magnitude = np.abs(np.fft.rfft(response.astype(float)))
    return np.arange(len(magnitude)), 20 * np.log10(magnitude + 1e-9)


def at(cutoff: float, shape: str = "butterworth", order: int = 8) -> LowPass:
    return LowPass(1.0, (cutoff, cutoff), (shape,), (order, order))


def test_lowpass_keeps_the_band_below_its_cutoff():
    audio = tone(500) + tone(2000) + tone(6000)
    before = audio.copy()
    out = at(2000)(audio, rng(), RATE)[RATE // 4 : 3 * RATE // 4]
    assert level(out, 500) == pytest.approx(1, abs=0.01)
    assert level(out, 2000) == pytest.approx(0.5**0.5, abs=0.01)  # 3 dB
    assert level(out, 6000) < 1e-3  # more than 8 poles over 1.5 octaves, 72 dB and warping
    np.testing.assert_array_equal(audio, before)
    np.testing.assert_array_equal(at(9000)(audio, rng(), RATE), audio)  # nothing there at the rate


@pytest.mark.parametrize("order", [2, 4, 12])
def test_the_order_is_the_slope(order):
    f, db = spectrum(at(500, order=order), 48000)
    # from half an octave to one and a half above the cutoff, far below the warping
    fall = db[f == 707][0] - db[f == 1414][0]
    assert fall == pytest.approx(6.02 * order, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "passes", "stops"),
    [("chebyshev", (-1.1, 0.1), -60), ("elliptic", (-1.1, 0.1), -59)],
)
def test_ripples_below_the_cutoff_and_a_steep_fall_above(shape, passes, stops):
    f, db = spectrum(at(2000, shape))
    band = db[(f > 0) & (f < 1999)]
    assert passes[0] < band.min() < -0.9  # the ripple of 1 dB is used
    assert -0.2 < band.max() < passes[1]
    assert db[f > 3000].max() < stops


def test_an_inverse_chebyshev_filter_has_its_60_db_at_the_cutoff():
    f, db = spectrum(at(4000, "inverse_chebyshev"))
    assert db[f == 4000][0] == pytest.approx(-60, abs=1)
    assert db[f > 4000].max() < -59
    assert db[f < 1500].min() > -1


def test_all_shapes_and_orders_of_a_lowpass_occur():
    both = LowPass(1.0, (2000.0, 2000.0), ("butterworth", "elliptic"), (4, 5))
    audio = noise(2000)
    alone = [at(2000, s, o)(audio, rng(), RATE) for s in both.shapes for o in (4, 5)]
    seen = {
        next(i for i, one in enumerate(alone) if np.array_equal(one, both(audio, rng(seed), RATE)))
        for seed in range(40)
    }
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("shape", ["butterworth", "chebyshev", "inverse_chebyshev", "elliptic"])
def test_a_lowpass_has_zero_phase(shape):
    impulse = np.zeros(2001, "f")
    impulse[1000] = 1
    response = at(1000, shape)(impulse, rng(), RATE)
    assert response.argmax() == 1000
    np.testing.assert_allclose(response[:1000], response[:1000:-1], atol=1e-6)


def test_the_end_does_not_come_around_to_the_start():
    impulse = np.eye(1, 16384, 16383, dtype="f")[0]  # a length that a transform likes
    out = at(200, "elliptic")(impulse, rng(), RATE)
    assert np.abs(out[:1000]).max() < 1e-3 * np.abs(out).max()


def test_highpass_takes_the_low_away_and_starts_at_once():
    f, db = spectrum(HighPass(1.0, (200.0, 200.0), (2, 2)))
    assert db[f == 200][0] == pytest.approx(-3.01, abs=0.05)
    assert db[f == 100][0] - db[f == 50][0] == pytest.approx(12, abs=0.5)
    assert np.abs(db[f > 1000]).max() < 0.1
    impulse = np.eye(1, 500, 100, dtype="f")[0]
    out = HighPass(1.0, (200.0, 200.0))(impulse, rng(), RATE)
    assert np.abs(out).argmax() == 100
    assert not out[:100].any()
    assert not HighPass(1.0, (8000.0, 8000.0))(impulse, rng(), RATE).any()  # all is below it


@pytest.mark.parametrize(("rate", "quality"), [(8000, "HQ"), (4000, "VHQ"), (11025, "MQ")])
def test_resampled_has_no_band_above_half_its_rate(rate, quality):
    telephone = Resampled(1.0, (rate,), (quality,))
    f, db = spectrum(telephone)
    assert db[f > 0.55 * rate].max() < -60
    assert np.abs(db[(f > 10) & (f < 0.4 * rate)]).max() < 0.5
    assert lag(noise(RATE), telephone(noise(RATE), rng(), RATE)) == 0


def test_cheap_resampling_aliases():
    audio = tone(7000)  # folded by 8 kHz to 1 kHz
    cheap, good = (Resampled(1.0, (8000,), (q,))(audio, rng(), RATE) for q in ("QQ", "HQ"))
    assert level(cheap, 1000) > 0.1
    assert level(good, 1000) < 1e-3


def test_resampling_upwards_changes_nothing():
    audio = noise(1000)
    np.testing.assert_array_equal(Resampled(1.0, (16000, 48000))(audio, rng(), RATE), audio)


def test_rates_are_all_drawn():
    audio = noise(400)
    seen = {Resampled(1.0, (4000, 8000))(audio, rng(i), RATE).tobytes() for i in range(30)}
    assert len(seen) == 4  # two rates, two qualities


def test_there_and_back_has_the_length():
    for samples in (1, 7, 400, 1601):
        assert there_and_back(noise(samples), RATE, 11025).shape == (samples,)
    np.testing.assert_array_equal(fitted(np.ones(3, "f"), 5), [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(fitted(np.ones(3, "f"), 2), [1, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LowPass(cutoff=(0.0, 100.0)), "cutoff"),
        (lambda: LowPass(shapes=("bessel",)), "shapes may hold butterworth, .*, not 'bessel'"),
        (lambda: LowPass(shapes=()), "shapes"),
        (lambda: LowPass(order=(0, 4)), "order"),
        (lambda: LowPass(order=(6, 4)), "order"),
        (lambda: HighPass(order=(1, 17)), "order"),
        (lambda: HighPass(cutoff=(0.0, 1.0)), "cutoff"),
        (lambda: HighPass(2.0), "probability"),
        (lambda: Resampled(rates=()), "rates"),
        (lambda: Resampled(rates=(8000, 0)), "rates .* not .8000, 0."),
        (lambda: Resampled(qualities=("best",)), "qualities"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
