"""Audio in, clean audio out: rates, levels, channels, long recordings and files around a model.

A recording passes as a stream, so that its length does not matter:

    blocks -> the model's rate -> segments -> spectrogram -> solve -> audio -> faded together
           -> as loud as the speech was -> no weaker than is asked for -> the recording's rate
           -> with the band above the model's -> mixed with the input -> blocks

Each channel is enhanced as a recording of its own, at its own level, with the same noise as the
others: so a channel never changes another one, and what was in the middle stays there.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse._batches import Batches
from sgmse._checks import (
    an,
    called,
    choice,
    flag,
    kinds,
    number,
    rate as checked_rate,
    shown,
    whole,
)
from sgmse._device import Precision, out_of_memory, placed
from sgmse._lanes import Lanes, callers, lanes
from sgmse._noise import Draws
from sgmse._pieces import Drawing, Piece, one_by_one, together, waiting_for
from sgmse.audio import (
    Block,
    ClipMode,
    InMemory,
    Source,
    count_segments,
    cut,
    in_segments,
    mixed,
    name_of,
    passage,
    peaks,
    resample_blocks,
    resampled_length,
)
from sgmse.checkpoints import Checkpoint, QualityName, load_model
from sgmse.config import Classes, abridged
from sgmse.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    RecordingWarning,
    ResultError,
    ResultWarning,
    SamplerWarning,
)
from sgmse.front import FrontEnd
from sgmse.model import Regeneration, ScoreModel, check_steps
from sgmse.networks import BandGains
from sgmse.postprocessing import (
    LIKELY,
    POSSIBLE,
    Content,
    Finish,
    Plausibility,
    Remarks,
    UpperBand,
    share_of,
    whole_band,
)
from sgmse.solvers import Callback, Grid, Randn, Sampler, SamplerRange, Solver, Step, refusal

Audio = TypeVar("Audio", NDArray[Any], Tensor)
#: Called with the seconds of audio that are done since the last call.
Progress = Callable[[float], object]

CHANNELS_AT_ONCE = 4  # of a stream, in a batch on a GPU: those of more channels take several
#: On a device, of one recording, and recordings of one array: their pieces fill its batches.
SEGMENTS_AT_ONCE = 8
RECORDINGS_AT_ONCE = 16


@contextmanager
def _memory_named() -> Iterator[None]:
    """Say what to do where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        problem = out_of_memory(error)
        if problem is None:
            raise
        remedy = "enhance fewer files at the same time (-j), or on the CPU (--device cpu)"
        raise DeviceError(f"{problem}; {remedy}") from error


@dataclass(frozen=True)
class _Options:
    """What is asked of one recording; see `Enhancer.__call__`."""

    seed: int
    dry: float
    max_attenuation: float | None = None
    upper_band: bool = True
    progress: Progress | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    plausibility: Plausibility = field(default_factory=Plausibility)

    def __post_init__(self) -> None:
        whole("seed", self.seed, least=0)
        number("dry", self.dry, 0, 1)
        if self.max_attenuation is not None and self.max_attenuation != inf:
            number("max_attenuation", self.max_attenuation, 0)
        flag("upper_band", self.upper_band)
        called("progress", self.progress, "the seconds that are done")

    @property
    def least(self) -> float:
        """The share of the input that stays in every bin."""
        return share_of(self.max_attenuation)

    def done(self, seconds: float) -> None:
        """Report progress."""
        if self.progress is not None:
            with self.lock:
                self.progress(seconds)

    def tell(self, name: str) -> None:
        """Warn of a result, of that name, that is not like its recording."""
        if (excess := self.plausibility.excess) > LIKELY:
            what = f"{name}: {excess:.0%} of its energy is where the recording has next to none"
            text = f"{what}; listen to it, it may be noise that the model has made"
            warnings.warn(text, ResultWarning, stacklevel=3)


