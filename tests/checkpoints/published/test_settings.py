"""Settings of published files: their defaults, types and limits."""

from math import inf, nan

import pytest
import torch

from sgmse.checkpoints.published._settings import Settings, plain, table
from sgmse.checkpoints.published._unpickler import Stub
from sgmse.errors import CheckpointError


def test_values_and_defaults():
    s = Settings({"a": 2, "b": 0.5, "c": [1, 2], "d": None, "e": "x", "f": True})
    assert s.take("a", 1) == 2
    assert s.take("a", 1.0) == 2.0
    assert type(s.take("a", 1.0)) is float
    assert s.take("b", 1.0) == 0.5
    assert s.take("c", (5,)) == (1, 2)
    assert s.take("c", (5.0,)) == (1.0, 2.0)
    assert s.take("d", None, str) is None
    assert s.take("e", None, str) == "x"
    assert s.take("e", "y", choices=("x", "y")) == "x"
    assert s.take("f", False) is True
    assert s.take("z", 3) == 3
    assert s.take("z", None, int) is None
    assert s.take("z", ()) == ()


@pytest.mark.parametrize(
    ("value", "default", "says"),
    [
        ("1", 1, "its s is '1', not a int"),
        (1.5, 1, "its s is 1.5, not a int"),
        (True, 1, "its s is True, not a int"),
        (1, True, "its s is 1, not a bool"),
        (None, 1.0, "its s is None, not a float"),
        ([1.0], (1,), "its s is 1.0, not a int"),
        (5, (1,), "its s is 5, not a list of numbers"),
        ([1] * 65, (1,), "its s is a list, not a list of numbers"),
        (nan, 1.0, "its s is nan, which is too large"),
        (-inf, 1.0, "its s is -inf, which is too large"),
        (2**21, 1, "its s is 2097152, which is too large"),
        pytest.param(10**5000, 1, "its s is a int, which is too large", id="huge"),
        pytest.param(10**5000, 1.0, "its s is a int, not a float", id="huge float"),
        (Stub("a.b"), "x", "its s is a Stub, not a str"),
        ({"a": 1}, "x", "its s is a dict, not a str"),
        ("x" * 1000, 1, "its s is 'xxxxxxxxxx"),
    ],
)
def test_values_of_another_kind_are_named(value, default, says):
    with pytest.raises(CheckpointError) as e:
        Settings({"s": value}).take("s", default)
    assert says in str(e.value)
    assert len(str(e.value)) < 200


def test_choices_and_limits_are_named():
    with pytest.raises(CheckpointError, match="its s is 'z'; known are 'x', 'y'"):
        Settings({"s": "z"}).take("s", "x", choices=("x", "y"))
    assert Settings({"s": 5}).take("s", 1, most=5) == 5
    with pytest.raises(CheckpointError, match="its s is 6, which is too large"):
        Settings({"s": 6}).take("s", 1, most=5)
    with pytest.raises(CheckpointError, match="its s is 6, which is too large"):
        Settings({"s": [1, 6]}).take("s", (1,), most=5)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "a", [1, "a"], (None,), []])
def test_plain_values(value):
    assert plain(value)


@pytest.mark.parametrize(
    "value", [nan, 2**53, "a" * 201, [[1]], [0] * 65, {"a": 1}, b"a", Stub("a.b"), torch.ones(1)]
)
def test_values_that_no_config_holds(value):
    assert not plain(value)


def test_table():
    assert table({"a": {"b": 1, 2: 3}}, "a") == {"b": 1}
    assert table({"a": Stub("x.Dict", (), items={"b": 1})}, "a") == {"b": 1}
    for value in ({}, {"a": None}, {"a": [1]}, {"a": Stub("x.y")}):
        with pytest.raises(CheckpointError, match="it has no a"):
            table(value, "a")
