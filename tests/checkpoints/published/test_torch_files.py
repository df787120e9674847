"""Files of torch.save: what torch reads is what is read, and what is damaged is named."""

import functools
import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from sgmse.checkpoints.published import _torch_files as torch_files, _unpickler as unpickler
from sgmse.checkpoints.published._torch_files import read_torch as read
from sgmse.checkpoints.published._unpickler import Stub
from sgmse.errors import CheckpointError

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
DTYPES = [
    *[torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32],
    *[torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128],
]


def save(value, path: Path, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def refused(path: Path, says: str) -> None:
    with pytest.raises(CheckpointError) as e:
        read(path)
    assert says in str(e.value)
    assert str(e.value).startswith(str(path))
    assert "\n" not in str(e.value)


# What torch writes


@FORMATS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_type(tmp_path, zipped, dtype):
    x = (10 * torch.randn(3, 5)).to(dtype)
    value = read(save({"x": x, "n": x[0, 0]}, tmp_path / "file", zipped))
    assert value["x"].dtype == dtype
    assert torch.equal(value["x"], x)
    assert value["n"].shape == ()


@FORMATS
def test_tensors_of_every_layout(tmp_path, zipped):
    x = torch.arange(24.0).reshape(2, 3, 4)
    saved = {
        **{"x": x, "part": x[1:, 1], "turned": x.transpose(0, 2), "step": x[:, :, ::2]},
        **{"empty": x[:0], "nothing": torch.empty(0), "parameter": torch.nn.Parameter(x)},
        "last": x[None].to(memory_format=torch.channels_last),
    }
    value = read(save(saved, tmp_path / "file", zipped))
    for name, tensor in saved.items():
        assert torch.equal(value[name], tensor), name
        assert value[name].stride() == tensor.stride(), name
    assert len({value[name].untyped_storage().data_ptr() for name in ("x", "part", "step")}) == 1


@FORMATS
def test_a_training_state(tmp_path, zipped):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    moments = {i: {"step": torch.tensor(3.0), "exp_avg": p} for i, p in enumerate(net.parameters())}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1, 2, 3]}]
    optimiser = {"state": moments, "param_groups": groups}
    saved = {"net": net.state_dict(), "optimiser": optimiser, "epoch": 3}
    value = read(save(saved, tmp_path / "file", zipped))
    assert value["epoch"] == 3
    assert list(value["net"]) == list(saved["net"])
    assert all(torch.equal(value["net"][name], x) for name, x in saved["net"].items())
    assert value["optimiser"]["param_groups"] == groups
    assert torch.equal(value["optimiser"]["state"][3]["exp_avg"], moments[3]["exp_avg"])


def test_a_checkpoint_of_lightning(parity):
    value = read(parity / "official_tiny.ckpt")
    assert list(value)[:4] == ["epoch", "global_step", "pytorch-lightning_version", "state_dict"]
    data_module = value["hyper_parameters"]["data_module_cls"]
    assert isinstance(data_module, Stub)
    assert data_module.name == "sgmse.data_module.SpecsDataModule"


def test_the_file_is_not_read_before_it_is_needed(tmp_path):
    x = torch.zeros(2**20)
    value = read(save({"x": x, "y": x}, tmp_path / "file"))
    assert value["x"].data_ptr() == value["y"].data_ptr()
    value["x"][0] = 1  # of this mapping alone
    assert read(tmp_path / "file")["x"][0] == 0


def test_no_warnings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(save({"x": torch.ones(3)}, tmp_path / "file"))


# What was made by hand


class Storage:
    """A storage by its name, of whatever form."""

    def __init__(self, key="0", count=6, kind=torch.FloatStorage, *more):
        self.name = ("storage", kind, key, "cpu", count, *more)


class Tensor:
    def __init__(self, storage: Storage, offset=0, size=(6,), stride=(1,)):
        self.arguments = storage, offset, size, stride, False, OrderedDict()

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.name if isinstance(value, Storage) else None


def pickled(value) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def archive(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED, **records) -> Path:
    """A zip archive with that data.pkl, six numbers, and more records."""
    own = {"archive/data.pkl": data, "archive/data/0": torch.arange(6.0).numpy().tobytes()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in (own | records).items():
            file.writestr(name, content)
    return path


def test_an_archive_by_hand(tmp_path):
    path = archive(tmp_path / "file", pickled({"x": Tensor(Storage())}))
    assert torch.equal(read(path)["x"], torch.arange(6.0))
    path = archive(tmp_path / "file", pickled({"x": Tensor(Storage(), 1, (2, 2), (3, 1))}))
    assert torch.equal(read(path)["x"], torch.tensor([[1.0, 2.0], [4.0, 5.0]]))


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (Tensor(Storage(count=7)), "a storage of 7 numbers is larger than its record"),
        (Tensor(Storage(count=2**62)), "is larger than its record"),
        (Tensor(Storage(count=2**80)), "is larger than its record"),
        (Tensor(Storage(count=-1)), "is larger than its record"),
        (Tensor(Storage(kind=torch.DoubleStorage)), "is larger than its record"),
        (Tensor(Storage(), size=(7,)), "reaches beyond its storage"),
        (Tensor(Storage(), offset=1), "reaches beyond its storage"),
        (Tensor(Storage(), size=(2, 3), stride=(4, 1)), "reaches beyond its storage"),
        (Tensor(Storage(), size=(2**40,), stride=(0,)), "reaches beyond its storage"),
        (Tensor(Storage(), offset=-1, size=(1,)), "has no shape"),
        (Tensor(Storage(), stride=(-1,)), "has no shape"),
        (Tensor(Storage("1")), "it lacks its record archive/data/1"),
        (Tensor(Storage("../data/0")), "it lacks its record archive/data/../data/0"),
        (Tensor(Storage("0", 6, torch.FloatStorage, (1, 2))), "a storage where none can be"),
        (Tensor(Storage(kind=torch.QInt8Storage)), "numbers of the unknown type"),
        (Tensor(Storage(kind=list)), "numbers of the unknown type"),
        (Tensor(Storage(kind="float")), "persistent object that is no storage"),
        (Tensor("no storage"), "a tensor in it is none"),
    ],
)
def test_tensors_that_are_not_in_the_file(tmp_path, tensor, says):
    refused(archive(tmp_path / "file", pickled({"x": tensor})), says)


