"""Mix clean speech and noise into a fixed test set.

  OUT_DIR/clean/000.flac  OUT_DIR/noisy/000.flac  ...  OUT_DIR/index.csv

The ratio of speech to noise is that of their active parts. Speech, noises and ratios take turns, so
that each is used as often as the others. A list, a .scp file of lines "ID PATH" or a folder with
metadata.csv, stands for a folder. The same command on the same files gives the same bytes.

examples:
  sgmse mix clean/ noise/ testset --snr 0,5,10 --count 200
  sgmse mix clean/ noise/ testset --snr=-5,0,5       an = where the first is negative
  sgmse mix clean/ noise/ testset --ray auto         on all machines of a Ray cluster
  sgmse mix clean/ clean/ testset --noises 5         a babble of five
  sgmse mix clean/ noise/ testset --degradations Clip '{class: Codec, coders: [opus]}'
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgmse.cli import machines
from sgmse.cli.console import interruptible, warn
from sgmse.cli.options import Commands, command, count, several, share
from sgmse.errors import ConfigError, MixError

if TYPE_CHECKING:
    from sgmse.data.degradations import Degradation
    from sgmse.data.noisy_sets import MixedSet


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "mix", run, __doc__)
    parser.value("clean", "CLEAN_DIR", "folder of clean speech; its folders name the speakers")
    parser.value("noise", "NOISE_DIR", "folder of noise; its folders name the kinds")
    parser.value("output", "OUT_DIR", "where the set goes; it appears when all is done")
    parser.value(
        "--snr",
        "DB,...",
        "ratios of speech to noise in dB, which take turns",
        several(float, "0,5,10"),
        default=(2.5, 7.5, 12.5, 17.5),
    )
    parser.value("--count", "N", "mixtures (default: one for each speech recording)", count)
    parser.seed("of all that is drawn")
    parser.value("--rate", "HZ", "sample rate of the set", count, default=16000)
    parser.value("--seconds", "MAX", "cut longer speech (default: keep it whole)", float)
    parser.value("--shortest", "SECONDS", "skip shorter recordings", float, default=1.0)
    parser.value(
        "--reverb",
        "SHARE",
        "of the speech to put into a simulated room, 0 to 1; the early reflections belong to the "
        "clean file (needs the extra 'train')",
        share,
        default=0.0,
    )
    parser.value("--noises", "N", "at once; of a folder of speech, a babble", count, default=1)
    parser.value(
        "--degradations",
        "NAME",
        "what spoils the noisy files after that, as recipes have it: Clip, or with settings "
        "'{class: Codec, coders: [opus]}'; it happens to each unless a probability is given "
        "(default: none)",
        nargs="+",
        default=(),
    )
    parser.value("--format", "FORMAT", "flac or wav", choices=("flac", "wav"), default="flac")
    parser.overwrite("a set that is there")
    parser.jobs(" (default: 1)", default=None)
    parser.ray(machines.HINT)
    parser.quiet("errors and what is skipped")


@interruptible("nothing was written")
def run(options: argparse.Namespace) -> int:
    """Mix one set."""
    from sgmse.data.noisy_sets import Mixer, mix

    mixer = Mixer(
        options.snr,
        options.seed,
        options.rate,
        options.seconds,
        options.shortest,
        options.reverb,
        options.noises,
        _degradations(options.degradations),
    )
    machines.check(options)
    with machines.workers(options, 1) as workers:
        made = mix(
            options.clean,
            options.noise,
            options.output,
            mixer,
            count=options.count,
            format=options.format,
            overwrite=options.overwrite,
            workers=workers,
            quiet=options.quiet,
        )
    for file, reason in made.skipped:
        warn(f"skipped {file}: {reason}")
    if not options.quiet:
        print("\n".join(_summary(made, mixer.snr)))
    return 0


def _degradations(given: Sequence[str]) -> "tuple[Degradation, ...]":
    """Of names, and of tables as in a recipe. Raises `MixError`."""
    from sgmse import config
    from sgmse.data.degradations import DEGRADATIONS, Degradation

    classes = {kind.__name__: kind for kind in DEGRADATIONS}
    made = []
    for text in given:
        with config.errors_as(MixError, f"--degradations {text}"):
            values = config.parse_yaml(text)
            table = {"class": values} if isinstance(values, str) else values
            if not isinstance(table, dict):
                raise ConfigError(f"{values!r} is no name and no table, such as {{class: Clip}}")
            made.append(config.from_plain(Degradation, {"probability": 1.0} | table, classes))
    return tuple(made)


def _summary(made: "MixedSet", ratios: Sequence[float]) -> list[str]:
    """What was made, for people."""
    minutes = sum(mixture.seconds for mixture in made.mixtures) / 60
    speech = len({mixture.speech for mixture in made.mixtures})
    noises = len({mixture.noise for mixture in made.mixtures})
    levels = ", ".join(f"{ratio:g}" for ratio in ratios)
    lines = [
        f"{len(made.mixtures)} mixtures, {minutes:.1f} min, of {speech} recordings of speech and "
        f"{noises} of noise at {levels} dB"
    ]
    if lowered := sum(mixture.gain < 1 for mixture in made.mixtures):
        were = "mixture was" if lowered == 1 else "mixtures were"
        lines.append(f"{lowered} {were} lowered so as not to clip (column gain)")
    if made.skipped:
        were = "recording was" if len(made.skipped) == 1 else "recordings were"
        lines.append(f"{len(made.skipped)} {were} skipped")
    return [*lines, f"the set is in {made.folder}"]