@dataclass(frozen=True, eq=False, repr=False)
class Enhancer:
    """A model with all that is needed to enhance recordings.

    Args:
        model: network, process and parametrization, with or without a predictor.
        front: what it hears; recordings of other rates are resampled there and back.
        sampler: how its results are drawn.
        segment: seconds that are enhanced in one piece; longer recordings are cut, and the pieces
            (up to one and a half times as long) faded into each other.
        overlap: seconds of the fades.
        samplers: with which samplers the model makes speech; of one without any, nothing is known.
        force: take another sampler all the same, and results that are like no recording.
        upper_band: says what stays of sound above the band of the model; if absent, that gets the
            gains of the band below it.
        dry: share of the input in results, 0 to 1, unless a call says another.
        precision: of the products in the networks. "float32" is exact, also on GPUs, which would
            take TF32 for convolutions by themselves; "tf32" is that; "bf16" has them in bfloat16.

    Raises `ArgumentError` for a sampler of which noise is to be expected, and for a prior, which
    hears no recording (`sgmse.Prior`).

    Warns:
        SamplerWarning: with `force`, in place of such a sampler.
    """

    model: ScoreModel | Regeneration
    front: FrontEnd
    sampler: Sampler
    segment: float = 20.0
    overlap: float = 1.0
    samplers: tuple[SamplerRange, ...] = ()
    force: bool = False
    upper_band: BandGains | None = None
    dry: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        kinds(self)
        if self.model.deaf:
            raise ArgumentError(
                "the model is a prior of clean audio: it hears no recording and cleans none; "
                "sgmse generate and sgmse.Prior sample it, and restore audio of which the harm is "
                "known (docs/posteriors.md)"
            )
        choice("precision", self.precision, get_args(Precision))
        number("dry", self.dry, 0, 1)
        self.front.delays(self.sampler.shifts)  # says where there are too many
        check_steps(self.model, self.sampler.grid.steps)
        if why := refusal(self.sampler, self.model.sde, self.samplers):
            if not self.force:
                raise ArgumentError(f"{why}; to hear it all the same use --force (force=True)")
            warnings.warn(f"{why}; this is done all the same", SamplerWarning, stacklevel=3)
        if not 0 < 2 * self.overlap <= self.segment:
            raise ArgumentError(
                f"segment {self.segment} s must be at least twice overlap {self.overlap} s, "
                "and both positive"
            )
        if why := self.front.refusal(self.model.divisor[0]):
            raise ArgumentError(f"n_fft: {why}")

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Enhancer":
        """The enhancer of a checkpoint, with its recommended sampler."""
        an("checkpoint", checkpoint, Checkpoint, "that of sgmse.checkpoints.load(folder)")
        return cls(
            checkpoint.model,
            checkpoint.front,
            checkpoint.sampler,
            samplers=checkpoint.ranges,
            upper_band=checkpoint.upper_band,
            dry=checkpoint.dry,
        )

    def with_sampler(
        self,
        solver: Solver | str | None = None,
        steps: int | None = None,
        shifts: int | None = None,
        grid: Grid | None = None,
        *,
        force: bool = False,
    ) -> "Enhancer":
        """The same with another solver, number of steps, shifts or grid; see `Sampler.changed`.

        Raises `ArgumentError` for what the model is not made for; with `force` that is a warning.
        """
        flag("force", force)
        if all(given is None for given in (solver, steps, shifts, grid)) and force <= self.force:
            return self
        sampler = self.sampler.changed(self.model.sde, solver, steps, shifts, grid)
        return replace(self, sampler=sampler, force=force or self.force)

    def __repr__(self) -> str:
        parts = self.model.parts
        sizes = [
            f"{type(part).__name__} ({sum(p.numel() for p in part.parameters()) / 1e6:.2f} M)"
            for part in (parts.get("predictor"), parts["network"])
            if part is not None
        ]
        rows = {
            "network": " and ".join(sizes),
            "process": abridged(self.model.sde),
            "estimate": abridged(self.model.parametrization),
            "rate": f"{self.front.sample_rate} Hz",
            "front": abridged(self.front.transform),
            "sampler": f"{abridged(self.sampler.solver)} on {abridged(self.sampler.grid)}, "
            f"{self.sampler.shifts} shift{'s' * (self.sampler.shifts > 1)}",
        }
        return "\n".join(["Enhancer", *(f"  {name:8}  {row}" for name, row in rows.items())])

    def __call__(
        self,
        audio: Audio,
        sample_rate: int,
        *,
        seed: int = 0,
        dry: float | None = None,
        max_attenuation: float | None = None,
        upper_band: bool = True,
        steps: int | None = None,
        solver: Solver | str | None = None,
        shifts: int | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Audio:
        """Enhance a recording.

        Args:
            audio: numpy array or tensor, (samples,), (channels, samples), (samples, channels) as
                soundfile and scipy give it, or (batch, channels, samples), where each item is a
                recording of its own and gets the same noise. Of two axes that both could be
                channels, the first are taken for them. Floats have the full scale 1; int16, int32,
                int8 and uint8 their own.
            sample_rate: in Hz.
            seed: of the noise that the solver draws; the same seed gives the same result.
            dry: share of the input in the output, 0 to 1; that of the enhancer if None.
            max_attenuation: dB by which the loudness of anything may fall, noise too; no limit if
                None. 0 gives the input.
            upper_band: keep the sound that lies above the band of the model, with the gains of the
                model's network for it or, if it has none, those that the band below it gets
                (`sgmse.postprocessing.gains`); else it is left out.
            steps, solver, shifts: in place of those of the sampler, for this call; a solver is an
                object or a name: ode (first order), ode2 (second), sde and sde2 (the same with
                fresh noise), pc (predictor-corrector).
            force: take a sampler that the model is not made for, and give what comes of it.
            progress: called with seconds done, as the work goes on.

        Returns:
            The enhanced recording: same type, precision, device, layout, shape and rate.

        Raises:
            TypeError: audio that holds no numbers of a known full scale; options of a wrong type.
            ValueError: audio that is empty, not finite or of another shape; a bad rate, seed or
                mix; a sampler that the model is not made for.
            ResultError: a result that is noise of the model, or not finite.

        Warns:
            RecordingWarning: audio that could be (channels, samples) or (samples, channels); music,
                or speech that is clean already, no speech at all, or silence; sound above the band
                of the model that is left out.
            ResultWarning: a result with sound where the recording has next to none.
            ClippingWarning: integers that were clipped.
        """
        if isinstance(sample_rate, np.ndarray | Tensor) and sample_rate.ndim:
            raise ArgumentTypeError(
                "the recording comes first, then its rate: enhancer(audio, sample_rate)"
            )
        rate = checked_rate("sample_rate", sample_rate)
        kept = self.dry if dry is None else dry
        options = _Options(seed, kept, max_attenuation, upper_band, progress)
        chosen = self.with_sampler(solver, steps, shifts, force=force)
        recordings = InMemory.of(audio)

        def whole(rows: Block) -> tuple[Block, Remarks]:
            heard = chosen._heard(rate, options)
            return chosen._whole(rows, rate, options, heard), heard

        results = []
        at_once = min(len(recordings.rows), chosen.recordings_at_once)
        with callers(at_once) as side_by_side:
            for result, heard in side_by_side.map(whole, recordings.rows):
                results.append(result)
                for line in heard.lines():
                    warnings.warn(f"audio: {line}", RecordingWarning, stacklevel=2)
        options.tell("the result")
        return cast("Audio", recordings.like(results))

    def _whole(self, rows: Block, sample_rate: int, options: _Options, heard: Remarks) -> Block:
        """A recording (channels, samples), enhanced."""
        out, done = np.empty_like(rows), 0
        form = (sample_rate, rows.shape[1])
        for block in self._stream(cut(rows), peaks([rows]), *form, options, heard):
            out[:, done : done + block.shape[1]] = block
            done += block.shape[1]
        return out

    def enhance_file(
        self,
        source: Source,
        target: Source | None = None,
        *,
        seed: int = 0,
        dry: float | None = None,
        max_attenuation: float | None = None,
        upper_band: bool = True,
        steps: int | None = None,
        solver: Solver | str | None = None,
        shifts: int | None = None,
        force: bool = False,
        format: str | None = None,  # noqa: A002
        bitrate: float | None = None,
        clip_mode: ClipMode = "clamp",
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Enhance a file of any length into another one, in bounded memory.

        Args:
            source: a recording; see `sgmse info` for what is read.
            target: where the result goes, `<name>_enhanced.<suffix>` beside the source if absent;
                its folder is made where there is none. Both may be open binary files, such as
                `io.BytesIO`; a target gets all at the end or nothing.
            seed, dry, max_attenuation, upper_band, steps, solver, shifts, force, progress: as for a
                call with an array.
            format: of the target, such as "flac"; that of its suffix or of the source if absent.
            bitrate: of a lossy target, in kb/s; that of the source, as near as can be, if absent.
            clip_mode: what becomes of samples beyond full scale, where the target's coding is not
                float: "clamp" clips them, "rescale" scales the whole result so that its peak is
                full scale, "none" keeps them and writes float.
            overwrite: replace a target that exists.

        Returns:
            The target's path, or what messages call an open file. It has the rate, channels and
            length of the source, and its coding where the target's format allows it.

        Raises:
            AudioError: a source that cannot be read or a target that cannot be written; then
                nothing is left at the target, and what stood there still does.
            ResultError: as for a call.

        Warns:
            ResultWarning: as for a call.
            ClippingWarning: samples beyond full scale were clipped, once the target is written.
            RecordingWarning: what else should be known of the target; see `sgmse.audio.Writer`; and
                what is heard in the source, as for a call with an array; a source that may have
                been longer than what is there, see `sgmse.audio.blocks`.
        """
        kept = self.dry if dry is None else dry
        options = _Options(seed, kept, max_attenuation, upper_band, progress)
        chosen = self.with_sampler(solver, steps, shifts, force=force)
        instead = "of an array or a tensor, call the enhancer itself: enhancer(audio, sample_rate)"
        with passage(
            source,
            target,
            instead=instead,
            format=format,
            bitrate=bitrate,
            clip_mode=clip_mode,
            overwrite=overwrite,
        ) as way:
            writer, form = way.writer, (way.about.sample_rate, way.about.frames)
            heard = chosen._heard(way.about.sample_rate, options)
            with writer:
                for block in chosen._stream(way.blocks(), way.levels, *form, options, heard):
                    writer.write(block)
        for line in heard.lines():
            warnings.warn(f"{name_of(source)}: {line}", RecordingWarning, stacklevel=2)
        options.tell(str(writer.path))
        writer.tell_clipped()
        return writer.path

    def _heard(self, sample_rate: int, options: _Options) -> Remarks:
        """Who listens to a recording."""
        kept = options.upper_band or options.least > 0 or options.dry > 0
        return Remarks(sample_rate, self.front.sample_rate, upper_band=kept)

    # The stages of a stream, from the outside to the model

    def _stream(
        self,
        blocks: Iterable[Block],
        levels: NDArray[np.floating],
        sample_rate: int,
        length: int,
        options: _Options,
        remarks: Remarks,
    ) -> Iterator[Block]:
        """A recording of `length` samples whose channels have the peaks `levels`, enhanced."""
        heard = levels > 0  # a silent channel stays exactly silent
        scale = levels[heard, None]
        remarks.silence = 0.0 if heard.any() else length / sample_rate

        def enhanced(blocks: Iterable[Block]) -> Iterator[Block]:
            loud = (block[heard] / scale for block in blocks)
            for block in self._resampled(loud, sample_rate, length, options, remarks.content):
                out = np.zeros((len(heard), block.shape[1]), block.dtype)
                out[heard] = block * scale
                yield out

        def silent(blocks: Iterable[Block]) -> Iterator[Block]:
            for block in blocks:
                yield np.zeros_like(block)
                options.done(block.shape[1] / sample_rate)

        dry = 1.0 if options.least == 1 else float(options.dry)
        return mixed(remarks.listening(blocks), enhanced if heard.any() else silent, dry)

    def _resampled(
        self,
        blocks: Iterable[Block],
        sample_rate: int,
        length: int,
        options: _Options,
        content: Content,
    ) -> Iterator[Block]:
        """A stream of `length` samples, enhanced in segments at the rate of the model."""
        rate = self.front.sample_rate
        cuts = (round(self.segment * rate), round(self.overlap * rate))
        upper_band = options.upper_band and sample_rate > rate
        # What is lost on the way there and back: the band above, and a little below half a rate.
        tracks = upper_band or (options.least > 0 and sample_rate != rate)
        network = self.upper_band if upper_band else None
        finish = Finish(
            rate,
            level=self.front.level == "kept",
            least=options.least,
            upper_band=upper_band,
            tracks=tracks,
            content=content,
        )
        pieces = count_segments(resampled_length(length, sample_rate, rate), *cuts)
        with self._lanes(pieces) as side_by_side:

            def enhanced(segment: Block, number: int) -> tuple[Block, Block]:
                return self._segment(segment, number, options, side_by_side.check), segment

            def process(segments: Iterator[Block]) -> Iterator[Block]:
                for clean, segment in side_by_side.map(enhanced, segments, count()):
                    yield finish(clean, segment)

            def there_and_back(blocks: Iterable[Block]) -> Iterator[Block]:
                there = resample_blocks(blocks, sample_rate, rate)
                made = in_segments(there, process, *cuts)
                return resample_blocks(made, rate, sample_rate, length)

            if sample_rate == rate:
                yield from in_segments(blocks, process, *cuts)
            elif network is not None:
                band = UpperBand(network, sample_rate, rate)
                yield from band.stream(blocks, there_and_back, options.least)
            elif tracks:
                yield from whole_band(blocks, there_and_back)
            else:
                yield from there_and_back(blocks)

    @property
    def channels_at_once(self) -> int:
        """Of a stream, in one batch: a core is slower with two than with one after the other."""
        return 1 if self._batches is None else CHANNELS_AT_ONCE

    @property
    def recordings_at_once(self) -> int:
        """How many make its batches full; on cores one is as fast as several."""
        return 1 if self._batches is None else RECORDINGS_AT_ONCE

    @property
    def _batches(self) -> Batches | None:
        """Where pieces wait to be done in batches; None where cores do them one by one.

        A core is slower with a batch than with its pieces one after the other.
        """
        device = self._drawing.device
        return None if device.type == "cpu" else waiting_for(device)

    def _lanes(self, pieces: int) -> AbstractContextManager[Lanes]:
        """Threads for segments: with a share of the cores, or to wait for batches."""
        return lanes(pieces) if self._batches is None else callers(min(pieces, SEGMENTS_AT_ONCE))

    @_memory_named()
    def _segment(
        self, segment: Block, number: int, options: _Options, check: Callable[[], None]
    ) -> Block:
        """One segment (channels, samples) at the model's rate.

        The result is the mean of what is drawn with the frames at other places.
        """
        delays = self.front.delays(self.sampler.shifts)
        rate = self.front.sample_rate
        fresh = segment.shape[1] - (round(self.overlap * rate) if number else 0)

        def report(step: Step) -> None:
            check()
            options.done(fresh / rate / step.steps / len(pieces))

        pieces = [
            Piece(channel, delay, Draws(options.seed, number, place), report)
            for channel in torch.from_numpy(segment)
            for place, delay in enumerate(delays)
        ]
        if self._batches is None:
            outputs = one_by_one(self._drawing, pieces)
        else:
            outputs = together(self._drawing, pieces, self._batches)
        with torch.inference_mode():
            means = [
                torch.stack(outputs[first : first + len(delays)]).mean(dim=0)
                for first in range(0, len(pieces), len(delays))
            ]
        clean = torch.stack(means).numpy().astype(segment.dtype, copy=False)
        if not np.isfinite(clean).all():
            raise ResultError(
                f"{self.sampler} gave samples that are not finite; sample the model as it "
                "recommends, without a solver and steps of your own"
            )
        excess = options.plausibility.judge(clean, segment, rate)
        if excess > POSSIBLE and not self.force:
            powers = [np.mean(np.square(x)) + 1e-12 for x in (clean, segment)]
            change = 10 * np.log10(powers[0] / powers[1])
            level = f"{abs(change):.0f} dB {'louder' if change > 0 else 'quieter'}"
            raise ResultError(
                f"the result is noise: {excess:.0%} of its energy is where the recording has next "
                f"to none, and it is {level}; sample the model as it recommends, "
                "or take another one; to hear it all the same use --force (force=True)"
            )
        return clean

    @property
    def _drawing(self) -> Drawing:
        return Drawing(self.model, self.front, self.sampler, self.precision)

    def sampled(self, spectrogram: Tensor, samples: int, randn: Randn, report: Callback) -> Tensor:
        """What the sampler makes of the `spectrogram` of so many samples: audio (batch, samples).

        After no steps that is what the predictor said, without the noise of a start.
        """
        every = [samples] * len(spectrogram)
        return torch.stack(self._drawing.sampled(spectrogram, every, randn, report))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to (batch, 1, frequency, frame), padded and placed for the network."""
        return self._drawing.spectrogram(audio)

    def audio(self, spectrogram: Tensor, samples: int) -> Tensor:
        """The inverse of `spectrogram`: (batch, samples)."""
        return self.front.inverse(spectrogram, samples)


def load(
    name_or_path: str | Path = "default",
    *,
    device: str | torch.device | None = None,
    quality: QualityName | None = None,
    solver: Solver | str | None = None,
    steps: int | None = None,
    shifts: int | None = None,
    compat: str | None = None,
    force: bool = False,
    precision: Precision = "float32",
    classes: Classes | None = None,
) -> Enhancer:
    """Load a model, ready to enhance.

    Args:
        name_or_path: "default", "refine", "score", "live" or "restore" for a model in the package,
            a folder, a published checkpoint ("file.ckpt"), or "hf://owner/name" for a repository
            on the Hugging Face hub.
        device: where it runs; with CUDA where there is a GPU for it, else on the CPU. Others, such
            as "mps", only on request.
        quality: "fast", "balanced" or "best": how much time goes into a result, or "gentle": what
            is for recognisers of speech; of a model that offers it, as the default does (`sgmse
            info`).
        solver, steps, shifts: in place of the recommended ones; see `Enhancer.__call__`.
        compat: "sgmse" for the arithmetic of the published sampler, of a published checkpoint.
        force: take a sampler that the model is not made for, and keep results that are noise.
        precision: of the products in the networks: "float32", "tf32" (on GPUs that have it) or
            "bf16"; docs/devices.md has what each costs.
        classes: names in the model's config: `sgmse.checkpoints.CLASSES`, extended by your own.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: there is no such device or quality, or the model is not to be sampled so.
    """
    if not isinstance(device, str | torch.device | None):
        raise ArgumentTypeError(f"device must be 'cpu', 'cuda:0' or such, not {shown(device)}")
    checkpoint = load_model(name_or_path, compat=compat, quality=quality, classes=classes)
    enhancer = Enhancer.of(checkpoint).with_sampler(solver, steps, shifts, force=force)
    enhancer = replace(enhancer, precision=precision) if precision != "float32" else enhancer
    enhancer.front.to(placed(device, enhancer.model))
    return enhancer


@cache
def _default(quality: QualityName | None) -> Enhancer:
    return load(quality=quality)


def enhance(
    audio: Audio,
    sample_rate: int,
    *,
    seed: int = 0,
    dry: float | None = None,
    max_attenuation: float | None = None,
    upper_band: bool = True,
    quality: QualityName | None = None,
    steps: int | None = None,
    solver: Solver | str | None = None,
    shifts: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Audio:
    """Enhance a recording with the default model; see `load` and `Enhancer.__call__`."""
    return _default(quality)(
        audio,
        sample_rate,
        seed=seed,
        dry=dry,
        max_attenuation=max_attenuation,
        upper_band=upper_band,
        steps=steps,
        solver=solver,
        shifts=shifts,
        force=force,
        progress=progress,
    )
