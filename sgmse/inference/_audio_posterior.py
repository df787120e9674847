"""The posterior of audio, for priors of compressed spectrograms.

A measurement is of audio, and what a prior estimates is a compressed spectrogram x0. Audio is no
linear function of that, and its derivative is 0 where x0 is silent: nothing that was lost there
would come back. So what x_t leaves open of x0, CN(x0_hat, v) in each element, is carried to the
spectrum S before the compression, whose inverse transform D is linear,

    S = expand(x0),      Var S = v ((|S| / |x|)^2 + (d|S| / d|x|)^2) / 2  at  |x|^2 = |x0_hat|^2 + v

(half of it for the phase, half for the magnitude), and the measurement is answered in audio,

    u <- u + C A^T (A C A^T + noise^2)^-1 (m - A u),      u = D S,   C = D Var(S) D^T,

by conjugate gradients; x0_hat moves by as much as the spectrogram of u does. Loud bins vary more
than silent ones, so what is filled in has the spectrum of the estimate, not that of white noise.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sgmse._checks import kinds, whole
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.front import FrontEnd
from sgmse.inference._measurements import Measurement
from sgmse.inference._operators import Decoded, conjugate_gradients
from sgmse.sdes import expand, positive
from sgmse.solvers import Model, modelled
from sgmse.solvers._analytic import variance_of
from sgmse.solvers._base import Around
from sgmse.transforms import Log, Power

#: At the end nothing is open; what is taken to be, of the variance, and iterations then.
LEFT, AT_THE_END = 0.1, 100


@dataclass(frozen=True, eq=False)
class AudioPosterior(Around):
    """A prior of spectrograms given a measurement of their audio; any solver takes it for a model.

    It takes evaluations of the prior alone, no derivatives. Of a Gaussian prior of white audio and
    a tight frame without compression it is exact; of others the mean in what is heard is near that
    of the posterior, and its spread too small, as with `DiffPIR`.

    Args:
        model: the prior.
        front: of the prior.
        measurement: of audio (batch, samples).
        samples: of the audio that is sought.
        variance: E|x0|^2 of an element; what x_t leaves open is v sigma^2 / (a^2 v + sigma^2). With
            noise it matters: what is loud in speech varies by more than the mean, and with too
            little the measurement counts for nothing while there is most noise.
        iterations: of conjugate gradients, at most.
        tolerance: of the measurement, at which they end.
        gain: the prior hears audio so many times as loud as it is measured.
    """

    model: Model
    front: FrontEnd
    measurement: Measurement
    samples: int
    variance: float = 1.0
    iterations: int = 20
    tolerance: float = 1e-3
    gain: float = 1.0

    def __post_init__(self) -> None:
        kinds(self)
        modelled(self.model)
        whole("AudioPosterior: samples", self.samples, least=1)
        whole("AudioPosterior: iterations", self.iterations, least=1)
        positive(self, variance=self.variance, tolerance=self.tolerance, gain=self.gain)
        if self.measurement.value.is_complex():
            raise ArgumentError(
                "AudioPosterior: the measurement is complex, and audio is real; take Posterior for "
                "one of spectrograms"
            )

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (batch, 1, frequency, frame) and t (batch,)."""
        if len(self.measurement.value) not in (1, len(x)):
            raise ArgumentError(
                f"a measurement of {len(self.measurement.value)} items cannot be that of {len(x)} "
                "states: it needs one item, or as many"
            )
        scales = self.sde.scales(t)
        x0, noise = self.model(x, y, t)
        audio = self.audio(x0)
        left = expand(variance_of(scales, self.variance), x0)
        moved = audio + self.answer(audio, x0, left, self.iterations)
        shift = self.spectrogram(moved, x0) - self.spectrogram(audio, x0)
        known = (scales.a > 0) & (scales.sigma > 0)
        ratio = torch.where(known, scales.a / torch.where(known, scales.sigma, 1.0), 0.0)
        return Estimate(x0 + shift, noise - expand(ratio, x) * shift)

    def audio(self, x0: Tensor) -> Tensor:
        """Of a spectrogram, as it is measured, (batch, samples)."""
        return self.front.inverse(x0, self.samples) / self.gain

    def spectrogram(self, audio: Tensor, like: Tensor) -> Tensor:
        """Of audio (batch, samples), with as many frames as a state has."""
        made = self.front.forward(self.gain * audio)
        return torch.nn.functional.pad(made, (0, like.shape[-1] - made.shape[-1]))

    def heard(self, x0: Tensor) -> Tensor:
        """The audio (batch, samples) of what was drawn, which answers the measurement once more.

        A compressed spectrogram that has moved is not quite that of the audio that it moved by. For
        measurements without noise: with noise, it would come back.
        """
        audio = self.audio(x0)
        left = torch.full((len(x0), 1, 1, 1), LEFT * self.variance).to(audio)
        return audio + self.answer(audio, x0, left, AT_THE_END)

    def answer(self, audio: Tensor, x0: Tensor, left: Tensor, iterations: int) -> Tensor:
        """C A^T (A C A^T + noise^2)^-1 (m - A u) at audio u (batch, samples) and x0, its estimate.

        Args:
            audio, x0: as they are estimated.
            left: the variance of an element of x0, to broadcast with it.
            iterations: at most.
        """
        compression = self.front.transform.compression
        if compression.linear:
            decoded, spread = Decoded(self.front, self.samples), left
        else:
            transform: Any = self.front.transform  # a dataclass, with a compression as it has one
            plain = replace(transform, compression=Power(1.0, 1.0))
            decoded = Decoded(replace(self.front, transform=plain), self.samples)
            spread = left * sensitivity(compression, (x0.abs() ** 2 + left).sqrt())
        measured, operator = self.measurement, self.measurement.operator
        variance = measured.variance(x0)  # of complex elements, as `left` is

        def carried(w: Tensor) -> Tensor:
            back = operator.adjoint(w, audio)
            return decoded(spread * decoded.adjoint(back, x0)) / self.gain**2

        w = conjugate_gradients(
            lambda w: operator.along(carried(w), audio) + variance * w,
            measured.residual(audio),
            iterations,
            self.tolerance,
        )
        return carried(w)


def sensitivity(compression: Power | Log, size: Tensor) -> Tensor:
    """By how much more a spectrum varies than the compressed one, at magnitudes of it: squared.

    The mean of what turns the phase, (|S| / |x|)^2, and what changes the magnitude,
    (d|S| / d|x|)^2.
    """
    with torch.inference_mode(False), torch.enable_grad():
        at = size.detach().clone().requires_grad_()
        loud = compression.expand(at)
        (slope,) = torch.autograd.grad(loud.sum(), at)
    return ((loud.detach() / size) ** 2 + slope**2) / 2
