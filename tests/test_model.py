from dataclasses import replace

import pytest
import torch
from problems import Gaussian, noise, times
from published import CONFIGS, SIMPLER, model_of, published
from torch import nn

from sgmse.estimates import EDM, Data, Preconditioned, Velocity
from sgmse.model import ScoreModel
from sgmse.networks import Network, SlimUNet
from sgmse.sdes import OUVE, SBVE, VE, VP
from sgmse.solvers import LogSNR, Multistep, Uniform, solve

SHAPE = (3, 1, 8, 4)
T = times(0.1, 0.5, 0.9)


class Oracle(Network):
    """The network that answers as the parametrization asks, on a known posterior."""

    def __init__(self, problem, parametrization):
        super().__init__()
        self.problem, self.parametrization = problem, parametrization
        self.state = None  # before the parametrization scaled it

    def forward(self, x, y, t):
        x, y, t = self.state
        x0, z = self.problem(x, y, t)
        return self.parametrization.target(x0, y, z, t, self.problem.sde)


class Informed(ScoreModel):
    """A model that tells its oracle where it is."""

    def __init__(self, problem, parametrization):
        super().__init__(Oracle(problem, parametrization), problem.sde, parametrization)

    def forward(self, x, y, t):
        self.network.state = x, torch.zeros_like(x) if y is None else y, t
        return super().forward(x, y, t)


def test_reads_the_output_as_parametrized(sde, parametrization):
    problem = Gaussian(sde, mean=0.3 - 0.1j, variance=0.2)
    if why := parametrization.refusal(sde):
        with pytest.raises(ValueError, match="use a parametrization") as caught:
            Informed(problem, parametrization)
        assert str(caught.value) == why
        return
    model = Informed(problem, parametrization)
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    for ours, exact in zip(model(x, y, T), problem(x, y, T), strict=True):
        # VP has a(0.9) = 0.015, over which the rounding of x is magnified
        torch.testing.assert_close(ours, exact, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(model.score(x, y, T), problem.score(x, y, T), rtol=1e-10, atol=1e-10)


def check_samples(sde, parametrization, solver, grid):
    """Through the output of the network as without it."""
    problem = Gaussian(sde, mean=0.3 - 0.1j, variance=0.2)
    if parametrization.refusal(sde):
        return  # at construction, as the test above shows
    unheard = isinstance(parametrization, Preconditioned) and parametrization.c_out == "edm"
    if solver.refusal(sde, 1.0) or (sde.pinned and unheard):
        grid = replace(grid, start=0.99)
    y = noise(2, 1, 3, 2)

    def sample(model):
        generator = torch.Generator().manual_seed(0)

        def randn(x):
            return torch.randn(x.shape, dtype=x.dtype, generator=generator)

        return solve(model, y, solver, grid, randn=randn)

    ours, exact = sample(Informed(problem, parametrization)), sample(problem)
    assert ours.nfe == exact.nfe
    assert ours.x.isfinite().all()
    # VP has a(1) = 0.007, over which the rounding of x is magnified
    torch.testing.assert_close(ours.x, exact.x, rtol=1e-8, atol=1e-8)


@pytest.mark.slow  # thousands of short runs
def test_every_combination_samples_as_the_exact_model(sde, parametrization, solver, grid):
    """Process x parametrization x solver x grid."""
    check_samples(sde, parametrization, solver, grid)


def test_every_parametrization_samples_as_the_exact_model(sde, parametrization):
    check_samples(sde, parametrization, Multistep(eta=0.5), Uniform(5))


def test_every_solver_samples_from_a_model_as_from_the_exact_one(sde, solver):
    check_samples(sde, EDM(), solver, LogSNR(5))


@pytest.mark.parametrize("process", [VE(), VP()], ids=repr)
def test_without_an_observation_the_network_is_given_none(process, parametrization):
    problem = Gaussian(process, mean=0.3 - 0.1j, variance=0.2)
    x, zero = noise(*SHAPE), torch.zeros(SHAPE, dtype=torch.complex128)
    model, given = Informed(problem, parametrization), []
    model.network.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1]))
    blind, seeing = model(x, None, T), model(x, zero, T)
    assert given[0] is None
    assert torch.equal(given[1], zero)
    assert torch.equal(blind.x0, seeing.x0)
    assert torch.equal(blind.noise, seeing.noise)
    assert torch.equal(model.score(x, None, T), model.score(x, zero, T))


@pytest.mark.parametrize("name", CONFIGS)
def test_parity(parity, name):
    """Every published configuration of scalings, c_in, c_out, c_skip and loss_type."""
    settings, v = published(parity)
    assert set(settings["configs"]) == set(CONFIGS)
    model, x, y, t = model_of(parity, settings, name), v[f"{name}__x_t"], v["y"], v["t"]
    torch.testing.assert_close(x, model.sde.sample(v["x"], y, t, v["z"]), rtol=1e-12, atol=1e-12)
    models = [model]
    if name in SIMPLER:
        models.append(ScoreModel(model.network, model.sde, SIMPLER[name]))
    expected = v[f"{name}__forward"]
    for model in models:
        with torch.no_grad():
            data = settings["configs"][name]["loss_type"] == "data_prediction"
            ours = model(x, y, t).x0 if data else model.score(x, y, t)
        assert (ours - expected).abs().max() <= 1e-9 * expected.abs().max()


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


def test_a_process_that_a_parametrization_does_not_serve_is_refused():
    with pytest.raises(ValueError, match=r"^Velocity\(\): it is infinite at t = 1 of SBVE"):
        ScoreModel(nn.Identity(), SBVE(), Velocity())
