from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from corpora import write
from torch.utils.data import DataLoader

from sgmse.data.babble import Babble
from sgmse.data.degradations import Clip, HighPass, MicrophoneColour, Room, Speed, active_power
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.paired import Paired
from sgmse.data.training_pairs import ConsecutiveBatches, section_pairs
from sgmse.errors import RecipeError, RecordingWarning

RATE = 8000
STILL = Speed(0.0)


def mixed(**changes) -> MixedSpeech:
    return MixedSpeech(2016, **{"clean": Path("clean"), "noise": Path("noise")} | changes)


@pytest.fixture
def opened(corpus, tmp_path):
    return lambda source, seed=0: source.open(corpus, tmp_path / "cache", RATE, seed)


def test_a_pair_is_a_function_of_seed_and_number(opened):
    pairs, again, other = opened(mixed()), opened(mixed()), opened(mixed(), seed=1)
    for i in (5, 0, 3):
        clean, noisy = pairs[i]
        assert clean.dtype == noisy.dtype == torch.float32
        assert clean.shape == noisy.shape == (2016,)
        assert torch.equal(clean, again[i][0])
        assert torch.equal(noisy, again[i][1])
        assert not torch.equal(noisy, other[i][1])
    assert not torch.equal(pairs[0][0], pairs[1][0])


def test_workers_change_nothing(opened):
    pairs = opened(mixed())
    batches = [
        list(DataLoader(pairs, batch_sampler=ConsecutiveBatches(3, 4, 2), num_workers=n))
        for n in (0, 1)
    ]
    for (clean, noisy), (clean_1, noisy_1) in zip(*batches, strict=True):
        assert torch.equal(clean, clean_1)
        assert torch.equal(noisy, noisy_1)
    assert torch.equal(batches[0][1][0][1], pairs[6][0])


def test_devices_share_the_numbers():
    one = [i for batch in ConsecutiveBatches(10, 4, 6) for i in batch]
    two = [list(ConsecutiveBatches(10, 4, 3, rank, 2)) for rank in (0, 1)]
    assert one == list(range(10, 34))
    assert [i for step in zip(*two, strict=True) for batch in step for i in batch] == one
    assert len(ConsecutiveBatches(0, 4, 6)) == 4


@pytest.mark.parametrize("snr", [-3.0, 10.0])
def test_noise_and_level_are_as_asked(opened, snr):
    source = mixed(snr=(snr, snr), peak=(-6.0, -6.0), clean_speed=STILL, noise_speed=STILL)
    pairs = opened(source)
    for i in range(5):
        clean, noisy = (a.numpy() for a in pairs[i])
        assert np.abs(noisy).max() == pytest.approx(10 ** (-6 / 20), rel=1e-5)
        ratio = active_power(clean, RATE) / active_power(noisy - clean, RATE)
        assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.01)


def test_ranges_are_used(opened):
    pairs = opened(mixed())
    peaks = np.array([pairs[i][1].abs().max() for i in range(40)])
    levels = 20 * np.log10(peaks)
    assert -10.01 < levels.min() < -7
    assert -3 < levels.max() <= 0.01


def test_clean_speech_is_in_the_files(opened, corpus):
    pairs = opened(mixed(clean_speed=STILL))
    files = [soundfile.read(f, dtype="float32")[0] for f in (corpus / "clean").rglob("*.wav")]
    clean = pairs[2][0].numpy()
    # the crop up to its gain: a normalised correlation of 1 with a place of a file
    inside = clean[np.flatnonzero(clean)[0] : np.flatnonzero(clean)[-1] + 1]
    best = 0.0
    for file in (f for f in files if len(f) >= len(inside)):
        windows = np.lib.stride_tricks.sliding_window_view(file, len(inside))
        norms = np.sqrt((windows**2).sum(1)) * np.linalg.norm(inside) + 1e-9
        best = max(best, float((windows @ inside / norms).max()))
    assert best > 0.9999


def test_more_noises_are_added_with_their_probability(corpus, tmp_path):
    class Counting(Speed):
        draws = 0

        def draw(self, rng):
            type(self).draws += 1
            return 1.0

    speed = Counting(0.0)
    pairs = mixed(more_noise=1.0, most_noises=3, noise_speed=speed)
    pairs.open(corpus, tmp_path / "c", RATE, 0)[0]
    assert Counting.draws == 3
    Counting.draws = 0
    single = mixed(more_noise=0.0, most_noises=3, noise_speed=speed)
    single.open(corpus, tmp_path / "c", RATE, 0)[0]
    assert Counting.draws == 1


def test_degradations_touch_the_noisy_side_alone(opened):
    calm = mixed(snr=(100.0, 100.0), clean_speed=STILL, noise_speed=STILL, peak=(0.0, 0.0))
    clipped = MixedSpeech(**{**vars(calm), "degradations": (Clip(1.0, (6.0, 6.0)),)})
    (clean, _), (also_clean, noisy) = opened(calm)[0], opened(clipped)[0]
    # The gain is set by the peak, which clipping halves.
    torch.testing.assert_close(also_clean / also_clean.abs().max(), clean / clean.abs().max())
    assert noisy.abs().max() < 0.6 * also_clean.abs().max()


