"""Pieces of recordings, drawn by a model: one after the other on cores, in batches on a device.

A piece is a channel of a segment with its frames at one place. Whatever is done with it at the same
time, what becomes of it is the same but for the order of sums: only pieces of as many frames are in
one batch, and each has its own noise.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import pad

from sgmse._batches import Batches, Kind, Task
from sgmse._device import Precision, fetched, precision, sent
from sgmse._lanes import lanes
from sgmse._noise import Draws, ManyDraws
from sgmse.errors import ArgumentTypeError
from sgmse.front import FrontEnd
from sgmse.model import Refinement, Regeneration, ScoreModel
from sgmse.solvers import Callback, Randn, Sampler, Step, solve


@dataclass(frozen=True, eq=False)
class Piece:
    """A channel of a segment.

    Args:
        audio: (samples,), on the host.
        delay: by how many samples its frames lie earlier.
        randn: its noise.
        report: called after each step; what it raises ends this piece.
    """

    audio: Tensor
    delay: int
    randn: Draws
    report: Callback

    @property
    def samples(self) -> int:
        """With the delay."""
        return self.delay + len(self.audio)


@dataclass(frozen=True)
class Drawing:
    """How pieces are drawn: a model, what it hears, and how it is sampled."""

    model: ScoreModel | Regeneration
    front: FrontEnd
    sampler: Sampler
    precision: Precision = "float32"
    strength: float = 1.0

    @property
    def weights(self) -> Tensor:
        """One of the parameters, for where the model is and how precise."""
        return next(self.model.parameters(), torch.empty(0))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.weights.device

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(batch, samples) to (batch, 1, frequency, frame), padded and placed for the network."""
        weights = self.weights
        if weights.is_meta or weights.dtype not in (torch.float32, torch.float64):
            what = "on the device meta" if weights.is_meta else f"of {weights.dtype}"
            raise ArgumentTypeError(
                f"the model has weights {what}, with which there is no spectrogram; use those of "
                "float32, enhancer.model.float()"
            )
        audio = sent(audio.to(weights.dtype), weights.device)
        return self.front.forward(audio, self.model.divisor[1])

    def sampled(
        self, spectrogram: Tensor, samples: Sequence[int], randn: Randn, report: Callback
    ) -> list[Tensor]:
        """What the sampler makes of spectrograms of so many samples: audio (rows, samples) each.

        After no steps that is what the predictor said, without the noise of a start. The last row
        has the strength that is asked for; where that is another one than 1, the row before is what
        the model itself says.
        """
        moved = self.delay
        with precision(spectrogram.device, self.precision):
            model, anchor = self.observed(spectrogram, samples)
            solver, grid = self.sampler.solver, self.sampler.grid
            if grid.steps == 0:
                x = anchor
                report(Step(1, 1, grid.start, grid.start, x, x))
            else:
                x = solve(model, anchor, solver, grid, randn=randn, callback=report).x
        made: list[Tensor] = []
        y = model.heard(anchor)
        for i, n in _alike(samples):
            rows = [self.front.inverse(x[i], n + moved)]
            if self.strength != 1:
                rows.append(self.front.moderated(x[i], y[i], n + moved, self.strength))
            made += torch.stack(rows, dim=1)[..., moved:]
        return made

    def observed(
        self, spectrogram: Tensor, samples: Sequence[int]
    ) -> tuple[ScoreModel | Refinement, Tensor]:
        """What `solve` takes for spectrograms of so many samples: a model, and where it leads."""
        moved, divisor = self.delay, self.model.divisor[1]

        def later(x: Tensor) -> Tensor:
            half = self.precision == "bf16"  # which the transform could not bear
            with torch.autocast(x.device.type, enabled=False) if half else nullcontext():
                made = [self.front.later(x[i], n, moved, divisor) for i, n in _alike(samples)]
            return _joined(made)

        return self.model.observe(spectrogram, later)

    @property
    def delay(self) -> int:
        """Samples by which its results are later than what it has heard."""
        return self.model.delay(self.front.transform.hop)

    def kind(self, piece: Piece) -> Kind:
        """With which pieces it may be in one batch: of as many frames, before and after they move.

        A solver whose items are not apart has each piece alone.
        """
        alone: Hashable = None if self.sampler.solver.apart else id(piece)
        moved = self.frames(piece, self.delay)
        family = id(self.model), self.front, self.sampler, self.precision, self.strength
        return Kind(family, (self.frames(piece), moved, alone))

    def frames(self, piece: Piece, later: int = 0) -> int:
        """Of its spectrogram, or of that of so many samples more."""
        return self.front.frames(piece.samples + later, self.model.divisor[1])

    @torch.inference_mode()  # which holds for a thread
    def draw(self, pieces: Sequence[Piece]) -> list[Tensor | BaseException]:
        """What becomes of pieces of one kind: (rows, samples) each, as of `sampled`, on the device,
        or what its report raised."""
        ended: dict[int, BaseException] = {}

        def report(step: Step) -> None:
            for i, piece in enumerate(pieces):
                if i not in ended:
                    try:
                        piece.report(step)
                    except BaseException as error:
                        ended[i] = error
            if len(ended) == len(pieces):
                raise next(iter(ended.values()))

        audio = [pad(piece.audio, (piece.delay, 0)) for piece in pieces]
        samples = [piece.samples for piece in pieces]
        x = _joined([self.spectrogram(torch.stack(audio[i])) for i, _ in _alike(samples)])
        made = self.sampled(x, samples, self.noise(pieces), report)
        return [
            ended.get(i, one[:, piece.delay :])
            for i, (piece, one) in enumerate(zip(pieces, made, strict=True))
        ]

    def noise(self, pieces: Sequence[Piece]) -> Randn:
        """Of a batch; on a device, drawn while it computes."""
        if len(pieces) == 1 and self.device.type == "cpu":
            return pieces[0].randn
        return ManyDraws([piece.randn for piece in pieces])


def _alike(samples: Sequence[int]) -> list[tuple[slice, int]]:
    """Runs of items with as many samples, which are transformed at once."""
    runs, start = [], 0
    for length, run in groupby(samples):
        end = start + len(list(run))
        runs.append((slice(start, end), length))
        start = end
    return runs


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([*parts]) if len(parts) > 1 else parts[0]


def one_by_one(drawing: Drawing, pieces: Sequence[Piece]) -> list[Tensor]:
    """What becomes of pieces, (rows, samples) each, on the host; a few at once, on own threads."""
    with lanes(len(pieces)) as side_by_side:

        def draw(piece: Piece) -> Tensor:
            def report(step: Step) -> None:
                side_by_side.check()
                piece.report(step)

            (made,) = drawing.draw([replace(piece, report=report)])
            if isinstance(made, BaseException):
                raise made
            return made

        return list(side_by_side.map(draw, pieces))


def together(drawing: Drawing, pieces: Sequence[Piece], batches: Batches) -> list[Tensor]:
    """The same in batches, with whatever else waits there."""

    def run(batch: list[Piece]) -> list[Callable[[], Tensor] | BaseException]:
        made = drawing.draw(batch)
        return [one if isinstance(one, BaseException) else fetched(one) for one in made]

    tasks = [Task(piece, drawing.kind(piece), drawing.frames(piece), run) for piece in pieces]
    return [future.result()() for future in batches.submit(tasks)]


@cache
def waiting_for(device: torch.device) -> Batches:
    """All that waits for a device, of all models and recordings."""
    return Batches()
