"""Results of a suite, read again: their tables can be made anew by anyone, without a recording."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sgmse.bench._costs import Run
from sgmse.bench._results import Results
from sgmse.bench._systems import Folder
from sgmse.bench.suite import NoisySet, Suite
from sgmse.errors import ArgumentError
from sgmse.metrics.measures import Measure
from sgmse.report.reading import from_csv
from sgmse.scoring.journal import Row
from sgmse.scoring.provenance import About

SCORES, SUMMARY = "scores.csv", "summary.json"


def read_results(folder: str | Path, measures: Sequence[str | Measure] | None = None) -> Results:
    """What `Results.write` wrote into a folder.

        results = read_results("benchmarks/results/corpus-test")
        results.table.ranks
        results.write("elsewhere/")

    All statistics are computed anew from scores.csv; how, where and with what it was made is read
    from summary.json. The suite has the names of the sets and systems, not where they are.

    Args:
        folder: with the two files.
        measures: as `from_csv` has them; those of summary.json if absent.

    Raises `ArgumentError` for a folder without these files, or with others of these names.
    """
    place = Path(folder)
    try:
        told = json.loads((place / SUMMARY).read_text("utf-8"))
        content = (place / SCORES).read_text("utf-8")
        parts: Mapping[str, Any] = told["sets"]
        first = next(iter(parts.values()))
        origin = first["provenance"]
        about = {name: origin[name] for name in ("hashes", "align", "tolerance")}
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise ArgumentError(
            f"{place} has no results of a suite, {SCORES} and {SUMMARY} ({error}); name a suite or "
            "a folder that 'sgmse bench' wrote"
        ) from error
    kept = {key: origin[key] for key in ("command", "time", "versions", "machine")}
    scores = from_csv(content, measures or origin["measures"], origin=kept, **about)
    suite = Suite(
        {name: NoisySet(Path("clean"), Path("noisy")) for name in parts},
        {name: Folder(Path(name)) for name in scores.systems},
        tuple(told["seeds"]),
        scores.measures,
        tuple(dict.fromkeys(fact for part in parts.values() for fact in part["by"])),
        first["baseline"],
        scores.align,
        scores.tolerance,
    )
    return Results(
        suite,
        replace(scores, reused=len(scores.rows)),
        tuple(_run(row, parts) for row in scores.rows if row.system in parts[row.set]["costs"]),
        told["systems"],
        tuple(told["checks"]),
        told["workers"],
        about={name: About(**own) for name, own in told.get("about", {}).items()},
    )


def _run(row: Row, parts: Mapping[str, Any]) -> Run:
    """What it took, as the row's facts have it; the memory is that of the system."""
    costs = parts[row.set]["costs"][row.system]
    speed, counted = row.facts.get("real_time_factor"), row.facts.get("evaluations")
    return Run(
        *(row.set, row.system, row.seed, row.name, ""),
        duration=row.seconds if speed else 0.0,
        seconds=float(speed) * row.seconds if speed else 0.0,
        evaluations=float(counted) if counted else None,
        memory=costs["memory"],
        at_once=costs["at_once"],
        problem="" if speed else "not enhanced",
    )
