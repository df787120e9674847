"""DDPM (Ho, Jain, Abbeel 2020, arXiv:2006.11239) in its own words, and in those of the library."""

import pytest
import torch
from problems import Draws, Formula, noise, times
from torch import Tensor, nn

from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError
from sgmse.estimates import Data, Estimate, Noise
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp, Network, WaveNet
from sgmse.sdes import SBVE, VP
from sgmse.solvers import Exponential, Sampler, Uniform, solve
from sgmse.training.losses import ScoreMatching, Truth
from sgmse.training.recipe_files import load_recipe
from sgmse.training.times import Times, TimeSteps
from sgmse.transforms import Spectrogram, Waveform

REAL = torch.float64
T = 1000
#: Section 4: "constants increasing linearly from beta_1 = 1e-4 to beta_T = 0.02".
BETAS = torch.linspace(1e-4, 0.02, T, dtype=REAL)
ALPHA_BAR = (1 - BETAS).cumprod(dim=0)


def eps_of(x: Tensor, i: int, steps: int = T) -> Tensor:
    """Some noise estimate at step i, that is no line."""
    return torch.tanh(x * (1 + i / steps)) * 0.9


def model(sde: VP) -> Formula:
    """The same as a model."""

    def estimate(x, y, t):
        (i,) = set((t * sde.steps).round().long().tolist())
        a, _, sigma = (scale[:, None] for scale in sde.scales(t))
        eps = eps_of(x, i, sde.steps)
        return Estimate((x - sigma * eps) / a, eps)

    return Formula(sde, estimate)


def test_the_chain():
    """a^2 is alpha-bar at t = i / T; between, it is a process; in the limit of T, `VP`."""
    sde = VP(steps=T)
    t = torch.arange(1, T + 1, dtype=REAL) / T
    a, b, sigma = sde.scales(t)
    torch.testing.assert_close(a**2, ALPHA_BAR, rtol=1e-14, atol=0)
    torch.testing.assert_close(sigma**2, 1 - ALPHA_BAR, rtol=1e-12, atol=0)
    assert not b.any()
    assert sde.refusal() is None
    for steps, near in ((1000, 0.02), (100_000, 2e-4)):
        found, limit = VP(steps=steps).scales(t).a, VP().scales(t).a
        torch.testing.assert_close(found, limit, rtol=6 * near, atol=0)
    few = VP(beta_min=1e-3, beta_max=20.0, steps=25)  # steep at the start, and it never rises
    assert few.refusal() is None
    assert (few.scales(torch.linspace(0, 1, 20_001, dtype=REAL)).a.diff() < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("variance", "unknown"), [("beta", 1.0), ("beta tilde", None)])
def test_ancestral_sampling(variance, unknown):
    """Algorithm 2, with the two variances of section 3.2, from each step and as a whole."""
    draws = Draws(1)
    start = draws(torch.zeros(4, 3, dtype=REAL))

    def step(x: Tensor, i: int, z: Tensor) -> Tensor:
        beta, alpha, alpha_bar = BETAS[i - 1], 1 - BETAS[i - 1], ALPHA_BAR[i - 1]
        before = ALPHA_BAR[i - 2] if i > 1 else torch.ones((), dtype=REAL)
        beta_tilde = (1 - before) / (1 - alpha_bar) * beta
        sigma = (beta if variance == "beta" else beta_tilde).sqrt()
        z = z if i > 1 else torch.zeros_like(z)
        mean = (x - beta / (1 - alpha_bar).sqrt() * eps_of(x, i)) / alpha.sqrt()
        return mean + sigma * z

    x, drawn = start, []
    for i in range(T, 0, -1):
        drawn.append(draws(x))
        x = step(x, i, drawn[-1])
    sde, solver = VP(steps=T), Exponential(eta=1.0, unknown=unknown)
    replay = iter(drawn)
    found = solve(
        model(sde),
        None,
        solver,
        Uniform(T, 1.0, 1 / T),
        x=start,
        randn=lambda like: next(replay),
    )
    assert found.nfe == T
    torch.testing.assert_close(found.x, x, rtol=1e-11, atol=1e-11)
    for i in (1, 2, 17, 500, T):
        z, (t, s) = drawn[0], times(i / T, (i - 1) / T)
        ours, _ = solver.step(
            model(sde),
            start,
            torch.zeros_like(start),
            t.expand(4),
            s.expand(4),
            None,
            lambda x, z=z: z,
        )
        scale = float(step(start, i, z).abs().max())
        torch.testing.assert_close(ours, step(start, i, z), rtol=0, atol=1e-14 * max(scale, 1.0))


