"""The command line: `sgmse enhance`, `sgmse info`, `sgmse train`."""

import argparse
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sgmse
from sgmse.audio import SUFFIXES, AudioError

EPILOG = """examples:
  sgmse enhance noisy.wav                      writes noisy_enhanced.wav beside it
  sgmse enhance noisy.wav -o clean.flac        another name, another format
  sgmse enhance recordings/ -o clean/          every recording of a folder, names kept
  sgmse enhance '*.mp3' --dry 0.1              keeps a tenth of the original in the mix
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 for success, 1 for errors, 2 for misuse."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("interrupted; finished files are kept", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"sgmse: {_line(error)}", file=sys.stderr)
        return 1


def _line(error: BaseException) -> str:
    """An error as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sgmse",
        description="Removes noise from recordings of speech.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sgmse {sgmse.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_enhance(
        commands.add_parser(
            "enhance",
            help="clean recordings",
            description="Clean recordings. Each keeps its format, sample rate, channels and length.",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    info = commands.add_parser("info", help="say what a model is")
    info.add_argument("model", nargs="?", default="default", help="name, folder or hub repository")
    info.set_defaults(run=_info)
    _add_train(
        commands.add_parser(
            "train",
            help="train a model from a recipe",
            description="Train a model from a recipe (needs the extra 'train').",
        )
    )
    return parser


def _add_enhance(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_enhance)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="recordings, folders of them, or patterns")
    add(
        "-o",
        "--output",
        type=str,
        metavar="FILE_OR_DIR",
        help="a file for one input, or a folder; beside each input as NAME_enhanced if absent",
    )
    add(
        "--format",
        choices=sorted(SUFFIXES),
        metavar="FORMAT",
        help=f"format of the outputs: {', '.join(sorted(SUFFIXES))}; that of the input if absent",
    )
    add("--recursive", action="store_true", help="look into the folders inside folders too")
    add("--overwrite", action="store_true", help="replace outputs that exist")
    add(
        "--dry",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of the input to keep in the output, 0 (none, the default) to 1",
    )
    add("--model", default="default", help="name, folder or hub repository (default: default)")
    add("--solver", choices=sorted(_solvers()), help="how to sample; the model's own if absent")
    add("--steps", type=_count, metavar="N", help="steps of the solver; the model's own if absent")
    add("--seed", type=int, default=0, help="of the noise that some solvers draw (default: 0)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default: auto, a GPU if there is one)",
    )
    add(
        "-j",
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="files worked on at the same time (default: 1, which uses all cores)",
    )
    add("-q", "--quiet", action="store_true", help="print errors only")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_train)
    add = parser.add_argument
    add("recipe", help="a YAML file, or the name of a recipe in the package")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the recipe, key.sub=value")
    add("-o", "--output", help="folder of the run")
    add("--from", dest="start", metavar="MODEL", help="start from the weights of a model")
    add("--resume", action="store_true", help="go on where the run in that folder stopped")


def _solvers() -> dict[str, "sgmse.solvers.Solver"]:
    from sgmse.solvers import Exponential, Multistep, PredictorCorrector

    return {
        "ode": Exponential(eta=0.0),
        "sde": Exponential(eta=1.0),
        "ode2": Multistep(eta=0.0),
        "sde2": Multistep(eta=1.0),
        "pc": PredictorCorrector(),
    }


