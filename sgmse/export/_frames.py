"""A frame of a causal network by a runtime: spectra and a state in, those of the result out.

What a stream does around its network stays as it is; see `sgmse.live`. The state is one vector, all
that the network has heard, and zeros at the start.
"""

import threading
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.enhancer import Enhancer
from sgmse.errors import ExportError
from sgmse.export._graphs import Graph, Run as Tried, difference
from sgmse.export._loaders import Run
from sgmse.export._parts import exportable
from sgmse.model import ScoreModel
from sgmse.networks import Advance, Memory, Network, Wrapped

#: Of the recordings that are compared, whose levels rise and fall.
LENGTH = 60


def time_of(enhancer: Enhancer) -> float:
    """When the network of a stream is evaluated. Raises `ExportError` if that is not once."""
    model, sampler = enhancer.model, enhancer.sampler
    if not (isinstance(model, ScoreModel) and sampler.once(model.sde)):
        raise ExportError(
            f"{sampler} of this {type(model).__name__} is more than one evaluation a frame, which "
            "alone has a graph; leave the backend of a stream at torch"
        )
    none = torch.zeros(1, 1, 1, 1)
    *_, time = model.parametrization.inputs(none, none, torch.ones(1), model.sde)
    return float(time)


class FrameGraph(Graph):
    """A network at one time: x (1, 2, f, 1), y (1, 2 observations, f, 1) and a state (n,).

    What comes out is like x, and the next state.
    """

    kind = "frame"

    def __init__(self, network: Network, frequencies: int, time: float) -> None:
        super().__init__()
        self.inputs = {"x": {}, "y": {}, "state": {}}
        self.outputs = {"output": {}, "next_state": {}}
        self.advance, self.observations = exportable(network).advancing(time), network.observations
        self.frequencies = frequencies
        with torch.inference_mode():
            _, memory = self.advance(*self._frames(1, seed=0))
        self.shapes = [z.shape for z in memory]
        self.size = sum(map(prod, self.shapes))

    @property
    @override
    def facts(self) -> dict[str, object]:
        return {"time": self.advance.t, "state_size": self.size, "initial_state": "zeros"}

    @override
    def forward(self, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parts = torch.split(state, [prod(shape) for shape in self.shapes])
        memory = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        output, memory = self.advance(x, y, memory)
        return output, torch.cat([z.reshape(-1) for z in memory]).view(self.size)

    def _frames(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """x and y of so many."""
        randn = torch.Generator().manual_seed(seed)
        x, y = (
            0.1 * torch.randn(1, 2 * parts, self.frequencies, count, generator=randn)
            for parts in (1, self.observations)
        )
        swell = 10 ** (3 * torch.rand(count, generator=randn) - 3)
        return swell * x, swell * y

    @override
    def sample(self) -> tuple[Tensor, ...]:
        """Within a recording."""
        x, y = self._frames(1, seed=1)
        with torch.inference_mode():
            _, state = self(x, y, torch.zeros(self.size))
        return x, y, state.clone()

    @override
    def error(self, run: Tried) -> float:
        """Of a recording from its start."""
        x, y = self._frames(LENGTH, seed=2)
        with torch.inference_mode():
            theirs, _ = self.advance(x, y)
        state, worst = torch.zeros(self.size).numpy(), 0.0
        for n in range(LENGTH):
            own = x[..., n : n + 1].numpy(), y[..., n : n + 1].numpy()
            out, state = run({"x": own[0], "y": own[1], "state": state})
            worst = max(worst, difference(out, theirs[..., n : n + 1].numpy()))
        return worst


class RuntimeFrames(Wrapped):
    """A causal network whose next frame a runtime computes, on one thread; all else does torch.

    Args:
        network: of which it is.
        time: at which it is evaluated in a stream.
        size: of the state.
        file: its graph.
        load: of the file and a number of threads makes what makes runs, one for each thread.
    """

    def __init__(
        self,
        network: Network,
        time: float,
        size: int,
        file: Path,
        load: Callable[[Path, int], Callable[[], Run]],
    ) -> None:
        super().__init__(network)
        self.time, self.size, self.file, self._load = time, size, file, load
        self._loading = threading.Lock()
        self._loaded: Callable[[], Run] | None = None

    @override
    def advancing(self, t: float) -> Advance:
        if t != self.time:
            return self.network.advancing(t)
        with self._loading:
            self._loaded = self._loaded or self._load(self.file, 1)
        return RuntimeAdvance(t, self.size, self._loaded)


class RuntimeAdvance(Advance):
    """`Advance` by a runtime, whose memory is the state of each recording."""

    def __init__(self, t: float, size: int, fresh: Callable[[], Run]) -> None:
        super().__init__(t)
        self.size, self._fresh, self._own = size, fresh, threading.local()

    @override
    def forward(self, x: Tensor, y: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        rows, after = [], []
        runs = cast("dict[str, Run]", self._own.__dict__)  # of this thread
        if "run" not in runs:
            runs["run"] = self._fresh()
        for i in range(len(x)):
            state = torch.zeros(self.size) if memory is None else memory[i]
            frames = []
            for n in range(x.shape[-1]):
                own = {"x": x[i : i + 1, ..., n : n + 1], "y": y[i : i + 1, ..., n : n + 1]}
                inputs = {name: z.float().contiguous().numpy() for name, z in own.items()}
                out, next_state = runs["run"](inputs | {"state": state.numpy()})
                frames.append(torch.from_numpy(out))
                state = torch.from_numpy(next_state)
            rows.append(torch.cat(frames, dim=-1))
            after.append(state)
        return torch.cat(rows), after
