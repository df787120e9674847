"""Exported models against torch: python benchmarks/exports.py

Writes benchmarks/results/exports.md and .json: seconds of CPU time for 4 s of audio, from audio to
audio, on one thread. The rounds alternate between torch and the runtimes, so that all see the same
machine; the ratio to torch is the median of those of the rounds, above 1 where torch is faster. The
difference is that of this recording to what torch makes of it, relative to the largest value; in
the row of torch, that of its single precision to its double, in which it is not timed. All compute
in single precision, and have their model loaded.
"""

import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import openvino
import soundfile
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.checkpoints import load_model
from sgmse.enhancer import Enhancer
from sgmse.export import export
from sgmse.scoring.provenance import machine

NOISY = Path(__file__).resolve().parent.parent / "tests" / "data" / "noisy.wav"
SECONDS = 4
#: From audio (1, samples) to enhanced audio.
Run = Callable[[NDArray[np.float32]], NDArray[Any]]


def runs(model: str, folder: Path) -> dict[str, Run]:
    """A model in torch and in each runtime."""
    checkpoint = load_model(model)
    enhancer = Enhancer.of(checkpoint)
    rate = checkpoint.front.sample_rate
    files = {
        to: export(checkpoint, folder / f"{model}{suffix}", to=to, audio=True).path
        for to, suffix in (("onnx", ".onnx"), ("openvino", ".xml"))
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        files["onnx"], options, providers=["CPUExecutionProvider"]
    )
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.compile_model(files["openvino"], "CPU", settings)
    return {
        "torch": lambda audio: enhancer(audio, rate),
        "onnxruntime": lambda audio: session.run(None, {"audio": audio})[0],
        "OpenVINO": lambda audio: compiled({"audio": audio})[0],
    }


def measured(model: str, rounds: int) -> dict[str, dict[str, Any]]:
    """By runtime: seconds of each round, and the difference to torch."""
    audio, rate = soundfile.read(NOISY, dtype="float32")
    audio = np.resize(audio, (1, SECONDS * rate))
    with tempfile.TemporaryDirectory() as folder:
        ways = runs(model, Path(folder))
        outputs = {name: run(audio) for name, run in ways.items()}  # not counted
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in tqdm(range(rounds), desc=model, unit="round"):
            for name, run in ways.items():
                start = time.process_time()
                run(audio)
                seconds[name].append(time.process_time() - start)
        exact = Enhancer.of(load_model(model))
        exact = replace(exact, model=exact.model.double())
        wanted = dict.fromkeys(ways, outputs["torch"])
        wanted["torch"] = exact(audio.astype(np.float64), rate)
    return {
        name: {
            "seconds": seconds[name],
            "difference": float(np.abs(output - wanted[name]).max() / np.abs(output).max()),
        }
        for name, output in outputs.items()
    }


def row(model: str, name: str, result: dict[str, Any], torch_seconds: list[float]) -> str:
    seconds = result["seconds"]
    ratios = [one / other for one, other in zip(seconds, torch_seconds, strict=True)]
    spread = f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
    ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    ratio = "1" if name == "torch" else ratio
    return f"| `{model}` | {name} | {spread} | {ratio} | {result['difference']:.0e} |\n"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", nargs="+", default=["default"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = {model: measured(model, options.rounds) for model in options.models}
    rows = "".join(
        row(model, name, result, by["torch"]["seconds"])
        for model, by in results.items()
        for name, result in by.items()
    )
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    page = (
        "# Exported models\n\n"
        "Made by `python benchmarks/exports.py`.\n\n"
        f"{paragraph(__doc__, 1)} {machine()['processor']}, Python {platform.python_version()}, "
        f"{versions}, OpenVINO {openvino.__version__.split('-')[0]}; {options.rounds} rounds, in "
        "brackets the least and the most.\n\n"
        "| model | runtime | CPU time [s] | ratio to torch | difference |\n|---|---|---|---|---|\n"
        f"{rows}"
    )
    write(options.output, "exports", page, results)


if __name__ == "__main__":
    main()
