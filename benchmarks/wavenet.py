"""WaveNet as a denoiser and as a vocoder: python benchmarks/wavenet.py DATA CORPUS

Trains small networks of the recipe `wavenet` twice: as it is, a denoiser, by a loss of sounds; and
with mels in place of the recording, a vocoder (docs/training.md), with wide layers for groups of
samples, so that a processor can train them. The denoiser is scored on
CORPUS/valid beside the noisy recordings and the default model, the vocoder on the clean recordings
beside Griffin and Lim's method on the same mels, 32 iterations of it.

DATA holds train/clean, train/noise, valid/clean and valid/noisy. Writes
benchmarks/results/wavenet.md and .json: the means, what is changed recording by recording, and what
the trainings took.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from runs import cost_of, run_arguments, trained
from writing import paragraph, write

from sgmse import audio
from sgmse.bench import Folder, Model, Noisy, NoisySet, Suite, run_suite
from sgmse.bench._results import Results
from sgmse.bench._systems import write_exact
from sgmse.data.pairs import evenly_spaced
from sgmse.features import Features
from sgmse.report import numbers
from sgmse.report.text import markdown_table

RATE = 16000
DENOISER, VOCODER, PEER = "WaveNet, denoiser", "WaveNet, vocoder", "Griffin-Lim"
#: What both have in common.
SMALL = (
    "trainer.batch=4",
    "trainer.workers=1",
    "trainer.save_every=100",
    "schedule={warmup: 50, decay: 0.4, final: 0.02}",
    "ema={decay: 0.99, warmup: true}",
    "optimiser={class: AdamW, lr: 1e-3}",
)
#: The vocoder takes so many times as many updates as the denoiser.
LONGER = 4.5
#: The changes that each alone has.
RUNS = {
    DENOISER: (
        "network={class: WaveNet, channels: 96, layers: 16, cycle: 8, steps: 50, group: 16}",
        # `level` hears the polarity, to which the two after it are deaf.
        "loss={class: Reconstruction, complex: 20, level: 1, si_sdr: 8, multi_resolution: 3}",
        "sampler.grid={class: Uniform, steps: 1}",
    ),
    VOCODER: (
        "network={class: WaveNet, channels: 192, layers: 16, cycle: 8, steps: 50, group: 64, "
        "mels: 80, strides: [2, 2]}",
        "data={class: Paired, clean: train/clean, noisy: train/clean, samples: 16384}",
        "validation={clean: valid/clean, noisy: valid/clean, scores: [pesq_wb, estoi], "
        "best: estoi, files: 4, every: 1000}",
        "sde={class: FlowMatching}",
        "parametrization={class: Data}",
        "loss={class: Reconstruction, complex: 20, multi_resolution: 1}",
        "times={low: 0.01, high: 1.0}",
        "front.transform.factor=5",  # so that noise and speech are of one size
        "sampler.grid={class: Uniform, steps: 16, start: 1.0, end: 0.01}",
    ),
}
PAGE = """# WaveNet as a denoiser and as a vocoder

Made by `python benchmarks/wavenet.py DATA CORPUS --steps {steps} --files {count}`.

{about}

Scores of {count} recordings, the mean with half a 95 % bootstrap interval.

## Denoiser

One evaluation, and four.

{denoiser}

Less the noisy recordings (Wilcoxon signed rank, corrected by Holm's method over the table:
* p < 0.05, ** p < 0.01, *** p < 0.001):

{denoised}

## Vocoder

Of mels of clean recordings; the phases are made up, so that SI-SDR says nothing here.
Its network has taken {longer:g} times the denoiser's updates; 16 evaluations, and one.

{vocoder}

Less Griffin and Lim's method:

{against}

## What the trainings took

