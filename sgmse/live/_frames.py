"""A causal model, frame by frame: each sample is heard once, and the latency is one window.

A network that remembers what it has heard (`Network.advance`) gives a frame of the result as soon
as that frame of the recording is there; its sound is added to that of those before it, and what no
later frame reaches is done. The result is that of the whole recording at once, to rounding.
"""

from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from sgmse._device import precision, sent
from sgmse.audio import Block
from sgmse.enhancer import Enhancer
from sgmse.live._fifo import Fifo
from sgmse.live._pieces import Plan
from sgmse.live._spectra import FrameSpectra
from sgmse.live._windows import FrameDraws, Windows
from sgmse.model import Regeneration, ScoreModel, assemble
from sgmse.networks import Advance, Memory, Network, Wrapped
from sgmse.postprocessing import check_finite, gains
from sgmse.solvers import Step, solve

#: Seconds before a piece that its gains above the band of the model look at: as far as they reach.
BEFORE = 0.04
#: Seconds that are judged at once: a block of `sgmse.postprocessing.Plausibility`.
JUDGED = 1.0


class Remembering(Network):
    """A causal network that goes on where it was, in each of its evaluations of a piece."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.divisor, self.observations = network.divisor, network.observations
        self.begin()

    def begin(self) -> None:
        """Forget all that was heard."""
        self._steps: list[Advance] = []
        self._memories: list[Memory | None] = []
        self.next()

    def next(self) -> None:
        """The evaluations that follow are of the next frames."""
        self._evaluation = 0

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        i, time = self._evaluation, float(t[0])
        if i == len(self._steps):
            self._steps.append(self.network.advancing(time))
            self._memories.append(None)
        if self._steps[i].t != time:
            self._steps[i] = self.network.advancing(time)
        out: Tensor
        out, self._memories[i] = self._steps[i](x, y, self._memories[i])
        self._evaluation += 1
        return out


class Once:
    """One evaluation at the observation, frame by frame: the estimate of a model of one network.

    It is what `solve` gives, without what solvers need of states and times.
    """

    def __init__(self, model: ScoreModel) -> None:
        network: Network = model.network
        self.model, self.end = model, torch.ones(1, device=next(network.parameters()).device)
        none, end = torch.zeros(1, 1, 1, 1), torch.ones(1)
        *_, time = model.parametrization.inputs(none, none, end, model.sde)
        self._advance = network.advancing(float(time))
        self._memory: Memory | None = None

    def __call__(self, y: Tensor) -> Tensor:
        """The next frames (channels, 1, frequency, frame)."""
        sde, parametrization = self.model.sde, self.model.parametrization
        x, seen, _ = parametrization.inputs(y, y, self.end, sde)
        parts = torch.view_as_real(x[:, 0]).permute(0, 3, 1, 2)
        own = parts if seen is x else torch.view_as_real(seen[:, 0]).permute(0, 3, 1, 2)
        out, self._memory = self._advance(parts, own, self._memory)
        out = out.to(y.real.dtype)  # autocast may have computed it in another precision
        made = torch.complex(out[:, :1], out[:, 1:])
        return parametrization.clean(made, y, y, self.end, sde)


class Shared(Wrapped):
    """A causal network that is prepared once for all streams, of the weights that it has then."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._prepared: dict[float, Advance] = {}
        self._preparing = Lock()

    @override
    def advancing(self, t: float) -> Advance:
        with self._preparing:
            if t not in self._prepared:
                self._prepared[t] = self.network.advancing(t)
        return self._prepared[t]


def shared(enhancer: Enhancer) -> Enhancer:
    """For many streams, of a causal model: they have one copy of its weights in common."""
    if not by_frames(enhancer):
        return enhancer
    own = {name: Shared(network) for name, network in networks_of(enhancer.model).items()}
    return replace(enhancer, model=assemble(**enhancer.model.parts | own).eval())


def networks_of(model: ScoreModel | Regeneration) -> dict[str, Network]:
    """Its networks, by their names among its parts."""
    return {name: part for name, part in model.parts.items() if isinstance(part, Network)}


def by_frames(enhancer: Enhancer) -> bool:
    """Whether nothing in it hears what is to come, beyond a frame."""
    networks = networks_of(enhancer.model).values()
    alone = enhancer.sampler.shifts == 1 and not enhancer.model.parts.get("moved")
    alone &= enhancer.front.transform.spectral is not None
    return alone and enhancer.front.level == "published" and all(n.causal for n in networks)


