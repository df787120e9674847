"""Models as `torchaudio.pipelines` has them: a bundle, and its `torch.nn.Module` from wave to wave.

    bundle = sgmse.pipelines.DEFAULT
    model = bundle.get_model()
    clean = model(noisy)            (..., samples), at bundle.sample_rate

For programs that are made of modules; `sgmse.load` gives the `Enhancer` itself, which takes
recordings of any kind.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sgmse._checks import kinds, rate as checked_rate
from sgmse.checkpoints import QualityName, load_model
from sgmse.enhancer import Enhancer, load
from sgmse.errors import ArgumentError, ArgumentTypeError

__all__ = ["BEST", "DEFAULT", "FAST", "Bundle", "WaveEnhancer"]


class WaveEnhancer(nn.Module):
    """An enhancer as a module: waves in, waves out, without gradients.

    Its parameters are those of the model, so that `to`, `state_dict` and `parameters` are too.

    Args:
        enhancer: what does the work.
        sample_rate: of the waves, in Hz.
    """

    def __init__(self, enhancer: Enhancer, sample_rate: int) -> None:
        super().__init__()
        self.enhancer = enhancer
        self.sample_rate = checked_rate("sample_rate", sample_rate)
        self.model = enhancer.model

    def forward(self, waves: Tensor, seed: int = 0) -> Tensor:
        """Enhance waves.

        Args:
            waves: (..., samples), floats of full scale 1; each row is a recording of its own.
            seed: of the noise that a sampler draws, the same for each row.

        Returns:
            Of the same shape, type and device.

        Raises:
            TypeError: no tensor of floats.
            ValueError: waves that are empty or not finite.
        """
        if not isinstance(waves, Tensor) or not waves.is_floating_point():
            raise ArgumentTypeError("waves must be a tensor of floats, (..., samples)")
        if not waves.numel():
            raise ArgumentError(f"waves of shape {tuple(waves.shape)} have no samples")
        with torch.no_grad():
            rows = waves.detach().reshape(-1, 1, waves.shape[-1])
            return self.enhancer(rows, self.sample_rate, seed=seed).reshape(waves.shape)


@dataclass(frozen=True)
class Bundle:
    """A model of the package, or another that `sgmse.load` finds, before it is loaded.

    Args:
        model: its name; see `sgmse.load`.
        quality: "fast", "balanced", "best" or "gentle", of a model that offers it.

    >>> Bundle(quality="fast").sample_rate
    16000
    """

    model: str = "default"
    quality: QualityName | None = None

    def __post_init__(self) -> None:
        kinds(self)

    @property
    def sample_rate(self) -> int:
        """At which the model works, in Hz; waves of others are resampled there and back."""
        return load_model(self.model, quality=self.quality).front.sample_rate

    def get_model(
        self, *, sample_rate: int | None = None, device: str | torch.device | None = None
    ) -> WaveEnhancer:
        """The module.

        Args:
            sample_rate: of the waves that it will be given, in Hz; that of the model if absent.
            device: where it runs; see `sgmse.load`.

        Raises:
            CheckpointError: there is no such model, or it is damaged.
            ValueError: there is no such device or quality; a rate that is none.
        """
        enhancer = load(self.model, quality=self.quality, device=device)
        rate = enhancer.front.sample_rate if sample_rate is None else sample_rate
        return WaveEnhancer(enhancer, rate)


DEFAULT = Bundle()
FAST = Bundle(quality="fast")
BEST = Bundle(quality="best")
