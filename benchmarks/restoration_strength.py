"""Which strength serves the model `restore`: python benchmarks/restoration_strength.py CORPUS

Spoils clean recordings of CORPUS/valid in the ways of `restoration.py` and lets the model restore
them with several strengths of its attenuation (`--strength`). The model has the least whose gain in
PESQ over all kinds is sure (p < 0.05): less of it gives back noise, too, which these scores of
recordings with little of it hardly see. Writes benchmarks/results/restoration-strength.md and
.json: what each has more than strength 1, recording by recording, over all kinds of harm and in
each.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from restoration import RESTORE, sets
from writing import arguments, paragraph, write

from sgmse.bench import Model, Noisy, Suite, run_suite
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import corrected

STRENGTHS = (1.0, 0.85, 0.7, 0.55)
PAGE = """# Which strength serves the model restore

Made by `python benchmarks/restoration_strength.py CORPUS --count {each}`.

{about}

{count} recordings, {each} a kind. For LSD lower is better. The mean with half a 95 % interval
(Wilcoxon signed rank, corrected by Holm's method over the table: * p < 0.05, ** p < 0.01,
*** p < 0.001):

{table}
"""


def main() -> None:
    parser = arguments(__doc__, "valid/clean and valid/noisy")
    parser.add_argument("--count", type=int, default=12, help="recordings a kind (default: 12)")
    parser.add_argument("--work", type=Path, help="where sets and results stay, to go on from")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    names = {f"strength {s:g}": s for s in STRENGTHS}
    baseline = next(iter(names))
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        suite = Suite(
            {
                name.replace(" ", "-").replace(",", ""): made
                for name, made in sets(options.corpus, "valid", work, options.count).items()
            },
            {"untouched": Noisy()} | {n: Model(RESTORE, strength=s) for n, s in names.items()},
            measures=("pesq-wb", "estoi", "si-sdr", "lsd"),
            baseline=baseline,
        )
        results = run_suite(suite, work / "results", workers=options.jobs)
    measures = results.scores.measures
    cells = [
        (kind, system, table.differences[system])
        for kind, table in (("all kinds", results.table), *results.table.sets.items())
        for system in ("untouched", *names)
        if system != baseline
    ]
    found = [d for *_, row in cells for m in measures if (d := row.get(m.name)) is not None]
    together = iter(corrected(found))
    lines, plain = [], {}
    for kind, system, row in cells:
        own = {m: next(together) for m in measures if row.get(m.name) is not None}
        lines.append([kind, system, *(numbers.change(m, own.get(m)) for m in measures)])
        plain[f"{kind}: {system}"] = {m.name: vars(d) for m, d in own.items()}
    page = PAGE.format(
        about=paragraph(__doc__, 1),
        each=options.count,
        count=len(results.scores.complete),
        table=markdown_table(["kind", "system", *map(numbers.heading, measures)], lines),
    )
    weights = Model(RESTORE).conditions()["weights"]
    write(
        options.output,
        "restoration-strength",
        page,
        {"weights": weights, f"less {baseline}": plain},
    )


if __name__ == "__main__":
    main()
