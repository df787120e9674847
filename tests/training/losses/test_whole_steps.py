"""Losses of whole steps: what is exact stays as it is, what is not is pulled towards it."""

from dataclasses import dataclass, replace

import pytest
import torch
from conftest import PARAMETRIZATIONS, SDES, together
from problems import Gaussian, noise, times
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sgmse.errors import ArgumentError
from sgmse.estimates import EDM, Estimate, Velocity
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp, Network
from sgmse.sdes import BBED, OUVE, SBVE, SDE, VP, FlowMatching, Scales, StraightFlow, expand
from sgmse.solvers import Exponential, Uniform, solve
from sgmse.training.losses import Composition, MeanFlow, Truth, VelocityMatching, WholeSteps
from sgmse.training.losses.whole_steps import reached, slopes
from sgmse.transforms import Spectrogram

LOSSES = [MeanFlow(), Composition()]
T, S = times(0.3, 0.6, 0.9, 0.95), times(0.0, 0.2, 0.85, 0.9)
AUDIO = torch.zeros(4, 0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@dataclass(frozen=True)
class Flow:
    """The whole flow of a Gaussian law: r / sqrt(w) stays as it is."""

    law: Gaussian
    latest = 1.0

    @property
    def sde(self) -> SDE:
        return self.law.sde

    def __call__(self, x: Tensor, y: Tensor, t: Tensor, *, s: Tensor | None = None) -> Estimate:
        if s is None:
            return self.law(x, y, t)
        (m_t, w_t), (m_s, w_s) = (self.law.law(y, self.sde.scales(u), x) for u in (t, s))
        x_s = m_s + (w_s / w_t).sqrt() * (x - m_t)
        (a_t, b_t, o_t), (a_s, b_s, o_s) = (
            (expand(c, x) for c in self.sde.scales(u)) for u in (t, s)
        )
        r_t, r_s, d = x - b_t * y, x_s - b_s * y, a_s * o_t - a_t * o_s
        return Estimate((o_t * r_s - o_s * r_t) / d, (a_s * r_t - a_t * r_s) / d)


def pairs(sde: SDE) -> tuple[Truth, Tensor, Tensor, Flow]:
    """Two truths of each state x, whose mean is what a Gaussian law says of it: twice T."""
    flow = Flow(Gaussian(sde, mean=0.3 - 0.1j, variance=0.2))
    t, y = T.repeat(2), noise(4, 1, 3, 2, seed=1).repeat(2, 1, 1, 1)
    x = sde.sample(0.3 - 0.1j + 0.5 * noise(4, 1, 3, 2), y[:4], T, noise(4, 1, 3, 2, seed=2))
    x = x.repeat(2, 1, 1, 1)
    centre = flow.law(x, y, t)
    a, _, sigma = (expand(s, x) for s in sde.scales(t))
    off = noise(4, 1, 3, 2, seed=3)
    off = sigma * torch.cat((off, -off))
    x0, z = centre.x0 + off, centre.noise - a / sigma * off
    return Truth(x0, z, AUDIO, Spectrogram(4, 2), t, sde), x, y, flow


def pull(loss: WholeSteps, model: Flow, truth: Truth, x: Tensor, y: Tensor) -> Tensor:
    """The mean over both truths of a state."""
    s = S.repeat(2)
    own = model(x, y, truth.t, s=s)
    both = loss.pull(model, x, y, s, own, truth, generator())
    return both.unflatten(0, (2, 4)).mean(0)


@pytest.mark.slow
@together(loss=LOSSES, sde=SDES)
def test_the_exact_flow_is_left_as_it_is_and_another_is_not(loss, sde):
    truth, x, y, flow = pairs(sde)
    if why := loss.refusal(sde, T):
        assert "BBED" in str(sde)  # the only process that torch does not compute
        assert "cannot differentiate" in why
        return
    exact = pull(loss, flow, truth, x, y)
    assert exact.abs().max() < 1e-11
    wrong = replace(flow, law=replace(flow.law, variance=0.1))
    if isinstance(loss, MeanFlow):  # a composition is that of any flow; it needs the velocity, too
        # least where a process forgets x0 anyway
        assert (pull(loss, wrong, truth, x, y).abs().amax((1, 2, 3)) > 1e-5).all()


class Straight(Flow):
    """The same, but a whole step goes on as it begins."""

    def __call__(self, x: Tensor, y: Tensor, t: Tensor, *, s: Tensor | None = None) -> Estimate:
        return self.law(x, y, t)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_steps_that_go_on_as_they_begin_are_pulled_to_the_flow(loss):
    truth, x, y, flow = pairs(StraightFlow(0.0, 0.5))
    euler, s = Straight(flow.law), S.repeat(2)
    own, exact = euler(x, y, truth.t, s=s), flow(x, y, truth.t, s=s)
    towards = (reached(exact, y, truth.sde, s) - reached(own, y, truth.sde, s))[:4]
    pulled = pull(loss, euler, truth, x, y)
    # not there at once, but nearer: not the other way
    along = (pulled * towards.conj()).real.sum((1, 2, 3))
    assert (along > 0.3 * towards.abs().square().sum((1, 2, 3))).all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_target_is_one_of_the_same_state_at_the_pulled_end(loss):
    sde, flow = OUVE(), Straight(Gaussian(OUVE(), variance=0.4))
    x0, y, z = (noise(64, 1, 3, 2, seed=i) for i in range(3))
    t = torch.linspace(0.05, 1, 64, dtype=torch.float64)
    truth = Truth(x0, z, AUDIO, Spectrogram(4, 2), t, sde)
    estimate, target = loss.ask(flow, y, truth, generator())
    for one in (estimate, target):
        given = Estimate(one[0], one[1])
        torch.testing.assert_close(reached(given, y, sde, t), sde.sample(x0, y, t, z))
    far = target.s < t
    assert far.double().mean() == pytest.approx(loss.share, abs=0.15)
    assert (target.s >= 0).all()
    torch.testing.assert_close(target.x0[~far], x0[~far], rtol=0, atol=0)
    assert not torch.isclose(target.x0[far], x0[far]).any()
    # where all ends are those of the beginning it is the matching of velocities
    there = slice(None), slice(None)
    plain = replace(loss, power=0.0)(
        Estimate(*(e[~far][there] for e in estimate)),
        target._replace(x0=x0[~far], z=z[~far], t=t[~far], s=t[~far]),
    )
    matching = VelocityMatching()(
        Estimate(*(e[~far] for e in estimate)), truth._replace(x0=x0[~far], z=z[~far], t=t[~far])
    )
    torch.testing.assert_close(plain["loss"], matching["loss"])


def test_mean_slopes_are_differences_and_at_last_rates():
    for sde in (OUVE(), VP(), StraightFlow(0.1, 0.5)):
        t, gap = times(0.5, 0.5, 0.5, 0.5), times(0.3, 0.02, 0.005, 0.0)
        for slope, p, q, rate in zip(
            slopes(sde, t, t - gap), sde.scales(t), sde.scales(t - gap), sde.rates(t), strict=True
        ):
            expected = torch.where(gap > 0, (p - q) / gap.clamp(min=1e-9), rate)
            torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def network() -> NCSNpp:
    """A random network of two times that hears all of its inputs, slowly over the time."""
    torch.manual_seed(0)
    net = NCSNpp(channels=4, multipliers=(1,), blocks=1, bins=4, end="length").double()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
        for times_of in (net.embedding, net.end):
            times_of.fourier.frequencies.mul_(0.02)
    return net.requires_grad_(False)


def spectrograms(seed: int = 0, dtype: torch.dtype = torch.complex128) -> list[Tensor]:
    return [0.5 * noise(4, 1, 4, 4, seed=seed + i).to(dtype) for i in range(3)]


@pytest.mark.slow
@together(parametrization=PARAMETRIZATIONS, sde=[OUVE()])
def test_the_derivative_is_that_of_differences(network, parametrization, sde):
    model = ScoreModel(network, sde, parametrization, 0.95)
    x0, y, z = spectrograms()
    truth = Truth(x0, z, AUDIO, Spectrogram(6, 2), T, sde)
    x, s, d = sde.sample(x0, y, T, z), S, 1e-6
    own = model(x, y, T, s=s)
    moved = MeanFlow().pull(model, x, y, s, own, truth, generator())
    v = sum(expand(r, x) * q for r, q in zip(sde.rates(T), (x0, y, z), strict=True))
    after, before = (reached(model(x + e * v, y, T + e, s=s), y, sde, s) for e in (d, -d))
    difference = (after - before) / (2 * d)
    scale = difference.abs().amax((1, 2, 3), keepdim=True)
    assert ((moved + difference).abs() / scale).max() < 1e-5


def test_on_a_straight_flow_it_is_the_published_target(network):
    """u* = v - (t - s) d/dt u for the average velocity u, which is the output (Geng et al.)."""
    sde = StraightFlow(0.0, 0.487)
    model, (x0, y, z) = ScoreModel(network, sde, Velocity()), spectrograms()
    truth = Truth(x0, z, AUDIO, Spectrogram(6, 2), T, sde)
    loss = MeanFlow(share=0.999, power=0.0)
    estimate, target = loss.ask(model, y, truth, generator())
    s, x, v = target.s, sde.sample(x0, y, T, z), y - x0 + 0.487 * z
    assert (s < T).all()
    with sdpa_kernel(SDPBackend.MATH):
        u, slope = torch.func.jvp(lambda x, t: network(x, y, t, s), (x, T), (v, torch.ones_like(T)))
    expected = (u - (v - expand(T - s, x) * slope)).abs().square().mean()
    torch.testing.assert_close(loss(estimate, target)["loss"], expected)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_gradient_goes_through_the_estimate_alone(network, loss):
    model, (x0, y, z) = ScoreModel(network, FlowMatching(), EDM()), spectrograms()
    truth = Truth(x0, z, AUDIO, Spectrogram(6, 2), T, model.sde)
    network.requires_grad_(True)
    estimate, target = replace(loss, share=0.999).ask(model, y, truth, generator())
    assert estimate.x0.requires_grad
    assert not target.x0.requires_grad
    terms = loss(estimate, target)
    (slope,) = torch.autograd.grad(terms["loss"], estimate.x0, retain_graph=True)
    # that of the mean of w |e|^2 with w as a number
    e = -(estimate.x0 - target.x0) + (estimate.noise - target.z)  # a = 1 - t, sigma = t
    squares = e.detach().abs().square().flatten(1).mean(1)
    w = (squares + loss.floor) ** -loss.power
    torch.testing.assert_close(slope, expand(w, e) * -2 * e.detach() / e.numel())
    assert float(terms["velocity"]) == pytest.approx(float(squares.mean()))
    network.requires_grad_(False)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_in_half_precision_it_is_nearly_the_same(network, loss):
    model = ScoreModel(network.float(), StraightFlow(), Velocity())
    x0, y, z = spectrograms(dtype=torch.complex64)
    truth = Truth(x0, z, AUDIO, Spectrogram(6, 2), T.float(), model.sde)
    network.requires_grad_(True)
    slopes_of = []
    for half in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, half):
            estimate, target = loss.ask(model, y, truth, generator())
        loss(estimate, target)["loss"].backward()
        slopes_of.append(
            torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad])
        )
    network.double().requires_grad_(False)
    exact, rough = slopes_of
    # bf16 has 8 bits of precision, and some thirty layers twice
    assert torch.nn.functional.cosine_similarity(exact, rough, dim=0) > 0.97


