"""The step of a stream: a hop of samples and a state in, one of the result and the next state out.

    frame -> spectrum, compressed -> the network at t = 1, one frame on -> expanded, to a frame
          -> added to the one before

A frame is two hops. The state is one vector: whether there was a hop, that hop, the half of the
last frame that still sounds, and the memory of the network. Zeros are that of the start.
"""

import warnings
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.errors import ExportError
from sgmse.export._graphs import Graph, Run, difference, kept, not_one_evaluation, voices
from sgmse.export._parts import Spectra, exportable
from sgmse.export.runner import Runner, Samples
from sgmse.live import Stream
from sgmse.model import ScoreModel
from sgmse.networks import Network

#: Hops, of the recordings that are compared; their ends are another half.
LENGTH = 60


class StepGraph(Graph):
    """Audio (1, hop) and a state (n,) to enhanced audio (1, hop), a hop later, and the next state.

    Args:
        checkpoint: of one causal network and one evaluation of it.

    Raises:
        ExportError: there is no such step of it.
    """

    kind = "stream"
    scaled: Tensor

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        if why := not_a_step(checkpoint):
            raise ExportError(why)
        model = checkpoint.model
        assert isinstance(model, ScoreModel)
        self.inputs = {"audio": {}, "state": {}}
        self.outputs = {"enhanced": {}, "next_state": {}}
        self.checkpoint, self.front = checkpoint, checkpoint.front
        self.hop = self.front.transform.hop
        self.spectra = Spectra(self.front, 1)
        # What overlaps is divided by the squared windows, which are the same in each hop.
        squares = self.spectra.squared.view(2, self.hop).sum(dim=0).repeat(2)
        self.register_buffer("scaled", self.spectra.backwards[:, 0] / squares)
        self.end = torch.ones(1)
        none = torch.zeros(1, 1, 2, self.front.transform.frequencies, 1)
        *_, time = model.parametrization.inputs(none, none, self.end, model.sde)
        self.advance = exportable(model.network).advancing(float(time))
        with torch.inference_mode():
            _, memory = self.advance(none.flatten(1, 2), none.flatten(1, 2))
        self.shapes = [(1, 1), (1, self.hop), (1, self.hop), *(z.shape for z in memory)]
        self.size = sum(map(prod, self.shapes))
        self.model = model

    @property
    @override
    def facts(self) -> dict[str, object]:
        return {"state_size": self.size, "initial_state": "zeros", "delay": self.hop}

    @override
    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parts = torch.split(state, [prod(shape) for shape in self.shapes])
        own = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        begun, past, sounding, *memory = own
        if self.front.transform.ends == "reflect":  # but for the foot of the window, which is 0
            mirrored = torch.cat([torch.zeros(1, 1), audio.flip(1)[:, :-1]], dim=1)
            past = past + (1 - begun) * mirrored
        heard = torch.cat([past, audio], dim=1) @ self.spectra.forwards[:, 0].T
        heard = heard.view(1, 1, 2, -1, 1)
        y = self.spectra.compressed(heard)
        model = self.model
        x, seen, _ = model.parametrization.inputs(y, y, self.end, model.sde)
        output, memory = self.advance(x.flatten(1, 2), seen.flatten(1, 2), memory)
        x0 = model.parametrization.estimate(output[:, None], y, y, self.end, model.sde).x0
        made = self.spectra.expanded(x0)
        made = self.spectra.moderated(made, heard, self.checkpoint.strength)
        frame = made.reshape(1, -1) @ self.scaled
        clean = sounding + frame[:, : self.hop]
        enhanced = begun * kept(self.checkpoint.dry, clean, own[1])
        after = [torch.ones(1, 1), audio, frame[:, self.hop :], *memory]
        return enhanced.view(1, self.hop), torch.cat([part.reshape(-1) for part in after]).view(
            self.size
        )

    @override
    def sample(self) -> tuple[Tensor, ...]:
        """Within a recording."""
        randn = torch.Generator().manual_seed(0)
        audio = 0.1 * torch.randn(1, self.hop, generator=randn)
        with torch.inference_mode():
            _, state = self(audio, torch.zeros(self.size))
        return audio, state.clone()

    @override
    def error(self, run: Run) -> float:
        """Of recordings in blocks, their ends too, to `sgmse.live.Stream`; of two levels."""

        def step(audio: Samples, state: Samples) -> tuple[Samples, Samples]:
            enhanced, after = run({"audio": audio, "state": state})
            return enhanced, after

        rate, ends = self.front.sample_rate, self.front.transform.ends
        facts = {"kind": self.kind, "sample_rate": rate, "hop": self.hop, "ends": ends} | self.facts
        runner = Runner(step, {name: str(value) for name, value in facts.items()})
        stream = Stream(replace(Enhancer.of(self.checkpoint), force=True), rate)
        worst = 0.0
        for seed, loudness in ((1, 1.0), (2, 0.01)):
            noisy = loudness * voices(1, LENGTH * self.hop + self.hop // 2, rate, seed)[0].numpy()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = stream.whole(noisy)
            ours = np.concatenate([runner(noisy), runner.flush()])[runner.delay :]
            worst = max(worst, difference(ours, theirs))
        return worst


def not_a_step(checkpoint: Checkpoint) -> str | None:
    """Why a model has no step, and what to do; None if it has one."""
    model, front, sampler = checkpoint.model, checkpoint.front, checkpoint.sampler
    if not isinstance(model, ScoreModel):
        return (
            "the model has two networks, and a step of a stream is of one; "
            "stream it with sgmse live"
        )
    if not (isinstance(model.network, Network) and model.network.causal):
        return (
            f"{type(model.network).__name__} hears what is to come, and a step of a stream cannot; "
            "export it with --audio, or take a causal model, such as live"
        )
    if not_one_evaluation(checkpoint):
        return (
            f"{sampler} is more than one evaluation at the observation, and a step of a stream is "
            "one; stream the model with sgmse live"
        )
    transform = front.transform
    needs = {
        "level='published'": front.level == "published",
        "tail='cover'": front.tail == "cover",
        "padding='zero'": front.padding == "zero",
        "hops of half a window": transform.n_fft == 2 * transform.hop,
        "one place of the frames": sampler.shifts == 1,
    }
    lacking = [name for name, is_so in needs.items() if not is_so]
    if lacking:
        return f"a step of a stream needs {lacking[0]}; stream the model with sgmse live"
    return None
