"""A prior of clean audio: audio from noise, and from a recording of which the harm is known.

    prior = sgmse.Prior.load()
    voices = prior.generate(3.0, count=4, seed=1)
    whole = prior.restore(audio, 16000, Mask(kept))

A model that has seen clean audio alone removes nothing of what it is not told; what it is told, as
`m = A(audio) + n`, it answers with audio that it finds likely and that says what m does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse._checks import an, called, kinds, number, rate as checked_rate, whole
from sgmse._device import placed
from sgmse._noise import Draws, ManyDraws
from sgmse.audio import InMemory
from sgmse.checkpoints import Checkpoint, load_model
from sgmse.config import abridged
from sgmse.errors import ArgumentError, ResultError
from sgmse.front import FrontEnd
from sgmse.inference import AudioPosterior, Measurement, Operator, UnknownRoom
from sgmse.model import ScoreModel
from sgmse.solvers import (
    Grid,
    LogSNR,
    Model,
    Multistep,
    Sampler,
    SamplerRange,
    Solver,
    Step,
    refusal,
    solve,
)

Audio = TypeVar("Audio", NDArray[Any], Tensor)
#: Called with the share of all that is done, 0 to 1.
Progress = Callable[[float], object]

#: Seconds at most, as all is one piece: what is further apart knows nothing of each other.
LONGEST = 30.0
#: The peak at which a prior hears audio: the middle of those of its training, -6 to 0 dB.
PEAK = 0.7
#: Of the recording, where it is known without noise: 60 dB below its peak.
FAITHFUL = 1e-3
#: How restored audio is drawn: noise in each step forgets what earlier steps have got wrong.
RESTORING = Sampler(Multistep(eta=1.0), LogSNR(20, start=0.998, end=0.002))


class Round(NamedTuple):
    """One round of `Prior.dereverberate`: how sure it is, from where, and in how many steps."""

    noise: float  # at least, of the root mean square of the recording
    start: float
    steps: int

    @property
    def sampler(self) -> Sampler:
        """By which speech is drawn given the room."""
        return replace(RESTORING, grid=replace(RESTORING.grid, steps=self.steps, start=self.start))


#: With little noise speech and room say each other exactly, and neither moves: it falls. Of three
#: such schedules that were tried by hand on two validation recordings.
ROUNDS = (
    Round(0.4, 0.998, 8),
    Round(0.3, 0.8, 6),
    Round(0.2, 0.7, 6),
    Round(0.15, 0.6, 6),
    Round(0.1, 0.5, 6),
    Round(0.1, 0.4, 6),
)


@dataclass(frozen=True, eq=False)
class Dereverberated(Generic[Audio]):
    """Speech without its room, and the room that was drawn with it.

    Args:
        audio: like the recording.
        response: of each channel, (channels, length).
    """

    audio: Audio
    response: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Prior:
    """A model of clean audio with all that is needed to draw audio from it.

    Args:
        model: network, process and parametrization; it sees no recording (`ScoreModel.deaf`).
        front: what audio is to it.
        sampler: how audio is drawn from noise.
        samplers: with which samplers it makes audio; of a model without any, nothing is known.

    Raises:
        ValueError: a model that hears a recording.
    """

    model: ScoreModel
    front: FrontEnd
    sampler: Sampler
    samplers: tuple[SamplerRange, ...] = ()

    def __post_init__(self) -> None:
        kinds(self)
        if not self.model.deaf:
            raise ArgumentError(
                "the model hears a recording, and is no prior: it has nothing to say without one; "
                "clean recordings with it, sgmse.load(...), or take the model 'prior'"
            )
        if why := refusal(self.sampler, self.model.sde, self.samplers):
            raise ArgumentError(why)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Prior":
        """The prior of a checkpoint, with its recommended sampler."""
        an("checkpoint", checkpoint, Checkpoint, "that of sgmse.checkpoints.load(folder)")
        model = checkpoint.model
        if not isinstance(model, ScoreModel):
            raise ArgumentError("the model has a predictor, which hears recordings: it is no prior")
        return cls(model, checkpoint.front, checkpoint.sampler, checkpoint.ranges)

    @classmethod
    def load(
        cls, name_or_path: str | Path = "prior", device: str | torch.device | None = None
    ) -> "Prior":
        """A prior by its name in the package, its folder, or "hf://owner/name" of the hub.

        Args:
            name_or_path: of the prior.
            device: where it runs; with CUDA where there is a GPU for it, else on the CPU.

        Raises:
            CheckpointError: there is no such model, or it is damaged.
            ValueError: it is no prior, or there is no such device.
        """
        made = cls.of(load_model(name_or_path))
        made.front.to(placed(device, made.model))
        return made

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters()) / 1e6
        rows = {
            "network": f"{type(self.model.network).__name__} ({size:.2f} M)",
            "process": abridged(self.model.sde),
            "estimate": abridged(self.model.parametrization),
            "rate": f"{self.front.sample_rate} Hz",
            "front": abridged(self.front.transform),
            "sampler": f"{abridged(self.sampler.solver)} on {abridged(self.sampler.grid)}",
        }
        return "\n".join(["Prior", *(f"  {name:8}  {row}" for name, row in rows.items())])

    def generate(
        self,
        seconds: float,
        count: int = 1,
        *,
        seed: int = 0,
        solver: Solver | str | None = None,
        steps: int | None = None,
        grid: Grid | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Audio from noise.

        Args:
            seconds: of each, above 0 and up to 30.
            count: how many; number k is the one of the seed `seed + k`, whatever the others are.
            seed: of the noise; the same seed gives the same audio.
            solver, steps, grid: in place of those of the sampler; see `Sampler.changed`.
            progress: called with the share that is done.

        Returns:
            (count, samples) at the rate of the front, as loud as the prior makes it.

        Raises:
            ValueError: values out of range, or a sampler that the model is not made for.
            ResultError: samples that are not finite.
        """
        if not 0 < number("seconds", seconds) <= LONGEST:
            raise ArgumentError(f"seconds must lie above 0 and up to {LONGEST:g}, not {seconds!r}")
        whole("count", count, least=1)
        whole("seed", seed, least=0)
        called("progress", progress, "the share that is done")
        sampler = self.sampler.changed(self.model.sde, solver, steps, grid=grid)
        if why := refusal(sampler, self.model.sde, self.samplers):
            raise ArgumentError(why)
        samples = max(round(seconds * self.front.sample_rate), 1)
        made = []
        for number_ in range(count):
            tell = partial(_part, progress or _nothing, number_, count)
            x = self._drawn(self.model, sampler, samples, [seed + number_], tell)
            made.append(self.front.inverse(x, samples))
        return _finite(torch.cat(made).cpu())

    def restore(
        self,
        audio: Audio,
        sample_rate: int,
        operator: Operator,
        *,
        noise: float | None = None,
        peak: float | None = None,
        seed: int = 0,
        solver: Solver | str | None = None,
        steps: int | None = None,
        iterations: int = 20,
        progress: Progress | None = None,
    ) -> Audio:
        """Audio of which a recording is what is left: a draw of p(audio | recording).

        What the operator tells of is answered, and nothing else: noise that `noise` does not count
        stays, or is made into speech.

        Args:
            audio: the recording m = A(audio) + n, (samples,), (channels, samples) or the other way
                round, as for `Enhancer`. It is at the rate of the prior and up to 30 s long.
            sample_rate: in Hz.
            operator: A, of audio (channels, samples), such as `Mask`, `Filter`, `Room`, `Clipping`
                of `sgmse.inference`. What it gives is as long as what it is given.
            noise: standard deviation of n, in the units of the recording; 1e-3 of the peak if
                absent, for what is known as it is.
            peak: of the audio that is sought, in the units of the recording, which is the level at
                which the prior hears it; that of the recording if absent. Of a clipped recording
                it is more than the limit.
            seed: of the noise that is drawn.
            solver, steps: in place of those of `RESTORING`.
            iterations: of conjugate gradients in each step, at most (`AudioPosterior`).
            progress: called with the share that is done.

        Returns:
            Audio like the recording: same type, precision, device, layout, shape.

        Raises:
            ValueError: another rate, a recording that is silent or too long, values out of range.
            ResultError: samples that are not finite.
        """
        an("operator", operator, Operator, "Mask(kept) of sgmse.inference")
        whole("seed", seed, least=0)
        called("progress", progress, "the share that is done")
        recording = self._recording(audio, sample_rate, noise, peak)
        posterior = recording.posterior(self, operator, iterations)
        sampler = RESTORING.changed(self.model.sde, solver, steps)
        if why := refusal(sampler, self.model.sde, self.samplers):
            raise ArgumentError(why)
        seeds = [seed] * len(recording.value)
        x = self._drawn(posterior, sampler, recording.samples, seeds, progress or _nothing)
        # What is known as it is stays as it was; of noise nothing comes back.
        found = posterior.heard(x) if noise is None else posterior.audio(x)
        return cast("Audio", recording.like(found))

    def dereverberate(
        self,
        audio: Audio,
        sample_rate: int,
        room: UnknownRoom | None = None,
        *,
        noise: float | None = None,
        peak: float | None = None,
        seed: int = 0,
        iterations: int = 10,
        progress: Progress | None = None,
    ) -> Dereverberated[Audio]:
        """Speech without the room that it was recorded in, which nobody has measured.

        Speech given the room and the room given the speech are drawn in turn, in six rounds, which
        take the recording for less noisy from one to the next (`ROUNDS`). With draws that are exact
        and noise that is the recording's this is a chain of p(audio, room | recording); six rounds
        of draws that are near it find a likely room, and are no more than that. Of its fine
        structure a recording of seconds says next to nothing.

        Args:
            audio: as for `restore`. Each channel has a room and a level of its own; a silent one
                stays silent.
            sample_rate: in Hz.
            room: what is known of it; `UnknownRoom.decaying` if absent, a tail as loud as the
                direct sound, which falls by 60 dB in 0.5 s.
            noise, peak, seed, iterations, progress: as for `restore`; noise below a tenth of the
                root mean square of a channel counts as that.

        Returns:
            Audio like the recording, and the rooms of the last round.

        Raises:
            ValueError: as `restore`; or the prior is not made for the rounds.
            ResultError: samples that are not finite.
        """
        law = UnknownRoom.decaying(self.front.sample_rate) if room is None else room
        an("room", law, UnknownRoom, "UnknownRoom.decaying(16000) of sgmse.inference")
        whole("seed", seed, least=0)
        called("progress", progress, "the share that is done")
        for own in ROUNDS:
            if why := refusal(own.sampler, self.model.sde, self.samplers):
                raise ArgumentError(why)
        recording = self._recording(audio, sample_rate, noise, peak)
        channels, made = len(recording.value), []
        for number_, channel in enumerate(recording.value):
            tell = partial(_part, progress or _nothing, number_, channels)
            if channel.abs().max() == 0:
                made.append((channel[None], law.expected(channel).response[None]))
                tell(1.0)
            else:
                top = float(channel.abs().max()) if peak is None else peak
                alone = replace(recording, value=channel[None], gain=PEAK / top)
                made.append(self._dry(alone, law, seed, iterations, tell))
        speech, responses = (torch.cat(parts) for parts in zip(*made, strict=True))
        return Dereverberated(recording.like(speech), _finite(responses).cpu())

    def _dry(
        self,
        recording: "_Recording",
        law: UnknownRoom,
        seed: int,
        iterations: int,
        report: Progress,
    ) -> tuple[Tensor, Tensor]:
        """Speech (1, samples) of one channel, and its room (1, length)."""
        value = recording.value
        scale = float(value.square().mean().sqrt())
        rng = np.random.default_rng([seed, len(ROUNDS)])  # not that of the speech in any round

        def white(like: Tensor) -> Tensor:
            return torch.from_numpy(rng.standard_normal(like.shape)).to(like)

        drawn, x = law.expected(value), None
        for count, own in enumerate(ROUNDS):
            deviation = max(own.noise * scale, recording.noise)
            posterior = replace(recording, noise=deviation).posterior(self, drawn, iterations)
            tell = partial(_part, report, count, len(ROUNDS))
            x = self._drawn(posterior, own.sampler, recording.samples, [seed], tell, count, x)
            speech = _finite(posterior.audio(x))
            drawn = law.drawn(speech, value, deviation, white)
        return speech, drawn.response

    def _recording(
        self, audio: Audio, sample_rate: int, noise: float | None, peak: float | None
    ) -> "_Recording":
        """What is restored, checked."""
        own = self.front.sample_rate
        if (given := checked_rate("sample_rate", sample_rate)) != own:
            raise ArgumentError(
                f"the prior is of {own} Hz, and the recording of {given} Hz, at which the operator "
                f"is meant: resample the recording, sgmse.audio.resample, and say the operator at "
                f"{own} Hz"
            )
        recordings = InMemory.of(audio)
        if len(recordings.rows) > 1:
            raise ArgumentError(
                "audio holds several recordings, and an operator is of one: pass them one by one"
            )
        (rows,) = recordings.rows
        samples = rows.shape[1]
        if samples > LONGEST * own:
            raise ArgumentError(
                f"the recording is of {samples / own:.1f} s, and up to {LONGEST:g} s are restored "
                "in one piece: cut it where nothing is lost"
            )
        weights = next(self.model.parameters())
        value = torch.from_numpy(np.ascontiguousarray(rows)).to(weights)
        top = float(value.abs().max()) if peak is None else number("peak", peak, 0)
        if top == 0:
            raise ArgumentError("the recording is silent, or peak is 0: nothing is known of it")
        if noise is not None and not number("noise", noise) > 0:
            raise ArgumentError(f"noise must be positive, not {noise!r}; leave it out for none")
        deviation = FAITHFUL * float(value.abs().max()) if noise is None else noise
        return _Recording(recordings, value, PEAK / top, deviation)

    @torch.no_grad()
    def _drawn(
        self,
        model: Model,
        sampler: Sampler,
        samples: int,
        seeds: list[int],
        report: Progress,
        draw: int = 0,
        before: Tensor | None = None,
    ) -> Tensor:
        """The state at the end, (batch, 1, frequency, frame), an item for each seed.

        It starts from noise, or from what was drawn before, with the noise of the start again; with
        each number of a draw a seed has other noise.
        """
        weights, grid = next(self.model.parameters()), sampler.grid
        frames = self.front.frames(samples, self.model.divisor[1])
        shape = (len(seeds), 1, self.front.transform.frequencies, frames)
        randn = ManyDraws([Draws(seed, draw) for seed in seeds])
        like = torch.empty(shape, dtype=weights.dtype.to_complex(), device=weights.device)
        sde = self.model.sde
        if before is None:
            start = sde.prior(None, randn(like), grid.start)
        else:
            t = torch.full((len(seeds),), grid.start).to(weights)
            start = sde.sample(before, None, t, randn(like))

        def tell(step: Step) -> None:
            report(step.done / step.steps)

        return solve(model, None, sampler.solver, grid, x=start, randn=randn, callback=tell).x


