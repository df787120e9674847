"""One evaluation of the full-size network, ours and the published one: python benchmarks/speed.py

Writes benchmarks/results/speed.md and .json: seconds an evaluation takes, the published `ncsnpp`
(65.6 M parameters) of the package sgmse 0.1.2 against `NCSNpp.v1` in channels-last order, with the
same random weights on the same input, in one process and in alternating rounds; and the largest
difference of the outputs. Both in single precision, uncompiled and under `torch.inference_mode()`.
The machine should do nothing else.

The published package imports as `sgmse` too. It is never installed beside ours, but unpacked into a
folder of its own, once, and its networks are imported from there under another name:

    pip install --no-deps --target build/published sgmse==0.1.2
"""

import importlib
import importlib.util
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from tqdm import tqdm
from writing import arguments, write

from sgmse.networks import NCSNpp
from sgmse.scoring.provenance import machine

HERE = Path(__file__).resolve().parent
BINS = 256  # frequencies; the published network takes no other number
BAR = 1.75  # times as fast as the published code
CLOSE = 1e-5  # largest difference, relative to the largest output


def published_network(folder: Path) -> nn.Module:
    """The published `ncsnpp` out of an unpacked package, which is named `published` here."""
    if not (folder / "sgmse" / "backbones").is_dir():
        raise SystemExit(
            f"{folder} does not hold the published package; unpack it with\n"
            f"    pip install --no-deps --target {folder} sgmse==0.1.2"
        )
    spec = importlib.util.spec_from_file_location("published", folder / "sgmse" / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["published"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["published"])
    # One of its files imports by the full name, which is ours.
    absolute = "sgmse.util", "sgmse.util.registry"
    for name in absolute:
        sys.modules[name] = importlib.import_module(name.replace("sgmse", "published", 1))
    try:
        return importlib.import_module("published.backbones.ncsnpp").NCSNpp()
    finally:
        for name in absolute:
            del sys.modules[name]


def weigh(network: nn.Module) -> None:
    """Random weights in place of the first ones, with which most layers return almost nothing."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.requires_grad:
                continue
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))


def seconds(evaluate: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    evaluate()
    return time.perf_counter() - began


def compare(folder: Path, frames: int, rounds: int) -> dict:
    """Times of alternating rounds, who is first changing, and the difference of the outputs."""
    theirs = published_network(folder).eval()
    weigh(theirs)
    ours = NCSNpp.v1().eval()
    state = theirs.state_dict()
    ours.load_state_dict({key: state[name] for key, name in ours.published_keys().items()})
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    x, y = torch.randn(2, 1, 1, BINS, frames, dtype=torch.complex64)
    t = torch.tensor([0.5])
    evaluate: dict[str, Callable[[], Tensor]] = {
        "published": lambda: theirs(torch.cat((x, y), dim=1), t),
        "ours": lambda: ours(x, y, t),
    }
    times: dict[str, list[float]] = {name: [] for name in evaluate}
    with torch.inference_mode():
        expected, out = evaluate["published"](), evaluate["ours"]()  # also warms both up
        for number in tqdm(range(rounds), unit="round"):
            for name in sorted(evaluate, reverse=number % 2 == 0):
                times[name].append(seconds(evaluate[name]))
    ratios = [a / b for a, b in zip(times["published"], times["ours"], strict=True)]
    return {
        "seconds": {name: median(values) for name, values in times.items()},
        "ratio": median(ratios),
        "ratios": ratios,
        "difference": ((out - expected).abs().max() / expected.abs().max()).item(),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--published", type=Path, default=HERE.parent / "build" / "published")
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = compare(options.published, options.frames, options.rounds)
    result |= {
        "frames": options.frames,
        "threads": options.threads,
        "processor": machine()["processor"],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    took, ratios = result["seconds"], result["ratios"]
    page = (
        "# One evaluation of the full-size network\n\n"
        "Made by `python benchmarks/speed.py`.\n\n"
        f"The published `ncsnpp` (65.6 M parameters) of sgmse 0.1.2 and `NCSNpp.v1`, the same "
        f"random weights and the same input of {BINS} x {options.frames} frames, single "
        f"precision, uncompiled, in one process; medians of {options.rounds} alternating rounds. "
        f"{result['processor']}, {options.threads} threads, torch {result['torch']}, Python "
        f"{result['python']}.\n\n"
        "| network | seconds an evaluation | times as fast | largest relative difference |\n"
        "|---|---|---|---|\n"
        f"| sgmse 0.1.2 | {took['published']:.2f} | 1 | |\n"
        f"| ours | {took['ours']:.2f} | {result['ratio']:.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}) | {result['difference']:.1e} |\n"
    )
    write(options.output, "speed", page, result)
    if result["ratio"] < BAR or result["difference"] > CLOSE:
        raise SystemExit(f"the bar is {BAR} times as fast at a difference of {CLOSE}")


if __name__ == "__main__":
    main()
