"""DPM-Solver++(2S), the time on the way, and the first step from an infinite lambda."""

import pytest
import torch
from conftest import SDES, together
from erring import Affine, with_noise
from problems import Gaussian, Recorded, bimodal, noise, slope, times
from proofs import VARIANCES, flow_errors, law_errors, response

from sgmse.sdes import BBED, OUVE, SBVE, VE, VP, CosineVP, FlowMatching, StraightFlow
from sgmse.solvers import Exponential, LogSNR, Singlestep, Uniform, solve
from sgmse.solvers._grids import time_of

MEAN = 0.5 - 0.3j


def silent(like):
    pytest.fail("noise was drawn")


def second_order(problem, x, t, m, s, share):
    """Algorithm 1 of Lu et al. 2022, arXiv:2211.01095, with a share of x0(u) for their 1 / 2r."""
    sde = problem.sde
    (alpha_t, _, sigma_t), (alpha_m, _, sigma_m) = sde.scales(t), sde.scales(m)
    alpha_s, _, sigma_s = sde.scales(s)
    h = (alpha_s / sigma_s).log() - (alpha_t / sigma_t).log()
    r = ((alpha_m / sigma_m).log() - (alpha_t / sigma_t).log()) / h
    x0 = problem(x, 0 * x, t).x0
    u = sigma_m / sigma_t * x - alpha_m * torch.expm1(-r * h) * x0
    d = (1 - share(r, h)) * x0 + share(r, h) * problem(u, 0 * x, m).x0
    return sigma_s / sigma_t * x - alpha_s * torch.expm1(-h) * d


def paper(r, h):
    return 1 / (2 * r)


def exact(r, h):
    """m_1 / (r (1 - e^-h)), of h e^(-h (1 - q)) times x0_t + (q / r) (x0_m - x0_t), integrated."""
    return (1 / (1 - torch.exp(-h)) - 1 / h) / r


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0])
def test_a_step_is_dpm_solver_2s(ratio):
    """Up to the exact integral: where it has m_1, the paper has (1 - e^-h) / 2."""
    solver, lengths = Singlestep(ratio=ratio), (0.1, 0.05, 0.025)
    for sde in (VP(), CosineVP(), VE()):
        problem, x, t, gaps = bimodal(sde), noise(1, 5), times(0.5), []
        for length in lengths:
            s = time_of(sde, sde.log_snr(t) + length)
            model = Recorded(problem)
            ours, _ = solver.step(model, x, 0 * x, t, s, None, silent)
            points = t, model.times[1], s
            theirs = second_order(problem, x, *points, exact)
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
            gaps.append(float((ours - second_order(problem, x, *points, paper)).abs().max()))
        # They share all that a method of second order has in common.
        assert slope([1 / length for length in lengths], gaps) == pytest.approx(3, abs=0.15)


def on_the_draws(step, count):
    """What a step makes of each of its draws, a 1 in the place of one and zeros in the others."""
    columns = []
    for one in range(count + 1):  # the last has none
        drawn = iter(range(count))
        columns.append(step(lambda like, i=one, d=drawn: (next(d) == i) * torch.ones_like(like)))
    return torch.stack([column - columns[-1] for column in columns[:-1]])


class Constant(Recorded):
    """The same x0 everywhere."""

    def __call__(self, x, y, t):
        self.states.append(x)
        self.times.append(t)
        return with_noise(self.sde, 0.3 * torch.ones_like(x), x, y, t)


@pytest.mark.slow
@together(sde=SDES, ratio=[0.3, 0.5, 0.8], eta=[0.3, 1.0])
def test_the_middle_is_on_the_path(sde, eta, ratio):
    """With a constant estimate, whose SDE is known: the joint law of both states is that of it."""
    t, s, x = times(0.6), times(0.45), noise(1, 1, dtype=torch.float64)

    def both(randn):
        model = Constant(Gaussian(sde))
        x_s, _ = Singlestep(eta, ratio=ratio).step(model, x, 0 * x, t, s, (), randn)
        return torch.cat([model.states[1], x_s])

    ours = on_the_draws(both, 2)[:, :, 0]
    model = Constant(Gaussian(sde))
    Singlestep(eta, ratio=ratio).step(model, x, 0 * x, t, s, (), torch.zeros_like)
    m = model.times[1]

    def one_by_one(randn):
        x_m, memory = Exponential(eta).step(model, x, 0 * x, t, m, (), randn)
        return torch.cat([x_m, Exponential(eta).step(model, x_m, 0 * x, m, s, memory, randn)[0]])

    theirs = on_the_draws(one_by_one, 2)[:, :, 0]
    torch.testing.assert_close(ours.T @ ours, theirs.T @ theirs, rtol=1e-9, atol=1e-15)
    # The first draw is that of the whole step, as a path of noise needs it.
    assert ours[1, 1] == 0


