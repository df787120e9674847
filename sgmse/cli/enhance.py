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
from contextlib import ExitStack, closing
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import sgmse
from sgmse.cli import console
from sgmse.cli.options import Commands, Parser, command, count, decibels, whole
from sgmse.cli.recordings import Report, describe_many, describe_recordings, planned
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sgmse.corpus import Cluster, Job
    from sgmse.enhancer import Enhancer

# Those of `QualityName` and of `sgmse.solvers.NAMED`, for which the help does not wait.
QUALITIES = ("fast", "balanced", "best", "gentle")
PRECISIONS = ("float32", "tf32", "bf16")
BACKENDS = ("torch", "onnx", "openvino", "auto")
#: More than this is said to cost much: 4 bring 0.02 dB more than 2 (the card of the default).
ENOUGH_SHIFTS = 8
SHARDS = "; shards of many recordings, .tar (WebDataset) and .parquet"
ENDING = "enhanced"
SOLVERS = ("ode", "ode2", "sde", "sde2", "pc")


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "enhance", run, __doc__)
    parser.quiet("errors")
    parser.flag("-v --verbose", "say what is done: model, sampler, threads, each file")
    parser.json("an object a line for each file")
    parser.group("input and output")
    describe_recordings(parser, ENDING, "clean.wav", SHARDS)
    parser.flag("--plot", "draw each recording before and after, NAME.png beside its result")
    parser.group("sound")
    parser.strength()
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
    describe_many(parser)
    usual = "default: 1; of short files one a core, at most 4; on a GPU 16"
    parser.jobs(f"; one alone uses all threads ({usual})", default=None)
    parser.value(
        "--threads", "N", "of the CPU to use, by all files together (default: one a core)", count
    )
    parser.ray(
        "--threads (default: 1) and -j are then of each worker, of which there is one for each GPU "
        "or for so many cores",
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
        "little cleaner, up to 4 (default: the model's own)",
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
    if options.plot:
        from sgmse.plot.house import require

        require("--plot")
    cluster = None if options.ray is None else _cluster(options)
    with ExitStack() as held:
        jobs, report = held.enter_context(planned(options, ENDING, pictures=options.plot))
        if jobs:
            _enhance(jobs, options, report, cluster)
    return report.end()


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
        strength=options.strength,
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
            workers = _shared(options, enhancer, jobs)
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
    shifts = options.shifts or 1
    if shifts > ENOUGH_SHIFTS and not options.quiet:
        console.warn(
            f"--shifts {shifts} takes {shifts} times as long as 1; of the default model, 4 bring "
            "0.02 dB more than 2"
        )
    if options.verbose:
        console.say(f"the model {options.model} is loaded in {perf_counter() - start:.1f} s")
        for line in repr(enhancer).splitlines()[1:]:
            console.say(line)
    return enhancer


def _shared(options: argparse.Namespace, enhancer: "Enhancer", jobs: "Sequence[Job]") -> int:
    """At how many files to work at once; each has a share of the threads from now on."""
    import torch

    from sgmse._lanes import MOST

    # Threads that wait for each other's cores are slower than none.
    threads = options.threads or torch.get_num_threads()
    usual = enhancer.recordings_at_once
    if usual == 1:
        # Pieces of one recording are done side by side, and so are recordings of one piece each.
        rate, every = enhancer.front.sample_rate, [job.seconds for job in jobs]
        short = [seconds for seconds in every if enhancer.pieces(round(seconds * rate)) == 1]
        usual = min(threads, MOST) if sum(short) > sum(every) / 2 else 1
    workers = min(options.jobs or usual, len(jobs))
    torch.set_num_threads(max(1, threads // workers))
    if options.verbose:
        device = next(enhancer.model.parameters()).device
        console.say(f"device {device}, threads {torch.get_num_threads()} for each file")
    return workers
