"""Shards: many recordings in one file, enhanced into a file like it, which appears whole.

    shard-000.tar       samples of WebDataset: 17.flac, 17.json, 17.txt belong together
    train-000.parquet   rows of Hugging Face `datasets`: a column of {bytes, path}, and others

All but the sound stays as it is. A sample or a row whose recording cannot be enhanced is left out,
and named with its reason. One sample is in memory at a time.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sgmse._extras import imported
from sgmse._files import whole
from sgmse.audio import SUFFIXES, check_target, info, make_folder
from sgmse.corpus.jobs import Lost, Made
from sgmse.errors import AudioError

TAR, PARQUET = ".tar", ".parquet"
SHARDS = (TAR, PARQUET)
ROWS = 16  # of a table at a time

#: Makes of a recording, and of what its result is called, the bytes of the result.
Enhance = Callable[["Named", str], bytes]


class Named(io.BytesIO):
    """Bytes that messages call by a name."""

    def __init__(self, name: object, content: bytes = b"") -> None:
        super().__init__(content)
        self.name = str(name)


def is_shard(path: Path) -> bool:
    """Whether a file of that name is a shard."""
    return path.suffix.lower() in SHARDS


def check_shard(path: Path) -> None:
    """Raise `AudioError` for a shard that cannot be read, and `MissingPackageError`."""
    with path.open("rb") as file:
        if path.suffix.lower() == PARQUET:
            _column(_table(file, path).schema_arrow, path)
        else:
            _opened(file, path).close()


def enhance_shard(
    source: Path,
    target: Path,
    enhance: Enhance,
    format: str | None,  # noqa: A002
    overwrite: bool,
) -> Made:
    """Enhance all recordings of a shard into another one.

    Args:
        source, target: both tar or both parquet.
        enhance: raises what is wrong with a recording.
        format: of the results, a suffix that takes the place of theirs; that of each if absent.
        overwrite: replace a target that exists.

    Returns:
        Seconds of the recordings, and those that are lost.

    Raises:
        AudioError: a shard that is none, or holds no recording that can be enhanced.
    """
    check_target(target, source, overwrite)
    make_folder(target.parent)
    work = _Work(source, enhance, format)
    with source.open("rb") as file, whole(target) as part:
        if source.suffix.lower() == PARQUET:
            _enhance_rows(file, part, work)
        else:
            _enhance_samples(file, part, work)
        if not work.done:
            raise work.nothing()
    return Made(work.seconds, tuple(work.lost))


class _Work:
    """What is done with each recording of a shard, and what became of it."""

    def __init__(self, source: Path, enhance: Enhance, format: str | None) -> None:  # noqa: A002
        self.source, self.enhance, self.format = source, enhance, format
        self.seconds, self.done = 0.0, 0
        self.lost: list[Lost] = []

    def __call__(self, sounds: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
        """Names and bytes of the results of recordings that belong together.

        None of them if one is lost, as what is left would be no whole sample.
        """
        made: dict[str, bytes] = {}
        seconds = 0.0
        for name, content in sounds:
            shown = self.source / name
            try:
                renamed = self._renamed(name)
                if renamed in made:
                    problem = f"would be called {renamed}, as another one of its sample"
                    raise AudioError(shown, problem, "leave the format out")
                if content is None:
                    raise AudioError(shown, "holds no bytes, but a name", "store the sound itself")
                sound = Named(shown, content)
                seconds += info(sound).duration
                made[renamed] = self.enhance(sound, renamed)
            except Exception as error:  # whatever it is, the other samples go on
                self.lost += [
                    Lost(shown, error) if other == name else self._left_out(other, name)
                    for other, _ in sounds
                ]
                return []
        self.seconds += seconds
        self.done += len(made)
        return [*made.items()]

    def _renamed(self, name: str) -> str:
        if self.format is None:
            return name
        return str(PurePosixPath(name).with_suffix(f".{self.format}"))

    def _left_out(self, name: str, because: str) -> Lost:
        shown = self.source / name
        return Lost(shown, AudioError(shown, f"is left out with {because}", "see what that holds"))

    def nothing(self) -> AudioError:
        """Why there is no result."""
        if not self.lost:
            return AudioError(self.source, "holds no recordings", "name another file")
        first = str(self.lost[0].error)
        problem = f"none of its {len(self.lost)} recordings can be enhanced ({first})"
        return AudioError(self.source, problem, "see what it holds")


# Tar


def _opened(file: BinaryIO, path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")
    except tarfile.TarError as error:
        problem = f"is no tar archive ({error})"
        raise AudioError(path, problem, "name one that is not compressed") from error


def _samples(archive: tarfile.TarFile, path: Path) -> Iterator[list[tarfile.TarInfo]]:
    """Members that belong together: neighbours whose names are the same up to their first dot."""

    def key(member: tarfile.TarInfo) -> str:
        folder, _, name = member.name.rpartition("/")
        return f"{folder}/{name.partition('.')[0]}"

    try:
        for _, members in groupby(archive, key):
            yield list(members)
    except tarfile.TarError as error:
        raise AudioError(path, f"is damaged ({error})", "copy it again") from error


def _enhance_samples(file: BinaryIO, part: Path, work: _Work) -> None:
    with _opened(file, work.source) as archive, tarfile.open(part, "w") as out:
        for members in _samples(archive, work.source):
            contents = [_content(archive, member, work.source) for member in members]
            sounds = {
                i: (member.name, content)
                for i, (member, content) in enumerate(zip(members, contents, strict=True))
                if content is not None and PurePosixPath(member.name).suffix[1:].lower() in SUFFIXES
            }
            results = work([*sounds.values()])
            if sounds and not results:
                continue
            for i, (name, made) in zip(sounds, results, strict=True):
                renamed = copy(members[i])
                renamed.name, renamed.size = name, len(made)
                renamed.pax_headers = {
                    key: value
                    for key, value in renamed.pax_headers.items()
                    if key not in ("path", "size")
                }
                members[i], contents[i] = renamed, made
            for member, content in zip(members, contents, strict=True):
                out.addfile(member, None if content is None else io.BytesIO(content))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes | None:
    """The bytes of a member; None of a folder or a link."""
    if not member.isreg() or (file := archive.extractfile(member)) is None:
        return None
    content = file.read()
    if len(content) < member.size:
        raise AudioError(path, f"is cut off within {member.name}", "copy it again")
    return content


# Parquet


def _table(file: BinaryIO, path: Path) -> Any:
    parquet = imported("pyarrow.parquet", "a parquet file", "ray")
    arrow = imported("pyarrow", "a parquet file", "ray")
    try:
        return parquet.ParquetFile(file)
    except (arrow.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise AudioError(path, f"is no parquet file ({why})", "copy it again") from error


def _column(schema: Any, path: Path) -> str:
    """The column of sound: the one of {bytes, path}, as an Audio feature is stored."""
    types = imported("pyarrow.types", "a parquet file", "ray")
    found = [
        field.name
        for field in schema
        if types.is_struct(field.type)
        and {"bytes", "path"} <= {field.type.field(i).name for i in range(field.type.num_fields)}
    ]
    if len(found) != 1:
        names = ", ".join(found or schema.names)
        which = "several columns" if found else "no column"
        problem = f"has {which} of {{bytes, path}} (there are {names})"
        raise AudioError(path, problem, "store one, as the feature Audio of datasets does")
    name: str = found[0]
    return name


def _enhance_rows(file: BinaryIO, part: Path, work: _Work) -> None:
    arrow = imported("pyarrow", "a parquet file", "ray")
    parquet = imported("pyarrow.parquet", "a parquet file", "ray")
    table = _table(file, work.source)
    schema = table.schema_arrow
    column = _column(schema, work.source)
    number = 0
    with parquet.ParquetWriter(part, schema) as writer:
        for batch in table.iter_batches(batch_size=ROWS):
            rows = batch.to_pylist()
            kept = []
            for row in rows:
                sound = row[column] or {"bytes": None, "path": None}
                results = work([(sound["path"] or str(number), sound["bytes"])])
                number += 1
                for renamed, content in results:
                    name = None if sound["path"] is None else renamed
                    kept.append({**row, column: {**sound, "bytes": content, "path": name}})
            if kept:
                writer.write_table(arrow.Table.from_pylist(kept, schema))
