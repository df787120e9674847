"""Does a bridge in a latent pay? python benchmarks/latent.py DATA CORPUS

Trains, for as many minutes of one core each, a variational autoencoder of spectrograms (speech and
noisy speech), a bridge in its latent, one in the latent of the linear autoencoder (principal
components, which need no training), and one on the spectrograms. Latents have a quarter of the
numbers; network, encoder and decoder together take as long for a second of audio as the network on
spectrograms does. All bridges learn from the same pairs by the same loss of sounds, and end with
one evaluation. The minutes of the autoencoder come on top, in favour of its latent.

DATA holds train/clean and train/noise. Scored on CORPUS/valid are the noisy recordings, the
bridges, and what each autoencoder alone makes of the noisy recordings and of the clean ones: the
ceiling of any process in its latent. Writes benchmarks/results/latent.md and .json: scores, costs,
and the bound in bits per dimension of clean and noisy speech.
"""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from writing import arguments, paragraph, write

import sgmse
from sgmse import audio
from sgmse._files import whole
from sgmse.bench import Folder, Model, Noisy, NoisySet, Suite, run_suite
from sgmse.bench._results import Results
from sgmse.bench._systems import write_exact
from sgmse.checkpoints import Checkpoint, load, save
from sgmse.data.degradations import MicrophoneColour, NoiseGate, Speed
from sgmse.data.mixed_speech import MixedSpeech
from sgmse.data.pairs import evenly_spaced
from sgmse.data.training_pairs import PairDataset
from sgmse.enhancer import Enhancer
from sgmse.errors import RecordingWarning
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.inference import bound
from sgmse.inference._bound import log_normal
from sgmse.latent import Latent
from sgmse.model import ScoreModel
from sgmse.networks import Autoencoder, BandAutoencoder, LinearAutoencoder, SlimUNet
from sgmse.report import numbers
from sgmse.report.text import markdown_table
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Randn, Sampler, Uniform
from sgmse.training.averages import EMA
from sgmse.training.losses import Reconstruction, Truth
from sgmse.training.losses.resolutions import multi_resolution_loss
from sgmse.training.optimisation import Muon, Schedule
from sgmse.training.times import Times
from sgmse.transforms import Power, Spectrogram, Transform

RATE = 16000
SAMPLES = 32385  # 128 frames
BATCH = 2
SPECTROGRAM = Spectrogram(510, 255, Power(0.3, 0.3))
BRIDGE = SBVE(k=2.6, c=0.4)
SAMPLER = Sampler(Exponential(), Uniform(steps=1), shifts=1)
TIMES = Times(low=0.02, high=0.99, at_one=0.85)
#: Of the latent in the bridge: about as large as the spectrograms are.
FACTOR = 0.3
#: Of sounds, for both bridges; `complex` is of what each works on.
LOSS = Reconstruction(complex=30, si_sdr=8, level=8, perceptual=4, multi_resolution=3, magnitude=0)
OPTIMISER = Muon(lr=2e-3)
SCHEDULE = Schedule(warmup=20, decay=0.5, final=0.02)
AVERAGE = EMA(decay=0.99)
SAVED_EVERY = 60.0  # seconds
SEED = 0
#: The kinds of latent; the first is trained, the other computed.
LEARNED, LINEAR = "learned", "linear"
KINDS = (LEARNED, LINEAR)
#: Pairs whose frames tell the covariance for the linear one: 16 384 of 256 frequencies.
FITTED = 64
DIRECT = "bridge, spectrograms"
MEASURES = ("pesq-wb", "estoi", "si-sdr")
PAGE = """# A bridge in a latent, and one on spectrograms

Made by `python benchmarks/latent.py DATA CORPUS --minutes {minutes:.3g} \\
--files {count}{kinds}`.

{about}

{count} recordings, the mean with half a 95 % bootstrap interval; seconds of the processor for one
of audio, the least of three times:

{scores}

Less the bridge on spectrograms, recording by recording (Wilcoxon signed rank, corrected by Holm's
method over the table: * p < 0.05, ** p < 0.01, *** p < 0.001):

{changes}

What was trained (the weights of a bridge are without those of its autoencoder):

{trainings}

Bits per dimension of the compressed spectrogram, of recordings that were not trained on, with their
peaks at half of full scale. They are of densities: fewer are likelier, and there may be less than
none.

{bits}
"""