def _count(text: str) -> int:
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
    from tqdm import tqdm

    jobs = _plan(options)
    enhancer = sgmse.load(
        options.model,
        device=None if options.device == "auto" else options.device,
        solver=_solvers()[options.solver] if options.solver else None,
        steps=options.steps,
    )
    failed = threading.Event()
    bar = tqdm(
        total=sum(_duration(source) for source, _ in jobs),
        unit="s",
        desc="enhancing",
        disable=True if options.quiet else None,  # None: where stderr is no terminal
        bar_format="{desc} {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s, {remaining} left",
    )

    def advance(seconds: float) -> None:
        bar.update(seconds)

    def work(job: tuple[Path, Path]) -> None:
        source, target = job
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            enhancer.enhance_file(
                source,
                target,
                seed=options.seed,
                dry=options.dry,
                format=options.format,
                overwrite=options.overwrite,
                progress=advance,
            )
        except (ValueError, OSError, RuntimeError) as error:
            failed.set()
            text = _line(error)
            bar.write(
                f"sgmse: {text}"
                if str(source) in text or str(target) in text
                else f"sgmse: {source}: {text}",
                file=sys.stderr,
            )
        else:
            if not options.quiet:
                bar.write(f"{source} -> {target}", file=sys.stdout)

    with bar:
        if options.jobs == 1:
            for job in jobs:
                work(job)
        else:
            with ThreadPoolExecutor(options.jobs) as pool:
                list(pool.map(work, jobs))
    return int(failed.is_set())


def _duration(path: Path) -> float:
    """Seconds of a file, 0 where it cannot be read: that is reported when its turn comes."""
    from sgmse.audio import info

    try:
        return info(path).duration
    except AudioError:
        return 0.0


def _plan(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Pairs of input and output. Raises `ValueError` where two outputs would be the same."""
    from sgmse.audio import find
    from sgmse.enhancer import beside

    # Outputs in a folder keep their names, and their place below a folder that was named.
    places: dict[Path, Path] = {}
    for name in options.inputs:
        root = Path(name)
        found = find([name], options.recursive)
        if root.is_dir() and options.output is None:
            # What an earlier call wrote here is no input of this one.
            found = [path for path in found if not path.stem.endswith("_enhanced")]
            if not found:
                raise ValueError(f"{root} holds only outputs, named *_enhanced; nothing to do")
        for path in found:
            places.setdefault(path, path.relative_to(root) if root.is_dir() else Path(path.name))

    output = None if options.output is None else Path(options.output)
    if output is None:
        jobs = [(path, beside(path, options.format)) for path in places]
    elif _is_folder(options.output, list(places)):
        suffix = None if options.format is None else f".{options.format}"
        jobs = [
            (path, output / (place.with_suffix(suffix) if suffix else place))
            for path, place in places.items()
        ]
    elif len(places) == 1:
        jobs = [(next(iter(places)), output)]
    else:
        raise ValueError(
            f"{len(places)} inputs cannot all be written to the file {output}; name a folder"
        )
    _refuse_twins(jobs)
    return jobs


def _is_folder(output: str, inputs: Iterable[Path]) -> bool:
    path = Path(output)
    return (
        path.is_dir()
        or output.endswith(("/", "\\"))
        or (not path.is_file() and path.suffix.lower().removeprefix(".") not in SUFFIXES)
    )


def _refuse_twins(jobs: Iterable[tuple[Path, Path]]) -> None:
    seen: dict[Path, Path] = {}
    for source, target in jobs:
        other = seen.setdefault(target.resolve(), source)
        if other is not source:
            raise ValueError(
                f"{other} and {source} would both be written to {target}; "
                "enhance them in two calls with two folders"
            )


def _info(options: argparse.Namespace) -> int:
    from sgmse.checkpoints import load, locate

    folder = locate(options.model)
    checkpoint = load(folder)
    model = checkpoint.model
    parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "model": f"{options.model} ({folder})",
        "network": f"{type(model.network).__name__}, {parameters / 1e6:.2f} M parameters",
        "process": model.sde,
        "estimates": model.parametrization,
        "spectrogram": checkpoint.transform,
        "sample rate": f"{checkpoint.sample_rate} Hz",
        "solver": checkpoint.solver,
        "grid": checkpoint.grid,
        "licence": checkpoint.licence or "not stated",
    } | {f"training: {key}": value for key, value in checkpoint.training.items()}
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:{width}}  {value}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from sgmse.training import train

    folder = train(
        options.recipe,
        overrides=options.overrides,
        output=options.output,
        from_=options.start,
        resume=options.resume,
    )
    print(f"the run is in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
