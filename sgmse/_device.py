"""What goes to a device, so that neither waits for the other.

A copy from the memory of a program makes it wait for the device; one from pinned memory does not,
and is there before what is asked of the device next.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from textwrap import shorten
from typing import Literal

import torch
from torch import Tensor, nn

from sgmse.errors import ArgumentError, DeviceError

__all__ = [
    "Precision",
    "constants",
    "doubled",
    "fetched",
    "memory_named",
    "out_of_memory",
    "placed",
    "precision",
    "sent",
]

#: "float32" is exact; "tf32" keeps 10 of 23 bits of the factors of products, on GPUs that have it;
#: "bf16" computes in bfloat16 what loses little by it.
Precision = Literal["float32", "tf32", "bf16"]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without a wait for it; itself where it is there already."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    # Where it is not pinned, MPS may read the memory when it is no longer there.
    return tensor.to(device, non_blocking=device.type != "mps")


def placed(device: str | torch.device | None, *models: nn.Module) -> torch.device:
    """Move models to a device; with None to CUDA where there is a GPU for it, else the CPU.

    Returns:
        The device.

    Raises:
        ArgumentError: there is no such device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    for model in models:
        try:
            # Convolutions are fastest with channels last, on CPUs and GPUs alike.
            model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            why = str(error).split("\n")[0].rstrip(".")
            raise ArgumentError(
                f"device {str(device)!r} is not available ({why}); use 'cpu'"
            ) from error
    return torch.device(device)


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


def fetched(tensor: Tensor) -> Callable[[], Tensor]:
    """A copy on the host that is on its way, and what waits for that copy alone."""
    if tensor.device.type != "cuda":
        there = tensor.cpu()
        return lambda: there
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    there.copy_(tensor, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    # After the copy, before what is asked of the device next.
    arrived.record(torch.cuda.current_stream(tensor.device))

    def wait() -> Tensor:
        arrived.synchronize()
        return there

    return wait


def certain(answer: Tensor) -> bool:
    """What a device says of a question, for which the host waits."""
    return bool(answer)


def out_of_memory(error: BaseException) -> str | None:
    """What an error says, if it is of memory; torch has a class of error for GPUs alone."""
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    problem = shorten(str(error), 200, placeholder=" ...") or "out of memory"
    return problem if re.search("out of memory|allocate memory", problem) else None


@contextmanager
def memory_named(remedy: str) -> Iterator[None]:
    """Raise `DeviceError`, with what to do, where memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        problem = out_of_memory(error)
        if problem is None:
            raise
        raise DeviceError(f"{problem}; {remedy}") from error


@contextmanager
def precision(device: torch.device, name: Precision) -> Iterator[None]:
    """How networks multiply meanwhile, said outright: torch has TF32 for convolutions by default.

    As torch has one setting of TF32 for all threads, those that are in the block at a time ask for
    the same; the last one to leave it puts back what was before the first one.
    """
    half = torch.autocast(device.type, torch.bfloat16) if name == "bf16" else nullcontext()
    if device.type != "cuda":
        with half:
            yield
        return
    _TF32.enter(name != "float32")
    try:
        with half:
            yield
    finally:
        _TF32.leave()


class _Tf32:
    """The settings of torch, and how many blocks have changed them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within, self._before = 0, (True, False)

    def enter(self, allowed: bool) -> None:
        convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
        with self._lock:
            if self._within == 0:
                self._before = convolutions.allow_tf32, products.allow_tf32
            self._within += 1
            convolutions.allow_tf32 = products.allow_tf32 = allowed

    def leave(self) -> None:
        convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
        with self._lock:
            self._within -= 1
            if self._within == 0:
                convolutions.allow_tf32, products.allow_tf32 = self._before


_TF32 = _Tf32()
