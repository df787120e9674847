"""Results of a suite that nobody ran: two sets, two systems beside the noisy recordings."""

from pathlib import Path

from sgmse.bench._costs import Run
from sgmse.bench._results import Results
from sgmse.bench._systems import Noisy
from sgmse.bench.suite import NoisySet, Suite
from sgmse.metrics.measures import select
from sgmse.scoring.journal import Row
from sgmse.scoring.provenance import About
from sgmse.scoring.scores import Scores

MEASURES = select(["si-sdr", "lsd"])
SUITE = Suite(
    {name: NoisySet(Path("clean"), Path("noisy")) for name in ("easy", "hard")},
    {name: Noisy() for name in ("good", "noisy", "bad")},
    measures=("si-sdr", "lsd"),
    by=("snr_db",),
    baseline="noisy",
)
LEVEL = {"noisy": 5.0, "good": 12.0, "bad": 2.5}


def row(which: str, system: str, name: str) -> Row:
    value = LEVEL[system] + float(name) - (2 if which == "hard" else 0)
    facts = {"snr_db": name} if which == "easy" else {}
    return Row(name, system, which, None, {"SI-SDR": value, "LSD": 1 / value}, {}, facts, 1.0, 8000)


def run(which: str, system: str, name: str) -> Run:
    return Run(which, system, None, name, "f", "d", 2.0, 0.1 + float(name), 4.0, 3 * 2**20)


def outcome(suite: Suite = SUITE, **changes) -> Results:
    keys = [(s, system, n) for system in suite.systems for s in suite.sets for n in "012"]
    rows = tuple(row(*key) for key in keys)
    runs = tuple(run(*key) for key in keys if key[1] != "noisy")
    fields = {
        **{"scores": Scores(rows, MEASURES), "runs": runs, "conditions": {"good": {"w": "1"}}},
        "about": {"good": About("Good()", "good 1.2", "MIT"), "noisy": About("as it is")},
    }
    return Results(suite, **fields | changes)
