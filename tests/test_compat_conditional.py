"""CDiffuSE's process in the library's words, and its coefficients in its own."""

import pytest
import torch
from problems import Draws, noise
from torch import Tensor, nn

from sgmse.compat import CombinedNoise, ConditionalVP
from sgmse.errors import ArgumentError
from sgmse.estimates import Data, Estimate
from sgmse.model import ScoreModel
from sgmse.sdes import OUVE, VP, expand
from sgmse.solvers import Exponential, Uniform, solve

REAL = torch.float64
T = 50
BETAS = torch.linspace(1e-4, 0.035, T, dtype=REAL)
ALPHAS = 1 - BETAS
ALPHA_BAR = ALPHAS.cumprod(dim=0)
#: The paper's m_t and variance delta_t of the steps 1 to T.
M = ((1 - ALPHA_BAR) / ALPHA_BAR.sqrt()).sqrt()
DELTA = 1 - (1 + M**2) * ALPHA_BAR
SDE = ConditionalVP()


def eps_of(x: Tensor, y: Tensor, t: Tensor) -> Tensor:
    """Some estimate that is no line."""
    return torch.tanh(x * (1 + expand(t, x)) - 0.3 * y) * 0.9


def model(x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
    return CombinedNoise().estimate(eps_of(x, y, t), x, y, t, SDE)


class Model:
    sde, latest = SDE, 1.0
    __call__ = staticmethod(model)


def published(x: Tensor, y: Tensor, n: int, z: Tensor) -> Tensor:
    """The reverse step from n to n - 1, with the coefficients of the paper (and of its code)."""
    i = n - 1
    eps = eps_of(x, y, torch.full((len(x),), n / T, dtype=REAL))
    if n == 1:
        return (x - BETAS[0] / (1 - ALPHA_BAR[0]).sqrt() * eps) / ALPHAS[0].sqrt()
    left = (1 - M[i]) / (1 - M[i - 1])
    step = DELTA[i] - left**2 * ALPHAS[i] * DELTA[i - 1]
    c_x = (
        left * DELTA[i - 1] / DELTA[i] * ALPHAS[i].sqrt()
        + (1 - M[i - 1]) * step / DELTA[i] / ALPHAS[i].sqrt()
    )
    c_y = (M[i - 1] * DELTA[i] - M[i] * left * ALPHAS[i] * DELTA[i - 1]) * (
        ALPHA_BAR[i - 1].sqrt() / DELTA[i]
    )
    c_eps = (1 - M[i - 1]) * step / DELTA[i] * (1 - ALPHA_BAR[i]).sqrt() / ALPHAS[i].sqrt()
    return c_x * x + c_y * y - c_eps * eps + (step * DELTA[i - 1] / DELTA[i]).sqrt() * z


def test_the_scales_are_the_published_ones():
    t = torch.arange(1, T + 1, dtype=REAL) / T
    a, b, sigma = SDE.scales(t)
    torch.testing.assert_close(a, (1 - M) * ALPHA_BAR.sqrt(), rtol=1e-12, atol=0)
    torch.testing.assert_close(b, M * ALPHA_BAR.sqrt(), rtol=1e-12, atol=0)
    # The published difference leaves 1e-8 of numbers of 1 at the first step.
    torch.testing.assert_close(sigma**2, DELTA, rtol=1e-7, atol=1e-15)
    assert SDE.refusal() is None
    assert ConditionalVP(0.1, 1.0, steps=None).refusal() is None
    assert SDE.observed
    assert not SDE.forgets


@pytest.mark.parametrize("n", [1, 2, 3, 17, 49, 50])
def test_a_step_is_the_published_one(n):
    x, y, z = (noise(2, 6, seed=seed, dtype=REAL) for seed in range(3))
    t, s = (torch.full((2,), i / T, dtype=REAL) for i in (n, n - 1))
    ours, _ = Exponential(eta=1.0).step(Model(), x, y, t, s, None, lambda like: z)
    torch.testing.assert_close(ours, published(x, y, n, z), rtol=0, atol=1e-7 if n < 4 else 1e-12)


def test_a_whole_run_is_the_published_one():
    y, draws = noise(2, 6, seed=5, dtype=REAL), Draws(1)
    start = SDE.prior(y, draws(y))
    x, drawn = start, []
    for n in range(T, 0, -1):
        drawn.append(draws(x))
        x = published(x, y, n, drawn[-1])
    replay = iter(drawn)
    found = solve(
        Model(),
        y,
        Exponential(eta=1.0),
        Uniform(T, 1.0, 1 / T),
        x=start,
        randn=lambda like: next(replay),
    )
    assert found.nfe == T
    torch.testing.assert_close(found.x, x, rtol=0, atol=1e-6)  # of the first steps' differences


def test_the_target_is_what_estimates_the_truth():
    x0, y, z = (noise(3, 4, seed=seed) for seed in range(3))
    t = torch.tensor([0.1, 0.5, 1.0], dtype=REAL)
    output = CombinedNoise().target(x0, y, z, t, SDE)
    found = CombinedNoise().estimate(output, SDE.sample(x0, y, t, z), y, t, SDE)
    torch.testing.assert_close(found.x0, x0)
    torch.testing.assert_close(found.noise, z)


def test_it_is_a_process_like_any_other():
    """On an exact estimate the flow ends in clean audio, in few steps of another solver, too."""
    x0, y = (noise(2, 5, seed=seed) for seed in range(2))

    class Exact:
        sde, latest = SDE, 1.0

        def __call__(self, x, y, t):
            a, b, sigma = (expand(s, x) for s in SDE.scales(t))
            return Estimate(x0, (x - a * x0 - b * y) / sigma)

    found = solve(Exact(), y, Exponential(), Uniform(4, end=0.02)).x
    torch.testing.assert_close(found, x0)
    ScoreModel(nn.Identity(), SDE, Data())


def test_mistakes():
    with pytest.raises(ArgumentError, match=r"sqrt\(alpha-bar\) is 0.5\d\d, and below 0.618"):
        ConditionalVP(beta_max=2.5)
    with pytest.raises(ArgumentError, match=r"OUVE.* has no a \+ b between 0 and 1"):
        ScoreModel(nn.Identity(), OUVE(), CombinedNoise())
    ScoreModel(nn.Identity(), VP(), CombinedNoise())  # where it is `Noise`
