"""What every network is: complex spectrograms and times in, a complex spectrogram out."""

from typing import Any

from torch import Tensor, nn

from sgmse.errors import ArgumentError, ArgumentTypeError


class Network(nn.Module):
    """net(x, y, t) -> a tensor like x.

    Shape:
        x: complex (batch, 1, frequency, frame), the state.
        y: the observation, like x; `observations` spectrograms along the channel axis.
        t: (batch,), times in [0, 1].

    Attributes:
        divisor: frequencies and frames of the input must be multiples of these two numbers; whoever
            calls the network pads to them.
        observations: how many spectrograms y holds.
        config: JSON-able arguments that rebuild the network, `type(net)(**net.config)`.
    """

    divisor: tuple[int, int] = (1, 1)
    observations: int = 1
    config: dict[str, Any]

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The output at the state x, given the observation y, at the times t."""
        raise ArgumentTypeError(f"{type(self).__name__} must define forward(x, y, t)")

    def _check(self, x: Tensor, y: Tensor, t: Tensor) -> None:
        """Refuse inputs of other types and shapes than those above."""
        if not (x.is_complex() and y.is_complex()):
            raise ArgumentTypeError(
                f"x and y must be complex spectrograms; got {x.dtype} and {y.dtype}"
            )
        shape = (len(x), self.observations, *x.shape[2:])
        if x.ndim != 4 or x.shape[1] != 1 or y.shape != shape:
            raise ArgumentError(
                f"x must have the shape (batch, 1, frequency, frame) and y, with "
                f"{self.observations} in place of the 1, the same; got {tuple(x.shape)} and "
                f"{tuple(y.shape)}; the channels of a recording belong on the batch axis"
            )
        if t.shape != x.shape[:1]:
            raise ArgumentError(
                f"t must have shape (batch,) = ({x.shape[0]},); got {tuple(t.shape)}, "
                "use t.expand(batch) for a common time"
            )

    def _check_sizes(self, x: Tensor) -> None:
        """Refuse frequencies and frames that are none, or no multiples of `divisor`."""
        axes = zip(("frequencies", "frames"), x.shape[2:], self.divisor, strict=True)
        for axis, size, divisor in axes:
            if size == 0 or size % divisor:
                raise ArgumentError(
                    f"{size} {axis} are not a multiple of {divisor}; "
                    f"pad them to {max(-(-size // divisor), 1) * divisor}"
                )
