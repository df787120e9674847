"""Where Winograd's convolution is quicker than the plain one: python benchmarks/convolutions.py

Writes benchmarks/results/convolutions.md and .json: the time of PyTorch's convolution of three by
three points over that of `sgmse.networks._winograd.winograd`, of the same random input in
channels-last order, in single precision, in alternating rounds; the largest difference of both; and
which of them a network takes. The machine should do nothing else.
"""

import platform
import time
from statistics import quantiles

import torch
from torch.nn.functional import conv2d
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.networks._winograd import AREA, CHANNELS, winograd
from sgmse.scoring.provenance import machine

#: Channels in and out, and points along an axis: those of the full-size NCSN++, and less.
SIZES = (
    (64, 64, 256),
    (64, 64, 64),
    (128, 64, 128),
    (128, 128, 32),
    (128, 128, 64),
    (128, 128, 128),
    (128, 128, 256),
    (256, 128, 256),
    (256, 256, 32),
    (256, 256, 64),
    (512, 256, 32),
    (512, 256, 64),
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows, lines = [], ""
    for inputs, outputs, points in tqdm(SIZES, unit="size"):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(1, inputs, points, points, generator=generator)
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) / (9 * inputs) ** 0.5
        x, weight = (z.contiguous(memory_format=torch.channels_last) for z in (x, weight))
        bias, ratios = torch.zeros(outputs), []
        with torch.inference_mode():
            plain, quick = conv2d(x, weight, bias, padding=1), winograd(x, weight, bias)
            for _ in range(options.rounds):
                start = time.perf_counter()
                conv2d(x, weight, bias, padding=1)
                middle = time.perf_counter()
                winograd(x, weight, bias)
                ratios.append((middle - start) / (time.perf_counter() - middle))
        off = ((quick - plain).abs().max() / plain.abs().max()).item()
        low, half, high = quantiles(ratios, n=4)
        taken = min(inputs, outputs) >= CHANNELS and points**2 >= AREA
        rows.append({"size": (inputs, outputs, points), "ratios": ratios, "difference": off})
        lines += (
            f"| {inputs} to {outputs} | {points} x {points} | {half:.2f} ({low:.2f} to {high:.2f}) "
            f"| {off:.0e} | {'yes' if taken else 'no'} |\n"
        )
    page = (
        "# Where Winograd's convolution pays\n\nMade by `python benchmarks/convolutions.py`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}; medians of "
        f"{options.rounds} rounds, quarters in brackets.\n\n"
        "| channels | points | times as fast | difference | taken |\n|---|---|---|---|---|\n"
        f"{lines}"
    )
    write(options.output, "convolutions", page, {"rows": rows})


if __name__ == "__main__":
    main()
