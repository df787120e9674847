"""A report that can be listened to: one HTML file that needs nothing else.

    costs = {"ours": {"evaluations": 4}}
    write_report(Table(scores), "report.html", audio=files_by_recording(tasks), costs=costs)

The table, the charts, and for some recordings sounds and spectrograms of all systems side by side.
The page forbids its own use of the network (its content security policy), and every name that
comes from a file is text in it, never markup.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from sgmse._extras import require as require_package
from sgmse._files import write_whole
from sgmse.errors import ArgumentError
from sgmse.plot.house import sheet
from sgmse.report.charts import draw, swatch
from sgmse.report.clips import CODINGS, Clip, check, make_clips
from sgmse.report.content import CostTable, cost_charts, fact_charts, grids, worst, worst_of
from sgmse.report.numbers import EXPLAINED, noise
from sgmse.report.selection import Selection, select, select_by_name
from sgmse.report.text import ABOUT, notes, problems, provenance
from sgmse.scoring.journal import Recording
from sgmse.scoring.provenance import About
from sgmse.scoring.scores import Scores, Stages
from sgmse.scoring.table import Table

FILES = 6
MEGABYTES = 10.0
SECONDS = 10.0


@dataclass(frozen=True)
class _Example:
    """A recording to listen to; for each clip a score by measure, None where there is none.

    `worst_of` are the systems among whose worst it is, with the change of its score.
    """

    recording: Recording
    facts: Mapping[str, str]
    worst_of: Mapping[str, str]
    clips: list[Clip]
    scores: list[list[float | None]]


def write_report(
    table: Table,
    file: str | Path,
    *,
    audio: Mapping[Recording, Mapping[str, Path]] | None = None,
    costs: CostTable | None = None,
    about: Mapping[str, About] | None = None,
    by: Sequence[str] | None = None,
    title: str = "Speech enhancement, side by side",
    command: str = "",
    files: int | Sequence[str] = FILES,
    seconds: float = SECONDS,
    coding: str = "opus",
    megabytes: float = MEGABYTES,
    progress: Stages | None = None,
) -> Path:
    """Write the report of some scores; it appears whole or not at all. Returns its path.

    Args:
        table: of the scores of at least one system.
        file: the HTML file, replaced if it is there.
        audio: by recording (set, name) the files to listen to by label, systems and references
            such as "clean", as `files_by_recording` gives them. Without it the page has no sounds.
        costs: numbers by system, of which less is better, such as {"evaluations": 4,
            "real-time factor": 0.2}: columns of the table, and each a chart of what it buys.
        about: what was run, by system: a table of the page.
        by: facts of the recordings over which the measures are drawn, numbers as lines; if absent
            all that have 2 to 12 different labels, and SNRs. More numbers are put into 6 bins.
        title: heading of the page.
        command: that made the scores, shown with their provenance.
        files: how many recordings to listen to, half of them those that got worst against the
            baseline by the first measure, the others evenly spaced from the worst upwards; or their
            names, or "set/name".
        seconds: of each sound, from its start.
        coding: "opus", or "flac" for sounds without loss and about five times as large.
        megabytes: that the file may have; fewer recordings are kept if it must be, and the page
            says so.
        progress: called as recordings are done.

    Raises:
        ArgumentError: an unknown recording or coding; no rows; more than `megabytes` by the
            table and charts alone, or by the recordings that were named.
        MissingPackageError: jinja2 or matplotlib is missing.
    """
    scores = table.scores
    if not scores.rows:
        raise ArgumentError("there are no scores to report; score at least one file")
    available = audio or {}
    wanted = _wanted(table, available, files)
    check(seconds, coding)
    require()
    kinds = {system: kind for kind, system in enumerate(scores.systems)}
    content = {
        "title": title,
        "scores": scores,
        "counts": _counts(scores),
        "seeds": len({row.seed for row in scores.rows}),
        "baseline": table.baseline if len(scores.systems) > 1 else None,
        "explained": EXPLAINED,
        "noise": noise(scores.measures),
        "grids": grids(table, costs or {}),
        "worst": worst(table),
        "charts": [
            (group, {measure: draw([panel]) for measure, panel in group.panels.items()})
            for group in (*cost_charts(table, costs or {}, kinds), *fact_charts(table, by, kinds))
        ],
        "kinds": kinds,
        "asked": len(wanted),
        "available": len(available),
        "seconds": seconds,
        "coding": CODINGS[coding].name,
        "megabytes": megabytes,
        "notes": notes(scores),
        "problems": problems(scores),
        "about": {name: own for name, own in (about or {}).items() if name in kinds},
        "headings": ABOUT,
        "provenance": _provenance(scores, command),
    }
    examples: dict[Recording, _Example] = {}
    tell = progress or (lambda stage, done, total: None)
    for done, recording in enumerate(wanted.recordings):
        tell("report", done, len(wanted))
        clips = make_clips(available[recording], seconds=seconds, coding=coding)
        examples[recording] = _example(table, recording, clips)
    tell("report", len(wanted), len(wanted))
    kept = wanted
    while (
        len(page := _page(content, kept, examples, _chosen(table, files, kept))) > megabytes * 1e6
    ):
        size = f"{len(page) / 1e6:.1f} MB"
        if not kept or not isinstance(files, int):
            raise ArgumentError(
                f"the report has {size}, more than {megabytes:g} MB; allow more, or ask for "
                "fewer recordings or shorter ones"
            )
        kept = wanted.fewer(len(kept) - 1)
    return write_whole(Path(file), page)


def require() -> None:
    """Raise `MissingPackageError`, which names the remedy, unless reports can be written."""
    for package in ("jinja2", "matplotlib"):
        require_package(package, "a report", "report")


# What can be listened to


def _wanted(
    table: Table, audio: Mapping[Recording, Mapping[str, Path]], files: int | Sequence[str]
) -> Selection:
    if isinstance(files, int):
        if files < 0:
            raise ArgumentError(f"the number of recordings must be at least 0, not {files}")
        return select(table, audio, files)
    scored = {row.recording for row in table.scores.rows}
    named = select_by_name([recording for recording in audio if recording in scored], files)
    return Selection([], named)


def _chosen(table: Table, files: int | Sequence[str], kept: Selection) -> str:
    """How the recordings were chosen, in words; "" if they were named."""
    if not isinstance(files, int):
        return ""
    name = table.scores.measures[0].name
    parts = []
    if kept.worst:
        parts.append(
            f"first {len(kept.worst)} that got worst against {table.baseline} by {name}, the worst "
            "of each system before the second of each"
        )
    if kept.others:
        count = f"{len(kept.others)} " if kept.worst else ""
        parts.append(
            f"{count}evenly spaced from the worst upwards by the mean {name} of all systems"
        )
    return ", then ".join(parts)


def _example(table: Table, recording: Recording, clips: list[Clip]) -> _Example:
    scores = table.scores
    rows = [row for row in scores.rows if row.recording == recording]
    values = [
        [scores.values(clip.label, measure.name).get(recording) for measure in scores.measures]
        for clip in clips
    ]
    known = [set(row.facts.items()) for row in rows]  # what a system took is not of the recording
    common = set.intersection(*known)
    facts = {fact: value for fact, value in rows[0].facts.items() if (fact, value) in common}
    return _Example(recording, facts, worst_of(table, recording), clips, values)


# The page


def _counts(scores: Scores) -> str:
    lengths: dict[Recording, float] = {}
    for row in scores.rows:  # a row that could not be scored may have no length
        lengths[row.recording] = max(row.seconds, lengths.get(row.recording, 0.0))
    counts = {"system": len(scores.systems), "set": len(scores.sets), "recording": len(lengths)}
    parts = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items()]
    return ", ".join([*parts, f"{sum(lengths.values()) / 60:.1f} minutes of sound"])


def _provenance(scores: Scores, command: str) -> dict[str, str]:
    """Where the numbers come from, as lines."""
    about = provenance(scores, command)
    bootstrap = about["bootstrap"]
    return {
        "made": about["time"],
        **({"command": about["command"]} if about["command"] else {}),
        "versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        "machine": ", ".join(f"{name}: {value}" for name, value in about["machine"].items()),
        "alignment": "delays compensated" if scores.align else "delays not compensated",
        "intervals": f"bootstrap, {bootstrap['level']:.0%}, {bootstrap['draws']} draws",
        **{f"digest of {name}": value for name, value in about["hashes"].items()},
    }


def _page(
    content: Mapping[str, Any],
    kept: Selection,
    examples: Mapping[Recording, _Example],
    chosen: str,
) -> bytes:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    script = _read("page.js")
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(swatch=lambda kind: Markup(swatch(kind)))
    text = environment.get_template("page.html").render(
        **content,
        examples=[examples[recording] for recording in kept.recordings],
        places={recording: f"r{place}" for place, recording in enumerate(kept.recordings)},
        chosen=chosen,
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        styles=Markup(sheet() + _read("page.css")),
        safe=Markup,
    )
    return text.encode("utf-8", "replace")  # names of files may hold what is no text


def _read(name: str) -> str:
    return (package_files(__package__) / name).read_text(encoding="utf-8")
