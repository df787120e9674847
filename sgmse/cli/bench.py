"""The command `sgmse bench`: a suite in, enhanced files and tables out."""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgmse.cli import options as common
from sgmse.cli import reports
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from sgmse.bench.results import Bar, Results
    from sgmse.bench.suite import Suite

DESCRIPTION = """Compare systems on sets of noisy recordings, as a suite says.

A suite is a YAML file:

  sets:
    mine: {clean: test/clean, noisy: test/noisy}
    VB-DMD: {root: /data/voicebank}                   a known set, found out by its folders
  systems:
    noisy: {class: Noisy}
    default: {class: Model}
    five steps: {class: Model, steps: 5, solver: {class: Multistep}}
    RNNoise: {class: RNNoise}                         a peer (extra 'peers'); also DeepFilterNet3,
                                                      WebRTC, Speex, NoiseReduce, LogMMSE,
                                                      Wiener
    theirs: {class: Command, line: "denoise {input} {output}"}
    finished: {class: Folder, folder: "runs/{set}"}
  seeds: [0]                                          this and what follows may be left out
  measures: [pesq-wb, stoi, estoi, si-sdr]
  by: [snr_db]
  baseline: noisy

Relative paths start at its folder. The results are enhanced files, OUT_DIR/SET/SYSTEM/SEED/, one
table of all files, scores.csv, summary.md, summary.json, SET.tex, figure.svg (with several sets
SET.svg), and report.html, a page to listen to, if the extra 'report' is installed. A run that was
interrupted goes on when it is called again: nothing is enhanced or scored twice.
"""
EPILOG = """examples:
  sgmse bench suite.yaml --files 5                    a try with 5 recordings of each set
  sgmse bench suite.yaml -o results/ -j 4
  sgmse bench suite.yaml --fail-under default:pesq-wb=1.9
  sgmse bench solvers --help                          another command: the samplers of one model

exit code: 0; 1 for an error, a mean under its bar, or a system without any score; 130 after an
interrupt
"""
SHOWN = 20  # problems that are printed; the files have them all


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line."""
    parser = common.command(
        parsers,
        "bench",
        _run,
        title="compare systems on test sets",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option("suite", metavar="SUITE.yaml", help="what to compare on what")
    option("-o", "--output", metavar="OUT_DIR", help="(default: runs/bench/NAME of the suite)")
    option(
        "--files", type=common.count, metavar="N", help="of each set, evenly spaced (default: all)"
    )
    option(
        "--systems",
        metavar="NAME,...",
        help="of the suite, which alone are run and compared (default: all)",
    )
    option(
        "--fail-under",
        action="append",
        default=[],
        metavar="[SYSTEM:]NAME=VALUE",
        help="exit with 1 if the mean of a measure is worse on any set; of all systems but the "
        "baseline if none is named; may be given several times",
    )
    option("--parquet", action="store_true", help="write scores.parquet too (needs pyarrow)")
    option(
        "--report",
        action=argparse.BooleanOptionalAction,
        help="write report.html, one page with table, charts, sounds and spectrograms (default: if "
        "the extra 'report' is installed)",
    )
    reports.add(parser)
    option(
        "-j",
        "--jobs",
        type=common.count,
        metavar="N",
        help="processes, of one thread each (default: one for each core)",
    )
    option("-q", "--quiet", action="store_true", help="print the tables and errors only")


def _run(options: argparse.Namespace) -> int:
    from sgmse.bench.run import run_suite
    from sgmse.bench.suite import load_suite
    from sgmse.report.text import require_parquet
    from sgmse.scoring.workers import cores

    # All that can be refused is refused before the work.
    suite = _chosen(load_suite(options.suite), options)
    bars = [_bar(text, suite) for text in options.fail_under]
    if options.parquet:
        require_parquet()
    with_report = reports.wanted(options)
    if options.report_files is not None:
        pairs = suite.pairs()
        reports.check_names(options, [(name, p.name) for name, of in pairs.items() for p in of])
    output = Path(options.output or Path("runs", "bench", Path(options.suite).stem))
    try:
        with common.stages(options.quiet) as progress:
            outcome = run_suite(suite, output, workers=options.jobs or cores(), progress=progress)
    except KeyboardInterrupt:
        print(
            f"interrupted; what is done is kept in {output}: call again to go on", file=sys.stderr
        )
        return 130
    command = shlex.join(["sgmse", *options.given])
    outcome.write(output, command=command, parquet=options.parquet)
    _tell(outcome, options.quiet)
    print(outcome.summary())
    if not options.quiet:
        print(f"\nthe results are in {output}; {_done(outcome)}")
    faults = outcome.missed(bars) + outcome.unscored()
    if faults:
        print(f"sgmse: {'; '.join(faults)}", file=sys.stderr)
    if with_report:
        with reports.progress(options.quiet) as told:
            extent = reports.extent(options)
            page = outcome.report(output / reports.NAME, command=command, progress=told, **extent)
        if not options.quiet:
            print(f"the report is {page}")
    elif options.report is None and not options.quiet:
        print(f"sgmse: no report.html: {reports.missing()}", file=sys.stderr)
    return int(bool(faults))


def _chosen(suite: "Suite", options: argparse.Namespace) -> "Suite":
    """The suite with what the command line asks for."""
    if options.files is not None:
        suite = replace(suite, files=options.files)
    if options.systems is None:
        return suite
    names = [name.strip() for name in options.systems.split(",")]
    for name in names:
        if name not in suite.systems:
            known = ", ".join(suite.systems)
            raise ArgumentError(f"--systems: no system is called {name!r}; there are {known}")
    baseline = suite.baseline if suite.baseline in names else None
    systems = {name: system for name, system in suite.systems.items() if name in names}
    return replace(suite, systems=systems, baseline=baseline)


def _bar(text: str, suite: "Suite") -> "Bar":
    """From "pesq-wb=2.5" or "default:pesq-wb=2.5"."""
    from sgmse.bench.results import Bar
    from sgmse.scoring.scores import resolved
    from sgmse.scoring.thresholds import Threshold

    system, colon, rest = text.rpartition(":")
    if colon and system not in suite.systems:
        known = ", ".join(suite.systems)
        raise ArgumentError(f"--fail-under: no system is called {system!r}; there are {known}")
    return Bar(Threshold.parse(rest, resolved(suite.measures)), system if colon else None)


def _tell(outcome: "Results", quiet: bool) -> None:
    """What was found on the way, on stderr."""
    from sgmse.report.text import notes, problems

    lines = problems(outcome.scores)
    for line in lines[:SHOWN] + ([] if quiet else notes(outcome.scores)):
        print(f"sgmse: {line}", file=sys.stderr)
    if len(lines) > SHOWN:
        print(f"sgmse: and {len(lines) - SHOWN} more; summary.md has them all", file=sys.stderr)


def _done(outcome: "Results") -> str:
    made, scored = outcome.enhanced, len(outcome.scores.rows) - outcome.scores.reused
    return f"{made} files were enhanced and {scored} scored now"
