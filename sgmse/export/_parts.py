"""A model and its spectrogram without complex numbers, for graphs of runtimes that know none.

A complex (batch, k, frequency, frame) is real here, with an axis of two more, (batch, k, 2,
frequency, frame): its real part and its imaginary one. Processes and estimates are sums of what
they are given, so that they take these as they are; `InParts` is a network of them, `Spectra` what
a `FrontEnd` does. In these modules sizes are those of tensors and the arithmetic with them is that
of torch: a size that is known while the graph is made must not become a number in it.
"""

from math import lcm

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from sgmse.errors import ExportError
from sgmse.front import FrontEnd
from sgmse.model import Regeneration, ScoreModel, assemble
from sgmse.networks import Network
from sgmse.transforms import NOTHING, Spectrogram, strengthened


class InParts(Network):
    """net(x, y, t) on parts, x (batch, 1, 2, f, n), y (batch, observations, 2, f, n)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.divisor, self.observations = network.divisor, network.observations

    @override
    def forward(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        y = self.seen(x, y)
        return self.network.real_valued(x.flatten(1, 2), y.flatten(1, 2), t)[:, None]


def in_parts(model: ScoreModel | Regeneration) -> ScoreModel | Regeneration:
    """The same model of states, observations and estimates in parts."""
    parts = dict(model.parts)
    for name in ("network", "predictor"):
        if parts.get(name) is not None:
            parts[name] = InParts(exportable(parts[name]))
    return assemble(**parts)


def exportable(network: nn.Module) -> Network:
    """The network, if it has a form without complex numbers. Raises `ExportError`."""
    if isinstance(network, Network) and type(network).real_valued is not Network.real_valued:
        return network
    raise ExportError(
        f"{type(network).__name__} computes with complex numbers, which ONNX has not; let it be an "
        "sgmse.networks.Network that defines real_valued(x, y, t), as docs/adding/network.md shows"
    )


def spectrogram(front: FrontEnd) -> Spectrogram:
    """The transform of a front end, which is one; raises `ExportError` for another."""
    found = front.transform.spectral
    if found is None:
        raise ExportError(
            f"models of {type(front.transform).__name__} are not exported, only those of "
            "spectrograms; run it with sgmse"
        )
    return found


class Spectra(nn.Module):
    """What a `FrontEnd` does, on parts: the transform is a convolution with windowed waves.

    Args:
        front: what the model hears.
        divisor: of the frames, that of the model.
    """

    forwards: Tensor
    backwards: Tensor
    squared: Tensor

    def __init__(self, front: FrontEnd, divisor: int) -> None:
        super().__init__()
        if front.padding != "zero":
            raise ExportError(
                f"frames that are added by padding={front.padding!r} are not exported with audio; "
                "export the network alone, without --audio"
            )
        self.front, self.transform = front, spectrogram(front)
        self.multiple = lcm(front.multiple, divisor)
        window = self.transform.weights(torch.empty(0, dtype=torch.float64)).numpy()
        forwards, backwards = _waves(window)
        # Of single precision, as all is; computed in double precision.
        self.register_buffer("forwards", torch.from_numpy(forwards)[:, None].float())
        self.register_buffer("backwards", torch.from_numpy(backwards)[:, None].float())
        self.register_buffer("squared", torch.from_numpy(window**2)[None, None].float())

    def forward(self, audio: Tensor) -> Tensor:
        """As `FrontEnd.forward`: (batch, samples) to (batch, 1, 2, frequency, frame)."""
        transform, mode = (
            self.transform,
            "reflect" if self.transform.ends == "reflect" else "constant",
        )
        audio = functional.pad(audio, (0, at_least(transform.shortest - audio.shape[1], 0)))
        audio = functional.pad(audio, (0, self._covering(audio.shape[1]) - audio.shape[1]), mode)
        half = transform.n_fft // 2
        audio = functional.pad(audio[:, None], (half, half), mode)
        x = functional.conv1d(audio, self.forwards, stride=transform.hop)
        x = self.compressed(x.reshape(x.shape[0], 1, 2, transform.frequencies, -1))
        return functional.pad(x, (0, up_to(x.shape[-1], self.multiple)))

    def inverse(self, x: Tensor, samples: int) -> Tensor:
        """As `FrontEnd.inverse`: (batch, 1, 2, frequency, frame) to (batch, samples)."""
        transform = self.transform
        if self.front.tail == "cover":
            longest = at_least(samples - transform.shortest, 0) + transform.shortest
            x = x[..., : 1 + self._covering(longest) // transform.hop]
        x = self.expanded(x).reshape(x.shape[0], 2 * transform.frequencies, -1)
        audio = functional.conv_transpose1d(x, self.backwards, stride=transform.hop)
        sums = functional.conv_transpose1d(
            torch.ones_like(x[:1, :1]), self.squared, stride=transform.hop
        )
        audio = torch.where(sums > NOTHING, audio / sums.clamp(min=NOTHING), 0.0)
        half = transform.n_fft // 2
        # Behind the last frame there may be samples that no window hears.
        return functional.pad(audio[:, 0, half:], (0, transform.hop))[:, :samples]

    def compressed(self, x: Tensor) -> Tensor:
        """As `Power.compress`, (batch, 1, 2, frequency, frame)."""
        compression = self.transform.compression
        return compression.factor * x * compression.lift(magnitude(x))

    def expanded(self, x: Tensor) -> Tensor:
        """The inverse of `compressed`."""
        compression = self.transform.compression
        x = x / compression.factor
        return x * compression.lower(magnitude(x))

    def moderated(self, x: Tensor, y: Tensor, strength: float) -> Tensor:
        """As `Spectrogram.moderated`, of what is `expanded`."""
        return x if strength == 1 else x * strengthened(magnitude(x), magnitude(y), strength)

    def later(self, x: Tensor, samples: int, delay: int) -> Tensor:
        """As `FrontEnd.later`."""
        out: Tensor = self(functional.pad(self.inverse(x, samples), (delay, 0)))
        return out

    def _covering(self, samples: int) -> int:
        """As `Spectrogram.covering`, where the tail is to be covered."""
        hop, cover = self.transform.hop, self.front.tail == "cover"
        if not cover or 3 * hop <= self.transform.n_fft:
            return samples
        return samples + up_to(samples, hop)


def up_to(size: int, multiple: int) -> int:
    """What a size lacks to be a multiple; of sizes that are tensors, too."""
    return (multiple - size % multiple) % multiple


def at_least(size: int, least: int) -> int:
    """The larger one; of sizes that are tensors while a graph is made, too."""
    return size.clamp(min=least) if isinstance(size, Tensor) else max(size, least)


def magnitude(x: Tensor) -> Tensor:
    """|x| of (batch, 1, 2, ...), as (batch, 1, 1, ...); small ones do not vanish."""
    most = x.abs().amax(dim=2, keepdim=True).clamp(min=1e-30)
    magnitude: Tensor = most * (x / most).square().sum(dim=2, keepdim=True).sqrt()
    return magnitude


def _waves(window: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The kernels (2 frequencies, n_fft) of the transform and of its inverse, cosines first.

        X_k = sum_n w_n x_n e^(-2 pi i k n / N)
        x_n = w_n / N sum_k c_k (Re X_k cos(2 pi k n / N) - Im X_k sin(2 pi k n / N))

    with c = 1 for the first and the last frequency, of which the imaginary part is not heard, and
    2 for those between.
    """
    size = len(window)
    k, n = np.arange(size // 2 + 1), np.arange(size)
    phase = 2 * np.pi * (k[:, None] * n % size) / size
    twice = np.where((k == 0) | (k == size // 2), 1.0, 2.0)[:, None] / size
    heard = (k % (size // 2) != 0)[:, None]
    cos, sin = np.cos(phase), np.sin(phase)
    forwards = np.concatenate([cos, np.where(heard, -sin, 0.0)])
    backwards = np.concatenate([twice * cos, np.where(heard, -twice * sin, 0.0)])
    return forwards * window, backwards * window
