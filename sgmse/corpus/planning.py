"""Which files are meant, where each result goes, and what can be refused before any work.

plan = make_plan(["recordings/"], "clean/")
plan = plan.checked(overwrite=False, skip_existing=True)
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from os.path import isfile
from pathlib import Path
from typing import BinaryIO

from sgmse.audio import (
    SUFFIXES,
    ClipMode,
    beside,
    check_target,
    info,
    is_list,
    listed,
    look,
    written_as,
)
from sgmse.corpus.jobs import STANDARD, Job, Outcome
from sgmse.corpus.shards import check_shard, is_shard
from sgmse.errors import ArgumentError, AudioError

KNOWN = SUFFIXES  # suffixes by which a name is known to be meant for a file
SHOWN = 3  # files of many that a message names


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what became of the rest: it failed, or its result is there."""

    jobs: Sequence[Job]
    ended: Sequence[Outcome] = ()
    format: str | None = None
    bitrate: float | None = None
    clip_mode: ClipMode = "clamp"

    def checked(self, *, overwrite: bool = False, skip_existing: bool = False) -> "Plan":
        """The same after a look at the files: headers of the inputs, names of the results.

        Raises:
            ArgumentError: results that exist already, unless they are overwritten or skipped.
        """
        if overwrite and skip_existing:
            raise ArgumentError("--overwrite and --skip-existing contradict each other; choose one")
        jobs: list[Job] = []
        ended = list(self.ended)
        existing: list[Job] = []
        for job in self.jobs:
            try:
                if job.target is not None and job.target != STANDARD:
                    path = job.source if job.opened is None else None
                    check_target(job.target, path, overwrite=True)
                    there = job.target.exists() and (path is None or path.exists())
                    if there and not overwrite:
                        existing.append(job)
                        continue
                if job.picture is not None:
                    check_target(job.picture, None, overwrite)
                jobs.append(self._looked_at(job))
            except (AudioError, OSError) as error:
                ended.append(Outcome(job, error))
        if existing and not skip_existing:
            raise ArgumentError(_exist(existing, len(self.jobs)))
        ended += [Outcome(job, skipped=True) for job in existing]
        return replace(self, jobs=jobs, ended=ended)

    def _looked_at(self, job: Job) -> Job:
        """With what its header says. Raises `AudioError` for what cannot be read or written."""
        if is_shard(job.source) and job.opened is None:
            check_shard(job.source)
            return job
        about = info(job.sound)
        if job.target is not None:
            written_as(
                job.target, about, self.format, bitrate=self.bitrate, clip_mode=self.clip_mode
            )
        return replace(
            job,
            seconds=about.duration,
            sample_rate=about.sample_rate,
            channels=about.channels,
        )


