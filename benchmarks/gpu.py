"""What a GPU does in three minutes: python benchmarks/gpu.py

Writes benchmarks/results/gpu.md and .json: pieces of 2 s that the published sampler (reverse
diffusion and annealed Langevin, N = 30, 60 evaluations) takes through the published NCSN++, by its
loop as it is published, written out in this script, and by `sgmse.solvers.solve`. Both have the
same network with random weights, the same noise and the same precision. The rounds alternate
between them; the ratio is the median of those of the rounds, and the difference that of the results
relative to the largest value. TFLOP/s count the products and sums of the network; their share is of
what the makers of the GPU say for that precision, without sparsity. Below, the default model on 16
recordings of 30 s, from arrays to arrays, with all that is around the network.
"""

import sys
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from writing import arguments, paragraph, write

import sgmse
from sgmse._device import Precision, precision
from sgmse.estimates import Noise
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp
from sgmse.scoring.provenance import machine
from sgmse.sdes import OUVE
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    PredictorCorrector,
    Randn,
    Uniform,
    solve,
)

SNR, END = 0.5, 0.03
#: TFLOP/s of float32, TF32 and bfloat16, dense.
PEAKS = {"H200": (67, 494, 989), "H100": (67, 494, 989), "A100": (19.5, 156, 312)}
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bf16")
SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "bins": 32}


@dataclass(frozen=True)
class Size:
    """How much is done."""

    network: dict[str, Any]
    frames: int
    steps: int
    batches: tuple[int, ...]
    rounds: int
    recordings: int
    seconds: float  # of each of them
    limit: float  # s

    @property
    def bins(self) -> int:
        """Frequencies of a piece."""
        return int(self.network.get("bins", 256))


FULL = Size({}, 256, 30, (1, 16), 3, 16, 30.0, 170.0)
MINIATURE = Size(SMALL, 8, 2, (1, 2), 1, 2, 0.3, 30.0)


def noise_of(seed: int, device: torch.device) -> Randn:
    """Seeded draws, the same for both."""
    generator = torch.Generator(device).manual_seed(seed)
    return lambda like: torch.randn(
        like.shape, dtype=like.dtype, device=like.device, generator=generator
    )


def random_model(size: Size) -> ScoreModel:
    """A network of which every layer matters, which as it is made says nothing."""
    torch.manual_seed(0)
    network = NCSNpp(**size.network).eval().requires_grad_(False)
    for weight in network.parameters():
        if weight.ndim > 1:
            weight.copy_(torch.randn_like(weight) / weight[0].numel() ** 0.5)
    return ScoreModel(network, OUVE(), Noise())


@torch.inference_mode()
def published(model: ScoreModel, y: Tensor, steps: int, randn: Randn) -> Tensor:
    """The loop of the published sampler, as its code has it."""
    sde: Any = model.sde
    device = y.device

    def score(x: Tensor, t: Tensor) -> Tensor:
        return model.score(x, y, t)

    def std(t: Tensor) -> Tensor:
        return sde.scales(t).sigma[:, None, None, None]

    x = y + randn(y) * std(torch.ones(len(y), device=device))
    times = torch.linspace(1, END, steps, device=device)
    mean = x
    for i in range(steps):
        t = times[i]
        stepsize = t - times[i + 1] if i + 1 < steps else times[-1]
        at = torch.ones(len(y), device=device) * t
        gradient, z = score(x, at), randn(x)
        e = 2 * (SNR * std(at)) ** 2
        x = x + e * gradient + z * torch.sqrt(2 * e)
        z = randn(x)
        drift = sde.theta * (y - x)
        log_r = torch.log(torch.tensor(sde.sigma_max / sde.sigma_min))
        sigma = sde.sigma_min * (sde.sigma_max / sde.sigma_min) ** at
        g = sigma * torch.sqrt(2 * log_r).to(device)
        f, G = drift * stepsize, g[:, None, None, None] * torch.sqrt(stepsize)
        mean = x - f + G**2 * score(x, at)
        x = mean + G * z
    return mean


@torch.inference_mode()
def ours(model: ScoreModel, y: Tensor, steps: int, randn: Randn) -> Tensor:
    """The same by the library."""
    solver = PredictorCorrector(EulerMaruyama(), AnnealedLangevin(SNR))
    return solve(model, y, solver, Uniform(steps, end=END), randn=randn).x


