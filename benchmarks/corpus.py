"""Score a model on the fixed mixtures of the corpus: python benchmarks/corpus.py [--set test].

Writes benchmarks/results/corpus-<set>.md and .json: mean PESQ (wide band), STOI, ESTOI and SI-SDR
with 95 % intervals over recordings, of the noisy input and of the model, the real-time factor, and
the same by SNR.
"""

import argparse
import csv
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import sgmse
from sgmse.audio import read
from sgmse.metrics import estoi, pesq_wb, si_sdr, stoi

HERE = Path(__file__).resolve().parent
DIGITS = {"PESQ-WB": 3, "STOI": 3, "ESTOI": 3, "SI-SDR": 2, "DNSMOS": 2}


def dnsmos(clean: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Overall quality by DNSMOS P.835, which hears the estimate alone."""
    from speechmos import dnsmos as package

    return float(package.run(estimate / max(1.0, np.abs(estimate).max()), rate)["ovrl_mos"])


METRICS = {
    "PESQ-WB": pesq_wb,
    "STOI": stoi,
    "ESTOI": estoi,
    "SI-SDR": si_sdr,
    "DNSMOS": dnsmos,
}


def scores(clean: np.ndarray, estimate: np.ndarray, rate: int, names: list[str]) -> dict:
    """The named metrics of one recording."""
    return {name: float(METRICS[name](clean, estimate, rate)) for name in names}


def interval(values: list[float], draws: int = 2000) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean over recordings."""
    data = np.asarray(values)
    picks = np.random.default_rng(0).integers(0, len(data), (draws, len(data)))
    low, high = np.percentile(data[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Systems x metrics as Markdown, means with half-widths of their intervals."""
    names = list(next(iter(rows.values()))[0])
    lines = ["| system | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for system, results in rows.items():
        cells = []
        for name in names:
            values = [result[name] for result in results]
            low, high = interval(values)
            digits = DIGITS[name]
            cells.append(f"{np.mean(values):.{digits}f} ± {(high - low) / 2:.{digits}f}")
        lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=HERE.parent.parent / "shared" / "corpus")
    parser.add_argument("--set", choices=("valid", "test"), default="test")
    parser.add_argument("--model", default="default")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--dnsmos", action="store_true", help="needs the extra 'mos'")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    options = parser.parse_args()

    folder = options.corpus / options.set
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist; name the corpus with --corpus")
    with (folder / "index.csv").open() as file:
        index = list(csv.DictReader(file))
    enhancer = sgmse.load(options.model, device="cpu", steps=options.steps)
    names = [name for name in METRICS if options.dnsmos or name != "DNSMOS"]
    system = f"sgmse {options.model}, {enhancer.grid.steps} step(s)"
    results: dict[str, list[dict[str, float]]] = {"noisy": [], system: []}
    seconds = spent = 0.0
    for row in tqdm(index, unit="file", disable=None):
        name = f"{row['name']}.flac"
        clean, about = read(folder / "clean" / name)
        noisy, _ = read(folder / "noisy" / name)
        start = time.perf_counter()
        enhanced = enhancer(noisy, about.sample_rate)
        spent += time.perf_counter() - start
        seconds += about.duration
        for key, audio in (("noisy", noisy), (system, enhanced)):
            results[key].append(scores(clean[0], audio[0], about.sample_rate, names))

    factor = spent / seconds
    parts = [
        f"# {options.set} set of the corpus, {len(index)} recordings\n",
        f"`{' '.join(['python benchmarks/corpus.py', *sys.argv[1:]])}`\n",
        table(results) + "\n",
        f"Real-time factor {factor:.3f} on {torch.get_num_threads()} threads of a CPU "
        f"({platform.machine()}, torch {torch.__version__}).\n",
        "Means over recordings ± half the width of a 95 % bootstrap interval.\n",
    ]
    for snr in sorted({float(row["snr_db"]) for row in index}):
        chosen = [i for i, row in enumerate(index) if float(row["snr_db"]) == snr]
        of_snr = {key: [values[i] for i in chosen] for key, values in results.items()}
        parts += [f"## SNR {snr:g} dB, {len(chosen)} recordings\n", table(of_snr) + "\n"]
    options.output.mkdir(parents=True, exist_ok=True)
    variant = "" if options.model == "default" else f"-{Path(options.model).name}"
    variant += "" if options.steps is None else f"-{options.steps}-steps"
    stem = options.output / f"corpus-{options.set}{variant}"
    stem.with_suffix(".md").write_text("\n".join(parts))
    per_file = [
        {"name": row["name"]} | {key: values[i] for key, values in results.items()}
        for i, row in enumerate(index)
    ]
    summary = {"factor": factor, "seconds": seconds, "files": per_file}
    stem.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    print("\n".join(parts[:5]))
    print(f"written to {stem}.md and {stem}.json")


if __name__ == "__main__":
    main()
