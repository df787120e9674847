"""Folders of recordings in, a table of scores out.

    scores = score("clean/", ["noisy/", "enhanced/"], measures=["pesq-wb", "si-sdr"])
    print(summary(Table(scores)))

A file that cannot be scored keeps its row, with the reason in place of the value.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from sgmse._checks import arguments, path as as_path
from sgmse.data.pairs import Pair, Unmatched, facts_beside, match, read_index
from sgmse.errors import ArgumentError
from sgmse.metrics.measures import Measure, select
from sgmse.scoring.journal import Journal, Key, Recording, Row
from sgmse.scoring.pair import TOLERANCE, PairScores, score_pair
from sgmse.scoring.provenance import combined, digests, versions
from sgmse.scoring.workers import Death, Pool, at_most, map_unordered

DEFAULT = ("pesq-wb", "stoi", "estoi", "si-sdr")

#: Called with what is done ("enhancing", "scoring", "report"), how many files of how many.
Stages = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Task:
    """A pair to score, and what it is a part of: see `Row`."""

    pair: Pair
    system: str = "enhanced"
    set: str = ""
    seed: int | None = None

    @property
    def key(self) -> Key:
        """The key of its row."""
        return self.set, self.system, self.seed, self.pair.name

    def __str__(self) -> str:
        return str(self.pair.enhanced)


@dataclass(frozen=True)
class Scores:
    """A table of scores.

    Args:
        rows: one for each file of each system, in the order of the tasks.
        measures: its columns.
        unmatched: by system, files that belong to no pair.
        hashes: a digest of the contents of all files of each system, and of the "references" and
            "noisy references".
        align, tolerance: as `Scorer` has them.
        reused: rows that were not scored again.
        origin: of scores that were read from files: the command, time, versions and machine that
            made them. Empty of those that were made here.
    """

    rows: tuple[Row, ...]
    measures: tuple[Measure, ...]
    unmatched: Mapping[str, tuple[Unmatched, ...]] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    align: bool = False
    tolerance: float = TOLERANCE
    reused: int = 0
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def systems(self) -> tuple[str, ...]:
        """Their names, in order of appearance."""
        return tuple(dict.fromkeys(row.system for row in self.rows))

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets of recordings, in order of appearance."""
        return tuple(dict.fromkeys(row.set for row in self.rows))

    @property
    def facts(self) -> tuple[str, ...]:
        """What is known of any recording, in order of appearance."""
        return tuple(dict.fromkeys(fact for row in self.rows for fact in row.facts))

    def rows_of(self, system: str) -> list[Row]:
        """The rows of a system."""
        return [row for row in self.rows if row.system == system]

    def values(self, system: str, measure: str) -> dict[Recording, float]:
        """What a system scored; the mean over its seeds, which are no new data."""
        values: dict[Recording, list[float]] = {}
        for row in self.rows_of(system):
            if (value := row.values.get(measure)) is not None:
                values.setdefault(row.recording, []).append(value)
        return {recording: fmean(of_seeds) for recording, of_seeds in values.items()}

    @cached_property
    def scored(self) -> dict[tuple[str, str], dict[Recording, float]]:
        """`values` by system and measure, without those that have none."""
        found = {(s, m.name): self.values(s, m.name) for s in self.systems for m in self.measures}
        return {place: values for place, values in found.items() if values}

    @cached_property
    def lacking(self) -> dict[Recording, dict[str, list[str]]]:
        """By recording and system the measures without a score, of those the system has any of."""
        lacking: dict[Recording, dict[str, list[str]]] = {}
        for recording in dict.fromkeys(row.recording for row in self.rows):
            for (system, measure), values in self.scored.items():
                if recording not in values:
                    lacking.setdefault(recording, {}).setdefault(system, []).append(measure)
        return lacking

    @cached_property
    def complete(self) -> tuple[Recording, ...]:
        """The recordings that all systems have a score of in all measures, in order.

        Those over which systems are compared. A measure in which a system has no score at all is
        not compared and takes no recording away.
        """
        recordings = dict.fromkeys(row.recording for row in self.rows)
        return tuple(recording for recording in recordings if recording not in self.lacking)

    def is_matched(self, measure: str) -> bool:
        """Whether all systems have a score of the same recordings."""
        return len({frozenset(self.values(system, measure)) for system in self.systems}) == 1

    def labels(self, fact: str) -> list[str]:
        """What is known of the recordings, in order; "" last, where nothing is."""
        labels = {row.facts.get(fact, "") for row in self.rows}
        return ordered(labels - {""}) + [""] * ("" in labels)

    def where(self, fact: str, label: str) -> "Scores":
        """The scores of the recordings of which this is known."""
        return replace(self, rows=tuple(r for r in self.rows if r.facts.get(fact, "") == label))

    def on(self, name: str) -> "Scores":
        """The scores on one set of recordings."""
        return replace(self, rows=tuple(row for row in self.rows if row.set == name))


