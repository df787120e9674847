"""Weights of published files: networks that wait for them, and their moving averages."""

from functools import partial
from math import nan

import pytest
import torch
from tiny import network

from sgmse.checkpoints.published._unpickler import Stub
from sgmse.checkpoints.published._weights import (
    averaged,
    build,
    fill,
    fill_averaged,
    negate,
    refuse_others,
)
from sgmse.errors import CheckpointError
from sgmse.networks import NCSNpp, Network


class Small(Network):
    """Three parameters, of which the second is not trained, and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(2))
        self.b = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
        self.c = torch.nn.Parameter(torch.zeros(2, 2))
        self.register_buffer("count", torch.tensor(0))
        self.config = {}

    def published_keys(self):
        return {"a": "first", "b": "W", "c": "last", "count": "num"}


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


def test_a_network_is_built_without_drawing_its_weights():
    before, make = torch.get_rng_state(), partial(NCSNpp, channels=8, multipliers=(1, 2), blocks=1)
    net = build(make)
    assert torch.equal(torch.get_rng_state(), before)
    shapes = {name: (p.shape, p.requires_grad) for name, p in net.named_parameters()}
    assert shapes == {name: (p.shape, p.requires_grad) for name, p in make().named_parameters()}
    torch.randn(1)
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_network_beyond_the_machine_is_named():
    with pytest.raises(CheckpointError, match="a network beyond this machine"):
        build(lambda: Small().register_buffer("huge", torch.empty(2**60)))


@pytest.mark.parametrize(
    ("shadow", "expected"),
    [
        ((), (1, 1, 1)),
        ((two(2), two(3), two(2, 2)), (2, 2, 2)),
        ((two(2), two(2, 2)), (2, 1, 2)),
    ],
)
def test_weights_and_their_averages(shadow, expected):
    for net in (Small(), build(Small)):
        fill_averaged(net, held(*shadow), "net.")
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
        fill_averaged(Small(), held(*shadow), "net.")


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
        fill_averaged(Small(), contents, "net.")


def test_many_missing_keys_are_counted():
    first, second, third, *others = network().state_dict()  # whose keys no published code has
    says = rf"lacks {first}, {second}, {third} and {len(others)} more$"
    with pytest.raises(CheckpointError, match=says):
        fill(network(), {})


def test_odd_keys_are_named():
    contents = held()
    contents["state_dict"]["net.more"] = torch.ones(1)
    with pytest.raises(CheckpointError, match=r"unknown keys: net.more$"):
        fill_averaged(Small(), contents, "net.")
    with pytest.raises(CheckpointError, match=r"unknown keys: c.x, d.y$"):
        refuse_others(dict.fromkeys(["a.x", "b.x", "c.x", "d.y", "pesq_loss.z"]), ["a.", "b."])


def test_the_perceptual_loss_is_ignored():
    state = {key.removeprefix("net."): v for key, v in held()["state_dict"].items()}
    fill(Small(), state | {"pesq_loss.w": torch.ones(1)})
    with pytest.raises(CheckpointError, match="unknown keys: other"):
        fill(Small(), state | {"other.w": torch.ones(1)})


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
        fill_averaged(Small(), contents, "net.")


def test_weights_become_the_network_s_own():
    state = {key: value.double() for key, value in held()["state_dict"].items()}
    net = Small()
    fill(net, state, "net.")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    own = held()["state_dict"]
    fill(net, own, "net.")
    own["net.first"].zero_()
    assert net.a.sum() == 2
    assert net.count.dtype == torch.int64


def test_the_sign_of_a_layer():
    layer = torch.nn.Linear(2, 3)
    x = torch.ones(2)
    before = layer(x)
    negate(layer)
    assert torch.equal(layer(x), -before)
    assert layer.weight.requires_grad
