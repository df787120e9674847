"""From one domain to another and back, on priors whose transfer is a known affine map."""

from dataclasses import replace

import pytest
import torch
from problems import Correlated, Gaussian, covariance, noise, slope, times
from torch import Tensor

from sgmse.front import FrontEnd
from sgmse.inference import Consistent, decode, encode, transfer
from sgmse.sdes import OUVE, VE, VP, FlowMatching, expand
from sgmse.solvers import Heun, LogSNR, Multistep, RungeKutta4
from sgmse.transforms import Spectrogram, Waveform

GRID = LogSNR(32, 0.998, 0.002)


def root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()).to(vectors.dtype) @ vectors.mH


def between(source: Correlated, target: Correlated, x: Tensor, grid) -> Tensor:
    """The affine map of `sgmse.inference._transfer`, in closed form."""
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    (a_s, a_e), _, (sigma_s, sigma_e) = source.sde.scales(times(grid.start, grid.end))

    def roots(problem: Correlated) -> tuple[Tensor, Tensor]:
        C = problem.covariance
        return root(a_s**2 * C + sigma_s**2 * eye), root(a_e**2 * C + sigma_e**2 * eye)

    (up_s, up_e), (down_s, down_e) = roots(source), roots(target)
    latent = (up_s @ torch.linalg.inv(up_e)) @ (x - source.mean)[..., None]
    latent = latent + (a_s / a_e) * (source.mean - target.mean) * torch.ones_like(latent)
    return target.mean + ((down_e @ torch.linalg.inv(down_s)) @ latent)[..., 0]


@pytest.mark.parametrize(
    ("sde", "dtype"),
    [(FlowMatching(), torch.complex128), (VP(), torch.float64), (VE(), torch.complex128)],
    ids=str,
)
def test_gaussians_have_their_affine_map(sde, dtype):
    """Of covariances with other axes each; the error falls with the order of the solver."""
    source = Correlated(sde, covariance(4, 1, dtype), 0.3)
    target = Correlated(sde, covariance(4, 2, dtype), -0.2)
    x = source.mean + noise(3, 4, dtype=dtype) @ root(source.covariance).mT
    steps, off = [40, 80], []
    for n in steps:
        grid = replace(GRID, steps=n)
        found = transfer(source, target, x, Multistep(), grid)
        assert found.nfe == 2 * n
        off.append(float((found.x - between(source, target, x, grid)).abs().max()))
    assert off[-1] < 1e-2
    assert slope(steps, off) > 1.7
    exact = transfer(source, target, x, RungeKutta4(), replace(GRID, steps=64)).x
    torch.testing.assert_close(exact, between(source, target, x, GRID), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("sde", [FlowMatching(), VP()], ids=repr)
def test_there_and_back(sde):
    """To 1e-3 of the peak, and the law that comes out is that of the other domain."""
    source = Correlated(sde, covariance(4, 1), 0.3)
    target = Correlated(sde, covariance(4, 2), -0.2j)
    x = source.mean + noise(2000, 4) @ root(source.covariance).mT
    there = transfer(source, target, x, Multistep(), replace(GRID, steps=100))
    back = transfer(target, source, there.x, Multistep(), replace(GRID, steps=100))
    assert (back.x - x).abs().max() < 1e-3 * x.abs().max()
    torch.testing.assert_close(back.latent, there.latent, rtol=0, atol=1e-3)
    moved = there.x - there.x.mean(dim=0)
    assert (there.x.mean(dim=0) + 0.2j).abs().max() < 0.05
    assert (moved.mT @ moved.conj() / 2000 - target.covariance).abs().max() < 0.05
    assert (there.x - x).abs().max() > 0.3


def test_is_one_way_up_and_the_other_down():
    source, target = Gaussian(VP(), 0.2, 0.3), Gaussian(VP(), -0.1, 2.0)
    x = source.draw(noise(2, 4), None)
    copy, seen = x.clone(), []
    found = transfer(source, target, x, Heun(), GRID, callback=seen.append)
    latent = encode(source, x, None, Heun(), GRID).x
    assert torch.equal(found.latent, latent)
    assert torch.equal(found.x, decode(target, latent, None, Heun(), GRID).x)
    assert torch.equal(x, copy)
    assert [step.done for step in seen] == 2 * [*range(1, 33)]
    assert seen[0].s > seen[0].t
    assert seen[-1].s < seen[-1].t


def test_an_earlier_start_changes_less():
    source, target = Gaussian(FlowMatching(), 0.0, 0.01), Gaussian(FlowMatching(), 0.0, 1.0)
    x = source.draw(noise(2, 4), None)
    change = [
        float((transfer(source, target, x, Multistep(), replace(GRID, start=t)).x - x).abs().max())
        for t in (0.05, 0.3, 0.998)
    ]
    assert change[0] < change[1] < change[2]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (VP(), FlowMatching(), r"latents of VP.* are none of FlowMatching.*sgmse train --from"),
        (FlowMatching(), FlowMatching(0.1), "latents of"),
        (OUVE(), OUVE(), r"OUVE.* leads to an observation.* FlowMatching\(\).* \(recipe prior\)"),
    ],
)
def test_refused(source, target, message):
    x = noise(1, 4)
    with pytest.raises(ValueError, match=message):
        transfer(Gaussian(source), Gaussian(target), x, Multistep(), GRID)
    with pytest.raises(ValueError, match="end the grid after 0"):
        transfer(Gaussian(VP()), Gaussian(VP()), x, Multistep(), replace(GRID, end=0.0))
    with pytest.raises(TypeError, match="model"):
        transfer(Gaussian(VP()), None, x, Multistep(), GRID)  # type: ignore[arg-type]


def test_consistent_estimates_are_spectrograms_of_sounds():
    front = FrontEnd(Spectrogram(62, 16), 16000)
    samples, sde = 500, OUVE()
    y = front.forward(noise(2, samples, dtype=torch.float64), 4)
    x, t = noise(*y.shape, seed=1), times(0.2, 0.8)
    model = Gaussian(sde, half, 0.3)
    found, plain = Consistent(model, front, samples)(x, y, t), model(x, y, t)
    sound = front.inverse(plain.x0, samples)
    assert torch.equal(found.x0, front.forward(sound, 4))
    assert (found.x0 - plain.x0).abs().max() > 0.1
    torch.testing.assert_close(front.inverse(found.x0, samples), sound)
    a, b, sigma = (expand(scale, x) for scale in sde.scales(t))
    torch.testing.assert_close(a * found.x0 + b * y + sigma * found.noise, x)
    waves = FrontEnd(Waveform(), 16000)
    x = waves.forward(noise(2, samples, dtype=torch.float64))
    model = Gaussian(VP(), 0.2, 0.3)
    same, plain = Consistent(model, waves, samples)(x, None, t), model(x, None, t)
    torch.testing.assert_close(same.x0, plain.x0)
    torch.testing.assert_close(same.noise, plain.noise)
    with pytest.raises(ValueError, match="600 samples have 300 frames, and the state has 250"):
        Consistent(model, waves, 600)(x, None, t)


def half(y):
    return y / 2
