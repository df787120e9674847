"""Recordings to hear before and after, failures among them: python benchmarks/gallery.py UNPACKED

    apt-get download pocketsphinx-testdata sonic-pi-samples
    for package in *.deb; do dpkg-deb -x "$package" unpacked; done
    python benchmarks/gallery.py unpacked

Mixes read sentences with noises of those packages and with generated harm, enhances them with the
default model, and writes docs/gallery: a page, a picture of each, and clips in Opus. Folders of
your own do as well: python benchmarks/gallery.py --speech FOLDER --noise FOLDER -o OUT mixes each
recording of the one with one of the other, at SNRs in turn. --drawn writes anew what the model
`prior` draws from noise, and leaves the rest as it is.
"""

import argparse
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import soxr
from PIL import Image
from scipy.signal import butter, fftconvolve, sosfilt

import sgmse
from sgmse._files import write_whole
from sgmse.audio import Info, find, read, write
from sgmse.checkpoints import locate
from sgmse.data.degradations import active_power
from sgmse.metrics import estoi, pesq_wb
from sgmse.plot import before_after

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
SPEECH, NOISE = "usr/share/pocketsphinx/test/data", "usr/share/sonic-pi/samples"
BOOK = "librivox/sense_and_sensibility_01_austen_64kb-0{}.wav"
PEAK = 0.7
#: ESTOI and PESQ that have fallen by more than this are said to be made worse.
WORSE = 0.01, 0.05

Sound = np.ndarray
Change = Callable[[Sound, np.random.Generator], Sound]


@dataclass(frozen=True)
class Pair:
    """What is mixed: a sentence, what spoils it, and how loud that is in dB under the speech."""

    title: str
    speech: str
    noise: str | Change | None = None
    snr: float = 0.0
    then: Change | None = None


def white(speech: Sound, rng: np.random.Generator) -> Sound:
    """Hiss."""
    return rng.standard_normal(len(speech))


def hum(speech: Sound, rng: np.random.Generator) -> Sound:
    """Mains of 50 Hz with harmonics."""
    t = np.arange(len(speech)) / RATE
    return sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 16))


def room(speech: Sound, rng: np.random.Generator) -> Sound:
    """A hall that rings for 1.2 s, and no direct sound that is much louder."""
    t = np.arange(int(1.2 * RATE)) / RATE
    response = rng.standard_normal(len(t)) * 10 ** (-3 * t / 1.2)
    response[0] = 4
    return fftconvolve(speech, response)[: len(speech)]


def overdriven(speech: Sound, rng: np.random.Generator) -> Sound:
    """Cut off at a tenth of the peak."""
    limit = 0.1 * np.abs(speech).max()
    return speech.clip(-limit, limit)


def telephone(speech: Sound, rng: np.random.Generator) -> Sound:
    """300 to 3400 Hz."""
    return sosfilt(butter(6, (300, 3400), "bandpass", fs=RATE, output="sos"), speech)


PAIRS = (
    Pair("White noise, 10 dB", BOOK.format(880), white, 10),
    Pair("White noise, 0 dB", BOOK.format(890), white, 0),
    Pair("A 3D printer, 5 dB", BOOK.format(870), "loop_3d_printer", 5),
    Pair("A 3D printer, -5 dB", BOOK.format(920), "loop_3d_printer", -5),
    Pair("Steam of a sauna, 5 dB", BOOK.format(930), "ambi_sauna", 5),
    Pair("Crackle of a record, 5 dB", "numbers.raw", "vinyl_hiss", 5),
    Pair("Hum of the mains, -5 dB", BOOK.format(890), hum, -5),
    Pair("A soft buzz, 0 dB", "something.raw", "ambi_soft_buzz", 0),
    Pair("Crows, 5 dB", BOOK.format(920), "misc_crow", 5),
    Pair("Tabla, 5 dB", BOOK.format(870), "loop_tabla", 5),
    Pair("Drums, 0 dB", BOOK.format(930), "loop_amen_full", 0),
    Pair("A telephone, with a printer at 10 dB", "goforward.raw", "loop_3d_printer", 10, telephone),
    Pair("The same reader twice more, 5 dB", BOOK.format(870), "babble", 5),
    Pair("A hall, with white noise at 20 dB", BOOK.format(890), white, 20, room),
    Pair("Overdriven, with white noise at 20 dB", BOOK.format(920), white, 20, overdriven),
    Pair("A 3D printer, -15 dB", BOOK.format(880), "loop_3d_printer", -15),
    Pair("Nothing: clean speech", BOOK.format(930)),
)


def sound(path: Path) -> Sound:
    """A file as one channel at 16 kHz; raw ones are of 16 bits."""
    if path.suffix == ".raw":
        return np.fromfile(path, "<i2") / 32768.0
    audio, about = read(path)
    return soxr.resample(audio.mean(axis=0, dtype=np.float64), about.sample_rate, RATE, "VHQ")


