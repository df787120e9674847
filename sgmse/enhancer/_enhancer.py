"""A model with all that is needed to enhance recordings: arrays, tensors and files."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from torch import Tensor

from sgmse._batches import Batches
from sgmse._checks import an, choice, flag, kinds, number, rate as checked_rate
from sgmse._device import Precision
from sgmse._lanes import callers
from sgmse._pieces import Drawing, waiting_for
from sgmse.audio import Block, ClipMode, InMemory, Source, count_segments, name_of, passage
from sgmse.checkpoints import Checkpoint
from sgmse.checkpoints.native import SEGMENT
from sgmse.config import abridged
from sgmse.enhancer._observed import Observed
from sgmse.enhancer._options import Audio, Options, Progress
from sgmse.enhancer._segments import Segments
from sgmse.enhancer._stages import Stages
from sgmse.errors import ArgumentError, ArgumentTypeError, RecordingWarning, SamplerWarning
from sgmse.front import FrontEnd
from sgmse.model import Regeneration, ScoreModel, check_steps
from sgmse.networks import BandGains
from sgmse.postprocessing import Remarks
from sgmse.solvers import Callback, Grid, Randn, Sampler, SamplerRange, Solver, refusal

CHANNELS_AT_ONCE = 4  # of a stream, in a batch on a GPU: those of more channels take several
#: On a device, of one array: their pieces fill its batches.
RECORDINGS_AT_ONCE = 16


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
        strength: of the attenuation, 0 to 2, unless a call says another: what each bin of a result
            of the model has lost, in dB, is multiplied by it.
        mends: what of recordings the model restores beside noise, such as "clipping": of that
            nothing is said.
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
    segment: float = SEGMENT
    overlap: float = 1.0
    samplers: tuple[SamplerRange, ...] = ()
    force: bool = False
    upper_band: BandGains | None = None
    dry: float = 0.0
    strength: float = 1.0
    precision: Precision = "float32"
    mends: tuple[str, ...] = ()

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
        number("strength", self.strength, 0, 2)
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
            strength=checkpoint.strength,
            mends=checkpoint.mends,
            segment=checkpoint.segment,
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

    def with_strength(self, strength: float | None) -> "Enhancer":
        """The same with another strength of the attenuation, 0 to 2, if one is given."""
        if strength is None or number("strength", strength, 0, 2) == self.strength:
            return self
        with warnings.catch_warnings():  # what there is to say of the sampler was said
            warnings.simplefilter("ignore", SamplerWarning)
            return replace(self, strength=strength)

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
        strength: float | None = None,
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
            strength: of the attenuation, 0 to 2: what is lost in any bin, in dB, is multiplied by
                it; that of the enhancer if None. 1 is what the model itself says.
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
                or speech that is clean already, no speech at all, or silence; one that is clipped;
                sound above the band of the model that is left out.
            ResultWarning: a result with sound where the recording has next to none.
            ClippingWarning: integers that were clipped.
        """
        if isinstance(sample_rate, np.ndarray | Tensor) and sample_rate.ndim:
            raise ArgumentTypeError(
                "the recording comes first, then its rate: enhancer(audio, sample_rate)"
            )
        rate = checked_rate("sample_rate", sample_rate)
        kept = self.dry if dry is None else dry
        options = Options(seed, kept, max_attenuation, upper_band, progress)
        chosen = self.with_sampler(solver, steps, shifts, force=force).with_strength(strength)
        stages = chosen._stages
        recordings = InMemory.of(audio)

        def whole(rows: Block) -> tuple[Block, Remarks]:
            heard = stages.heard(rate, options)
            return stages.whole(rows, rate, options, heard), heard

        results = []
        at_once = min(len(recordings.rows), chosen.recordings_at_once)
        with callers(at_once) as side_by_side:
            for result, heard in side_by_side.map(whole, recordings.rows):
                results.append(result)
                for line in heard.lines():
                    warnings.warn(f"audio: {line}", RecordingWarning, stacklevel=2)
        options.tell("the result")
        return cast("Audio", recordings.like(results))

    def enhance_file(
        self,
        source: Source,
        target: Source | None = None,
        *,
        seed: int = 0,
        dry: float | None = None,
        strength: float | None = None,
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
            seed, dry, strength, max_attenuation, upper_band: as for a call with an array.
            steps, solver, shifts, force, progress: likewise.
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
        options = Options(seed, kept, max_attenuation, upper_band, progress)
        chosen = self.with_sampler(solver, steps, shifts, force=force).with_strength(strength)
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
            stages = chosen._stages
            heard = stages.heard(way.about.sample_rate, options)
            with writer:
                for block in stages.stream(way.blocks(), way.levels, *form, options, heard):
                    writer.write(block)
        for line in heard.lines():
            warnings.warn(f"{name_of(source)}: {line}", RecordingWarning, stacklevel=2)
        options.tell(str(writer.path))
        writer.tell_clipped()
        return writer.path

    @property
    def channels_at_once(self) -> int:
        """Of a stream, in one batch: a core is slower with two than with one after the other."""
        return 1 if self._batches is None else CHANNELS_AT_ONCE

    @property
    def recordings_at_once(self) -> int:
        """How many make its batches full; on cores one is as fast as several."""
        return 1 if self._batches is None else RECORDINGS_AT_ONCE

    def pieces(self, samples: int) -> int:
        """Of how many segments a recording is that has so many samples at the rate of the model."""
        return count_segments(samples, *self._cuts)

    @property
    def _batches(self) -> Batches | None:
        """Where pieces wait to be done in batches; None where cores do them one by one.

        A core is slower with a batch than with its pieces one after the other.
        """
        device = self._drawing.device
        return None if device.type == "cpu" else waiting_for(device)

    @property
    def _drawing(self) -> Drawing:
        return Drawing(self.model, self.front, self.sampler, self.precision, self.strength)

    @property
    def _stages(self) -> Stages:
        """What a recording passes."""
        segments = Segments(self._drawing, self._batches, *self._cuts, self.force)
        return Stages(segments, self.upper_band, self.mends)

    @property
    def _cuts(self) -> tuple[int, int]:
        """Segments and their overlaps, in samples."""
        rate = self.front.sample_rate
        return round(self.segment * rate), round(self.overlap * rate)

    def sampled(self, spectrogram: Tensor, samples: int, randn: Randn, report: Callback) -> Tensor:
        """What the sampler makes of the `spectrogram` of so many samples: audio (batch, samples).

        After no steps that is what the predictor said, without the noise of a start. It has the
        strength of the enhancer.
        """
        every = [samples] * len(spectrogram)
        made = self._drawing.sampled(spectrogram, every, randn, report)
        return torch.stack([rows[-1] for rows in made])

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to (batch, 1, frequency, frame), padded and placed for the network."""
        return self._drawing.spectrogram(audio)

    def observe(self, audio: Tensor) -> Observed:
        """What `solve` takes for audio, with which anything is done by hand.

        Args:
            audio: (batch, samples) at the rate of the model, floats, each item with a peak of about
                1; nothing here changes levels.

        Raises `ArgumentError` for audio of another shape or without samples.
        """
        an("audio", audio, Tensor, "torch.from_numpy(audio)[None]")
        if audio.ndim != 2 or not audio.shape[1] or not audio.is_floating_point():
            raise ArgumentError(
                "audio must be floats (batch, samples) with samples, not "
                f"{audio.dtype} {tuple(audio.shape)}"
            )
        drawing, samples = self._drawing, audio.shape[1]
        heard = drawing.spectrogram(audio)
        model, y = drawing.observed(heard, [samples] * len(audio))
        return Observed(model, y, samples, drawing.delay, drawing)

    def audio(self, spectrogram: Tensor, samples: int) -> Tensor:
        """The inverse of `spectrogram`: (batch, samples)."""
        return self.front.inverse(spectrogram, samples)
