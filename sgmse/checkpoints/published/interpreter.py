"""Pickles, interpreted without running anything in them.

A pickle is a program for a stack machine, and may call any function of any module. This machine
knows only data: of all that a pickle can name only the few functions in `CALLS` exist here, all of
them our own, which rebuild tensors and plain containers. Everything else (classes of the training
code, optimisers, paths) becomes a `Stub`, a note of what the file asked for. Attributes are never
set, methods never called, modules never imported.
"""

import mmap
import pickletools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LARGEST_PICKLE", "PickleError", "Stub", "mapping", "unpickle"]

LARGEST_PICKLE = 2**24  # bytes; a full training state needs a tenth of it
MOST_AXES = 16
DTYPES: Mapping[str, torch.dtype] = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
}
# No training run writes these; a file that calls them was made to do harm.
HARMFUL_MODULES = {
    *("os", "posix", "nt", "subprocess", "pty", "sys", "importlib", "runpy", "shutil", "socket"),
    *("webbrowser", "ctypes"),
}
HARMFUL = {"eval", "exec", "execfile", "compile", "open", "__import__", "breakpoint", "input"}


class PickleError(ValueError):
    """Why a file cannot be read, without its name."""


@dataclass(eq=False)
class Stub:
    """What a file names and this reader does not make: a class, a function or the result of one.

    Args:
        name: with its module, such as "argparse.Namespace".
        arguments: that it was called with; None for the class or function itself.
        state: its attributes, mostly a dictionary.
        items, entries: of an object that is a dictionary or a list, too.
    """

    name: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None
    items: dict[Hashable, Any] = field(default_factory=dict)
    entries: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.name}>" if self.arguments is None else f"<{self.name}(...)>"


def mapping(value: Any) -> dict[Any, Any] | None:
    """A dictionary, or an object that is one or whose attributes are, as one; else None."""
    if isinstance(value, Stub):
        value = value.items or value.state
    return value if isinstance(value, dict) else None


def _tensor(
    storage: Tensor,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    *_: Any,
) -> Tensor:
    if not (isinstance(storage, Tensor) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise PickleError("a tensor in it is none")
    numbers = (offset, *size, *stride)
    if (
        any(type(n) is not int or not 0 <= n < 2**63 for n in numbers)
        or not len(size) == len(stride) <= MOST_AXES
    ):
        raise PickleError("a tensor in it has no shape")
    points = prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if points and (last >= len(storage) or points > len(storage)):
        raise PickleError(f"a tensor of shape {list(size)[:4]} reaches beyond its storage")
    if not points:
        return storage.new_empty(0).reshape(size)
    return storage.as_strided(size, stride, offset)


def _first(value: Any, *_: Any) -> Any:
    return value


def _mapping(pairs: Any = (), *_: Any) -> dict[Hashable, Any]:
    """OrderedDict() or OrderedDict([[key, value], ...]); defaultdict(factory) begins empty."""
    if isinstance(pairs, Stub):
        return {}
    return {
        _key(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)
    }


def _set(entries: Sequence[Any] = ()) -> set[Hashable]:
    return {_key(entry) for entry in entries}


def _bytes(text: str = "", encoding: str = "latin1") -> bytes:
    if not (isinstance(text, str) and encoding in ("latin1", "latin-1")):
        raise PickleError("it encodes text in another way than torch does")
    return text.encode("latin1")


def _number(dtype: Any, data: Any) -> Any:
    """A scalar of numpy as a plain one."""
    code = dtype.arguments[0] if isinstance(dtype, Stub) and dtype.arguments else None
    known = isinstance(code, str) and code[:1] in "biuf" and code[1:] in ("1", "2", "4", "8")
    if not (known and isinstance(data, bytes) and len(data) == int(str(code)[1:])):
        return Stub("numpy.scalar", (dtype, data))
    return np.frombuffer(data, f"<{code}")[0].item()


def _size(entries: Sequence[int] = ()) -> tuple[int, ...]:
    return tuple(entries)


CALLS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.Size": _size,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "builtins.bytes": _bytes,
    "__builtin__.bytes": _bytes,
    "_codecs.encode": _bytes,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
}


def _call(function: Any, arguments: Any) -> Any:
    """The result of a function of the file: one of ours, or a note."""
    if not isinstance(function, Stub) or not isinstance(arguments, tuple):
        raise PickleError("it calls what is no function")
    module, _, name = function.name.partition(".")
    builtin = module in ("builtins", "__builtin__") and name in HARMFUL
    if builtin or module in HARMFUL_MODULES:
        raise PickleError(f"it would call {function.name} where it is unpickled; do not open it")
    if function.name in CALLS:
        return CALLS[function.name](*arguments)
    return Stub(function.name, arguments)


