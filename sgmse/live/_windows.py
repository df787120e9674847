"""What the model hears of a stream and what becomes of it, window after window."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgmse._device import sent
from sgmse.audio import Block, resampled_length
from sgmse.enhancer import Enhancer
from sgmse.errors import ResultError
from sgmse.live._fifo import Fifo
from sgmse.live._level import RunningLevel
from sgmse.live._pieces import Plan
from sgmse.postprocessing import POSSIBLE, Level, Plausibility, at_least, check_finite, gains
from sgmse.solvers import Step

#: Seconds in which what was heard of the level of speech counts half, as offline.
HALVED = 20.0
#: Seconds around a piece that its gains above the band of the model look at.
AROUND = 0.1
#: Frames whose noise is drawn at once.
DRAWN = 64


class FrameDraws:
    """CN(0, 1) noise that depends on a seed, on where a frame lies in a stream, and on a count.

    So a frame has the same in every window that has it, in every channel.
    """

    def __init__(self, seed: int, frame: int, place: int) -> None:
        self.seed, self.frame, self.place = seed, frame, place
        self.count = 0

    def __call__(self, like: Tensor) -> Tensor:
        """Noise like a complex (batch, 1, frequency, frame) tensor."""
        *_, frequencies, frames = like.shape
        first, last = self.frame // DRAWN, (self.frame + frames - 1) // DRAWN
        every = [self._some(number, frequencies) for number in range(first, last + 1)]
        start = self.frame - first * DRAWN
        z = np.concatenate(every)[start : start + frames]
        self.count += 1
        noise = (torch.view_as_complex(torch.from_numpy(z)).T / 2**0.5).to(like.dtype)
        return sent(noise.T, like.device).T.expand_as(like)

    def _some(self, number: int, frequencies: int) -> NDArray[np.float32]:
        """`DRAWN` frames, the first of which is that many times the number."""
        generator = np.random.default_rng([self.seed, number, self.count, self.place])
        return generator.standard_normal((DRAWN, frequencies, 2), dtype=np.float32)


class Windows:
    """Raw samples in, pieces of the result out, both at the rate of the stream.

    Args:
        enhancer: of each window.
        plan: where windows and pieces lie.
        seed: of the noise.
        dry: share of the stream in the result.
        least: share of the stream that stays in every bin.
        upper_band: whether what lies above the band of the model is kept.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        plan: Plan,
        *,
        seed: int,
        dry: float,
        least: float,
        upper_band: bool,
    ) -> None:
        self.enhancer, self.plan = enhancer, plan
        self.seed, self.dry, self.least = seed, dry, least
        self.rate = enhancer.front.sample_rate
        other_rate = plan.down.up != plan.down.down
        self.upper_band = upper_band and plan.down.up < plan.down.down
        self.tracks = self.upper_band or (least > 0 and other_rate)

    def begin(self, channels: int) -> None:
        """Forget all that was heard."""
        plan = self.plan
        plan.down.reset()
        plan.up.reset()
        self._raw, self._original = Fifo(channels), Fifo(channels)
        self._heard: Block = np.empty((channels, 0))
        self._first = 0  # of what is held, at the rate of the model
        self._tail: Block = np.empty((channels * (3 if self.tracks else 1), 0))
        self._running = RunningLevel()
        kept = 0.5 ** (plan.piece / self.rate / HALVED)
        self._level = Level(self.rate, kept=kept) if self._level_kept else None
        self._plausibility = Plausibility()

    @property
    def _level_kept(self) -> bool:
        return self.enhancer.front.level == "kept"

    def put(self, block: Block) -> None:
        """Append samples (channels, samples)."""
        self._raw.put(block)
        self._original.put(block)

    def piece(self, number: int) -> Block:
        """What a piece that is due makes ready."""
        plan = self.plan
        start = number * plan.piece
        self._hear(plan.down(self._raw.take(self._raw.waiting)))
        made = self._made(start, start + plan.piece + plan.fade, start + plan.piece + plan.ahead)
        self._tail, body = made[:, plan.piece :], self._faded(made)[:, : plan.piece]
        return self._mixed(plan.up(body))

    def last(self, number: int, samples: int) -> Block:
        """The rest of a stream of so many samples, whose next piece is that."""
        plan = self.plan
        start = number * plan.piece
        end = resampled_length(samples, plan.down.down, plan.down.up)
        self._hear(plan.down(self._raw.take(self._raw.waiting), end))
        body = self._faded(self._made(start, end, end))
        return self._mixed(plan.up(body, samples))

    def _hear(self, block: Block) -> None:
        self._heard = np.concatenate([self._heard, block], axis=1)

    def _faded(self, made: Block) -> Block:
        """With the end of the piece before: cos^2 from it to what is new."""
        length = min(self._tail.shape[1], made.shape[1])
        if length == 0:
            return made
        w = np.cos(np.linspace(0, np.pi / 2, self._tail.shape[1]))[:length] ** 2
        head = made[:, :length] + w * (self._tail[:, :length] - made[:, :length])
        return np.concatenate([head, made[:, length:]], axis=1)

    def _made(self, start: int, end: int, heard: int) -> Block:
        """Samples `start` to `end` at the rate of the model, of a window that ends at `heard`.

        The rows of the result; with tracks those of what was heard, and of the gains of the rest.
        """
        first = max(start - self.plan.before, self._first)
        self._heard, self._first = self._heard[:, first - self._first :], first
        window = self._heard[:, : heard - first]
        if end <= start:
            return self._tail[:, :0]
        level = self._running(window, self.plan.piece / self.rate)
        sounding = np.abs(window).max(axis=1) > 0
        scale = np.where(level > 0, level, 1)[:, None]
        noisy: Block = window / scale
        clean: Block = np.zeros_like(noisy)
        if sounding.any():
            clean[sounding] = self._enhanced(noisy[sounding], first)
        piece = slice(start - first, end - first)
        if self._level is not None:
            gain = self._level.gain((clean * scale)[:, piece], window[:, piece])
            clean = self._level.raised(clean, gain)
        if self.least > 0:
            clean = at_least(clean, noisy, self.least, self.rate)
        rows = [clean[:, piece] * scale]
        if self.tracks:
            track: Block = np.zeros_like(rows[0])
            if self.upper_band:
                near = slice(max(piece.start - round(AROUND * self.rate), 0), None)
                track = gains(clean[:, near], noisy[:, near], self.rate)
                track = track[:, piece.start - near.start :][:, : end - start]
            rows += [window[:, piece], np.maximum(track, self.least)]
        return np.concatenate(rows)

    def _mixed(self, made: Block) -> Block:
        """With what lies above the band of the model, and with the stream itself."""
        y = self._original.take(made.shape[1])
        x = made
        if self.tracks:
            x, v, g = made.reshape(3, len(made) // 3, made.shape[1])
            x = x + np.clip(g, 0, 1) * (y - v)
        return x if self.dry == 0 else (1 - self.dry) * x + self.dry * y

    @torch.inference_mode()
    def _enhanced(self, noisy: Block, first: int) -> Block:
        """A window (channels, samples) that begins with that sample, as the model gives it."""
        audio = torch.from_numpy(noisy.astype(np.float32))
        batches = torch.split(audio, self.enhancer.channels_at_once)
        clean = torch.cat([self._mean(batch, first) for batch in batches]).cpu().numpy()
        check_finite(clean, self.enhancer.sampler)
        self._judge(clean, noisy)
        return clean.astype(np.float64)

    def _judge(self, clean: Block, noisy: Block) -> None:
        """Raise `ResultError` for what is like nothing in the stream; (channels, samples) each."""
        self._plausibility.judge(clean, noisy, self.rate)
        if self._plausibility.excess > POSSIBLE and not self.enhancer.force:
            raise ResultError(
                f"the result is noise: {self._plausibility.excess:.0%} of its energy is where the "
                "stream has next to none; sample the model as it recommends, or take another one; "
                "to hear it all the same use --force (force=True)"
            )

    def _mean(self, batch: Tensor, first: int) -> Tensor:
        """Of what is drawn with the frames at other places."""
        front, sampler = self.enhancer.front, self.enhancer.sampler
        frame = first // front.transform.hop
        outputs = []
        for place, delay in enumerate(front.delays(sampler.shifts)):
            delayed = torch.nn.functional.pad(batch, (delay, 0))
            draws = FrameDraws(self.seed, frame, place)
            x, samples = self.enhancer.spectrogram(delayed), delayed.shape[1]
            outputs.append(self.enhancer.sampled(x, samples, draws, _unseen)[:, delay:])
        return torch.stack(outputs).mean(dim=0)


def _unseen(step: Step) -> None:
    """Nobody looks at the steps."""
