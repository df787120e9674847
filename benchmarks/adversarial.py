"""What discriminators add to a training: python benchmarks/adversarial.py DATA CORPUS

Trains a model of the package further twice, for as many updates of the same pairs, noise and seed:
by the loss of the recipe `fine_tune` alone, and with its adversarial term. All updates are at t =
1, where the estimate is the result of the model's sampler, so that the discriminators judge each.
Both and the model as it was are scored on CORPUS/valid, recording by recording.

DATA holds train/clean and train/noise. Writes benchmarks/results/adversarial.md and .json, or
adversarial-MODEL: means, and what the adversarial term changes, with intervals over the recordings.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runs import cost_of, run_arguments, trained
from writing import paragraph, write

from sgmse.bench import Model, Noisy, NoisySet, Suite, run_suite
from sgmse.bench._results import Results
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import Difference, corrected
from sgmse.scoring.table import Table

MEASURES = ("pesq-wb", "estoi", "si-sdr", "lsd", "dnsmos-ovrl")
DEFAULT = "default"
#: The runs: without and with the adversarial term.
RUNS = ("without", "with")
WEIGHT, FEATURES = 0.1, 1.0
PAGE = """# What discriminators add

Made by `python benchmarks/adversarial.py DATA CORPUS{options}`.

{about}

{steps} updates of four items of two seconds, one seed; `adversarial.weight={weight:g}` and
`adversarial.features={features:g}`. Scores of {count} recordings: the mean
with half a 95 % bootstrap interval.

{means}

With the adversarial term less without it, and both less the model as it was, recording by
recording (Wilcoxon signed rank, corrected by Holm's method over the table: * p < 0.05, ** p < 0.01,
*** p < 0.001):

{changes}

What the training took of one core since it was last resumed, the mixing of the pairs included:

{costs}
"""


def train(
    folder: Path, model: str, data: Path, steps: int, changes: Sequence[str], cache: Path
) -> None:
    """One run, or the rest of it."""
    shared = (
        "data.clean=train/clean",
        "data.noise=train/noise",
        "times.at_one=1",
        "trainer.save_every=25",
        f"trainer.cache={cache.resolve()}",
    )
    trained(folder, ("--from", model, "--data", str(data)), steps, (*shared, *changes))


def differences(results: Results, model: str) -> dict[str, dict[str, Difference]]:
    """By comparison and measure, corrected together."""
    found = {}
    for system, baseline in (("with", "without"), ("without", model), ("with", model)):
        table = Table(results.scores, baseline)
        own = table.differences[system]
        found[f"{system} - {baseline}"] = {m: d for m, d in own.items() if d is not None}
    flat = iter(corrected([d for row in found.values() for d in row.values()]))
    return {name: {m: next(flat) for m in row} for name, row in found.items()}


def said(options: Namespace) -> str:
    """What was given on the command line, where it is not usual."""
    given = {"model": DEFAULT, "steps": None, "files": None, "weight": WEIGHT, "features": FEATURES}
    own = {key: getattr(options, key) for key, usual in given.items()}
    return "".join(f" --{key} {value}" for key, value in own.items() if value != given[key])


def page_of(results: Results, runs: Path, options: Namespace) -> tuple[str, dict[str, Any]]:
    """The page, and the numbers."""
    model, steps = options.model, options.steps
    table, measures = results.table, results.scores.measures
    compared = differences(results, model)
    costs = {name: cost_of(runs / name) for name in RUNS}
    heads = [numbers.heading(m) for m in measures]
    page = PAGE.format(
        options=said(options),
        weight=options.weight,
        features=options.features,
        steps=steps,
        about=paragraph(__doc__, 1),
        count=len(results.scores.complete),
        means=markdown_table(
            ["model", *heads],
            [
                [name, *(numbers.mean(m, means[m.name]) for m in measures)]
                for name, means in table.means.items()
            ],
        ),
        changes=markdown_table(
            ["", *heads],
            [
                [name, *(numbers.change(m, row.get(m.name)) for m in measures)]
                for name, row in compared.items()
            ],
        ),
        costs=markdown_table(
            ["run", "processor minutes"],
            [[name, f"{cost['processor minutes']:.1f}"] for name, cost in costs.items()],
        ),
    )
    plain = {
        "weights": Model(model).conditions()["weights"],
        "steps": steps,
        "costs": costs,
        "means": {s: {m: vars(i) for m, i in row.items()} for s, row in table.means.items()},
        "differences": {n: {m: vars(d) for m, d in row.items()} for n, row in compared.items()},
    }
    return page, plain


def main() -> None:
    parser = run_arguments(__doc__, RUNS, steps=400)
    parser.add_argument("--model", default=DEFAULT, help="that is trained (default: default)")
    parser.add_argument("--weight", type=float, default=WEIGHT, help="of the adversarial loss")
    parser.add_argument("--features", type=float, default=FEATURES, help="weight of features")
    options = parser.parse_args()
    model = options.model
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        runs = work / "runs"
        terms = {"weight": options.weight, "features": options.features, "rise": 30}
        with_ = ", ".join(f"{key}: {value:g}" for key, value in terms.items())
        for name in RUNS:
            changes = (f"adversarial={{{with_}}}",) if name == "with" else ()
            if options.only in (None, name):
                cache = options.cache or work / "cache"
                train(runs / name, model, options.data, options.steps, changes, cache)
        if options.only is not None:
            return
        valid = options.corpus / "valid"
        suite = Suite(
            {"valid": NoisySet(valid / "clean", valid / "noisy")},
            {
                "noisy": Noisy(),
                model: Model(model),
                **{name: Model(str(runs / name / "best")) for name in RUNS},
            },
            measures=MEASURES,
            baseline=model,
            files=options.files,
        )
        results = run_suite(suite, work / "results", workers=options.jobs)
        name = "adversarial" if model == DEFAULT else f"adversarial-{model}"
        write(
            options.output,
            name,
            *page_of(results, runs, options),
        )


if __name__ == "__main__":
    main()
