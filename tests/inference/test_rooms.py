"""Unknown rooms: the law of what is drawn, and that drawing in turn gives the joint posterior."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sgmse.audio import read
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.inference import Room, UnknownRoom
from sgmse.inference._rooms import correlated

REAL = torch.float64


def white(seed: int):
    """Noise like a tensor, by a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=generator)


def convolution(x: Tensor, length: int) -> Tensor:
    """The matrix (samples, length) of x's convolution with a response."""
    columns = [torch.nn.functional.pad(x, (k, 0))[: len(x)] for k in range(length)]
    return torch.stack(columns, dim=1)


def test_what_is_drawn_has_the_law_of_the_regression():
    """Mean and covariance of 20 000 draws, against the closed form with the matrix itself."""
    draws, samples, noise = 20_000, 12, 0.3
    mean = torch.tensor([1.0, 0.2, 0.0, -0.1], dtype=REAL)
    deviation = torch.tensor([0.01, 0.6, 0.4, 0.2], dtype=REAL)
    x, m = (white(seed)(torch.empty(samples, dtype=REAL)) for seed in (0, 1))
    law = UnknownRoom(mean, deviation)
    many = (x.expand(draws, -1), m.expand(draws, -1))
    found = law.drawn(*many, noise, white(2), tolerance=1e-10).response
    X = convolution(x, len(mean))
    covariance = torch.linalg.inv(X.T @ X / noise**2 + torch.diag(deviation**-2))
    expected = mean + covariance @ X.T @ (m - X @ mean) / noise**2
    own = covariance.diagonal().sqrt()
    # Means of so many have 1/141 of a deviation, covariances of it 1/100 to 1/141.
    assert ((found.mean(dim=0) - expected) / own).abs().max() < 0.04
    correlation = (found.T.cov() - covariance) / own / own[:, None]
    assert correlation.abs().max() < 0.05


def test_in_turn_they_are_drawn_from_their_joint_posterior():
    """Speech of N(0, 1), one tap: p(h | m) is known, and 3000 chains of eight rounds have it."""
    noise, chains = 0.5, 3000
    law = UnknownRoom(torch.tensor([1.0], dtype=REAL), torch.tensor([0.4], dtype=REAL))
    m = 1.4 * white(0)(torch.empty(6, dtype=REAL))
    h = torch.linspace(-1.5, 4, 4001, dtype=REAL)
    spread = h[:, None] ** 2 + noise**2
    density = torch.exp(
        -((h - 1) ** 2) / (2 * 0.4**2) - (spread.log() / 2 + m**2 / (2 * spread)).sum(dim=1)
    )
    density /= density.sum()
    mean = (density * h).sum()
    deviation = (density * (h - mean) ** 2).sum().sqrt()
    assert (mean - 1).abs() > 0.3 * deviation  # m says something of it
    normal, room = white(1), Room(torch.ones(chains, 1, dtype=REAL))
    for _ in range(8):
        gain = room.response / (room.response**2 + noise**2)
        left = noise / (room.response**2 + noise**2).sqrt()
        x0 = gain * m + left * normal(torch.empty(chains, len(m), dtype=REAL))
        room = law.drawn(x0, m.expand(chains, -1), noise, normal, tolerance=1e-10)
    # A mean of 3000 has 1/55 of a deviation.
    assert ((room.response.mean() - mean) / deviation).abs() < 0.08
    assert (room.response.std() / deviation - 1).abs() < 0.06


def test_a_room_for_each_item_is_as_one_for_one():
    responses = white(0)(torch.empty(3, 5, dtype=REAL))
    x = white(1)(torch.empty(3, 20, dtype=REAL))
    together = Room(responses)
    for item in range(3):
        alone, own = Room(responses[item]), x[item : item + 1]
        torch.testing.assert_close(together(x)[item : item + 1], alone(own))
        back = together.adjoint(x, x)[item : item + 1]
        torch.testing.assert_close(back, alone.adjoint(own, own))
        torch.testing.assert_close(alone(own)[0], convolution(own[0], 5) @ responses[item])
        y = white(2)(own)
        torch.testing.assert_close(correlated(y, own, 5)[0], convolution(own[0], 5).T @ y[0])


