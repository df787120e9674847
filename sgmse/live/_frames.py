"""A causal model, frame by frame: each sample is heard once, and the latency is one window.

A network that remembers what it has heard (`Network.advance`) gives a frame of the result as soon
as that frame of the recording is there; its sound is added to that of those before it, and what no
later frame reaches is done. The result is that of the whole recording at once, to rounding.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import override

from sgmse.audio import Block
from sgmse.enhancer import Enhancer
from sgmse.errors import ResultError
from sgmse.live._pieces import Plan
from sgmse.live._windows import AROUND, FrameDraws, Windows
from sgmse.model import Regeneration, ScoreModel, assemble
from sgmse.networks import Advance, Memory, Network
from sgmse.postprocessing import gains
from sgmse.solvers import Step, solve


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
        self.model, self.end = model, torch.ones(1)
        none = torch.zeros(1, 1, 1, 1)
        *_, time = model.parametrization.inputs(none, none, self.end, model.sde)
        network: Network = model.network
        self._advance = network.advancing(float(time))
        self._memory: Memory | None = None

    def __call__(self, y: Tensor) -> Tensor:
        """The next frames (channels, 1, frequency, frame)."""
        sde, parametrization = self.model.sde, self.model.parametrization
        x, seen, _ = parametrization.inputs(y, y, self.end, sde)
        parts = (torch.view_as_real(z[:, 0]).permute(0, 3, 1, 2) for z in (x, seen))
        out, self._memory = self._advance(*parts, self._memory)
        made = torch.complex(out[:, :1], out[:, 1:])
        return parametrization.estimate(made, y, y, self.end, sde).x0


def networks_of(model: ScoreModel | Regeneration) -> dict[str, Network]:
    """Its networks, by their names among its parts."""
    return {name: part for name, part in model.parts.items() if isinstance(part, Network)}


def by_frames(enhancer: Enhancer) -> bool:
    """Whether nothing in it hears what is to come, beyond a frame."""
    networks = networks_of(enhancer.model).values()
    alone = enhancer.sampler.shifts == 1 and not enhancer.model.parts.get("moved")
    alone = alone and enhancer.front.transform.learned is None  # which hears frames around
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
        self._done = 0  # frames
        self._spectra: Tensor | None = None  # the last of them, as far as they still sound
        self._before: Block = np.empty((2 * channels, 0))  # what was heard last, and its result
        transform = self.enhancer.front.transform
        self._reach = -(-(transform.n_fft // 2) // transform.hop)  # frames that a sample is in

    @override
    def _made(self, start: int, end: int, heard: int) -> Block:
        if end <= start:
            return self._tail[:, :0]
        front = self.enhancer.front
        hop, half = front.transform.hop, front.transform.n_fft // 2
        first = self._first_frame(self._done)
        self._heard = self._heard[:, first * hop - self._first :]
        self._first = first * hop
        ends = end == heard
        x = torch.from_numpy(self._heard[:, : heard - self._first].astype(np.float32))
        if ends:
            x = self._ended(x, heard)
        frames = 1 + x.shape[1] // hop if ends else (heard - half) // hop + 1 - first
        y = front.transform.forward(x)[:, None, :, self._done - first : frames]
        made = self._advanced(y)
        self._done = first + frames
        kept = made if self._spectra is None else torch.cat([self._spectra, made], dim=-1)
        oldest = self._done - kept.shape[-1]
        audio = front.transform.inverse(kept[:, 0], (frames + first - 1 - oldest) * hop + 1 + half)
        clean = audio[:, start - oldest * hop : end - oldest * hop].double().numpy()
        self._spectra = kept[..., self._first_frame(self._done) - oldest :]
        noisy = self._heard[:, start - self._first : end - self._first]
        return self._tracked(clean, noisy)

    def _first_frame(self, done: int) -> int:
        """The first frame that a sound shares samples with which starts at the frame `done`."""
        return max(done - 2 * self._reach, 0)

    def _ended(self, x: Tensor, samples: int) -> Tensor:
        """What was heard, up to the end of a recording of so many samples, as offline."""
        front = self.enhancer.front
        x = pad(x, (0, max(front.transform.shortest - samples, 0)))
        samples = max(samples, front.transform.shortest)
        more = (front.transform.covering(samples) if front.tail == "cover" else samples) - samples
        return pad(x, (0, more), "reflect" if front.transform.ends == "reflect" else "constant")

    @torch.inference_mode()
    def _advanced(self, y: Tensor) -> Tensor:
        """The next frames (channels, 1, frequency, frame), as the sampler makes them."""
        x = self._solved(y) if self._once is None else self._once(y)
        if self.least > 0:  # of the magnitudes before they were compressed
            compression = self.enhancer.front.transform.compression
            whole, made = self.least * compression.expand(y), compression.expand(x)
            x = torch.where(made.abs() < whole.abs(), compression.compress(whole), x)
        if not torch.isfinite(torch.view_as_real(x)).all():
            raise ResultError(
                f"{self.enhancer.sampler} gave samples that are not finite; sample the model as it "
                "recommends, without a solver and steps of your own"
            )
        return x

    def _solved(self, y: Tensor) -> Tensor:
        """What any sampler gives."""
        for network in self._remembering:
            network.next()
        model, anchor = self._model.observe(y)
        sampler = self.enhancer.sampler
        if not sampler.grid.steps:
            return anchor
        draws = FrameDraws(self.seed, self._done, 0)
        return solve(model, anchor, sampler.solver, sampler.grid, randn=draws, callback=_unseen).x

    def _tracked(self, clean: Block, noisy: Block) -> Block:
        """The result, with what was heard and the gains of the rest where these are asked for."""
        if not self.tracks:
            return clean
        track: Block = np.zeros_like(clean)
        if self.upper_band:
            now = np.concatenate([noisy, clean])
            before = self._before[:, -round(AROUND * self.rate) :]
            self._before = np.concatenate([before, now], axis=1)
            heard, made = np.split(self._before, 2)
            track = gains(made, heard, self.rate)[:, -clean.shape[1] :]
        return np.concatenate([clean, noisy, np.maximum(track, self.least)])


def _unseen(step: Step) -> None:
    """Nobody looks at the steps."""
