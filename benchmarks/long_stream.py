"""A day of a stream: python benchmarks/long_stream.py [HOURS] [--model MODEL] [--rate HZ]

Synthetic sound, made block by block as it is heard, goes through `sgmse.live.Stream` as quickly as
it can: noise of changing level, tones, pauses of digital silence, jumps to full scale and clicks,
in blocks of changing length. For each hour that was heard the memory of the process is looked at,
and whether what comes out is finite and as long. Without a model it is a tiny one of the same
classes as `live` (`CausalUNet`, frame by frame) at the rate that is asked for, in frames of 126
samples; its weights are random. Ctrl-C ends it with what was heard until then, and so does --limit
after so many seconds. Writes benchmarks/results/long-stream.md and .json, of a model that is named
long-stream-MODEL.
"""

import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from writing import arguments, paragraph, write

import sgmse
from sgmse.enhancer import Enhancer
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.live import Stream
from sgmse.model import ScoreModel
from sgmse.networks import CausalUNet
from sgmse.report.text import markdown_table
from sgmse.scoring.provenance import machine
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Sampler, Uniform
from sgmse.transforms import Power, Spectrogram

HOUR = 3600.0  # seconds
LONGEST = 0.5  # seconds of a block
PAGE = """# A long stream

`{command}`: {about}

{model}, {rate} Hz: {hours:.2f} hours of sound, {frames} frames, in {taken:.0f} s{cut}, of which
{spent:.0f} s are processor time; {processor}, Python {python}, torch {torch}. Between the end of
the first hour and the last look the memory grew by {grown:+.1f} MB.

{table}
"""


def tiny(rate: int) -> Enhancer:
    """Of the classes of `live`, with few bands: a day of 1000 Hz passes in half an hour."""
    torch.manual_seed(0)
    sizes = {"frequencies": 64, "channels": (2, 4), "paths": 1, "hidden": 4, "groups": 2}
    network = CausalUNet(**sizes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    front = FrontEnd(Spectrogram(126, 63, Power(0.3, 0.3)), rate, level="published")
    sampler = Sampler(Exponential(start=0.0), Uniform(1, end=0.0))
    model = ScoreModel(network.eval().requires_grad_(False), SBVE(), Data())
    return replace(Enhancer(model, front, sampler), force=True)  # random weights


def sound(rate: int, seconds: float) -> Iterator[NDArray[np.float32]]:
    """Blocks for that long, of which each is made when it is asked for."""
    rng, left, time = np.random.default_rng(0), round(seconds * rate), 0
    while left > 0:
        size = min(int(rng.integers(1, round(LONGEST * rate))), left)
        kind, level = rng.integers(6), 10 ** rng.uniform(-4, -0.5)
        block = level * rng.standard_normal(size)
        if kind == 0:
            block = np.zeros(size)
        elif kind == 1:
            block += level * np.sin(2 * np.pi * 0.01 * (time + np.arange(size)))
        elif kind == 2:
            block[rng.integers(size)] = 1.0
        yield np.clip(block, -1, 1).astype(np.float32)
        left, time = left - size, time + size


def resident() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def heard(stream: Stream, hours: float, limit: float | None) -> list[dict[str, float]]:
    """What was seen at each hour, and at the end."""
    looks: list[dict[str, float]] = []
    samples, most, start, spent = 0, 0.0, perf_counter(), process_time()

    def look() -> None:
        looks.append(
            {
                "hours": samples / stream.sample_rate / HOUR,
                "resident": resident(),
                "most": most,
                "seconds": perf_counter() - start,
                "processor": process_time() - spent,
            }
        )

    with tqdm(total=hours, unit="h", mininterval=10) as bar:
        try:
            for block in sound(stream.sample_rate, hours * HOUR):
                out = stream(block)
                if out.shape != block.shape or not np.isfinite(out).all():
                    raise SystemExit(f"after {samples} samples something else came out")
                before = samples // round(HOUR * stream.sample_rate)
                samples += len(block)
                if samples // round(HOUR * stream.sample_rate) > before or not looks:
                    most = max(most, resident())
                    look()
                bar.update(len(block) / stream.sample_rate / HOUR)
                if limit is not None and perf_counter() - start > limit:
                    break
        except KeyboardInterrupt:
            pass
    if len(stream.flush()) != stream.delay:
        raise SystemExit("the end is not as long as the delay")
    look()
    return looks


def main() -> None:
    """Hear it, and write the page."""
    parser = arguments(__doc__)
    parser.add_argument("hours", nargs="?", type=float, default=24.0, help="default: 24")
    parser.add_argument("--model", help="a causal one (default: a tiny one of random weights)")
    parser.add_argument("--rate", type=int, help="default: that of the model, 1000 of the tiny")
    parser.add_argument("--limit", type=float, help="seconds after which it ends")
    options = parser.parse_args()
    torch.set_num_threads(1)
    enhancer = sgmse.load(options.model) if options.model else tiny(options.rate or 1000)
    rate = options.rate or enhancer.front.sample_rate
    stream = Stream(enhancer, rate, 10.0)  # at most: a causal model has that of a window
    looks = heard(stream, options.hours, options.limit)
    last, first = looks[-1], looks[1 if len(looks) > 2 else 0]
    name = f"long-stream-{Path(options.model).name}" if options.model else "long-stream"
    words = [f"{options.hours:g}", *(["--model", options.model] if options.model else [])]
    words += ["--rate", str(options.rate)] if options.rate else []
    lines = [
        [f"{own['hours']:.2f}", f"{own['resident']:.1f}", f"{own['processor']:.0f}"]
        for own in looks
    ]
    page = PAGE.format(
        command=f"python benchmarks/long_stream.py {' '.join(words)}",
        about=paragraph(__doc__, 1).partition(" Writes ")[0],
        model=f"The model {options.model}" if options.model else "The tiny model",
        rate=rate,
        hours=last["hours"],
        frames=round(last["hours"] * HOUR / stream.pieces.piece),
        taken=last["seconds"],
        spent=last["processor"],
        cut=", where it was ended" if last["hours"] < options.hours - 1e-6 else "",
        processor=machine()["processor"],
        python=platform.python_version(),
        torch=torch.__version__,
        grown=last["resident"] - first["resident"],
        table=markdown_table(["hours", "memory [MB]", "processor time [s]"], lines),
    )
    write(options.output, name, page, {"looks": looks, "rate": rate})


if __name__ == "__main__":
    main()
