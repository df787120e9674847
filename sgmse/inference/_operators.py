"""Operators: what a recording shows of clean audio.

    m = A(x0) + n,      n of a known law

A is linear, or is taken for its derivative at some x0. Adjoints are those of the inner product
Re<u, v> over all elements of an item, in which states, audio and spectrograms can be real or
complex: between a complex spectrogram and real audio, too, A has one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds, number, whole
from sgmse.errors import ArgumentError
from sgmse.front import FrontEnd
from sgmse.sdes import expand

#: Of an item of `conjugate_gradients`: |residual| / |u| at which it is done, and steps at most.
TOLERANCE, STEPS = 1e-10, 200


def conjugate_gradients(
    matrix: Callable[[Tensor], Tensor], u: Tensor, steps: int = STEPS, tolerance: float = TOLERANCE
) -> Tensor:
    """w with matrix(w) = u for each item of u (batch, ...), the matrix symmetric and positive.

    In exact arithmetic as many steps as there are different eigenvalues suffice.
    """
    w = torch.zeros_like(u)
    residual = direction = u
    size = first = inner(u, u)
    for _ in range(steps):
        if not bool((size > tolerance**2 * first).any()):
            break
        image = matrix(direction)
        along = inner(direction, image)
        # An item that is done has nothing left to divide.
        alpha = torch.where(along > 0, size / along, 0.0)
        w = w + expand(alpha, w) * direction
        residual = residual - expand(alpha, w) * image
        before, size = size, inner(residual, residual)
        direction = residual + expand(torch.where(before > 0, size / before, 0.0), w) * direction
    return w


def inner(u: Tensor, v: Tensor) -> Tensor:
    """Re<u, v> of each item, (batch,)."""
    products: Tensor = (u.conj() * v).real.flatten(1).sum(dim=1)
    return products


class Operator(ABC):
    """A: clean audio (batch, ...) to what is measured (batch, ...), as autograd can follow.

    Subclasses are frozen dataclasses and define `__call__`; those of which more is known in closed
    form override what follows from it.
    """

    #: Whether A(u + v) = A(u) + A(v) for real factors: then its derivative is itself.
    linear: bool = True

    @abstractmethod
    def __call__(self, x0: Tensor) -> Tensor:
        """A(x0)."""

    def along(self, v: Tensor, at: Tensor) -> Tensor:
        """The derivative at `at` in the direction v, A v if it is linear."""
        if self.linear:
            return self(v)
        return torch.func.jvp(self, (at,), (v,))[1]  # type: ignore[no-any-return]

    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        """The adjoint of that derivative, of u like A(x0): a tensor like `at`."""
        with torch.inference_mode(False), torch.enable_grad():
            x0 = at.detach().clone().requires_grad_()
            return torch.autograd.grad(self(x0), x0, u.clone())[0]

    def solve(self, u: Tensor, at: Tensor, gain: Tensor, variance: Tensor) -> Tensor:
        """w with (gain A A^T + variance) w = u, for the derivative at `at`.

        Args:
            u: like A(x0).
            gain: (batch,), not negative.
            variance: positive, a number or one for each element of u.
        """
        scale = expand(gain, u)
        return conjugate_gradients(
            lambda w: scale * self.along(self.adjoint(w, at), at) + variance * w, u
        )


@dataclass(frozen=True, eq=False)
class Mask(Operator):
    """A x0 = kept x0: gaps, lost packets, bins that were never heard; 1 for all is denoising.

    Args:
        kept: 1 where the recording is heard, 0 where it is not, or any real gains; of a shape that
            broadcasts to that of x0.
    """

    kept: Tensor

    def __post_init__(self) -> None:
        kinds(self)
        if self.kept.is_complex():
            raise ArgumentError("Mask: kept must be real, not complex; use a Filter for phases")

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        return self.kept * x0

    @override
    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        return self.kept * u

    @override
    def solve(self, u: Tensor, at: Tensor, gain: Tensor, variance: Tensor) -> Tensor:
        return u / (expand(gain, u) * self.kept**2 + variance)


@dataclass(frozen=True, eq=False)
class Filter(Operator):
    """A circular filter along the last axis: A x0 = F^-1 (gains F x0), F the discrete transform.

    Args:
        gains: of the frequencies from 0 to half of the rate, (samples // 2 + 1,), real or complex;
            those of negative frequencies of a complex signal are their conjugates.
    """

    gains: Tensor

    @classmethod
    def low_pass(cls, samples: int, sample_rate: int, cutoff: float) -> "Filter":
        """What is left of audio up to a frequency in Hz: 1 up to it, 0 above."""
        whole("samples", samples, least=1)
        number("cutoff", cutoff, 0)
        frequencies = torch.fft.rfftfreq(samples, 1 / sample_rate, dtype=torch.float64)
        return cls((frequencies <= cutoff).to(torch.get_default_dtype()))

    @classmethod
    def circular(cls, response: Tensor, samples: int) -> "Filter":
        """Convolution with an impulse response (length,) whose end comes back at the start."""
        return cls(torch.fft.rfft(response, samples))

    def full(self, samples: int) -> Tensor:
        """The gains of all frequencies, (samples,)."""
        if len(self.gains) != samples // 2 + 1:
            raise ArgumentError(
                f"Filter: {samples} samples have {samples // 2 + 1} frequencies, not the "
                f"{len(self.gains)} of gains; make it for so many samples"
            )
        negative = self.gains[1 : (samples + 1) // 2].flip(0).conj()
        return torch.cat([self.gains, negative])

    def filtered(self, x: Tensor, gains: Tensor) -> Tensor:
        y: Tensor = torch.fft.ifft(gains * torch.fft.fft(x))
        return y if x.is_complex() else y.real

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        return self.filtered(x0, self.full(x0.shape[-1]))

    @override
    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        return self.filtered(u, self.full(u.shape[-1]).conj())

    @override
    def solve(self, u: Tensor, at: Tensor, gain: Tensor, variance: Tensor) -> Tensor:
        if variance.numel() > 1:  # of which frequencies do not keep to themselves
            return super().solve(u, at, gain, variance)
        power = self.full(u.shape[-1]).abs() ** 2
        return self.filtered(u, 1 / (expand(gain, u) * power + variance))


@dataclass(frozen=True, eq=False)
class Room(Operator):
    """Convolution with a known impulse response along the last axis; as long as x0.

    Args:
        response: (length,), real.
    """

    response: Tensor

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        samples = x0.shape[-1]
        size = samples + len(self.response) - 1
        spectrum = torch.fft.fft(self.response, size) * torch.fft.fft(x0, size)
        y: Tensor = torch.fft.ifft(spectrum)[..., :samples]
        return y if x0.is_complex() else y.real

    @override
    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        return self(u.flip(-1)).flip(-1)  # a correlation is the convolution of what runs backwards


@dataclass(frozen=True)
class Clipping(Operator):
    """A(x0) = x0, at most limit and at least -limit; real. Its derivative is a mask.

    Where the recording is clipped, an x0 beyond the limit says what one at the limit does.

    Args:
        limit: positive, on the scale of x0.
    """

    limit: float

    linear = False

    def __post_init__(self) -> None:
        kinds(self)
        if not number("Clipping: limit", self.limit) > 0:
            raise ArgumentError(f"Clipping: limit must be positive, not {self.limit}")

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        return x0.clamp(-self.limit, self.limit)

    def mask(self, at: Tensor) -> Mask:
        """Its derivative."""
        return Mask((at.abs() <= self.limit).to(at))

    @override
    def along(self, v: Tensor, at: Tensor) -> Tensor:
        return self.mask(at)(v)

    @override
    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        return self.mask(at).adjoint(u, at)

    @override
    def solve(self, u: Tensor, at: Tensor, gain: Tensor, variance: Tensor) -> Tensor:
        return self.mask(at).solve(u, at, gain, variance)


@dataclass(frozen=True)
class Decoded(Operator):
    """The audio of spectrograms (batch, 1, frequency, frame), (batch, samples), of a front end.

    It goes before an operator of audio in a `Chain`. A compressed spectrogram is no linear function
    of the audio, nor the other way round.

    Args:
        front: of the model.
        samples: of the audio.
    """

    front: FrontEnd
    samples: int

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether the spectrogram is neither compressed nor a latent."""
        return self.front.transform.linear

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        return self.front.inverse(x0, self.samples)


@dataclass(frozen=True)
class Chain(Operator):
    """One operator after the other, the first one first.

    Args:
        operators: at least one.
    """

    operators: tuple[Operator, ...]

    def __post_init__(self) -> None:
        kinds(self)
        if not self.operators:
            raise ArgumentError("Chain: it needs at least one operator; Mask(ones) changes nothing")

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether each of them is."""
        return all(operator.linear for operator in self.operators)

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        for operator in self.operators:
            x0 = operator(x0)
        return x0
