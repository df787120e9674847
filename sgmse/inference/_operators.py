"""Operators: what a recording shows of clean audio.

    m = A(x0) + n,      n of a known law

A is linear, or is taken for its derivative at some x0. Adjoints are those of the inner product
Re<u, v> over all elements of an item, in which states, audio and spectrograms can be real or
complex: between a complex spectrogram and real audio, too, A has one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
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


def fast_size(least: int) -> int:
    """A length of at least so many samples whose Fourier transform is quick."""
    from scipy.fft import next_fast_len  # a third of a second

    return int(next_fast_len(least, real=True))


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

    @classmethod
    def of_gaps(cls, recording: Tensor | NDArray[Any], shortest: int = 80) -> "Mask":
        """That of a recording (..., samples) which is exactly 0 where it was lost.

        Args:
            recording: real samples.
            shortest: run of zeros that is a gap, in samples: 80 are 5 ms at 16 kHz.
        """
        whole("shortest", shortest, least=1)
        audio = torch.as_tensor(recording)
        silent = (audio == 0).to(torch.float32).reshape(-1, 1, audio.shape[-1])
        # A window that is all zeros, and then all that lies in one of those.
        if shortest > silent.shape[-1]:
            return cls(torch.ones(audio.shape))
        within = -functional.max_pool1d(1 - silent, shortest, 1)
        pad = shortest - 1
        lost = functional.max_pool1d(functional.pad(within, (pad, pad), value=-1.0), shortest, 1)
        return cls((lost < 0).to(torch.float32).reshape(audio.shape))

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
        response: (length,), real; or (batch, length), one for each item.

    Raises:
        ValueError: another shape, or complex numbers.
    """

    response: Tensor

    def __post_init__(self) -> None:
        kinds(self)
        if self.response.dim() not in (1, 2) or self.response.is_complex():
            raise ArgumentError(
                "Room: response must be real (length,) or (batch, length), not "
                f"{self.response.dtype} of {tuple(self.response.shape)}"
            )

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        response, samples = self.response, x0.shape[-1]
        if response.dim() == 2:
            if len(response) != len(x0):
                raise ArgumentError(
                    f"Room: {len(response)} responses cannot be those of {len(x0)} items; it needs "
                    "as many, or one of (length,)"
                )
            response = response.reshape(len(x0), *[1] * (x0.dim() - 2), -1)
        size = fast_size(samples + response.shape[-1] - 1)
        y: Tensor
        if x0.is_complex():
            y = torch.fft.ifft(torch.fft.fft(response, size) * torch.fft.fft(x0, size))
        else:
            y = torch.fft.irfft(torch.fft.rfft(response, size) * torch.fft.rfft(x0, size), size)
        return y[..., :samples]

    @override
    def adjoint(self, u: Tensor, at: Tensor) -> Tensor:
        return self(u.flip(-1)).flip(-1)  # a correlation is the convolution of what runs backwards


@dataclass(frozen=True, eq=False)
class Clipping(Operator):
    """A(x0) = x0, at most limit and at least -limit; real. Its derivative is a mask.

    Where the recording is clipped, an x0 beyond the limit says what one at the limit does. Without
    the recording an x0 that is wrongly beyond the limit has no derivative that would bring it back;
    with it, what is not clipped is taken as it is, and what is, on its side alone.

    Args:
        limit: positive, on the scale of x0.
        recording: what is measured, to broadcast with x0; `Clipping.of` makes both.
    """

    limit: float
    recording: Tensor | None = None

    linear = False

    def __post_init__(self) -> None:
        kinds(self)
        if not number("Clipping: limit", self.limit) > 0:
            raise ArgumentError(f"Clipping: limit must be positive, not {self.limit}")

    @classmethod
    def of(cls, recording: Tensor) -> "Clipping":
        """That of a recording (..., samples) whose largest values are at its limit."""
        limit = float(recording.abs().max())
        if limit == 0:
            raise ArgumentError("Clipping: the recording is silent, and says no limit")
        return cls(limit * (1 - 1e-4), recording)

    @override
    def __call__(self, x0: Tensor) -> Tensor:
        if self.recording is None:
            return x0.clamp(-self.limit, self.limit)
        side, limit = self.recording.sign(), self.recording.abs()
        return torch.where(limit < self.limit, x0, side * (side * x0).minimum(limit))

    def mask(self, at: Tensor) -> Mask:
        """Its derivative."""
        if self.recording is None:
            return Mask((at.abs() <= self.limit).to(at))
        side, limit = self.recording.sign(), self.recording.abs()
        return Mask(((limit < self.limit) | (side * at <= limit)).to(at))

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