def ordered(labels: Iterable[str]) -> list[str]:
    """The different labels, sorted as numbers if all are numbers, else as text."""
    different = set(labels)
    try:
        return sorted(different, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(different)


def score(
    clean: str | Path,
    enhanced: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    noisy: str | Path | None = None,
    measures: Sequence[str | Measure] = DEFAULT,
    index: str | Path | None = None,
    align: bool = False,
    tolerance: float = TOLERANCE,
    workers: int | Pool = 0,
    journal: str | Path | None = None,
    progress: Stages | None = None,
) -> Scores:
    """Score folders of enhanced recordings against the clean ones.

    Files are matched as `sgmse.data.pairs` says, brought to one rate and length, and scored channel
    by channel.

    Args:
        clean: folder of the references, or one file.
        enhanced: a folder (or one file), several, or several by the names they shall have.
        noisy: folder of what was enhanced, for measures that need it, SI-SIR and SI-SAR.
        measures: names, see `sgmse.metrics.measures`, or measures of one's own.
        index: CSV file that says more of each recording; the index.csv in the clean folder or
            beside it if absent.
        align: compensate the delay of each enhanced file, which is only reported otherwise.
        tolerance: in seconds; larger differences in length are problems.
        workers: processes; 0 scores in this one. A script that asks for some must do its work below
            `if __name__ == "__main__":`. Or a pool of others, see `sgmse.corpus.workers_of`.
        journal: file in which rows are kept as they are scored; a row that is there already, of
            files with unchanged contents, is not scored again.
        progress: called as rows are done.

    Raises:
        ArgumentError: nothing to score: an unknown measure, a folder without audio, no file
            matches.
        MissingPackageError: a package that a measure needs is missing.
    """
    arguments(score, locals())
    scorer = Scorer(select(measures), align, tolerance)
    _refuse_without_noisy(scorer.measures, noisy)
    tasks, unmatched = match_folders(clean, enhanced, noisy=noisy, index=index)
    scores = score_tasks(tasks, scorer, workers=workers, journal=journal, progress=progress)
    return replace(scores, unmatched=unmatched)


def match_folders(
    clean: str | Path,
    enhanced: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    noisy: str | Path | None = None,
    index: str | Path | None = None,
) -> tuple[list[Task], dict[str, tuple[Unmatched, ...]]]:
    """What `score` does with the same arguments, and by system the files that belong to no pair.

    Raises `ArgumentError` for folders without audio or without files that match.
    """
    facts = facts_beside(clean) if index is None else read_index(index)
    tasks: list[Task] = []
    unmatched: dict[str, tuple[Unmatched, ...]] = {}
    for name, folder in name_systems(enhanced).items():
        pairs, alone = match(clean, folder, noisy, facts)
        tasks += [Task(pair, name) for pair in pairs]
        unmatched[name] = tuple(alone)
    return tasks, unmatched


@dataclass(frozen=True)
class Scorer:
    """How pairs are scored.

    Args:
        measures: what to score.
        align: compensate the delay of each enhanced file.
        tolerance: in seconds; larger differences in length are problems.
    """

    measures: tuple[Measure, ...]
    align: bool = False
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ArgumentError(f"tolerance must be at least 0 s, not {self.tolerance:g}")

    def __call__(self, job: "_Job") -> PairScores:
        """What a worker process does."""
        measures = [measure for measure in self.measures if measure.name in job.missing]
        return score_pair(job.task.pair, measures, align=self.align, tolerance=self.tolerance)

    def parts(self, job: "_Job") -> list["_Job"]:
        """The job in as many as there are functions of what is missing."""
        names: dict[object, tuple[str, ...]] = {}
        for measure in self.measures:
            if measure.name in job.missing:
                names[measure.function] = (*names.get(measure.function, ()), measure.name)
        return [replace(job, missing=part) for part in names.values()]


@dataclass(frozen=True)
class _Job:
    task: Task
    missing: tuple[str, ...]  # measures to score
    start: Row  # which holds the others

    def __str__(self) -> str:
        return str(self.task)


def score_tasks(
    tasks: Iterable[Task],
    scorer: Scorer,
    *,
    workers: int | Pool = 0,
    journal: str | Path | None = None,
    progress: Stages | None = None,
) -> Scores:
    """Score pairs of which it is known what they are; the arguments are those of `score`."""
    tasks = list(tasks)
    if len({task.key for task in tasks}) < len(tasks):
        raise ArgumentError("two tasks have the same set, system, seed and name; rename one")
    for measure in scorer.measures:
        measure.require()
    contents = digests(path for task in tasks for path in task.pair.files.values())
    notebook = None if journal is None else Journal(journal, Row)
    jobs = _jobs(tasks, scorer, contents, {} if notebook is None else notebook.entries)
    rows = {job.task.key: job.start for job in jobs if not job.missing}
    reused = len(rows)
    tell = progress or (lambda stage, done, total: None)
    tell("scoring", reused, len(tasks))
    # The longest first: no worker is left alone with a long file at the end.
    waiting = sorted((job for job in jobs if job.missing), key=_size, reverse=True)
    kept: dict[Key, Row] = {}
    with notebook or nullcontext(), closing(_scored(waiting, scorer, workers)) as results:
        for job, scores, lasting in results:
            key = job.task.key
            if notebook is not None and lasting:
                kept[key] = _merged(kept.get(key, job.start), scores)
                notebook.write(kept[key])
            rows[key] = _merged(rows.get(key, job.start), scores)
            tell("scoring", len(rows), len(tasks))
    return Scores(
        tuple(_only(rows[task.key], scorer.measures) for task in tasks),
        scorer.measures,
        hashes=_hashes(tasks, contents),
        align=scorer.align,
        tolerance=scorer.tolerance,
        reused=reused,
    )


def _scored(
    jobs: Sequence[_Job], scorer: Scorer, workers: int | Pool
) -> Generator[tuple[_Job, PairScores, bool]]:
    """The scores of jobs, as they are done, and whether another run would find the same.

    A job over which its process died is done again, measure by measure and alone, as the memory
    may have been short; what dies of that has no score.
    """
    work: Callable[[_Job], PairScores | Death] = scorer
    rest: list[_Job] = []
    with closing(map_unordered(work, jobs, at_most(workers, len(jobs)), _as_it_is)) as results:
        for job, scores in results:
            if isinstance(scores, PairScores):
                yield job, scores, True
            else:
                rest += scorer.parts(job)
    one = at_most(workers, min(1, len(rest)))
    with closing(map_unordered(work, rest, one, _as_it_is)) as results:
        for job, scores in results:
            if isinstance(scores, PairScores):
                yield job, scores, True
            else:
                yield job, _lost(job, scores), not scores.by_system


def _as_it_is(job: _Job, death: Death) -> Death:
    return death


def _lost(job: _Job, death: Death) -> PairScores:
    remedy = "; free some memory, and call again" if death.by_system else ""
    problem = f"the process that scored it died ({death}){remedy}"
    return PairScores(dict.fromkeys(job.missing), dict.fromkeys(job.missing, problem))


def _jobs(
    tasks: Iterable[Task],
    scorer: Scorer,
    contents: Mapping[Path, str],
    known: Mapping[Key, Row],
) -> list[_Job]:
    """What is to be scored of each task, and what is known of it under the same conditions."""
    settings = {"align": str(scorer.align), "tolerance": repr(scorer.tolerance)}
    conditions = combined({**versions(), **settings})
    jobs = []
    for task in tasks:
        parts = {role: contents[path] for role, path in task.pair.files.items()}
        fingerprint = combined({**parts, "conditions": conditions})
        row = known.get(task.key)
        if row is None or row.fingerprint != fingerprint:
            row = Row(task.pair.name, task.system, task.set, task.seed, fingerprint=fingerprint)
        missing = tuple(m.name for m in scorer.measures if m.name not in row.values)
        jobs.append(_Job(task, missing, replace(row, facts=task.pair.facts)))
    return jobs


def name_systems(
    folders: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
) -> dict[str, Path]:
    """Folders by the names of their systems: the last parts of their paths that tell them apart.

    Raises `ArgumentError` for none and for one that is named twice.
    """
    if isinstance(folders, Mapping):
        names = {name: as_path("folder", folder) for name, folder in folders.items()}
    else:
        each = [folders] if isinstance(folders, str | Path) else folders
        paths = [as_path("folder", folder) for folder in each]
        parts = [path.resolve().parts for path in paths]
        if len(set(parts)) < len(parts):
            raise ArgumentError("the same folder is named twice; name each once")
        names = {_tail(part, parts): path for part, path in zip(parts, paths, strict=True)}
    if not names:
        raise ArgumentError("name at least one folder to score")
    return names


def _tail(path: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    """The last parts of a path, as many as tell it from the others."""
    depth = 1
    while sum(other[-depth:] == path[-depth:] for other in others) > 1:
        depth += 1
    return "/".join(path[-depth:])


def _size(job: _Job) -> int:
    try:
        return job.task.pair.enhanced.stat().st_size
    except OSError:
        return 0  # which is a problem of its row


def _merged(row: Row, scores: PairScores) -> Row:
    """The row with what is new of its pair, and the other measures that it has."""
    facts = vars(scores) if scores.sample_rate else {}  # else nothing could be read
    values = {**row.values, **scores.values}
    problems = {**row.problems, **scores.problems}
    return replace(row, **{**facts, "values": values, "problems": problems})


def _only(row: Row, measures: Iterable[Measure]) -> Row:
    """The row with these measures alone, in this order."""
    names = [measure.name for measure in measures]
    return replace(
        row,
        values={name: row.values[name] for name in names},
        problems={name: row.problems[name] for name in names if name in row.problems},
    )


def _hashes(tasks: Iterable[Task], contents: Mapping[Path, str]) -> dict[str, str]:
    """By system, "references" and "noisy references": one digest of all files."""
    parts: dict[str, dict[str, str]] = {}
    for task in tasks:
        place = "/".join([task.set, task.pair.name])
        owners = {"clean": "references", "noisy": "noisy references", "enhanced": task.system}
        for role, path in task.pair.files.items():
            name = f"{place} {task.seed}" if role == "enhanced" else place
            parts.setdefault(owners[role], {})[name] = contents[path]
    return {owner: combined(files) for owner, files in parts.items()}


def _refuse_without_noisy(measures: Iterable[Measure], noisy: str | Path | None) -> None:
    needy = [measure.name for measure in measures if measure.needs_noisy]
    if needy and noisy is None:
        raise ArgumentError(
            f"{needy[0]} needs the noisy recordings; name their folder (--noisy DIR)"
        )