def frame_plan(enhancer: Enhancer, plan: Plan) -> Plan:
    """That of a causal model, at the rates of a plan: pieces of a hop, and what a window needs."""
    hop, half = enhancer.front.transform.hop, enhancer.front.transform.n_fft // 2
    ahead = (half - 1) // hop * hop + half
    return Plan(hop, ahead, 0, 0, plan.down, plan.up)


class Frames(Windows):
    """`Windows` of a causal model: of each only the frames that are new."""

    @override
    def begin(self, channels: int) -> None:
        super().begin(channels)
        model = self.enhancer.model
        self._once = None
        if isinstance(model, ScoreModel) and self.enhancer.sampler.once(model.sde):
            self._once = Once(model)
        own = {name: Remembering(network) for name, network in networks_of(model).items()}
        self._model = assemble(**model.parts | own).eval()
        self._remembering = own.values()
        self._weights = next(model.parameters())  # of a causal network, which has some
        self._before: Block = np.empty((2 * channels, 0))  # what was heard last, and its result
        front = self.enhancer.front
        spectrogram = front.transform.spectral
        assert spectrogram is not None  # or it would not be `by_frames`
        self._frames = FrameSpectra(front, spectrogram, channels)
        self._unjudged, self._peak = Fifo(2 * channels), 0.0

    @override
    def _hear(self, block: Block) -> None:
        super()._hear(block)
        self._frames.hear(block)

    @override
    @torch.inference_mode()
    def _made(self, start: int, end: int, heard: int) -> Block:
        if end <= start:
            return self._tail[:, :0]
        frames = self._frames
        if end == heard:
            frames.last(heard)
        y = frames.next()
        if y.shape[-1]:
            frames.sound(self._advanced(y))
        clean = frames.given(start, end)
        check_finite(clean, self.enhancer.sampler)
        noisy = self._heard[:, start - self._first : end - self._first]
        self._unjudged.put(np.concatenate([clean, noisy]))
        if self._unjudged.waiting >= JUDGED * self.rate or end == heard:
            self._judge_waiting()
        self._heard, self._first = self._heard[:, end - self._first :], end
        return self._tracked(clean, noisy)

    def _judge_waiting(self) -> None:
        """Judge what was made since the last time, beside the loudest that was heard so far."""
        clean, noisy = np.split(self._unjudged.take(self._unjudged.waiting), 2)
        self._peak = max(self._peak, np.abs(noisy).max(initial=0.0))
        if self._peak > 0:
            self._judge(clean / self._peak, noisy / self._peak)

    def _advanced(self, y: Tensor) -> Tensor:
        """The next frames (channels, 1, frequency, frame), as the sampler makes them."""
        device, dtype = self._weights.device, self._weights.dtype.to_complex()
        seen = sent(y.to(dtype), device)
        with precision(device, self.enhancer.precision):
            made = self._solved(seen) if self._once is None else self._once(seen)
        x = made.to(y)
        transform = self._frames.transform
        if self.enhancer.strength != 1:
            x = transform.moderated(x, y, self.enhancer.strength)
        if self.least > 0:  # of the magnitudes before they were compressed
            compression = transform.compression
            whole, made = self.least * compression.expand(y), compression.expand(x)
            x = torch.where(made.abs() < whole.abs(), compression.compress(whole), x)
        return x

    def _solved(self, y: Tensor) -> Tensor:
        """What any sampler gives."""
        for network in self._remembering:
            network.next()
        model, anchor = self._model.observe(y)
        sampler = self.enhancer.sampler
        if not sampler.grid.steps:
            return anchor
        draws = FrameDraws(self.seed, self._frames.done - y.shape[-1], 0)
        return solve(model, anchor, sampler.solver, sampler.grid, randn=draws, callback=_unseen).x

    def _tracked(self, clean: Block, noisy: Block) -> Block:
        """The result, with what was heard and the gains of the rest where these are asked for."""
        if not self.tracks:
            return clean
        track: Block = np.zeros_like(clean)
        if self.upper_band:
            now = np.concatenate([noisy, clean])
            before = self._before[:, -round(BEFORE * self.rate) :]
            self._before = np.concatenate([before, now], axis=1)
            heard, made = self._before.reshape(2, -1, max(self._before.shape[1], 1))
            track = gains(made, heard, self.rate)[:, -clean.shape[1] :]
        return np.concatenate([clean, noisy, np.maximum(track, self.least)])


def _unseen(step: Step) -> None:
    """Nobody looks at the steps."""
