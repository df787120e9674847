"""Gains for the bands above those of a model, from what lies below them and from what is heard.

Energies of bands in decibels, frame after frame, go in: of a recording below, of what a model made
of it, and of the recording above; gains of the bands above, 0 to 1, come out. A sibilant or a
breath in the bands below tells what to expect above (Iser and Schmidt 2003); what is heard above
tells how much of it is there. Nothing above is heard below, so that a model stays what it is.

    h = conv(energies) over `around` frames,  h = GRU(h) twice, in time,  g = sigmoid(W h + w)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sgmse.errors import ArgumentError

QUIET = -60.0  # dB around which energies lie, and SPREAD their size
SPREAD = 25.0


class BandGains(nn.Module):
    """net(below, above) -> gains, like `above`.

    Args:
        lower: bands of the recording and of the result below the edge.
        upper: bands above it.
        hidden: width of the recurrent layers.
        around: frames that a frame hears, an odd number; half of the others are later than it.
    """

    def __init__(self, lower: int = 16, upper: int = 24, hidden: int = 72, around: int = 7) -> None:
        super().__init__()
        for name, value in (("lower", lower), ("upper", upper), ("hidden", hidden)):
            if value < 1:
                raise ArgumentError(f"{name} must be at least 1, not {value}")
        if around < 1 or around % 2 == 0:
            raise ArgumentError(f"around must be an odd number of frames, not {around}")
        self.config: dict[str, Any] = {
            "lower": lower,
            "upper": upper,
            "hidden": hidden,
            "around": around,
        }
        self.lower, self.upper, self.around = lower, upper, around
        self.front = nn.Conv1d(2 * lower + upper, hidden, around)
        self.recurrent = nn.GRU(hidden, hidden, num_layers=2, batch_first=True)
        self.out = nn.Linear(2 * hidden, upper)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, 2.0)  # most of it stays

    def forward(self, below: Tensor, above: Tensor) -> Tensor:
        """Gains (batch, upper, frames).

        Args:
            below: energies in dB, (batch, 2, lower, frames): of the result and of the recording.
            above: energies of the recording in dB, (batch, upper, frames).
        """
        h = torch.cat([below.flatten(1, 2), above], dim=1)
        h = ((h - QUIET) / SPREAD).clamp(-3, 3)
        beyond = self.around // 2
        h = functional.pad(h, (beyond, beyond), mode="replicate")
        h = functional.silu(self.front(h)).transpose(1, 2)
        said, _ = self.recurrent(h)
        gains: Tensor = self.out(torch.cat([said, h], dim=2)).sigmoid()
        return gains.transpose(1, 2)
