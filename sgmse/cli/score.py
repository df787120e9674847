"""The command `sgmse score`: folders of recordings in, a table of scores out."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgmse.cli import options as common
from sgmse.cli import reports
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from sgmse.scoring.scores import Scores

DESCRIPTION = """Score enhanced recordings against the clean ones.

Files belong together by their names, whatever their formats and subfolders. They are brought to one
sample rate; each channel is scored by itself, and the score of a file is the mean of its channels.
Small differences in length are trimmed, delays are reported. A file that cannot be scored is listed
with the reason and is in no mean.
"""
EPILOG = """examples:
  sgmse score clean/ enhanced/
  sgmse score clean/ noisy/ mine/ theirs/ --by snr_db       side by side, against the first
  sgmse score clean/ old=runs/1/out new=runs/2/out -o scores/    named, with files for a paper
  sgmse score clean/ mine/ theirs/ --noisy noisy/ -o scores/ --report    a page to listen to, too
  sgmse score clean/ enhanced/ --fail-under pesq-wb=2.5 --fail-under estoi=0.7

exit code: 0; 1 for an error, a mean under its bar, or nothing scored; 130 after an interrupt
"""
# The names in `sgmse.metrics.measures`, which a test holds; importing them here takes long.
MEASURES = (
    *("pesq-wb", "pesq-nb", "stoi", "estoi", "si-sdr", "si-sir", "si-sar", "segsnr", "lsd"),
    *("csig", "cbak", "covl", "dnsmos-sig", "dnsmos-bak", "dnsmos-ovrl", "dnsmos-p808"),
    "distillmos",
)
DEFAULT = "pesq-wb,stoi,estoi,si-sdr"
JOURNAL = "scores.jsonl"
SHOWN = 20  # problems that are printed; the files have them all


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line."""
    parser = common.command(
        parsers,
        "score",
        _run,
        title="score enhanced recordings against clean ones",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option("clean", metavar="CLEAN_DIR", help="the references")
    option(
        "enhanced",
        nargs="+",
        metavar="ENHANCED_DIR",
        help="what is scored; several stand side by side, called by the names of their folders or, "
        "given as NAME=DIR, by NAME",
    )
    option("--noisy", metavar="DIR", help="what was enhanced, for si-sir and si-sar")
    option(
        "--measures",
        type=common.names,
        default=common.names(DEFAULT),
        metavar="NAME,...",
        help=f"of {', '.join(MEASURES)} (default: {DEFAULT})",
    )
    option(
        "--by",
        type=common.names,
        action="extend",
        default=[],
        metavar="COLUMN,...",
        help="also a table by what the index says, such as snr_db",
    )
    option(
        "--index",
        metavar="FILE",
        help="CSV file with a column 'name' and others (default: index.csv in CLEAN_DIR or beside "
        "it)",
    )
    option("--baseline", metavar="NAME", help="what others differ from (default: the first)")
    option(
        "--fail-under",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="exit with 1 if the mean of a measure is worse; of all but the baseline if there are "
        "several; may be given several times",
    )
    option("--align", action="store_true", help="compensate the delay of each file")
    option(
        "--tolerance",
        type=float,
        default=0.1,
        metavar="SECONDS",
        help="largest difference in length that is trimmed (default: 0.1)",
    )
    option(
        "-o",
        "--output",
        metavar="DIR",
        help="write scores.csv, summary.md, summary.tex and summary.json there; what is scored "
        "already, of unchanged files, is not scored again",
    )
    option("--parquet", action="store_true", help="with -o: scores.parquet too (needs pyarrow)")
    option(
        "--report",
        action="store_true",
        help="with -o: report.html too, one page with table, charts, sounds and spectrograms "
        "(needs the extra 'report')",
    )
    reports.add(parser)
    option(
        "-j",
        "--jobs",
        type=common.count,
        metavar="N",
        help="processes (default: one for each core)",
    )
    option("-q", "--quiet", action="store_true", help="print the table and errors only")


def _run(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from sgmse.data.pairs import find_index
    from sgmse.report.clips import Recording, listed
    from sgmse.report.page import write_report
    from sgmse.report.text import require_parquet, summary, write
    from sgmse.scoring.scores import matched, named, resolved, score
    from sgmse.scoring.table import Table, checked_baseline
    from sgmse.scoring.thresholds import Threshold, failures
    from sgmse.scoring.workers import cores

    # All that can be refused is refused before the work.
    measures = resolved(options.measures)
    thresholds = [Threshold.parse(text, measures) for text in options.fail_under]
    folders = named(_folders(options.enhanced))
    checked_baseline(list(folders), options.baseline)
    index = options.index or find_index(options.clean)
    _check_columns(options.by, index)
    if options.parquet:
        if options.output is None:
            raise ArgumentError("--parquet goes with -o DIR, which says where")
        require_parquet()
    output = None if options.output is None else Path(options.output)
    audio: Mapping[Recording, Mapping[str, Path]] = {}
    if reports.wanted(options):
        if output is None:
            raise ArgumentError("--report goes with -o DIR, which says where")
        audio = listed(matched(options.clean, folders, noisy=options.noisy, index=index)[0])
        reports.check_names(options, audio)
    done = 0
    bar = tqdm(desc="scoring", unit=" files", disable=True if options.quiet else None)

    def progress(count: int, total: int) -> None:
        nonlocal done
        done = count
        if bar.total is None:
            bar.reset(total)
            bar.initial = count  # scored earlier: they say nothing of the speed
        bar.n = count
        bar.refresh()

    try:
        with bar:
            scores = score(
                options.clean,
                folders,
                noisy=options.noisy,
                measures=measures,
                index=index,
                align=options.align,
                tolerance=options.tolerance,
                workers=options.jobs or cores(),
                journal=None if output is None else output / JOURNAL,
                progress=progress,
            )
    except KeyboardInterrupt:
        print(_interrupted(done, output), file=sys.stderr)
        return 130
    command = shlex.join(["sgmse", *options.given])
    _tell(scores, options.quiet)
    table = Table(scores, options.baseline)
    print(summary(table, options.by))
    if output is not None:
        write(
            table,
            output,
            by=options.by,
            command=command,
            parquet=options.parquet,
        )
        if not options.quiet:
            again = f"; {scores.reused} files were scored earlier" if scores.reused else ""
            print(f"\nthe results are in {output}{again}")
    if not any(value is not None for row in scores.rows for value in row.values.values()):
        print("sgmse: no file could be scored", file=sys.stderr)
        return 1
    missed = failures(table, thresholds)
    if missed:
        print(f"sgmse: {'; '.join(missed)}", file=sys.stderr)
    if output is not None and options.report:
        with reports.progress(options.quiet) as told:
            page = write_report(
                table,
                output / reports.NAME,
                audio=audio,
                by=options.by or None,
                command=command,
                progress=told,
                **reports.extent(options),
            )
        if not options.quiet:
            print(f"the report is {page}")
    return int(bool(missed))


def _folders(texts: Sequence[str]) -> dict[str, str] | list[str]:
    """Folders by name, if any is given as NAME=DIR; else as they are."""
    found = [text.partition("=") for text in texts]
    is_named = [all(parts) and not Path("".join(parts)).exists() for parts in found]
    if not any(is_named):
        return list(texts)
    names: dict[str, str] = {}
    for text, (name, _, path), given in zip(texts, found, is_named, strict=True):
        key = name if given else Path(text).resolve().name
        if key in names:
            raise ArgumentError(
                f"two folders are called {key!r}; give them different names: NAME=DIR"
            )
        names[key] = path if given else text
    return names


def _check_columns(by: Sequence[str], index: "str | Path | None") -> None:
    from sgmse.data.pairs import read_index

    if not by:
        return
    if index is None:
        raise ArgumentError(f"--by {by[0]} needs an index of the recordings; name it with --index")
    columns = list(next(iter(read_index(index).values()), {}))
    for column in by:
        if column not in columns:
            raise ArgumentError(f"{index} has no column {column!r}; it has {', '.join(columns)}")


def _tell(scores: "Scores", quiet: bool) -> None:
    """What was found on the way, on stderr."""
    from sgmse.report.text import notes, problems

    found = problems(scores)
    lines = found[:SHOWN]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more; -o DIR writes them all")
    for line in lines + ([] if quiet else notes(scores)):
        print(f"sgmse: {line}", file=sys.stderr)


def _interrupted(done: int, output: Path | None) -> str:
    if output is None:
        return "interrupted; nothing was kept, -o DIR would have"
    return f"interrupted; the scores of {done} files are kept in {output}: call again to go on"
