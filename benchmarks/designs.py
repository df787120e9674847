"""Which process, estimate and network: python benchmarks/designs.py CORPUS

Times an update of every network, then trains each design from scratch for as many updates as take
the same time, by the recipe `default` with a few changes, and scores it with 1, 2, 4 and 8
evaluations on recordings of CORPUS/valid. One design is on each core of the machine, which must do
nothing else. Writes benchmarks/results/designs.md and .json. What is done is kept in runs/designs,
so that it can be interrupted and started again; empty it after a change of the recipe.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from writing import arguments, write

from sgmse.checkpoints import load_model
from sgmse.enhancer import Enhancer
from sgmse.report import numbers
from sgmse.scoring.intervals import interval
from sgmse.training.state import load_state
from sgmse.training.validation import Validation, ValidationPair, evaluate, measure_of

STEPS = (1, 2, 4, 8)
#: Updates of two trainings, whose difference is the cost of an update; how often it is measured.
TIMED, ROUNDS = (5, 35), 3
SCORES = ("pesq_wb", "estoi", "si_sdr")
MEASURES = {score: measure_of(score) for score in SCORES}
PAGE = """# Which process, estimate and network

Made by `python benchmarks/designs.py CORPUS`.

Each design is trained from scratch for as many updates as its network makes in {minutes} minutes on
one core (another design is on each of the others), with the same loss of the estimate of clean
speech, the same data and optimiser, half of the items at t = 1. Then the ODE of the process is
solved in 1, 2, 4 and 8 steps for {files} recordings of the validation set. What differs from the
first row is named. The last column is the mean difference over the recordings, ± half a 95 %
bootstrap interval; it does not cover what another seed of the training would change, nor what the
measured cost of an update, which scatters by up to a tenth, does to the number of updates. SB-VE
with velocity is not trained at t = 1, where the velocity of the bridge has no bound, but evenly up
to 0.999, where its sampler begins, and learns next to nothing.

So short a training favours what learns quickly: it compares processes, estimates and kinds of
networks, but does not say how deep a network should be that is trained for hours.

