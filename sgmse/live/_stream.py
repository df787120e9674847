"""The stream: blocks in, as many samples out, later by a known delay.

    blocks -> the model's rate -> windows -> level -> model -> level -> pieces, faded together
           -> as loud as the speech was -> the stream's rate -> with the band above -> blocks

All of that is done when a piece is due, which depends on how many samples came and not on how they
were cut into blocks.
"""

from math import inf
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse._checks import an, flag, number, rate as checked_rate, whole
from sgmse.audio import Block, InMemory, floats_of
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.live._fifo import Fifo
from sgmse.live._frames import Frames, by_frames, frame_plan
from sgmse.live._pieces import Pieces, Plan
from sgmse.live._windows import Windows
from sgmse.postprocessing import share_of

Audio = TypeVar("Audio", NDArray[Any], Tensor)

LATENCY = 0.5  # seconds


class Stream:
    """A recording that is enhanced while it is made.

        stream = Stream(sgmse.load(quality="fast"), 48000)
        for block in microphone:
            loudspeaker.write(stream(block))
        loudspeaker.write(stream.flush())

    What goes out is what comes in, `delay` samples later: silence first, and after the last block
    `flush` gives what is still held. It has the level of what comes in. Each channel is enhanced as
    a stream of its own.

    Args:
        enhancer: any; its sampler and its shifts are used. `segment` and `overlap` are not.
        sample_rate: of the blocks, in Hz.
        latency: in seconds, which are not exceeded; the pieces are chosen for it. A causal model
            (`Network.causal`) has that of one frame, 32 ms of 510 samples at 16 kHz.
        pieces: in place of that, how the model hears the stream, in whole frames of it.
        seed: of the noise that the solver draws; a frame has the same in all windows.
        dry, strength, max_attenuation, upper_band: as for `Enhancer`. The band above that of the
            model is kept with the gains of the band below it, of models with a network for it, too.

    Raises:
        TypeError: options of a wrong type.
        ValueError: a latency that is too short for the model; a bad rate, seed or mix; a model that
            hears no recording.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        sample_rate: int,
        latency: float = LATENCY,
        *,
        pieces: Pieces | None = None,
        seed: int = 0,
        dry: float | None = None,
        strength: float | None = None,
        max_attenuation: float | None = None,
        upper_band: bool = True,
    ) -> None:
        an("enhancer", enhancer, Enhancer, "sgmse.load()")
        if pieces is not None:
            an("pieces", pieces, Pieces, "Pieces(piece=0.25, ahead=0.25)")
        self.enhancer = enhancer = enhancer.with_strength(strength)
        self.sample_rate = checked_rate("sample_rate", sample_rate)
        self._plan = Plan.of(enhancer, self.sample_rate, latency if pieces is None else pieces)
        frames = pieces is None and by_frames(enhancer)
        if frames:
            self._plan = frame_plan(enhancer, self._plan)
        self._delay = self._plan.delay
        if max_attenuation is not None and max_attenuation != inf:
            number("max_attenuation", max_attenuation, 0)
        least = share_of(max_attenuation)
        kept = enhancer.dry if dry is None else dry
        self._windows = (Frames if frames else Windows)(
            enhancer,
            self._plan,
            seed=whole("seed", seed, least=0),
            dry=1.0 if least == 1 else float(number("dry", kept, 0, 1)),
            least=least,
            upper_band=flag("upper_band", upper_band),
        )
        self.reset()

    @property
    def delay(self) -> int:
        """Samples by which what goes out is later than what comes in."""
        return self._delay

    @property
    def latency(self) -> float:
        """The same in seconds: that of the algorithm, beside which there is the time it takes."""
        return self._delay / self.sample_rate

    @property
    def pieces(self) -> Pieces:
        """How the model hears the stream, in seconds."""
        return self._plan.pieces(self.enhancer.front.sample_rate)

    @property
    def due(self) -> int:
        """Samples that complete the next piece: a block of fewer costs next to nothing."""
        return self._plan.due(self._piece) - self._received

    def reset(self) -> None:
        """Forget all that was heard; the next block begins a recording, of any channels."""
        self._kind: Any = None  # no samples, as the blocks are
        self._received, self._piece = 0, 0

    def __call__(self, block: Audio) -> Audio:
        """The next samples.

        Args:
            block: numpy array or tensor, (samples,) or (channels, samples) of any length, perhaps
                none; floats of full scale 1, or integers, as for `Enhancer`. It is not changed.

        Returns:
            As much, of the same type, precision and device: what came `delay` samples earlier.

        Raises:
            TypeError: what holds no numbers of a known full scale.
            ValueError: samples that are not finite, other channels than before, another shape.
                The stream stays as it was before.
            ResultError: a result that is not finite, or noise of the model; then `reset` it.
        """
        rows = self._checked(block)
        if self._kind is None:
            self._windows.begin(len(rows))
            self._out = Fifo(len(rows))
            self._out.put(np.zeros((len(rows), self._delay)))
        none = block[..., :0]
        self._kind = none.copy() if isinstance(none, np.ndarray) else none.clone()
        start = 0
        while start < rows.shape[1]:
            due = self._plan.due(self._piece)
            part = rows[:, start : start + due - self._received]
            self._windows.put(part)
            self._received += part.shape[1]
            start += part.shape[1]
            if self._received == due:
                self._out.put(self._windows.piece(self._piece))
                self._piece += 1
        return cast("Audio", self._like(self._out.take(rows.shape[1])))

    def flush(self) -> Any:
        """The last `delay` samples; the next block begins a recording.

        Of the shape and type of the blocks; (0,) without any.
        """
        if self._kind is None:
            return np.zeros(0, np.float32)
        self._out.put(self._windows.last(self._piece, self._received))
        rest = self._like(self._out.take(self._delay))
        self.reset()
        return rest

    def whole(self, audio: Audio) -> Audio:
        """What the stream makes of a recording, without the delay: of the shape of `audio`.

        (samples,) or (channels, samples). However a recording is cut into blocks, the results in a
        row are this, after `delay` samples of silence. The stream begins anew, before and after.
        """
        self.reset()
        first, rest = self(audio), self.flush()
        if isinstance(audio, np.ndarray):
            return np.concatenate([first, rest], -1)[..., self._delay :]
        return torch.cat([first, rest], -1)[..., self._delay :]

    def _checked(self, block: Any) -> Block:
        """The numbers of a block, (channels, samples)."""
        rows = floats_of(block)
        if rows.ndim not in (1, 2):
            raise ArgumentError(
                f"block must be (samples,) or (channels, samples), not {rows.shape}"
            )
        kind = self._kind
        if kind is not None and (kind.ndim != rows.ndim or kind.shape[:-1] != rows.shape[:-1]):
            was = "(samples,)" if kind.ndim == 1 else f"({kind.shape[0]}, samples)"
            raise ArgumentError(
                f"block has the shape {rows.shape}, and those before {was}; "
                "after flush() or reset() there may be other channels"
            )
        if kind is not None and (type(kind), kind.dtype) != (type(block), block.dtype):
            raise ArgumentTypeError(
                f"block holds {block.dtype} in {type(block).__name__}, and those before "
                f"{kind.dtype} in {type(kind).__name__}; after flush() or reset() that may change"
            )
        rows = rows[None] if rows.ndim == 1 else rows
        if not len(rows):
            raise ArgumentError("block has no channels")
        if not np.isfinite(rows).all():
            channel, sample = np.argwhere(~np.isfinite(rows))[0]
            raise ArgumentError(
                f"block holds {rows[channel, sample]} in channel {channel} at sample {sample}; "
                "replace what is not finite, and go on"
            )
        return rows

    def _like(self, rows: Block) -> Any:
        """A result as the blocks are."""
        kind, shape = self._kind, (*self._kind.shape[:-1], rows.shape[1])
        numpy = isinstance(kind, np.ndarray)
        if numpy and kind.dtype.kind == "f":
            return rows.reshape(shape).astype(kind.dtype)
        example = np.empty(shape, kind.dtype) if numpy else kind.new_empty(shape)
        return InMemory(example, (rows,), last=False).like([rows])
