"""What the model `restore` makes of what is lost: python benchmarks/restoration.py CORPUS

Spoils the clean recordings of CORPUS/PART in one way a set, with noise at 35 dB, and lets restore
them: the model `restore`, the default model, and of simple restorers those that are made for the
harm. Writes benchmarks/results/restoration.md and .json: the scores of the spoilt recordings, what
each system adds to them, and what `restore` has more than each other one, recording by recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kinds import noises
from writing import arguments, paragraph, write

from sgmse.bench import (
    WPE,
    LinearPrediction,
    LinearUpsampling,
    Model,
    Noisy,
    NoisySet,
    SplineDeclipping,
    SplineGaps,
    Suite,
    System,
    run_suite,
)
from sgmse.data.degradations import (
    Clip,
    Codec,
    Degradation,
    Dropouts,
    PacketLoss,
    Resampled,
)
from sgmse.data.noisy_sets import Mixer, mix
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import corrected
from sgmse.scoring.table import Table

MEASURES = ("pesq-wb", "estoi", "si-sdr", "lsd", "dnsmos-ovrl")
SPOILT, DEFAULT, RESTORE = "untouched", "default", "restore"
SNR = 35.0


@dataclass(frozen=True)
class Kind:
    """One harm, and who is made for it.

    Args:
        harm: what is done to the noisy recording, after a room if there is one.
        systems: simple ones.
        room: share of the recordings in a room.
        snr: of the noise.
    """

    harm: tuple[Degradation, ...] = ()
    systems: Mapping[str, System] | None = None
    room: float = 0.0
    snr: float = SNR


GAPS: Mapping[str, System] = {"spline": SplineGaps(), "linear prediction": LinearPrediction()}
KINDS: Mapping[str, Kind] = {
    "room": Kind(room=1.0, systems={"WPE": WPE()}),
    "clipped": Kind((Clip(1.0, level=(8, 15)),), {"spline": SplineDeclipping()}),
    "lost packets": Kind(
        (PacketLoss(1.0, rate=(0.05, 0.15), burst=(1, 3), concealments=("silence",)),), GAPS
    ),
    "narrow band": Kind(
        (Resampled(1.0, rates=(8000,)),), {"linear up-sampling": LinearUpsampling(8000)}
    ),
    "holes": Kind((Dropouts(1.0, rate=(1, 3), length=(0.02, 0.08), depth=(40, 80)),), GAPS),
    "GSM": Kind((Codec(1.0, coders=("gsm",)),)),
    "Opus, MP3, Vorbis": Kind((Codec(1.0, coders=("opus", "mp3", "vorbis")),)),
    "all of it": Kind(
        (
            Clip(1.0, level=(6, 10)),
            Resampled(1.0, rates=(8000,)),
            PacketLoss(1.0, rate=(0.05, 0.1), burst=(1, 2), concealments=("silence",)),
        ),
        room=1.0,
        snr=20.0,
    ),
}
PAGE = """# What the model restore makes of what is lost

Made by `{command}`.

{about}

{count} recordings a kind, of `{part}`. A room's early reflections belong to the clean recording.
The simple restorers find the harm themselves (`sgmse.bench`). For LSD lower is better. The scores
of the untouched recordings, and of the results less those (the mean with half a 95 % interval;
Wilcoxon signed rank, corrected by Holm's method over the table: * p < 0.05, ** p < 0.01,
*** p < 0.001):

{gains}

Each other one less the model `restore`, so that a minus is in favour of that model, in LSD a plus:

{less}

Recordings that the model `restore` makes worse, by more than the noise of the measure, of {count}:

{worse}
"""


def sets(corpus: Path, part: str, place: Path, count: int) -> dict[str, NoisySet]:
    """Of each kind."""
    background = noises(corpus / part, place / "noises")
    made = {}
    for name, kind in KINDS.items():
        folder = place / name.replace(" ", "-")
        if not folder.exists():
            mixer = Mixer((kind.snr,), reverb=kind.room, degradations=kind.harm)
            mix(corpus / part / "clean", background, folder, mixer, count=count, workers=2)
        made[name] = NoisySet(folder / "clean", folder / "noisy")
    return made


def systems(kind: Kind) -> dict[str, System]:
    """All that restore a kind."""
    models = {DEFAULT: Model(), RESTORE: Model("restore")}
    return {SPOILT: Noisy(), **(kind.systems or {}), **models}


def scored(made: Mapping[str, NoisySet], work: Path, baseline: str, jobs: int) -> dict[str, Table]:
    """The table of each kind, with differences to a system."""
    tables = {}
    for name, kind in KINDS.items():
        label = name.replace(" ", "-")
        suite = Suite({label: made[name]}, systems(kind), measures=MEASURES, baseline=baseline)
        tables[name] = run_suite(suite, work / f"results-{label}", workers=jobs).table.sets[label]
    return tables


def rows(tables: Mapping[str, Table]) -> tuple[list[list[str]], dict[str, Any]]:
    """A line for each kind and system, of its differences to the baseline, and these."""
    measures = next(iter(tables.values())).scores.measures
    cells = [
        (name, system, [own[m.name] for m in measures])
        for name, table in tables.items()
        for system, own in table.differences.items()
    ]
    together = iter(corrected([d for *_, row in cells for d in row if d is not None]))
    lines, plain = [], {}
    for name, system, row in cells:
        less = [None if d is None else next(together) for d in row]
        lines.append([name, system, *map(numbers.change, measures, less)])
        plain[f"{name}: {system}"] = {
            m.name: vars(d) for m, d in zip(measures, less, strict=True) if d is not None
        }
    return lines, plain


def main() -> None:
    parser = arguments(__doc__, "PART/clean and PART/noisy")
    parser.add_argument("--part", default="test", help="of the corpus (default: test)")
    parser.add_argument("--count", type=int, default=40, help="recordings a kind (default: 40)")
    parser.add_argument("--work", type=Path, help="where sets and results stay, to go on from")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        made = sets(options.corpus, options.part, work, options.count)
        gains = scored(made, work, SPOILT, options.jobs)
        less = scored(made, work, RESTORE, options.jobs)
    measures = next(iter(gains.values())).scores.measures
    heads = [numbers.heading(m) for m in measures]
    gain_lines, gain_numbers = rows(gains)
    less_lines, less_numbers = rows(less)
    lines: list[list[str]] = []
    worse, means = [], {}
    for name, table in gains.items():
        before = table.means[SPOILT]
        means[name] = {m.name: before[m.name].mean for m in measures}
        lines.append([name, SPOILT, *(f"{before[m.name].mean:.{m.digits}f}" for m in measures)])
        lines += [["", *line[1:]] for line in gain_lines if line[0] == name]
        lost = table.outcomes[RESTORE]
        counts = [own for m in measures if (own := lost[m.name]) is not None]
        worse.append([name, *(str(own.worse) for own in counts)])
    page = PAGE.format(
        command=f"python benchmarks/restoration.py CORPUS --part {options.part} "
        f"--count {options.count}",
        about=paragraph(__doc__, 1),
        count=options.count,
        part=options.part,
        gains=markdown_table(["kind", "system", *heads], lines),
        less=markdown_table(["kind", "system", *heads], less_lines),
        worse=markdown_table(["kind", *heads], worse),
    )
    weights = {name: Model(name).conditions()["weights"] for name in (DEFAULT, RESTORE)}
    plain = {
        "weights": weights,
        "untouched": means,
        "less untouched": gain_numbers,
        "less restore": less_numbers,
    }
    write(options.output, "restoration", page, plain)


if __name__ == "__main__":
    main()
