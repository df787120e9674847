"""How different two recordings sound: the disturbances of PESQ, in a form that can be trained on.

Powers of the short-time spectrum are gathered in bands of the Bark scale and turned into loudness,
and differences of loudness are summed (ITU-T P.862 and P.862.2). Time alignment and equalisation of
slow filters are left out, thresholds and bands are closed forms instead of tables: it follows PESQ
closely enough to train on (a test holds the correlation), and does not measure it.
"""

from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from sgmse.errors import ArgumentError

SAMPLE_RATE = 16000
N_FFT, HOP, BANDS = 512, 256, 49
# PESQ scales recordings to this mean square of 16 bit samples between 325 and 3250 Hz.
LEVEL = 1e7
# From mean squares per bin to the standard's units of power, and of loudness (P.862, 10.2).
POWER_UNIT, LOUDNESS_UNIT = 75 * 6.91e-6, 0.187
QUIET_FRAME = 1e7  # audible power below which a frame of the reference is silent


@lru_cache(maxsize=4)
def _tables(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(bands of each bin, response of the input filter, thresholds, exponents of loudness)."""
    frequency = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    # Traunmueller 1990, eq. 6*
    bark = (26.81 * frequency / (1960 + frequency) - 0.53).clamp(min=0)
    edges = torch.linspace(0, float(bark[-1]) + 1e-9, BANDS + 1, dtype=torch.float64)
    band = torch.bucketize(bark, edges, right=True).clamp(1, BANDS) - 1
    bins = torch.nn.functional.one_hot(band, BANDS).to(torch.float64)
    bins[0] = 0  # no power at 0 Hz
    # The wide-band input filter of P.862.2, a high-pass near 100 Hz with a gain of 2.7.
    z = torch.exp(-2j * pi * frequency / SAMPLE_RATE)
    response = 2.740826 * (1 - z) ** 2 / (1 - 1.9444777 * z + 0.94597794 * z**2)
    centre = (edges[1:] + edges[:-1]) / 2
    # The threshold of hearing (Terhardt 1979) in dB, 0.25 in units of power at its lowest.
    kilohertz = 1.96 * (centre + 0.53) / (26.28 - centre)
    decibel = 3.64 * kilohertz**-0.8 - 6.5 * torch.exp(-0.6 * (kilohertz - 3.3) ** 2)
    decibel = decibel + 1e-3 * kilohertz**4
    threshold = 0.25 * 10 ** ((decibel - decibel.min()) / 10)
    # Zwicker's exponent, raised below 4 Bark (P.862, 10.2).
    exponent = 0.23 * (6 / (centre + 2)).clamp(1, 2) ** 0.15
    tables = (bins, response.abs() ** 2, threshold, exponent)
    return tuple(table.to(device, dtype) for table in tables)  # type: ignore[return-value]


def quality_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """About how many points of PESQ (before the mapping to opinion scores) an estimate falls short.

    0.26 symmetric + 0.052 asymmetric disturbance: the weights of P.862, refitted to the bounded
    disturbances here.

    Shape: (batch, samples) at 16 kHz twice -> (batch,).
    """
    symmetric, asymmetric = disturbances(estimate, reference)
    return 0.26 * symmetric + 0.052 * asymmetric


def disturbances(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """The symmetric and the asymmetric disturbance of each item; the latter counts what was added.

    Shape: (batch, samples) at 16 kHz, at least 512 samples, twice -> (batch,) twice.
    """
    if reference.shape[-1] < N_FFT:
        raise ArgumentError(f"{reference.shape[-1]} samples are too short; give at least {N_FFT}")
    bins, response, threshold, exponent = _tables(reference.device, reference.dtype)
    powers = []
    for audio in (estimate, reference):
        window = torch.hann_window(N_FFT, dtype=audio.dtype, device=audio.device)
        spectrum = torch.stft(audio, N_FFT, HOP, window=window, center=False, return_complex=True)
        power = (spectrum.real**2 + spectrum.imag**2).transpose(1, 2)
        speech = power[..., round(325 / SAMPLE_RATE * N_FFT) : round(3250 / SAMPLE_RATE * N_FFT)]
        # Parseval: mean squares of the samples, by the energy of the window
        level = speech.sum(-1).mean(-1) * 2 / (N_FFT * window.square().sum())
        scale = LEVEL / level.clamp(min=1e-12)
        powers.append(POWER_UNIT * scale[:, None, None] * (power * response) @ bins)
    degraded, clean = powers
    active = (clean * (clean > 100 * threshold)).sum(-1) >= QUIET_FRAME
    # Slow changes of level are hardly heard: frames are brought to the reference's power.
    gain = ((clean.sum(-1) + 5e3) / (degraded.sum(-1) + 5e3)).clamp(3e-4, 5)
    degraded = gain[..., None] * degraded

    def loudness(power: Tensor) -> Tensor:
        rise = (0.5 + 0.5 * power / threshold) ** exponent - 1
        return LOUDNESS_UNIT * (2 * threshold) ** exponent * rise.clamp(min=0)

    loud, clean_loud = loudness(degraded), loudness(clean)
    difference = loud - clean_loud
    masked = 0.25 * torch.minimum(loud, clean_loud)
    difference = torch.sign(difference) * (difference.abs() - masked).clamp(min=0)
    ratio = ((degraded + 50) / (clean + 50)) ** 1.2
    added = torch.where(ratio < 3, 0.0, ratio.clamp(max=12))
    weight = ((clean.sum(-1) + 1e5) / 1e7) ** -0.04
    # Bark of a band; the roots are kept off 0, where they have no slope
    width = 21.0 / BANDS
    symmetric = (width * (difference**2).sum(-1) + 1e-12).sqrt() * weight
    asymmetric = width * (difference.abs() * added).sum(-1) * weight
    return _pooled(_bounded(symmetric), active), _pooled(_bounded(asymmetric), active)


def _bounded(frames: Tensor, limit: float = 45.0) -> Tensor:
    """The standard cuts at 45; a smooth bound keeps a slope in the worst frames."""
    return frames / (1 + frames / limit)


def _pooled(frames: Tensor, active: Tensor) -> Tensor:
    """Root mean square over half-overlapping intervals of 0.3 s of the sixth norms in them."""
    length = min(20, frames.shape[-1])
    pieces = frames.unfold(-1, length, max(length // 2, 1))
    strongest = ((pieces + 1e-6) ** 6).mean(-1) ** (1 / 6)
    # Intervals in which the reference is silent count little, as in the standard.
    weight = active.to(frames).unfold(-1, length, max(length // 2, 1)).mean(-1) + 0.1
    return ((weight * strongest**2).sum(-1) / weight.sum(-1)).sqrt()