def test_a_storage_of_a_truncated_record(tmp_path):
    """The directory says more than the file has."""
    path = archive(tmp_path / "file", pickled({"x": Tensor(Storage(count=2**20))}))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"archive/data/0") - 46
    struct.pack_into("<2I", data, entry + 20, 2**22, 2**22)
    path.write_bytes(data)
    refused(path, "its record archive/data/0 is truncated")


class Harm:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "harm",
    [
        lambda mark: Harm(os.system, f"touch {mark}"),
        lambda mark: Harm(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Harm(exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Harm(functools.partial(os.system, f"touch {mark}")),
        lambda mark: {"deep": [Harm(map, Harm(os.system, f"touch {mark}"), [])]},
        lambda mark: Harm(Path.touch, mark),
        lambda mark: Harm(getattr, Harm(Path, str(mark)), "touch"),
    ],
)
def test_nothing_in_a_file_is_run(tmp_path, harm, zipped):
    mark = tmp_path / "mark"
    held = {"state_dict": {}, "x": harm(mark)}
    path = save(held, tmp_path / "file.ckpt", zipped)
    try:
        assert isinstance(read(path)["x"], Stub)
    except CheckpointError as error:
        assert "where it is unpickled; do not open it" in str(error)  # noqa: PT017
    assert not mark.exists()


def test_harm_is_named(tmp_path):
    path = save({"x": Harm(os.system, "touch mark")}, tmp_path / "file.ckpt")
    refused(path, "it would call posix.system where it is unpickled; do not open it")


# What is no such file


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read"),
        (b"RIFF....WAVEfmt ", "it is no file of torch.save"),
        (b"PK\x03\x04", "may be damaged"),
        (b"PK\x03\x04" + bytes(100), "File is not a zip file"),
        (b"PK\x05\x06" + bytes(18), "it is no file of torch.save"),
        (b"\x80", "may be damaged"),
        (pickle.dumps({"a": 1}), ""),
        (pickle.dumps(5), ""),
    ],
)
def test_what_is_no_checkpoint_is_one_line(tmp_path, content, says):
    (tmp_path / "file").write_bytes(content)
    refused(tmp_path / "file", says)


def test_what_cannot_be_opened(tmp_path):
    refused(tmp_path / "nowhere", "cannot be read (")
    refused(tmp_path, "cannot be read (")


@pytest.mark.parametrize("value", [[1], torch.ones(1), None, OrderedDict])
def test_what_holds_no_dictionary(tmp_path, value):
    refused(save(value, tmp_path / "file"), "not a dictionary")


@FORMATS
def test_a_truncated_file(tmp_path, zipped):
    path = save({"x": torch.randn(50), "y": {"a": [1, "b"]}}, tmp_path / "file", zipped)
    whole = path.read_bytes()
    for length in [*range(1, 200, 7), *range(200, len(whole), 61), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path, "is no checkpoint that can be read: ")


def test_compressed_records_are_refused(tmp_path):
    """A few bytes of them may stand for many."""
    bomb = pickled({"x": "a" * 10**6})
    path = archive(tmp_path / "file", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 5000
    refused(path, "its record archive/data.pkl is compressed or encrypted")


def test_archives_of_other_kinds(tmp_path):
    with zipfile.ZipFile(tmp_path / "file", "w") as file:
        file.writestr("word/document.xml", "x")
    refused(tmp_path / "file", "a zip archive without a record data.pkl")
    path = archive(tmp_path / "file", pickled({}), **{"other/data.pkl": b"x"})
    refused(path, "a zip archive without a record data.pkl")


def test_limits(tmp_path, monkeypatch):
    path = save({"x": torch.ones(3)}, tmp_path / "file")
    monkeypatch.setattr(torch_files, "MOST_RECORDS", 3)
    refused(path, "records, more than 3")
    monkeypatch.undo()
    monkeypatch.setattr(unpickler, "LARGEST_PICKLE", 50)
    for zipped in (True, False):
        path = save({"x": "a" * 60}, tmp_path / "file", zipped)
        refused(path, "its pickle is truncated, or has more than 50 bytes")


def test_another_order_of_bytes(tmp_path):
    path = archive(tmp_path / "file", pickled({}), **{"archive/byteorder": b"big"})
    refused(path, "written on a machine with another order of bytes")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    held = {"x": torch.arange(6.0), "y": OrderedDict(a=(1, 2.5, None, "text"), b=[True])}
    return [save(held, folder / name, zipped).read_bytes() for name, zipped in (("a", 1), ("b", 0))]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path, small, data):
    content = bytearray(data.draw(st.sampled_from(small)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(content), 1200) - 1))
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "file").write_bytes(content)
    try:
        assert isinstance(read(tmp_path / "file"), dict)
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
