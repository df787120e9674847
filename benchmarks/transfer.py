"""What a transfer changes and what it keeps: python benchmarks/transfer.py CORPUS

Takes the loudest {seconds:g} s of {files} recordings of CORPUS/PART/clean, evenly spaced, and makes
telephone speech of them, and clean speech of telephone speech: by the flows of two priors
(`sgmse.transfer`), from several starts, and by what is there without a model. Writes
benchmarks/results/transfer.md and .json.

The telephone that is compared with is the band of 300 to 3400 Hz (Butterworth, 6 and 12 poles) and
mu-law at 8 kHz. "Below" and "above" are the energy under 300 Hz and over 3400 Hz against that
between them; "mel" is the distance to a recording of the other domain, the root of the mean squared
difference of 40 mels in dB, none lower than 60 dB below the loudest. All else is of what the two
domains share. "Pitch" is the share of the source's voiced frames in which the result repeats itself
after the source's period, within a semitone; "MFCC" the distance of the smooth spectra between 400
and 3000 Hz (cosine transform of the mels there, half of its coefficients, without the level) to the
source; PESQ (narrow-band) and ESTOI are against the source, both through the band first. For speech
made of telephone speech, the recording before the telephone is the one to come to: PESQ (wide-band)
and ESTOI are against it, without a band.

"Gaussians" is the same transfer with priors that need no network: each frequency is CN(0, v), with
v the mean square of {fitted} recordings of CORPUS/valid, clean and through the telephone. Their
flows are known, and make an equaliser.

There and back is the transfer and its inverse, from the whole process: "spectrogram" hands over
what the models hear, "audio" the samples in between, as two calls of `sgmse transfer` do. The error
is the largest difference over the peak of the source, and its root mean square over that of the
source; of {long} recordings the largest.
"""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor
from writing import arguments, paragraph, write

from sgmse.audio import read
from sgmse.checkpoints import load_model
from sgmse.data.degradations import Codec, HighPass, LowPass
from sgmse.estimates import Estimate
from sgmse.features import Features
from sgmse.inference import transfer
from sgmse.metrics import estoi, pesq_nb, pesq_wb
from sgmse.prior import PEAK
from sgmse.report.text import markdown_table
from sgmse.sdes import SDE, expand
from sgmse.transfer import Transfer, load_transfer

RATE = 16000
Audio = NDArray[np.float32]
BAND = (300.0, 3400.0)
STARTS = (0.998, 0.6)
MELS = Features(RATE, n_fft=512, hop=160, mels=40)
# Mels of the 40 whose centres lie between 400 and 3000 Hz.
CENTRES = 700 * (10 ** (torch.linspace(0, 2595 * log10(1 + 8000 / 700), 42)[1:-1] / 2595) - 1)
SHARED = (CENTRES > 400) & (CENTRES < 3000)
FLOOR = 1e-3  # of the loudest mel
FRAME = round(0.03 * RATE)
SEMITONE = 2 ** (1 / 12)
VOICED = 0.6  # of the correlation at the lag of the pitch
SECONDS, FILES, FITTED, LONG = 2.5, 6, 20, 1
BACK = (50, 150)  # steps of there and back
PAGE = """# Transfer between clean and telephone speech

Made by `{command}`, {cpu:.0f} s of a core. The priors are {priors}.

{about}

{measures}

{gaussians}

## Clean speech to telephone speech

{there}

## Telephone speech to clean speech

{back}

## There and back

{rule}

{round_trip}
"""


def banded(audio: Audio) -> Audio:
    """Through the band of a telephone."""
    rng = np.random.default_rng(0)
    high = HighPass(1.0, cutoff=(BAND[0], BAND[0]), order=(6, 6))
    low = LowPass(1.0, cutoff=(BAND[1], BAND[1]), order=(12, 12))
    return low(high(audio, rng, RATE), rng, RATE)


