"""Pickles as data: read without running anything in them.

A pickle is a program for a stack machine, and may call any function of any module. This machine
knows only data. It is Python's own unpickler with few of its instructions, `VALUES`; those that
call, build or set are replaced. Of all that a pickle can name only the few functions in `CALLS` are
called, which rebuild tensors and plain containers. Everything else (classes of the training code,
optimisers, paths) becomes a `Stub`, a note of what the file asked for. Attributes are never set,
methods never called, modules never imported.

`torch.load(weights_only=True)` would need a second pass and a change of the whole process for each
unknown class, inflates compressed records without a bound and builds tensors of 2^40 points from
one; the unpickler of Python in C gives a pickle of ten bytes a memo of 68 GB.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from sgmse.errors import CheckpointError

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

#: The numbers of (type, key, count), (count,), for the storages that a pickle names.
Storages = Callable[[torch.dtype, str, int], Tensor]


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


def unpickle(file: IO[bytes], storages: Storages | None = None) -> Any:
    """The object of the pickle at this place of a file, which is left where the pickle ends.

    Raises:
        CheckpointError: it would do harm, or does what no file of torch does.
        Exception: it is damaged; see `sgmse.checkpoints.published._damage.DAMAGE`.
    """
    begin, content = file.tell(), io.BytesIO(file.read(LARGEST_PICKLE))
    try:
        value = Data(content, storages).load()
    except EOFError:
        raise CheckpointError(
            f"its pickle is truncated, or has more than {LARGEST_PICKLE} bytes"
        ) from None
    file.seek(begin + content.tell())
    return value


# The functions that there are


def _tensor(
    storage: Tensor,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    *_: Any,
) -> Tensor:
    if not (isinstance(storage, Tensor) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise CheckpointError("a tensor in it is none")
    numbers = (offset, *size, *stride)
    if (
        any(type(n) is not int or not 0 <= n < 2**63 for n in numbers)
        or not len(size) == len(stride) <= MOST_AXES
    ):
        raise CheckpointError("a tensor in it has no shape")
    points = prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if points and (last >= len(storage) or points > len(storage)):
        raise CheckpointError(f"a tensor of shape {list(size)[:4]} reaches beyond its storage")
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


def _pairs(flat: Sequence[Any]) -> dict[Hashable, Any]:
    """The dictionary of [key, value, key, value, ...]."""
    return _mapping(zip(flat[::2], flat[1::2], strict=True))


def _set(entries: Iterable[Any] = ()) -> set[Hashable]:
    return {_key(entry) for entry in entries}


def _bytes(text: str = "", encoding: str = "latin1") -> bytes:
    if not (isinstance(text, str) and encoding in ("latin1", "latin-1")):
        raise CheckpointError("it encodes text in another way than torch does")
    return text.encode("latin1")


def _number(dtype: Any, data: Any) -> Any:
    """A scalar of numpy as a plain one."""
    code = dtype.arguments[0] if isinstance(dtype, Stub) and dtype.arguments else None
    known = isinstance(code, str) and code[:1] in "biuf" and code[1:] in ("1", "2", "4", "8")
    if not (known and isinstance(data, bytes) and len(data) == int(str(code)[1:])):
        return Stub("numpy.scalar", (dtype, data))
    return np.frombuffer(data, f"<{code}")[0].item()


CALLS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.Size": tuple,
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
        raise CheckpointError("it calls what is no function")
    module, _, name = function.name.partition(".")
    builtin = module in ("builtins", "__builtin__") and name in HARMFUL
    if builtin or module in HARMFUL_MODULES:
        raise CheckpointError(
            f"it would call {function.name} where it is unpickled; do not open it"
        )
    if function.name in CALLS:
        return CALLS[function.name](*arguments)
    return Stub(function.name, arguments)


def _key(value: Any) -> Hashable:
    """A key of a dictionary or an entry of a set: nothing deep, since hashing is recursive."""
    plain = str, bytes, int, float, bool, type(None), Stub
    if isinstance(value, plain):
        return value
    if isinstance(value, tuple) and all(isinstance(entry, plain) for entry in value):
        return value
    raise CheckpointError(f"it has a {type(value).__name__} as a key")


# The machine

CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
#: Instructions of Python's unpickler that push, move or group values, and nothing else.
VALUES = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "EMPTY_TUPLE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST"),
    *("GLOBAL", "STACK_GLOBAL", "BINPERSID"),  # which ask `find_class` and `persistent_load`
)


def _refusal(name: str) -> Callable[[Any], None]:
    def refuse(_: Any) -> None:
        raise CheckpointError(f"its pickle has the instruction {name}, which torch never writes")

    return refuse


class Data(pickle._Unpickler):
    """The stack machine that a pickle is a program for, as far as data goes."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO, storages: Storages | None) -> None:
        super().__init__(file, encoding="latin1")
        self.storages = storages

    @override
    def find_class(self, module: str, name: str) -> Stub:
        """A note of a class or function."""
        return Stub(f"{module}.{name}")

    @override
    def persistent_load(self, name: Any) -> Tensor:
        """The storage ("storage", type, key, device, count[, None])."""
        match name:
            case ("storage", Stub(name=kind, arguments=None), str(key), str(), int(count), *view):
                if self.storages is None or view not in ([], [None]):
                    raise CheckpointError("it has a storage where none can be")
                if kind not in DTYPES:
                    raise CheckpointError(f"it has numbers of the unknown type {kind:.60}")
                return self.storages(DTYPES[kind], key, count)
        raise CheckpointError("it names a persistent object that is no storage")

    def push(self, value: Any) -> None:
        """Put a value on top."""
        self.stack.append(value)

    def call(self) -> None:
        """Put the result of a function in the place of the function and its arguments."""
        self.push(_call(self.stack.pop(-2), self.stack.pop()))

    def call_by_name(self) -> None:
        """The same, with arguments that have names."""
        if names := self.stack.pop():
            self.stack[-1] = (*self.stack[-1], names)
        self.call()

    def set_state(self) -> None:
        """Note the attributes of an object; those of a tensor or a dictionary are not needed."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Stub):
            self.stack[-1].state = state

    def extend(self, values: list[Any]) -> None:
        """Add to the list or set on top."""
        match self.stack[-1]:
            case list() as entries:
                entries.extend(values)
            case set() as members:
                members.update(_set(values))
            case Stub(entries=entries):
                entries.extend(values)
            case other:
                raise CheckpointError(f"it appends to a {type(other).__name__}")

    def update(self, flat: list[Any]) -> None:
        """Add [key, value, key, value, ...] to the dictionary on top."""
        top = self.stack[-1]
        items = top.items if isinstance(top, Stub) else top
        if not isinstance(items, dict):
            raise CheckpointError(f"it sets items of a {type(items).__name__}")
        items.update(_pairs(flat))

    own: ClassVar[Mapping[str, Callable[[Any], None]]] = {
        "REDUCE": call,
        "NEWOBJ": call,
        "NEWOBJ_EX": call_by_name,
        "BUILD": set_state,
        "APPEND": lambda self: self.extend([self.stack.pop()]),
        "APPENDS": lambda self: self.extend(self.pop_mark()),
        "ADDITEMS": lambda self: self.extend(self.pop_mark()),
        "SETITEM": lambda self: self.update([self.stack.pop(-2), self.stack.pop()]),
        "SETITEMS": lambda self: self.update(self.pop_mark()),
        "DICT": lambda self: self.push(_pairs(self.pop_mark())),
        "FROZENSET": lambda self: self.push(_set(self.pop_mark())),
    }
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **{code: _refusal(name) for name, code in CODES.items()},
        **{CODES[name]: pickle._Unpickler.dispatch[CODES[name]] for name in VALUES},
        **{CODES[name]: instruction for name, instruction in own.items()},
        # As bytes: Python makes the array before it has seen that there are so many.
        CODES["BYTEARRAY8"]: pickle._Unpickler.dispatch[CODES["BINBYTES8"]],
    }