def make_plan(
    inputs: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    bitrate: float | None = None,
    clip_mode: ClipMode = "clamp",
    recursive: bool = False,
    stdin: BinaryIO | None = None,
    ending: str = "enhanced",
) -> Plan:
    """What an enhancement of `inputs` will read and write; nothing is touched.

    Of what folders and patterns mean, NAME_enhanced is left out where NAME is an input as well, and
    what lies below the output folder: an earlier call wrote it. A file that is named is an input.

    Args:
        inputs: files, folders, patterns and lists, as `sgmse.audio.find` takes them; shards (see
            `sgmse.corpus.shards`) and patterns of them, such as "train-*.tar".
        output: a file for a single input, or a folder, in which results keep their inputs' names
            and their places below a folder that was given; the ids of a list are such places.
            Beside each input as NAME_enhanced if absent. A name without a suffix, or that ends
            with /, is a folder; for several inputs, so is one whose suffix is no format.
        format: of the results, such as "flac"; that of each input if absent.
        bitrate, clip_mode: of the results; see `sgmse.audio.written_as`.
        recursive: look into the folders inside folders too.
        stdin: what the input "-" is; its result goes to stdout, which is the output "-", if there
            is no output.
        ending: what names of results beside their inputs end with, in place of "enhanced".

    Returns:
        The jobs; folders and patterns without audio are among what has ended.

    Raises:
        ArgumentError: results that would overwrite each other or an input, several inputs for one
            file, a .scp file without an output, an output file whose suffix is no format or
            contradicts `format`, a name that is empty.
        DataError: a list that cannot be used.
    """
    if format is not None and format not in SUFFIXES:
        raise ArgumentError(f"format must be one of {', '.join(SUFFIXES)}, not {format!r}")
    if "" in (*map(str, inputs), output):
        raise ArgumentError("a name is empty; if it comes from a variable, check that this is set")
    folder = None if output is None or _is_file(output, inputs) else Path(output)
    places, problems = _places(inputs, folder, recursive, ending)
    if folder is not None:
        if any(source == STANDARD for source, _ in places):
            raise ArgumentError(f"what comes from stdin has no name in {folder}; name a file")
        pairs = [
            (source, folder / (_renamed(place, format) if format else place))
            for source, place in places
        ]
    elif output is None:
        for name in inputs:
            if _is_list_file(name):
                raise ArgumentError(
                    f"the results of {name} are called by its ids; name a folder for them: -o DIR"
                )
        pairs = [
            (source, STANDARD if source == STANDARD else _beside(source, format, ending))
            for source, _ in places
        ]
    elif len(places) > 1:
        raise ArgumentError(
            f"{len(places)} inputs cannot all be written to {output}; name a folder"
        )
    elif any(is_shard(source) for source, _ in places):
        raise ArgumentError(f"{inputs[0]} holds many recordings; name a folder for the result")
    else:
        if Path(output) != STANDARD:
            _check_suffix(Path(output), format)
        pairs = [(source, Path(output)) for source, _ in places]
    _refuse_collisions(pairs)
    jobs = [
        Job(source, target, opened=stdin if source == STANDARD else None)
        for source, target in pairs
    ]
    return Plan(jobs, problems, format, bitrate, clip_mode)


def with_pictures(plan: Plan) -> Plan:
    """The same with a picture beside each result: NAME.png.

    Raises `ArgumentError` for results on stdout, and for those of one name and several formats.
    """
    jobs: list[Job] = []
    owners: dict[Path, Job] = {}
    for job in plan.jobs:
        if job.target is None or job.target == STANDARD:
            raise ArgumentError("a picture lies beside a result in a file; name one with -o")
        if is_shard(job.source):
            raise ArgumentError(f"{job.source} holds many recordings, of which none is drawn")
        picture = job.target.with_suffix(".png")
        other = owners.setdefault(_real(picture), job)
        if other is not job:
            both = f"{other.target} and {job.target}"
            raise ArgumentError(f"{picture} would be the picture of both {both}; use two folders")
        jobs.append(replace(job, picture=picture))
    return replace(plan, jobs=jobs)


def _exist(jobs: Sequence[Job], total: int) -> str:
    """What is said of results that exist."""
    named = ", ".join(str(job.target) for job in jobs[:SHOWN])
    if len(jobs) > SHOWN:
        named += f" and {len(jobs) - SHOWN} more"
    exist = "exists" if len(jobs) == 1 else "exist"
    of = f" ({len(jobs)} of {total} results)" if total > 1 else ""
    return (
        f"{named}: {exist} already{of}; use --skip-existing or --overwrite, "
        "or choose another name with -o"
    )


def _real(path: Path) -> Path:
    """Where links lead, also in a circle, which `Path.resolve` refuses in some versions."""
    return Path(os.path.realpath(path))


def _renamed(place: Path, format: str) -> Path:  # noqa: A002
    """With the suffix of a format; a shard has recordings of it."""
    return place if is_shard(place) else place.with_suffix(f".{format}")


def _beside(source: Path, format: str | None, ending: str) -> Path:  # noqa: A002
    return beside(source, None if is_shard(source) else format, ending)


def _shards(name: str | Path) -> list[Path]:
    """The shards that a name or a pattern means; folders are searched for recordings alone."""
    path = Path(name)
    if not is_shard(path):
        return []
    if path.is_file() or not has_magic(str(name)):
        return [path] if path.is_file() else []
    matches = glob(str(name), recursive=True)  # noqa: PTH207
    return sorted(path for path in map(Path, matches) if path.is_file())


