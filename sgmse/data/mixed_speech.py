"""Training pairs of speech and noise that are mixed on the fly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.random import Generator
from typing_extensions import override

from sgmse.data._checked import Probability, Range, Within
from sgmse.data._crops import FAINT, FLOOR, PATIENCE, SILENCE, crop, is_faint, is_silent, odds, pick
from sgmse.data.babble import Babble
from sgmse.data.cache import CachedRecordings
from sgmse.data.degradations import (
    Audio,
    Degradation,
    Room,
    Speed,
    active_power,
    add_noise,
    decibels,
)
from sgmse.data.pairs import recordings
from sgmse.data.training_pairs import PairDataset, TrainingData, audible, duration, naming
from sgmse.errors import RecipeError


@dataclass(frozen=True)
class MixedSpeech(TrainingData):
    """Noisy speech mixed on the fly, with the peak of the noisy audio drawn by the gain g:

        speech = clean_changes(crop),    noise = noise_changes(crop)
        noisy = g degradations(kept(room(speech) + noise))
        clean = g kept(early(room)(speech))

    Speech and noise are cropped at random places of random files. Speech that is too short is put
    somewhere in silence, noise that is too short is repeated. The signal-to-noise ratio is that of
    the active frames (`degradations.active_power`).

    Args:
        clean, noise: folders, of which all audio below them is used, or lists.
        snr: range in dB.
        clean_speed, noise_speed: changes of speed.
        more_noise: probability of a second noise on top of the first, then of a third, and so on.
        most_noises: at most so many at once.
        noise_level: range in dB of a further noise against what its file has.
        clean_balance, noise_balance: a file is drawn with a probability proportional to its length
            to this power: 1 treats all seconds alike, 0 all files.
        clean_changes: what happens to the speech, in this order, before all else: a `NoiseGate`
            takes out of it what noise it has.
        noise_changes: what happens to each noise, in this order, before its level is set: a colour
            makes many noises of one.
        babble: talkers in place of a noise; none if absent.
        room: reverberation; the speech alone has it, and the early part belongs to the target.
    """

    clean: Path = field(kw_only=True)
    noise: Path = field(kw_only=True)
    snr: Annotated[Range, Within(-100, 100)] = (-5.0, 20.0)
    clean_speed: Speed = field(default_factory=Speed)
    noise_speed: Speed = field(default_factory=lambda: Speed(0.5, (0.8, 1.25)))
    more_noise: Probability = 0.25
    most_noises: Annotated[int, Within(1)] = 2
    noise_level: Annotated[Range, Within(-100, 100)] = (-10.0, 10.0)
    clean_balance: float = 1.0
    noise_balance: float = 0.5
    clean_changes: tuple[Degradation, ...] = ()
    noise_changes: tuple[Degradation, ...] = ()
    babble: Babble | None = None
    room: Room | None = None

    folders = ("clean", "noise")

    @override
    def files(self, root: Path) -> tuple[Sequence[Path], Sequence[Path]]:
        with naming("data.clean") as remedy:
            clean = recordings(root / self.clean, remedy)
        with naming("data.noise") as remedy:
            noise = recordings(root / self.noise, remedy)
        talkers = self.babble.talkers[1] if self.babble else 0
        if talkers >= len(clean):
            raise RecipeError(
                f"data.babble.talkers: {talkers} talkers and the target need {talkers + 1} "
                f"recordings, and data.clean has {len(clean)}; ask for fewer, or for no babble "
                "with data.babble=null"
            )
        return clean, noise

    @override
    def open(self, root: Path, cache: Path, sample_rate: int, seed: int) -> PairDataset:
        return _MixedDataset(self, seed, *self.decoded(root, cache, sample_rate))


class _MixedDataset(PairDataset):
    """The pairs of `MixedSpeech`."""

    def __init__(
        self, data: MixedSpeech, seed: int, clean: CachedRecordings, noise: CachedRecordings
    ) -> None:
        super().__init__(seed, clean.sample_rate)
        self.data, self.clean, self.noise = data, clean, noise
        some = audible("data.clean", clean, SILENCE), audible("data.noise", noise, FLOOR)
        self.clean_odds = odds(clean, data.clean_balance, some[0])
        self.noise_odds = odds(noise, data.noise_balance, some[1])

    @property
    @override
    def summary(self) -> str:
        return (
            f"{len(self.clean)} files of speech ({duration(self.clean.seconds)}), "
            f"{len(self.noise)} of noise ({duration(self.noise.seconds)})"
        )

    @override
    def draw(self, index: int, rng: Generator) -> tuple[Audio, Audio]:
        data = self.data
        number, clean, noisy = self.draw_speech(rng)
        noise = self.draw_noise(number, rng)
        for _ in range(1, data.most_noises):
            if rng.random() >= data.more_noise:
                break
            gain = np.float32(decibels(rng.uniform(*data.noise_level)))
            noise = noise + gain * self.draw_noise(number, rng)
        noisy = add_noise(noisy, noise, rng.uniform(*data.snr), self.sample_rate)
        return data.finish(clean, noisy, rng, self.sample_rate)

    def draw_speech(self, rng: Generator) -> tuple[int, Audio, Audio]:
        """The number of a recording, and a crop of it: the target, and as it is heard in a room."""
        data, speed, samples = self.data, self.data.clean_speed, self.data.samples
        for _ in range(PATIENCE):
            factor = speed.draw(rng)
            number = pick(self.clean_odds, rng)
            part = crop(self.clean, number, speed.needs(samples, factor), rng)
            speech = speed.apply(part, factor, samples)
            if is_silent(speech):
                continue
            target = speech
            for change in data.clean_changes:
                target = change(target, rng, self.sample_rate)
            target, heard = (
                (target, target) if data.room is None else data.room(target, rng, self.sample_rate)
            )
            if not is_faint(target, active_power(speech, self.sample_rate), self.sample_rate):
                return number, target, heard
        raise RecipeError(
            f"data.clean: {PATIENCE} crops in a row are silent (below -60 dB), as they are or by "
            "data.clean_changes; check the recordings"
        )

    def draw_noise(self, target: int, rng: Generator) -> Audio:
        """A crop of noise, or a babble without the recording of the target, with its changes.

        A crop in which the noise pauses is drawn again, of another file, too.
        """
        babble, speed, samples = self.data.babble, self.data.noise_speed, self.data.samples
        for _ in range(PATIENCE):
            if babble and rng.random() < babble.probability:
                noise, level = babble(self.clean, target, samples, rng), 0.0
            else:
                factor = speed.draw(rng)
                number = pick(self.noise_odds, rng)
                part = crop(self.noise, number, speed.needs(samples, factor), rng, repeat=True)
                noise, level = speed.apply(part, factor, samples), self.noise.levels[number]
            before = active_power(noise, self.sample_rate)
            if before < max(FAINT * level, FLOOR):
                continue
            for change in self.data.noise_changes:
                noise = change(noise, rng, self.sample_rate)
            if not is_faint(noise, before, self.sample_rate):
                return noise
        raise RecipeError(
            f"data.noise: {PATIENCE} crops in a row hold no noise (60 dB below that of their "
            "recording), as they are or by data.noise_changes; check the recordings"
        )
