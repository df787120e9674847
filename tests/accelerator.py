"""An accelerator without one: the device "meta", and a recorder of what a GPU would wait for.

Tensors on "meta" have a shape and no numbers, so that whatever asks for a number fails there, as it
would make the host wait for a GPU: `.item()`, `.tolist()`, `.cpu()`, `nonzero`, an index of true
and false, a branch on a comparison. What a GPU refuses or waits for and "meta" does not,
`Watched` refuses: operations on several devices, and copies that nobody said may be late.

    with Watched():
        solve(model, y, solver, grid)       # all of them on `DEVICE`
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
#: That copy, from one device to another.
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
#: That copy what they are given, from the host.
MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)


class Waits(AssertionError):  # noqa: N818
    """The host would wait for the device, or the device for the host."""


class _Making(TorchFunctionMode):
    """Refuses tensors that are made of numbers of Python: a copy that no operation shows."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = kwargs.get("device")
        if func in MAKERS and made is not None and torch.device(made).type == DEVICE.type:
            raise Waits(f"{func.__name__} copies numbers to the device: {args}")
        return func(*args, **kwargs)


class Watched(TorchDispatchMode):
    """Fails where operations mix devices, or copy between them without `non_blocking`.

    Numbers (tensors without axes) may be on the host: they are handed over with the operation.
    `sent` is how many copies went to the device that may be late. Not for the inference mode, which
    hides of what an operation is made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.making = _Making()

    def __enter__(self) -> "Watched":
        self.making.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.making.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        places = {x.device.type for x in given if x.ndim or x.device.type == DEVICE.type}
        if func in COPIES:
            target = kwargs.get("device") or args[0].device
            source = args[-1].device if func is torch.ops.aten.copy_.default else args[0].device
            self.copied(func, source, torch.device(target), args, kwargs)
        elif len(places) > 1:
            shapes = [(x.device.type, tuple(x.shape)) for x in given]
            raise Waits(f"{func} of several devices: {shapes}")
        return func(*args, **kwargs)

    def copied(self, func: Any, source: Any, target: Any, args: Any, kwargs: Any) -> None:
        """Judge one copy."""
        if source.type == target.type:
            return
        late = kwargs.get("non_blocking", False) or (
            func is torch.ops.aten.copy_.default and len(args) > 2 and args[2]
        )
        if target.type != DEVICE.type or not late:
            raise Waits(f"{func} copies from {source} to {target} and waits: {args[0].shape}")
        self.sent += 1