def test_the_posterior_mean_of_the_chain():
    """mu-tilde and beta-tilde of q(x_(t-1) | x_t, x_0), eq. 7."""
    sde, i = VP(steps=T), 300
    x, x0 = noise(2, 3, dtype=REAL), noise(2, 3, seed=1, dtype=REAL)
    beta, alpha, now, before = BETAS[i - 1], 1 - BETAS[i - 1], ALPHA_BAR[i - 1], ALPHA_BAR[i - 2]
    mean = before.sqrt() * beta / (1 - now) * x0 + alpha.sqrt() * (1 - before) / (1 - now) * x
    w = Exponential(eta=1.0).weights(sde, times(i / T), times((i - 1) / T))
    eps = (x - now.sqrt() * x0) / (1 - now).sqrt()
    torch.testing.assert_close(w.x0 * x0 + w.noise * eps, mean, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(w.z**2, ((1 - before) / (1 - now) * beta)[None], rtol=1e-11, atol=0)


def test_the_simple_loss():
    """|eps - eps_theta(sqrt(alpha-bar) x_0 + sqrt(1 - alpha-bar) eps, t)|^2, eq. 14."""
    sde, x0, z = VP(steps=T), noise(3, 1, 2, 4, seed=1), noise(3, 1, 2, 4, seed=2)
    i = torch.tensor([3, 400, 1000])
    t = i.to(REAL) / T
    bar = ALPHA_BAR[i - 1][:, None, None, None]
    net = Unseeing(8).double()
    truth = Truth(x0, z, torch.zeros(3, 8), Spectrogram(6, 2), t, sde)
    asked, truth = ScoreMatching().ask(
        ScoreModel(net, sde, Noise()), torch.zeros_like(x0), truth, torch.Generator()
    )
    found = ScoreMatching()(asked, truth)["loss"]
    x = bar.sqrt() * x0 + (1 - bar).sqrt() * z
    simple = (z - net(x, None, t)).abs().square().mean()
    torch.testing.assert_close(found, simple, rtol=1e-14, atol=1e-14)


def test_the_times_are_the_steps():
    law, sde = TimeSteps(10), VP(steps=21)
    t = Times(0.1, 1.0, law=law).draw(5000, torch.Generator().manual_seed(0), sde)
    steps, counts = (10 * t).round().unique(return_counts=True)
    assert steps.tolist() == list(range(1, 11))
    assert (counts / 5000 - 0.1).abs().max() < 0.02
    torch.testing.assert_close(10 * t, (10 * t).round())
    ends = law.quantile(torch.tensor([0.0, 1.0]), 0.25, 0.75, sde)
    torch.testing.assert_close(ends, torch.tensor([0.3, 0.7]))
    assert "no step between low=0.11" in Times(0.11, 0.19, law=law).refusal(ScoreMatching(), sde)


def test_the_recipe_is_the_paper():
    recipe = load_recipe("ddpm")
    assert recipe.sde == VP(steps=T)
    assert recipe.parametrization == Noise()
    assert recipe.loss == ScoreMatching()
    assert recipe.sampler.solver == Exponential(eta=1.0)
    torch.testing.assert_close(
        recipe.sampler.grid.times(recipe.sde), torch.arange(T, -1, -1, dtype=REAL) / T
    )
    assert recipe.times.law == TimeSteps(T)
    assert recipe.network.observations == 0


def test_a_prior_sees_no_observation():
    torch.manual_seed(0)
    net = NCSNpp(channels=8, multipliers=(1, 1), blocks=1, bins=8, observations=0).eval()
    model = ScoreModel(net, VP(steps=100), Noise())
    x, t = noise(2, 1, 8, 4).to(torch.complex64), times(0.5, 0.7, dtype=torch.float32)
    for ours, theirs in zip(model(x, None, t), model(x, 5 * x, t), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ArgumentError, match="takes an observation, and there is none"):
        NCSNpp(channels=8, multipliers=(1, 1), blocks=1, bins=8)(x, None, t)


def test_a_prior_does_not_enhance():
    """It would answer a recording with another one that it makes up."""
    torch.manual_seed(0)
    model = ScoreModel(WaveNet(4, 2, observations=0), VP(steps=30), Noise())
    sampler = Sampler(Exponential(eta=1.0), Uniform(3))
    for force in (False, True):
        with pytest.raises(ArgumentError, match="a prior of clean audio: it hears no recording"):
            Enhancer(model, FrontEnd(Waveform(), 8000), sampler, force=force)
    assert ScoreModel(WaveNet(4, 2), VP(), Noise()).deaf is False
    assert ScoreModel(WaveNet(4, 2, observations=0), SBVE(), Data()).deaf is False


def test_mistakes():
    with pytest.raises(ArgumentError, match="steps must exceed beta_max 20, not 20"):
        VP(steps=20)
    with pytest.raises(ArgumentError, match="unknown is a variance"):
        Exponential(unknown=-1.0)


class Unseeing(Network):
    """A small network of points of spectrograms of one bin, with the time in waves."""

    observations = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.config = {"width": width}
        self.layers = nn.Sequential(
            nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, x: Tensor, y: Tensor | None, t: Tensor) -> Tensor:
        waves = torch.outer(t, 2.0 ** torch.arange(7).to(t))
        e = torch.cat([waves.sin(), waves.cos()], dim=1)[:, None].expand(-1, x[0].numel(), -1)
        points = torch.view_as_real(x.reshape(len(x), -1))
        return torch.view_as_complex(self.layers(torch.cat([points, e], dim=2))).reshape(x.shape)


def ring(count: int, seed: int) -> Tensor:
    """Points of a plane, (count, 1, 1, 1): eight spots on a circle."""
    rng = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (count,), generator=rng) * torch.pi / 4
    spots = torch.polar(torch.full((count,), 1.2), angle)
    return (spots + 0.1 * torch.randn(count, generator=rng, dtype=torch.complex64)).reshape(
        -1, 1, 1, 1
    )


