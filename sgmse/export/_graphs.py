"""What is in a file: modules of real tensors, with names and shapes of what goes in and comes out.

Each has an example, which a graph is made with, and is held against the library itself.
"""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.errors import ExportError
from sgmse.export._parts import Spectra, exportable, in_parts
from sgmse.networks import Network
from sgmse.postprocessing import raised

#: The axes of a tensor that may be of any size, by their names.
Axes = dict[int, str]
#: What a runtime makes of inputs by their names: the outputs in their order.
Run = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
#: (batch, length) of random inputs: more and less than those of which a graph is made.
LENGTHS = ((1, 3), (3, 1))


class Graph(nn.Module):
    """A module that becomes a file.

    Attributes:
        kind: what it is: "network", "audio" or "stream".
        inputs: by name, which of their axes may be of any size.
        outputs: the same of what comes out.
    """

    kind: str
    inputs: dict[str, Axes]
    outputs: dict[str, Axes]

    @abstractmethod
    def sample(self) -> tuple[Tensor, ...]:
        """Inputs that a graph is made with."""

    @abstractmethod
    def error(self, run: Run) -> float:
        """The largest difference to what the library itself gives, relative to its largest value.

        Of a runtime that has the graph, over random inputs.
        """

    @property
    def facts(self) -> dict[str, object]:
        """What its file says of itself beside what all say."""
        return {}


