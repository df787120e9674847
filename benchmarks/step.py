"""What a frame of a causal model costs: python benchmarks/step.py [--model MODEL]

Writes benchmarks/results/step.md and .json: milliseconds of CPU time for each hop of a stream, on
one thread. The ways take turns of 20 hops, so that all see the same machine; of these the first is
not counted, as it finds the caches full of another way. A hop is 255 samples at 16 kHz, 15.9 ms;
the load is the time over that. The difference is that of what comes out to the `Stream` of torch,
relative to the largest value; the other ones are of `accelerated(enhancer, backend, stream=True)`.
Without a model it is one of random weights, of the size that is said; what a frame costs does not
depend on them.
"""

import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.checkpoints import Checkpoint, load_model
from sgmse.enhancer import Enhancer
from sgmse.errors import MissingPackageError
from sgmse.estimates import Data
from sgmse.export import Backend, accelerated, export
from sgmse.export.runner import Runner
from sgmse.front import FrontEnd
from sgmse.live import Stream
from sgmse.model import ScoreModel
from sgmse.networks import CausalUNet
from sgmse.scoring.provenance import machine
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Sampler, Uniform
from sgmse.transforms import Power, Spectrogram

SIZE: dict[str, Any] = {"channels": (16, 32, 48, 64), "paths": 4, "hidden": 96}
RATES = (16000, 44100, 48000)
TURN = 20  # hops


def random_model() -> Checkpoint:
    """Of that size, in which no layer is nothing."""
    torch.manual_seed(0)
    network = CausalUNet(**SIZE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    front = FrontEnd(Spectrogram(510, 255, Power(0.3, 0.3)), 16000, level="published")
    sampler = Sampler(Exponential(start=0.0), Uniform(1, end=0.0))
    return Checkpoint(ScoreModel(network.eval(), SBVE(), Data()), front, sampler)


def measured(checkpoint: Checkpoint, hops: int) -> dict[str, dict[str, Any]]:
    """By way: milliseconds of each hop, and the difference to `Stream`."""
    enhancer = replace(Enhancer.of(checkpoint), force=True)  # of random weights, too
    rate, hop = checkpoint.front.sample_rate, checkpoint.front.transform.hop
    with tempfile.TemporaryDirectory() as folder:
        exported = export(checkpoint, Path(folder) / "step.onnx", stream=True)
        runner = Runner.open(exported.path)
    ways: dict[str, tuple[int, Callable[[Any], Any]]] = {}
    differences: dict[str, float] = {}
    for backend in get_args(Backend)[:-1]:  # but for auto
        try:
            quick = accelerated(enhancer, backend, stream=True, say=print)
        except MissingPackageError as error:
            print(error)
            continue
        for r in RATES:
            name = f"{backend}, `Stream` at {r} Hz"
            ways[name] = round(hop * r / rate), Stream(quick, r)
            differences[name] = _difference(Stream(quick, r), Stream(enhancer, r))
    name = f"onnxruntime, `Runner` at {rate} Hz"
    ways[name], differences[name] = (hop, runner), exported.difference
    noise = 0.1 * np.random.default_rng(0).standard_normal((hops, max(n for n, _ in ways.values())))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in tqdm(np.array_split(noise.astype(np.float32), hops // TURN), unit="turn"):
        for name, (samples, way) in ways.items():
            own = []
            for block in turn:
                start = time.thread_time()
                way(block[:samples])
                own.append(1000 * (time.thread_time() - start))
            taken[name] += own[1:]
    return {
        name: {
            "milliseconds": own[len(own) // 10 :],  # the first ones are to warm up
            "hop": 1000 * hop / rate,
            "difference": differences[name],
        }
        for name, own in taken.items()
    }


def _difference(ours: Stream, theirs: Stream) -> float:
    """Of a second of noise, relative to the largest value."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(ours.sample_rate)
    expected = theirs.whole(noise)
    return float(np.abs(ours.whole(noise) - expected).max() / np.abs(expected).max())


def row(name: str, result: dict[str, Any]) -> str:
    least, middle = np.quantile(result["milliseconds"], [0.1, 0.5])
    load, difference = middle / result["hop"], result["difference"]
    return f"| {name} | {middle:.2f} | {least:.2f} | {load:.2f} | {difference:.0e} |\n"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", help="a causal one (default: random weights)")
    parser.add_argument("--hops", type=int, default=600)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    others = os.getloadavg()[0]
    checkpoint = load_model(options.model) if options.model else random_model()
    results = measured(checkpoint, options.hops)
    weights = sum(p.numel() for p in checkpoint.model.parameters())
    asked = f" --model {options.model}" if options.model else ""
    page = (
        "# A frame of a causal model\n\n"
        f"Made by `python benchmarks/step.py{asked}`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; {weights} weights, "
        f"{options.hops} hops; {others:.1f} processes wanted a core in the minute before.\n\n"
        "| way | median [ms] | quickest tenth [ms] | load | difference |\n|---|---|---|---|---|\n"
        + "".join(row(name, result) for name, result in results.items())
    )
    numbers = {
        name: result | {"milliseconds": np.round(result["milliseconds"], 3).tolist()}
        for name, result in results.items()
    }
    write(options.output, "step", page, numbers, indent=None)


if __name__ == "__main__":
    main()
