"""How much scores move without a reason: python benchmarks/score_noise.py CORPUS [CORPUS48]

Both files of a pair lose the same 3 to 20 ms at their start, which no listener notices and no
enhancer is to be blamed for: frames, windows and utterances fall elsewhere, and the score moves.
The noise of a measure is the size that 95 % of these moves stay below.

Writes benchmarks/results/score-noise.md and .json: of recordings of CORPUS/valid, as they are and
enhanced by the default model, and of CORPUS48/valid for measures of full band. `noise` of a
`Measure` is this, rounded up to two digits.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm
from writing import arguments, paragraph, write

from sgmse.data.pairs import evenly_spaced
from sgmse.enhancer import load
from sgmse.errors import MetricError
from sgmse.metrics.measures import MEASURES, Channels, Measure

FILES, CUTS = 12, (53, 107, 160, 213, 267, 320)  # recordings, samples of 1/16000 s
#: Measures that take seconds a file: of so many recordings, with so many cuts.
SLOW = {
    "ViSQOL": (6, 3),
    "PhoneSim": (6, 3),
    "SpeakerSim": (6, 3),
    "WER-Sphinx": (4, 2),
    "DNSMOS-SIG": (8, 4),
}
NAME = "score-noise"

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """An estimate, its reference and the noisy recording, (samples,) each, at one rate."""

    estimate: Signal
    clean: Signal
    noisy: Signal
    rate: int

    def without(self, cut: int) -> Channels:
        """All less `cut` samples of 1/16000 s at the start."""
        start = cut * self.rate // 16000
        return Channels(self.estimate[start:], self.clean[start:], self.noisy[start:])


def read(path: Path) -> tuple[Signal, int]:
    """The first channel and its rate."""
    samples, rate = soundfile.read(path, always_2d=True)
    return samples[:, 0], rate


def moves(measures: Sequence[Measure], recordings: Sequence[Recording]) -> dict[str, Signal]:
    """|score with a cut - score without| by name, of measures with the same function."""
    files, cuts = next(
        (SLOW[m.name] for m in measures if m.name in SLOW), (len(recordings), len(CUTS))
    )
    found: dict[str, list[float]] = {measure.name: [] for measure in measures}
    for recording in recordings[: 2 * files]:
        if measures[0].rates and recording.rate not in measures[0].rates:
            continue
        try:
            whole, *others = [
                measures[0].results(recording.without(cut), recording.rate)
                for cut in (0, *evenly_spaced(CUTS, cuts))
            ]
        except MetricError:
            continue
        for measure in measures:
            base = measure.value_in(whole)
            found[measure.name] += [abs(measure.value_in(other) - base) for other in others]
    return {name: np.array(values) for name, values in found.items()}


def up(value: float) -> float:
    """Rounded up to two digits."""
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.12g}")


def page(numbers: Mapping[str, Mapping[str, float]]) -> str:
    """The table."""
    lines = [
        "# How much scores move without a reason",
        f"{paragraph(__doc__, 1)}",
        "| measure | moves | median | 95 % | noise |\n|---|---|---|---|---|\n"
        + "\n".join(
            f"| {name} | {own['moves']} | {own['median']:.2g} | {own['quantile']:.2g} "
            f"| {own['noise']:g} |"
            for name, own in numbers.items()
        ),
        "`python benchmarks/score_noise.py CORPUS CORPUS48`. Measures whose package is not "
        "installed are left out.",
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = arguments(__doc__, "valid")
    parser.add_argument("corpus48", type=Path, nargs="?", help="the same at 48 kHz")
    given = parser.parse_args()
    enhancer = load()
    recordings = []
    for corpus in filter(None, (given.corpus, given.corpus48)):
        for path in tqdm(evenly_spaced(sorted((corpus / "valid/clean").glob("*.*")), FILES)):
            (clean, rate), (noisy, _) = read(path), read(corpus / "valid/noisy" / path.name)
            made = np.asarray(enhancer(noisy, rate), np.float64)
            recordings += [Recording(one, clean, noisy, rate) for one in (noisy, made)]
    groups: dict[object, list[Measure]] = {}
    for measure in MEASURES:
        if all(find_spec(package) for package in measure.packages):
            groups.setdefault(measure.function, []).append(measure)
    found: dict[str, Signal] = {}
    for group in tqdm(groups.values()):
        found |= moves(group, recordings)
    numbers = {}
    for measure in MEASURES:
        if measure.name in found and found[measure.name].size:
            own = found[measure.name]
            about = {"moves": own.size, "median": float(np.median(own))}
            quantile = float(np.quantile(own, 0.95))
            numbers[measure.name] = {**about, "quantile": quantile, "noise": up(quantile)}
    write(given.output, NAME, page(numbers), numbers)


if __name__ == "__main__":
    main()
