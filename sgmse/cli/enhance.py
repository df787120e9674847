"""Clean recordings; each keeps its format, sample rate, channels and length.

examples:
  sgmse enhance noisy.wav                      writes noisy_enhanced.wav beside it
  sgmse enhance noisy.wav -o clean.flac        another name, another format
  sgmse enhance recordings/ -o clean/          every recording of a folder, names kept
  sgmse enhance wav.scp -o clean/              the recordings of a list, named by its ids
  sgmse enhance recordings/ -o clean/ --skip-existing    goes on after an interrupt
  sgmse enhance recordings/ -o clean/ --ray auto         on all machines of a Ray cluster
  ffmpeg -i talk.mkv -f wav - | sgmse enhance - --format flac > clean.flac
  sgmse enhance noisy.wav --quality best       takes more time for a better result
  sgmse enhance '*.mp3' --max-attenuation 12   leaves some of the noise, 12 dB lower
  sgmse enhance noisy.wav --plot               and noisy_enhanced.png, before and after
"""

import argparse
import os
import sys
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, cast

import sgmse
from sgmse._files import write_whole
from sgmse.audio import CLIP_MODES, SUFFIXES, seekable, unsearched
from sgmse.cli import console
from sgmse.cli.options import Commands, Parser, command, count, decibels, positive, whole
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Self

    from sgmse.corpus import Cluster, Job, Outcome, Plan
    from sgmse.enhancer import Enhancer

# Those of `QualityName` and of `sgmse.solvers.NAMED`, for which the help does not wait.
QUALITIES = ("fast", "balanced", "best", "gentle")
PRECISIONS = ("float32", "tf32", "bf16")
BACKENDS = ("torch", "onnx", "openvino", "auto")
SHOWN = 3  # folders of many that a line names
SOLVERS = ("ode", "ode2", "sde", "sde2", "pc")


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "enhance", run, __doc__)
    parser.quiet("errors")
    parser.flag("-v --verbose", "say what is done: model, sampler, threads, each file")
    parser.json("an object a line for each file")
    parser.group("input and output")
    parser.value(
        "inputs",
        "INPUT",
        "recordings, folders of them, patterns, or lists: a .scp file of lines 'ID PATH', a folder "
        "with metadata.csv; shards of many recordings, .tar (WebDataset) and .parquet; - for stdin",
        nargs="+",
    )
    parser.output(
        "a file for one input, such as clean.wav, - for stdout, or a folder, which is made if "
        "absent; without it results are named NAME_enhanced, beside their inputs",
        metavar="FILE_OR_DIR",
    )
    parser.value(
        "--format",
        "FORMAT",
        f"of the results: {', '.join(SUFFIXES)} (default: that of the input)",
        lambda text: text.lower().removeprefix("."),
        choices=SUFFIXES,
    )
    parser.value(
        "--bitrate",
        "KBPS",
        "of mp3, ogg, opus, m4a and other lossy results, in kb/s (default: that of the input)",
        positive,
    )
    parser.value(
        "--clip-mode",
        "MODE",
        "what becomes of samples beyond full scale: clamp clips them, rescale scales the whole "
        "result so that its peak is full scale, none keeps them and writes float samples",
        choices=CLIP_MODES,
        default="clamp",
    )
    parser.flag("--plot", "draw each recording before and after, NAME.png beside its result")
    parser.group("sound")
    parser.dry()
    parser.value(
        "--max-attenuation",
        "DB",
        "by which anything may become quieter, such as 12: what is only noise stays, so much lower "
        "(default: no limit)",
        decibels,
    )
    parser.switch(
        "upper-band",
        "keep the sound above the band of the model (8 kHz), freed of noise (default); without it "
        "nothing is left there",
        default=True,
    )
    parser.group("model and sampler")
    _add_sampler(parser)
    parser.group("many files")
    parser.flag("--recursive", "look into the folders inside folders too")
    parser.flag("--skip-existing", "leave results that exist as they are, and do the others")
    parser.overwrite("results that exist")
    parser.jobs("; one alone uses all threads (default: 1, and on a GPU 16)", default=None)
    parser.value(
        "--threads", "N", "of the CPU to use, by all files together (default: one a core)", count
    )
    parser.ray(
        "--threads (default: 1) and -j are then of each worker, of which there is one for each GPU "
        "or for so many cores",
    )
    parser.value(
        "--failures",
        "FILE",
        "write there which files failed and why, an object a line as with --json; an empty file "
        "says that none did",
    )