def test_an_observation_is_a_shift(sde):
    """x - b y follows the equation without it: the same for any y, if the estimates are."""
    t, s, x, y = times(0.7), times(0.45), noise(1, 5), noise(1, 5, seed=1)
    problem, solver = Gaussian(sde, MEAN, 0.3), Singlestep(start=0.0)
    (_, b_t, _), (_, b_s, _) = sde.scales(t), sde.scales(s)
    alone, _ = solver.step(problem, x, 0 * y, t, s, None, silent)
    shifted, _ = solver.step(problem, x + b_t * y, y, t, s, None, silent)
    torch.testing.assert_close(shifted - b_s * y, alone, rtol=1e-12, atol=1e-12)


def reached(sde, solver, t, s):
    """The share of the way in lambda from t to m, in that to s."""
    w = solver.weights(sde, t, s)
    m = solver.between(sde, t, s, w)
    assert (m < t).all()
    assert (m >= s).all()
    return (sde.log_snr(m) - sde.log_snr(t)) / (sde.log_snr(s) - sde.log_snr(t))


@together(sde=SDES, ratio=[0.25, 0.5, 0.75])
def test_where_the_time_on_the_way_lies(sde, ratio):
    solver = Singlestep(ratio=ratio)
    # q(r) meets lambda at both ends and in the middle; what is left of a short step is h^2.
    t = torch.linspace(0.1, 0.95, 18, dtype=torch.float64)
    for length, tolerance in ((0.04, 0.003), (0.02, 0.00075)):
        found = reached(sde, solver, t, t - length)
        assert (found - ratio).abs().max() < tolerance
        # An equal share of the time is 0.03 and more off, but where lambda is linear in time.
        torch.testing.assert_close(reached(sde, Singlestep(0.7, ratio=ratio), t, t - length), found)
    # Over nearly all of a process, from lambda = -3 to 4 or so, "about" is a fifth of the step.
    found = reached(sde, solver, times(0.9, 0.9, 0.95, 0.99), times(0.5, 0.1, 0.02, 0.01))
    assert (found - ratio).abs().max() < 0.2


def test_the_last_ratio_is_the_end_of_the_step(sde):
    t, s = times(0.9, 0.5, 0.5), times(0.6, 0.4, 0.01)
    for solver in (Singlestep(ratio=1.0), Singlestep(1.0, ratio=1.0)):
        m = solver.between(sde, t, s, solver.weights(sde, t, s))
        torch.testing.assert_close(m, s, rtol=1e-14, atol=0)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.75, 1.0])
def test_any_ratio_is_of_second_order(ratio):
    for sde in (OUVE(), SBVE(), VP(), StraightFlow()):
        problem, solver = Gaussian(sde, MEAN, VARIANCES), Singlestep(start=0.0, ratio=ratio)
        errors = flow_errors(problem, solver, Uniform(1, 0.9, 0.1, finish=False), (24, 48))
        # The slope nears its limit from either side.
        assert slope((24, 48), errors) == pytest.approx(2, abs=0.25)


@pytest.mark.slow
def test_any_ratio_is_of_second_order_in_the_moments():
    """Of estimates that err, whose SDE is known."""
    grid = LogSNR(1, 0.9, 0.1, finish=False)
    for sde, ratio in ((OUVE(), 0.2), (SBVE(), 0.4), (VP(), 0.8), (StraightFlow(), 1.0)):
        errors = law_errors(Affine, sde, Singlestep(1.0, ratio=ratio), grid, (48, 96))
        assert slope((48, 96), errors) == pytest.approx(2, abs=0.1)


