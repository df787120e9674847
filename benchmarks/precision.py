"""What bfloat16 costs in quality: python benchmarks/precision.py ../shared/corpus/valid

Writes benchmarks/results/precision.md and .json: means over recordings of valid that the default
model enhances in float32 and with the products of its network in bfloat16, and how far the results
of both are apart, in dB below the result. On a CPU, which rounds as a GPU does; sums of products
are longer or shorter there, and in float32.
"""

import platform

import numpy as np
import torch
from tqdm import tqdm
from writing import arguments, paragraph, write

import sgmse
from sgmse import audio
from sgmse.metrics import estoi, pesq_wb, si_sdr
from sgmse.scoring.provenance import machine

MEASURES = {"PESQ-WB": pesq_wb, "ESTOI": estoi, "SI-SDR [dB]": si_sdr}
NAMES = ("float32", "bf16")


def main() -> None:
    parser = arguments(__doc__, "clean and noisy")
    parser.add_argument("--files", type=int, default=24, help="evenly spaced")
    options = parser.parse_args()
    files = sorted((options.corpus / "noisy").glob("*.*"))
    files = [files[i] for i in np.linspace(0, len(files) - 1, options.files).round().astype(int)]
    enhancers = {name: sgmse.load(device="cpu", precision=name) for name in NAMES}
    scores: dict[str, list[list[float]]] = {name: [] for name in NAMES}
    apart = []
    for noisy in tqdm(files, unit="file"):
        (y, about), (x, _) = audio.read(noisy), audio.read(options.corpus / "clean" / noisy.name)
        made = {name: e(y, about.sample_rate)[0] for name, e in enhancers.items()}
        for name, result in made.items():
            scores[name].append([f(x[0], result, about.sample_rate) for f in MEASURES.values()])
        exact, other = (made[name].astype(np.float64) for name in NAMES)
        apart.append(10 * np.log10(np.mean(exact**2) / np.mean((exact - other) ** 2)))
    means = {name: np.mean(rows, axis=0) for name, rows in scores.items()}
    change = np.subtract(scores["bf16"], scores["float32"])
    error = change.std(axis=0, ddof=1) / len(files) ** 0.5
    rows = "".join(
        f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |\n"
        for name, row in means.items()
    )
    moved = " | ".join(f"{m:+.3f} +- {e:.3f}" for m, e in zip(change.mean(0), error, strict=True))
    page = (
        "# What bfloat16 costs\n\n"
        "Made by `python benchmarks/precision.py ../shared/corpus/valid`.\n\n"
        f"{paragraph(__doc__, 1)} {len(files)} recordings; {machine()['processor']}, Python "
        f"{platform.python_version()}, torch {torch.__version__}.\n\n"
        f"| precision | {' | '.join(MEASURES)} |\n|{'---|' * (1 + len(MEASURES))}\n{rows}"
        f"| change | {moved} |\n\nThe results are {np.median(apart):.0f} dB apart (median).\n"
    )
    numbers = {
        "files": len(files),
        "means": {name: dict(zip(MEASURES, row, strict=True)) for name, row in means.items()},
        "change": dict(zip(MEASURES, change.mean(0), strict=True)),
        "error": dict(zip(MEASURES, error, strict=True)),
        "apart": float(np.median(apart)),
    }
    write(options.output, "precision", page, numbers)


if __name__ == "__main__":
    main()
