"""A suite, run: systems x sets x seeds -> enhanced files -> scores.

    results = run_suite(load_suite("suite.yaml"), "results/", workers=4)
    print(results.summary())

which is `start(plan(suite, output))`. Enhanced files lie in results/SET/SYSTEM/SEED/, with
`unseeded` for the seed of a system that draws nothing. What is there already, made of the same
recording by the same system and seed, is neither enhanced nor scored again; so an interrupted run
goes on where it stopped.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from sgmse import audio
from sgmse._files import is_part
from sgmse.bench._costs import Run
from sgmse.bench._results import Results
from sgmse.bench._systems import EnhanceFile, System
from sgmse.bench.suite import Suite, located
from sgmse.data.pairs import Pair
from sgmse.errors import SgmseError, Together
from sgmse.metrics.measures import select
from sgmse.report.clips import files_by_recording
from sgmse.scoring.journal import Journal, Key, Row
from sgmse.scoring.provenance import combined, digest, digests
from sgmse.scoring.scores import Scorer, Scores, Stages, Task, score_tasks
from sgmse.scoring.table import Table
from sgmse.scoring.workers import Death, Pool, at_most, map_unordered

RUNS, SCORES = "runs.jsonl", "scores.jsonl"
UNSEEDED = "unseeded"
SECONDS_AT_ONCE = 1800.0  # of recordings that are in memory at the same time


@dataclass(frozen=True)
class Item:
    """A recording for a system.

    Args:
        run: which; all is known of it but what it takes. It has a problem if there cannot be one.
        noisy: the recording.
        pair: what is scored; its `enhanced` is there, or is to be made.
        finished: whether there is nothing to run.
    """

    run: Run
    noisy: Path
    pair: Pair
    finished: bool

    def __str__(self) -> str:
        return f"{self.noisy} ({self.run.system})"


@dataclass(frozen=True)
class Plan:
    """All that a suite will do.

    Args:
        suite: what it was made of.
        output: folder of the results.
        items: in the order of the tables.
        conditions: what the results of each system depend on.
    """

    suite: Suite
    output: Path
    items: tuple[Item, ...]
    conditions: Mapping[str, Mapping[str, str]]


def run_suite(
    suite: Suite, output: str | Path, *, workers: int | Pool = 0, progress: Stages | None = None
) -> Results:
    """Enhance and score what is not there yet.

    A recording on which a system fails is listed with the reason, and tried again by the next call.

    Args:
        suite: what to do.
        output: folder of the results.
        workers: processes, of one thread each, which real-time factors are measured on; 0 works in
            this process, as models on a GPU do. A script that asks for some must do its work below
            `if __name__ == "__main__":`. Or a pool of others, see `sgmse.corpus.workers_of`.
        progress: called as the work goes on.

    Raises:
        SuiteError, ImportError: as `plan`, before any work.
        OSError: the output cannot be written.
    """
    return start(plan(suite, output), workers=workers, progress=progress)


def plan(suite: Suite, output: str | Path) -> Plan:
    """Check all that can be checked before the work, and say what it is; nothing is written.

    Raises:
        SuiteError: sets, systems or facts that are not there, or do not go together.
        ImportError: a package that a system or a measure needs is missing.
    """
    wrong = Together()
    for measure in select(suite.measures):
        with wrong.part():
            measure.require()
    sets: dict[str, list[Pair]] = {}
    with wrong.part():
        sets = suite.pairs()
    conditions: dict[str, Mapping[str, str]] = {}
    for name, system in suite.systems.items():
        with wrong.part(), located(f"systems.{name}"):
            system.require()
            conditions[name] = system.conditions()
    wrong.end()
    contents = digests(pair.enhanced for pairs in sets.values() for pair in pairs)  # noisy files
    items: list[Item] = []
    for name, system in suite.systems.items():
        for set_name, pairs in sets.items():
            with located(f"systems.{name}, sets.{set_name}"):
                files = system.files(pairs, set_name)
            for seed in suite.seeds if system.seeded else (None,):
                folder = Path(output, set_name, name, UNSEEDED if seed is None else str(seed))
                for pair in pairs:
                    parts = {**conditions[name], "noisy": contents[pair.enhanced]}
                    run = Run(set_name, name, seed, pair.name, combined(parts))
                    items.append(_item(run, pair, folder, files))
    return Plan(suite, Path(output), tuple(items), conditions)


def start(plan: Plan, *, workers: int | Pool = 0, progress: Stages | None = None) -> Results:
    """Do what is planned and not done yet; see `run_suite`."""
    notify = progress or (lambda stage, done, total: None)
    plan.output.mkdir(parents=True, exist_ok=True)
    # 1. Enhance what no earlier call has enhanced.
    with Journal(plan.output / RUNS, Run) as journal:
        runs = _kept(plan, journal)
        waiting = [i for i in plan.items if not i.finished and i.run.key not in runs]
        total = len(runs) + len(waiting)
        notify("enhancing", len(runs), total)
        with closing(_enhanced(waiting, plan.suite, workers)) as made:
            for run in made:
                journal.write(run)
                runs[run.key] = run
                notify("enhancing", len(runs), total)
    # 2. Score what is there.
    items = [replace(item, run=runs.get(item.run.key, item.run)) for item in plan.items]
    tasks = [_task(item) for item in items if not item.run.problem]
    scores = score_tasks(
        tasks,
        Scorer(select(plan.suite.measures), plan.suite.align, plan.suite.tolerance),
        workers=workers,
        journal=plan.output / SCORES,
        progress=notify,
    )
    # 3. What is not there keeps its row, with the reason.
    rows = {row.key: row for row in scores.rows}
    rows |= {i.run.key: _unscored(i, scores) for i in items if i.run.problem}
    scores = replace(scores, rows=tuple(rows[item.run.key] for item in items))
    return Results(
        plan.suite,
        scores,
        tuple(item.run for item in items if not item.finished),
        plan.conditions,
        tuple(_self_checks(plan, scores)),
        workers.processes if isinstance(workers, Pool) else workers,
        len(waiting),
        files_by_recording(tasks),
        {name: s.about(plan.conditions[name]) for name, s in plan.suite.systems.items()},
    )


def _item(run: Run, pair: Pair, folder: Path, files: Mapping[str, Path] | None) -> Item:
    """Of a pair whose `enhanced` is the noisy file; `files` are those of a finished system."""
    noisy = pair.enhanced
    if files is None:
        target = folder / f"{pair.name}.wav"
        return Item(run, noisy, replace(pair, enhanced=target), finished=False)
    if pair.name in files:
        return Item(run, noisy, replace(pair, enhanced=files[pair.name]), finished=True)
    run = replace(run, problem="the folder lacks this recording")
    return Item(run, noisy, pair, finished=True)


# Enhancing


@dataclass(frozen=True)
class _Worker:
    """What a worker process does: an item to its run. Raises `ImportError`, which concerns all."""

    system: System

    def __call__(self, item: Item) -> Run:
        target = item.pair.enhanced
        try:
            enhance = _loaded(self.system)
            duration = audio.info(item.noisy).duration
            usage = enhance(item.noisy, target, item.run.seed or 0)
        except ImportError:
            raise
        except Exception as error:  # a system may do well on the other recordings
            return replace(item.run, problem=_not_enhanced(error))
        return replace(item.run, digest=digest(target), duration=duration, **usage._asdict())


@dataclass(frozen=True)
class _Together:
    """What is done of many items at once, in this process."""

    system: System

    def __call__(self, items: Sequence[Item]) -> Generator[Run]:
        enhance = self.system.load_together()
        durations: dict[Path, float] = {}
        for item in items:
            try:
                durations[item.noisy] = audio.info(item.noisy).duration
            except (SgmseError, OSError):
                durations[item.noisy] = 0.0
        # Those of like lengths make larger batches.
        ordered = sorted(items, key=lambda item: (item.run.seed or 0, durations[item.noisy]))
        for chunk in _chunks(ordered, durations, self.system.at_once):
            files = [(item.noisy, item.pair.enhanced, item.run.seed or 0) for item in chunk]
            for item, usage in zip(chunk, enhance(files), strict=True):
                if isinstance(usage, Exception):
                    yield replace(item.run, problem=_not_enhanced(usage))
                    continue
                made = digest(item.pair.enhanced)
                duration = durations[item.noisy]
                yield replace(item.run, digest=made, duration=duration, **usage._asdict())


def _chunks(
    items: Sequence[Item], durations: Mapping[Path, float], most: int
) -> Iterator[list[Item]]:
    """Items in order, at most so many and so long that memory holds them; at least one."""
    chunk: list[Item] = []
    for item in items:
        seconds = sum(durations[other.noisy] for other in chunk) + durations[item.noisy]
        if chunk and (len(chunk) == most or seconds > SECONDS_AT_ONCE):
            yield chunk
            chunk = []
        chunk.append(item)
    if chunk:
        yield chunk


def _not_enhanced(error: Exception) -> str:
    why = " ".join(str(error).split())
    if not isinstance(error, SgmseError | OSError):
        why = f"{type(error).__name__}: {why}"
    return f"not enhanced: {why}"


def _died(item: Item, death: Death) -> Run:
    remedy = "; start fewer (-j) if memory ran out" if death.by_system else ""
    return replace(item.run, problem=f"not enhanced: the process died ({death}){remedy}")


@lru_cache(maxsize=1)
def _loaded(system: System) -> EnhanceFile:
    return system.load()


def _kept(plan: Plan, journal: Journal[Run]) -> dict[Key, Run]:
    """Earlier runs whose files are still what they made, and would be made again."""
    items = [item for item in plan.items if item.run.key in journal.entries and not item.finished]
    contents = digests(item.pair.enhanced for item in items if item.pair.enhanced.exists())
    kept: dict[Key, Run] = {}
    for item in items:
        run = journal.entries[item.run.key]
        same = run.fingerprint == item.run.fingerprint
        if same and contents.get(item.pair.enhanced) == run.digest:
            kept[run.key] = run
    return kept


def _enhanced(items: Sequence[Item], suite: Suite, workers: int | Pool) -> Generator[Run]:
    """The runs of items, as they are done.

    System by system, each with processes of its own, so that the memory is its own.
    """
    for name, group in groupby(items, lambda item: item.run.system):
        batch = list(group)
        _clear(batch)
        if suite.systems[name].at_once > 1 and not isinstance(workers, Pool):
            yield from _Together(suite.systems[name])(batch)
            continue
        results = map_unordered(
            _Worker(suite.systems[name]), batch, at_most(workers, len(batch)), _died
        )
        try:
            with closing(results):
                for _, run in results:
                    yield run
        finally:
            _loaded.cache_clear()  # the next call may find other weights


def _clear(items: Sequence[Item]) -> None:
    """Make the folders; take away what is not to be there, also of a run that was killed."""
    names: dict[Path, list[str]] = {}
    for item in items:
        path = item.pair.enhanced
        path.unlink(missing_ok=True)
        names.setdefault(path.parent, []).append(path.name)
    for folder in names:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(".*"):
            if any(is_part(path, name) for name in names[folder]):
                path.unlink()


# Scoring


def _task(item: Item) -> Task:
    pair = replace(item.pair, facts={**item.pair.facts, **item.run.facts})
    return Task(pair, item.run.system, item.run.set, item.run.seed)


def _unscored(item: Item, scores: Scores) -> Row:
    """The row of an item without an enhanced file."""
    run, names = item.run, [measure.name for measure in scores.measures]
    return Row(
        run.name,
        run.system,
        run.set,
        run.seed,
        values=dict.fromkeys(names),
        problems=dict.fromkeys(names, run.problem),
        facts=item.pair.facts,
        fingerprint=run.fingerprint,
    )


def _self_checks(plan: Plan, scores: Scores) -> Iterator[str]:
    """What known sets score before enhancement, beside what is published."""
    for name, recordings in plan.suite.sets.items():
        untouched = [
            item.run
            for item in plan.items
            if item.run.set == name and item.pair.enhanced == item.noisy and not item.run.problem
        ]
        layout = recordings.known()
        if layout is None or not untouched:
            continue
        system = untouched[0].system
        keys = {run.key for run in untouched if run.system == system}
        rows = tuple(row for row in scores.rows if row.key in keys)
        means = Table(replace(scores, rows=rows)).means[system]
        values = {measure: mean.mean for measure, mean in means.items() if mean.count}
        yield from layout.self_check(values, len(rows))
