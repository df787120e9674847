"""Score enhanced recordings against the clean ones.

Files belong together by their names, whatever their formats and subfolders. They are brought to one
sample rate; each channel is scored by itself, and the score of a file is the mean of its channels.
Small differences in length are trimmed, delays are reported. A file that cannot be scored is listed
with the reason and is in no mean. A list, a .scp file of lines "ID PATH" or a folder with
metadata.csv, stands for a folder; files belong together by the ids, which both lists must name.

examples:
  sgmse score clean/ enhanced/
  sgmse score clean.scp enhanced.scp
  sgmse score clean/ noisy/ mine/ theirs/ --by snr_db       side by side, against the first
  sgmse score clean/ old=runs/1/out new=runs/2/out -o scores/    named, with files for a paper
  sgmse score clean/ mine/ theirs/ --noisy noisy/ -o scores/ --report    a page to listen to, too
  sgmse score clean/ enhanced/ --ray auto    on all machines of a Ray cluster
  sgmse score clean/ enhanced/ --fail-under pesq-wb=2.5 --fail-under estoi=0.7
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from sgmse.cli import machines, reports
from sgmse.cli.console import FAILED, complain, interruptible, stages, warn
from sgmse.cli.options import Commands, command, names
from sgmse.data.pairs import find_index, read_index
from sgmse.errors import ArgumentError, did_you_mean
from sgmse.metrics.measures import MEASURES
from sgmse.report.clips import files_by_recording
from sgmse.report.page import write_report
from sgmse.report.text import summary, write
from sgmse.scoring.journal import Recording
from sgmse.scoring.scores import DEFAULT, match_folders, name_systems, score
from sgmse.scoring.table import Table, checked_baseline
from sgmse.scoring.thresholds import failures
from sgmse.scoring.workers import cores

JOURNAL = "scores.jsonl"


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "score", run, __doc__, "a mean under its bar, or nothing scored")
    parser.value("clean", "CLEAN_DIR", "the references")
    parser.value(
        "enhanced",
        "ENHANCED_DIR",
        "what is scored; several stand side by side, called by the names of their folders or, "
        "given as NAME=DIR, by NAME",
        nargs="+",
    )
    parser.value("--noisy", "DIR", "what was enhanced, for si-sir and si-sar")
    measures = ", ".join(measure.name.lower() for measure in MEASURES)
    parser.value("--measures", "NAME,...", f"of {measures}", names, default=DEFAULT)
    parser.value(
        "--by",
        "COLUMN,...",
        "also a table by what the index says, such as snr_db",
        names,
        action="extend",
    )
    parser.value(
        "--index",
        "FILE",
        "CSV file with a column 'name' and others (default: index.csv in CLEAN_DIR or beside it)",
    )
    parser.value("--baseline", "NAME", "what others differ from (default: the first)")
    parser.flag("--align", "compensate the delay of each file")
    parser.value(
        "--tolerance", "SECONDS", "largest difference in length that is trimmed", float, default=0.1
    )
    parser.output(
        "write scores.csv, comparisons.csv, summary.md, summary.tex and summary.json there; what "
        "is scored already, of unchanged files, is not scored again"
    )
    reports.add(parser, report=False)
    parser.processes()
    parser.ray(machines.HINT)
    parser.quiet("the table and errors")


def run(options: argparse.Namespace) -> int:
    """Score folders; all that can be refused is refused before the work."""
    for option in ("parquet", "report"):
        if getattr(options, option) and options.output is None:
            raise ArgumentError(f"--{option} goes with -o DIR, which says where")
    machines.check(options)
    folders = name_systems(_folders(options.enhanced))
    thresholds, with_page = reports.checked(options, options.measures, folders)
    checked_baseline(list(folders), options.baseline)
    for name, folder in folders.items():
        if Path(folder).resolve() == Path(options.clean).resolve():
            warn(f"{name}: {folder} is the folder of the references itself, which scores best")
    index = options.index or find_index(options.clean)
    by: list[str] = options.by or []
    _check_columns(by, index)
    audio: Mapping[Recording, Mapping[str, Path]] = {}
    if with_page:
        audio = files_by_recording(
            match_folders(options.clean, folders, noisy=options.noisy, index=index)[0]
        )
        reports.check_names(options, audio)
    output = None if options.output is None else Path(options.output)
    kept = "nothing was kept, -o DIR would have"
    if output is not None:
        kept = f"what is done is kept in {output}: call again to go on"
    with (
        interruptible(kept),
        stages(options.quiet) as tell,
        machines.workers(options, cores()) as workers,
    ):
        scores = score(
            options.clean,
            folders,
            noisy=options.noisy,
            measures=options.measures,
            index=index,
            align=options.align,
            tolerance=options.tolerance,
            workers=workers,
            journal=None if output is None else output / JOURNAL,
            progress=tell,
        )
    reports.say_problems(scores, options.quiet, "-o DIR writes them all")
    table = Table(scores, options.baseline)
    print(summary(table, by))
    if output is not None:
        write(table, output, by=by, command=options.command, parquet=options.parquet)
        if not options.quiet:
            again = f"; {scores.reused} files were scored earlier" if scores.reused else ""
            print(f"\nthe results are in {output}{again}")
    if not any(value is not None for row in scores.rows for value in row.values.values()):
        complain("no file could be scored")
        return FAILED
    missed = failures(table, thresholds)
    if missed:
        complain("; ".join(missed))
    if output is not None and with_page:
        page = output / reports.NAME
        reports.write_page(options, partial(write_report, table, page, audio=audio, by=by or None))
    return FAILED if missed else 0


def _folders(texts: Sequence[str]) -> dict[str, str] | list[str]:
    """Folders by name, if any is given as NAME=DIR; else as they are."""
    parts = [text.partition("=") for text in texts]
    are_named = [all(three) and not Path("".join(three)).exists() for three in parts]
    if not any(are_named):
        return list(texts)
    folders: dict[str, str] = {}
    for text, (name, _, path), is_named in zip(texts, parts, are_named, strict=True):
        key = name if is_named else Path(text).resolve().name
        if key in folders:
            raise ArgumentError(
                f"two folders are called {key!r}; give them different names: NAME=DIR"
            )
        folders[key] = path if is_named else text
    return folders


def _check_columns(by: Sequence[str], index: str | Path | None) -> None:
    if not by:
        return
    if index is None:
        raise ArgumentError(f"--by {by[0]} needs an index of the recordings; name it with --index")
    columns = list(next(iter(read_index(index).values()), {}))
    for column in by:
        if column not in columns:
            raise ArgumentError(
                f"{index} has no column {column!r}{did_you_mean(column, columns)}; "
                f"it has {', '.join(columns)}"
            )
