"""Audio in, clean audio out: rates, levels, channels, long recordings and files around a model.

A recording passes as a stream, so that its length does not matter:

    blocks -> the model's rate -> segments -> spectrogram -> solve -> audio -> faded together
           -> the recording's rate -> mixed with the input -> blocks

Each channel is enhanced as a recording of its own, at its own level, with the same noise as the
others: so a channel never changes another one, and what was in the middle stays there.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from math import lcm
from operator import index
from pathlib import Path
from textwrap import shorten
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse import audio as files
from sgmse.audio.streams import Block, as_rows, cut, in_segments, mixed, peaks
from sgmse.audio.targets import beside, check_target, make_folder
from sgmse.checkpoints import CLASSES, Checkpoint, check_frames, load_model
from sgmse.errors import (
    ArgumentError,
    ArgumentTypeError,
    ClippingWarning,
    DeviceError,
    ResultError,
)
from sgmse.model import Regeneration, ScoreModel
from sgmse.solvers import LAST_START, Grid, Solver, solve
from sgmse.transforms import Spectrogram

Audio = TypeVar("Audio", NDArray[np.floating], Tensor)
#: Called with the seconds of audio that are done since the last call.
Progress = Callable[[float], object]


CHANNELS_AT_ONCE = 4  # a batch of the network: recordings with more channels take several


class Draws:
    """CN(0, 1) noise that depends on a seed, a segment and the number of the draw alone.

    Every item of a batch gets the same noise, and the first frames get the same whatever is padded
    after them.
    """

    def __init__(self, seed: int, segment: int) -> None:
        self.key = (seed, segment)
        self.count = 0

    def __call__(self, like: Tensor) -> Tensor:
        """Noise like a complex (batch, 1, frequency, frame) tensor."""
        generator = np.random.default_rng([*self.key, self.count])
        self.count += 1
        *_, frequencies, frames = like.shape
        z = generator.standard_normal((frames, frequencies, 2), dtype=np.float32)
        noise = torch.view_as_complex(torch.from_numpy(z)).T / 2**0.5
        return noise.to(like.device, like.dtype).expand_as(like)


@contextmanager
def _memory_named() -> Iterator[None]:
    """Say what to do where memory does not suffice; torch has a class of error for GPUs alone."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        problem = shorten(str(error), 200, placeholder=" ...") or "out of memory"
        if not re.search("out of memory|allocate memory", problem):
            raise
        remedy = "enhance fewer files at the same time (-j), or on the CPU (--device cpu)"
        raise DeviceError(f"{problem}; {remedy}") from error


