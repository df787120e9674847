"""What the readers of published checkpoints share."""

from functools import partial
from math import inf, nan

import pytest
import torch
from tiny import network

from sgmse.checkpoints.published.interpreter import Stub
from sgmse.checkpoints.published.settings import (
    Settings,
    averaged,
    built,
    fill,
    load_weights,
    only,
    plain,
    table,
)
from sgmse.errors import CheckpointError
from sgmse.networks import NCSNpp
from sgmse.networks.base import Network


class Small(Network):
    """Three parameters, of which the second is not trained, and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(2))
        self.b = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
        self.c = torch.nn.Parameter(torch.zeros(2, 2))
        self.register_buffer("count", torch.tensor(0))
        self.config = {}


KEYS = {"a": "first", "b": "W", "c": "last", "count": "num"}


def held(*shadow: torch.Tensor | None) -> dict:
    state = {
        "net.first": torch.ones(2),
        "net.W": torch.ones(3),
        "net.last": torch.ones(2, 2),
        "net.num": torch.tensor(5),
    }
    return {"state_dict": state} | ({"ema": {"shadow_params": list(shadow)}} if shadow else {})


def two(*shape: int) -> torch.Tensor:
    return torch.full(shape, 2.0)


# Settings


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


def test_what_was_not_asked_for():
    s = Settings({"a": 1, "b": 2, "c": Stub("x.y"), "d": [1, 2]})
    s.take("a", 5)
    s.take("z", 5)
    assert s.rest() == {"b": 2, "d": [1, 2]}


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


# Weights


def test_a_network_is_built_without_drawing_its_weights():
    before, make = torch.get_rng_state(), partial(NCSNpp, channels=8, multipliers=(1, 2), blocks=1)
    net = built(make)
    assert torch.equal(torch.get_rng_state(), before)
    shapes = {name: (p.shape, p.requires_grad) for name, p in net.named_parameters()}
    assert shapes == {name: (p.shape, p.requires_grad) for name, p in make().named_parameters()}
    torch.randn(1)
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_network_beyond_the_machine_is_named():
    with pytest.raises(CheckpointError, match="a network beyond this machine"):
        built(lambda: Small().register_buffer("huge", torch.empty(2**60)))


@pytest.mark.parametrize(
    ("shadow", "expected"),
    [
        ((), (1, 1, 1)),
        ((two(2), two(3), two(2, 2)), (2, 2, 2)),
        ((two(2), two(2, 2)), (2, 1, 2)),
    ],
)
def test_weights_and_their_averages(shadow, expected):
    for net in (Small(), built(Small)):
        load_weights(net, held(*shadow), KEYS, "net.")
        assert [float(p.detach().mean()) for p in net.parameters()] == list(expected)
        assert [p.requires_grad for p in net.parameters()] == [True, False, True]
        assert net.count == 5


@pytest.mark.parametrize(
    ("shadow", "says"),
    [
        ((two(2),), "its ema has 1 weights, and the model has 3 parameters, 2 of them trained"),
        ((two(2), two(3), two(2, 2), two(1)), "its ema has 4 weights"),
        ((two(2), two(2)), "its ema does not fit: the weight of net.last has another shape"),
        ((two(2), None), "its ema does not fit: the weight of net.last has another shape"),
    ],
)
def test_averages_that_do_not_fit_are_named(shadow, says):
    with pytest.raises(CheckpointError, match=says):
        load_weights(Small(), held(*shadow), KEYS, "net.")


@pytest.mark.parametrize("ema", [None, {}, {"shadow_params": None}, 5, Stub("a.b")])
def test_a_file_without_averages(ema):
    contents = held() | {"ema": ema}
    trained = {"net.first": True, "net.W": False, "net.last": True}
    assert averaged(contents, trained) == contents["state_dict"]


def test_averages_of_several_networks():
    """One list over all of them, in the order of the file."""
    state = {"p.w": torch.zeros(1), "q.W": torch.zeros(1), "q.v": torch.zeros(2)}
    contents = {"state_dict": state, "ema": {"shadow_params": [two(1), two(2)]}}
    values = averaged(contents, {"q.v": True, "q.W": False, "p.w": True})
    assert [float(v.sum()) for v in values.values()] == [2, 0, 4]
    assert state["p.w"] == 0


@pytest.mark.parametrize("missing", ["net.first", "net.W", "net.num"])
@pytest.mark.parametrize("shadow", [(), (two(2), two(3), two(2, 2))])
def test_a_missing_key_is_named(missing, shadow):
    contents = held(*shadow)
    del contents["state_dict"][missing]
    with pytest.raises(CheckpointError, match=f"its state_dict lacks {missing}$"):
        load_weights(Small(), contents, KEYS, "net.")


def test_many_missing_keys_are_counted():
    keys = {name: str(i) for i, name in enumerate(network().state_dict())}
    with pytest.raises(CheckpointError, match=rf"lacks 0, 1, 2 and {len(keys) - 3} more$"):
        fill(network(), {}, keys)


def test_odd_keys_are_named():
    contents = held()
    contents["state_dict"]["net.more"] = torch.ones(1)
    with pytest.raises(CheckpointError, match=r"unknown keys: net.more$"):
        load_weights(Small(), contents, KEYS, "net.")
    with pytest.raises(CheckpointError, match=r"unknown keys: c.x, d.y$"):
        only(dict.fromkeys(["a.x", "b.x", "c.x", "d.y", "pesq_loss.z"]), ["a.", "b."])


def test_the_perceptual_loss_is_ignored():
    state = {key.removeprefix("net."): v for key, v in held()["state_dict"].items()}
    fill(Small(), state | {"pesq_loss.w": torch.ones(1)}, KEYS)
    with pytest.raises(CheckpointError, match="unknown keys: other"):
        fill(Small(), state | {"other.w": torch.ones(1)}, KEYS)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.ones(3), r"its net.first is \[3\], and its settings ask for \[2\]"),
        (5, r"its net.first is int, and its settings ask for \[2\]"),
        (torch.tensor([1, nan]), "its net.first has numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(value, says):
    contents = held()
    contents["state_dict"]["net.first"] = value
    with pytest.raises(CheckpointError, match=says):
        load_weights(Small(), contents, KEYS, "net.")


def test_weights_become_the_network_s_own():
    state = {key: value.double() for key, value in held()["state_dict"].items()}
    net = Small()
    fill(net, state, KEYS, "net.")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    own = held()["state_dict"]
    fill(net, own, KEYS, "net.")
    own["net.first"].zero_()
    assert net.a.sum() == 2
    assert net.count.dtype == torch.int64
