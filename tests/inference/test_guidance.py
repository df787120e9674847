"""Guidance on Gaussian problems, where the guided flow is known in closed form."""

import pytest
import torch
from problems import Formula, Gaussian, Recorded, noise, times

from sgmse.estimates import Data, Estimate
from sgmse.inference import Blind, Guided
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import OUVE, SBVE, VE, VP, BrownianBridge, FlowMatching
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform, solve


def pair(sde, weight=2.0, mean=0.5, narrow=0.1, wide=0.4, **times_of):
    return Guided(Gaussian(sde, mean, narrow), Gaussian(sde, -0.2, wide), weight, **times_of)


def test_the_equation_holds(sde):
    """x = a x0 + b y + sigma noise, so that every solver serves a guided model."""
    x, y, t = noise(3, 4), noise(3, 4, seed=1), times(0.2, 0.5, 0.9)
    a, b, sigma = (s[:, None] for s in sde.scales(t))
    for weight in (0.0, 0.5, 3.0):
        guided = pair(sde, weight, last=0.3, first=0.8)
        x0, z = guided(x, y, t)
        torch.testing.assert_close(a * x0 + b * y + sigma * z, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sde", [OUVE(), SBVE(), FlowMatching()], ids=repr)
def test_weights_of_one_model_are_that_model(sde):
    x, y, t = noise(3, 4), noise(3, 4, seed=1), times(0.2, 0.5, 0.9)
    for weight, name in ((1.0, "model"), (0.0, "weak")):
        guided = pair(sde, weight)
        for ours, theirs in zip(guided(x, y, t), getattr(guided, name)(x, y, t), strict=True):
            assert torch.equal(ours, theirs)
    for ours, theirs in zip(pair(sde)(x, y, t), pair(sde, 1.0)(x, y, t), strict=True):
        assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("weight", [0.5, 2.0, 3.0])
def test_equal_variances_only_move_the_mean(weight):
    """The guided model is then the exact one of w m + (1 - w) m_weak."""
    sde, y = SBVE(), noise(2, 5)
    guided = pair(sde, weight, mean=0.5, narrow=0.3, wide=0.3)
    exact = Gaussian(sde, weight * 0.5 + (1 - weight) * -0.2, 0.3)
    ours, theirs = (
        solve(model, y, Multistep(eta=1.0), Uniform(6), randn=lambda x: noise(*x.shape, seed=4)).x
        for model in (guided, exact)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weight", [0.5, 1.5, 2.0])
def test_the_flow_of_different_variances(weight):
    """(x~ / a - m) / ((v + n^2)^(w / 2) (u + n^2)^((1 - w) / 2)) is kept, n = sigma / a."""
    sde, v, u = VE(), 0.1, 0.4
    guided = Guided(Gaussian(sde, 0.5, v), Gaussian(sde, 0.5, u), weight)
    start, end = 0.9, 0.05
    x = noise(1, 6)
    found = solve(guided, None, Multistep(order=3), LogSNR(150, start, end, finish=False), x=x).x
    n = sde.scales(times(start, end)).sigma ** 2
    size = (v + n) ** (weight / 2) * (u + n) ** ((1 - weight) / 2)
    exact = 0.5 + (x - 0.5) * size[1] / size[0]
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-5)
    # In the limit v^w u^(1 - w), which is not the variance of the tilted law.
    assert abs(v**weight * u ** (1 - weight) - 1 / (weight / v + (1 - weight) / u)) > 0.01


def test_only_within_the_interval():
    strong, weak = Recorded(Gaussian(VP(), 0.5, 0.1)), Recorded(Gaussian(VP(), -0.2, 0.4))
    guided, x = Guided(strong, weak, 2.0, first=0.7, last=0.3), noise(3, 4)
    t = times(0.2, 0.5, 0.9)
    x0, z = guided(x, None, t)
    for found, one, other in zip((x0, z), strong.estimates[0], weak.estimates[0], strict=True):
        assert torch.equal(found[::2], one[::2])
        torch.testing.assert_close(found[1], 2 * one[1] - other[1])
    guided(x, None, times(0.1, 0.2, 0.9))  # no time within: the weak model is not asked
    assert (len(strong.states), len(weak.states)) == (2, 1)
    assert pair(VP(), 1.0)(x, None, t).x0 is not None


@pytest.mark.parametrize("sde", [VP(), SBVE(), OUVE()], ids=repr)
def test_a_blind_model_gives_an_estimate_with_the_observation(sde):
    """Whatever the model says without y, of x - b y."""
    seen = []

    def estimate(x, y, t) -> Estimate:
        seen.append(y)
        a, _, sigma = (s[:, None] for s in sde.scales(t))
        return Estimate(0.3 * x, (x - 0.3 * a * x) / sigma)

    x, y, t = noise(2, 4), noise(2, 4, seed=1), times(0.3, 0.8)
    x0, z = Blind(Formula(sde, estimate))(x, y, t)
    a, b, sigma = (s[:, None] for s in sde.scales(t))
    torch.testing.assert_close(a * x0 + b * y + sigma * z, x)
    torch.testing.assert_close(x0, 0.3 * (x - b * y))
    assert seen == [None]


def test_a_network_may_be_guided_by_anything_of_its_process():
    torch.manual_seed(0)
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=0, embedding=8)
    model = ScoreModel(network, BrownianBridge(), Data())
    x = noise(1, 1, 8, 4, dtype=torch.complex64)
    y = noise(1, 1, 8, 4, seed=1, dtype=torch.complex64)
    with torch.no_grad():
        guided = Guided(model, Gaussian(BrownianBridge(), 0.0, 0.1), 1.5)
        found = solve(guided, y, Exponential(eta=1.0), Uniform(3), x=x)
    assert found.x.isfinite().all()
    assert found.nfe == 3  # of the guided model: each is one of both


def test_wrong_values():
    one, other = Gaussian(VP()), Gaussian(OUVE())
    with pytest.raises(ValueError, match="can be mixed for one process only"):
        Guided(one, other)
    with pytest.raises(ValueError, match=r"0 <= last <= first <= 1, not last 0.8, first 0.2"):
        Guided(one, one, first=0.2, last=0.8)
    with pytest.raises(ValueError, match="weight must be finite, not inf"):
        Guided(one, one, weight=float("inf"))
    with pytest.raises(TypeError, match="model must be an object such as a ScoreModel"):
        Blind(VP())


def test_the_latest_time_is_that_of_those_that_are_asked():
    early = Formula(VP(), Gaussian(VP()), latest=0.8)
    assert Guided(Gaussian(VP()), early).latest == 0.8
    assert Guided(Gaussian(VP()), early, weight=1.0).latest == 1.0
    assert Guided(Gaussian(VP()), early, first=0.7).latest == 1.0
