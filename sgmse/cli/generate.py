"""Draw sound from a prior of clean speech: it sounds like somebody speaks, and says nothing.

A prior has heard clean speech and no recording of yours. What it makes has the sound of voices and
no words; it is for hearing what a model has learnt. A seed gives the same sound again.

examples:
  sgmse generate voice.wav
  sgmse generate voice.wav --seconds 5 --seed 3
  sgmse generate voice.wav --count 4              voice_1.wav to voice_4.wav, of the seeds 0 to 3
  sgmse generate voice.flac --steps 100 --solver sde2
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sgmse.cli import console
from sgmse.cli.enhance import SOLVERS
from sgmse.cli.options import Commands, command, count, positive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sgmse.prior import Prior


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "generate", run, __doc__)
    parser.value("output", "OUT_FILE", "where the sound goes, in the format of its suffix")
    parser.value(
        "--model",
        "MODEL",
        "a prior: prior, a folder, or hf://owner/name for a repository on the Hugging Face hub",
        default="prior",
    )
    parser.value("--seconds", "S", "of each sound, up to 30", positive, default=3.0)
    parser.value("--count", "N", "sounds; of several, NAME_1 to NAME_N", count, default=1)
    parser.seed("of the noise; sound k has the seed N + k - 1")
    parser.value(
        "--solver",
        "SOLVER",
        "how to sample: ode (first order), ode2 (second order), sde and sde2 (the same with fresh "
        "noise), pc (predictor-corrector) (default: the model's own)",
        choices=SOLVERS,
    )
    parser.value("--steps", "N", "steps of the solver (default: the model's own)", count)
    parser.device()
    parser.overwrite("files that exist")
    parser.quiet("errors")


@console.interruptible("finished files are kept")
def run(options: argparse.Namespace) -> int:
    """Write each sound, and say what it is."""
    from sgmse.audio import Info, check_target, make_folder, written_as

    targets = _targets(Path(options.output), options.count)
    for target in targets:
        check_target(target, None, options.overwrite)
        written_as(target, Info(16000))
    from sgmse.prior import Prior

    prior = Prior.load(options.model, device=options.device)
    make_folder(targets[0].parent)
    with console.seconds_of_audio(
        options.seconds * len(targets), options.quiet, "generating"
    ) as progress:
        for number, target in enumerate(targets):
            _write(prior, target, options, options.seed + number, progress)
    return 0


def _targets(path: Path, count: int) -> "Sequence[Path]":
    """One name, or a name for each."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}_{k}{path.suffix}") for k in range(1, count + 1)]


def _write(
    prior: "Prior",
    target: Path,
    options: argparse.Namespace,
    seed: int,
    progress: "Callable[[float], object]",
) -> None:
    from sgmse.audio import Info, Writer

    done = 0.0

    def tell(share: float) -> None:
        nonlocal done
        progress(options.seconds * (share - done))
        done = share

    audio = prior.generate(
        options.seconds, seed=seed, solver=options.solver, steps=options.steps, progress=tell
    )
    about = Info(prior.front.sample_rate, 1, audio.shape[1])
    with Writer(target, about, clip_mode="rescale") as writer:
        writer.write(audio)
    if not options.quiet:
        console.show(
            f"{target}: {options.seconds:g} s that sound like speech and have no words, drawn from "
            f"the model {options.model} with seed {seed}"
        )
