"""Rooms of which a law is known, and no more: their response, drawn given what was said in them.

    m = h * x0 + n,      h ~ N(mean, diag(deviation^2)),      n ~ N(0, noise^2)

Given x0 this is a linear regression, and the law of h is normal: with h = mean + D u, D the
deviations on a diagonal, and X the convolution with x0,

    u ~ N(P^-1 r, P^-1),      P = D X^T X D / noise^2 + 1,      r = D X^T (m - X mean) / noise^2

drawn as P^-1 (r + D X^T z_1 / noise + z_2), z_1 and z_2 white (Papandreou and Yuille 2010), by
conjugate gradients, as near as these come. Drawn in turn with x0 given h, which a prior and a
`Measurement` give, h and x0 come from their joint posterior (Gibbs sampling; Geman and Geman 1984):
a room that nobody has measured is then known as far as the recording tells it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sgmse._checks import kinds, number, rate, whole
from sgmse.errors import ArgumentError
from sgmse.inference._operators import Room, conjugate_gradients, fast_size
from sgmse.solvers import Randn

#: Of the direct sound, which is 1: it says the scale of the speech, and would else be free.
DIRECT = 1e-3
#: Of conjugate gradients: steps at most, and |residual| / |right side| at which they end.
STEPS, TOLERANCE = 400, 1e-4
#: Decibels by which sound has fallen after the time that a room rings for.
RINGS = 60.0


@dataclass(frozen=True, eq=False)
class UnknownRoom:
    """The law of an impulse response that was not measured, N(mean, diag(deviation^2)).

    Args:
        mean: (length,), real and finite.
        deviation: (length,), likewise, and not negative.

    Raises:
        ValueError: other shapes or values.
    """

    mean: Tensor
    deviation: Tensor

    def __post_init__(self) -> None:
        kinds(self)
        for name in ("mean", "deviation"):
            value = getattr(self, name)
            if value.dim() != 1 or len(value) == 0 or not value.is_floating_point():
                raise ArgumentError(
                    f"UnknownRoom: {name} must be real numbers (length,), not {value.dtype} of "
                    f"{tuple(value.shape)}"
                )
            if not bool(value.isfinite().all()):
                raise ArgumentError(f"UnknownRoom: {name} must be finite; it has {value.max()}")
        if self.mean.shape != self.deviation.shape:
            raise ArgumentError(
                f"UnknownRoom: mean and deviation must be of one length, not {len(self.mean)} and "
                f"{len(self.deviation)}"
            )
        if (least := float(self.deviation.min())) < 0:
            raise ArgumentError(f"UnknownRoom: deviation must not be negative; it has {least:g}")

    @classmethod
    def decaying(
        cls, sample_rate: int, rt60: float = 0.5, energy: float = 1.0, length: float = 0.4
    ) -> "UnknownRoom":
        """The direct sound, and after it a tail that falls by 60 dB in a time (Polack 1988).

        Args:
            sample_rate: in Hz.
            rt60: that time in seconds.
            energy: of the tail in the mean; that of the direct sound is 1.
            length: of the response in seconds.

        Raises:
            ValueError: values that are not positive, or that make no tail.
        """
        own = rate("sample_rate", sample_rate)
        for name, value in (("rt60", rt60), ("energy", energy), ("length", length)):
            if not number(name, value) > 0:
                raise ArgumentError(f"UnknownRoom: {name} must be positive, not {value!r}")
        t = torch.arange(max(round(length * own), 2), dtype=torch.float64) / own
        fall = 10 ** (-RINGS / 20 * t / rt60)
        fall[0] = 0
        if not fall.square().sum() > 0:
            raise ArgumentError(
                f"UnknownRoom: rt60={rt60!r} s is over before the first sample at {own} Hz; a room "
                "rings for tenths of a second"
            )
        deviation = fall * (energy / fall.square().sum()).sqrt()
        deviation[0] = DIRECT
        mean = torch.zeros_like(deviation)
        mean[0] = 1
        default = torch.get_default_dtype()
        return cls(mean.to(default), deviation.to(default))

    def expected(self, like: Tensor) -> Room:
        """The room of the mean, in the precision and on the device of a tensor."""
        return Room(self.mean.to(like))

    def drawn(
        self,
        x0: Tensor,
        recording: Tensor,
        noise: float,
        randn: Randn,
        steps: int = STEPS,
        tolerance: float = TOLERANCE,
    ) -> Room:
        """A room of p(h | x0, recording), one for each item.

        Args:
            x0: what was said, (batch, samples), real.
            recording: m, like it.
            noise: standard deviation of n, positive.
            randn: white noise like a tensor.
            steps, tolerance: of conjugate gradients, at most. Speech has little in many of its
                frequencies, and takes hundreds; with the usual ones, at a noise of a tenth of the
                recording, a draw is within a tenth of the deviations of h of where it would end.

        Raises:
            ValueError: shapes that differ, values that are not finite, noise that is not positive.
        """
        if x0.dim() != 2 or x0.shape != recording.shape or x0.is_complex():
            raise ArgumentError(
                "UnknownRoom: x0 and the recording must be real (batch, samples) of one shape, not "
                f"{tuple(x0.shape)} and {tuple(recording.shape)}"
            )
        if not number("noise", noise) > 0:
            raise ArgumentError(f"UnknownRoom: noise must be positive, not {noise!r}")
        if not bool((x0.isfinite() & recording.isfinite()).all()):
            raise ArgumentError("UnknownRoom: x0 or the recording has samples that are not finite")
        whole("steps", steps, least=1)
        deviation, expected = self.deviation.to(x0), self.expected(x0)

        def back(residual: Tensor) -> Tensor:
            return deviation * correlated(residual, x0, len(deviation)) / noise

        def said(u: Tensor) -> Tensor:
            return Room(deviation * u)(x0) / noise

        off = (recording - expected(x0)) / noise
        u = torch.empty(len(x0), len(deviation), dtype=x0.dtype, device=x0.device)
        right = back(off + randn(x0)) + randn(u)
        u = conjugate_gradients(lambda v: back(said(v)) + v, right, steps, tolerance)
        return Room(expected.response + deviation * u)


def correlated(y: Tensor, x: Tensor, length: int) -> Tensor:
    """sum_n y(n + k) x(n) for k from 0 to length - 1, (batch, length): convolution's adjoint."""
    size = fast_size(max(y.shape[-1], length) + x.shape[-1])  # nothing comes back at its end
    spectrum = torch.fft.rfft(y, size) * torch.fft.rfft(x, size).conj()
    found: Tensor = torch.fft.irfft(spectrum, size)
    return found[..., :length]