@pytest.mark.parametrize("length", [8, 11, 30])
def test_a_room_may_be_longer_than_the_recording(length):
    """What lies behind its end says nothing: there the law is as it was."""
    x, y = white(0)(torch.empty(1, 8, dtype=REAL)), white(1)(torch.empty(1, 8, dtype=REAL))
    X = convolution(x[0], length)
    torch.testing.assert_close(correlated(y, x, length)[0], X.T @ y[0])
    law = UnknownRoom(torch.zeros(length, dtype=REAL), torch.full((length,), 0.5, dtype=REAL))
    silent = [torch.zeros_like, lambda like: torch.ones_like(like)]
    means = [law.drawn(x, y, 0.3, randn, tolerance=1e-12).response[0] for randn in silent]
    precision = X.T @ X / 0.3**2 + 4 * torch.eye(length, dtype=REAL)
    torch.testing.assert_close(means[0], torch.linalg.solve(precision, X.T @ y[0] / 0.3**2))
    assert not torch.allclose(means[0], means[1])


def test_of_speech_the_draw_has_converged():
    """With the usual steps it is within a tenth of the law's deviations of where it would end."""
    speech = read(Path(__file__).parents[1] / "data/clean.wav")[0][:1, 8000:20000]
    x = torch.from_numpy(speech.copy())
    law = UnknownRoom.decaying(16000, length=0.2)
    y = law.drawn(torch.zeros_like(x), torch.zeros_like(x), 1.0, white(0))(x)
    noise = 0.1 * float(y.square().mean().sqrt())
    y = y + noise * white(1)(y)
    found, end = (
        law.drawn(x, y, noise, white(2), **more).response
        for more in ({}, {"steps": 3000, "tolerance": 1e-7})
    )
    assert ((found - end) / law.deviation).square().mean().sqrt() < 0.1


def test_a_tail_decays_as_it_is_said():
    law = UnknownRoom.decaying(1000, rt60=0.2, energy=2.0, length=0.3)
    assert law.mean[0] == 1
    assert law.mean[1:].abs().max() == 0
    tail = law.deviation[1:].double()
    assert len(tail) == 299
    assert float(tail.square().sum()) == pytest.approx(2.0, rel=1e-5)
    fallen = 20 * np.log10(float(tail[0] / tail[200]))
    assert fallen == pytest.approx(60.0, abs=1e-3)
    expected = law.expected(torch.empty(2, dtype=REAL)).response
    assert expected.dtype == REAL
    torch.testing.assert_close(expected, law.mean.to(REAL))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: UnknownRoom(torch.ones(3), torch.ones(2)), "of one length, not 3 and 2"),
        (lambda: UnknownRoom(torch.ones(0), torch.ones(0)), r"numbers \(length,\)"),
        (lambda: UnknownRoom(torch.ones(2), torch.ones(2) * 1j), "complex64"),
        (lambda: UnknownRoom(torch.full((2,), torch.nan), torch.ones(2)), "mean must be finite"),
        (lambda: UnknownRoom(torch.ones(2), -torch.ones(2)), "must not be negative; it has -1"),
        (lambda: UnknownRoom.decaying(16000, rt60=0), "rt60 must be positive, not 0"),
        (lambda: UnknownRoom.decaying(16000, rt60=1e-9), "over before the first sample"),
        (lambda: UnknownRoom.decaying(16000, energy=-1.0), "energy must be positive"),
        (lambda: Room(torch.ones(2, 3, 4)), r"\(batch, length\)"),
        (lambda: Room(torch.ones(3, 4))(torch.ones(2, 9)), "3 responses .* those of 2 items"),
    ],
)
def test_what_is_no_room(make, says):
    with pytest.raises(ArgumentError, match=says):
        make()
    with pytest.raises(ArgumentTypeError):
        UnknownRoom([1.0], torch.ones(1))


@pytest.mark.parametrize(
    ("x0", "noise", "says"),
    [
        (torch.ones(1, 9), 0.0, "noise must be positive, not 0.0"),
        (torch.ones(9), 1.0, r"\(batch, samples\) of one shape, not \(9,\)"),
        (torch.ones(1, 8), 1.0, r"not \(1, 8\) and \(1, 9\)"),
        (torch.full((1, 9), torch.nan), 1.0, "not finite"),
    ],
)
def test_of_what_no_room_is_drawn(x0, noise, says):
    law = UnknownRoom(torch.ones(2), torch.ones(2))
    with pytest.raises(ArgumentError, match=says):
        law.drawn(x0, torch.ones(1, 9), noise, white(0))


def test_items_of_spectrograms_have_rooms_of_their_own():
    x, responses = white(0)(torch.empty(3, 1, 9, dtype=REAL)), white(1)(torch.empty(3, 4))
    found = Room(responses.to(REAL))(x)
    assert found.shape == x.shape
    torch.testing.assert_close(found[2], Room(responses[2].to(REAL))(x[2:])[0])
