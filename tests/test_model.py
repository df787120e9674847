from dataclasses import replace

import pytest
import torch
from problems import Gaussian, noise, times
from torch import nn

from sgmse.estimates import Data
from sgmse.model import ScoreModel
from sgmse.networks import Network, SlimUNet
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import solve

SHAPE = (3, 1, 8, 4)
T = times(0.1, 0.5, 0.9)


class Oracle(Network):
    """The network that answers as the parametrization asks, on a Gaussian posterior."""

    def __init__(self, problem, parametrization):
        super().__init__()
        self.problem, self.parametrization = problem, parametrization

    def forward(self, x, y, t):
        x0, z = self.problem(x, y, t)
        return self.parametrization.target(x0, y, z, t, self.problem.sde)


def test_reads_the_output_as_parametrized(sde, parametrization):
    problem = Gaussian(sde, mean=0.3 - 0.1j, variance=0.2)
    if sde.pinned and parametrization.divides_by_a:
        with pytest.raises(ValueError, match=r"has a\(1\) = 0; use .* Data\(\)"):
            ScoreModel(Oracle(problem, parametrization), sde, parametrization)
        return
    model = ScoreModel(Oracle(problem, parametrization), sde, parametrization)
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    for ours, exact in zip(model(x, y, T), problem(x, y, T), strict=True):
        # VP has a(0.9) = 0.015, over which the rounding of x is magnified
        torch.testing.assert_close(ours, exact, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(model.score(x, y, T), problem.score(x, y, T), rtol=1e-10, atol=1e-10)


def test_every_combination_samples_as_the_exact_model(sde, parametrization, solver, grid):
    """Process x parametrization x solver x grid: through the network's output as without it."""
    problem = Gaussian(sde, mean=0.3 - 0.1j, variance=0.2)
    if sde.pinned and parametrization.divides_by_a:
        return  # refused at construction, as the test above shows
    model = ScoreModel(Oracle(problem, parametrization), sde, parametrization)
    grid = replace(grid, start=0.99) if solver.refusal(sde, 1.0) else grid
    y = noise(2, 1, 3, 2)

    def sample(model):
        generator = torch.Generator().manual_seed(0)

        def randn(x):
            return torch.randn(x.shape, dtype=x.dtype, generator=generator)

        return solve(model, y, solver, grid, randn=randn)

    ours, exact = sample(model), sample(problem)
    assert ours.nfe == exact.nfe
    assert ours.x.isfinite().all()
    # VP has a(1) = 0.007, over which the rounding of x is magnified
    torch.testing.assert_close(ours.x, exact.x, rtol=1e-8, atol=1e-8)


def test_is_a_module_of_its_network():
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, embedding=8)
    model = ScoreModel(network, SBVE(), Data())
    assert all(name.startswith("network.") for name in model.state_dict())
    assert len(model.state_dict()) == len(network.state_dict())
    x, y = (noise(*SHAPE, seed=i, dtype=torch.complex64) for i in range(2))
    x0, _ = model(x, y, T.float())
    assert torch.equal(x0, network(x, y, T.float()))


def test_inputs_pass_through_the_parametrization():
    class Halved(Data):
        def inputs(self, x, y, t, sde):
            return x / 2, y / 4, t / 8

    class Recorder(nn.Module):
        def forward(self, *inputs):
            self.inputs = inputs
            return inputs[0]

    recorder = Recorder()
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    ScoreModel(recorder, OUVE(), Halved())(x, y, T)
    expected = (x / 2, y / 4, T / 8)
    assert all(torch.equal(a, b) for a, b in zip(recorder.inputs, expected, strict=True))
