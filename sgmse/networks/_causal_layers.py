"""The layers of `CausalUNet`, which look back and carry what they have heard."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sgmse.networks._base import Memory
from sgmse.networks._slim import ChannelNorm

QUIETEST = 1e-6  # of the level: that of digital silence


class Carried:
    """The memories of the layers, read in their order and written in the same one.

    Args:
        before: of the frames before; none at the start of a recording.
    """

    def __init__(self, before: Memory | None) -> None:
        self._before = None if before is None else iter(before)
        self.after: Memory = []

    def frames(self, x: Tensor, count: int) -> Tensor:
        """x (..., frame) with the `count` frames before it, zeros at the start."""
        if count == 0:
            return x
        none = x.new_zeros((*x.shape[:-1], count))
        past = none if self._before is None else next(self._before)
        x = torch.cat([past, x], dim=-1)
        self.after.append(x[..., -count:])
        return x

    def highest(self, x: Tensor, fall: float) -> Tensor:
        """e(n) = max(x(n), e(n - 1) - fall) along the last axis."""
        if self._before is not None:
            before = next(self._before)
            x = torch.cat([torch.maximum(x[..., :1], before - fall), x[..., 1:]], dim=-1)
        lifted = fall * torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
        e = (x + lifted).cummax(dim=-1).values - lifted
        self.after.append(e[..., -1:])
        return e

    def recurrent(self, layer: nn.LSTM, x: Tensor) -> Tensor:
        """The layer along the first axis of x, from where it was."""
        state = None if self._before is None else (next(self._before), next(self._before))
        out: Tensor
        out, state = layer(x, state)
        self.after.extend(state)
        return out


class CausalConv(nn.Conv2d):
    """A convolution that looks `kernel - 1` frames back."""

    def __init__(
        self, source: int, target: int, bands: int = 3, frames: int = 2, *, stride: int = 1
    ) -> None:
        super().__init__(source, target, (bands, frames), stride=(stride, 1), padding=(1, 0))

    def heard(self, x: Tensor, carried: Carried) -> Tensor:
        out: Tensor = self(carried.frames(x, self.kernel_size[1] - 1))
        return out


class CausalResidual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time))); the first convolution looks back."""

    def __init__(self, channels: int, embedding: int, frames: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = CausalConv(channels, channels, frames=frames)
        self.time = nn.Linear(embedding, channels)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        for parameter in self.conv2.parameters():  # the block starts as the identity
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor, carried: Carried) -> Tensor:
        h = self.conv1.heard(functional.silu(self.norm1(x)), carried)
        h = h + self.time(embedding).to(h.dtype)[:, :, None, None]
        made: Tensor = self.conv2(functional.silu(self.norm2(h)))
        return x + made


class BandMixing(nn.Module):
    """x + W_2 silu(W_1 norm(x)) along the bands, with maps of their own for groups of channels."""

    def __init__(self, channels: int, bands: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.norm = ChannelNorm(channels)
        # Matrices, one group below the other, which is what an optimiser for matrices takes.
        self.first = nn.Parameter(torch.randn(groups * 2 * bands, bands) * bands**-0.5)
        self.second = nn.Parameter(torch.zeros(groups * bands, 2 * bands))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, bands, frames = x.shape
        h = self.norm(x).reshape(batch, self.groups, -1, bands, frames)
        h = h.permute(1, 0, 4, 2, 3).reshape(self.groups, -1, bands)
        first = self.first.view(self.groups, 2 * bands, bands).mT
        second = self.second.view(self.groups, bands, 2 * bands).mT
        h = functional.silu(h @ first) @ second
        h = h.view(self.groups, batch, frames, -1, bands).permute(1, 0, 3, 4, 2)
        return x + h.reshape(batch, channels, bands, frames)


class CausalPath(nn.Module):
    """An LSTM along time in each band, then what mixes the bands of each frame."""

    def __init__(self, channels: int, bands: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.lstm = nn.LSTM(channels, hidden)
        self.out = nn.Linear(hidden, channels)
        self.mixing = BandMixing(channels, bands, groups)

    def forward(self, x: Tensor, carried: Carried) -> Tensor:
        batch, channels, bands, frames = x.shape
        h = self.norm(x).permute(3, 0, 2, 1).reshape(frames, batch * bands, channels)
        h = self.out(carried.recurrent(self.lstm, h)).view(frames, batch, bands, channels)
        mixed: Tensor = self.mixing(x + h.permute(1, 3, 2, 0))
        return mixed