@dataclass(frozen=True, eq=False)
class Enhancer:
    """A model with all that is needed to enhance recordings.

    Args:
        model: network, process and parametrization, with or without a predictor.
        transform: the spectrogram that the network works on.
        solver, grid: the sampler.
        sample_rate: of the model, in Hz; other rates are resampled there and back.
        padding: what frames are padded with to a number that the network divides.
        segment: seconds that are enhanced in one piece; longer recordings are cut, and the pieces
            (up to one and a half times as long) faded into each other.
        overlap: seconds of the fades.
        frames: their number is padded to a multiple of this, and of what the network divides. With
            more than 1, as published, the added ones sound in the last half frame of the audio.
        shifts: how many results are averaged, each with the frames at another place: n of them lie
            hop / n samples apart (Defossez et al. 2019, arXiv:1911.13254, sec. 4.4). What depends
            on where the frames begin is an error, and a mean has less of it.
    """

    model: ScoreModel | Regeneration
    transform: Spectrogram
    solver: Solver
    grid: Grid
    sample_rate: int
    padding: Literal["zero", "reflect"] = "zero"
    segment: float = 20.0
    overlap: float = 1.0
    frames: int = 1
    shifts: int = 1

    def __post_init__(self) -> None:
        check_frames(self.frames, self.shifts, self.transform.hop)
        if not 0 < 2 * self.overlap <= self.segment:
            raise ArgumentError(
                f"segment {self.segment} s must be at least twice overlap {self.overlap} s, "
                "and both positive"
            )
        frequencies, divisor = self.transform.frequencies, self.model.divisor[0]
        if frequencies % divisor:
            raise ArgumentError(
                f"{self.transform} has {frequencies} frequencies, and the network takes multiples "
                f"of {divisor}; use n_fft = {2 * (-(-frequencies // divisor) * divisor - 1)}"
            )

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Enhancer":
        """The enhancer of a checkpoint, with its recommended sampler."""
        c = checkpoint
        made = cls(c.model, c.transform, c.solver, c.grid, c.sample_rate, c.padding)
        return replace(made, frames=c.frames, shifts=c.shifts)

    def with_sampler(
        self, solver: Solver | None = None, steps: int | None = None, shifts: int | None = None
    ) -> "Enhancer":
        """The same with another solver, number of steps or shifts, if that makes speech better."""
        solver = self.solver if solver is None else solver
        if not isinstance(solver, Solver):
            raise ArgumentTypeError(
                f"solver must be an object such as Exponential(), not {solver!r}"
            )
        grid = self.grid if steps is None else replace(self.grid, steps=steps)
        if grid.steps < solver.fewest_steps:
            raise ArgumentError(
                f"with so few steps ({grid.steps}) {type(solver).__name__} makes recordings worse; "
                f"take at least {solver.fewest_steps} (--steps, steps=) or another solver"
            )
        if solver.refusal(self.model.sde, grid.start):
            grid = replace(grid, start=min(grid.start, LAST_START))
        shifts = self.shifts if shifts is None else shifts
        return replace(self, solver=solver, grid=grid, shifts=shifts)

    def __call__(
        self,
        audio: Audio,
        sample_rate: int,
        *,
        seed: int = 0,
        dry: float = 0.0,
        progress: Progress | None = None,
    ) -> Audio:
        """Enhance a recording.

        Args:
            audio: float array or tensor, (samples,) or (channels, samples).
            sample_rate: in Hz.
            seed: of the noise that the solver draws; the same seed gives the same result.
            dry: share of the input in the output, 0 to 1.
            progress: called with seconds done, as the work goes on.

        Returns:
            The enhanced recording: same type, precision, device, shape and rate.

        Raises:
            TypeError: audio that is not floating point.
            ValueError: audio that is empty, not finite or of another shape; a bad rate, seed or
                mix.
        """
        if not (sample_rate > 0 and sample_rate == int(sample_rate)):
            raise ArgumentError(
                f"sample_rate must be a positive whole number of Hz, not {sample_rate}"
            )
        _check_options(seed, dry)
        rows = as_rows(audio)
        out = np.empty_like(rows)
        done = 0
        stream = self._stream(
            cut(rows), peaks([rows]), int(sample_rate), rows.shape[1], seed, dry, progress
        )
        for block in stream:
            out[:, done : done + block.shape[1]] = block
            done += block.shape[1]
        if isinstance(audio, Tensor):
            return torch.from_numpy(out).reshape(audio.shape).to(audio.device, audio.dtype)
        return out.reshape(audio.shape).astype(audio.dtype, copy=False)

    def enhance_file(
        self,
        source: str | Path,
        target: str | Path | None = None,
        *,
        seed: int = 0,
        dry: float = 0.0,
        format: str | None = None,  # noqa: A002
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Enhance a file of any length into another one, in bounded memory.

        Args:
            source: a file that soundfile reads.
            target: where the result goes, `<name>_enhanced.<suffix>` beside the source if absent;
                its folder is made where there is none.
            seed, dry, progress: as for a call with an array.
            format: of the target, such as "flac"; that of its suffix or of the source if absent.
            overwrite: replace a target that exists.

        Returns:
            The target's path. It has the rate, channels and length of the source, and its coding
            where the target's format allows it.

        Raises:
            AudioError: a source that cannot be read or a target that cannot be written; then
                nothing is left at the target, and what stood there still does.

        Warns:
            ClippingWarning: samples beyond full scale were clipped, once the target is written.
        """
        source = Path(source)
        target = beside(source, format) if target is None else Path(target)
        _check_options(seed, dry)
        about = files.info(source)
        check_target(target, source, overwrite)
        files.written_as(target, about, format)
        levels = peaks(files.blocks(source))  # also proves the file whole and finite
        make_folder(target.parent)
        with files.Writer(target, about, format) as writer:
            stream = self._stream(
                files.blocks(source), levels, about.sample_rate, about.frames, seed, dry, progress
            )
            for block in stream:
                writer.write(block)
        if writer.clipped:
            what = f"{target}: {writer.clipped} samples were clipped"
            remedy = "lower the level of the input, or convert it to float samples"
            warnings.warn(f"{what}; {remedy}", ClippingWarning, stacklevel=2)
        return target

    def _stream(
        self,
        blocks: Iterable[Block],
        levels: NDArray[np.floating],
        sample_rate: int,
        length: int,
        seed: int,
        dry: float,
        progress: Progress | None,
    ) -> Iterator[Block]:
        """A recording of `length` samples whose channels have the peaks `levels`, enhanced."""
        heard = levels > 0  # a silent channel stays exactly silent
        scale = levels[heard, None]

        def enhanced(blocks: Iterable[Block]) -> Iterator[Block]:
            loud = (block[heard] / scale for block in blocks)
            for block in self._at_own_rate(loud, sample_rate, length, seed, progress):
                out = np.zeros((len(heard), block.shape[1]), block.dtype)
                out[heard] = block * scale
                yield out

        def silent(blocks: Iterable[Block]) -> Iterator[Block]:
            for block in blocks:
                yield np.zeros_like(block)
                if progress is not None:
                    progress(block.shape[1] / sample_rate)

        return mixed(blocks, enhanced if heard.any() else silent, float(dry))

    def _at_own_rate(
        self,
        blocks: Iterable[Block],
        sample_rate: int,
        length: int,
        seed: int,
        progress: Progress | None,
    ) -> Iterator[Block]:
        """A stream of `length` samples, enhanced in segments at the rate of the model."""
        rate = self.sample_rate
        if sample_rate != rate:
            blocks = files.resample_blocks(blocks, sample_rate, rate)
        clean = in_segments(
            blocks,
            partial(self._enhance, seed=seed, progress=progress),
            round(self.segment * rate),
            round(self.overlap * rate),
        )
        return (
            clean
            if sample_rate == rate
            else files.resample_blocks(clean, rate, sample_rate, length)
        )

    @_memory_named()
    @torch.inference_mode()
    def _enhance(self, segment: Block, number: int, seed: int, progress: Progress | None) -> Block:
        """One segment (channels, samples) at the model's rate, in batches of channels."""
        batches = torch.from_numpy(segment).split(CHANNELS_AT_ONCE)
        fresh = segment.shape[1] - (round(self.overlap * self.sample_rate) if number else 0)

        def report(done: int, steps: int) -> None:
            if progress is not None:
                progress(fresh / self.sample_rate / steps / self.shifts / len(batches))

        outputs = []
        for batch in batches:
            noise = Draws(seed, number)
            results = []
            for shift in range(self.shifts):
                late = round(shift * self.transform.hop / self.shifts)
                shifted = torch.nn.functional.pad(batch, (late, 0))
                model, anchor = self.model.observe(self.spectrogram(shifted))
                x = solve(model, anchor, self.solver, self.grid, randn=noise, callback=report).x
                results.append(self.audio(x, shifted.shape[1])[:, late:])
            outputs.append(torch.stack(results).mean(dim=0))
        clean = torch.cat(outputs).cpu().numpy().astype(segment.dtype, copy=False)
        if not np.isfinite(clean).all():
            raise ResultError(
                f"{self.solver} on {self.grid} gave samples that are not finite; "
                "take more steps or another solver"
            )
        return clean

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to (batch, 1, frequency, frame), padded and placed for the network."""
        audio = audio.to(next(self.model.parameters(), torch.empty(0)))
        missing = max(self.transform.shortest - audio.shape[1], 0)
        audio = torch.nn.functional.pad(audio, (0, missing))
        more = self._covering(audio.shape[1]) - audio.shape[1]
        mode = "reflect" if self.transform.ends == "reflect" else "constant"
        x = self.transform.forward(torch.nn.functional.pad(audio, (0, more), mode))[:, None]
        extra = -x.shape[-1] % lcm(self.frames, self.model.divisor[1])
        if self.padding == "reflect":
            while extra:  # in pieces, since a reflection is shorter than what it reflects
                piece = min(extra, x.shape[-1] - 1)
                x = torch.cat([x, x[..., -1 - piece : -1].flip(-1)], dim=-1)
                extra -= piece
        return torch.nn.functional.pad(x, (0, extra))

    def _covering(self, samples: int) -> int:
        """Published models, which take frames by the dozen, get the audio as in their code."""
        return self.transform.covering(samples) if self.frames == 1 else samples

    def audio(self, spectrogram: Tensor, samples: int) -> Tensor:
        """The inverse of `spectrogram`: (batch, samples)."""
        padded = self._covering(max(samples, self.transform.shortest))
        own = self.transform.frames(padded) if self.frames == 1 else None
        x = spectrogram[:, 0, :, :own]
        return self.transform.inverse(x, padded)[:, :samples]


def _check_options(seed: int, dry: float) -> None:
    if index(seed) < 0:
        raise ArgumentError(f"seed must be at least 0, not {seed}")
    if not 0 <= dry <= 1:
        raise ArgumentError(f"dry must lie between 0 and 1, not {dry}")


def load(
    name_or_path: str | Path = "default",
    *,
    device: str | torch.device | None = None,
    solver: Solver | None = None,
    steps: int | None = None,
    shifts: int | None = None,
    compat: str | None = None,
    classes: Mapping[str, type] = CLASSES,
) -> Enhancer:
    """Load a model, ready to enhance.

    Args:
        name_or_path: "default" for the model in the package, a folder, a published checkpoint
            ("file.ckpt"), or "hf://owner/name" for a repository on the Hugging Face hub.
        device: where it runs; with CUDA where there is a GPU for it, else on the CPU. Others, such
            as "mps", only on request.
        solver, steps, shifts: in place of the recommended ones.
        compat: "sgmse" for the arithmetic of the published sampler, of a published checkpoint.
        classes: names in the model's config; extend `sgmse.checkpoints.CLASSES` by your own.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: there is no such device, or the model cannot be sampled so.
    """
    checkpoint = load_model(name_or_path, compat=compat, classes=classes)
    enhancer = Enhancer.of(checkpoint).with_sampler(solver, steps, shifts)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # Convolutions are fastest with channels last, on CPUs and GPUs alike.
        enhancer.model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).split("\n")[0].rstrip(".")
        raise ArgumentError(
            f"device {str(device)!r} is not available ({why}); use 'cpu'"
        ) from error
    return enhancer


@cache
def _default() -> Enhancer:
    return load()


def enhance(audio: Audio, sample_rate: int, *, seed: int = 0, dry: float = 0.0) -> Audio:
    """Enhance a recording with the default model; see `Enhancer.__call__`."""
    return _default()(audio, sample_rate, seed=seed, dry=dry)