{costs}
"""


def updates(name: str, steps: int) -> int:
    """Of a run, where the denoiser takes so many."""
    return round(LONGER * steps) if name == VOCODER else steps


def train(runs: Path, name: str, data: Path, steps: int, cache: Path) -> Path:
    """The folder of the model that a run has made."""
    folder = runs / name
    steps = updates(name, steps)
    changes = (*SMALL, *RUNS[name], f"trainer.cache={cache.resolve()}")
    trained(folder, ("wavenet", "--data", str(data)), steps, changes)
    return folder / "best"


def resynthesised(clean: Path, target: Path, files: int) -> Path:
    """A folder of what Griffin and Lim's method makes of the mels of recordings."""
    features = Features(RATE)
    for path in evenly_spaced(sorted(clean.iterdir()), files):
        made = target / f"{path.stem}.wav"
        if not made.exists():
            target.mkdir(parents=True, exist_ok=True)
            samples, about = audio.read(path)
            if about.sample_rate != RATE:
                raise SystemExit(f"{path} has {about.sample_rate} Hz; the mels are of {RATE} Hz")
            sound = torch.from_numpy(samples)
            heard = features.audio(features.mel(sound), sound.shape[-1])
            write_exact(made, heard.numpy(), about.sample_rate)
    return target


def means(results: Results) -> str:
    """The scores of all systems."""
    measures = results.scores.measures
    rows = [
        [name, *(numbers.mean(m, own[m.name]) for m in measures)]
        for name, own in results.table.means.items()
    ]
    return markdown_table(["system", *(numbers.heading(m) for m in measures)], rows)


def changes(results: Results, systems: Sequence[str]) -> str:
    """What systems have more than the baseline."""
    table, measures = results.table, results.scores.measures
    rows = [
        [name, *(numbers.change(m, table.differences[name].get(m.name)) for m in measures)]
        for name in systems
    ]
    return markdown_table(["system", *(numbers.heading(m) for m in measures)], rows)


def plain(results: Results) -> dict[str, Any]:
    """The numbers."""
    table = results.table
    return {
        "means": {s: {m: vars(i) for m, i in row.items()} for s, row in table.means.items()},
        "differences": {
            s: {m: None if d is None else vars(d) for m, d in row.items()}
            for s, row in table.differences.items()
        },
    }


def main() -> None:
    parser = run_arguments(__doc__, RUNS, steps=2000)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        runs, cache = work / "runs", options.cache or work / "cache"
        models = {
            name: train(runs, name, options.data, options.steps, cache)
            for name in RUNS
            if options.only in (None, name)
        }
        if options.only is not None:
            return
        clean = options.corpus / "valid/clean"
        denoiser = Suite(
            {"valid": NoisySet(clean, options.corpus / "valid/noisy")},
            {
                "noisy": Noisy(),
                "default": Model(),
                DENOISER: Model(str(models[DENOISER]), force=True),
                f"{DENOISER}, 4 steps": Model(str(models[DENOISER]), steps=4, force=True),
            },
            measures=("pesq-wb", "estoi", "si-sdr", "dnsmos-ovrl"),
            baseline="noisy",
            files=options.files,
        )
        vocoder = Suite(
            {"clean": NoisySet(clean, clean)},
            {
                PEER: Folder(resynthesised(clean, work / "griffin-lim", options.files)),
                VOCODER: Model(str(models[VOCODER]), force=True),
                f"{VOCODER}, one step": Model(str(models[VOCODER]), steps=1, force=True),
            },
            measures=("pesq-wb", "estoi", "lsd", "dnsmos-ovrl"),
            baseline=PEER,
            files=options.files,
        )
        first = run_suite(denoiser, work / "results/denoiser", workers=options.jobs)
        second = run_suite(vocoder, work / "results/vocoder", workers=options.jobs)
        costs = {name: cost_of(runs / name) for name in RUNS}
        page = PAGE.format(
            steps=options.steps,
            longer=LONGER,
            about=paragraph(__doc__, 1),
            count=len(first.scores.complete),
            denoiser=means(first),
            denoised=changes(first, [s for s in denoiser.systems if s != "noisy"]),
            vocoder=means(second),
            against=changes(second, [s for s in vocoder.systems if s != PEER]),
            costs=markdown_table(
                ["run", "updates", "processor minutes"],
                [
                    [name, str(updates(name, options.steps)), f"{cost['processor minutes']:.0f}"]
                    for name, cost in costs.items()
                ],
            ),
        )
        written = {
            "steps": {name: updates(name, options.steps) for name in RUNS},
            "costs": costs,
            "denoiser": plain(first),
            "vocoder": plain(second),
        }
        write(options.output, "wavenet", page, written)


if __name__ == "__main__":
    main()
