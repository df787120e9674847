"""What a stream loses against the whole recording: python benchmarks/live.py CORPUS

Ten recordings of CORPUS/valid, evenly spaced, pass through `sgmse.live.Stream` with the default
model, one shift, at several latencies and with several look-backs, and through the same enhancer as
a whole. Writes benchmarks/results/live.md and .json: scores, how many recordings a score says are
worse than the noisy one, and the processor time.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from writing import arguments, write

from sgmse.audio import find
from sgmse.enhancer import Enhancer, load
from sgmse.errors import RecordingWarning
from sgmse.live import Pieces, Stream
from sgmse.metrics.measures import select

RATE = 16000
LATENCIES = (0.125, 0.25, 0.5, 1.0)
LOOK_BACKS = (0.5, 1.0, 4.0)  # seconds, at the latency of 0.5 s, whose own is 2 s
MEASURES = select(("pesq-wb", "estoi", "si-sdr"))
Audio = NDArray[np.float32]
Work = Callable[[Audio], Audio]
PAGE = """# Streams

`python benchmarks/live.py CORPUS`: {files} recordings of the validation set ({seconds:.0f} s, each
a stream of its own that begins with nothing), the default model with one shift, one thread.

The latency is that of the algorithm: of a piece, and of what is heard ahead of it. The load is
processor time over the time of the sound; the machine was doing other work as well, so that its
ratio to that of the whole recording in the same run says more. Worse: recordings that PESQ-WB,
ESTOI and SI-SDR find worse than the noisy one, by more than the noise of the measure.

{latencies}
The same latency, with other look-backs:

{look_backs}"""


@dataclass(frozen=True)
class Row:
    """What one way of enhancing gives.

    Args:
        name: of the way.
        latency: in seconds; of a stream.
        pieces: of a stream.
        scores: means, by measure.
        worse: recordings, by measure.
        load: processor time over time.
    """

    name: str
    latency: float | None
    pieces: Pieces | None
    scores: dict[str, float]
    worse: dict[str, int]
    load: float


class Runs:
    """All ways on the same recordings.

    Args:
        pairs: clean and noisy, (samples,).
    """

    def __init__(self, pairs: list[tuple[Audio, Audio]]) -> None:
        self.pairs = pairs
        self.seconds = sum(len(noisy) for _, noisy in pairs) / RATE
        self.noisy = self._scores([noisy for _, noisy in pairs])

    def _scores(self, results: list[Audio]) -> NDArray[np.float64]:
        """(recordings, measures)."""
        return np.array(
            [
                [measure(clean, result, RATE) for measure in MEASURES]
                for (clean, _), result in zip(self.pairs, results, strict=True)
            ]
        )

    def row(self, name: str, work: Work, stream: Stream | None = None) -> Row:
        """Of one way."""
        start = time.process_time()
        results = [work(noisy) for _, noisy in self.pairs]
        load = (time.process_time() - start) / self.seconds
        scores = self._scores(results)
        noise = np.array([measure.noise for measure in MEASURES])
        names = [measure.name for measure in MEASURES]
        means, worse = scores.mean(axis=0), (scores < self.noisy - noise).sum(axis=0)
        print(name, means.round(3), worse, f"{load:.3f}", flush=True)
        return Row(
            name,
            None if stream is None else stream.latency,
            None if stream is None else stream.pieces,
            dict(zip(names, means.tolist(), strict=True)),
            dict(zip(names, worse.tolist(), strict=True)),
            load,
        )

    def streamed(self, enhancer: Enhancer, latency: float, before: float | None = None) -> Row:
        """Of a stream."""
        stream = Stream(enhancer, RATE, latency)
        name = f"{latency:g} s"
        if before is not None:
            pieces = stream.pieces
            pieces = Pieces(pieces.piece, pieces.ahead, before, pieces.fade)
            stream = Stream(enhancer, RATE, pieces=pieces)
            name = f"{before:g} s"
        return self.row(name, stream.whole, stream)


def table(first: str, rows: list[Row], whole: Row) -> str:
    """Lines of Markdown."""
    names = [measure.name for measure in MEASURES]
    header = [first, "latency", "piece", "ahead", "before", *names, "worse", "load", "of whole"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        p = row.pieces
        sizes = ["", "", "", ""]
        if p is not None:
            sizes = [f"{row.latency:.3f} s", *(f"{s:.2f} s" for s in (p.piece, p.ahead, p.before))]
        scores = [f"{row.scores[m.name]:.{m.digits}f}" for m in MEASURES]
        rest = ["", "", ""]
        if row.load:
            worse = ", ".join(str(row.worse[name]) for name in names)
            rest = [worse, f"{row.load:.2f}", f"{row.load / whole.load:.1f}"]
        lines.append([row.name, *sizes, *scores, *rest])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Enhance all, and write the page."""
    parser = arguments(__doc__, "valid/clean and valid/noisy")
    parser.add_argument("--files", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", RecordingWarning)
    files = find([options.corpus / "valid" / "noisy"])
    files = files[len(files) // options.files // 2 :: max(len(files) // options.files, 1)]
    read = partial(soundfile.read, dtype="float32")
    noisy = {file: read(file)[0] for file in files[: options.files]}
    pairs = [(read(options.corpus / "valid" / "clean" / f.name)[0], y) for f, y in noisy.items()]
    enhancer = load(shifts=1, device="cpu")
    enhancer(pairs[0][1][:RATE], RATE)  # what is first takes longer
    runs = Runs(pairs)
    whole = runs.row("whole", lambda audio: enhancer(audio, RATE))
    before = replace(runs.row("noisy", lambda audio: audio), load=0.0)
    latencies = [runs.streamed(enhancer, latency) for latency in LATENCIES]
    own = replace(latencies[LATENCIES.index(0.5)], name="2 s")
    look_backs = [runs.streamed(enhancer, 0.5, seconds) for seconds in LOOK_BACKS]
    look_backs = [*look_backs[:-1], own, look_backs[-1]]
    page = PAGE.format(
        files=len(pairs),
        seconds=runs.seconds,
        latencies=table("asked for", [before, *latencies, whole], whole),
        look_backs=table("look-back", look_backs, whole),
    )
    numbers = [asdict(row) for row in (before, *latencies, *look_backs, whole)]
    write(options.output, "live", page, numbers)


if __name__ == "__main__":
    main()
