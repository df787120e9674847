"""Does a bridge in a latent pay for enhancement? python benchmarks/latent.py DATA CORPUS --minutes 8

Trains, for as many minutes of one core each, a variational autoencoder of spectrograms (speech and
noisy speech), a bridge in its latent, and a bridge of the same cost on the spectrograms. Network,
encoder and decoder of the one take as long for a second of audio as the network of the other. Both
learn from the same pairs by the same loss of sounds, and end with one evaluation. The minutes of
the autoencoder come on top, in favour of the latent.

DATA holds train/clean and train/noise. Scored on CORPUS/valid are both bridges, the noisy
recordings, and what the autoencoder makes of the clean ones: the ceiling of any process in its
latent. Writes benchmarks/results/latent.md and .json: scores, costs, and the bound in bits per
dimension of clean and noisy speech.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from writing import arguments, paragraph, write

from sgmse._files import whole
from sgmse.checkpoints import Checkpoint, load, save
from sgmse.data.degradations import MicrophoneColour, NoiseGate, Speed
from sgmse.data.training_pairs import MixedSpeech, PairDataset
from sgmse.estimates import Data, Estimate
from sgmse.front import FrontEnd
from sgmse.inference import bound
from sgmse.latent import Latent
from sgmse.model import ScoreModel
from sgmse.networks import BandAutoencoder, SlimUNet
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Sampler, Uniform
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


def draws(generator: torch.Generator):  # noqa: ANN201
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
        audio = torch.cat([clean, noisy])
        x = SPECTROGRAM.forward(audio)[:, None]
        b = bound(self.autoencoder, x, randn=draws(generator))
        heard = SPECTROGRAM.inverse(b.decoded[:, 0], audio.shape[-1])
        sound = multi_resolution_loss(heard, audio).mean()
        bits = b.bits.mean()
        return {"loss": bits + sound, "bits": bits, "sound": sound}


class Bridging(Learner):
    """A bridge on what a transform makes of audio."""

    def __init__(self, transform: Transform, network: SlimUNet) -> None:
        super().__init__()
        self.model = ScoreModel(network, BRIDGE, Data())
        self.transform = transform

    def loss(
        self, clean: Tensor, noisy: Tensor, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        with torch.no_grad():
            x0, y = (self.transform.forward(audio)[:, None] for audio in (clean, noisy))
        t = TIMES.draw(len(x0), generator)
        truth = Truth(x0, draws(generator)(x0), clean, self.transform, t, BRIDGE)
        with torch.autocast("cpu", torch.bfloat16):
            estimate = self.model(BRIDGE.sample(x0, y, t, truth.z), y, t)
        return LOSS(estimate, truth)


def bridge(transform: Transform) -> SlimUNet:
    """The network of a bridge, so that both take as long for a second of audio."""
    if transform.learned is None:
        return SlimUNet((16, 32, 64), (1, 1, 1), dual_paths=3, hidden=64, taps=5)
    return SlimUNet((64, 96), (1, 1), dual_paths=4, hidden=64, taps=5)


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


def latent_of(coding: Learner) -> Latent:
    """What the bridge in the latent works on."""
    assert isinstance(coding, Coding)
    return Latent(SPECTROGRAM, coding.autoencoder, FACTOR)


def trained(
    work: Path, pairs: PairDataset, minutes: float, only: str | None
) -> dict[str, Learner] | None:
    """The learners by name, or None if but one of them was asked for."""
    made: dict[str, Learner] = {}
    torch.manual_seed(SEED)
    coding = Run("autoencoder", Coding(), work)
    if only in (None, "autoencoder", "latent"):
        made["autoencoder"] = coding.train(pairs, minutes)
    for name in ("latent", "spectrogram"):
        if only in (None, name):
            transform = latent_of(made["autoencoder"]) if name == "latent" else SPECTROGRAM
            torch.manual_seed(SEED)
            run = Run(name, Bridging(transform, bridge(transform)), work)
            made[name] = run.train(pairs, minutes)
    return made if only is None else None


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, help="folder with train/clean and train/noise")
    parser.add_argument("corpus", type=Path, help="folder with valid/clean and valid/noisy")
    parser.add_argument(
        "--minutes", type=float, default=20, help="of the processor, each training (default: 20)"
    )
    parser.add_argument("--work", type=Path, help="where trainings and results stay, to go on from")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio (default: in --work)")
    parser.add_argument(
        "--only",
        choices=("autoencoder", "latent", "spectrogram"),
        help="train this, and do no more; the latent after the autoencoder",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        pairs = mixtures(options.data, options.cache or work / "cache")
        made = trained(work / "runs", pairs, options.minutes, options.only)


if __name__ == "__main__":
    main()
