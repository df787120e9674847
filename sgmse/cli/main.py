"""The command line: `sgmse enhance`, `sgmse info`, `sgmse convert`, `sgmse train`.

Nothing heavy is imported before a command runs, so that `--help` and misuse are answered at once.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import sgmse
from sgmse.cli import average, bench, mix, score, train
from sgmse.cli import bench_solvers as solvers

if TYPE_CHECKING:
    from sgmse.cli.jobs import Job, Progress
    from sgmse.model import Regeneration, ScoreModel
    from sgmse.solvers import Solver

EXAMPLES = """examples:
  sgmse enhance noisy.wav                      writes noisy_enhanced.wav beside it
  sgmse enhance noisy.wav -o clean.flac        another name, another format
  sgmse enhance recordings/ -o clean/          every recording of a folder, names kept
  sgmse enhance '*.mp3' --dry 0.1              keeps a tenth of the original in the mix
"""
# The keys of `sgmse.audio.SUFFIXES`, which a test holds; importing them here would take seconds.
FORMATS = (
    *("wav", "wave", "bwf", "ogg", "oga", "opus", "aiff", "aif", "aifc", "au", "snd"),
    *("flac", "mp3", "caf", "w64", "rf64", "voc", "sph"),
)
MODEL = (
    "default, a folder, a published checkpoint such as file.ckpt, or hf://owner/name for a "
    "repository on the Hugging Face hub"
)
COMPAT = (
    "of a published checkpoint: sample in the arithmetic of its code, sgmse, in place of the exact "
    "one"
)
SOLVERS = (
    "ode (first order), ode2 (second order), sde and sde2 (the same with fresh noise), "
    "pc (predictor-corrector)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0 for success, 1 for errors, 130 after an interrupt; misuse and help end in `SystemExit` with 2
    and 0.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(_joined(given), argparse.Namespace(given=given))
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("interrupted; finished files are kept", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"sgmse: {_line(error)}", file=sys.stderr)
        return 1


def _joined(given: list[str]) -> list[str]:
    """With a name of two words as one argument: `bench solvers` beside `bench SUITE.yaml`."""
    return [" ".join(given[:2]), *given[2:]] if given[:2] == ["bench", "solvers"] else given


def _line(error: BaseException) -> str:
    """An error as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sgmse",
        description="Removes noise from recordings of speech.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sgmse {sgmse.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_enhance(
        commands.add_parser(
            "enhance",
            help="clean recordings",
            description="Clean recordings; each keeps its format, sample rate, channels, length.",
            epilog=EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    info = commands.add_parser(
        "info", help="say what a model is", description="Say what a model is."
    )
    info.add_argument("model", nargs="?", default="default", help=MODEL)
    _add_compat(info)
    info.set_defaults(run=_info)
    _add_convert(
        commands.add_parser(
            "convert",
            help="write a published checkpoint in the format of this library",
            description="Write a published checkpoint as a folder: weights, config and card.",
        )
    )
    train.add(commands)
    average.add(commands)
    bench.add(commands)
    solvers.add(commands)
    mix.add(commands)
    score.add(commands)
    return parser


def _add_enhance(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_enhance)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="recordings, folders of them, or patterns")
    add(
        "-o",
        "--output",
        metavar="FILE_OR_DIR",
        help="a file for one input, such as clean.wav, or a folder, which is made if absent; "
        "without it results are named NAME_enhanced, beside their inputs",
    )
    add(
        "--format",
        type=_format,
        metavar="FORMAT",
        help=f"of the results: {', '.join(FORMATS)} (default: that of the input)",
    )
    add("--recursive", action="store_true", help="look into the folders inside folders too")
    add("--overwrite", action="store_true", help="replace results that exist")
    add(
        "--dry",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of the input to keep in the result, 0 (none, the default) to 1",
    )
    add("--model", default="default", help=f"{MODEL} (default: default)")
    _add_compat(parser)
    add(
        "--solver",
        type=_solver,
        metavar="SOLVER",
        help=f"how to sample: {SOLVERS}; with one step, all but pc give the same "
        "(default: the model's own)",
    )
    add(
        "--steps",
        type=_positive,
        metavar="N",
        help="steps of the solver: more take longer (default: the model's own)",
    )
    add(
        "--shifts",
        type=_positive,
        metavar="N",
        help="average N results with the frames of the spectrogram at other places: N times as "
        "slow, a little cleaner (default: the model's own)",
    )
    add(
        "--seed",
        type=_whole,
        default=0,
        metavar="N",
        help="of the noise where some is drawn: by sde, sde2 and pc from two steps on, by all "
        "at the start of a process that starts in noise (default: 0)",
    )
    add(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default: auto, which is cuda where it is available, else cpu)",
    )
    add(
        "-j",
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="files worked on at the same time (default: 1, which uses all cores)",
    )
    add("-q", "--quiet", action="store_true", help="print errors only")


