from dataclasses import replace

import pytest
import torch
from conftest import GRIDS, OFTEN, PARAMETRIZATIONS, SDES, SOLVERS_OFTEN, together
from parity_models import CONFIGS, SIMPLER, configurations, model_of
from problems import Gaussian, noise, times
from tiny import Predictive, regeneration
from torch import nn

from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.estimates import EDM, Data, Preconditioned, Score, Velocity
from sgmse.inference import ensemble
from sgmse.model import Regeneration, ScoreModel, assemble
from sgmse.networks import Network, SlimUNet
from sgmse.sdes import OUVE, SBVE, VE, VP
from sgmse.solvers import Exponential, LogSNR, Multistep, Uniform, solve

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


@together(sde=SDES)
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
@together(sde=SDES)
def test_every_combination_samples_as_the_exact_model(sde, solver):
    """Process x solver x parametrization, and process x solver x grid."""
    for parametrization in PARAMETRIZATIONS:
        check_samples(sde, parametrization, solver, LogSNR(5))
    for grid in GRIDS:
        check_samples(sde, EDM(), solver, grid)


@together(sde=SDES)
def test_every_parametrization_samples_as_the_exact_model(sde, parametrization):
    check_samples(sde, parametrization, Multistep(eta=0.5), Uniform(5))


@pytest.mark.parametrize("solver", SOLVERS_OFTEN, ids=repr)
@together(sde=OFTEN)
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
    settings, v = configurations(parity)
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


def test_a_score_model_of_a_bridge_has_a_latest_time():
    with pytest.raises(ValueError, match=r"divides by a\(t\), and SBVE.* has a\(1\) = 0"):
        ScoreModel(nn.Identity(), SBVE(), Score())
    model = ScoreModel(nn.Identity(), SBVE(), Score(), latest=0.999)
    assert model.latest == 0.999
    assert ScoreModel(nn.Identity(), SBVE(), Data()).latest == 1
    for bad in (0, -1, 1.01, float("nan"), "1", None):
        with pytest.raises((ValueError, TypeError), match=r"latest must .*, not "):
            ScoreModel(nn.Identity(), OUVE(), Data(), bad)


@pytest.mark.parametrize("predicting", [False, True])
def test_solve_starts_no_later_than_the_model_is_asked(predicting):
    network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, embedding=8)
    model = ScoreModel(network, SBVE(), Score(), latest=0.9)
    y = noise(1, 1, 8, 4, dtype=torch.complex64)
    if predicting:
        model, y = Regeneration(Predictive(), model, "post").observe(y)
    for start in (1.0, 0.95):
        with pytest.raises(
            ValueError, match=rf"up to t = 0\.9, and .* at {start:g}: .*start=0\.9\)"
        ):
            solve(model, y, Exponential(), Uniform(2, start=start))
    assert solve(model, y, Exponential(), Uniform(2, start=0.9)).x.isfinite().all()


# A predictor before the process

CONDITIONINGS = ["noisy", "post", "both"]


def test_a_score_model_observes_what_it_is_given():
    model, y = ScoreModel(nn.Identity(), OUVE(), Data()), noise(*SHAPE)
    seeing, anchor = model.observe(y)
    assert seeing is model
    assert anchor is y


class Recorder(Network):
    """Notes what it is called with."""

    def __init__(self, observations):
        super().__init__()
        self.observations = observations

    def forward(self, *inputs):
        self.inputs = inputs
        return inputs[0]


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("parametrization", [Data(), EDM(0.5)], ids=repr)
def test_what_the_network_sees_of_observation_and_prediction(conditioning, parametrization):
    recorder = Recorder(2 if conditioning == "both" else 1)
    model = Regeneration(
        Predictive(), ScoreModel(recorder, OUVE(), parametrization), conditioning
    ).double()
    x, y = noise(*SHAPE), noise(*SHAPE, seed=1)
    seeing, anchor = model.observe(y)
    torch.testing.assert_close(anchor, 0.7 * y * y.abs() ** 0.1)
    assert seeing.sde == OUVE()
    estimate = seeing(x, anchor, T)
    expected = {"noisy": (y,), "post": (anchor,), "both": (y, anchor)}[conditioning]
    scale = 1 if parametrization == Data() else 2  # EDM divides observations by sigma_data
    state, observation, _ = recorder.inputs
    torch.testing.assert_close(observation, scale * torch.cat(expected, dim=1))
    # the process is that to the anchor, whatever the network sees
    plain = ScoreModel(recorder, OUVE(), parametrization)(x, anchor, T)
    torch.testing.assert_close(state, recorder.inputs[0])
    for ours, theirs in zip(estimate, plain, strict=True):
        torch.testing.assert_close(ours, theirs)
    a, b, sigma = (s[:, None, None, None] for s in OUVE().scales(T))
    torch.testing.assert_close(a * estimate.x0 + b * anchor + sigma * estimate.noise, x)