def waited(device: torch.device) -> float:
    """The time, once the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def compared(
    models: tuple[ScoreModel, ScoreModel], size: Size, batch: int, name: Precision, end: float
) -> dict[str, Any]:
    """Seconds of both for a batch, round by round, until the time is over."""
    device = next(models[0].parameters()).device
    y = 0.3 * noise_of(1, device)(
        torch.empty(batch, 1, size.bins, size.frames, dtype=torch.complex64, device=device)
    )
    ways = {"published": (published, models[0]), "sgmse": (ours, models[1])}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    made = {}
    with precision(device, name):
        for run, model in ways.values():  # kernels are chosen, memory is taken
            run(model, y, min(2, size.steps - 1), noise_of(2, device))
        for _ in range(size.rounds):
            for way, (run, model) in ways.items():
                start = waited(device)
                made[way] = run(model, y, size.steps, noise_of(2, device))
                seconds[way].append(waited(device) - start)
            if time.perf_counter() > end:
                break
    off = (made["sgmse"] - made["published"]).abs().max() / made["published"].abs().max()
    pairs = zip(seconds["published"], seconds["sgmse"], strict=True)
    return {
        "batch": batch,
        "precision": name,
        **{way: median(values) for way, values in seconds.items()},
        "rounds": len(seconds["sgmse"]),
        "ratio": median(one / other for one, other in pairs),
        "difference": float(off),
    }


def work_of(size: Size) -> float:
    """FLOP of the network in one evaluation of one piece; counted without computing."""
    network = NCSNpp(**size.network).to("meta")
    x = torch.zeros(1, 1, size.bins, size.frames, dtype=torch.complex64, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, x, torch.ones(1, device="meta"))
    return float(counter.get_total_flops())


def real_time(size: Size, device: torch.device, name: Precision) -> float:
    """Times real time of the default model."""
    enhancer = sgmse.load(device=device, precision=name)
    rate = enhancer.front.sample_rate
    audio = 0.1 * torch.randn(size.recordings, 1, round(size.seconds * rate))
    audio = audio * torch.linspace(0, 300, audio.shape[-1]).sin().abs()
    enhancer = replace(enhancer, force=True)
    enhancer(audio[:, :, : rate // 4], rate)
    start = waited(device)
    enhancer(audio, rate)
    return size.recordings * size.seconds / (waited(device) - start)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--miniature", action="store_true", help="a small network: to try this")
    options = parser.parse_args()
    device, size = torch.device(options.device), MINIATURE if options.miniature else FULL
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU here; --device cpu --miniature tries the script")
    start = time.perf_counter()
    plain, placed = (random_model(size).to(device) for _ in range(2))
    models = plain, placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    flop = work_of(size)
    about = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()["processor"]
    peaks = next((peak for name, peak in PEAKS.items() if name in about), None)
    rows, lines = [], []
    for batch in size.batches:
        for i, name in enumerate(PRECISIONS):
            if time.perf_counter() - start > size.limit:
                continue
            row = compared(models, size, batch, name, start + size.limit)
            speed = 2 * size.steps * batch * flop / row["sgmse"] / 1e12
            share = f", {speed / peaks[i]:.0%}" if peaks else ""
            rows.append(row | {"tflops": speed})
            lines.append(
                f"| {batch} | {name} | {row['published']:.3f} | {row['sgmse']:.3f} | "
                f"{row['ratio']:.2f} | {row['difference']:.1e} | {speed:.3g}{share} |\n"
            )
    speeds = {name: real_time(size, device, name) for name in PRECISIONS}
    page = (
        "# On a GPU\n\n"
        "Made by `python benchmarks/gpu.py`.\n\n"
        f"{paragraph(__doc__, 1)}\n\n{about}, torch {torch.__version__}; {size.steps} steps, at "
        f"most {size.rounds} rounds.\n\n"
        "| batch | precision | published [s] | sgmse [s] | ratio | difference | TFLOP/s |\n"
        f"|---|---|---|---|---|---|---|\n{''.join(lines)}\n"
        "| default model | times real time |\n|---|---|\n"
        + "".join(f"| {name} | {speed:.1f} |\n" for name, speed in speeds.items())
    )
    numbers = {"device": about, "torch": torch.__version__, "rows": rows, "real time": speeds}
    write(options.output, "gpu", page, numbers)


if __name__ == "__main__":
    main()
