"""What the default model does to each kind of harm: python benchmarks/kinds.py CORPUS

Mixes sets from CORPUS/valid, of the same speech each: its clean recordings and their noises, which
are what the noisy ones have beside them. To the noise of the first set come, one in each other set,
a simulated room, a babble in its place, an overdriven microphone, codecs, lost packets and a narrow
band. Writes benchmarks/results/kinds.md and .json: the scores of the mixtures and what the model
adds to them, recording by recording, and in how many recordings it takes more than the noise of the
measure away.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from writing import arguments, paragraph, write

from sgmse import audio
from sgmse.bench import Model, Noisy, NoisySet, Suite, run_suite
from sgmse.data.degradations import Clip, Codec, Degradation, LowPass, PacketLoss
from sgmse.data.noisy_sets import Mixer, mix
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import corrected
from sgmse.scoring.table import Table

SNR = (2.5, 7.5, 12.5, 17.5)
MEASURES = ("pesq-wb", "estoi", "si-sdr", "dnsmos-ovrl")
NOISE, NOISY, MODEL = "noise", "noisy", "default"
TALKERS = 5
#: What is done to the mixtures of a set, beside the noise.
KINDS: Mapping[str, tuple[Degradation, ...]] = {
    NOISE: (),
    "overdriven": (Clip(1.0, level=(6, 12), soft=0.5),),
    "Opus": (Codec(1.0, coders=("opus",)),),
    "MP3": (Codec(1.0, coders=("mp3",)),),
    "GSM": (Codec(1.0, coders=("gsm",)),),
    "lost packets": (PacketLoss(1.0, rate=(0.05, 0.1), burst=(1, 3)),),
    "narrow band": (LowPass(1.0, cutoff=(3400, 4000)),),
}
ROOM, BABBLE = "room", f"babble of {TALKERS}"
PAGE = """# What the default model does to each kind of harm

Made by `python benchmarks/kinds.py CORPUS --count {count}`.

{about}

{count} mixtures a kind, at {levels} dB. A room's early reflections belong to the clean recording.
What else is lost, as a band or a packet, does not come back from a model that was trained on noise
alone, and counts as missing in every score. The scores of the mixtures, and of the results less
those (the mean with half a 95 % interval; Wilcoxon signed rank, corrected by Holm's method over the
table: * p < 0.05, ** p < 0.01, *** p < 0.001):

{table}

Recordings that the model makes worse, by more than the noise of the measure, of {count}:

{worse}
"""


def noises(valid: Path, place: Path) -> Path:
    """The noises of the noisy recordings."""
    for noisy in sorted((valid / "noisy").iterdir()):
        (y, about), (x, _) = audio.read(noisy), audio.read(valid / "clean" / noisy.name)
        place.mkdir(exist_ok=True)
        audio.write(place / noisy.name, y - x, about)
    return place


def sets(valid: Path, place: Path, count: int) -> dict[str, NoisySet]:
    """Of each kind."""
    clean, noise = valid / "clean", noises(valid, place / "noises")
    mixers = {name: (noise, Mixer(SNR, degradations=what)) for name, what in KINDS.items()}
    mixers |= {
        ROOM: (noise, Mixer(SNR, reverb=1.0)),
        BABBLE: (clean, Mixer(SNR, noises=TALKERS)),
    }
    made = {}
    for name, (background, mixer) in mixers.items():
        folder = place / name.replace(" ", "-")
        if not folder.exists():
            mix(clean, background, folder, mixer, count=count, workers=2)
        made[name.replace(" ", "-")] = NoisySet(folder / "clean", folder / "noisy")
    return made


def lines(parts: Mapping[str, Table]) -> tuple[list[list[str]], list[list[str]], dict[str, Any]]:
    """Of the tables of scores and of what got worse, and the numbers."""
    measures = next(iter(parts.values())).scores.measures
    differences = {
        name: [part.differences[MODEL][m.name] for m in measures] for name, part in parts.items()
    }
    together = iter(corrected([d for row in differences.values() for d in row if d is not None]))
    scores, worse, plain = [], [], {}
    for name, part in parts.items():
        before, lost = part.means[NOISY], part.outcomes[MODEL]
        less = [next(together) for _ in measures]
        scores.append([name, *(f"{before[m.name].mean:.{m.digits}f}" for m in measures)])
        scores.append(["", *map(numbers.change, measures, less)])
        counts = [own for m in measures if (own := lost[m.name]) is not None]
        worse.append([name, *(str(own.worse) for own in counts)])
        plain[name] = {
            m.name: {
                "noisy": before[m.name].mean,
                "less": vars(d),
                "worse": own.worse,
                "of": own.count,
            }
            for m, d, own in zip(measures, less, counts, strict=True)
        }
    return scores, worse, plain


def main() -> None:
    parser = arguments(__doc__, "valid/clean and valid/noisy")
    parser.add_argument("--count", type=int, default=60, help="mixtures a kind (default: 60)")
    parser.add_argument("--work", type=Path, help="where sets and results stay, to go on from")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        kinds = sets(options.corpus / "valid", work, options.count)
        systems = {NOISY: Noisy(), MODEL: Model()}
        suite = Suite(kinds, systems, measures=MEASURES, baseline=NOISY)
        results = run_suite(suite, work / "results", workers=options.jobs)
    scores, worse, plain = lines({name: results.table.sets[name] for name in kinds})
    heads = [numbers.heading(m) for m in results.scores.measures]
    page = PAGE.format(
        about=paragraph(__doc__, 1),
        count=options.count,
        levels=", ".join(f"{snr:g}" for snr in SNR),
        table=markdown_table(["kind", *heads], scores),
        worse=markdown_table(["kind", *heads], worse),
    )
    write(options.output, "kinds", page, plain)


if __name__ == "__main__":
    main()
