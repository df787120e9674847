"""How far the short-time magnitudes of two recordings are apart, in windows of several lengths.

One window length sees either time or frequency well, and a distance in it leaves artefacts in the
other (Yamamoto et al. 2020, arXiv:1910.11480, sec. 2.2).
"""

import torch
from torch import Tensor

#: Lengths of the windows in samples; a quarter of a window from one to the next.
WINDOWS = (512, 1024, 2048)
#: Magnitudes below this, those of white noise at -80 dB of full scale, count as silence.
FLOOR = 1e-4

#: Mean square of the magnitudes of a reference, below which what is added to it counts no more.
SILENCE = 1e-6


def unit_stft(audio: Tensor, window: int) -> Tensor:
    """STFT in windows that overlap by three quarters: (batch, samples) to (batch, bin, frame).

    The Hann window has unit energy, so that white noise has magnitudes of the size of its samples.
    """
    w = torch.hann_window(window, dtype=audio.dtype, device=audio.device)
    w = w / w.norm()
    return torch.stft(
        audio, window, window // 4, window=w, pad_mode="constant", return_complex=True
    )


def magnitudes(audio: Tensor, window: int) -> Tensor:
    """|STFT|, kept above `FLOOR`: (batch, samples) to (batch, bin, frame)."""
    x = unit_stft(audio, window)
    # The clamp comes before the root, whose slope is infinite at 0.
    return (x.real.square() + x.imag.square()).clamp(min=FLOOR**2).sqrt()


def multi_resolution_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """The mean over the windows of spectral convergence and log distance (eq. 4* to 6*).

        | |X| - |X0| | / | |X0| |  +  mean | log |X| - log |X0| |

    where the norms are those of Frobenius, of each item; that of a silent reference is raised to
    -60 dB.

    Shape: (batch, samples) twice -> (batch,).
    """
    losses = []
    for window in WINDOWS:
        x, x0 = magnitudes(estimate, window), magnitudes(reference, window)
        # 1e-16: where estimate and reference are the same, a norm has no slope.
        off = ((x - x0).square().mean((1, 2)) + 1e-16).sqrt()
        convergence = off / x0.square().mean((1, 2)).clamp(min=SILENCE).sqrt()
        losses.append(convergence + (x.log() - x0.log()).abs().mean((1, 2)))
    return torch.stack(losses).mean(0)