def unpickle(
    source: bytes | mmap.mmap, storage: Callable[[torch.dtype, str, int], Tensor] | None = None
) -> Any:
    """The object of one pickle; a file is left where the pickle ends.

    Args:
        source: the pickle, or a file in memory that stands at its beginning.
        storage: the numbers of (dtype, key, count), (count,), for the storages that it names.

    Raises:
        PickleError: it would do harm, or does what no file of torch does.
    """
    machine = Machine(storage)
    begin = 0 if isinstance(source, bytes) else source.tell()
    for opcode, argument, position in pickletools.genops(source):  # type: ignore[arg-type]
        if (position or 0) - begin > LARGEST_PICKLE:
            raise PickleError(f"its pickle has more than {LARGEST_PICKLE} bytes")
        machine.do(opcode.name, argument)
    return machine.pop()


def _key(value: Any) -> Hashable:
    """A key of a dictionary or an entry of a set: nothing deep, since hashing is recursive."""
    plain = str, bytes, int, float, bool, type(None), Stub
    if isinstance(value, plain):
        return value
    if isinstance(value, tuple) and all(isinstance(entry, plain) for entry in value):
        return value
    raise PickleError(f"it has a {type(value).__name__} as a key")


VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
EMPTY: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}


class Machine:
    """The stack machine that a pickle is a program for, as far as data goes."""

    def __init__(self, storage: Callable[[torch.dtype, str, int], Tensor] | None) -> None:
        self.storage = storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """The topmost value."""
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise PickleError("its pickle takes more than it has")
        return self.stack.pop()

    def above_mark(self) -> list[Any]:
        """The values since the last mark."""
        begin = self.marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    def do(self, opcode: str, argument: Any) -> None:
        """One instruction."""
        push = self.stack.append
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _ if opcode in VALUES:
                push(argument)
            case _ if opcode in EMPTY:
                push(EMPTY[opcode]())
            case "MARK":
                self.marks.append(len(self.stack))
            case "POP":
                self.pop()
            case "POP_MARK":
                self.above_mark()
            case "DUP":
                push(self.stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(reversed([self.pop() for _ in range(int(opcode[-1]))])))
            case "TUPLE":
                push(tuple(self.above_mark()))
            case "LIST":
                push(self.above_mark())
            case "FROZENSET":
                push(_set(self.above_mark()))
            case "DICT":
                flat = self.above_mark()
                push({})
                self.update(flat)
            case "APPEND":
                self.extend([self.pop()])
            case "APPENDS" | "ADDITEMS":
                self.extend(self.above_mark())
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self.update([key, value])
            case "SETITEMS":
                self.update(self.above_mark())
            case "GLOBAL":
                push(Stub(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                if not (isinstance(name, str) and isinstance(module, str)):
                    raise PickleError("it names a class by what is no text")
                push(Stub(f"{module}.{name}"))
            case "REDUCE" | "NEWOBJ":
                arguments, function = self.pop(), self.pop()
                push(_call(function, arguments))
            case "NEWOBJ_EX":
                named, arguments, function = self.pop(), self.pop(), self.pop()
                push(_call(function, arguments if not named else (*arguments, named)))
            case "BUILD":
                state = self.pop()
                if isinstance(self.stack[-1], Stub):  # of a tensor or a dictionary: not needed
                    self.stack[-1].state = state
            case "BINPERSID":
                push(self.persistent(self.pop()))
            case _:
                raise PickleError(
                    f"its pickle has the instruction {opcode}, which torch never writes"
                )

    def extend(self, values: list[Any]) -> None:
        """Add to the list or set on top."""
        match self.stack[-1]:
            case list() as entries:
                entries.extend(values)
            case set() as members:
                members.update(map(_key, values))
            case Stub(entries=entries):
                entries.extend(values)
            case other:
                raise PickleError(f"it appends to a {type(other).__name__}")

    def update(self, flat: list[Any]) -> None:
        """Add [key, value, key, value, ...] to the dictionary on top."""
        target = self.stack[-1]
        items = target.items if isinstance(target, Stub) else target
        if not isinstance(items, dict):
            raise PickleError(f"it sets items of a {type(items).__name__}")
        items.update(zip(map(_key, flat[::2]), flat[1::2], strict=True))

    def persistent(self, name: Any) -> Tensor:
        """The storage ("storage", type, key, device, count[, None])."""
        match name:
            case ("storage", Stub(name=kind, arguments=None), str(key), str(), int(count), *view):
                if self.storage is None or view not in ([], [None]):
                    raise PickleError("it has a storage where none can be")
                if kind not in DTYPES:
                    raise PickleError(f"it has numbers of the unknown type {kind:.60}")
                return self.storage(DTYPES[kind], key, count)
        raise PickleError("it names a persistent object that is no storage")