@together(solver=[Singlestep(), Singlestep(eta=1.0, ratio=0.3)])
def test_the_step_to_zero_is_one_evaluation(sde, solver):
    for steps in (1, 4):
        for grid in (Uniform(steps), LogSNR(steps, end=1e-4)):
            model = Recorded(bimodal(sde))
            x, nfe, _ = solve(model, noise(1, 4), solver, grid)
            assert nfe == len(model.times) == 2 * (steps - 1) + 1
            torch.testing.assert_close(x, model.estimates[-1].x0, rtol=1e-13, atol=1e-13)
            visited = torch.stack(model.times).squeeze(1)
            assert torch.equal(visited[::2], grid.times(sde)[:-1])
    # Without it, every step has two.
    grid = Uniform(3, 0.9, 0.1, finish=False)
    assert solve(bimodal(sde), noise(1, 4), solver, grid).nfe == 6


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("sde", [SBVE(), BBED(), FlowMatching(), StraightFlow(), CosineVP()])
def test_a_first_step_from_an_infinite_lambda(sde, eta, start):
    """Two steps of first order over m; from a point with the share `start` of the noise."""
    problem, solver = Recorded(Gaussian(sde, MEAN, 0.3)), Singlestep(eta, start, ratio=0.4)
    y, t, s = noise(1, 4, seed=1), times(1.0), times(0.6)
    x = sde.prior(y, noise(1, 4, seed=3))
    ours, _ = solver.step(problem, x, y, t, s, None, torch.zeros_like)
    m = problem.times[1]
    torch.testing.assert_close(m, times(0.84))  # lambda is infinite, so it is a share of the time
    one = Exponential(eta, start)

    def step_by_step(randn):
        x_m, memory = one.step(problem, x, y, t, m, None, randn)
        return one.step(problem, x_m, y, m, s, memory, randn)[0]

    assert ours.isfinite().all()
    torch.testing.assert_close(ours, step_by_step(torch.zeros_like), rtol=1e-13, atol=1e-13)
    spread = [
        on_the_draws(step, 2).abs().square().sum(dim=0)
        for step in (lambda randn: solver.step(problem, x, y, t, s, None, randn)[0], step_by_step)
    ]
    if start == 1 or not sde.pinned or eta == 0:
        torch.testing.assert_close(*spread, rtol=1e-12, atol=1e-15)
    # From the second step on, it is eta that draws.
    r, z, other = times(0.5), noise(1, 4, seed=2), noise(1, 4, seed=4)
    after, again = (
        solver.step(problem, ours, y, s, r, (), lambda like, z=z: z)[0] for z in (z, other)
    )
    assert torch.equal(after, again) == (eta == 0)


def test_from_a_point_the_law_is_that_of_the_process():
    """With start = 1 a point becomes the law of x_m, and of x_s up to an error of first order."""
    sde = SBVE()
    problem, y = (
        Gaussian(sde, MEAN, VARIANCES),
        torch.full((1, 16), 0.4 + 0.2j, dtype=torch.complex128),
    )
    errors = []
    for end in (0.9, 0.95):
        grid = Uniform(1, end=end, finish=False)
        mean, variance = response(problem, Singlestep(), grid)
        expected, exact_variance = problem.moments(y, times(end))
        torch.testing.assert_close(mean, expected[0], rtol=1e-12, atol=1e-12)
        errors.append(float((variance / exact_variance - 1).abs().max()))
    # The variance of x0 is a^2 / sigma^2 of that of the noise, which here is as 1 - t.
    assert errors[1] < 0.6 * errors[0] < 0.5


def test_each_item_has_its_own_way():
    """At a pinned end, in the middle, and to t = 0."""
    for sde in (SBVE(), FlowMatching(), VP()):
        problem, x, y, z = bimodal(sde), noise(3, 5), noise(3, 5, seed=1), noise(3, 5, seed=2)
        t, s = times(1.0, 0.8, 0.5), times(0.7, 0.3, 0.0)
        for solver in (Singlestep(), Singlestep(eta=1.0)):
            together, _ = solver.step(problem, x, y, t, s, None, lambda _, z=z: z)
            alone = [
                solver.step(
                    problem, *(v[i : i + 1] for v in (x, y, t, s)), None, lambda _, z=z[i]: z
                )
                for i in range(3)
            ]
            torch.testing.assert_close(together, torch.cat([one for one, _ in alone]))
            assert together.isfinite().all()


def test_single_precision_down_to_tiny_steps(sde):
    """Also where m is t or s to a rounding, or s is t, as two times of a long grid may be."""
    generator = torch.Generator().manual_seed(0)
    t = 0.01 + 0.98 * torch.rand(200, generator=generator)
    for roundings in (4, 100, 1e5):
        s = t * (1 - (roundings * torch.rand(200, generator=generator)).round() * 6e-8)
        for eta in (0.0, 0.5):
            results = []
            for dtype in (torch.complex64, torch.complex128):
                at = [time.to(dtype.to_real()) for time in (t, s)]
                y, z = (noise(200, 2, seed=i, dtype=torch.complex64).to(dtype) for i in range(2))
                x = sde.sample(y / 2, y, at[0], z)
                x, _ = Singlestep(eta).step(bimodal(sde), x, y, *at, (), torch.zeros_like)
                results.append(x.to(torch.complex128))
            # A few roundings of 6e-8, of values up to 3.
            assert (results[0] - results[1]).abs().max() < 1e-5


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.01, float("nan")])
def test_other_ratios_are_refused(ratio):
    with pytest.raises(ValueError, match=f"ratio must lie above 0 and up to 1, not {ratio}"):
        Singlestep(ratio=ratio)


def test_other_shares_of_noise_are_refused():
    with pytest.raises(ValueError, match="eta and start must lie between 0 and 1"):
        Singlestep(eta=1.1)
