"""A suite, run: systems x sets x seeds -> enhanced files -> scores.

    outcome = run_suite(load_suite("suite.yaml"), "results/", workers=4)
    print(outcome.summary())

Enhanced files lie in results/SET/SYSTEM/SEED/, with `unseeded` for the seed of a system that draws
nothing. What is there already, made of the same recording by the same system and seed, is neither
enhanced nor scored again; so an interrupted run goes on where it stopped.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from shutil import rmtree

from sgmse import audio
from sgmse._files import is_part
from sgmse.bench.costs import Run
from sgmse.bench.results import Outcome
from sgmse.bench.suite import Suite
from sgmse.bench.systems import Enhance, Maker
from sgmse.data.pairs import Pair
from sgmse.errors import MissingPackageError, SuiteError
from sgmse.report.clips import listed
from sgmse.scoring.journal import Journal, Key, Row
from sgmse.scoring.provenance import combined, digest, digests
from sgmse.scoring.scores import Scores, Task, resolved, score_tasks
from sgmse.scoring.table import means
from sgmse.scoring.workers import scattered

RUNS, SCORES = "runs.jsonl", "scores.jsonl"
UNSEEDED = "unseeded"

#: Called with what is done ("enhancing" or "scoring"), how many files of how many.
Progress = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Item:
    """A recording for a system: of its run all is known but what it takes.

    Args:
        run: which, with the fingerprint of the file that is to be made.
        pair: the recording; what is scored is its `enhanced`.
        ready: whether that is there and nothing is to be run.
        problem: why there is none, and cannot be made.
    """

    run: Run
    pair: Pair
    ready: bool = False
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.pair.noisy} ({self.run.system})"


@dataclass(frozen=True)
class Plan:
    """All that a suite will do, in the order of its tables.

    Args:
        items: by system.
        conditions: what the results of each system depend on.
    """

    items: Mapping[str, Sequence[Item]]
    conditions: Mapping[str, Mapping[str, str]]


def plan(suite: Suite, output: str | Path) -> Plan:
    """Check all that can be checked before the work, and say what it is; nothing is written.

    Raises:
        SuiteError: sets, systems or facts that are not there, or do not go together.
        ImportError: a package that a system or a measure needs is missing.
    """
    for measure in resolved(suite.measures):
        measure.require()
    pairs = suite.pairs()
    conditions: dict[str, Mapping[str, str]] = {}
    for name, system in suite.systems.items():
        with_name = f"systems.{name}: "
        try:
            system.require()
            conditions[name] = system.conditions()
        except ImportError as error:
            raise MissingPackageError(with_name + str(error)) from error
        except ValueError as error:
            raise SuiteError(with_name + str(error)) from error
    contents = digests(p.noisy for of in pairs.values() for p in of if p.noisy is not None)
    items: dict[str, list[Item]] = {}
    for name, system in suite.systems.items():
        items[name] = []
        for which, of in pairs.items():
            try:
                ready = system.ready(of, which)
            except ValueError as error:
                raise SuiteError(f"systems.{name}, sets.{which}: {error}") from error
            if ready is None and not isinstance(system, Maker):
                raise SuiteError(f"systems.{name} has no files and makes none; derive it of Maker")
            for seed in suite.seeds if system.seeded else [None]:
                folder = Path(output) / which / name / (UNSEEDED if seed is None else str(seed))
                for pair in of:
                    mark = combined({**conditions[name], "noisy": contents[_noisy(pair)]})
                    run = Run(which, name, seed, pair.name, mark)
                    items[name].append(_item(run, pair, folder, ready))
    return Plan(items, conditions)


def run_suite(
    suite: Suite, output: str | Path, *, workers: int = 0, progress: Progress | None = None
) -> Outcome:
    """Enhance and score what is not there yet.

    A recording on which a system fails is listed with the reason, and tried again by the next call.

    Args:
        suite: what to do.
        output: folder of the results.
        workers: processes, of one thread each, which real-time factors are measured on; 0 works in
            this process. A script that asks for some must do its work below
            `if __name__ == "__main__":`.
        progress: called as the work goes on.

    Raises:
        SuiteError, ImportError: as `plan`, before any work.
        OSError: the output cannot be written.
    """
    planned = plan(suite, output)
    target = Path(output)
    target.mkdir(parents=True, exist_ok=True)
    tell = progress or (lambda stage, done, total: None)
    runs, enhanced = _enhance(suite, planned, target, workers, tell)
    items = [item for of in planned.items.values() for item in of]
    scores, tasks = _score(suite, items, runs, target, workers, tell)
    return Outcome(
        suite,
        scores,
        tuple(runs[item.run.key] for item in items if item.run.key in runs),
        planned.conditions,
        _self_checks(suite, items, scores),
        workers,
        enhanced,
        listed(tasks),
    )


def _noisy(pair: Pair) -> Path:
    return pair.enhanced if pair.noisy is None else pair.noisy


def _item(run: Run, pair: Pair, folder: Path, ready: Mapping[str, Path] | None) -> Item:
    if ready is None:
        return Item(run, replace(pair, enhanced=folder / f"{pair.name}.wav"))
    if pair.name in ready:
        return Item(run, replace(pair, enhanced=ready[pair.name]), ready=True)
    return Item(run, pair, ready=True, problem="the folder lacks this recording")


# Enhancing


@dataclass(frozen=True)
class _Worker:
    """What a worker process does: an item to its run. Raises `ImportError`, which concerns all."""

    system: Maker

    def __call__(self, item: Item) -> Run:
        source, target = _noisy(item.pair), item.pair.enhanced
        try:
            enhance = _opened(self.system)
            duration = audio.info(source).duration
            work = enhance(source, target, item.run.seed or 0)
        except ImportError:
            raise
        except Exception as error:  # a system may do well on the other recordings
            why = " ".join(str(error).split()) or type(error).__name__
            return replace(item.run, problem=f"not enhanced: {why}")
        return replace(
            item.run,
            digest=digest(target),
            duration=duration,
            seconds=work.seconds,
            evaluations=work.evaluations,
            memory=work.memory,
        )


@lru_cache(maxsize=1)
def _opened(system: Maker) -> Enhance:
    return system.opened()


def _enhance(
    suite: Suite, planned: Plan, output: Path, workers: int, tell: Progress
) -> tuple[dict[Key, Run], int]:
    """The runs of all items that are not ready, and how many of them were made now."""
    journal = Journal(output / RUNS, Run)
    made = [item.pair.enhanced for of in planned.items.values() for item in of if not item.ready]
    contents = digests(path for path in made if path.exists())
    runs: dict[Key, Run] = {}
    waiting: dict[str, list[Item]] = {}
    for name, items in planned.items.items():
        for item in items:
            old = journal.entries.get(item.run.key)
            if item.ready:
                continue
            if old is not None and _is_there(old, item, contents):
                runs[item.run.key] = old
            else:
                waiting.setdefault(name, []).append(item)
    done = len(runs)
    tell("enhancing", done, len(made))
    with journal as kept:
        # System by system, each with processes of its own, so that the memory is its own.
        for name, items in waiting.items():
            _prepare(items)
            system = suite.systems[name]
            assert isinstance(system, Maker)  # `plan` has seen to it
            outcomes = scattered(_Worker(system), items, min(workers, len(items)))
            try:
                with closing(outcomes):
                    for _, run in outcomes:
                        kept.write(run)
                        runs[run.key] = run
                        tell("enhancing", len(runs), len(made))
            finally:
                _opened.cache_clear()  # the next call may find other weights
    return runs, len(runs) - done


def _is_there(run: Run, item: Item, contents: Mapping[Path, str]) -> bool:
    """Whether the file of a run is still what it made, and would be made again."""
    same = run.fingerprint == item.run.fingerprint
    return same and contents.get(item.pair.enhanced) == run.digest


def _prepare(items: Sequence[Item]) -> None:
    """Make the folders; take away what is not to be there, also of a run that was killed."""
    folders: dict[Path, list[str]] = {}
    for item in items:
        path = item.pair.enhanced
        path.unlink(missing_ok=True)
        folders.setdefault(path.parent, []).append(path.name)
    for folder, names in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob(".*"):
            if any(is_part(rest, name) for name in names):
                rmtree(rest) if rest.is_dir() else rest.unlink()


# Scoring


def _score(
    suite: Suite,
    items: Sequence[Item],
    runs: Mapping[Key, Run],
    output: Path,
    workers: int,
    tell: Progress,
) -> tuple[Scores, Sequence[Task]]:
    """The rows of all items, in order, and what was scored for them."""
    measures = resolved(suite.measures)
    tasks: dict[Key, Task] = {}
    failed: dict[Key, Row] = {}
    for item in items:
        run = runs.get(item.run.key, item.run)
        facts = {**item.pair.facts, **_costs(run)}
        problem = item.problem or run.problem
        if problem:
            failed[run.key] = Row(
                run.name,
                run.system,
                run.set,
                run.seed,
                dict.fromkeys((m.name for m in measures), None),
                dict.fromkeys((m.name for m in measures), problem),
                facts,
                fingerprint=run.fingerprint,
            )
        else:
            pair = replace(item.pair, facts=facts)
            tasks[run.key] = Task(pair, run.system, run.set, run.seed)
    scores = score_tasks(
        tasks.values(),
        measures=measures,
        align=suite.align,
        tolerance=suite.tolerance,
        workers=workers,
        journal=output / SCORES,
        progress=lambda done, total: tell("scoring", done, total),
    )
    rows = failed | {row.key: row for row in scores.rows}
    scores = replace(scores, rows=tuple(rows[item.run.key] for item in items))
    return scores, list(tasks.values())


def _costs(run: Run) -> dict[str, str]:
    """What a run took, as columns of the table of files."""
    if not run.duration:
        return {}
    counted = {} if run.evaluations is None else {"evaluations": f"{run.evaluations:g}"}
    return {"real_time_factor": f"{run.seconds / run.duration:.4g}", **counted}


def _self_checks(suite: Suite, items: Sequence[Item], scores: Scores) -> tuple[str, ...]:
    """What known sets score before enhancement, beside what is published."""
    lines: list[str] = []
    for name, recordings in suite.sets.items():
        untouched = [
            item.run
            for item in items
            if item.run.set == name and item.pair.enhanced == item.pair.noisy and not item.problem
        ]
        layout = recordings.known()
        if layout is None or not untouched:
            continue
        system = untouched[0].system
        keys = {run.key for run in untouched if run.system == system}
        rows = tuple(row for row in scores.rows if row.key in keys)
        found = means(replace(scores, rows=rows))[system]
        values = {measure: about.mean for measure, about in found.items() if about.count}
        lines += layout.self_check(values, len(rows))
    return tuple(lines)
