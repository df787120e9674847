"""Operators against their own matrices: the adjoint, and what is solved with it."""

import numpy as np
import pytest
import torch
from conftest import together
from problems import noise
from torch import Tensor

from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.front import FrontEnd
from sgmse.inference import (
    Chain,
    Clipping,
    Decoded,
    Filter,
    Mask,
    Measurement,
    Operator,
    Room,
    conjugate_gradients,
)
from sgmse.transforms import Power, Spectrogram

REAL, COMPLEX = torch.float64, torch.complex128
SIZE = 9
KEPT = torch.tensor([1, 1, 0, 1, 0.5, 0, 0, 1, 1], dtype=REAL)
RESPONSE = torch.tensor([1.0, 0.4, -0.3, 0.1], dtype=REAL)
FRONT = FrontEnd(Spectrogram(n_fft=8, hop=4, compression=Power(1.0, 0.3)), 8000)
OPERATORS: list[Operator] = [
    Mask(KEPT),
    Filter(noise(5, dtype=COMPLEX) * torch.tensor([0, 1, 1, 1, 1]) + 0.5),
    Filter.low_pass(SIZE, 8000, 2000.0),
    Filter.circular(RESPONSE, SIZE),
    Room(RESPONSE),
    Chain((Room(RESPONSE), Mask(KEPT))),
    Clipping(0.7),
    Chain((Room(RESPONSE), Clipping(0.7))),
    Clipping.of(noise(1, SIZE, seed=3, dtype=REAL).clamp(-0.7, 0.7)),
]


def parts(x: Tensor) -> Tensor:
    """Real and imaginary parts of an item as one row."""
    return torch.view_as_real(x).flatten(1) if x.is_complex() else x.flatten(1)


def matrix(operator: Operator, at: Tensor) -> Tensor:
    """The derivative at `at` (1, ...) over real and imaginary parts, column by column."""
    columns = []
    for number in range(parts(at).shape[1]):
        unit = torch.zeros_like(parts(at))
        unit[0, number] = 1.0
        if at.is_complex():
            unit = torch.view_as_complex(unit.reshape(*at.shape, 2))
        columns.append(parts(operator.along(unit.reshape(at.shape), at))[0])
    return torch.stack(columns, dim=1)


@together(operator=OPERATORS, dtype=[REAL, COMPLEX])
def test_adjoint_and_solution(operator, dtype):
    if not operator.linear and dtype is COMPLEX:
        pytest.skip("only real samples are clipped")
    at, u = noise(1, SIZE, dtype=dtype), noise(1, SIZE, seed=1, dtype=dtype)
    A = matrix(operator, at)
    torch.testing.assert_close(parts(operator.adjoint(u, at))[0], A.T @ parts(u)[0])
    # Against the derivative itself, and against `along` for what is closed-form in it.
    step = 1e-6
    slope = (operator(at + step * u) - operator(at - step * u)) / (2 * step)
    torch.testing.assert_close(parts(slope)[0], A @ parts(u)[0], rtol=1e-6, atol=1e-7)
    gain = torch.tensor([0.7], dtype=REAL)
    own = 0.2 + torch.arange(SIZE, dtype=REAL) / 10  # a variance for each element
    for variance in (torch.tensor(0.3, dtype=REAL), own):
        w = operator.solve(u, at, gain, variance)
        each = variance.expand(SIZE)
        each = each.repeat_interleave(2) if dtype is COMPLEX else each
        whole = 0.7 * A @ A.T + torch.diag(each)
        torch.testing.assert_close(whole @ parts(w)[0], parts(u)[0], rtol=1e-8, atol=1e-8)


def test_linear_is_what_it_says():
    x, z = noise(2, SIZE, dtype=REAL), noise(2, SIZE, seed=1, dtype=REAL)
    for operator in OPERATORS:
        straight = torch.allclose(operator(2 * x - z), 2 * operator(x) - operator(z))
        assert straight == operator.linear, operator


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_audio_of_a_spectrogram(exponent):
    """From complex to real: the adjoint over real parts; compressed, at a point."""
    transform = Spectrogram(n_fft=8, hop=4, compression=Power(exponent, 0.3))
    front = FrontEnd(transform, 8000)
    operator = Chain((Decoded(front, 21), Mask((torch.arange(21) % 3 > 0).double())))
    assert operator.linear == (exponent == 1)
    at = front.forward(noise(1, 21, dtype=REAL))
    A, u = matrix(operator, at), noise(1, 21, seed=2, dtype=REAL)
    torch.testing.assert_close(parts(operator.adjoint(u, at))[0], A.T @ u[0])
    w = operator.solve(u, at, torch.tensor([0.7], dtype=REAL), torch.tensor(0.3, dtype=REAL))
    torch.testing.assert_close((0.7 * A @ A.T + 0.3 * torch.eye(21)) @ w[0], u[0])


