import numpy as np
import pytest
import torch
from torch import nn

from sgmse.errors import RecipeError
from sgmse.training.averages import EMA, PowerAverages
from sgmse.training.averages.profiles import Profile, combination, exponent, products


@pytest.mark.parametrize("warmup", [True, False])
def test_average_is_its_formula(warmup):
    layer = nn.Linear(3, 2)
    ema = EMA(0.9, warmup)
    average = ema.build(layer)
    assert not any(p.requires_grad for p in average.parameters())
    expected = None
    for n in range(1, 30):
        with torch.no_grad():
            layer.weight.add_(torch.randn(2, 3, generator=torch.Generator().manual_seed(n)))
        average.update_parameters(layer)
        d = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
        now = layer.weight.detach().clone()
        # the first update takes the weights as they are
        expected = now if expected is None else d * expected + (1 - d) * now
        torch.testing.assert_close(average.module.weight, expected)


class Net(nn.Module):
    """Weights, a buffer, and a parameter that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(64))
        self.frozen = nn.Parameter(torch.tensor([0.1, 1 / 3]), requires_grad=False)
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("norm", torch.tensor(0.0))


def walk(updates: int) -> torch.Tensor:
    """(updates, 64) float32: random walks that settle, far from 0."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((updates, 64)) / np.sqrt(np.arange(1, updates + 1))[:, None]
    return torch.from_numpy(3 + steps.cumsum(axis=0)).float()


def follow(averages: PowerAverages, net: Net, values: torch.Tensor) -> None:
    for k, value in enumerate(values):
        with torch.no_grad():
            net.w.copy_(value)
            net.count.fill_(k)
            net.norm.fill_(k / 7)
        averages.update(net)


def weighted(values: torch.Tensor, length: float) -> np.ndarray:
    """The average of all values by the weights of its profile, in float64."""
    t, gamma = len(values), exponent(length)
    edges = (np.arange(t + 1) / t) ** (gamma + 1)
    return np.diff(edges) @ values.double().numpy()


def test_averages_are_their_weights():
    net, values = Net(), walk(200)
    averages = PowerAverages(net, (0.05, 0.25))
    follow(averages, net, values)
    assert torch.equal(net.w, values[-1])
    for length, state in averages.states().items():
        # each of 200 updates rounds numbers up to 32 to float32, and forgets most of it again
        np.testing.assert_allclose(state["w"], weighted(values, length), atol=200 * 2**-20)
        assert torch.equal(state["frozen"], net.frozen)
        assert (int(state["count"]), float(state["norm"])) == (199, float(net.norm))
    assert not any(v.requires_grad for v in averages.parameters())


def test_the_first_update_copies():
    net = Net()
    averages = PowerAverages(net, (0.1,))
    follow(averages, net, walk(1))
    assert torch.equal(averages.states()[0.1]["w"], net.w)


@pytest.mark.parametrize("length", [0.03, 0.07, 0.12, 0.2])
def test_a_length_that_was_not_stored_is_made_of_those_that_were(length):
    """|error| <= |p - sum x_i p_i| |weights - c| for any c, by Cauchy-Schwarz, as sum x_i = 1."""
    net, values = Net(), walk(1000)
    averages, stored = PowerAverages(net, (0.05, 0.1)), []
    for start in range(0, 1000, 50):
        follow(averages, net, values[start : start + 50])
        stored += [state["w"].double().numpy().copy() for state in averages.states().values()]
    truth = weighted(values, length)
    profiles = [Profile(t, n) for t in range(50, 1001, 50) for n in (0.05, 0.1)]
    found = combination(profiles, Profile(1000, length))
    made = found.weights @ np.array(stored)
    gamma = exponent(length)
    missed = found.miss * float(products(1000, gamma, 1000, gamma)) ** 0.5
    spread = (values - values[-200:].mean(0)).norm(dim=0).double().numpy()
    rounding = np.abs(found.weights).sum() * 1e-5  # of float32 in 1000 updates of numbers near 8
    error = np.abs(made - truth)
    assert (error <= missed * spread + rounding).all()
    nearest = min(np.abs(s - truth).mean() for s in stored[-2:])
    assert error.mean() < 0.1 * nearest


def test_averages_that_are_restored_go_on_to_the_bit():
    values, net = walk(30), Net()
    whole = PowerAverages(net, (0.05, 0.1))
    follow(whole, net, values[:20])
    saved = {n: {k: v.clone() for k, v in s.items()} for n, s in whole.states().items()}
    follow(whole, net, values[20:])
    parts = PowerAverages(Net(), (0.05, 0.1))
    parts.restore(saved, 20)
    follow(parts, net, values[20:])
    for length, state in whole.states().items():
        for name in ("w", "frozen", "norm"):
            assert torch.equal(state[name], parts.states()[length][name])


def test_averages_of_other_lengths_are_not_restored():
    one, none = PowerAverages(Net(), (0.1,)), PowerAverages(Net(), ())
    assert none.states() == {}
    none.restore({}, 3)
    with pytest.raises(RecipeError, match=r"started with 0\.1, the recipe has none; resume"):
        none.restore(one.states(), 3)
    with pytest.raises(RecipeError, match=r"started with none, the recipe has 0\.1; resume"):
        one.restore({}, 3)
