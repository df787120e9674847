"""What the shipped prior of clean speech knows, and restores: python benchmarks/priors.py CORPUS

Crops of {seconds} s of the clean recordings of CORPUS/PART, the loudest of each, with a peak of
0.6, are spoilt in one way a kind. `prior` draws once from the posterior, with {steps} evaluations
of the network, and is told the harm: where gaps are, the limit, the band, the room, the law of the
noise. So are "least squares" and "subtraction"; the others find it themselves. Of an unknown room
it is told that such ring for 0.5 s, and draws it in turn with the speech, with {rounds} evaluations
(`Prior.dereverberate`); "told of no room", it is told of the noise in the room alone. Gaps are of
20 to 60 ms, about 15 %; clipping is at 1.6 dB above the root mean square; the band ends at 4 kHz;
the room rings for 0.4 s, with white noise 20 dB below; other noise lies 10 dB below the speech.

Writes benchmarks/results/priors.md and .json: scores of what is spoilt and what each system adds,
the likelihood of speech and of other sounds, and what is drawn from noise.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from prior_harms import KINDS, RATE, Harm, Kind, Sound
from writing import arguments, paragraph, write

import sgmse
from sgmse import Prior
from sgmse.audio import read
from sgmse.checkpoints import locate
from sgmse.errors import RecordingWarning
from sgmse.inference import Hutchinson, Mask, log_likelihood
from sgmse.metrics.measures import MEASURES, select
from sgmse.prior import RESTORING, ROUNDS
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import corrected, interval, paired

SECONDS, PEAK = 2.5, 0.6
SAMPLES = round(RATE * SECONDS)
SCORES = select(["pesq-wb", "estoi", "si-sdr", "lsd", "dnsmos-ovrl"])
SPOILT, PRIOR, CONTROL = "untouched", "prior", "prior, told of no room"
#: Of likelihoods: seconds of a sound, steps of the flow and the last time, at which it has noise.
HEARD, STEPS, END = 1.0, 8, 0.01
PAGE = """# What the shipped prior of clean speech knows, and restores

Made by `{command}`, with the weights `{weights}`.

{about}

{count} crops a kind, of `{part}`. For LSD lower is better. The scores of what is spoilt, and of the
results less those (the mean with half a 95 % interval; Wilcoxon signed rank, corrected by Holm's
method over the table: * p < 0.05, ** p < 0.01, *** p < 0.001); seconds are of one core for a crop:

{gains}

Where the 95 % interval of a change by `prior` leaves out 0, beside doing nothing and beside the
models that were trained on recordings (LSD is better where it falls):

{verdict}

Crops that `prior` makes worse, by more than the noise of the measure, of {count}:

{worse}

## Likelihood

Bits per dimension (`sgmse.inference.log_likelihood`, {nfe} evaluations, Hutchinson's trace with one
direction, at t = {end:g}) of sounds of {heard:g} s with a peak of {peak:g}: fewer for what the
prior finds likely. Of densities of continuous data they may be negative; differences are what they
say.

{bits}

## What is drawn from noise

{drawn} sounds of 3 s. The spectrum is that of thirds of an octave from 100 Hz to 7 kHz in dB,
each sound's level taken off, and how far its mean lies from that of the clean crops (root mean
square); "pauses" is the share of frames of 20 ms that are 30 dB below the loudest one.

{samples}
"""


def recordings(folder: Path) -> list[Path]:
    """By their names."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".wav"))


def crop(file: Path, seconds: float) -> Sound:
    """The loudest seconds of a recording."""
    x, size = read(file)[0][0].astype(np.float64), round(seconds * RATE)
    x = np.pad(x, (0, max(size - len(x), 0)))
    power = np.convolve(x**2, np.ones(size), "valid")[::800]
    x = x[800 * int(np.argmax(power)) :][:size]
    return PEAK / np.abs(x).max() * x


class Journal:
    """What was found, by its key, so that an interrupted run goes on."""

    def __init__(self, path: Path, weights: str) -> None:
        self.path, self.weights = path, weights
        lines = path.read_text().splitlines() if path.exists() else []
        found = map(json.loads, lines)
        self.found = {one["key"]: one["value"] for one in found if one["weights"] == weights}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """What was found, or is found now."""
        if key not in self.found:
            start = perf_counter()
            self.found[key] = make()
            line = {"weights": self.weights, "key": key, "value": self.found[key]}
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{key}: {perf_counter() - start:.1f} s", flush=True)
        return self.found[key]


