"""The command `sgmse mix`: noisy test sets from clean speech and noise."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sgmse.cli import options as common

if TYPE_CHECKING:
    from sgmse.data.noisy_sets import Mixed

DESCRIPTION = """Mix clean speech and noise into a fixed test set:

  OUT_DIR/clean/000.flac  OUT_DIR/noisy/000.flac  ...  OUT_DIR/index.csv

The ratio of speech to noise is that of their active parts. Speech, noises and ratios take turns, so
that each is used as often as the others. The same command on the same files gives the same bytes.
"""
EPILOG = """examples:
  sgmse mix clean/ noise/ testset --snr 0,5,10 --count 200
  sgmse mix clean/ noise/ testset --snr=-5,0,5       an = where the first is negative
"""


def add(parsers: Any) -> None:
    """Describe the command to the subparsers of the command line."""
    parser = common.command(
        parsers,
        "mix",
        _run,
        title="make a noisy test set of clean speech and noise",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    option = parser.add_argument
    option(
        "clean", metavar="CLEAN_DIR", help="folder of clean speech; its folders name the speakers"
    )
    option("noise", metavar="NOISE_DIR", help="folder of noise; its folders name the kinds")
    option("output", metavar="OUT_DIR", help="where the set goes; it appears when all is done")
    option(
        "--snr",
        type=_ratios,
        default=(2.5, 7.5, 12.5, 17.5),
        metavar="DB,...",
        help="ratios of speech to noise in dB, which take turns (default: 2.5,7.5,12.5,17.5)",
    )
    option(
        "--count", type=int, metavar="N", help="mixtures (default: one for each speech recording)"
    )
    option("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    option(
        "--rate",
        type=int,
        default=16000,
        metavar="HZ",
        help="sample rate of the set (default: 16000)",
    )
    option(
        "--seconds", type=float, metavar="MAX", help="cut longer speech (default: keep it whole)"
    )
    option(
        "--shortest",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="skip shorter recordings (default: 1)",
    )
    option(
        "--reverb",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the speech to put into a simulated room, 0 (the default) to 1; the early "
        "reflections belong to the clean file (needs the extra 'train')",
    )
    option("--format", choices=("flac", "wav"), default="flac", help="(default: flac)")
    option("--overwrite", action="store_true", help="replace a set that is there")
    option(
        "-j", "--jobs", type=int, default=1, metavar="N", help="files at the same time (default: 1)"
    )
    option("-q", "--quiet", action="store_true", help="print errors and what is skipped only")


def _ratios(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be numbers with commas between them, such as 0,5,10, not {text!r}"
        ) from None


def _run(options: argparse.Namespace) -> int:
    from sgmse.data.noisy_sets import Mixing, mix

    how = Mixing(
        options.snr,
        options.seed,
        options.rate,
        options.seconds,
        options.shortest,
        options.reverb,
    )
    try:
        made = mix(
            options.clean,
            options.noise,
            options.output,
            how,
            count=options.count,
            format=options.format,
            overwrite=options.overwrite,
            workers=options.jobs,
            quiet=options.quiet,
        )
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    for file, reason in made.skipped:
        print(f"sgmse: skipped {file}: {reason}", file=sys.stderr)
    if not options.quiet:
        print("\n".join(_summary(made, how.snr)))
    return 0


def _summary(made: "Mixed", ratios: Sequence[float]) -> list[str]:
    """What was made, for people."""
    rows = made.rows
    minutes = sum(row.seconds for row in rows) / 60
    speech, noises = ({(row.speech, row.noise)[i] for row in rows} for i in range(2))
    levels = ", ".join(f"{ratio:g}" for ratio in ratios)
    lines = [
        f"{len(rows)} mixtures, {minutes:.1f} min, of {len(speech)} recordings of speech and "
        f"{len(noises)} of noise at {levels} dB",
        f"the set is in {made.folder}",
    ]
    if made.skipped:
        lines.insert(1, f"{len(made.skipped)} recordings were skipped")
    lowered = sum(row.gain < 1 for row in rows)
    if lowered:
        lines.insert(1, f"{lowered} mixtures were lowered so that they do not clip (column gain)")
    return lines