def test_the_predictor_is_called_once_at_the_end_of_time():
    calls = []
    model = regeneration()
    model.predictor.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    y = noise(2, 1, 32, 4, dtype=torch.complex64)
    seeing, anchor = model.observe(y)
    solve(seeing, anchor, Multistep(), LogSNR(4))
    (call,) = calls
    assert torch.equal(call[0], y)
    assert torch.equal(call[1], y)
    assert torch.equal(call[2], torch.ones(2))


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_a_regeneration_is_solved_as_the_process_to_its_anchor(conditioning):
    problem = Gaussian(OUVE(), mean=0.3 - 0.1j, variance=0.2)

    class Refiner(Network):
        observations = 2 if conditioning == "both" else 1

        def forward(self, x, y, t):
            assert y.shape[1] == self.observations
            return problem(x, anchor, t).x0

    model = Regeneration(Predictive(), ScoreModel(Refiner(), OUVE(), Data()), conditioning).double()
    y = noise(2, 1, 3, 2)
    seeing, anchor = model.observe(y)
    z = noise(2, 1, 3, 2, seed=5)
    ours, exact = (
        solve(m, anchor, Multistep(), LogSNR(6), randn=lambda like: z) for m in (seeing, problem)
    )
    torch.testing.assert_close(ours.x, exact.x)
    assert ours.nfe == exact.nfe


def test_moved_frames_need_somebody_who_moves_them():
    model, y = regeneration(moved=0.5), noise(2, 1, 32, 4, dtype=torch.complex64)
    with pytest.raises(ArgumentError, match=r"observe\(y, later\) needs to be told how"):
        model.observe(y)
    seeing, anchor = model.observe(y, lambda x: x.roll(1, -1))
    assert torch.equal(seeing.y, y.roll(1, -1))
    assert torch.equal(anchor, model.predict(y).roll(1, -1))
    assert [m.delay(9) for m in (model, regeneration(), regeneration().refiner)] == [4, 0, 0]
    for moved in (-0.1, 1.0, float("nan"), "half", True):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="moved must be"):
            regeneration(moved=moved)


def test_several_samples_of_one_observation():
    seeing, anchor = regeneration().observe(noise(1, 1, 32, 4, dtype=torch.complex64))
    result = ensemble(seeing, anchor, Exponential(eta=1.0), Uniform(3), count=3, batch=2)
    assert result.mean.shape == anchor.shape
    assert result.std.min() > 0


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_gradients_reach_predictor_and_refiner(conditioning):
    model = regeneration(conditioning).requires_grad_(True)
    y = noise(2, 1, 32, 4, dtype=torch.complex64)
    seeing, anchor = model.observe(y)
    t = torch.tensor([0.2, 0.7])
    z = noise(2, 1, 32, 4, seed=3, dtype=torch.complex64)
    estimate = seeing(model.sde.sample(y, anchor, t, z), anchor, t)
    (estimate.noise - z).abs().square().mean().backward()
    assert model.predictor.gain.grad.abs() > 0
    assert model.network.output.weight.grad.abs().max() > 0


def test_the_parts_of_a_model_make_it_again():
    moved = regeneration(moved=0.5)
    assert assemble(**moved.parts).moved == 0.5
    for model in (regeneration(), regeneration("post"), moved, regeneration().refiner):
        again = assemble(**model.parts)
        assert type(again) is type(model)
        assert again.parts == model.parts
        assert list(again.state_dict()) == list(model.state_dict())
        assert (again.divisor, again.latest) == (model.divisor, model.latest) == ((2, 2), 1.0)
    assert regeneration().refiner.trained is not regeneration().refiner
    names = [name.partition(".")[0] for name in regeneration().trained.state_dict()]
    assert set(names) == {"predictor", "refiner"}


def test_a_model_divides_what_both_its_networks_divide():
    model = regeneration()
    model.predictor.divisor = (8, 3)
    assert model.divisor == (8, 6)


@pytest.mark.parametrize(
    ("predictor", "network", "conditioning", "says"),
    [
        (1, 1, "both", "conditioning 'both' needs a network of 2 observations, not 1"),
        (1, 2, "post", "conditioning 'post' needs a network of 1 observations, not 2"),
        (2, 1, "noisy", "conditioning 'noisy' needs a predictor of 1 observations, not 2"),
        (1, 1, "late", "conditioning must be 'noisy', 'post' or 'both', not 'late'"),
    ],
)
def test_networks_that_see_something_else_are_refused(predictor, network, conditioning, says):
    refiner = ScoreModel(Recorder(network), OUVE(), Data())
    with pytest.raises(ValueError, match=says):
        Regeneration(Recorder(predictor), refiner, conditioning)