def mixture(pair: Pair, folder: Path, rng: np.random.Generator) -> tuple[Sound, Sound]:
    """The clean and the noisy recording, the louder with a peak of 0.7."""
    clean = sound(folder / SPEECH / pair.speech)
    noisy = clean if pair.then is None or pair.then is telephone else pair.then(clean, rng)
    noise = np.zeros_like(clean)
    if pair.noise == "babble":
        others = [sound(folder / SPEECH / BOOK.format(number)) for number in (890, 920)]
        noise = sum(np.resize(other, len(clean)) for other in others)
    elif isinstance(pair.noise, str):
        noise = np.resize(sound(folder / NOISE / f"{pair.noise}.flac"), len(clean))
    elif pair.noise is not None:
        noise = pair.noise(clean, rng)
    return clean, mixed(noisy, noise, pair.snr, telephone if pair.then is telephone else None)


def mixed(speech: Sound, noise: Sound, snr: float, channel: Change | None = None) -> Sound:
    """Both, at a ratio in dB of active speech to noise."""
    power = float(np.mean(noise**2))
    level = (active_power(speech, RATE) / power * 10 ** (-snr / 10)) ** 0.5 if power else 0.0
    both = speech + level * noise
    return both if channel is None else channel(both, np.random.default_rng(0))


def of_folders(speech: Path, noise: Path) -> Iterator[tuple[str, Sound, Sound]]:
    """A mixture of each recording of one folder with one of the other, at several SNRs in turn."""
    noises = cycle([(path.stem, sound(path)) for path in find([noise])])
    for path, snr in zip(find([speech]), cycle((15, 10, 5, 0, -5)), strict=False):
        name, other = next(noises)
        clean = sound(path)
        yield (
            f"{path.stem}, {name}, {snr} dB",
            clean,
            mixed(clean, np.resize(other, len(clean)), snr),
        )


def of_packages(folder: Path) -> Iterator[tuple[str, Sound, Sound]]:
    """The mixtures of PAIRS."""
    for number, pair in enumerate(PAIRS):
        yield pair.title, *mixture(pair, folder, np.random.default_rng(number))


def picture(noisy: Sound, result: Sound) -> bytes:
    """Both spectrograms and waveforms, small."""
    figure = before_after(noisy, result, RATE, names=("recording", "result"))
    figure.set_size_inches(9, 5.4)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80)
    image = Image.open(content).convert("RGB")
    small = io.BytesIO()
    image.save(small, "webp", quality=60, method=6)
    return small.getvalue()


def verdict(before: tuple[float, float], after: tuple[float, float]) -> str:
    """What went wrong, by the scores."""
    fallen = [
        f"{name} {own:.2f} to {now:.2f}"
        for name, own, now, worst in zip(("ESTOI", "PESQ"), before, after, WORSE, strict=True)
        if now < own - worst
    ]
    if fallen:
        return f" **A failure: made worse, {', '.join(fallen)}.**"
    if after[0] < 0.5:
        return f" **A failure: most of the speech is not to be understood, ESTOI {after[0]:.2f}.**"
    return ""


def entry(number: int, title: str, clean: Sound, noisy: Sound, target: Path) -> str:
    """Write the clips and the picture of a pair; return its part of the page."""
    gain = PEAK / max(np.abs(clean).max(), np.abs(noisy).max())
    clean, noisy = (gain * one.astype(np.float32) for one in (clean, noisy))
    result = sgmse.enhance(noisy, RATE)
    name = f"{number:02}"
    for kind, audio in (("recording", noisy), ("result", result), ("clean", clean)):
        path = target / f"{name}-{kind}.opus"
        path.unlink(missing_ok=True)
        write(path, audio[None], Info(RATE, 1, len(audio), "OGG", "OPUS", bitrate=32))
    write_whole(target / f"{name}.webp", picture(noisy, result))
    scores = [(estoi(clean, one, RATE), pesq_wb(clean, one, RATE)) for one in (noisy, result)]
    (e0, p0), (e1, p1) = scores
    players = "\n".join(
        f'<label>{kind} <audio controls preload="none" src="{name}-{kind}.opus" '
        f'aria-label="{title}: {kind}"></audio></label>'
        for kind in ("recording", "result", "clean")
    )
    files = ", ".join(f"[{kind}]({name}-{kind}.opus)" for kind in ("recording", "result", "clean"))
    return (
        f"## {title}\n\nPESQ {p0:.2f} → {p1:.2f}, ESTOI {e0:.2f} → {e1:.2f}."
        f"{verdict(*scores)} Files: {files}.\n\n"
        f'<div class="players">\n{players}\n</div>\n\n![{title}: before and after]({name}.webp)\n'
    )


