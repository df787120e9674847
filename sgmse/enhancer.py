"""Audio in, clean audio out: rates, levels, channels, long recordings and files around a model.

A recording passes as a stream, so that its length does not matter:

    blocks -> the model's rate -> segments -> spectrogram -> solve -> audio -> faded together
           -> the recording's rate -> mixed with the input -> blocks

Each channel is enhanced as a recording of its own, at its own level, with the same noise as the
others: so a channel never changes another one, and what was in the middle stays there.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse import audio as files
from sgmse.checkpoints import CLASSES, Checkpoint, locate
from sgmse.checkpoints import load as load_checkpoint
from sgmse.model import ScoreModel
from sgmse.solvers import Grid, Solver, solve
from sgmse.transforms import Spectrogram

Audio = TypeVar("Audio", NDArray[np.floating], Tensor)
#: Called with the seconds of audio that are done since the last call.
Progress = Callable[[float], None]

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


@dataclass(frozen=True, eq=False)
class Enhancer:
    """A model with all that is needed to enhance recordings.

    Args:
        model: network, process and parametrization.
        transform: the spectrogram that the network works on.
        solver, grid: the sampler.
        sample_rate: of the model, in Hz; other rates are resampled there and back.
        padding: what frames are padded with to a number that the network divides.
        segment: seconds that are enhanced in one piece; longer recordings are cut, and the pieces
            (up to one and a half times as long) faded into each other.
        overlap: seconds of the fades.
    """

    model: ScoreModel
    transform: Spectrogram
    solver: Solver
    grid: Grid
    sample_rate: int
    padding: Literal["zero", "reflect"] = "zero"
    segment: float = 20.0
    overlap: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < 2 * self.overlap <= self.segment:
            raise ValueError(
                f"segment {self.segment} s must be at least twice overlap {self.overlap} s, "
                "and both positive"
            )

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Enhancer":
        """The enhancer of a checkpoint, with its recommended sampler."""
        return cls(
            checkpoint.model,
            checkpoint.transform,
            checkpoint.solver,
            checkpoint.grid,
            checkpoint.sample_rate,
            checkpoint.padding,
        )

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
            ValueError: audio that is empty, not finite or of another shape; a bad rate or mix.
        """
        _check(audio, sample_rate, dry)
        tensor = audio if isinstance(audio, Tensor) else torch.from_numpy(np.asarray(audio))
        samples = tensor.detach().cpu().to(torch.float64 if self._double else torch.float32)
        rows = samples.reshape(-1, samples.shape[-1]).numpy()
        out = self._stream([rows], _peaks([rows]), rows.shape[1], sample_rate, seed, dry, progress)
        result = torch.from_numpy(np.concatenate(list(out), axis=1)).reshape(tensor.shape)
        result = result.to(tensor.device, tensor.dtype)
        return result if isinstance(audio, Tensor) else result.numpy()

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
            target: where the result goes; `<name>_enhanced.<suffix>` beside the source if absent.
            seed, dry, progress: as for a call with an array.
            format: of the target, such as "flac"; that of its suffix or of the source if absent.
            overwrite: replace a target that exists.

        Returns:
            The target's path. It has the rate, channels and length of the source, and its coding
            where the target's format allows it.

        Raises:
            AudioError: a source that cannot be read or a target that cannot be written; then
                nothing is left at the target, and what stood there still does.
        """
        source = Path(source)
        target = beside(source, format) if target is None else Path(target)
        _check_mix(dry)
        about = files.info(source)
        files.written_as(target, about, format)
        if target.exists() and not overwrite:
            raise files.AudioError(target, "exists already", "choose another name or overwrite it")
        if target.exists() and target.samefile(source):
            raise files.AudioError(target, "is the input itself", "choose another name")
        peaks = _peaks(files.blocks(source))
        with files.Writer(target, about, format) as writer:
            stream = self._stream(
                files.blocks(source), peaks, about.frames, about.sample_rate, seed, dry, progress
            )
            for block in stream:
                writer.write(block)
        return target

    @property
    def _double(self) -> bool:
        return next(self.model.parameters()).dtype == torch.float64

    def _stream(
        self,
        blocks: Iterable[NDArray[np.floating]],
        peaks: NDArray[np.floating],
        length: int,
        sample_rate: int,
        seed: int,
        dry: float,
        progress: Progress | None,
    ) -> Iterator[NDArray[np.floating]]:
        """The enhanced blocks (channels, samples) of a recording of `length` samples."""
        waiting: deque[NDArray[np.floating]] = deque()  # input that its output has yet to meet

        def remembered() -> Iterator[NDArray[np.floating]]:
            for block in blocks:
                if dry > 0:
                    waiting.append(block)
                yield block

        levels = np.where(peaks > 0, peaks, 1)[:, None].astype(peaks.dtype)
        scaled = (block / levels for block in remembered())
        low = files.resample_blocks(scaled, sample_rate, self.sample_rate)
        clean = self._faded(low if sample_rate != self.sample_rate else scaled, seed, progress)
        if sample_rate != self.sample_rate:
            clean = files.resample_blocks(clean, self.sample_rate, sample_rate, length)
        for block in clean:
            # A silent channel stays exactly silent.
            out = np.where(peaks[:, None] > 0, block * levels, 0).astype(block.dtype)
            if dry > 0:
                out = (1 - dry) * out + dry * _take(waiting, out.shape[1])
            yield out

    def _faded(
        self, blocks: Iterable[NDArray[np.floating]], seed: int, progress: Progress | None
    ) -> Iterator[NDArray[np.floating]]:
        """Segments of the stream, enhanced, each faded into the next: as many samples as came."""
        overlap = round(self.overlap * self.sample_rate)
        rise = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32)) ** 2
        tail: NDArray[np.floating] | None = None
        cuts = segments(blocks, round(self.segment * self.sample_rate), overlap)
        for index, (segment, last) in enumerate(cuts):
            clean = self._enhance(segment, seed, index, progress)
            if tail is not None:
                clean[:, :overlap] = rise * clean[:, :overlap] + (1 - rise) * tail
            keep = clean.shape[1] if last else clean.shape[1] - overlap
            tail = clean[:, keep:]
            yield clean[:, :keep]

    @torch.inference_mode()
    def _enhance(
        self, segment: NDArray[np.floating], seed: int, index: int, progress: Progress | None
    ) -> NDArray[np.floating]:
        """One segment (channels, samples) at the model's rate, in batches of channels."""
        like = next(self.model.parameters())
        seconds = segment.shape[1] / self.sample_rate
        batches = torch.from_numpy(segment).to(like).split(CHANNELS_AT_ONCE)

        def report(done: int, steps: int) -> None:
            if progress is not None:
                progress(seconds / steps / len(batches))

        outputs = []
        for batch in batches:
            y = self.spectrogram(batch)
            noise = Draws(seed, index)
            x = solve(self.model, y, self.solver, self.grid, randn=noise, callback=report).x
            outputs.append(self.audio(x, batch.shape[1]))
        return torch.cat(outputs).cpu().numpy()

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to (batch, 1, frequency, frame), padded as the network needs it."""
        missing = max(self.transform.shortest - audio.shape[1], 0)
        x = self.transform.forward(torch.nn.functional.pad(audio, (0, missing)))[:, None]
        extra = -x.shape[-1] % self.model.network.divisor[1]
        if extra and self.padding == "reflect":
            # In pieces, since a reflection is shorter than what it reflects.
            while extra:
                piece = min(extra, x.shape[-1] - 1)
                x = torch.cat([x, x[..., -1 - piece : -1].flip(-1)], dim=-1)
                extra -= piece
        return torch.nn.functional.pad(x, (0, extra))

    def audio(self, spectrogram: Tensor, samples: int) -> Tensor:
        """The inverse of `spectrogram`: (batch, samples)."""
        padded = max(samples, self.transform.shortest)
        x = spectrogram[:, 0, :, : self.transform.frames(padded)]
        return self.transform.inverse(x, padded)[:, :samples]

    def with_sampler(self, solver: Solver | None = None, steps: int | None = None) -> "Enhancer":
        """The same model with another solver or number of steps."""
        solver = self.solver if solver is None else solver
        grid = self.grid if steps is None else replace(self.grid, steps=steps)
        if self.model.sde.pinned and not solver.leaves_a_point:
            grid = replace(grid, start=min(grid.start, 0.999))
        return replace(self, solver=solver, grid=grid)


def beside(source: Path, suffix: str | None = None) -> Path:
    """`<name>_enhanced` beside a file, with its own suffix or another one."""
    ending = source.suffix if suffix is None else f".{suffix.lower().removeprefix('.')}"
    return source.with_name(f"{source.stem}_enhanced{ending}")


def segments(
    blocks: Iterable[NDArray[np.floating]], length: int, overlap: int
) -> Iterator[tuple[NDArray[np.floating], bool]]:
    """Cut a stream (channels, ...) into pieces of `length` that share `overlap` samples.

    Each comes with whether it is the last one, which has `length / 2` to `3 length / 2` samples
    (less if it is the only one), so that no piece lacks context.
    """
    held: list[NDArray[np.floating]] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        while count > length + length // 2:
            joined = np.concatenate(held, axis=1)
            yield joined[:, :length], False
            held = [joined[:, length - overlap :]]
            count -= length - overlap
    if count:
        yield np.concatenate(held, axis=1), True


def _peaks(blocks: Iterable[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The largest magnitude of each channel, (channels,)."""
    return np.max([np.abs(block).max(axis=1) for block in blocks], axis=0)