def test_what_they_do():
    x = noise(2, SIZE, dtype=REAL)
    assert torch.equal(Mask(KEPT)(x), KEPT * x)
    assert float(Clipping(0.5)(x).abs().max()) == 0.5
    plain = [sum(RESPONSE[k] * x[0, n - k] for k in range(4) if n >= k) for n in range(SIZE)]
    torch.testing.assert_close(Room(RESPONSE)(x)[0], torch.stack(plain))
    round_about = [sum(RESPONSE[k] * x[0, n - k] for k in range(4)) for n in range(SIZE)]
    torch.testing.assert_close(Filter.circular(RESPONSE, SIZE)(x)[0], torch.stack(round_about))
    n = torch.arange(32, dtype=REAL)
    low, high = (torch.cos(2 * torch.pi * f * n / 32) for f in (3, 9))
    kept = Filter.low_pass(32, 16000, 3000.0)((low + high)[None])[0]  # 1500 and 4500 Hz
    torch.testing.assert_close(kept, low)


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_gaps_are_runs_of_zeros(kind):
    audio = torch.tensor([[0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 3.0], [0] * 12])
    expected = [[0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1], [0] * 12]
    assert Mask.of_gaps(kind(audio), 3).kept.tolist() == expected
    assert Mask.of_gaps(kind(audio[0]), 13).kept.tolist() == [1] * 12
    with pytest.raises(ArgumentError, match="shortest"):
        Mask.of_gaps(kind(audio), 0)


def test_a_clipped_recording_says_where_it_is_clipped():
    truth = torch.tensor([[0.2, 0.9, -0.8, 0.4, -0.1]])
    clipping = Clipping.of(Clipping(0.5)(truth))
    assert clipping.limit == pytest.approx(0.5, rel=1e-3)
    torch.testing.assert_close(clipping(truth), truth.clamp(-0.5, 0.5))
    at = torch.tensor([[0.7, 0.3, 0.8, -0.9, 0.0]])  # only clipped samples on their side are cut
    torch.testing.assert_close(clipping(at), at)
    assert clipping.mask(at).kept.tolist() == [[1, 1, 1, 1, 1]]
    assert clipping.mask(truth).kept.tolist() == [[1, 0, 0, 1, 1]]
    with pytest.raises(ArgumentError, match="silent"):
        Clipping.of(torch.zeros(1, 5))


def test_conjugate_gradients_end():
    """In as many steps as there are eigenvalues, each item by itself, zeros too."""
    values = torch.tensor([0.5, 2.0, 7.0], dtype=REAL).repeat(4)
    u = noise(3, 12)
    u[1] = 0
    calls = []

    def apply(w: Tensor) -> Tensor:
        calls.append(1)
        return values * w

    torch.testing.assert_close(conjugate_gradients(apply, u), u / values)
    assert len(calls) == 3


def test_likelihood_and_score():
    """The score is the gradient of the likelihood, with all mixtures of real and complex."""
    cases = [
        (Mask(KEPT), noise(2, SIZE, dtype=REAL)),
        (Mask(KEPT), noise(2, SIZE)),
        (Room(RESPONSE), noise(2, SIZE)),
        (Decoded(FRONT, 21), FRONT.forward(noise(2, 21, dtype=REAL))),
    ]
    for operator, x0 in cases:
        m = operator(x0).detach() + 0.3
        measured = Measurement(operator, m, 0.2)
        state = x0.clone().requires_grad_()
        measured.log_likelihood(state).sum().backward()
        half = 0.5 if x0.is_complex() else 1.0  # Wirtinger
        torch.testing.assert_close(measured.score(x0), half * state.grad)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Mask(noise(3)), ArgumentError, "must be real"),
        (lambda: Clipping(0.0), ArgumentError, "limit must be positive"),
        (lambda: Chain(()), ArgumentError, "at least one operator"),
        (lambda: Filter(KEPT)(torch.zeros(1, 5)), ArgumentError, "3 frequencies, not the 9"),
        (lambda: Measurement(Mask(KEPT), KEPT, 0.0), ArgumentError, "noise must be positive"),
        (lambda: Measurement(KEPT, KEPT, 0.1), ArgumentTypeError, "operator"),
    ],
)
def test_mistakes(make, error, says):
    with pytest.raises(error, match=says):
        make()
