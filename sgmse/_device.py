"""What goes to a device, so that neither waits for the other.

A copy from the memory of a program makes it wait for the device; one from pinned memory does not,
and is there before what is asked of the device next.
"""

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["constants", "doubled", "sent"]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without a wait for it; itself where it is there already."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def constants(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers in the precision and on the device of a tensor, where they are copied once."""
    return _kept(values, like.dtype.to_real(), like.device)


@lru_cache(maxsize=64)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # for those who want gradients, too
        return sent(torch.tensor(values, dtype=dtype), device)


def doubled(t: Tensor) -> Tensor:
    """Like t in float64: on its device, or on the host where the device has none (MPS)."""
    return t.double() if t.device.type != "mps" else t.cpu().double()