def test_a_room_colours_both_sides(opened):
    pytest.importorskip("pyroomacoustics")
    dry = opened(mixed(snr=(100.0, 100.0)))[0]
    clean, noisy = opened(mixed(snr=(100.0, 100.0), room=Room(1.0)))[0]
    assert not torch.allclose(clean, dry[0], atol=1e-3)
    # what is early is in both, what is late in the observation alone
    assert 0 < float((noisy - clean).square().mean()) < float(noisy.square().mean())


def test_files_are_drawn_by_length(opened):
    pairs = opened(mixed(clean_balance=1.0))
    seconds = pairs.clean.lengths / pairs.clean.lengths.sum()
    np.testing.assert_allclose(np.diff(pairs.clean_odds, prepend=0), seconds)
    equal = opened(mixed(clean_balance=0.0))
    np.testing.assert_allclose(np.diff(equal.clean_odds, prepend=0), 0.25)


def test_what_is_kept_befalls_both_alike(opened):
    calm = mixed(clean_speed=STILL, noise_speed=STILL, peak=(0.0, 0.0), snr=(5.0, 5.0))
    device = HighPass(1.0, (1000.0, 1000.0), (4, 4))
    kept = MixedSpeech(**{**vars(calm), "kept": (device,)})
    (clean, noisy), (bright, bright_noisy) = opened(calm)[0], opened(kept)[0]
    rng = np.random.default_rng(0)
    expected = [device(a.numpy(), rng, RATE) for a in (clean, noisy)]
    gain = float(bright_noisy.abs().max()) / np.abs(expected[1]).max()
    np.testing.assert_allclose(bright, gain * expected[0], atol=1e-5)
    np.testing.assert_allclose(bright_noisy, gain * expected[1], atol=1e-5)


def test_a_random_device_is_the_same_for_both(opened):
    quiet = mixed(snr=(100.0, 100.0), kept=(MicrophoneColour(1.0),))
    for i in range(3):
        clean, noisy = opened(quiet)[i]
        torch.testing.assert_close(clean, noisy, atol=1e-4, rtol=0)


def test_changes_of_the_speech_are_in_target_and_mixture(opened):
    alone = {"clean_speed": STILL, "snr": (100.0, 100.0)}
    device = Clip(1.0, (10.0, 10.0))
    before = opened(mixed(**alone))[0][0].numpy()
    clean, noisy = (a.numpy() for a in opened(mixed(**alone, clean_changes=(device,)))[0])
    expected = device(before, np.random.default_rng(0), RATE)
    assert not np.allclose(expected, before, atol=1e-2 * np.abs(before).max())
    for changed in (clean, noisy):
        np.testing.assert_allclose(
            changed / np.abs(changed).max(), expected / np.abs(expected).max(), atol=1e-4
        )


def test_changes_of_the_noise_leave_speech_and_ratio_alone(opened):
    quiet = {"clean_speed": STILL, "noise_speed": STILL, "more_noise": 0.0, "snr": (5.0, 5.0)}
    device = HighPass(1.0, (1000.0, 1000.0), (4, 4))
    clean, noisy = (a.numpy() for a in opened(mixed(**quiet))[0])
    same, changed = (a.numpy() for a in opened(mixed(**quiet, noise_changes=(device,)))[0])
    np.testing.assert_allclose(same / np.abs(same).max(), clean / np.abs(clean).max(), atol=1e-6)
    expected, noise = device(noisy - clean, np.random.default_rng(0), RATE), changed - same
    ratio = active_power(same, RATE) / active_power(noise, RATE)
    assert 10 * np.log10(ratio) == pytest.approx(5, abs=0.01)
    scale = float(noise @ expected / (expected @ expected))
    np.testing.assert_allclose(noise, scale * expected, atol=1e-5)


def test_babble_is_a_noise(opened):
    pairs = opened(mixed(babble=Babble(1.0, (2, 3)), more_noise=0.0, snr=(3.0, 3.0)))
    pairs.noise.read = None  # not asked
    clean, noisy = (a.numpy() for a in pairs[0])
    ratio = active_power(clean, RATE) / active_power(noisy - clean, RATE)
    assert 10 * np.log10(ratio) == pytest.approx(3, abs=0.01)


def test_babble_leaves_the_clip_of_the_target_out(opened):
    """Which clips are read: the target's first, the talkers' after it."""
    pairs = opened(mixed(babble=Babble(1.0, (3, 3)), more_noise=0.0))
    asked = []
    read = pairs.clean.read
    pairs.clean.read = lambda clip, *rest: asked.append(clip) or read(clip, *rest)
    for i in range(20):
        asked.clear()
        pairs[i]
        *_, target = asked[:-3]  # silent crops are drawn again
        assert sorted({target, *asked[-3:]}) == [0, 1, 2, 3]


