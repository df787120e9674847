"""What a result depends on is told, and changes when it changes."""

import hashlib
import platform
from importlib.metadata import version

from sgmse.scoring.provenance import ABSENT, combined, digest, digests, machine, versions


def test_digests_follow_contents(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"one")
    b.write_bytes(b"one")
    assert digest(a) == digest(b) == hashlib.blake2b(b"one", digest_size=16).hexdigest()
    b.write_bytes(b"two")
    assert digests([a, b, a, tmp_path / "c"]) == {
        a: digest(a),
        b: hashlib.blake2b(b"two", digest_size=16).hexdigest(),
        tmp_path / "c": ABSENT,
    }


def test_a_combined_digest_knows_names_but_no_order():
    one = combined({"a": "1", "b": "2"})
    assert one == combined({"b": "2", "a": "1"})
    others = [{"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "c": "2"}]
    assert one not in map(combined, others)
    assert len(one) == 32


def test_versions_and_machine():
    told = versions()
    assert told["sgmse-toolkit"] == version("sgmse-toolkit")
    assert told["python"] == platform.python_version()
    assert told["numpy"] == version("numpy")
    assert "no-such-package" not in told
    about = machine()
    assert about["cores"] >= 1
    assert all(value != "" for value in (about["system"], about["architecture"]))
