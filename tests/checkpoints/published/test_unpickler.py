"""Pickles as data: what they hold is read, and nothing in them is ever run."""

import argparse
import builtins
import contextlib
import functools
import io
import os
import pickle
import subprocess
import sys
from collections import OrderedDict, defaultdict
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from sgmse.checkpoints.published import _unpickler as unpickler
from sgmse.checkpoints.published._damage import DAMAGE
from sgmse.checkpoints.published._unpickler import Stub, mapping
from sgmse.errors import CheckpointError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sets(st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text(), st.integers()), inner)
    ),
    max_leaves=20,
)


def unpickle(pickled: bytes, storages=None):
    return unpickler.unpickle(io.BytesIO(pickled), storages)


class Call:
    """Pickles as a call of a function, and as an object with a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = function, arguments, state

    def __reduce__(self):
        return self.reduced


def calls(function, *arguments, state=None) -> bytes:
    return pickle.dumps({"a": 1, "b": Call(function, *arguments, state=state)})


# Data


def kinds(value):
    """The types in a value."""
    inside = value.values() if isinstance(value, dict) else value
    deeper = [kinds(v) for v in inside] if isinstance(value, list | tuple | dict) else []
    return type(value), deeper


@settings(max_examples=60, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, 5))
def test_plain_data_is_read(value, protocol):
    read = unpickle(pickle.dumps(value, protocol))
    assert read == value
    assert kinds(read) == kinds(value)


def test_values_that_are_the_same_stay_the_same():
    shared = [1]
    shared.append(shared)
    read = unpickle(pickle.dumps({"a": shared, "b": shared}))
    assert read["a"] is read["b"] is read["a"][1]


def test_what_the_training_code_puts_beside():
    counts = defaultdict(list, a=[1])
    value = OrderedDict(a=1, b=OrderedDict(c=torch.Size([2, 3])), d=counts)
    read = unpickle(pickle.dumps(value, 2))
    assert read == {"a": 1, "b": {"c": (2, 3)}, "d": {"a": [1]}}
    assert list(read) == ["a", "b", "d"]


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_scalars_of_numpy(kind, protocol):
    read = unpickle(pickle.dumps(np.dtype(kind).type(1), protocol))
    assert read == 1
    assert type(read) in (float, int, bool)


def test_a_scalar_of_another_type_is_a_note():
    assert unpickle(pickle.dumps(np.datetime64("2024-01-01"))).name == "numpy.scalar"


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (argparse.Namespace, "argparse.Namespace"),
        (PurePosixPath("a/b"), "pathlib.PurePosixPath"),
        (torch.device("cpu"), "torch.device"),
        (functools.partial(max, 1), "functools.partial"),
        (1j, "builtins.complex"),
        (os.system, f"{os.system.__module__}.system"),  # named, not called
        (np.random.RandomState(0), "__randomstate_ctor"),
    ],
)
def test_the_rest_is_a_note(value, name, protocol):
    note = unpickle(pickle.dumps(value, protocol))
    assert isinstance(note, Stub)
    assert note.name.replace("__builtin__", "builtins").endswith(name.split(".")[-1])
    assert len(repr(note)) < 100


def test_attributes_and_items_of_a_note():
    note = unpickle(pickle.dumps(argparse.Namespace(a=1, b=[2]), 2))
    assert note.name == "argparse.Namespace"
    assert note.state == mapping(note) == {"a": 1, "b": [2]}
    note = unpickle(b"ca\nDict\n)\x81X\x01\x00\x00\x00kK\x05s.")
    assert (note.name, note.arguments, note.items) == ("a.Dict", (), {"k": 5})
    assert mapping(note) == {"k": 5}
    note = unpickle(b"ca\nList\n)R(K\x01K\x02e.")
    assert note.entries == [1, 2]
    assert mapping(note) is None
    assert mapping([1]) is None


# Harm


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Everything that a pickle could reach cries out."""

    def cry(*_, **__):
        raise AssertionError("it was called")

    for module, name in ((os, "system"), (subprocess, "Popen"), (builtins, "eval")):
        monkeypatch.setattr(module, name, cry)
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)


