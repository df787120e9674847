"""One evaluation of the full-size network, ours and the published one: python benchmarks/speed.py

Writes benchmarks/results/speed.md and .json: seconds an evaluation takes, the published `ncsnpp`
(65.6 M parameters) of the package sgmse 0.1.2 against `NCSNpp.v1` in channels-last order, with the
same random weights on the same input, in one process and in alternating rounds; and the largest
difference of the outputs. All in single precision, uncompiled and under `torch.inference_mode()`.
Ours is computed by onnxruntime and OpenVINO, too, as by `--backend`. The machine should do nothing
else.

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
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from tqdm import tqdm
from writing import arguments, write

from sgmse.enhancer import Enhancer
from sgmse.estimates import Score
from sgmse.export import accelerated
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp, Network
from sgmse.scoring.provenance import machine
from sgmse.sdes import OUVE
from sgmse.solvers import PredictorCorrector, Sampler, Uniform
from sgmse.transforms import Spectrogram

HERE = Path(__file__).resolve().parent
BINS = 256  # frequencies; the published network takes no other number
BAR = 2.0  # times as fast as the published code
CLOSE = 1e-5  # largest difference, relative to the largest output
NAMES = {
    "ours": "ours",
    "onnxruntime": "ours, `--backend onnx`",
    "OpenVINO": "ours, `--backend openvino`",
}


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


def by_runtimes(network: Network, folder: Path) -> dict[str, Network]:
    """The same network, computed by others."""
    model = ScoreModel(network, OUVE(), Score()).eval()
    front = FrontEnd(Spectrogram(n_fft=510, hop=128), 16000)
    enhancer = Enhancer(model, front, Sampler(PredictorCorrector(), Uniform(30, end=0.03)))
    return {
        name: accelerated(enhancer, backend, cache=folder, say=print).model.parts["network"]
        for name, backend in (("onnxruntime", "onnx"), ("OpenVINO", "openvino"))
    }


def compare(folder: Path, frames: int, rounds: int, graphs: Path) -> dict:
    """Times of alternating rounds, who is first changing, and the difference of the outputs."""
    theirs = published_network(folder).eval()
    weigh(theirs)
    ours = NCSNpp.v1().eval()
    state = theirs.state_dict()
    ours.load_state_dict({key: state[name] for key, name in ours.published_keys().items()})
    ours.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    others = by_runtimes(ours, graphs)

    x, y = torch.randn(2, 1, 1, BINS, frames, dtype=torch.complex64)
    t = torch.tensor([0.5])
    evaluate: dict[str, Callable[[], Tensor]] = {
        "published": lambda: theirs(torch.cat((x, y), dim=1), t),
        "ours": lambda: ours(x, y, t),
    }
    evaluate |= {name: lambda own=own: own(x, y, t) for name, own in others.items()}
    times: dict[str, list[float]] = {name: [] for name in evaluate}
    with torch.inference_mode():
        outputs = {name: own() for name, own in evaluate.items()}  # also warms all up
        expected = outputs.pop("published")
        for number in tqdm(range(rounds), unit="round"):
            for name in sorted(evaluate, reverse=number % 2 == 0):
                times[name].append(seconds(evaluate[name]))
    ratios = {
        name: [a / b for a, b in zip(times["published"], times[name], strict=True)]
        for name in outputs
    }
    return {
        "seconds": {name: median(values) for name, values in times.items()},
        "ratio": {name: median(values) for name, values in ratios.items()},
        "ratios": ratios,
        "difference": {
            name: ((out - expected).abs().max() / expected.abs().max()).item()
            for name, out in outputs.items()
        },
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--published", type=Path, default=HERE.parent / "build" / "published")
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as graphs:
        result = compare(options.published, options.frames, options.rounds, Path(graphs))
    result |= {
        "frames": options.frames,
        "threads": options.threads,
        "processor": machine()["processor"],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    took, differences = result["seconds"], result["difference"]
    lines = [
        f"| {NAMES[name]} | {took[name]:.2f} | {result['ratio'][name]:.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}) | {differences[name]:.1e} |\n"
        for name, ratios in result["ratios"].items()
    ]
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
    ) + "".join(lines)
    write(options.output, "speed", page, result)
    if result["ratio"]["ours"] < BAR or max(differences.values()) > CLOSE:
        raise SystemExit(f"the bar is {BAR} times as fast at a difference of {CLOSE}")


if __name__ == "__main__":
    main()