def distance(x: Tensor, y: Tensor) -> float:
    """Sliced Wasserstein-1 of points of a plane, over eight directions."""
    turns = torch.exp(1j * torch.pi * torch.arange(8) / 8)
    a, b = ((points.flatten()[:, None] * turns).real.sort(dim=0).values for points in (x, y))
    return float((a - b).abs().mean())


@pytest.mark.slow
def test_it_generates():
    """Trained by the simple loss on eight spots of a plane, it draws them from noise."""
    torch.manual_seed(0)
    sde = VP(beta_min=0.1, beta_max=20.0, steps=100)
    model = ScoreModel(Unseeing(128), sde, Noise())
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 4000)
    generator = torch.Generator().manual_seed(1)
    law, loss, transform = Times(0.01, 1.0, law=TimeSteps(100)), ScoreMatching(), Spectrogram(6, 2)
    data = ring(20_000, 2)
    losses = []
    for _ in range(4000):
        x0 = data[torch.randint(len(data), (512,), generator=generator)]
        t = law.draw(512, generator, sde)
        z = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
        truth = Truth(x0, z, torch.zeros(512, 8), transform, t, sde)
        value = loss(*loss.ask(model, x0, truth, generator))["loss"]
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        rate.step()
        losses.append(float(value.detach()))
    start = torch.randn(4000, 1, 1, 1, dtype=torch.complex64, generator=generator)
    floor = distance(ring(4000, 3), ring(4000, 4))  # of two sets of the truth
    for unknown in (None, 1.0):
        solver = Exponential(eta=1.0, unknown=unknown)
        with torch.inference_mode():
            x = solve(model, None, solver, Uniform(100, 1.0, 0.01), x=start).x
        near = distance(x, ring(4000, 3))
        spots = (x.flatten() / 1.2).angle().mul(4 / torch.pi).round().long() % 8
        shares = torch.bincount(spots, minlength=8) / 4000
        # Of noise it is 0.26, of two true sets 0.017; 0.06 and 0.07 were measured: what is left is
        # of the network.
        assert near < 6 * floor < 0.12
        assert distance(start, ring(4000, 3)) > 0.25
        assert shares.min() > 0.08
        assert shares.max() < 0.17