def _suffix(path: str | Path) -> str:
    return Path(path).suffix[1:].lower()


def _check_suffix(output: Path, format: str | None) -> None:  # noqa: A002
    suffix = _suffix(output)
    if format and suffix in KNOWN and SUFFIXES.get(suffix) != SUFFIXES[format]:
        raise ArgumentError(f"{output} is no name for {format}; change one of them")
    if suffix not in KNOWN and not output.is_file():
        known = ", ".join(SUFFIXES)
        raise ArgumentError(
            f"{output}: .{suffix} is no format; use one of {known}, or end the name with / for a "
            "folder"
        )


def _is_file(output: str | Path, inputs: Sequence[str | Path]) -> bool:
    """Whether a result is to be a file of that name, and not to lie in a folder of that name."""
    path = Path(output)
    if path == STANDARD:
        return True
    if path.is_dir() or str(output).endswith(("/", "\\")):
        return False
    if path.is_file() or _suffix(path) in KNOWN:
        return True
    several = len(inputs) != 1 or Path(inputs[0]).is_dir() or _is_pattern(inputs[0])
    several = several or _is_list_file(inputs[0])
    return bool(_suffix(path)) and not several


def _is_list_file(name: str | Path) -> bool:
    return isfile(name) and is_list(name)  # noqa: PTH113


def _is_pattern(name: str | Path) -> bool:
    return has_magic(str(name)) and not Path(name).exists()


def _places(
    inputs: Sequence[str | Path], output: Path | None, recursive: bool, ending: str
) -> tuple[list[tuple[Path, Path]], list[Outcome]]:
    """Each file that is meant with its place in an output folder, once; and what is none."""
    places: list[tuple[Path, Path]] = []
    problems: list[Outcome] = []
    known: set[Path] = set()
    named: set[Path] = set()  # by themselves, not through a folder or a pattern
    results = None if output is None else _real(output)
    for name in inputs:
        root = Path(name)
        try:
            if (by_name := listed(root)) is not None:
                places += [(file, Path(_suffixed(id_, file))) for id_, file in by_name.items()]
                named.update(map(_real, by_name.values()))
                continue
            shards = _shards(name)
            files, left_out = (shards, []) if shards else look(name, recursive)
        except (AudioError, OSError) as error:
            problems.append(Outcome(Job(root), error))
            continue
        problems += [Outcome(Job(Path(error.path)), error) for error in left_out]
        if files == [root]:
            named.add(_real(root))
        if results is not None and _real(root) in results.parents:
            files = [file for file in files if not _real(file).is_relative_to(results)]
            if not files:
                nothing = AudioError(root, "holds only earlier results", "name another one")
                problems.append(Outcome(Job(root), nothing))
        for file in files:
            if _real(file) not in known:
                known.add(_real(file))
                places.append((file, file.relative_to(root) if root.is_dir() else Path(file.name)))
    names = {(_real(file.parent), file.stem) for file, _ in places}
    earlier = {
        file
        for file, _ in places
        if _real(file) not in named
        and file.stem.endswith(f"_{ending}")
        and (_real(file.parent), file.stem.removesuffix(f"_{ending}")) in names
    }
    kept = [(file, place) for file, place in places if file not in earlier]
    return list(dict.fromkeys(kept)), problems


def _suffixed(name: str, file: Path) -> str:
    """The name of a list with the suffix of its file."""
    return name if name.endswith(file.suffix) else name + file.suffix


def _refuse_collisions(pairs: Iterable[tuple[Path, Path]]) -> None:
    pairs = list(pairs)
    sources = {_real(source): source for source, _ in pairs}
    owners = dict(sources)
    for source, target in pairs:
        other = owners.setdefault(_real(target), source)
        if other != source:
            if _real(target) in sources:
                why = "is an input; name another folder for the results, or leave that input out"
                hint = " (a pattern in quotes leaves earlier results out)"
            else:
                why = f"is where {other} goes; name another folder, or enhance them in two calls"
                hint = ""
            raise ArgumentError(f"{source} would be written to {target}, which {why}{hint}")