def test_babble_needs_talkers(opened, corpus, tmp_path):
    with pytest.raises(RecipeError, match=r"data\.babble\.talkers: 4 talkers .* need 5 .* has 4"):
        opened(mixed(babble=Babble(0.1, (1, 4))))
    assert not (tmp_path / "cache").exists()


def test_silent_speech_is_refused(tmp_path):
    write(tmp_path / "clean" / "a.wav", np.zeros(4000, "f"))
    write(tmp_path / "noise" / "a.wav", np.ones(4000, "f"))
    with pytest.raises(RecipeError, match=r"data\.clean: all 1 recordings are silent"):
        mixed().open(tmp_path, tmp_path / "cache", RATE, 0)
    write(tmp_path / "clean" / "b.wav", np.eye(1, 400_000, 9, dtype="f")[0])  # a click
    with pytest.warns(RecordingWarning, match=r"1 of 2 .* left out: a\.wav$"):
        pairs = mixed().open(tmp_path, tmp_path / "cache", RATE, 0)
    with pytest.raises(RecipeError, match="100 crops in a row are silent"):
        pairs[0]


@pytest.fixture
def paired(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for i, length in enumerate((1000, 3000, 5000)):
        clean = 0.1 * rng.standard_normal(length)
        write(tmp_path / "clean" / f"{i}.wav", clean)
        write(tmp_path / "noisy" / f"{i}.wav", 3 * clean)
    return tmp_path


PAIRED = Paired(2016, (0.0, 0.0), clean=Path("clean"), noisy=Path("noisy"))


def test_pairs_stay_aligned(paired):
    pairs = PAIRED.open(paired, paired / "cache", RATE, 0)
    for i in range(6):
        clean, noisy = pairs[i]
        torch.testing.assert_close(noisy, 3 * clean, atol=3e-4, rtol=0)  # 16 bits of each
        assert float(noisy.abs().max()) == pytest.approx(1)


def test_paired_recordings_go_through_the_same_devices(paired):
    source = Paired(**{**vars(PAIRED), "kept": (MicrophoneColour(1.0),)})
    pairs, plain = (p.open(paired, paired / "cache", RATE, 0) for p in (source, PAIRED))
    for i in range(3):
        clean, noisy = pairs[i]
        torch.testing.assert_close(noisy, 3 * clean, atol=1e-3, rtol=0)
        assert not torch.allclose(noisy, plain[i][1], atol=1e-2)


def test_an_epoch_takes_every_pair_once_in_its_own_order(paired):
    pairs = PAIRED.open(paired, paired / "cache", RATE, 0)
    asked = []
    read = pairs.clean.read
    pairs.clean.read = lambda clip, *rest: asked.append(clip) or read(clip, *rest)
    for i in range(12):
        pairs[i]
    epochs = [asked[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_partners_are_found_whatever_the_suffix(tmp_path):
    for place in ("clean/b.wav", "clean/x/a.flac", "noisy/x/a.wav", "noisy/b.flac"):
        write(tmp_path / place, np.ones(9, "f"), subtype="PCM_16")
    source = Paired(2016, clean=Path("clean"), noisy=Path("noisy"))
    places = [[f.relative_to(tmp_path).as_posix() for f in fs] for fs in source.files(tmp_path)]
    assert places == [["clean/b.wav", "clean/x/a.flac"], ["noisy/b.flac", "noisy/x/a.wav"]]
    write(tmp_path / "clean/c.wav", np.ones(9, "f"))
    with pytest.raises(RecipeError, match=r"^validation: .*/clean/c\.wav has no partner \(1 such"):
        section_pairs("validation", tmp_path / "clean", tmp_path / "noisy")


def test_pairs_of_different_lengths_are_refused(paired):
    write(paired / "noisy" / "1.wav", np.ones(2999, "f"))
    with pytest.raises(RecipeError, match=r"1\.wav has 3000 samples clean but 2999 noisy"):
        PAIRED.open(paired, paired / "cache", RATE, 0)


def test_missing_and_empty_folders_name_the_key_and_the_remedy(tmp_path):
    with pytest.raises(RecipeError, match=r"data\.clean: there is no folder .*--data"):
        mixed().open(tmp_path, tmp_path / "cache", RATE, 0)
    (tmp_path / "clean").mkdir()
    with pytest.raises(RecipeError, match=r"data\.clean: .*no audio"):
        mixed().open(tmp_path, tmp_path / "cache", RATE, 0)


def test_nothing_is_decoded_before_all_folders_are_there_and_match(paired):
    with pytest.raises(RecipeError, match=r"data\.noise: there is no folder"):
        mixed().open(paired, paired / "cache", RATE, 0)
    (paired / "noisy" / "1.wav").unlink()
    with pytest.raises(RecipeError, match=r"^data: .*clean/1\.wav has no partner"):
        PAIRED.open(paired, paired / "cache", RATE, 0)
    assert not (paired / "cache").exists()