DRAWN = """## Drawn from noise

What the [model prior](../../sgmse/pretrained/prior/README.md) draws from noise alone, the first
seeds as they come, with the weights `{weights}`: it sounds like speech and has no words.
`sgmse generate voice.wav --seconds {seconds:g} --seed 0`, and so on.

"""
SEEDS, SECONDS = range(3), 4.0


def drawn(target: Path) -> str:
    """Write what the prior draws; return its part of the page."""
    prior = sgmse.Prior.load()
    parts = [DRAWN.format(weights=weights_of("prior"), seconds=SECONDS)]
    players, files = [], []
    for seed in SEEDS:
        audio = prior.generate(SECONDS, seed=seed).numpy()
        audio *= min(1.0, 0.99 / np.abs(audio).max())
        name, title = f"drawn-{seed}.opus", f"seed {seed}"
        (target / name).unlink(missing_ok=True)
        write(target / name, audio, Info(RATE, 1, audio.shape[1], "OGG", "OPUS", bitrate=32))
        files.append(f"[{title}]({name})")
        players.append(
            f'<label>{title} <audio controls preload="none" src="{name}" '
            f'aria-label="Drawn from noise: {title}"></audio></label>'
        )
    lines = "\n".join(players)
    parts.append(f'Files: {", ".join(files)}.\n\n<div class="players">\n{lines}\n</div>\n')
    return "".join(parts)


def weights_of(model: str) -> str:
    """The beginning of the checksum of a model's weights."""
    content = (locate(model) / "model.safetensors").read_bytes()
    return hashlib.sha256(content).hexdigest()[:12]


HEAD = """# Gallery

Recordings before and after the default model, from easy to impossible; where it made one worse, or
where little is left to understand, the page says so by the scores. Made by
`python benchmarks/gallery.py UNPACKED`, which lists the pairs, with the weights `{weights}`.
The clips are in Opus of 32 kb/s (what is scored is not). SNRs are over active speech. Players are
on the site of the documentation; elsewhere the links lead to the clips.

The other failures, by kind and in numbers: [kinds of harm](../../benchmarks/results/kinds.md),
[limits](../limits.md).

"""
LICENCES = """
## Whose sounds these are

**Speech**: Jane Austen, *Sense and Sensibility*, read by a LibriVox volunteer, in the public
domain; and three utterances of the test data of PocketSphinx ("numbers", "something", "go
forward"), BSD-2-Clause, (c) Carnegie Mellon University and Alpha Cephei Inc.
([text of the licence](../../tests/data/LICENCE.md)). Both from the Debian package
`pocketsphinx-testdata` 0.8+5prealpha+1-15.

**Noises**: files of the Debian package `sonic-pi-samples` 3.2.2~repack-8 (`loop_3d_printer`,
`ambi_sauna`, `vinyl_hiss`, `ambi_soft_buzz`, `misc_crow`, `loop_tabla`, `loop_amen_full`), of
Freesound, CC0 1.0. White noise, hum, the hall, the overdrive and the telephone are generated.
Results are by the default model ([card](../../sgmse/pretrained/default/README.md)), what is drawn
from noise is by the model prior.
"""


def main() -> None:
    """Write the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("unpacked", type=Path, nargs="?", help="of the Debian packages")
    parser.add_argument("--speech", type=Path, help="a folder of clean speech of your own")
    parser.add_argument("--noise", type=Path, help="a folder of noise of your own")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "gallery")
    parser.add_argument("--drawn", action="store_true", help="only what is drawn from noise")
    options = parser.parse_args()
    if options.drawn:
        page = options.output / "README.md"
        before, _, rest = page.read_text("utf-8").partition(LICENCES.strip().split("\n")[0])
        before = before.partition(DRAWN.split("\n")[0])[0].rstrip()
        text = f"{before}\n\n{drawn(options.output)}"
        write_whole(page, (text + LICENCES if rest else text).encode())
        return
    if options.unpacked is None and None in (options.speech, options.noise):
        parser.error("give the unpacked packages, or --speech and --noise")
    if options.unpacked is None:
        pairs, licences = of_folders(options.speech, options.noise), ""
    else:
        pairs, licences = of_packages(options.unpacked), LICENCES
    options.output.mkdir(parents=True, exist_ok=True)
    parts = [HEAD.format(weights=weights_of("default"))]
    for number, (title, clean, noisy) in enumerate(pairs, 1):
        parts.append(entry(number, title, clean, noisy, options.output) + "\n")
        print(title)
    parts.append(drawn(options.output))
    write_whole(options.output / "README.md", ("".join(parts).rstrip() + "\n" + licences).encode())


if __name__ == "__main__":
    main()
