import numpy as np
import pytest
from sounds import RATE, lag, noise, rng, tone

from sgmse.data.degradations import SPEED_OF_SOUND, Room

pytest.importorskip("pyroomacoustics")


class TestRoom:
    room = Room(1.0, rt60=(0.3, 0.3))

    @pytest.mark.parametrize("rt60", [0.2, 0.5])
    def test_response_starts_with_the_direct_sound_and_decays_in_time(self, rt60):
        room, times = Room(1.0, rt60=(rt60, rt60)), []
        for seed in range(6):
            h = room.response(np.random.default_rng(seed), RATE).astype(float)
            assert h[0] == 1
            # Schroeder integration, without the direct sound, which is as strong as one is near
            energy = np.cumsum((h[40:] ** 2)[::-1])[::-1]
            decay = 10 * np.log10(energy / energy[0] + 1e-12)
            # T20: three times the way from -5 to -25 dB (ISO 3382)
            times.append(3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / RATE)
        # Sabine's formula holds for diffuse fields, a shoebox has none: a mean of a few rooms
        assert np.mean(times) == pytest.approx(rt60, rel=0.2)

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

    def test_nothing_is_delayed(self):
        audio = noise(RATE)
        for seed in range(2):
            target, observed = self.room(audio, rng(seed), RATE)
            assert lag(audio, target) == lag(audio, observed) == 0


class TestBank:
    room = Room(1.0, rt60=(0.1, 0.2), bank=3)

    def test_it_has_so_many_rooms(self, monkeypatch):
        made = []
        response = Room.response
        monkeypatch.setattr(Room, "response", lambda *args: made.append(args) or response(*args))
        room = Room(1.0, rt60=(0.1, 0.21), bank=3)  # unlike all others, which are kept
        click = np.eye(1, 2000, dtype="f")[0]
        heard = {room(click, rng(seed), RATE)[1].tobytes() for seed in range(30)}
        assert len(heard) == len(made) == 3

    def test_its_rooms_depend_on_nothing_drawn_before(self):
        click = np.eye(1, 2000, dtype="f")[0]
        heard = self.room(click, rng(5), RATE)[1]
        number = next(
            k
            for k in range(3)
            if np.allclose(self.room.response(rng(k), RATE)[:2000], heard[:2000], atol=1e-5)
        )
        generator = rng(5)
        generator.random()
        assert generator.integers(3) == number

    def test_none_is_kept_without_one(self):
        dry = np.eye(1, 2000, dtype="f")[0]
        rooms = {Room(1.0, rt60=(0.1, 0.2))(dry, rng(seed), RATE)[1].tobytes() for seed in range(5)}
        assert len(rooms) == 5


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Room(rt60=(0.0, 0.5)), "rt60"),
        (lambda: Room(early=-1.0), "early"),
        (lambda: Room(bank=-1), "bank"),
        (lambda: Room(distance=(0.0, 1.0)), "distance"),
        (lambda: Room(height=(0.5, 1.0)), "height"),
    ],
)
def test_bad_ranges_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()