def cry(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a function by name, written by hand."""
    strings = b"".join(b"\x8c" + bytes([len(a)]) + a.encode() for a in arguments)
    return b"\x80\x04}\x8c\x01a" + f"c{module}\n{name}\n".encode() + b"(" + strings + b"tRs."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *[("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "execv")],
        *[("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval")],
        *[("builtins", "__import__"), ("builtins", "open"), ("builtins", "compile")],
        *[("subprocess", "Popen"), ("subprocess", "check_output"), ("shutil", "rmtree")],
        *[("importlib", "import_module"), ("runpy", "run_path"), ("sys", "exit")],
        *[("ctypes", "CDLL"), ("socket", "create_connection"), ("pty", "spawn")],
    ],
)
def test_harm_is_refused(trap, module, name):
    with pytest.raises(CheckpointError, match=f"it would call {module}.{name} where"):
        unpickle(cry(module, name, "touch x"))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *[("builtins", "getattr"), ("builtins", "map"), ("operator", "attrgetter")],
        *[("functools", "partial"), ("io", "open"), ("pickle", "loads"), ("torch", "load")],
        *[("trap", "anything"), ("trap.deep", "anything"), ("nowhere", "at.all")],
        *[("torch.serialization", "load"), ("torch._utils", "_import_dotted_name")],
        *[("numpy", "load"), ("numpy.testing._private.utils", "runstring")],
        *[("collections.OrderedDict", "fromkeys"), ("torch.storage", "_load_from_bytes")],
    ],
)
def test_what_is_unknown_is_noted_and_not_run(trap, module, name):
    before = set(sys.modules)
    note = unpickle(cry(module, name, "touch x"))["a"]
    assert (note.name, note.arguments) == (f"{module}.{name}", ("touch x",))
    assert set(sys.modules) - before == set()


def test_nested_calls():
    inner = Call(getattr, Call(functools.partial, print), "func")
    note = unpickle(calls(functools.reduce, inner))["b"]
    assert note.arguments[0].arguments[0].name == "functools.partial"
    with pytest.raises(CheckpointError, match=r"it would call .*system"):
        unpickle(calls(functools.reduce, Call(map, Call(os.system, "x"), [1])))


def test_the_result_of_a_note_is_no_function(trap):
    """getattr(os, "system")("x"): a call of what a call gave."""
    with pytest.raises(CheckpointError, match=r"it would call os.system"):
        unpickle(b"cos\nsystem\n)RX\x01\x00\x00\x00x\x85R.")
    note = unpickle(b"ca\nb\n)R)R.")
    assert (note.name, note.arguments) == ("a.b", ())


@pytest.mark.parametrize(
    "function", ["collections\nOrderedDict", "torch._utils\n_rebuild_parameter", "builtins\nset"]
)
def test_a_state_is_never_set(trap, function):
    """BUILD would update attributes, or call __setstate__; of what we make it does nothing."""
    argument = {"collections": b"]", "torch._utils": b"}", "builtins": b"]"}
    first = argument[function.split("\n")[0]]
    state = b"}X\x09\x00\x00\x00__class__cos\nsystem\ns"
    more = b"\x89}\x87" if "parameter" in function else b"\x85"
    made = unpickle(b"c" + function.encode() + b"\n" + first + more + b"R" + state + b"b.")
    assert type(made) in (dict, set)
    assert not made


def test_a_class_is_never_made(trap):
    with pytest.raises(CheckpointError, match=r"it would call subprocess.Popen"):
        unpickle(b"\x80\x02csubprocess\nPopen\n]\x85\x81.")
    with pytest.raises(CheckpointError, match=r"it would call subprocess.Popen"):
        unpickle(b"\x80\x04csubprocess\nPopen\n]\x85}\x92.")
    assert unpickle(b"\x80\x04ca\nB\n]\x85}\x92.").arguments == ([],)


@pytest.mark.parametrize(
    ("opcodes", "says"),
    [
        (b"\x82\x01.", "EXT1"),  # the extension registry
        (b"\x83\x01\x00.", "EXT2"),
        (b"\x84\x01\x00\x00\x00.", "EXT4"),
        (b"Pstorage\n.", "PERSID"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cos\nsystem\no.", "OBJ"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"K\x01K\x02R.", "it calls what is no function"),
        (b"ca\nb\nK\x01R.", "it calls what is no function"),
        (b"K\x01K\x02a.", "it appends to a int"),
        (b"]K\x01K\x02s.", "it sets items of a list"),
        (b"}]K\x02s.", "it has a list as a key"),
        (b"}]\x85K\x02s.", "it has a tuple as a key"),
        (b"\x8f(]\x90.", "it has a list as a key"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "it encodes text"),
    ],
)
def test_instructions_that_torch_never_writes(trap, opcodes, says):
    with pytest.raises(CheckpointError, match=says):
        unpickle(opcodes)


def persistent(
    word: str = "storage",
    kind: bytes = b"ctorch\nFloatStorage\n",
    key: bytes = b"\x8c\x010",
    count: bytes = b"K\x01",
) -> bytes:
    """A pickle of a storage by its name; kind, key and count are opcodes."""
    begin = b"(\x8c" + bytes([len(word)]) + word.encode()
    return begin + kind + key + b"\x8c\x03cpu" + count + b"tQ."


@pytest.mark.parametrize(
    "pickled",
    [
        *[b"K\x01Q.", b")Q.", b"\x8c\x010Q."],
        persistent("module"),
        persistent(kind=b"\x8c\x01f"),
        persistent(kind=b"ctorch\nFloatStorage\n)R"),
        persistent(kind=b"ctorch\nQInt8Storage\n"),
        persistent(key=b"K\x00"),
        persistent(count=b"N"),
        persistent(count=b""),
    ],
)
def test_persistent_names_of_another_form(pickled):
    with pytest.raises(CheckpointError, match=r"persistent object that is no|unknown type"):
        unpickle(pickled, lambda *_: torch.zeros(1))


def test_a_storage_where_none_can_be():
    assert torch.equal(unpickle(persistent(), lambda *_: torch.ones(1)), torch.ones(1))
    with pytest.raises(CheckpointError, match="it has a storage where none can be"):
        unpickle(persistent())
    with pytest.raises(CheckpointError, match="it has a storage where none can be"):
        unpickle(persistent(count=b"K\x01K\x02"), lambda *_: torch.ones(1))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        *[(0, (7,), (1,)), (1, (6,), (1,)), (6, (1,), (1,)), (2**40, (1,), (1,))],
        *[(0, (2, 3), (4, 1)), (0, (2, 3), (3, 2)), (0, (2**40, 2**40), (0, 0))],
        *[(0, (7, 1), (0, 1)), (-1, (1,), (1,)), (0, (-1,), (1,)), (0, (2,), (-1,))],
        *[(0, (1, 1), (1,)), (0, (1,) * 17, (1,) * 17), (0.0, (1,), (1,)), (True, (1,), (1,))],
        *[(0, [1], (1,)), (0, (1,), [1]), (0, ("1",), (1,)), (0, (0, 2**63), (1, 1))],
        (0, (10**5000,), (1,)),
    ],
)
def test_a_tensor_stays_in_its_storage(offset, size, stride):
    rebuild = unpickler.CALLS["torch._utils._rebuild_tensor_v2"]
    with pytest.raises((CheckpointError, RuntimeError), match=r"a tensor (in it|of shape)"):
        rebuild(torch.arange(6), offset, size, stride, False, {})
    with pytest.raises(CheckpointError, match="a tensor in it is none"):
        rebuild([1], 0, (1,), (1,))


def test_tensors_in_their_storage():
    rebuild, storage = unpickler.CALLS["torch._utils._rebuild_tensor_v2"], torch.arange(6)
    assert torch.equal(rebuild(storage, 0, (2, 3), (3, 1)), storage.reshape(2, 3))
    assert torch.equal(rebuild(storage, 0, (3, 2), (1, 3)), storage.reshape(2, 3).T)
    assert torch.equal(rebuild(storage, 5, (), ()), torch.tensor(5))
    assert rebuild(storage, 6, (2, 0), (1, 1)).shape == (2, 0)


def test_depth_does_no_harm():
    depth = 3 * 10**4
    deep = unpickle(b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (deep,) = deep
    assert deep == []
    tuples = b")" + b"\x85" * depth
    assert type(unpickle(tuples + b".")) is tuple
    with pytest.raises(CheckpointError, match="it has a tuple as a key"):
        unpickle(b"}" + tuples + b"K\x01s.")  # whose hash would leave the stack


def test_what_repeats_itself_takes_no_memory():
    """A list of ten lists of ten lists ...: names for the same few objects."""
    laughs = b"]q\x00" + b"".join(b"](" + b"h%c" % i * 10 + b"eq%c" % (i + 1) for i in range(60))
    assert len(unpickle(laughs + b".")) == 10
    assert unpickle(b"]r\xff\xff\xff\xff.") == []  # a memo of four thousand million places


def test_long_pickles_are_refused(monkeypatch):
    monkeypatch.setattr(unpickler, "LARGEST_PICKLE", 1000)
    with pytest.raises(CheckpointError, match="is truncated, or has more than 1000 bytes"):
        unpickle(pickle.dumps(list(range(1000))))


@given(junk=st.binary(max_size=40))
def test_junk_is_an_error_or_data(junk):
    with contextlib.suppress(*DAMAGE):
        unpickle(junk)


BYTES = b"\x96\x00\x00\x00\x00\x00\x01\x00\x00."  # an array of 2^40 of them


@pytest.mark.parametrize("damaged", [b".", b"K\x01(1R.", b"h\x05.", b"K\x01K\x02\x93.", BYTES])
def test_what_takes_more_than_there_is_is_damaged(damaged):
    with pytest.raises(DAMAGE):
        unpickle(damaged)


def test_a_file_is_left_where_its_pickle_ends():
    """Framed or not, however it goes on."""
    for protocol in (2, 4):
        file = io.BytesIO(b"begin" + pickle.dumps([1, "a"], protocol) + b"and more")
        file.seek(5)
        assert unpickler.unpickle(file) == [1, "a"]
        assert file.read() == b"and more"


def test_only_instructions_that_are_known_are_there():
    """Those that a later version of Python adds would be refused."""
    assert set(unpickler.Data.dispatch) == set(unpickler.CODES.values())
    allowed = {*unpickler.VALUES, *unpickler.Data.own, "BYTEARRAY8"}
    refused = {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID"}
    refused |= {"NEXT_BUFFER", "READONLY_BUFFER"}
    assert allowed.isdisjoint(refused)
    assert allowed | refused == set(unpickler.CODES)
