import math

import pytest
import torch

from sgmse.estimates import EDM
from sgmse.sdes import OUVE
from sgmse.training.losses.weightings import (
    EDMWeighting,
    LogVariance,
    SigmaSquared,
    Uncertainty,
    Unweighted,
)

LEVELS = torch.tensor([0.02, 0.5, 3.0], dtype=torch.float64)


def test_values():
    assert Unweighted()(LEVELS).tolist() == [1, 1, 1]
    assert SigmaSquared()(LEVELS).tolist() == [s**2 for s in LEVELS.tolist()]
    for data in (0.1, 0.5):
        expected = (LEVELS**2 + data**2) / (LEVELS * data) ** 2
        torch.testing.assert_close(EDMWeighting(data)(LEVELS), expected)
    assert Uncertainty(EDMWeighting())(LEVELS).equal(EDMWeighting()(LEVELS))


def test_at_an_infinite_level_the_noise_no_longer_counts():
    nothing = torch.tensor([math.inf])
    assert float(EDMWeighting(0.5)(nothing)) == 4
    assert float(Unweighted()(nothing)) == 1


def test_edm_weights_make_all_outputs_count_alike():
    """lambda c_out^2 = 1: |error of x0|^2 by its weight is the squared error of the output."""
    t = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    x, y, error = (torch.randn(3, 5, dtype=torch.complex128) for _ in range(3))
    edm, sde = EDM(0.3), OUVE()
    off = edm.estimate(x + error, x, y, t, sde).x0 - edm.estimate(x, x, y, t, sde).x0
    weights = EDMWeighting(0.3)((-sde.log_snr(t)).exp())
    torch.testing.assert_close(weights[:, None] * off.abs() ** 2, error.abs() ** 2)


def test_the_mean_is_over_items_and_points():
    squares = torch.arange(24.0).reshape(2, 3, 4)
    weights = torch.tensor([1.0, 3.0])
    expected = (squares[0].mean() + 3 * squares[1].mean()) / 2
    for weighting in (Unweighted(), SigmaSquared(), EDMWeighting()):
        assert weighting.learned() is None
        assert float(weighting.mean(squares, weights, None)) == pytest.approx(float(expected))


def test_the_log_variance_is_a_cosine_series_that_begins_with_0():
    u, t = LogVariance(3), torch.tensor([0.0, 0.25, 1.0])
    assert u(t).tolist() == [0, 0, 0]
    u.weights.data = torch.tensor([1.0, 2.0, 4.0])
    expected = [1 + 2 * math.cos(math.pi * s) + 4 * math.cos(2 * math.pi * s) for s in t.tolist()]
    torch.testing.assert_close(u(t), torch.tensor(expected))


def test_the_gradient_of_u():
    """d loss / d w_k = mean_i (1 - L_i / e^u_i) cos(pi k t_i)."""
    weighting = Uncertainty(EDMWeighting(0.2), terms=4)
    u = weighting.learned()
    assert sum(p.numel() for p in u.parameters()) == 4
    u.weights.data = torch.tensor([0.3, -0.2, 0.1, 0.4])
    t, sigma = torch.tensor([0.1, 0.6]), torch.tensor([0.5, 2.0])
    squares = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    weighting.mean(squares, weighting(sigma), u(t)).backward()
    losses = weighting(sigma) * squares.flatten(1).mean(1)
    waves = torch.stack([(math.pi * k * t).cos() for k in range(4)])
    expected = (waves * (1 - losses * (-u(t).detach()).exp())).mean(1)
    torch.testing.assert_close(u.weights.grad, expected)


@pytest.mark.slow
def test_u_learns_the_logarithm_of_the_loss_that_is_to_be_expected():
    weighting, t = Uncertainty(terms=16), torch.linspace(0, 1, 256)
    u = weighting.learned()
    spread = 1 + 0.9 * torch.tensor([1.0, -1.0]).repeat(128)  # around 1
    expected = -7 + 1.5 * (math.pi * t).cos() + 0.5 * (5 * math.pi * t).cos()
    losses = expected.exp() * spread
    optimiser = torch.optim.Adam(u.parameters(), lr=0.03)
    for _ in range(1000):
        optimiser.zero_grad()
        weighting.mean(losses, torch.ones(256), u(t)).backward()
        optimiser.step()
    # What is left of the spread at the ends, where there is no next time to even it out, is 0.05 or
    # a little more, by how a machine sums; a third of the spread's logarithm would be 0.2.
    torch.testing.assert_close(u(t), expected, rtol=0, atol=0.08)
