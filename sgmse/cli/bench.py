"""Compare systems on sets of noisy recordings, as a suite says.

A suite is a YAML file:

  sets:
    mine: {clean: test/clean, noisy: test/noisy}
    VB-DMD: {root: /data/voicebank}                   a known set, found out by its folders
  systems:
    noisy: {class: Noisy}
    default: {class: Model}
    best: {class: Model, quality: best}
    RNNoise: {class: RNNoise}                         a peer (extra 'peers'); also DeepFilterNet3,
                                                      GTCRN, DTLN, Hush, WebRTC, Speex,
                                                      NoiseReduce, LogMMSE, Wiener
    theirs: {class: Command, line: "denoise {input} {output}"}
    finished: {class: Folder, folder: "runs/{set}"}
  seeds: [0]                                          this and what follows may be left out
  measures: [pesq-wb, stoi, estoi, si-sdr]
  by: [snr_db]
  baseline: noisy

Relative paths start at its folder; a list, such as a .scp file of lines "ID PATH", stands for a
folder. The results are enhanced files, OUT_DIR/SET/SYSTEM/SEED/, one table of all files,
scores.csv, comparisons.csv, summary.md, summary.json, SET.tex, figure.svg (with several sets
SET.svg), and report.html, a page to listen to, if the extra 'report' is installed. A run that was
interrupted goes on when it is called again: nothing is enhanced or scored twice. Of a folder of
results, in place of a suite, tables and figures are made anew, from scores.csv and summary.json.

examples:
  sgmse bench suite.yaml --files 5                    a try with 5 recordings of each set
  sgmse bench suite.yaml -o results/ -j 4
  sgmse bench suite.yaml -o results/ --ray auto       on all machines of a Ray cluster
  sgmse bench suite.yaml --fail-under default:pesq-wb=1.9
  sgmse bench results/ -o again/                      the tables of what was scored, made anew
  sgmse bench solvers --help                          another command: the samplers of one model
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sgmse.cli import machines, reports
from sgmse.cli.console import FAILED, complain, interruptible, say, stages, warnings_said
from sgmse.cli.options import Commands, command, names
from sgmse.errors import ArgumentError, did_you_mean
from sgmse.scoring.workers import cores

if TYPE_CHECKING:
    from sgmse.bench.suite import Suite


def add(commands: Commands) -> None:
    """Describe the command."""
    fails = "a mean under its bar, or a system without any score"
    parser = command(commands, "bench", run, __doc__, fails)
    parser.value("suite", "SUITE.yaml", "what to compare on what; or a folder of finished results")
    text = "(default: runs/bench/NAME of the suite, or the folder itself)"
    parser.output(text, metavar="OUT_DIR")
    parser.files()
    text = "of the suite, which alone are run and compared (default: all)"
    parser.value("--systems", "NAME,...", text, names)
    reports.add(parser, report=None)
    parser.processes()
    parser.ray(f"{machines.HINT}, or with --device cuda for each GPU")
    parser.device()
    parser.quiet("the tables and errors")


def run(options: argparse.Namespace) -> int:
    """Run a suite; all that can be refused is refused before the work."""
    if Path(options.suite).is_dir():
        return _again(options)
    from sgmse.bench.run import run_suite
    from sgmse.bench.suite import load_suite

    machines.check(options)
    suite = _chosen(load_suite(options.suite), options)
    thresholds, with_page = reports.checked(options, suite.measures, suite.systems)
    if options.report_files is not None:
        recordings = [(name, pair.name) for name, pairs in suite.pairs().items() for pair in pairs]
        reports.check_names(options, recordings)
    output = Path(options.output or Path("runs", "bench", Path(options.suite).stem))
    kept = f"what is done is kept in {output}: call again to go on"
    with (
        interruptible(kept),
        warnings_said(options.quiet),
        stages(options.quiet) as tell,
        machines.workers(options, cores()) as workers,
    ):
        results = run_suite(suite, output, workers=workers, progress=tell)
    results.write(output, command=options.command, parquet=options.parquet)
    reports.say_problems(results.scores, options.quiet, "summary.md has them all")
    print(results.summary())
    if not options.quiet:
        scored = len(results.scores.rows) - results.scores.reused
        files = "1 file was" if results.enhanced == 1 else f"{results.enhanced} files were"
        made = f"{files} enhanced and {scored} scored now"
        print(f"\nthe results are in {output}; {made}")
    faults = results.missed(thresholds) + results.unscored()
    if faults:
        complain("; ".join(faults))
    if with_page:
        reports.write_page(options, partial(results.report, output / reports.NAME))
    elif options.report is None and not options.quiet:
        say(f"no report.html: {reports.missing()}")
    return FAILED if faults else 0


def _again(options: argparse.Namespace) -> int:
    """The tables of a folder, made anew; a page, which has no sounds, only if it is asked for."""
    from sgmse.bench._again import read_results

    for name in ("files", "systems", "device", "jobs", "ray"):
        if getattr(options, name) is not None:
            raise ArgumentError(f"--{name} goes with a suite, not with a folder of results")
    results = read_results(options.suite)
    thresholds, _ = reports.checked(options, results.suite.measures, results.suite.systems)
    output = Path(options.output or options.suite)
    results.write(output, parquet=options.parquet)
    print(results.summary())
    if not options.quiet:
        print(f"\nthe results are in {output}; nothing was scored")
    if faults := results.missed(thresholds):
        complain("; ".join(faults))
    if options.report:
        results.report(output / reports.NAME)
    return FAILED if faults else 0


def _chosen(suite: "Suite", options: argparse.Namespace) -> "Suite":
    """The suite with what the command line asks for."""
    if options.files is not None:
        suite = replace(suite, files=options.files)
    if options.device is not None:
        systems = {name: system.on(options.device) for name, system in suite.systems.items()}
        suite = replace(suite, systems=systems)
    if options.systems is None:
        return suite
    for name in options.systems:
        if name not in suite.systems:
            known = ", ".join(suite.systems)
            raise ArgumentError(
                f"--systems: no system is called {name!r}{did_you_mean(name, suite.systems)}; "
                f"there are {known}"
            )
    baseline = suite.baseline if suite.baseline in options.systems else None
    systems = {name: system for name, system in suite.systems.items() if name in options.systems}
    return replace(suite, systems=systems, baseline=baseline)