@dataclass(frozen=True)
class Outside(BBED):
    """Scales that leave torch on their way."""

    def scales(self, t):
        return Scales(*(torch.from_numpy(scale.numpy()) for scale in super().scales(t)))


def test_what_cannot_be_trained_so_is_refused():
    for kind in (MeanFlow, Composition):
        for share in (0.0, 1.0):
            with pytest.raises(ArgumentError, match=f"{kind.__name__}: share must lie between"):
                kind(share=share)
        for wrong in ({"power": 1.5}, {"floor": 0.0}):
            with pytest.raises(ArgumentError, match="power must lie in"):
                kind(**wrong)
        assert "velocity of BrownianBridge" not in (kind().refusal(SBVE(), T) or "")
        assert "is infinite at t = 1" in kind().refusal(SBVE(), times(0.5, 1.0))
        assert "use Reconstruction" in kind().untimed()
        x0 = noise(1, 1, 2, 2)
        truth = Truth(x0, x0, AUDIO, Spectrogram(4, 2), times(0.5), OUVE())
        with pytest.raises(ArgumentError, match="take the truth from `ask`"):
            kind()(Estimate(x0, x0), truth)
    assert "use Composition" in MeanFlow().refusal(Outside(), T)
    assert Composition().refusal(Outside(), T) is None
    assert MeanFlow().refusal(BBED(), T) is None