def _add_compat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--compat", choices=("sgmse",), help=COMPAT)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_convert)
    parser.add_argument("checkpoint", metavar="FILE", help="a published checkpoint")
    parser.add_argument("folder", metavar="DIR", help="where the model goes")
    _add_compat(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there")


def _format(text: str) -> str:
    name = text.lower().removeprefix(".")
    if name not in FORMATS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(FORMATS)}, not {text!r}")
    return name


def _solver(text: str) -> "Solver":
    from sgmse.solvers import Exponential, Multistep, PredictorCorrector

    solvers = {
        "ode": Exponential(eta=0.0, start=0.0),
        "ode2": Multistep(eta=0.0, start=0.0),
        "sde": Exponential(eta=1.0),
        "sde2": Multistep(eta=1.0),
        "pc": PredictorCorrector(),
    }
    if text not in solvers:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(solvers)}, not {text!r}")
    return solvers[text]


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")
    return value


def _enhance(options: argparse.Namespace) -> int:
    import torch
    from tqdm import tqdm

    from sgmse.cli.jobs import plan, run
    from sgmse.errors import AudioError

    jobs, problems = plan(
        options.inputs, options.output, format=options.format, recursive=options.recursive
    )
    for problem in problems:
        print(f"sgmse: {_line(problem)}", file=sys.stderr)
    if not jobs:
        return 1
    enhancer = sgmse.load(
        options.model,
        device=None if options.device == "auto" else options.device,
        solver=options.solver,
        steps=options.steps,
        shifts=options.shifts,
        compat=options.compat,
    )
    # Threads that wait for each other's cores are slower than none.
    torch.set_num_threads(max(1, torch.get_num_threads() // options.jobs))

    def work(job: "Job", progress: "Progress") -> None:
        enhancer.enhance_file(
            job.source,
            job.target,
            seed=options.seed,
            dry=options.dry,
            format=options.format,
            overwrite=options.overwrite,
            progress=progress,
        )

    seconds = sum(job.seconds for job in jobs)
    bar = tqdm(
        total=seconds,
        desc="enhancing",
        disable=True if options.quiet or not seconds else None,  # None: if stderr is no terminal
        bar_format="{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s, {remaining} left",
    )
    failed = bool(problems)

    def say(text: str) -> None:
        bar.write(f"sgmse: {text}", file=sys.stderr)

    outcomes = run(jobs, work, workers=options.jobs, progress=bar.update)
    with bar, _warnings(None if options.quiet else say), closing(outcomes):
        for job, error in outcomes:
            if error is not None:
                failed = True
                where = "" if isinstance(error, AudioError) else f"{job.source}: "
                say(f"{where}{_line(error)}")
            elif not options.quiet:
                bar.write(f"{job.source} -> {job.target}", file=sys.stdout)
    return int(failed)


@contextmanager
def _warnings(say: Callable[[str], None] | None) -> Iterator[None]:
    """Hand what enhancing warns of to `say`, a line each, or to no one; others stay as they are."""
    from sgmse.errors import ClippingWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if say is None else "always", ClippingWarning)
        show = warnings.showwarning

        def shown(
            message: Warning | str, category: type[Warning], *where: Any, **more: Any
        ) -> None:
            if say is not None and issubclass(category, ClippingWarning):
                say(str(message))
            else:
                show(message, category, *where, **more)

        warnings.showwarning = shown
        yield


def _info(options: argparse.Namespace) -> int:
    from sgmse.checkpoints import load_model, locate

    checkpoint = load_model(options.model, compat=options.compat)
    model = checkpoint.model
    training = dict(checkpoint.training)
    rows = {
        "model": f"{options.model} ({locate(options.model)})",
        "family": training.pop("family", "sgmse-toolkit"),
        **_networks(model),
        "process": model.sde,
        "estimates": model.parametrization,
        "spectrogram": checkpoint.transform,
        "sample rate": f"{checkpoint.sample_rate} Hz",
        "solver": checkpoint.solver,
        "grid": checkpoint.grid,
        "shifts": checkpoint.shifts,
        "licence": checkpoint.licence or "not stated",
    } | {f"training: {key}": value for key, value in training.items()}
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:{width}}  {value}")
    return 0


def _networks(model: "ScoreModel | Regeneration") -> dict[str, str]:
    """What `info` says of the networks of a model."""
    parts = {name: model.parts.get(name) for name in ("network", "predictor")}
    return {
        name: f"{type(part).__name__}, {sum(p.numel() for p in part.parameters()) / 1e6:.2f} M "
        "parameters"
        for name, part in parts.items()
        if part is not None
    }


def _convert(options: argparse.Namespace) -> int:
    from sgmse.checkpoints import convert

    folder = convert(
        options.checkpoint, options.folder, compat=options.compat, overwrite=options.overwrite
    )
    print(f"{options.checkpoint} -> {folder}")
    return 0
