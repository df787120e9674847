"""Audio of one domain as audio of another: rates, levels, channels and files around two priors.

    move = load_transfer("prior", "runs/telephone/best")    clean speech as telephone speech
    audio = move(speech, 16000)
    again = move.reversed(audio, 16000)

The prior of the domain that a recording is of gives its latent, and the prior of the other domain
decodes that (`sgmse.inference.transfer`). Nothing is drawn: the same recording gives the same
result. What stays and what changes, nobody says; it is what the two flows make of it
(docs/transfer.md).

A recording passes as a stream: blocks, the rate of the models, segments, and back.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import lcm
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse._checks import an, called, kinds, number, rate as checked_rate
from sgmse._device import memory_named, placed, sent
from sgmse.audio import (
    Block,
    ClipMode,
    InMemory,
    Source,
    cut,
    in_segments,
    name_of,
    passage,
    peaks,
    resample_blocks,
)
from sgmse.checkpoints import Checkpoint, load_model, locate
from sgmse.enhancer import Progress
from sgmse.errors import (
    ArgumentError,
    ArgumentTypeError,
    RecordingWarning,
    ResultError,
)
from sgmse.front import FrontEnd
from sgmse.inference import Consistent, Transferred, transfer
from sgmse.inference._transfer import apart
from sgmse.model import Regeneration, ScoreModel
from sgmse.postprocessing import AboveBand
from sgmse.prior import PEAK
from sgmse.solvers import Callback, Grid, LogSNR, Model, Multistep, Solver, Step

__all__ = ["ENDING", "Transfer", "load_transfer"]

Audio = TypeVar("Audio", NDArray[Any], Tensor)

#: What the name of a result ends with, where it is called after its source.
ENDING = "transferred"


@dataclass(frozen=True, eq=False)
class Transfer:
    """Two priors with all that is needed to take recordings from one domain to the other.

    Args:
        source: the prior of the domain that recordings are of.
        target: that of the domain that they go to, of the same process.
        front: what both hear; recordings of other rates are resampled there and back.
        solver: one of the flow, which draws no noise.
        grid: its times. A start before the end of the process leaves more of the recording in the
            latent, and changes it less.
        segment: seconds that are transferred in one piece; longer recordings are cut, and the
            pieces (up to one and a half times as long) faded into each other.
        overlap: seconds of the fades.
        consistent: let both models estimate spectrograms of sounds alone (`Consistent`): less is
            lost on the way to audio and back, and small priors do worse by it.

    Raises `ArgumentError` for models of two processes, or that hear recordings.
    """

    source: ScoreModel
    target: ScoreModel
    front: FrontEnd
    solver: Solver = field(default_factory=Multistep)
    grid: Grid = field(default_factory=lambda: LogSNR(50, 0.998, 0.002))
    segment: float = 20.0
    overlap: float = 1.0
    consistent: bool = False

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            an(name, getattr(self, name), ScoreModel, "that of sgmse.checkpoints.load(folder)")
            _prior(name, getattr(self, name))
        kinds(self)
        if why := apart(self.source.sde, self.target.sde):
            raise ArgumentError(why)
        for model in (self.source, self.target):
            if why := self.front.refusal(model.divisor[0]):
                raise ArgumentError(f"n_fft: {why}")
        if self.grid.steps < 1:
            raise ArgumentError("a transfer needs at least one step")
        if not 0 < 2 * self.overlap <= self.segment:
            raise ArgumentError(
                f"segment {self.segment} s must be at least twice overlap {self.overlap} s, "
                "and both positive"
            )

    @classmethod
    def between(
        cls,
        source: Checkpoint,
        target: Checkpoint,
        *,
        steps: int | None = None,
        start: float | None = None,
    ) -> "Transfer":
        """That of two checkpoints, with the solver and the grid of the source.

        Args:
            source, target: the priors, with their fronts.
            steps: of each of the two ways; those of the source if absent.
            start: time up to which is encoded; that of the grid if absent.

        Raises:
            ValueError: they hear differently, or cannot be joined.
        """
        for name, given in (("source", source), ("target", target)):
            an(name, given, Checkpoint, "that of sgmse.checkpoints.load(folder)")
        models = _prior("source", source.model), _prior("target", target.model)
        if source.front != target.front:
            raise ArgumentError(
                f"the domains are heard in two ways, {source.front} and {target.front}: train the "
                "prior of one with the front of the other, such as from its weights (sgmse train "
                "--from)"
            )
        grid = source.sampler.grid
        grid = grid if steps is None else replace(grid, steps=steps)
        grid = grid if start is None else replace(grid, start=number("start", start, 0, 1))
        return cls(*models, source.front, source.sampler.solver, grid)

    @property
    def reversed(self) -> "Transfer":
        """From the target's domain to the source's: its inverse, up to errors of the solver."""
        return replace(self, source=self.target, target=self.source)

    def __call__(
        self,
        audio: Audio,
        sample_rate: int,
        *,
        peak: float | None = None,
        progress: Progress | None = None,
    ) -> Audio:
        """Transfer a recording.

        Args:
            audio: numpy array or tensor of any of the shapes and kinds of `Enhancer.__call__`.
            sample_rate: in Hz.
            peak: the models hear this level as a peak of their training (`PEAK`); of each channel
                its own peak if None. For the way back, that of the way there.
            progress: called with seconds done, as the work goes on.

        Returns:
            The recording in the other domain: same type, precision, device, layout, shape and rate.
            Silent channels stay silent. Nothing is above the band of the models.

        Raises:
            TypeError: audio that holds no numbers of a known full scale.
            ValueError: audio that is empty, not finite or of another shape; a bad rate or peak; a
                solver or grid that does not lead from audio to a latent.
            ResultError: a result that is not finite.

        Warns:
            RecordingWarning: sound above the band of the models, which is left out.
            ClippingWarning: integers that were clipped.
        """
        if isinstance(sample_rate, np.ndarray | Tensor) and sample_rate.ndim:
            raise ArgumentTypeError("the recording comes first, then its rate: move(audio, rate)")
        rate = checked_rate("sample_rate", sample_rate)
        called("progress", progress, "the seconds that are done")
        recordings = InMemory.of(audio)
        results = [self._whole(rows, rate, peak, progress) for rows in recordings.rows]
        return cast("Audio", recordings.like(results))

    def _whole(
        self, rows: Block, sample_rate: int, peak: float | None, progress: Progress | None
    ) -> Block:
        """A recording (channels, samples)."""
        levels = _levels(peak, peaks([rows]))
        above = AboveBand(sample_rate, self.front.sample_rate / 2)
        form = (sample_rate, rows.shape[1], progress)
        made = np.concatenate(list(self._stream(above.passing(cut(rows)), levels, *form)), axis=1)
        self._tell("audio", above, 4)
        return made

    def transfer_file(
        self,
        source: Source,
        target: Source | None = None,
        *,
        peak: float | None = None,
        format: str | None = None,  # noqa: A002
        bitrate: float | None = None,
        clip_mode: ClipMode = "clamp",
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Transfer a file of any length into another one, in bounded memory.

        Args:
            source: a recording; see `sgmse info` for what is read.
            target: where the result goes, `<name>_transferred.<suffix>` beside the source if
                absent. Both may be open binary files; a target gets all at the end or nothing.
            peak, progress: as for a call with an array.
            format, bitrate, clip_mode, overwrite: as for `Enhancer.enhance_file`.

        Returns:
            The target's path, or what messages call an open file. It has the rate, channels and
            length of the source, and its coding where the target's format allows it.

        Raises:
            AudioError: a source that cannot be read or a target that cannot be written; then
                nothing is left at the target, and what stood there still does.
            ValueError, ResultError: as for a call.

        Warns:
            ClippingWarning: samples beyond full scale were clipped, once the target is written.
            RecordingWarning: as for a call; what else should be known of source and target.
        """
        called("progress", progress, "the seconds that are done")
        with passage(
            source,
            target,
            instead="of an array or a tensor, call the transfer itself",
            ending=ENDING,
            format=format,
            bitrate=bitrate,
            clip_mode=clip_mode,
            overwrite=overwrite,
        ) as way:
            levels, writer = _levels(peak, way.levels), way.writer
            rate, length = way.about.sample_rate, way.about.frames
            above = AboveBand(rate, self.front.sample_rate / 2)
            with writer:
                heard = above.passing(way.blocks())
                for block in self._stream(heard, levels, rate, length, progress):
                    writer.write(block)
        self._tell(str(name_of(source)), above, 3)
        writer.tell_clipped()
        return writer.path

    def _tell(self, name: str, above: AboveBand, depth: int) -> None:
        if above.heard:
            edge = self.front.sample_rate / 2000
            text = f"{name}: sound above {edge:g} kHz is left out, of which the models know nothing"
            warnings.warn(text, RecordingWarning, stacklevel=depth)

    def _stream(
        self,
        blocks: Iterator[Block],
        levels: NDArray[np.floating],
        sample_rate: int,
        length: int,
        progress: Progress | None,
    ) -> Iterator[Block]:
        """A recording of `length` samples whose channels have the peaks `levels`."""
        heard = levels > 0  # a silent channel stays exactly silent
        scale = levels[heard, None] / PEAK
        rate = self.front.sample_rate
        cuts = (round(self.segment * rate), round(self.overlap * rate))
        if not heard.any():
            for block in blocks:
                yield np.zeros_like(block)
                if progress is not None:
                    progress(block.shape[1] / sample_rate)
            return

        def process(segments: Iterator[Block]) -> Iterator[Block]:
            for place, segment in enumerate(segments):
                fresh = segment.shape[1] - (cuts[1] if place else 0)
                yield self._segment(segment, fresh / rate, progress)

        there = resample_blocks((block[heard] / scale for block in blocks), sample_rate, rate)
        made = in_segments(there, process, *cuts)
        for block in resample_blocks(made, rate, sample_rate, length):
            out = np.zeros((len(heard), block.shape[1]), block.dtype)
            out[heard] = block * scale
            yield out

    def _segment(self, segment: Block, seconds: float, progress: Progress | None) -> Block:
        """A piece (channels, samples) at the rate of the models."""

        def report(step: Step) -> None:
            if progress is not None:
                progress(seconds / (2 * step.steps * len(segment)))

        with memory_named("take shorter pieces (segment=5.0), or the CPU (--device cpu)"):
            channels = [self._channel(torch.from_numpy(one)[None], report) for one in segment]
        made = np.concatenate(channels).astype(segment.dtype, copy=False)
        if not np.isfinite(made).all():
            raise ResultError(
                f"{self.solver} on {self.grid} gave samples that are not finite; take more steps, "
                "or those that the models recommend"
            )
        return made

    @torch.inference_mode()
    def _channel(self, audio: Tensor, report: Callback) -> NDArray[np.floating]:
        """(1, samples), there as well."""
        weights = next(self.source.parameters())
        x = self.spectrogram(sent(audio.to(weights.dtype), weights.device))
        made = self.transferred(x, audio.shape[1], report).x
        return self.front.inverse(made, audio.shape[1]).numpy(force=True)

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to what both models see, (batch, 1, frequency, frame)."""
        return self.front.forward(audio, lcm(self.source.divisor[1], self.target.divisor[1]))

    def transferred(self, x: Tensor, samples: int, callback: Callback | None = None) -> Transferred:
        """What becomes of the `spectrogram` of so many samples, before it is audio."""
        source: Model = self.source
        target: Model = self.target
        if self.consistent:
            source, target = (Consistent(one, self.front, samples) for one in (source, target))
        return transfer(source, target, x, self.solver, self.grid, callback=callback)


def _prior(name: str, model: ScoreModel | Regeneration) -> ScoreModel:
    """The model, if it is a prior. Raises `ArgumentError`."""
    if isinstance(model, ScoreModel) and model.deaf:
        return model
    raise ArgumentError(
        f"the {name} hears a recording, and is no prior of a domain: take a model that hears none, "
        "such as the recipe prior trains"
    )


def _levels(peak: float | None, own: NDArray[np.floating]) -> NDArray[np.floating]:
    """The peak of each channel: its own, or the same of all that sound."""
    if peak is None:
        return own
    if number("peak", peak, 0) == 0:
        raise ArgumentError(
            "peak must be above 0; it is that of the recording, or of the one it was made of"
        )
    return np.where(own > 0, peak, own).astype(own.dtype)


def load_transfer(
    source: str | Path,
    target: str | Path,
    *,
    device: str | torch.device | None = None,
    steps: int | None = None,
    start: float | None = None,
) -> Transfer:
    """Load two priors, ready to transfer.

    Args:
        source: the domain that recordings are of: a prior in the package, a folder of `sgmse
            train`, or "hf://owner/name".
        target: the domain that they go to, likewise.
        device: where they run; with CUDA where there is a GPU for it, else on the CPU.
        steps, start: in place of those of the source; see `Transfer.between`.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: both are one domain, or cannot be joined; there is no such device.
    """
    if locate(source) == locate(target):
        raise ArgumentError(
            f"both domains are {source}, and nothing would change; name the one that the "
            "recording is of (--from) and the one that it goes to (--to)"
        )
    move = Transfer.between(*map(load_model, (source, target)), steps=steps, start=start)
    move.front.to(placed(device, move.source, move.target))
    return move