#: How the prior is sampled, and by which clock.
SAMPLED = " " + sha256(f"{RESTORING} {ROUNDS} processor".encode()).hexdigest()[:12]


@cache
def digest(name: str) -> str:
    """What a model of the package is, its settings with it."""
    files = (locate(name) / file for file in ("model.safetensors", "config.json"))
    return " " + sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


@cache
def enhancer(name: str) -> sgmse.Enhancer:
    return sgmse.load(name, device="cpu")


def result(system: str, kind: Kind, harm: Harm, prior: Prior, seed: int) -> Sound:
    """What a system makes of a crop."""
    y = harm.spoilt.astype(np.float32)
    if system == SPOILT:
        return y
    if system == CONTROL:
        return prior.restore(y, RATE, Mask(torch.ones(())), noise=harm.noise, seed=seed)
    if system == PRIOR:
        if harm.operator is None:
            return prior.dereverberate(y, RATE, noise=harm.noise, seed=seed).audio
        told = y if harm.told is None else harm.told.astype(np.float32)
        return prior.restore(told, RATE, harm.operator, noise=harm.noise, peak=harm.peak, seed=seed)
    if system in kind.simple:
        return kind.simple[system](harm)
    return enhancer(system)(y, RATE, force=True)


def restored(corpus: Path, part: str, count: int, prior: Prior, journal: Journal) -> dict[str, Any]:
    """Scores by kind, system and crop."""
    files = recordings(corpus / part / "clean")
    table: dict[str, Any] = {}
    for name, kind in KINDS.items():
        table[name] = {}
        control = (CONTROL,) if kind.control else ()
        for system in (SPOILT, *kind.simple, "default", "restore", *control, PRIOR):
            rows = []
            for i, file in enumerate(files[:: len(files) // count][:count]):

                def scored(i: int = i, file: Path = file, system: str = system) -> list[float]:
                    x = crop(file, SECONDS)
                    harm = kind.spoil(x, np.random.default_rng(i))  # noqa: B023
                    start = process_time()  # whatever else the machine does
                    z = result(system, kind, harm, prior, i)  # noqa: B023
                    spent = process_time() - start
                    clean = x.astype(np.float32)
                    return [*(m(clean, z.astype(np.float32), RATE) for m in SCORES), spent]

                # The prior's weights are in the journal, those of the other models in the key.
                own = SAMPLED if system in (PRIOR, CONTROL) else ""
                own = digest(system) if system in ("default", "restore") else own
                key = f"{part}/{name}/{system}{own}/{file.stem}"
                rows.append(journal.get(key, scored))
            table[name][system] = rows
    return table


def likelihoods(
    corpus: Path, part: str, count: int, prior: Prior, journal: Journal
) -> dict[str, list[float]]:
    """Bits per dimension of sounds by their kind."""
    clean, noisy = (recordings(corpus / part / kind) for kind in ("clean", "noisy"))
    chosen = list(range(0, len(clean), len(clean) // count))[:count]

    def bits(x: Sound) -> float:
        audio = torch.from_numpy(PEAK / np.abs(x).max() * x).float()[None]
        x0 = prior.front.forward(audio, prior.model.divisor[1])
        found = log_likelihood(
            prior.model,
            x0,
            None,
            steps=STEPS,
            start=0.998,
            end=END,
            divergence=Hutchinson(),
        )
        return float(found.bits)

    rng = np.random.default_rng(0)
    z = rng.standard_normal((len(clean), round(HEARD * RATE)))

    def noise(i: int) -> Sound:
        """What a mixture has beside the speech."""
        x, y = (read(files[i])[0][0].astype(np.float64) for files in (clean, noisy))
        d = y[: len(x)] - x[: len(y)]
        return d[: round(HEARD * RATE)]

    def with_white(i: int, snr: float) -> Sound:
        x = crop(clean[i], HEARD)
        return x + np.sqrt(np.mean(x**2) * 10 ** (-snr / 10)) * z[i]

    sounds: dict[str, Callable[[int], Sound]] = {
        "clean speech": lambda i: crop(clean[i], HEARD),
        "the same backwards": lambda i: crop(clean[i], HEARD)[::-1].copy(),
        "with white noise, 30 dB": lambda i: with_white(i, 30),
        "with white noise, 10 dB": lambda i: with_white(i, 10),
        "noises of the mixtures": noise,
        "white noise": lambda i: z[i],
    }
    return {
        name: [
            journal.get(f"{part}/bits/{name}/{clean[i].stem}", lambda i=i, make=make: bits(make(i)))
            for i in chosen
        ]
        for name, make in sounds.items()
    }


def bands(x: Sound) -> Sound:
    """Levels of thirds of an octave in dB, their mean taken off."""
    power = np.abs(np.fft.rfft(x)) ** 2
    frequencies = np.fft.rfftfreq(len(x), 1 / RATE)
    edges = 100 * 2 ** (np.arange(20) / 3)
    found = [
        power[(frequencies >= low) & (frequencies < high)].sum() for low, high in pairwise(edges)
    ]
    levels = 10 * np.log10(np.array(found) + 1e-12)
    return levels - levels.mean()


def facts(x: Sound) -> dict[str, Any]:
    """Of one sound."""
    frames = x[: len(x) // 320 * 320].reshape(-1, 320)
    levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    (overall,) = (m for m in MEASURES if m.name == "DNSMOS-OVRL")
    return {
        "level": float(10 * np.log10(np.mean(x**2) + 1e-12)),
        "pauses": float(np.mean(levels < levels.max() - 30)),
        "dnsmos": float(overall(None, x.astype(np.float32), RATE)),
        "bands": bands(x).tolist(),
    }


def drawn(
    corpus: Path, part: str, count: int, prior: Prior, journal: Journal
) -> dict[str, list[dict[str, Any]]]:
    """Facts of what is drawn, and of clean speech and white noise."""
    files = recordings(corpus / part / "clean")
    files = files[:: len(files) // count][:count]
    rng = np.random.default_rng(1)
    ways = {"ode2, 50 steps": ("ode2", 50), "sde2, 50 steps": ("sde2", 50)}
    made = {
        "clean speech": [
            journal.get(f"{part}/facts/clean/{file.stem}", lambda file=file: facts(crop(file, 3.0)))
            for file in files
        ],
        "white noise": [
            journal.get(f"facts/white/{i}", lambda: facts(0.1 * rng.standard_normal(3 * RATE)))
            for i in range(count)
        ],
    }
    for name, (solver, steps) in ways.items():

        def draw(i: int, solver: str = solver, steps: int = steps) -> dict[str, Any]:
            audio = prior.generate(3.0, seed=i, solver=solver, steps=steps)[0]
            return facts(audio.double().numpy())

        made[f"drawn, {name}"] = [
            journal.get(f"facts/{name}/{i}", lambda i=i, draw=draw: draw(i)) for i in range(count)
        ]
    return made


def gains(table: Mapping[str, Any]) -> tuple[list[list[str]], list[list[str]], dict[str, Any]]:
    """Lines of what is added, of what is made worse, and the numbers."""
    cells = []
    for kind, systems in table.items():
        before = np.array(systems[SPOILT])
        for system, rows in systems.items():
            if system != SPOILT:
                after = np.array(rows)
                pairs = zip(after.T[:-1], before.T[:-1], strict=True)
                cells.append((kind, system, [paired(a, b) for a, b in pairs]))
    together = iter(corrected([d for *_, row in cells for d in row]))
    lines: list[list[str]] = []
    worse, plain, last = [], {}, None
    for kind, system, row in cells:
        if kind != last:
            means = np.array(table[kind][SPOILT]).mean(axis=0)
            cut = [f"{v:.{m.digits}f}" for m, v in zip(SCORES, means, strict=False)]
            lines.append([kind, SPOILT, *cut, ""])
            plain[f"{kind}: {SPOILT}"] = dict(
                zip((m.name for m in SCORES), means.tolist(), strict=False)
            )
            last = kind
        less = [next(together) for _ in row]
        seconds = float(np.mean([one[-1] for one in table[kind][system]]))
        told = [numbers.change(m, d) for m, d in zip(SCORES, less, strict=True)]
        lines.append(["", system, *told, f"{seconds:.1f}"])
        plain[f"{kind}: {system}"] = {
            m.name: vars(d) for m, d in zip(SCORES, less, strict=True)
        } | {"seconds": seconds}
        if system == PRIOR:
            change = np.array(table[kind][system]) - np.array(table[kind][SPOILT])
            sign = [1 if m.higher_is_better else -1 for m in SCORES]
            counts = [
                int((s * change[:, j] < -m.noise).sum())
                for j, (m, s) in enumerate(zip(SCORES, sign, strict=True))
            ]
            worse.append([kind, *map(str, counts)])
            plain[f"{kind}: {system}"]["worse"] = counts
    return lines, worse, plain


def verdict(table: Mapping[str, Any]) -> list[list[str]]:
    """In which measures the prior is better, worse, and neither for sure, kind by kind."""
    lines = []
    for kind, systems in table.items():
        own = np.array(systems[PRIOR])
        for other in (SPOILT, "default", "restore"):
            sides: dict[str, list[str]] = {"better": [], "worse": [], "neither": []}
            for j, measure in enumerate(SCORES):
                d = paired(own[:, j], np.array(systems[other])[:, j])
                up = d.low > 0 if measure.higher_is_better else d.high < 0
                down = d.high < 0 if measure.higher_is_better else d.low > 0
                sides["better" if up else "worse" if down else "neither"].append(measure.name)
            head = kind if other == SPOILT else ""
            lines.append([head, other, *(", ".join(side) or "-" for side in sides.values())])
    return lines


def main() -> None:
    parser = arguments(__doc__, "PART/clean and PART/noisy")
    parser.add_argument("--part", default="test", help="of the corpus (default: test)")
    parser.add_argument("--count", type=int, default=8, help="crops a kind (default: 8)")
    parser.add_argument("--sounds", type=int, default=5, help="of likelihoods and draws")
    parser.add_argument("--model", default="prior")
    parser.add_argument("--work", type=Path, help="where what was found stays, to go on from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", RecordingWarning)
    prior = Prior.load(options.model)
    weights = sha256((locate(options.model) / "model.safetensors").read_bytes()).hexdigest()[:12]
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        journal = Journal(work / "priors.jsonl", weights)
        of = options.corpus, options.part
        table = restored(*of, options.count, prior, journal)
        found = likelihoods(*of, options.sounds, prior, journal)
        made = drawn(*of, options.sounds, prior, journal)
    lines, worse, plain = gains(table)
    clean = np.mean([one["bands"] for one in made["clean speech"]], axis=0)
    bit_rows, sample_rows = [], []
    for name, values in found.items():
        own = interval(values)
        plain[f"bits: {name}"] = vars(own)
        bit_rows.append([name, f"{own.mean:.3f} ± {own.half_width:.3f}"])
    for name, facts_ in made.items():
        spectrum = np.mean([one["bands"] for one in facts_], axis=0) - clean
        row = {
            key: float(np.mean([one[key] for one in facts_]))
            for key in ("level", "pauses", "dnsmos")
        }
        row["spectrum"] = float(np.sqrt(np.mean(spectrum**2)))
        plain[f"sounds: {name}"] = row
        cells = [f"{row['level']:.1f}", f"{row['spectrum']:.1f}", f"{row['pauses']:.0%}"]
        sample_rows.append([name, *cells, f"{row['dnsmos']:.2f}"])
    about = paragraph(__doc__, 1).format(
        seconds=SECONDS, steps=RESTORING.grid.steps, rounds=sum(own.steps for own in ROUNDS)
    )
    page = PAGE.format(
        command=f"python benchmarks/priors.py CORPUS --part {options.part} --count {options.count} "
        f"--sounds {options.sounds}",
        weights=weights,
        about=about,
        count=options.count,
        part=options.part,
        gains=markdown_table(["kind", "system", *map(numbers.heading, SCORES), "seconds"], lines),
        verdict=markdown_table(
            ["kind", "prior beside", "better", "worse", "neither for sure"], verdict(table)
        ),
        worse=markdown_table(["kind", *map(numbers.heading, SCORES)], worse),
        nfe=4 * STEPS,
        end=END,
        heard=HEARD,
        peak=PEAK,
        bits=markdown_table(["sound", "bits per dimension"], bit_rows),
        drawn=options.sounds,
        samples=markdown_table(
            ["sounds", "level [dBFS]", "spectrum [dB]", "pauses", "DNSMOS-OVRL"], sample_rows
        ),
    )
    write(options.output, "priors", page, {"weights": weights, **plain})


if __name__ == "__main__":
    main()