def _add_sampler(parser: Parser) -> None:
    parser.model()
    parser.compat()
    parser.value(
        "--quality",
        "QUALITY",
        "fast, balanced or best: how much time goes into a good result; gentle: for recognisers of "
        "speech, with a little of the input left in; of a model that offers it, as the default "
        "does; sgmse info says what each costs and brings (default: balanced)",
        choices=QUALITIES,
    )
    parser.value(
        "--solver",
        "SOLVER",
        "how to sample: ode (first order), ode2 (second order), sde and sde2 (the same with fresh "
        "noise), pc (predictor-corrector); with one step, all but pc give the same (default: the "
        "model's own)",
        choices=SOLVERS,
    )
    parser.value(
        "--steps",
        "N",
        "steps of the solver: more take longer; 0 is what a predictor says alone, of a model that "
        "has one (default: the model's own)",
        whole,
    )
    parser.value(
        "--shifts",
        "N",
        "average N results with the frames of the spectrogram at other places: N times as slow, a "
        "little cleaner (default: the model's own)",
        count,
    )
    parser.seed(
        "of the noise where some is drawn: by sde, sde2 and pc from two steps on, by all at the "
        "start of a process that starts in noise"
    )
    parser.force()
    parser.device()
    parser.value(
        "--precision",
        "PRECISION",
        "of products in the network: float32, tf32 or bf16, which are faster where the device has "
        "them and cost a little quality",
        choices=PRECISIONS,
        default="float32",
    )
    parser.value(
        "--backend",
        "BACKEND",
        "what computes the network on a CPU: torch, onnx (onnxruntime) or openvino, with results "
        "equal to 1e-4, which is checked once; auto takes what is quickest here, timed once",
        choices=BACKENDS,
        default="torch",
    )


@console.interruptible("finished files are kept; --skip-existing goes on")
def run(options: argparse.Namespace) -> int:
    """Enhance every file, whatever becomes of the others."""
    from sgmse.corpus import make_plan, with_pictures
    from sgmse.corpus.jobs import STANDARD

    if options.plot:
        from sgmse.plot.house import require

        require("--plot")
    cluster = None if options.ray is None else _cluster(options)
    with ExitStack() as held:
        stdin = held.enter_context(stdin_read()) if str(STANDARD) in options.inputs else None
        plan = make_plan(
            options.inputs,
            options.output,
            format=options.format,
            bitrate=options.bitrate,
            clip_mode=options.clip_mode,
            recursive=options.recursive,
            stdin=stdin,
        )
        plan = with_pictures(plan) if options.plot else plan
        plan = plan.checked(overwrite=options.overwrite, skip_existing=options.skip_existing)
        piped = any(job.target == STANDARD for job in plan.jobs)
        if options.failures is not None:
            _check_failures(Path(options.failures), options.inputs, plan)
        if piped and sys.stdout.isatty():
            raise ArgumentError("stdout is a terminal, which shows no sound; name a file with -o")
        report = held.enter_context(Report(options, piped))
        for outcome in plan.ended:
            report.tell(outcome)
        if not options.quiet and not options.recursive:
            known = {outcome.job.source for outcome in plan.ended if outcome.error is not None}
            _say_unsearched([name for name in options.inputs if Path(name) not in known], options)
        if plan.jobs:
            _enhance(plan.jobs, options, report, cluster)
    return report.end()


def _check_failures(file: Path, inputs: "Sequence[str]", plan: "Plan") -> None:
    """Refuse a list of failures in the place of a recording, of a list or of a shard."""
    if file.is_dir():
        raise ArgumentError(f"--failures {file}: is a folder; name a file in it")
    jobs = [*plan.jobs, *(outcome.job for outcome in plan.ended)]
    named = {Path(name) for name in inputs}
    named |= {path for job in jobs for path in (job.source, job.target, job.picture) if path}
    if os.path.realpath(file) in map(os.path.realpath, named):
        raise ArgumentError(f"--failures {file}: is an input or a result; name another file")
    if file.suffix[1:].lower() in SUFFIXES:
        raise ArgumentError(f"--failures {file}: is the name of a recording; name it .jsonl")


def _say_unsearched(inputs: "Sequence[str]", options: argparse.Namespace) -> None:
    """Say which folders inside folders hold recordings, but for the one of the results."""
    output = None if options.output is None else os.path.realpath(options.output)
    for name in inputs:
        folders = [path for path in unsearched(name) if os.path.realpath(path) != output]
        if folders:
            more = f" and {len(folders) - SHOWN} more" if len(folders) > SHOWN else ""
            named = ", ".join(map(str, folders[:SHOWN])) + more
            console.say(
                f"{name}: what is in its folders is left out ({named}); --recursive takes it"
            )


def _cluster(options: argparse.Namespace) -> "Cluster":
    """The cluster, after a look whether it can be there."""
    from sgmse.corpus import Cluster
    from sgmse.corpus.jobs import STANDARD

    if str(STANDARD) in (*options.inputs, options.output):
        raise ArgumentError("--ray works from files to files, not with stdin or stdout; name them")
    if options.device not in (None, "cpu", "cuda"):
        raise ArgumentError(
            f"with --ray the device is cpu or cuda, of which Ray gives one to each worker, not "
            f"{options.device}"
        )
    cluster = Cluster(
        options.ray,
        device=options.device,
        backend=options.backend,
        cores=options.threads or 1,
        at_once=options.jobs,
    )
    cluster.check()
    return cluster


@contextmanager
def stdin_read() -> "Iterator[BinaryIO]":
    """What comes from stdin, all of it."""
    if sys.stdin.isatty():
        raise ArgumentError("stdin is a terminal; pipe a recording into it, or name a file")
    with seekable(sys.stdin.buffer) as stream:
        yield cast("BinaryIO", stream)