{table}
"""
#: Changes of the recipe for a short training of several evaluations.
SHORT = (
    "optimiser={class: Muon, lr: 3e-3}",
    "schedule={warmup: 50, decay: 0.6}",
    "ema.decay=0.98",
    "times={low: 0.02, high: 0.99, at_one: 0.5}",
    "validation=null",
    "sampler.shifts=1",
    "trainer.batch=4",
    "trainer.save_every=100",
)


class Design(NamedTuple):
    """A row of the table: what is compared, and the changes of the recipe that make it.

    What an update costs is a matter of `network` alone.
    """

    what: str
    name: str
    network: tuple[str, ...]
    changes: tuple[str, ...] = ()


def slim(
    channels: Sequence[int], blocks: Sequence[int], dual_paths: int, hidden: int, taps: int = 1
) -> str:
    """A network in a recipe."""
    return (
        f"network={{class: SlimUNet, channels: {list(channels)}, blocks: {list(blocks)}, "
        f"dual_paths: {dual_paths}, hidden: {hidden}, taps: {taps}}}"
    )


FLAT = (slim((16, 32, 64), (1, 1, 1), 6, 64),)
TAPS = (slim((16, 32, 64), (1, 1, 1), 6, 64, taps=5),)
NINE = (slim((16, 32, 64), (1, 1, 1), 9, 64, taps=5),)
HALF = (slim((16, 32, 64), (1, 1, 1), 3, 64),)
FOUR = (slim((16, 32, 64, 96), (1, 1, 1, 1), 6, 96),)
FIVE = (slim((16, 32, 64, 96, 128), (1, 1, 2, 2, 2), 2, 64),)
NCSNPP = (
    "network={class: NCSNpp, channels: 16, multipliers: [1, 2, 4, 4], blocks: 1, "
    "attention_resolutions: []}",
)
PREDICTOR = (
    "predictor={network: {class: SlimUNet, channels: [16, 32, 64], blocks: [1, 1, 1], "
    "dual_paths: 3, hidden: 64}, conditioning: noisy, loss: {class: Reconstruction, complex: 30, "
    "magnitude: 70, si_sdr: 8, perceptual: 4, multi_resolution: 3}}"
)
OUVE = "sde={class: OUVE, theta: 1.5, sigma_min: 0.05, sigma_max: 0.5}"
BBED = "sde={class: BBED}"
STRAIGHT = "sde={class: StraightFlow}"
EDM = "parametrization={class: EDM, sigma_data: 0.3}"
VELOCITY = "parametrization={class: Velocity}"
SCORE = "parametrization={class: Score, sign: -1, scaling: 1/sigma}"
#: A bridge has no score, and no finite velocity, where it begins.
BEFORE_ONE = (
    "latest=0.999",
    "sampler.grid={class: Uniform, steps: 1, start: 0.999, end: 0.0}",
    "times={low: 0.02, high: 0.999}",
)
DESIGNS = (
    Design("network", "SlimUNet, 3 levels, 6 dual paths (the reference)", FLAT),
    Design("network", "the same, a filter of 5 frames", TAPS),
    Design("network", "the same, a filter of 5 frames, 9 dual paths (the default model)", NINE),
    Design("network", "SlimUNet, 3 levels, 3 dual paths", HALF),
    Design("network", "SlimUNet, 4 levels, 6 dual paths", FOUR),
    Design("network", "SlimUNet, 5 levels, 2 dual paths", FIVE),
    Design("network", "NCSN++, 16 to 64 channels", NCSNPP),
    Design("network", "predictor and refiner, 3 dual paths each", (*HALF, PREDICTOR)),
    Design("process", "OUVE", FLAT, (OUVE,)),
    Design("process", "BBED", FLAT, (BBED,)),
    Design("process", "straight flow", FLAT, (STRAIGHT,)),
    Design("estimate", "SB-VE, velocity", FLAT, (VELOCITY, *BEFORE_ONE)),
    Design("estimate", "SB-VE, EDM", FLAT, (EDM,)),
    Design("estimate", "straight flow, velocity", FLAT, (STRAIGHT, VELOCITY)),
    Design("estimate", "OUVE, score", FLAT, (OUVE, SCORE)),
    Design("estimate", "OUVE, EDM", FLAT, (OUVE, EDM)),
)


def folder_of(design: Design) -> str:
    """Where a design is kept."""
    return "".join(c if c.isalnum() else "-" for c in design.name)


class Options(NamedTuple):
    """On what and how long."""

    corpus: Path
    minutes: float
    files: int


def run(design: Design, options: Options, folder: Path, updates: int) -> Path:
    """A training of so many updates from scratch, or from where it was interrupted."""
    state = folder / "training_state.pt"
    if state.exists() and load_state(state).step == updates:
        return folder
    changes = (
        *SHORT,
        *design.network,
        *design.changes,
        f"trainer.steps={updates}",
        "trainer.threads=1",
        f"trainer.cache={(folder.parent.parent / 'cache').resolve()}",
    )
    command = [sys.executable, "-m", "sgmse", "train", "default", "--data", str(options.corpus)]
    command += ["-o", str(folder), *(["--resume"] if state.exists() else [])]
    for change in changes:
        command += ["--set", change]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return folder


def seconds(design: Design, options: Options, folder: Path) -> float:
    """What an update costs, of pairs of short trainings."""
    kept = folder / "seconds.json"
    if not kept.exists():
        costs = []
        for turn in range(ROUNDS):
            runs = [run(design, options, folder / f"{turn}-{n}", n) for n in TIMED]
            spent = [load_state(of / "training_state.pt").seconds for of in runs]
            costs.append((spent[1] - spent[0]) / (TIMED[1] - TIMED[0]))
        kept.write_text(json.dumps(float(np.median(costs))))
    return json.loads(kept.read_text())


@contextmanager
def counted(network: nn.Module) -> Iterator[list[float]]:
    """A list of one number: the multiplications of the layers of a network that runs in here."""
    total = [0.0]

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        if isinstance(layer, nn.LSTM):
            total[0] += inputs[0][..., 0].numel() * sum(
                p.numel() for p in layer.parameters() if p.ndim > 1
            )
        elif isinstance(layer, nn.ConvTranspose2d):
            total[0] += inputs[0][:, 0].numel() * layer.weight.numel()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            assert isinstance(output, torch.Tensor)
            positions = (
                output[:, 0].numel() if isinstance(layer, nn.Conv2d) else output[..., 0].numel()
            )
            total[0] += positions * layer.weight.numel()

    handles = [layer.register_forward_hook(count) for layer in network.modules()]
    try:
        yield total
    finally:
        for handle in handles:
            handle.remove()


def trained(design: Design, options: Options, folder: Path, cost: float) -> dict[str, Any]:
    """A row of the results, for as many updates as there is time at so many seconds each."""
    torch.set_num_threads(1)
    updates = round(60 * options.minutes / cost)
    kept = folder / f"judged-{updates}-{options.files}.json"
    if not kept.exists():
        checkpoint = run(design, options, folder / f"{updates}", updates) / "last"
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(judged(checkpoint, validation(options))))
        part.replace(kept)
    told = {"what": design.what, "name": design.name, "updates": updates, "seconds": cost}
    return told | json.loads(kept.read_text())


def validation(options: Options) -> list[ValidationPair]:
    """The recordings that are scored."""
    section = Validation(Path("valid/clean"), Path("valid/noisy"), files=options.files)
    return section.pairs(options.corpus)


def judged(checkpoint: Path, pairs: Sequence[ValidationPair]) -> dict[str, Any]:
    """Scores for each number of steps, a list over the recordings, and what an evaluation costs."""
    kept = load_model(checkpoint)
    enhancer = Enhancer.of(kept)
    with counted(enhancer.model) as total:
        constant = np.full(4 * 16000, 0.1, np.float32)
        enhancer.with_sampler(steps=1, force=True)(constant, 16000)
    scores = {}
    for steps in STEPS:
        table, _ = evaluate(enhancer.with_sampler(steps=steps, force=True), pairs, SCORES)
        scores[str(steps)] = {
            name: column.tolist() for name, column in zip(SCORES, table.T, strict=True)
        }
    return {
        "weights": sum(p.numel() for p in enhancer.model.parameters()),
        "gmac": total[0] / 4e9,
        "scores": scores,
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown; the best mean of each column is bold."""
    columns = [(score, str(steps)) for steps in STEPS for score in SCORES]
    means = np.array([[np.mean(r["scores"][n][s]) for s, n in columns] for r in results])
    tops = means.max(axis=0)
    heads = ["design", "weights", "GMAC/s", "seconds an update", "updates"]
    heads += [f"{numbers.heading(MEASURES[score])}, {steps}" for score, steps in columns]
    heads += ["PESQ-WB, 1 less the first"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    first = np.array(results[0]["scores"]["1"]["pesq_wb"])
    what = ""
    for result, row in zip(results, means, strict=True):
        if result["what"] != what:
            what = result["what"]
            lines.append(f"| **{what}** |" + " |" * (len(heads) - 1))
        cells = [result["name"], f"{result['weights'] / 1e6:.2f} M", f"{result['gmac']:.2f}"]
        cells += [f"{result['seconds']:.2f}", str(result["updates"])]
        for (score, _), mean, top in zip(columns, row, tops, strict=True):
            text = f"{mean:.{MEASURES[score].digits}f}"
            cells.append(f"**{text}**" if mean == top else text)
        gain = np.array(result["scores"]["1"]["pesq_wb"]) - first
        cells.append(
            "" if result is results[0] else f"{gain.mean():+.3f} ± {interval(gain).half_width:.3f}"
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = arguments(__doc__, "train and valid")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training a design")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="designs at once")
    parser.add_argument("--files", type=int, default=30, help="of valid")
    parser.add_argument("--runs", type=Path, default=Path("runs/designs"))
    given = parser.parse_args()
    options = Options(given.corpus.resolve(), given.minutes, given.files)
    folders = [given.runs / folder_of(design) for design in DESIGNS]
    # The first design with each network stands for all that have it.
    firsts = {design.network: i for i, design in reversed(list(enumerate(DESIGNS)))}
    with ProcessPoolExecutor(given.jobs) as pool:
        timed = pool.map(
            seconds,
            [DESIGNS[i] for i in firsts.values()],
            [options] * len(firsts),
            [folders[i] for i in firsts.values()],
        )
        found = list(tqdm(timed, "costs", len(firsts), unit="network"))
        costs = dict(zip(firsts, found, strict=True))
        rows = pool.map(
            trained,
            DESIGNS,
            [options] * len(DESIGNS),
            folders,
            [costs[design.network] for design in DESIGNS],
        )
        results = list(tqdm(rows, "designs", len(DESIGNS), unit="design"))
    page = PAGE.format(minutes=f"{given.minutes:g}", files=given.files, table=table(results))
    write(given.output, "designs", page, results, indent=None)


if __name__ == "__main__":
    main()
