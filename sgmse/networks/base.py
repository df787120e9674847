"""What every network is: complex spectrograms and times in, a complex spectrogram out."""

from typing import Any

from torch import Tensor, nn


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
        raise TypeError(f"{type(self).__name__} must define forward(x, y, t)")
