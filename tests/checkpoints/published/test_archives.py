"""Archives of NeMo, and files that look like them."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmse.checkpoints import published
from sgmse.checkpoints.published import _archives as archives
from sgmse.errors import CheckpointError

ARCHIVE = Path(__file__).parents[2] / "data" / "parity" / "nemo_tiny.nemo"
PLAIN = gzip.decompress(ARCHIVE.read_bytes())
CONFIG, WEIGHTS = archives.CONFIG, archives.WEIGHTS


def members() -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(PLAIN)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isreg()}


def info(name: str, size: int = 0, **attributes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    for key, value in attributes.items():
        setattr(member, key, value)
    return member


def packed(contents: dict[str, bytes] | None = None, *extra: tarfile.TarInfo) -> bytes:
    """A tar of files, and members of other kinds before them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for member in extra:
            tar.addfile(member)
        for name, data in (members() if contents is None else contents).items():
            tar.addfile(info(name, len(data)), io.BytesIO(data))
    return buffer.getvalue()


def test_it_is_read_packed_or_not(tmp_path):
    """As NeMo writes it today, as it wrote it before, and by names with and without a folder."""
    for number, data in enumerate(
        [
            PLAIN,
            ARCHIVE.read_bytes(),
            packed({k.removeprefix("./"): v for k, v in members().items()}),
        ]
    ):
        path = tmp_path / f"{number}.any"
        path.write_bytes(data)
        assert archives.packed(path)
        contents = archives.unpack(path)
        assert contents["model_config"]["sampler"]["time_min"] == 1e-4
        weight = contents["state_dict"]["estimator.output_projection.weight"]
        assert weight.shape == (2, 4, 1, 1)
        torch.testing.assert_close(64 * weight, (64 * weight).round())
        np.testing.assert_array_equal(
            weight, contents["state_dict"]["sampler.estimator.output_projection.weight"]
        )


def test_what_is_an_archive(tmp_path):
    checkpoint = tmp_path / "model.ckpt"
    torch.save({}, checkpoint)
    assert not archives.packed(checkpoint)
    assert not archives.packed(tmp_path / "absent.nemo")
    assert not archives.packed(tmp_path)


def test_numbers_as_nemo_reads_them(tmp_path):
    config = b"{a: 1e-4, b: [2E+3, 1.5, text, 0x10], c: 1e-4x}"
    (tmp_path / "x.nemo").write_bytes(packed(members() | {f"./{CONFIG}": config}))
    settings = archives.unpack(tmp_path / "x.nemo")["model_config"]
    assert settings == {"a": 1e-4, "b": [2000.0, 1.5, "text", 16], "c": "1e-4x"}


def bomb(pax: bool) -> bytes:
    """A compressed archive of which a member, or a header, would unpack to 40 MB of zeros."""
    size = 4 * 10**7
    head = info("././@PaxHeader" if pax else f"./{WEIGHTS}", size, type=b"x" if pax else b"0")
    return gzip.compress(head.tobuf(tarfile.USTAR_FORMAT) + bytes(size), 9)


def negative() -> bytes:
    """A member of -512 bytes, after which a reader would stand where it was."""
    head = bytearray(info("x").tobuf(tarfile.USTAR_FORMAT))
    head[124:136] = b"\xff" * 10 + b"\xfe\x00"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(1024)