def _enhance(
    jobs: "Sequence[Job]",
    options: argparse.Namespace,
    report: "Report",
    cluster: "Cluster | None",
) -> None:
    from sgmse.corpus import Settings, run_jobs, run_on_cluster

    settings = Settings(
        seed=options.seed,
        dry=options.dry,
        max_attenuation=options.max_attenuation,
        upper_band=options.upper_band,
        format=options.format,
        bitrate=options.bitrate,
        clip_mode=options.clip_mode,
        overwrite=options.overwrite,
    )
    enhancer = _loaded(options, elsewhere=cluster is not None)
    seconds = sum(job.seconds for job in jobs)
    with ExitStack() as held:
        progress = held.enter_context(console.seconds_of_audio(seconds, options.quiet))
        if cluster is None:
            work = partial(settings.enhance, enhancer)
            workers = _shared(options, enhancer, len(jobs))
            outcomes = run_jobs(jobs, work, workers=workers, progress=progress)
        else:
            tell = console.say if not options.quiet else _nobody
            outcomes = run_on_cluster(
                jobs, enhancer, cluster, settings, progress=progress, tell=tell
            )
        for outcome in held.enter_context(closing(outcomes)):
            if cluster is not None and not options.quiet:  # they were heard on another machine
                for line in outcome.warnings:
                    console.warn(line)
            report.tell(outcome)


def _nobody(text: object) -> None:
    """Hears what is not to be said."""


def _loaded(options: argparse.Namespace, elsewhere: bool) -> "Enhancer":
    """The model, on the device of the options; on the CPU if others take it elsewhere."""
    # Threads of torch that wait for each other leave the cores to others meanwhile; this is read
    # when torch is loaded. See `sgmse._lanes`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch  # noqa: F401

    start = perf_counter()
    with console.warnings_said(options.quiet):
        enhancer = sgmse.load(
            options.model,
            device="cpu" if elsewhere else options.device,
            quality=options.quality,
            solver=options.solver,
            steps=options.steps,
            shifts=options.shifts,
            compat=options.compat,
            force=options.force,
            precision=options.precision,
        )
        if options.backend != "torch" and not elsewhere:
            from sgmse.export import accelerated

            say = None if options.quiet else console.say
            enhancer = accelerated(enhancer, options.backend, say=say)
    if options.verbose:
        console.say(f"the model {options.model} is loaded in {perf_counter() - start:.1f} s")
        for line in repr(enhancer).splitlines()[1:]:
            console.say(line)
    return enhancer


def _shared(options: argparse.Namespace, enhancer: "Enhancer", files: int) -> int:
    """At how many files to work at once; each has a share of the threads from now on."""
    import torch

    workers = min(options.jobs or enhancer.recordings_at_once, files)
    # Threads that wait for each other's cores are slower than none.
    threads = options.threads or torch.get_num_threads()
    torch.set_num_threads(max(1, threads // workers))
    if options.verbose:
        device = next(enhancer.model.parameters()).device
        console.say(f"device {device}, threads {torch.get_num_threads()} for each file")
    return workers


class Report:
    """Says what becomes of each file, and of all at the end."""

    def __init__(self, options: argparse.Namespace, piped: bool) -> None:
        self.options = options
        self.piped = piped  # stdout is taken by sound
        self.outcomes: list[Outcome] = []
        self.code = 0
        self.said: set[str] = set()
        self.start = perf_counter()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        """Write the list of what failed, after an interrupt too."""
        if self.options.failures is not None:
            failed = [line for outcome in self.outcomes for line in outcome.failures()]
            write_whole(Path(self.options.failures), "".join(failed).encode())

    def tell(self, outcome: "Outcome") -> None:
        """Say what became of one file."""
        options, job = self.options, outcome.job
        if isinstance(outcome.error, BrokenPipeError):  # which ends a command without a word
            raise outcome.error
        self.outcomes.append(outcome)
        if outcome.error is not None and str(outcome.error) not in self.said:
            self.said.add(str(outcome.error))  # of the folder of many results, once
            code = console.failure(outcome.error, options.debug, job.source)
            self.code = max(self.code, code)
        for lost in outcome.lost:
            self.code = max(self.code, console.failure(lost.error, options.debug, lost.source))
        if options.json:
            console.show(outcome.as_json(), self.piped)
        elif outcome.status == "done" and not options.quiet:
            console.show(outcome.line(), self.piped)
        if options.verbose and outcome.status == "skipped":
            console.say(f"{job.source}: skipped, {job.target} exists")
        if options.verbose and outcome.status == "done":
            form = f"{job.sample_rate} Hz, channels {job.channels}, {job.seconds:.2f} s"
            console.say(f"{job.source}: {form}, done in {outcome.elapsed:.2f} s")

    def end(self) -> int:
        """Say what became of all, if they are several; return the exit code."""
        from sgmse.corpus import summary

        one = len(self.outcomes) == 1 and not self.outcomes[0].skipped
        if not one and not self.options.quiet:
            console.say(summary(self.outcomes, perf_counter() - self.start))
        return self.code
