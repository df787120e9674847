from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sgmse.estimates import Data, Score
from sgmse.model import ScoreModel
from sgmse.networks import Network
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import DormandPrince, EulerMaruyama, Exponential, Solver, Uniform
from sgmse.training.unrolled import Unrolled


class Toy(Network):
    """w0 x + w1 y + w2 tanh(Re x) t: what a gradient must find its way through."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        w = self.weights
        return w[0] * x + w[1] * y + w[2] * x.real.tanh() * t[:, None, None, None]


def model(sde=OUVE(), parametrization=Score(sign=-1), weights=(0.4, -0.2, 0.3)) -> ScoreModel:  # noqa: B008
    return ScoreModel(Toy(*weights), sde, parametrization)


def draws(seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=generator)


@pytest.fixture
def y() -> Tensor:
    return torch.randn(2, 1, 3, 4, dtype=torch.complex128)


def loss_of(unrolled: Unrolled, m: ScoreModel, y: Tensor, solver: Solver, steps: int) -> Tensor:
    x0 = unrolled.result(m, y, solver, Uniform(steps, end=0.05), draws()).x0
    return (x0 - 0.5 * y).abs().square().mean()


def test_gradients_through_all_steps_of_every_solver(solver, y):
    """Against central differences; their error is 1e-10 relative, that of rounding 1e-9."""
    if solver == DormandPrince(rtol=1e-3, atol=1e-3):
        pytest.skip("its steps depend on the weights, and whether one is taken is no slope")
    everything, m = Unrolled(gradient_steps=None), model()
    gradient = torch.autograd.grad(loss_of(everything, m, y, solver, 3), m.network.weights)[0]
    assert gradient.abs().min() > 1e-4
    for i in range(3):
        sides = []
        for h in (1e-5, -1e-5):
            weights = m.network.weights.detach().clone()
            weights[i] += h
            moved = model(weights=weights.tolist())
            sides.append(loss_of(everything, moved, y, solver, 3).item())
        slope = (sides[0] - sides[1]) / 2e-5
        assert float(gradient[i]) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def by_hand(m: ScoreModel, y: Tensor, steps: int, gradient_steps: int) -> Tensor:
    """The result of Euler-Maruyama, and of its mean at the end, written out."""
    randn = draws()
    times = [*torch.linspace(1, 0.05, steps, dtype=torch.float64).tolist(), 0.0]
    a, b, sigma = (float(s) for s in m.sde.scales(torch.ones(1, dtype=torch.float64)))
    x = (a + b) * y + sigma * randn(y)
    for i, t in enumerate(times[:-1]):
        d, time = t - times[i + 1], torch.full((2,), t, dtype=torch.float64)
        if i == steps - gradient_steps:
            x = x.detach()
        g = float(m.sde.coefficients(time).g[0])
        score = -m.network(x, y, time)
        x = x - d * (1.5 * (y - x) - g**2 * score)
        z = randn(x)
        if i < steps - 1:
            x = x + g * d**0.5 * z
    return x


@pytest.mark.parametrize(("steps", "gradient_steps"), [(1, 1), (4, 1), (4, 2), (3, 3)])
def test_result_and_gradient_are_those_of_the_loop_written_out(y, steps, gradient_steps):
    m = model()
    theirs = (by_hand(m, y, steps, gradient_steps) - 0.5 * y).abs().square().mean()
    ours = loss_of(Unrolled(gradient_steps=gradient_steps), m, y, EulerMaruyama(), steps)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    a, b = (torch.autograd.grad(loss, m.network.weights)[0] for loss in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=0)
    if gradient_steps < steps:
        whole = loss_of(Unrolled(gradient_steps=None), m, y, EulerMaruyama(), steps)
        c = torch.autograd.grad(whole, m.network.weights)[0]
        assert (c - b).abs().max() > 1e-3 * b.abs().max()


def test_steps_without_a_gradient_keep_nothing(y):
    """Evaluations that a graph holds: those of the last steps alone."""
    held = []

    class Watched(Toy):
        def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
            out = super().forward(x, y, t)
            held.append((out.requires_grad, x.requires_grad))
            return out

    m = ScoreModel(Watched(0.1, 0.1, 0.1), SBVE(), Data())
    Unrolled(gradient_steps=2).result(m, y, Exponential(), Uniform(5), draws())
    assert held == [(False, False)] * 3 + [(True, False), (True, True)]
    assert torch.is_grad_enabled()


def test_the_gradient_reaches_the_anchor(y):
    """Of a predictor, through the steps that have one."""
    anchor = y.clone().requires_grad_()
    for gradient_steps in (1, None):
        unrolled = Unrolled(gradient_steps=gradient_steps)
        loss_of(unrolled, model(), anchor, Exponential(), 3).backward()
        assert anchor.grad.abs().min() > 0


def test_one_step_from_the_end_is_the_loss_of_the_data_there(y):
    m = model(SBVE(), Data())
    one = Unrolled().result(m, y, Exponential(start=0.0), Uniform(1, end=0.0), draws())
    torch.testing.assert_close(one.x0, m(y, y, torch.ones(2, dtype=torch.float64)).x0)
    assert not one.noise.any()


def test_bfloat16_weights_cast_without_a_gradient_are_cast_again():
    """Autocast keeps what it has cast, also where there was no gradient to keep."""

    class Layer(Network):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
            return torch.view_as_complex(self.linear(torch.view_as_real(x)).float())

    m = ScoreModel(Layer(), SBVE(), Data())
    y = torch.randn(2, 1, 3, 4, dtype=torch.complex64)
    with torch.autocast("cpu", torch.bfloat16):
        x0 = Unrolled(gradient_steps=1).result(m, y, Exponential(), Uniform(3), draws()).x0
    x0.abs().square().sum().backward()
    assert m.network.linear.weight.grad.abs().min() > 0


def test_updates_draw_the_numbers_of_steps_as_often_as_they_weigh():
    unrolled = Unrolled(steps=(1, 4), weights=(1, 3), share=0.5)
    drawn = [unrolled.draw([0, step, 3]) for step in range(4000)]
    assert drawn == [unrolled.draw([0, step, 3]) for step in range(4000)]
    counts = Counter(drawn)
    assert set(counts) == {None, 1, 4}
    # 5 standard deviations of a share of 4000
    for steps, share in ((None, 0.5), (1, 0.125), (4, 0.375)):
        assert counts[steps] / 4000 == pytest.approx(share, abs=5 * np.sqrt(share / 4000))
    assert {Unrolled((2,)).draw([step]) for step in range(50)} == {2}
    assert {Unrolled((2, 3)).draw([step]) for step in range(50)} == {2, 3}
