"""What every network is: complex spectrograms and times in, a complex spectrogram out.

One adds a network by one file with a `Network` in it that defines `real_valued`, or `forward` if it
computes with complex numbers.
"""

from abc import abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import override

from sgmse.errors import ArgumentError, ArgumentTypeError

__all__ = ["Advance", "Memory", "Network", "complex_like", "real_parts"]

#: What a causal network has heard: tensors, in the order of its layers.
Memory: TypeAlias = list[Tensor]


class Network(nn.Module):
    """net(x, y, t) -> a tensor like x.

    Attributes:
        divisor: frequencies and frames of the input must be multiples of these two numbers; whoever
            calls the network pads to them.
        observations: how many spectrograms y holds; with 0, of a prior of clean audio, y may be
            None, and what it is makes no difference.
        two_times: whether `forward` takes a second time, to which a step leads.
        causal: whether a frame of the output depends on frames up to it alone; then `advance` takes
            the frames of a recording piece by piece.
        config: JSON-able arguments that rebuild the network, `type(net)(**net.config)`; for a
            constructor, `self.arguments(locals())`.
    """

    divisor: tuple[int, int] = (1, 1)
    observations: int = 1
    two_times: bool = False
    causal: bool = False
    config: dict[str, Any]

    def forward(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        """The output at the state x, given the observation y, at the times t.

        Shape:
            x: complex (batch, 1, frequency, frame); so is the result.
            y: the same, with `observations` spectrograms along the channel axis.
            t: (batch,), times in [0, 1].

        Raises:
            TypeError: x or y is not complex.
            ValueError: other shapes, and sizes that `divisor` does not divide.
        """
        y = self.seen(x, y)
        self._check(x, y, t)
        parts = real_parts(x), real_parts(*torch.split(y, 1, dim=1))
        return complex_like(self.real_valued(*parts, t), x)

    def seen(self, x: Tensor, y: Tensor | None) -> Tensor:
        """What it is given of y: nothing, (batch, 0, frequency, frame), if it takes none."""
        if self.observations == 0:
            return x[:, :0]
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} takes an observation, and there is none; pass y, or make a "
                "network with observations=0"
            )
        return y

    def real_valued(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The same without complex numbers, for runtimes that know none.

        Shape:
            x: real (batch, 2, frequency, frame), the real part and the imaginary one; so is the
                result.
            y: (batch, 2 observations, frequency, frame), these two of one observation after the
                other.
            t: (batch,), times in [0, 1].

        Raises:
            TypeError: the network has no such form.
        """
        raise ArgumentTypeError(
            f"{type(self).__name__} has no real_valued(x, y, t), its output from real and "
            "imaginary parts; define that, or forward(x, y, t) if it is not to be exported"
        )

    def advance(
        self, x: Tensor, y: Tensor, t: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory]:
        """`real_valued` of the next frames, and what to remember for those after them.

        Args:
            x, y, t: as for `real_valued`, with any number of frames.
            memory: what this gave for the frames before; none at the start of a recording.

        Raises:
            TypeError: the network is not causal.
        """
        raise ArgumentTypeError(
            f"{type(self).__name__} hears a recording as a whole, and cannot go on frame by frame"
        )

    def advancing(self, t: float) -> "Advance":
        """`advance` at one time, of the weights of now, prepared for many frames."""
        return _Plain(self, t)

    def arguments(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the constructor, of whose `locals()` they are a part."""
        return {name: _listed(scope[name]) for name in signature(type(self)).parameters}

    def inherit(self, other: "Network") -> None:
        """Start with the weights of another network, but for those that make the output.

        So a network that refines what another has predicted begins with all that the other has
        learned of sound, and with an output that needs no training.

        Raises:
            ValueError: it cannot, or not from one of that shape.
        """
        raise ArgumentError(
            f"{type(self).__name__} does not start from another network; leave the choice out"
        )

    def imitate(self, other: "Network", size: float = 1.0) -> None:
        """Start as what another network, a predictor, says of the observation y alone:

            net(x, y / size, t) = other(y, y, 1) / size     for all x and t

        So a model of a process begins with an estimate of clean audio at all its times. `size` is
        what its parametrization divides observation and output by (`Parametrization.data_size`).

        Raises:
            ValueError: it cannot, or not so as one of that shape.
        """
        raise ArgumentError(
            f"{type(self).__name__} does not start as another network; leave the choice out"
        )

    def published_keys(self) -> dict[str, str]:
        """The key of each of ours in the files of the published network of which this is a copy.

        `net.load_state_dict({ours: published[theirs] for ours, theirs in keys.items()})` reads one.
        """
        return {key: key for key in self.state_dict()}

    def _check(self, x: Tensor, y: Tensor, t: Tensor) -> None:
        """Refuse inputs of other types, shapes and sizes than those of `forward`."""
        if not (x.is_complex() and y.is_complex()):
            raise ArgumentTypeError(
                f"x and y must be complex spectrograms; got {x.dtype} and {y.dtype}"
            )
        shape = (len(x), self.observations, *x.shape[2:])
        if x.ndim != 4 or x.shape[1] != 1 or y.shape != shape:
            raise ArgumentError(
                f"x must have the shape (batch, 1, frequency, frame), and y (batch, "
                f"{self.observations}, frequency, frame); got {tuple(x.shape)} and "
                f"{tuple(y.shape)}; the channels of a recording belong on the batch axis"
            )
        if t.shape != x.shape[:1]:
            raise ArgumentError(
                f"t must have shape (batch,) = ({x.shape[0]},); got {tuple(t.shape)}, "
                "use t.expand(batch) for a common time"
            )
        self._check_sizes(x)

    def _check_sizes(self, x: Tensor) -> None:
        """Refuse frequencies and frames that are none, or no multiples of `divisor`."""
        axes = zip(("frequencies", "frames"), x.shape[2:], self.divisor, strict=True)
        for axis, size, divisor in axes:
            if size == 0 or size % divisor:
                raise ArgumentError(
                    f"{size} {axis} are not a multiple of {divisor}; "
                    f"pad them to {max(-(-size // divisor), 1) * divisor}"
                )


class Advance(nn.Module):
    """`Network.advance` at one time, whose memories are its own.

    Args:
        t: the time, in [0, 1].
    """

    def __init__(self, t: float) -> None:
        super().__init__()
        self.t = t

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """The output of the next frames, and what to remember for those after them.

        Shape:
            x: real (batch, 2, frequency, frame); so is the result.
            y: (batch, 2 observations, frequency, frame).
        """


class _Plain(Advance):
    """Of a network that prepares nothing."""

    def __init__(self, network: Network, t: float) -> None:
        super().__init__(t)
        self.network = network

    @override
    def forward(self, x: Tensor, y: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        return self.network.advance(x, y, x.new_full(x.shape[:1], self.t), memory)


def _listed(value: Any) -> Any:
    """A value with lists for its tuples, as JSON gives it back."""
    return [_listed(entry) for entry in value] if isinstance(value, list | tuple) else value


def real_parts(*spectrograms: Tensor) -> Tensor:
    """[Re, Im] of each of n complex (batch, 1, f, n): real (batch, 2 n, f, n)."""
    return torch.cat([part for s in spectrograms for part in (s.real, s.imag)], dim=1)


def complex_like(h: Tensor, x: Tensor) -> Tensor:
    """[Re, Im], (batch, 2, f, n), as the complex (batch, 1, f, n) that x is.

    Autocast may have computed them in another precision.
    """
    parts = h.to(x.real.dtype).permute(0, 2, 3, 1).contiguous()
    return torch.view_as_complex(parts)[:, None]