def mixtures(data: Path, cache: Path) -> PairDataset:
    """Pairs as those of the recipe `default`."""
    speech = MixedSpeech(
        clean=Path("train/clean"),
        noise=Path("train/noise"),
        samples=SAMPLES,
        snr=(-7, 20),
        peak=(-10, 0),
        clean_speed=Speed(0.5, (0.9, 1.1)),
        noise_speed=Speed(0.8, (0.7, 1.4)),
        more_noise=0.4,
        most_noises=2,
        noise_level=(-10, 10),
        clean_changes=(NoiseGate(1, (-25, -25), (1, 1)),),
        noise_changes=(MicrophoneColour(0.5, (-12, 12)),),
        kept=(MicrophoneColour(0.3),),
    )
    return speech.open(data, cache, RATE, SEED)


def draws(generator: torch.Generator) -> Randn:
    """The noise that a generator draws."""
    return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=generator)


class Learner(nn.Module, ABC):
    """What is trained: its weights, and its loss of a batch."""

    @abstractmethod
    def loss(
        self, clean: Tensor, noisy: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Scalars, of which "loss" is to fall, of audio (batch, samples)."""


class Coding(Learner):
    """The autoencoder: its bound, and how far what it decodes sounds from what was encoded.

    The bound alone leads to means, which are quieter than speech where it is like noise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.autoencoder = BandAutoencoder(SPECTROGRAM.frequencies, 4, channels=48, blocks=1)

    def loss(
        self, clean: Tensor, noisy: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Bits per dimension, and the distance of sounds."""
        sounds = torch.cat([clean, noisy])
        x = SPECTROGRAM.forward(sounds)[:, None]
        b = bound(self.autoencoder, x, randn=draws(generator))
        heard = SPECTROGRAM.inverse(b.decoded[:, 0], sounds.shape[-1])
        sound = multi_resolution_loss(heard, sounds).mean()
        per_dimension = b.bits.mean()
        return {"loss": per_dimension + sound, "bits": per_dimension, "sound": sound}


class Bridging(Learner):
    """A bridge on what a transform makes of audio."""

    def __init__(self, transform: Transform, network: SlimUNet) -> None:
        super().__init__()
        self.model = ScoreModel(network, BRIDGE, Data())
        self.transform = transform

    def loss(
        self, clean: Tensor, noisy: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        """`LOSS`, of an estimate at a time of each item."""
        with torch.no_grad():
            x0, y = (self.transform.forward(sound)[:, None] for sound in (clean, noisy))
        t = TIMES.draw(len(x0), generator)
        truth = Truth(x0, draws(generator)(x0), clean, self.transform, t, BRIDGE)
        with torch.autocast("cpu", torch.bfloat16):
            estimate = self.model(BRIDGE.sample(x0, y, t, truth.z), y, t)
        return LOSS(estimate, truth)


def bridge(kind: str | None) -> SlimUNet:
    """The network of a bridge, so that each takes as long for a second of audio, its coding too."""
    if kind is None:
        return SlimUNet((16, 32, 64), (1, 1, 1), dual_paths=3, hidden=64, taps=5)
    paths = 4 if kind == LEARNED else 6
    return SlimUNet((64, 96), (1, 1), dual_paths=paths, hidden=64, taps=5)


@dataclass
class Run:
    """A training that can stop and go on: its learner, and what it took."""

    name: str
    learner: Learner
    folder: Path
    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights = [w for w in self.learner.parameters() if w.requires_grad]
        self.optimiser = OPTIMISER.build(self.weights)
        self.average = AVERAGE.build(self.learner)
        self.file = self.folder / f"{self.name}.pt"
        if self.file.exists():
            self.restore()

    def restore(self) -> None:
        """Go back to what was saved."""
        state = torch.load(self.file, weights_only=True)
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]
        self.learner.load_state_dict(state["weights"])
        self.average.module.load_state_dict(state["average"])
        self.average.count(self.step)
        self.optimiser.load_state_dict(state["optimiser"])

    def save(self) -> None:
        """The file appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "weights": self.learner.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with whole(self.file) as part:
            torch.save(state, part)

    def train(self, pairs: PairDataset, minutes: float) -> Learner:
        """Until so many minutes of the processor are spent; the averaged learner."""
        given, saved = 60 * minutes, self.seconds
        while self.seconds < given:
            began = time.process_time()
            terms = self.update(pairs, self.seconds / given)
            self.seconds += time.process_time() - began
            if self.step % 25 == 0:
                self.curve.append({"step": self.step, **terms})
                means = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
                left = f"{self.seconds:.0f} of {given:.0f} s"
                print(f"{self.name}  step {self.step}  {left}  {means}", flush=True)
            if self.seconds - saved > SAVED_EVERY or self.seconds >= given:
                self.save()
                saved = self.seconds
        averaged = self.average.module.eval().requires_grad_(False)
        assert isinstance(averaged, Learner)
        return averaged

    def update(self, pairs: PairDataset, progress: float) -> dict[str, float]:
        """One step; what is random in it is a function of its number."""
        for group in self.optimiser.param_groups:
            group["lr"] = OPTIMISER.lr * SCHEDULE.factor(self.step, progress)
        batch = (pairs[self.step * BATCH + i] for i in range(BATCH))
        clean, noisy = map(torch.stack, zip(*batch, strict=True))
        generator = torch.Generator().manual_seed(SEED + self.step)
        terms = self.learner.loss(clean, noisy, generator)
        self.optimiser.zero_grad()
        terms["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.weights, 5.0)
        if norm.isfinite():
            self.optimiser.step()
            self.average.update_parameters(self.learner)
        self.step += 1
        return {name: float(value.detach()) for name, value in terms.items()}


class Trainings:
    """All of them, in a folder from which they go on.

    Args:
        work: the folder.
        pairs: what they learn from.
        minutes: of the processor, each.
    """

    def __init__(self, work: Path, pairs: PairDataset, minutes: float) -> None:
        self.work, self.pairs, self.minutes = work, pairs, minutes

    def autoencoder(self, kind: str) -> Autoencoder:
        """The learned one, trained, or the linear one, computed."""
        if kind == LINEAR:
            return self.linear()
        torch.manual_seed(SEED)
        made = Run("autoencoder", Coding(), self.work).train(self.pairs, self.minutes)
        assert isinstance(made, Coding)
        return made.autoencoder

    def linear(self) -> LinearAutoencoder:
        """Of the frames of clean and noisy speech."""
        made, file = LinearAutoencoder(256, 64), self.work / "components.pt"
        if not file.exists():
            sounds = [sound for i in range(FITTED) for sound in self.pairs[i]]
            spectra = SPECTROGRAM.forward(torch.stack(sounds))[:, None]
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole(file) as part:
                torch.save(LinearAutoencoder.fitted(spectra, 64).state_dict(), part)
        made.load_state_dict(torch.load(file, weights_only=True))
        return made

    def transform(self, kind: str | None) -> Transform:
        """What a bridge works on: a latent of that kind, or spectrograms if none."""
        return SPECTROGRAM if kind is None else Latent(SPECTROGRAM, self.autoencoder(kind), FACTOR)

    def bridge(self, kind: str | None) -> Bridging:
        """A bridge in that latent, or on spectrograms."""
        transform = self.transform(kind)
        torch.manual_seed(SEED)
        run = Run(kind or "spectrogram", Bridging(transform, bridge(kind)), self.work)
        made = run.train(self.pairs, self.minutes)
        assert isinstance(made, Bridging)
        return made

    def costs(self, kinds: Sequence[str]) -> dict[str, dict[str, float]]:
        """What each training took."""
        names = [*(["autoencoder"] if LEARNED in kinds else []), *kinds, "spectrogram"]
        found = {}
        for name in names:
            state = torch.load(self.work / f"{name}.pt", weights_only=True)
            weights = sum(value.numel() for value in state["weights"].values())
            found[name] = {"seconds": state["seconds"], "steps": state["step"], "weights": weights}
        return found


def saved(model: ScoreModel, transform: Transform, folder: Path) -> Path:
    """The folder of a model."""
    front = FrontEnd(transform, RATE)
    return save(Checkpoint(model.eval(), front, SAMPLER, licence="cc-by-sa-4.0"), folder)


def systems_of(trainings: Trainings, kinds: Sequence[str], clean: Path, files: int) -> Any:
    """What is scored, by name."""
    systems: dict[str, Any] = {"noisy": Noisy()}
    models = trainings.work.parent / "models"
    on_spectrograms = trainings.bridge(None)
    folder = saved(on_spectrograms.model, SPECTROGRAM, models / "spectrogram")
    systems[DIRECT] = Model(str(folder))
    for kind in kinds:
        made = trainings.bridge(kind)
        folder = saved(made.model, made.transform, models / kind)
        systems[f"bridge, {kind} latent"] = Model(str(folder))
        # An untrained network gives back what it was given.
        plain = ScoreModel(bridge(kind), BRIDGE, Data())
        coded = saved(plain, made.transform, models / f"{kind} coded")
        systems[f"noisy, coded {kind}"] = Model(str(coded))
        target = trainings.work.parent / f"{kind} ceiling"
        systems[f"clean, coded {kind}"] = Folder(ceiling(coded, clean, target, files))
    return systems


def ceiling(model: Path, clean: Path, target: Path, files: int) -> Path:
    """A folder of what the autoencoder makes of clean recordings."""
    enhancer = Enhancer.of(load(model))
    for path in evenly_spaced(sorted(clean.iterdir()), files):
        if not (target / f"{path.stem}.wav").exists():
            target.mkdir(parents=True, exist_ok=True)
            samples, about = audio.read(path)
            made = enhancer(samples, about.sample_rate)
            write_exact(target / f"{path.stem}.wav", made, about.sample_rate)
    return target


def bits(
    autoencoders: Mapping[str, Autoencoder], valid: Path, files: int
) -> dict[str, dict[str, float]]:
    """Bits per dimension of speech and of noisy speech, by bounds and by a simple law.

    That is CN(0, v) with the variance v of each frequency of all these recordings, known to it.
    """
    found = {}
    for name in ("clean", "noisy"):
        spectra = []
        for path in evenly_spaced(sorted((valid / name).iterdir()), files):
            samples, _ = audio.read(path)
            peak = max(float(np.abs(samples[0]).max()), 1e-6)
            sound = torch.from_numpy(0.5 / peak * samples[:1])
            spectra.append(SPECTROGRAM.forward(sound)[:, None])
        law = torch.cat([x[0, 0] for x in spectra], dim=1).abs().square().mean(1, keepdim=True)
        size = sum(x.numel() for x in spectra) * 2 * log(2)
        simple = sum(float(log_normal(x, torch.zeros_like(x), law)) for x in spectra)
        found[name] = {"normal law of each frequency": -simple / size}
        for kind, autoencoder in autoencoders.items():
            generator = torch.Generator().manual_seed(SEED)
            own = [bound(autoencoder, x, randn=draws(generator)) for x in spectra]
            found[name][f"{kind} autoencoder"] = -sum(float(b.nats) for b in own) / size
            divergence = sum(float(b.divergence) for b in own) / size
            found[name][f"{kind} autoencoder, the divergence in it"] = divergence
    return found


def processor_seconds(enhancer: Enhancer) -> float:
    """Of the processor for a second of audio, which others that work beside it hardly change."""
    noise = 0.1 * torch.randn(4 * RATE, generator=torch.Generator().manual_seed(SEED)).numpy()
    spent = []
    for _ in range(3):
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)  # that it is no speech
            enhancer(noise, RATE)
        spent.append(time.process_time() - began)
    return min(spent) / 4


def page_of(
    results: Results,
    costs: Mapping[str, Any],
    likely: Mapping[str, Mapping[str, float]],
    kinds: Sequence[str],
) -> tuple[str, dict[str, Any]]:
    """The page, and the numbers."""
    table, measures = results.table, results.scores.measures
    heads = [numbers.heading(m) for m in measures]
    factors = {
        name: processor_seconds(sgmse.load(system.model, device="cpu"))
        for name, system in results.suite.systems.items()
        if isinstance(system, Model)
    }
    rows = [
        [
            name,
            *(numbers.mean(m, means[m.name]) for m in measures),
            numbers.number(factors.get(name), ".3f"),
        ]
        for name, means in table.means.items()
    ]
    changes = [
        [name, *(numbers.change(m, row.get(m.name)) for m in measures)]
        for name, row in table.differences.items()
    ]
    trainings = [
        [name, f"{cost['seconds'] / 60:.1f}", str(cost["steps"]), f"{cost['weights'] / 1e6:.2f}"]
        for name, cost in costs.items()
    ]
    laws = list(next(iter(likely.values())))
    page = PAGE.format(
        about=paragraph(__doc__, 1),
        minutes=costs["spectrogram"]["seconds"] / 60,
        kinds="" if tuple(kinds) == KINDS else f" --latents {' '.join(kinds)}",
        count=len(results.scores.complete),
        scores=markdown_table(["system", *heads, "seconds"], rows),
        changes=markdown_table(["system", *heads], changes),
        trainings=markdown_table(["", "processor minutes", "steps", "M weights"], trainings),
        bits=markdown_table(
            ["law", *likely],
            [[law, *(f"{own[law]:.3f}" for own in likely.values())] for law in laws],
        ),
    )
    plain = {
        "trainings": costs,
        "seconds of the processor": factors,
        "means": {s: {m: vars(i) for m, i in row.items()} for s, row in table.means.items()},
        "differences": {
            s: {m: None if d is None else vars(d) for m, d in row.items()}
            for s, row in table.differences.items()
        },
        "bits per dimension": likely,
    }
    return page, plain


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, help="folder with train/clean and train/noise")
    parser.add_argument("corpus", type=Path, help="folder with valid/clean and valid/noisy")
    parser.add_argument(
        "--minutes", type=float, default=20, help="of the processor, each training (default: 20)"
    )
    parser.add_argument(
        "--latents", nargs="+", choices=KINDS, default=KINDS, help="which of them (default: both)"
    )
    parser.add_argument("--files", type=int, default=60, help="that are scored (default: 60)")
    parser.add_argument("--work", type=Path, help="where trainings and results stay, to go on from")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: in --work)")
    parser.add_argument(
        "--only",
        choices=("autoencoder", *KINDS, "spectrogram"),
        help="train this, and do no more; a bridge in a latent after its autoencoder",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        pairs = mixtures(options.data, options.cache or work / "cache")
        trainings = Trainings(work / "runs", pairs, options.minutes)
        if options.only == "autoencoder":
            trainings.autoencoder(LEARNED)
        elif options.only is not None:
            trainings.bridge(None if options.only == "spectrogram" else options.only)
        if options.only is not None:
            return
        valid, kinds = options.corpus / "valid", tuple(options.latents)
        suite = Suite(
            {"valid": NoisySet(valid / "clean", valid / "noisy")},
            systems_of(trainings, kinds, valid / "clean", options.files),
            measures=MEASURES,
            baseline=DIRECT,
            files=options.files,
        )
        results = run_suite(suite, work / "results", workers=1)
        coders = {kind: trainings.autoencoder(kind) for kind in kinds}
        likely = bits(coders, valid, min(options.files, 12))
        write(options.output, "latent", *page_of(results, trainings.costs(kinds), likely, kinds))


if __name__ == "__main__":
    main()