def _take(waiting: deque[NDArray[np.floating]], count: int) -> NDArray[np.floating]:
    """The next `count` samples of the blocks that wait, which lose them."""
    taken = []
    while count > 0:
        block = waiting.popleft()
        taken.append(block[:, :count])
        if block.shape[1] > count:
            waiting.appendleft(block[:, count:])
        count -= taken[-1].shape[1]
    return np.concatenate(taken, axis=1)


def _check_mix(dry: float) -> None:
    if not 0 <= dry <= 1:
        raise ValueError(f"dry must lie between 0 and 1, not {dry}")


def _check(audio: NDArray[np.floating] | Tensor, sample_rate: int, dry: float) -> None:
    _check_mix(dry)
    if sample_rate <= 0 or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate must be a positive whole number of Hz, not {sample_rate}")
    if isinstance(audio, Tensor):
        floating = audio.is_floating_point()
    else:
        floating = np.issubdtype(np.asarray(audio).dtype, np.floating)
    if not floating:
        raise TypeError(
            f"audio must be floating point in [-1, 1], not {audio.dtype}; "
            "divide 16 bit integers by 32768"
        )
    shape = tuple(audio.shape)
    if len(shape) not in (1, 2):
        raise ValueError(f"audio must be (samples,) or (channels, samples), not {shape}")
    if 0 in shape:
        raise ValueError(f"audio of shape {shape} is empty; give at least one sample")
    if len(shape) == 2 and shape[0] > max(shape[1], 8):
        raise ValueError(
            f"audio of shape {shape} looks like (samples, channels); pass audio.T instead"
        )
    finite = audio.isfinite().all() if isinstance(audio, Tensor) else np.isfinite(audio).all()
    if not finite:
        raise ValueError("audio holds NaN or infinite samples; replace them first")


def load(
    name_or_path: str | Path = "default",
    *,
    device: str | torch.device | None = None,
    solver: Solver | None = None,
    steps: int | None = None,
    classes: Mapping[str, type] = CLASSES,
) -> Enhancer:
    """Load a model, ready to enhance.

    Args:
        name_or_path: "default" for the model in the package, a folder, or a hub repository.
        device: where it runs; a GPU if there is one, else the CPU.
        solver, steps: in place of the recommended ones.
        classes: names in the model's config; extend `sgmse.checkpoints.CLASSES` by your own.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
    """
    checkpoint = load_checkpoint(locate(name_or_path), classes=classes)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    # Convolutions are fastest with channels last, on CPUs and GPUs alike.
    checkpoint.model.to(torch.device(device))
    for parameter in checkpoint.model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return Enhancer.of(checkpoint).with_sampler(solver, steps)


@cache
def _default() -> Enhancer:
    return load()


def enhance(audio: Audio, sample_rate: int, *, seed: int = 0, dry: float = 0.0) -> Audio:
    """Enhance a recording with the default model; see `Enhancer.__call__`."""
    return _default()(audio, sample_rate, seed=seed, dry=dry)
