"""The published package and this one on the same checkpoint: python benchmarks/parity_official.py

Writes benchmarks/results/parity-official.md and .json: the largest difference of the enhanced
recordings, relative to the largest sample, for full-size networks with random weights in a file
that the published code saves, with the same noise; and what either takes. Ours reads the file with
compat="sgmse". The package is never installed beside ours but into an environment of its own, once:

    python -m venv build/official
    build/official/bin/pip install "sgmse==0.1.2" "torch<2.14"
    build/official/bin/pip uninstall -y torchvision     (unused, and built for another torch)
"""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm
from writing import arguments, write

import sgmse
from sgmse.audio import read
from sgmse.enhancer import Enhancer

HERE = Path(__file__).resolve().parent
RECORDING = HERE.parent / "tests" / "data" / "noisy.wav"
SECONDS = 2.0
BAR = 1e-4

FULLBAND = {"n_fft": 1534, "hop_length": 384, "spec_factor": 0.065, "spec_abs_exponent": 0.667}
BRIDGE = {"k": 2.6, "c": 0.4, "loss_type": "data_prediction"}
#: The published models: their arguments, steps, sampler and padding, and their rate.
JOBS = {
    "ncsnpp, OUVE, predictor-corrector": {
        "model": {"backbone": "ncsnpp", "sde": "ouve", "theta": 1.5, "sigma_min": 0.05}
        | {"sigma_max": 0.5},
        "steps": 3,
        "sampler": "pc",
        "pad_mode": "zero_pad",
        "rate": 16000,
    },
    "ncsnpp_48k, OUVE, predictor-corrector": {
        "model": {"backbone": "ncsnpp_48k", "sde": "ouve", "theta": 2.0, "sigma_min": 0.1}
        | {"sigma_max": 1.0, "sr": 48000}
        | FULLBAND,
        "steps": 2,
        "sampler": "pc",
        "pad_mode": "reflection",
        "rate": 48000,
    },
    "ncsnpp_v2, SB-VE, ODE": {
        "model": {"backbone": "ncsnpp_v2", "sde": "sbve", "sampler_type": "ode", "N": 4} | BRIDGE,
        "steps": 4,
        "sampler": "ode",
        "pad_mode": "reflection",
        "rate": 16000,
    },
    "ncsnpp_v2, SB-VE, SDE": {
        "model": {"backbone": "ncsnpp_v2", "sde": "sbve", "sampler_type": "sde", "N": 4} | BRIDGE,
        "steps": 4,
        "sampler": "sde",
        "pad_mode": "reflection",
        "rate": 16000,
    },
}


def noisy(rate: int) -> np.ndarray:
    """The first seconds of the shipped recording as (samples,), float32; resampled by repetition.

    What it sounds like does not matter here.
    """
    audio, about = read(RECORDING)
    return np.repeat(audio[0], rate // about.sample_rate)[: int(SECONDS * rate)].astype(np.float32)


def fewer(enhancer: Enhancer, steps: int) -> Enhancer:
    """The same sampler with that many steps, also with so few that speech would suffer."""
    sampler = enhancer.sampler
    grid = replace(sampler.grid, steps=steps)
    return replace(enhancer, sampler=replace(sampler, grid=grid), force=True)


def compare(job: dict, python: Path, threads: int) -> dict:
    """Both packages on one file."""
    with TemporaryDirectory() as workplace:
        folder = Path(workplace)
        (folder / "job.json").write_text(json.dumps(job | {"threads": threads}))
        np.save(folder / "noisy.npy", noisy(job["rate"]))
        run = subprocess.run(
            [str(python), str(HERE / "published_enhance.py"), str(folder)],
            capture_output=True,
            text=True,
            cwd=folder,  # not where `import sgmse` would find ours
            check=False,
        )
        if run.returncode:
            sys.exit(f"the published package failed:\n{run.stderr}")
        published = json.loads((folder / "published.json").read_text())
        theirs = np.load(folder / "published.npy")
        path = folder / "model.ckpt"
        published_sampler, exact_sampler = (
            fewer(sgmse.load(path, device="cpu", compat=compat), job["steps"])
            for compat in ("sgmse", None)
        )
        began = time.perf_counter()
        ours = published_sampler(noisy(job["rate"]), job["rate"], seed=0)
        seconds = time.perf_counter() - began
        change = exact_sampler(noisy(job["rate"]), job["rate"], seed=0) - theirs
    largest = np.abs(theirs).max()
    return {
        "difference": float(np.abs(ours - theirs).max() / largest),
        "exact": float(np.sqrt((change**2).mean() / (theirs**2).mean())),
        "seconds": {"published": published["seconds"], "ours": seconds},
        "torch": {"published": published["torch"], "ours": torch.__version__},
    }


def main() -> None:
    parser = arguments(__doc__)
    default = HERE.parent / "build" / "official" / "bin" / "python"
    parser.add_argument("--python", type=Path, default=default, help="of the other environment")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="models whose names hold this text")
    options = parser.parse_args()
    if not options.python.exists():
        sys.exit(f"{options.python} does not exist; make the environment: {__doc__}")
    torch.set_num_threads(options.threads)
    jobs = {name: job for name, job in JOBS.items() if (options.only or "") in name}
    results = {
        name: compare(job, options.python.absolute(), options.threads)
        for name, job in tqdm(jobs.items(), unit="model")
    }
    rows = [
        f"| {name} | {jobs[name]['steps']} | {r['difference']:.1e} | {r['exact']:.1e} "
        f"| {r['seconds']['published']:.1f} | {r['seconds']['ours']:.1f} |"
        for name, r in results.items()
    ]
    page = (
        "# The published package and this one on the same checkpoint\n\n"
        "Made by `python benchmarks/parity_official.py`.\n\n"
        f"Full-size networks with random weights, {SECONDS:g} s of audio, the same noise, float32 "
        f'on {options.threads} CPU threads. `difference`: largest, with compat="sgmse", relative '
        f"to the largest sample; at most {BAR:g} is wanted. `exact`: root mean square of what the "
        "default sampler, which is exact, changes, relative to that of the result; large for these "
        "random networks, of which few steps are taken. The weights of the first published SB-ODE "
        "step are thousands and cancel: on a small network its float32 is 6e-4 from float64.\n\n"
        "| model | steps | difference | exact | published, s | ours, s |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    write(options.output, "parity-official", page, results)
    if worst := [name for name, r in results.items() if not r["difference"] <= BAR]:
        sys.exit(f"above {BAR:g}: {', '.join(worst)}")


if __name__ == "__main__":
    main()
