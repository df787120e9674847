import numpy as np
import pytest

from sgmse.training.degradations import (
    SPEED_OF_SOUND,
    Clip,
    LowPass,
    Room,
    Speed,
    active_power,
    add_noise,
)

RATE = 16000


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE).astype("f")


def level(audio: np.ndarray, frequency: float) -> float:
    """Amplitude of a component, from its projection; exact over whole periods."""
    t = np.arange(len(audio)) / RATE
    return 2 * abs(np.mean(audio * np.exp(-2j * np.pi * frequency * t)))


def test_active_power_leaves_pauses_out():
    speech = tone(500)
    half_silent = np.concatenate([speech, np.zeros_like(speech)])
    assert active_power(half_silent, RATE) == pytest.approx(0.5, rel=1e-4)
    assert active_power(np.zeros(100, "f"), RATE) == 0
    assert active_power(tone(500)[:7], RATE) > 0  # shorter than a frame


@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.5])
def test_noise_has_the_ratio_to_the_active_speech(snr):
    rng = np.random.default_rng(0)
    speech = np.concatenate([tone(300), np.zeros(RATE, "f")])
    noise = rng.standard_normal(2 * RATE).astype("f")
    before = speech.copy()
    added = add_noise(speech, noise, snr, RATE) - speech
    ratio = 10 * np.log10(active_power(speech, RATE) / active_power(added, RATE))
    assert ratio == pytest.approx(snr, abs=1e-3)
    np.testing.assert_array_equal(speech, before)
    np.testing.assert_array_equal(add_noise(speech, 0 * noise, snr, RATE), speech)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_moves_the_pitch_and_gives_the_length(factor):
    need = Speed.needs(8000, factor)
    out = Speed.apply(tone(1000, 1.5)[:need], factor, 8000)
    assert len(out) == 8000
    spectrum = np.abs(np.fft.rfft(out * np.hanning(8000)))
    assert spectrum.argmax() * RATE / 8000 == pytest.approx(1000 * factor, abs=2)  # a bin


def test_speed_is_as_probable_as_it_says():
    rng = np.random.default_rng(0)
    factors = np.array([Speed(0.3, (0.9, 1.1)).draw(rng) for _ in range(4000)])
    changed = factors[factors != 1]
    assert len(changed) / 4000 == pytest.approx(0.3, abs=0.03)  # 4 standard deviations
    assert changed.min() >= 0.9
    assert changed.max() <= 1.1


def test_clip_cuts_at_its_level_and_nothing_else():
    audio = 0.8 * tone(100)
    before = audio.copy()
    out = Clip(1.0, (6.0, 6.0))(audio, np.random.default_rng(0), RATE)
    limit = np.abs(audio).max() * 10 ** (-6 / 20)
    assert np.abs(out).max() == pytest.approx(limit)
    inside = np.abs(audio) <= limit
    np.testing.assert_array_equal(out[inside], audio[inside])
    np.testing.assert_array_equal(audio, before)


def test_lowpass_keeps_the_band_below_its_cutoff():
    audio = tone(500) + tone(2000) + tone(6000)
    out = LowPass(1.0, (2000.0, 2000.0))(audio, np.random.default_rng(0), RATE)[RATE // 2 :]
    assert level(out, 500) == pytest.approx(1, abs=0.01)
    assert level(out, 2000) == pytest.approx(0.5**0.5, abs=0.01)  # 3 dB
    assert level(out, 6000) < 1e-3  # more than 8 poles over 1.5 octaves, 72 dB and warping
    above = LowPass(1.0, (9000.0, 9000.0))(audio, np.random.default_rng(0), RATE)
    np.testing.assert_array_equal(above, audio)  # nothing there at this rate


@pytest.mark.parametrize("degradation", [Clip(0.0), LowPass(0.0)])
def test_probability_zero_leaves_all_as_it_is(degradation):
    audio = tone(3000)
    np.testing.assert_array_equal(degradation(audio, np.random.default_rng(0), RATE), audio)


@pytest.mark.parametrize("degradation", [Clip(0.5), LowPass(0.5)])
def test_the_generator_decides_alone(degradation):
    audio = tone(3000)
    first, again = (degradation(audio, np.random.default_rng(5), RATE) for _ in range(2))
    np.testing.assert_array_equal(first, again)


class TestRoom:
    room = pytest.importorskip("pyroomacoustics") and Room(1.0, rt60=(0.3, 0.3))

    def test_response_starts_with_the_direct_sound_and_decays_in_time(self):
        times = []
        for seed in range(6):
            h = self.room.response(np.random.default_rng(seed), RATE).astype(float)
            assert h[0] == 1
            energy = np.cumsum((h**2)[::-1])[::-1]
            decay = 10 * np.log10(energy / energy[0] + 1e-12)
            # T20: three times the way from -5 to -25 dB (ISO 3382)
            times.append(3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / RATE)
        # Sabine's formula holds for diffuse fields, a shoebox has none: a mean of a few rooms
        assert np.mean(times) == pytest.approx(0.3, rel=0.25)

    def test_target_is_the_early_part_of_the_observation(self):
        click = np.zeros(RATE, "f")
        click[1000] = 1
        before = click.copy()
        target, observed = self.room(click, np.random.default_rng(1), RATE)
        early = 1000 + 1 + round(self.room.early * RATE)
        # fftconvolve in float32
        np.testing.assert_allclose(target[:early], observed[:early], atol=1e-5)
        np.testing.assert_allclose(target[early:], 0, atol=1e-5)
        assert np.abs(observed[early:]).max() > 1e-3
        assert observed[1000] == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(observed[:1000], 0, atol=1e-5)
        np.testing.assert_array_equal(click, before)

    def test_first_reflection_comes_after_its_way(self):
        # Talker and microphone 1 m apart in a hall: nothing returns within the first 0.2 m.
        hall = Room(1.0, (50, 50), (50, 50), (50, 50), rt60=(0.5, 0.5), distance=(1.0, 1.0))
        h = hall.response(np.random.default_rng(3), RATE)
        # but for the tail of pyroomacoustics' filter that removes the lowest frequencies
        np.testing.assert_allclose(h[1 : int(0.2 / SPEED_OF_SOUND * RATE)], 0, atol=3e-3)

    def test_generator_decides_alone_and_zero_is_dry(self):
        speech = tone(440, 0.2)
        one, two = (self.room(speech, np.random.default_rng(2), RATE) for _ in range(2))
        np.testing.assert_array_equal(one[1], two[1])
        dry = Room(0.0)(speech, np.random.default_rng(2), RATE)
        np.testing.assert_array_equal(dry[0], speech)
        np.testing.assert_array_equal(dry[1], speech)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Speed(1.5), "probability"),
        (lambda: Speed(0.5, (1.1, 0.9)), "factor"),
        (lambda: Clip(level=(-1.0, 3.0)), "level"),
        (lambda: LowPass(cutoff=(0.0, 100.0)), "cutoff"),
        (lambda: Room(rt60=(0.0, 0.5)), "rt60"),
        (lambda: Room(early=-1.0), "early"),
    ],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