def telephone(audio: Audio) -> Audio:
    """Through a telephone."""
    codec = Codec(1.0, coders=("mulaw",), level=(-3.0, -3.0))
    return codec(banded(audio), np.random.default_rng(0), RATE)


def crops(folder: Path, files: int, seconds: float) -> list[Audio]:
    """The loudest part of recordings, evenly spaced, at a peak of 1."""
    found = sorted(folder.iterdir())
    chosen = [found[i * len(found) // files] for i in range(min(files, len(found)))]
    parts = []
    for path in chosen:
        audio, about = read(path)
        assert about.sample_rate == RATE, f"{path}: {about.sample_rate} Hz"
        energy = np.convolve(audio[0] ** 2, np.ones(length := round(seconds * RATE)), "valid")
        start = int(energy.argmax()) if len(audio[0]) > length else 0
        part = audio[0, start : start + length]
        parts.append(part / np.abs(part).max())
    return parts


def shares(audio: Audio) -> tuple[float, float]:
    """Energy below and above the band against that in it, in dB."""
    power = np.abs(np.fft.rfft(audio.astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    low, high = hertz < BAND[0], hertz > BAND[1]
    between = power[~low & ~high].sum()
    below, above = (10 * np.log10(power[part].sum() / between + 1e-10) for part in (low, high))
    return float(below), float(above)


def mel_distance(reference: Audio, estimate: Audio) -> float:
    """In dB; the estimate at the level of the reference."""
    one, other = (MELS.mel(torch.from_numpy(x).double()) for x in (reference, estimate))
    other = other * (one.square().sum() / other.square().sum()).sqrt()
    floor = FLOOR * one.max()
    difference = 20 * (one.clamp(min=floor) / other.clamp(min=floor)).log10()
    return float(difference.square().mean().sqrt())


def mfcc_distance(reference: Audio, estimate: Audio) -> float:
    """In dB, over the frames in which the reference is within 40 dB of its loudest one."""
    one, other = (MELS.mel(torch.from_numpy(x).double())[SHARED] for x in (reference, estimate))
    energy = one.square().sum(dim=0)
    floor = FLOOR * one.max()
    loud = energy > 1e-4 * energy.max()
    other = other * (energy.sum() / other.square().sum()).sqrt()
    logs = (20 * x[:, loud].clamp(min=floor).log10().numpy() for x in (one, other))
    difference = np.subtract(*(dct(x, axis=0, norm="ortho") for x in logs))
    shape = difference[1 : len(difference) // 2]
    # Orthonormal coefficients: their squares sum to those of the mels.
    return float(np.sqrt((shape**2).sum(axis=0) / len(difference)).mean())


def correlation(audio: Audio, start: int, lag: int) -> float:
    """Of a frame with that so many samples later; 0 beyond the end."""
    one, other = audio[start : start + FRAME], audio[start + lag : start + lag + FRAME]
    if len(other) < FRAME:
        return 0.0
    return float(one @ other / np.sqrt((one @ one) * (other @ other) + 1e-12))


def pitch_kept(reference: Audio, estimate: Audio) -> float:
    """The share of voiced frames whose period is kept within a semitone, in percent."""
    pitch = MELS.pitch(torch.from_numpy(reference)[None])[0]
    starts = [i * MELS.hop for i in range(len(pitch))]
    energies = [float(np.square(reference[start : start + FRAME]).sum()) for start in starts]
    kept = []
    for start, energy, hertz in zip(starts, energies, pitch.tolist(), strict=True):
        voiced = correlation(reference, start, round(RATE / hertz)) > VOICED
        if voiced and energy > 1e-3 * max(energies):
            lags = range(round(RATE / hertz / SEMITONE), round(RATE / hertz * SEMITONE) + 1)
            kept.append(max(correlation(estimate, start, lag) for lag in lags) > VOICED)
    return 100 * float(np.mean(kept))


def there(source: Audio, result: Audio) -> dict[str, float]:
    """Of what is to be telephone speech."""
    below, above = shares(result)
    facts = {"below": below, "above": above, "mel": mel_distance(telephone(source), result)}
    facts |= {"pitch": pitch_kept(source, result), "mfcc": mfcc_distance(source, result)}
    one, other = banded(source), banded(result)
    return facts | {"PESQ-NB": pesq_nb(one, other, RATE), "estoi": estoi(one, other, RATE)}


def back(clean: Audio, result: Audio) -> dict[str, float]:
    """Of what is to be the clean recording."""
    below, above = shares(result)
    facts = {"below": below, "above": above, "mel": mel_distance(clean, result)}
    facts |= {"pitch": pitch_kept(clean, result), "mfcc": mfcc_distance(clean, result)}
    return facts | {"PESQ-WB": pesq_wb(clean, result, RATE), "estoi": estoi(clean, result, RATE)}


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The exact prior of spectrograms with a variance for each frequency, (frequency, 1)."""

    sde: SDE
    variance: Tensor
    latest: float = 1.0

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (batch, 1, frequency, frame)."""
        a, _, sigma = (expand(scale, x) for scale in self.sde.scales(t))
        rest = x / (a**2 * self.variance + sigma**2)
        return Estimate(a * self.variance * rest, sigma * rest)


def gaussians(move: Transfer, parts: list[Audio]) -> Callable[[bool], Callable[[Audio], Audio]]:
    """By priors of one variance a frequency, of clean parts and of these through a telephone."""

    def prior(sounds: list[Audio]) -> Spectrum:
        seen = [move.spectrogram(PEAK * torch.from_numpy(sound)[None])[0, 0] for sound in sounds]
        return Spectrum(move.source.sde, torch.cat(seen, 1).abs().square().mean(1, keepdim=True))

    pair = prior(parts), prior([one / np.abs(one).max() for one in map(telephone, parts)])

    def by(reverse: bool) -> Callable[[Audio], Audio]:
        one, other = reversed(pair) if reverse else pair

        def run(audio: Audio) -> Audio:
            x = move.spectrogram(PEAK * torch.from_numpy(audio)[None])
            made = transfer(one, other, x, move.solver, move.grid).x
            return move.front.inverse(made, len(audio))[0].numpy()

        return run

    return by


def table(found: Mapping[str, list[dict[str, float]]]) -> tuple[str, dict[str, dict[str, float]]]:
    """Means over the recordings, as text and as numbers."""
    means = {
        name: {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        for name, rows in found.items()
    }
    pesq = next(key for key in next(iter(means.values())) if key.startswith("PESQ"))
    heads = {
        "below": "below 300 Hz [dB]",
        "above": "above 3400 Hz [dB]",
        "mel": "mel [dB]",
        "pitch": "pitch kept [%]",
        "mfcc": "MFCC [dB]",
        pesq: pesq,
        "estoi": "ESTOI",
    }
    digits = {"below": 1, "above": 1, "mel": 1, "pitch": 0, "mfcc": 1, pesq: 2, "estoi": 2}
    lines = [
        [name, *(f"{row[key]:.{digits[key]}f}" for key in heads)] for name, row in means.items()
    ]
    return markdown_table(["", *heads.values()], lines), means


def there_and_back(move: Transfer, parts: list[Audio], steps: int) -> dict[str, float]:
    """Errors, the largest of all recordings; through spectrograms, and through audio."""
    finer = replace(move, grid=replace(move.grid, steps=steps))
    rows: dict[str, list[float]] = {"spectrogram": [], "spectrogram, rms": []}
    rows |= {"audio": [], "audio, rms": []}
    for part in parts:
        audio = PEAK * torch.from_numpy(part)[None]
        count = audio.shape[1]
        with torch.inference_mode():
            y = finer.transferred(finer.spectrogram(audio), count).x
            direct, through = (
                move.front.inverse(finer.reversed.transferred(x, count).x, count)
                for x in (y, finer.spectrogram(move.front.inverse(y, count)))
            )
        for name, result in (("spectrogram", direct), ("audio", through)):
            off = result - audio
            rows[name].append(float(off.abs().max() / audio.abs().max()))
            rows[f"{name}, rms"].append(float(off.norm() / audio.norm()))
    return {name: max(values) for name, values in rows.items()}


def main() -> None:
    parser = arguments(__doc__, "PART/clean")
    parser.add_argument("--part", default="test")
    parser.add_argument("--source", default="prior", help="the prior of clean speech")
    parser.add_argument("--target", default="runs/telephone/best", help="that of telephone speech")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--starts", type=float, nargs="+", default=[*STARTS])
    parser.add_argument(
        "--consistent", action="store_true", help="with consistent estimates, too (`Consistent`)"
    )
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--name", default="transfer", help="of the files that it writes")
    parser.add_argument(
        "--back", type=int, nargs="*", default=[*BACK], help="steps, there and back"
    )
    options = parser.parse_args()
    begun = process_time()
    parts = crops(options.corpus / options.part / "clean", options.files, options.seconds)
    move = load_transfer(options.source, options.target, device="cpu", steps=options.steps)

    def by(start: float, reverse: bool, consistent: bool) -> Callable[[Audio], Audio]:
        grid = replace(move.grid, start=start)
        chosen = replace(move, grid=grid, consistent=consistent)
        chosen = chosen.reversed if reverse else chosen
        return lambda audio: chosen(audio, RATE)

    def transfers(reverse: bool) -> dict[str, Callable[[Audio], Audio]]:
        kinds = {"": False} | ({", consistent": True} if options.consistent else {})
        return {
            f"transfer, start {start:g}{kind}": by(start, reverse, consistent)
            for start in options.starts
            for kind, consistent in kinds.items()
        }

    systems: dict[str, Callable[[Audio], Audio]] = {
        "nothing": lambda audio: audio,
        "band-pass": banded,
        "telephone itself": telephone,
    }
    exact = gaussians(move, crops(options.corpus / "valid" / "clean", FITTED, options.seconds))
    systems["Gaussians"] = exact(False)
    systems |= transfers(False)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for name, system in systems.items():
        for part in parts:
            rows[name].append(there(part, system(part)))
        print(name, file=sys.stderr)
    systems = {"nothing": lambda audio: audio, "Gaussians": exact(True)}
    systems |= transfers(True)
    again: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for name, system in systems.items():
        for part in parts:
            again[name].append(back(part, system(telephone(part))))
        print(name, file=sys.stderr)
    trips = {steps: there_and_back(move, parts[:LONG], steps) for steps in options.back}
    (first, means), (second, others) = table(rows), table(again)
    lines = [
        [f"{steps}", *(f"{value:.1e}" for value in row.values())] for steps, row in trips.items()
    ]
    heads = ["steps", "spectrogram, peak", "rms", "audio, peak", "rms"]
    numbers: dict[str, Any] = {"there": means, "back": others, "there and back": trips}
    numbers["trained"] = {name: _trained(getattr(options, name)) for name in ("source", "target")}
    page = PAGE.format(
        command=shlex.join(["python", "benchmarks/transfer.py", *sys.argv[1:]]),
        cpu=process_time() - begun,
        priors=" and ".join(
            f"`{Path(getattr(options, name)).name}` ({numbers['trained'][name]})"
            for name in ("source", "target")
        ),
        about=paragraph(__doc__, 1).format(seconds=options.seconds, files=len(parts)),
        measures=paragraph(__doc__, 2),
        there=first,
        back=second,
        gaussians=paragraph(__doc__, 3).format(fitted=FITTED),
        rule=paragraph(__doc__, 4).format(long=LONG),
        round_trip=markdown_table(heads, lines),
    )
    write(options.output, options.name, page, numbers)


def _trained(name: str) -> str:
    """How long a model was trained."""
    facts = load_model(name).training
    return f"{facts.get('steps', '?')} steps, {facts.get('hours', '?')} h"


if __name__ == "__main__":
    main()