@dataclass(frozen=True, eq=False)
class _Recording:
    """A recording that is restored.

    Args:
        given: as it was.
        value: (channels, samples).
        gain: with which the prior hears it.
        noise: standard deviation of what else it holds.
    """

    given: InMemory
    value: Tensor
    gain: float
    noise: float

    @property
    def samples(self) -> int:
        return self.value.shape[1]

    def posterior(self, prior: Prior, operator: Operator, iterations: int) -> AudioPosterior:
        """Of the audio that an operator made it of."""
        measured = Measurement(operator, self.value, self.noise)
        return AudioPosterior(
            prior.model,
            prior.front,
            measured,
            self.samples,
            iterations=iterations,
            gain=self.gain,
        )

    def like(self, audio: Tensor) -> Any:
        """Audio (channels, samples) as the recording was given."""
        (rows,) = self.given.rows
        return self.given.like([_finite(audio).cpu().numpy().astype(rows.dtype)])


def _part(report: Progress, done: int, parts: int, share: float) -> None:
    """Report a share of one of equal parts."""
    report((done + share) / parts)


def _nothing(share: float) -> None:
    """Told, and not passed on."""


def _finite(audio: Tensor) -> Tensor:
    if not audio.isfinite().all():
        raise ResultError(
            "the sampler gave samples that are not finite; take more steps, or leave the solver out"
        )
    return audio
