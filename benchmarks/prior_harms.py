"""The harms of `priors.py`: what is spoilt, and what a prior is told of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, fftconvolve

from sgmse.bench import WPE, LinearPrediction, LinearUpsampling, SplineDeclipping, SplineGaps
from sgmse.bench._peers import Peer
from sgmse.inference import Clipping, Filter, Mask, Operator, Room, conjugate_gradients

RATE = 16000
Sound = NDArray[np.float64]


@dataclass(frozen=True)
class Harm:
    """A spoilt crop, and what `Prior.restore` is told of it; without an operator, no more."""

    spoilt: Sound
    operator: Operator | None
    told: Sound | None = None
    noise: float | None = None
    peak: float | None = None


def gaps(x: Sound, rng: np.random.Generator) -> Harm:
    kept, start = np.ones(len(x)), 0
    while True:
        start += int(rng.exponential(0.2) * RATE)
        end = start + int(rng.uniform(0.02, 0.06) * RATE)
        if end >= len(x):
            return Harm(x * kept, Mask(torch.from_numpy(kept).float()))
        kept[start:end] = 0
        start = end


def clipped(x: Sound, rng: np.random.Generator) -> Harm:
    limit = 1.2 * float(np.sqrt(np.mean(x**2)))
    y = x.clip(-limit, limit)
    return Harm(y, Clipping.of(torch.from_numpy(y).float()), peak=2.5 * limit)


def narrow(x: Sound, rng: np.random.Generator) -> Harm:
    band = Filter.low_pass(len(x), RATE, 4000.0)
    return Harm(band(torch.from_numpy(x)[None])[0].numpy(), band)


def room(x: Sound, rng: np.random.Generator) -> Harm:
    t = np.arange(round(0.4 * RATE)) / RATE
    response = 0.05 * rng.standard_normal(len(t)) * 10 ** (-3 * t / 0.4)
    response[: RATE // 400] = 0
    response[0] = 1
    y = fftconvolve(x, response)[: len(x)]
    deviation = float(np.sqrt(np.mean(y**2) / 100))
    y = y + deviation * rng.standard_normal(len(x))
    return Harm(y, Room(torch.from_numpy(response).float()), noise=deviation)


def unknown_room(x: Sound, rng: np.random.Generator) -> Harm:
    """The same rooms; `Prior.dereverberate` is told the law of the noise."""
    return replace(room(x, rng), operator=None)


def white(x: Sound, rng: np.random.Generator) -> Harm:
    deviation = float(np.sqrt(np.mean(x**2) / 10))
    y = x + deviation * rng.standard_normal(len(x))
    return Harm(y, Mask(torch.ones(())), noise=deviation)


def pink(x: Sound, rng: np.random.Generator) -> Harm:
    """Half as much for each octave, white behind the inverse filter."""
    frequencies = np.fft.rfftfreq(len(x), 1 / RATE)
    colour = np.maximum(frequencies, 50) ** -0.5
    noise = np.fft.irfft(colour * np.fft.rfft(rng.standard_normal(len(x))), len(x))
    gain = float(np.sqrt(np.mean(x**2) / 10 / np.mean(noise**2)))
    y = x + gain * noise
    # Scaled so that the whitened recording is about as large as the recording.
    scale = float(np.sqrt(np.mean(noise**2)))
    whiten = Filter(torch.from_numpy(scale / colour).float())
    told = whiten(torch.from_numpy(y)[None])[0].numpy()
    return Harm(y, whiten, told, gain * scale, float(np.abs(y).max()))


Restore = Callable[[Harm], Sound]


def of(system: Peer) -> Restore:
    """A system that is told nothing."""
    return lambda harm: np.float64(system.enhance(harm.spoilt.astype(np.float32), RATE))


def least_squares(harm: Harm) -> Sound:
    """What explains the recording and is small: min |m - A x|^2 + (noise / signal) |x|^2."""
    m = torch.from_numpy(harm.spoilt).float()[None]
    ratio = harm.noise**2 / float(m.square().mean())
    A = harm.operator
    w = conjugate_gradients(
        lambda x: A.adjoint(A(x), m) + ratio * x, A.adjoint(m, m), steps=100, tolerance=1e-4
    )
    return w[0].double().numpy()


def subtraction(harm: Harm) -> Sound:
    """The power of the noise, which is known, taken off in each bin, -20 dB at least left."""
    size, hop = 512, 128
    window = np.hanning(size + 1)[:-1]
    transform = ShortTimeFFT(window, hop, RATE)
    Y = transform.stft(harm.spoilt)
    frequencies = np.fft.rfftfreq(len(harm.spoilt), 1 / RATE)
    whiten = harm.operator
    colour = whiten.gains.double().numpy() ** -2 if isinstance(whiten, Filter) else 1.0
    power = (
        np.sum(window**2)
        * harm.noise**2
        * np.interp(transform.f, frequencies, colour * np.ones_like(frequencies))
    )
    gain = np.maximum(1 - power[:, None] / np.maximum(np.abs(Y) ** 2, 1e-20), 0.01) ** 0.5
    return transform.istft(gain * Y, k1=len(harm.spoilt))


@dataclass(frozen=True)
class Kind:
    """A harm, and the simple restorers that are made for it."""

    spoil: Callable[[Sound, np.random.Generator], Harm]
    simple: Mapping[str, Restore]
    control: bool = False  # whether the prior is also told of the noise alone


KINDS = {
    "gaps": Kind(gaps, {"spline": of(SplineGaps()), "linear prediction": of(LinearPrediction())}),
    "clipped": Kind(clipped, {"spline": of(SplineDeclipping())}),
    "narrow band": Kind(narrow, {"linear up-sampling": of(LinearUpsampling(8000))}),
    "known room": Kind(room, {"WPE": of(WPE()), "least squares": least_squares}),
    "unknown room": Kind(unknown_room, {"WPE": of(WPE())}, control=True),
    "white noise": Kind(white, {"subtraction": subtraction}),
    "pink noise": Kind(pink, {"subtraction": subtraction}),
}