class Points(Network):
    """Each point for itself."""

    two_times = True

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = [nn.Linear(4, width), nn.SiLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x: Tensor, y: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
        t, s = (expand(u, x).expand(x.shape) for u in (t, t if s is None else s))
        parts = self.layers(torch.stack((x.real, x.imag, t, s), -1))
        return torch.view_as_complex(parts.contiguous())


def two_modes(shape: tuple[int, ...]) -> Tensor:
    sides = 2.0 * torch.randint(0, 2, shape, generator=(g := generator())) - 1
    return 0.5 * sides + 0.2 * torch.randn(shape, dtype=torch.complex64, generator=g)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [MeanFlow(power=0.0), Composition()], ids=str)
def test_a_network_that_learned_so_makes_in_one_step_what_the_flow_makes_in_many(loss):
    """Two modes from noise: the mean error of the quantiles, as a share of the deviation."""
    torch.manual_seed(0)
    sde, draws, steps = FlowMatching(), generator(), 1000
    model = ScoreModel(Points(), sde, Velocity())
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    data = two_modes((steps, 16, 1, 32, 1))
    for x0 in data:
        t = torch.rand(16, generator=draws).clamp(min=1e-3)
        z = torch.randn(x0.shape, dtype=x0.dtype, generator=draws)
        truth = Truth(x0, z, AUDIO, Spectrogram(4, 2), t, sde)
        optimiser.zero_grad()
        loss(*loss.ask(model, torch.zeros_like(x0), truth, draws))["loss"].backward()
        optimiser.step()
        schedule.step()
    true = two_modes((1, 1, 20000, 1)).real.flatten().sort()[0]
    start = torch.randn((1, 1, 20000, 1), dtype=torch.complex64, generator=draws)

    def error(solver: Exponential, count: int) -> float:
        with torch.no_grad():
            x = solve(model, torch.zeros_like(start), solver, Uniform(count, end=0.0), x=start).x
        return float((x.real.flatten().sort()[0] - true).abs().mean() / true.std())

    whole, flow, euler = (
        error(Exponential(whole=True), 1),
        error(Exponential(), 50),
        error(Exponential(), 1),
    )
    print(loss, whole, flow, euler)
    assert whole < 1.3 * flow + 0.02
    assert whole < 0.4 * euler