class WholeGraph(Graph):
    """A graph of one call: a batch of inputs of any length."""

    @abstractmethod
    def example(self, batch: int, length: int, seed: int) -> tuple[Tensor, ...]:
        """Random inputs: so many in a batch, `length` of them long in some unit of its own."""

    @abstractmethod
    def expected(self, *inputs: Tensor) -> Tensor:
        """What the library itself makes of these inputs."""

    @override
    def sample(self) -> tuple[Tensor, ...]:
        return self.example(batch=2, length=2, seed=0)

    @override
    def error(self, run: Run) -> float:
        worst = 0.0
        for seed, (batch, length) in enumerate(LENGTHS, start=1):
            inputs = self.example(batch, length, seed)
            with torch.inference_mode():
                theirs = self.expected(*inputs).numpy()
            named = {n: z.numpy() for n, z in zip(self.inputs, inputs, strict=True)}
            worst = max(worst, difference(run(named)[0], theirs))
        return worst


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """The largest one, relative to the largest value of what is expected; infinite if none is."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


class NetworkGraph(WholeGraph):
    """A network: x (batch, 2, f, n), y (batch, 2 observations, f, n), t (batch,) to one like x."""

    kind = "network"

    def __init__(self, network: nn.Module, frequencies: int) -> None:
        super().__init__()
        self.network = exportable(network)
        self.frequencies = frequencies
        spectrogram = {0: "batch", 3: "frames"}
        self.inputs = {"x": spectrogram, "y": spectrogram, "t": {0: "batch"}}
        if self.network.two_times:
            self.inputs["s"] = {0: "batch"}
        self.outputs = {"output": spectrogram}

    @override
    def forward(self, x: Tensor, y: Tensor, t: Tensor, *s: Tensor) -> Tensor:
        return self.network.real_valued(x, y, t, *s)

    @override
    def example(self, batch: int, length: int, seed: int) -> tuple[Tensor, ...]:
        randn = torch.Generator().manual_seed(seed)
        divisor = self.network.divisor[1]
        frames = length * divisor * max(11 // divisor, 1)
        shape = (batch, 2, self.frequencies, frames)
        x = 0.3 * torch.randn(shape, generator=randn)
        y = 0.3 * torch.randn((batch, 2 * self.network.observations, *shape[2:]), generator=randn)
        t = 0.05 + 0.9 * torch.rand(batch, generator=randn)
        return (x, y, t, 0.5 * t) if self.network.two_times else (x, y, t)

    @override
    def expected(self, *inputs: Tensor) -> Tensor:
        x, y, *times = inputs
        state, seen = (torch.complex(z[:, ::2], z[:, 1::2]) for z in (x, y))
        out: Tensor = self.network(state, seen, *times)
        return torch.cat([out.real, out.imag], dim=1)


class AudioGraph(WholeGraph):
    """Audio (batch, samples) at the rate of the model to enhanced audio, each row a recording.

    It is what an `Enhancer` makes of a recording at that rate in one segment: the mean over its
    shifts of one evaluation at the observation, as loud as the speech was, with the model's share
    of the recording.
    """

    kind = "audio"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        if why := not_one_evaluation(checkpoint):
            raise ExportError(why)
        rows = {0: "batch", 1: "samples"}
        self.inputs, self.outputs = {"audio": rows}, {"enhanced": rows}
        self.checkpoint = checkpoint
        self.model = in_parts(checkpoint.model)
        self.spectra = Spectra(checkpoint.front, checkpoint.model.divisor[1])

    @override
    def forward(self, audio: Tensor) -> Tensor:
        front = self.checkpoint.front
        peak = audio.abs().amax(dim=1, keepdim=True)
        loud = audio / torch.where(peak > 0, peak, 1.0)
        delays = front.delays(self.checkpoint.sampler.shifts)
        drawn = [self.drawn(functional.pad(loud, (delay, 0)))[:, delay:] for delay in delays]
        clean = torch.stack(drawn).mean(dim=0)
        if front.level == "kept":
            clean = raised(clean, loud, front.sample_rate)
        return kept(self.checkpoint.dry, peak * clean, audio)

    def drawn(self, audio: Tensor) -> Tensor:
        """As `Enhancer.sampled`, of one evaluation."""
        samples, moved = audio.shape[1], self.model.delay(self.spectra.transform.hop)
        y = self.spectra(audio)
        model, anchor = self.model.observe(y, lambda x: self.spectra.later(x, samples, moved))
        end = torch.ones_like(y[:, 0, 0, 0, 0])
        x0, strength = model(anchor, anchor, end).x0, self.checkpoint.strength
        if strength != 1:
            made, whole = self.spectra.expanded(x0), self.spectra.expanded(model.heard(anchor))
            x0 = self.spectra.compressed(self.spectra.moderated(made, whole, strength))
        return self.spectra.inverse(x0, samples + moved)[:, moved:]

    @override
    def example(self, batch: int, length: int, seed: int) -> tuple[Tensor, ...]:
        """Voices in noise, of no multiple of a hop."""
        return (voices(batch, 2017 * length + seed, self.checkpoint.front.sample_rate, seed),)

    @override
    def expected(self, *inputs: Tensor) -> Tensor:
        enhancer = replace(Enhancer.of(self.checkpoint), force=True)  # noise is no speech
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = [enhancer(row, self.checkpoint.front.sample_rate) for row in inputs[0]]
        return torch.stack(rows)


def kept(dry: float, clean: Tensor, audio: Tensor) -> Tensor:
    """A result with a share of the recording."""
    return clean if dry == 0 else (1 - dry) * clean + dry * audio


def voices(batch: int, samples: int, rate: int, seed: int) -> Tensor:
    """(batch, samples) of voices in noise: of noise alone a model leaves its rounding."""
    randn = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / rate
    pitch = 90 + 150 * torch.rand(batch, 1, generator=randn)
    waves = [(2 * torch.pi * k * pitch * time).sin() / k for k in range(1, 16)]
    voice = torch.stack(waves).sum(dim=0) * (2 * torch.pi * 3 * time).sin() ** 2
    return 0.1 * voice + 0.01 * torch.randn(voice.shape, generator=randn)


def not_one_evaluation(checkpoint: Checkpoint) -> str | None:
    """Why a model is not one evaluation at its observation, and what to do; None if it is."""
    sampler = checkpoint.sampler
    if sampler.once(checkpoint.model.sde):
        return None
    return (
        f"{sampler} is more than one evaluation at the observation, which alone has an export from "
        "audio to audio; export the network without --audio, and sample around it"
    )


def parts_of(checkpoint: Checkpoint) -> dict[str, Network]:
    """The networks of a model by their names."""
    parts = checkpoint.model.parts
    return {name: parts[name] for name in ("network", "predictor") if parts.get(name) is not None}