def references() -> bytes:
    """Tables that take in the one before nine times each: 9^40 entries in 2 kB."""
    lines = ["- &a0 {k0: 0}"]
    lines += [f"- &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 41)]
    return "\n".join(lines).encode()


def truncated() -> bytes:
    begin = PLAIN.index(b"model_weights.ckpt")
    return PLAIN[: begin + 20_000]


MANY = [info(f"{i}") for i in range(11)]
HOSTILE = {
    "not an archive": (b"just some text, and no tar", "no archive of NeMo .* damaged"),
    "empty": (b"", "no archive of NeMo"),
    "truncated": (truncated(), "is truncated; copy it again"),
    "a truncated gzip": (ARCHIVE.read_bytes()[:9000], "no archive of NeMo"),
    "no weights": (packed({f"./{CONFIG}": b"a: 1"}), f"it has no {WEIGHTS}"),
    "nothing": (packed({}), f"it has no {CONFIG} and no {WEIGHTS}"),
    "a path out": (packed(None, info("../../etc/x")), r"'../../etc/x' leads out of it"),
    "an absolute path": (packed(None, info("/etc/x")), "'/etc/x' leads out of it"),
    "a path of Windows": (packed(None, info("..\\x")), "leads out of it"),
    "a drive": (packed(None, info("c:x")), "leads out of it"),
    "a link": (
        packed({f"./{CONFIG}": b"a: 1"}, info(f"./{WEIGHTS}", type=b"2", linkname="/etc/passwd")),
        "is a link or a device",
    ),
    "a hard link": (packed(None, info("y", type=b"1", linkname="x")), "is a link or a device"),
    "a device": (packed(None, info("y", type=b"3")), "is a link or a device"),
    "holes": (packed({f"./{CONFIG}": b"a: 1"}, info(WEIGHTS, type=b"S")), "is no plain file"),
    "a folder for the config": (packed(None, info(CONFIG, type=b"5")), "is no plain file"),
    "twice": (packed({f"./{CONFIG}": b"a: 1", CONFIG: b"a: 1"}), "is there twice"),
    "a large config": (packed({CONFIG: b"#" * (2**20 + 1)}), "has 1048577 bytes, more than"),
    "an empty config": (packed({CONFIG: b""}), "has 0 bytes"),
    "weights that unpack": (bomb(pax=False), "has 40000000 bytes|more than 20 times its size"),
    "headers that unpack": (bomb(pax=True), "it has a header of 4000\\d+ bytes"),
    "a negative size": (negative(), "no archive of NeMo"),
    "a config with references": (packed(members() | {f"./{CONFIG}": references()}), "refers to"),
    "a config of code": (
        packed(members() | {f"./{CONFIG}": b"!!python/object/apply:os.system [exit 1]"}),
        "no archive of NeMo .* could not determine a constructor",
    ),
    "a deep config": (packed(members() | {f"./{CONFIG}": b"[" * 10**4}), "no archive of NeMo"),
    "a config of no table": (packed(members() | {f"./{CONFIG}": b"- 1"}), "a list, not a table"),
    "a config of bytes": (packed(members() | {f"./{CONFIG}": b"\xff\xfe\xff"}), "no archive"),
    "weights of text": (
        packed(members() | {f"./{WEIGHTS}": b"text"}),
        "weights.ckpt is no checkpoint",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile(kind, tmp_path):
    data, says = HOSTILE[kind]
    path = tmp_path / "x.nemo"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=says) as error:
        published.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))
    assert os.listdir(tmp_path) == ["x.nemo"]  # nothing was unpacked  # noqa: PTH208


def test_a_reader_goes_on_only():
    """Newer versions of Python refuse negative sizes themselves."""
    stream = archives.Forward(io.BytesIO(bytes(100)), 100)
    stream.seek(40)
    assert (len(stream.read(10)), stream.tell()) == (10, 50)
    with pytest.raises(ValueError, match="its members overlap"):
        stream.seek(49)
    with pytest.raises(ValueError, match="a header of -1 bytes"):
        stream.read(-1)


def test_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    (tmp_path / "x.nemo").write_bytes(packed(None, *MANY))
    with pytest.raises(CheckpointError, match="more than 10 members"):
        archives.unpack(tmp_path / "x.nemo")


def test_a_large_member_that_nobody_asks_for(tmp_path):
    """It is passed over without being kept, unless the archive grows too much."""
    (tmp_path / "x.nemo").write_bytes(gzip.compress(packed({"big": bytes(10**7)} | members())))
    assert archives.unpack(tmp_path / "x.nemo")
    (tmp_path / "x.nemo").write_bytes(gzip.compress(packed({"big": bytes(4 * 10**7)} | members())))
    with pytest.raises(CheckpointError, match="more than 20 times its size"):
        archives.unpack(tmp_path / "x.nemo")
