from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import OFTEN, SDES, together
from hypothesis import given, settings, strategies as st
from problems import times

from sgmse.checkpoints import CLASSES
from sgmse.config import from_plain, to_plain
from sgmse.sdes import OUVE, SBVE, VE, VP, CosineVP, FlowMatching, LinearVE
from sgmse.solvers import AsinhSNR, Cosine, Fitted, Grid, Karras, LogSNR, Polynomial, Uniform
from sgmse.solvers._grids import time_of

STEPS = st.sampled_from([1, 2, 3, 4, 30, 200])
STARTS = st.one_of(st.just(1.0), st.floats(0.5, 1 - 1e-6))
ENDS = st.one_of(st.just(0.0), st.floats(1e-6, 0.45))


@pytest.mark.parametrize("sde", OFTEN, ids=repr)
def test_descends_from_start_to_end(sde, grid):
    @settings(deadline=None, max_examples=20)
    @given(STEPS, STARTS, ENDS, st.booleans())
    def holds(steps, start, end, finish):
        t = replace(grid, steps=steps, start=start, end=end, finish=finish).times(sde)
        assert t.dtype == torch.float64
        assert t.shape == (steps + 1,)
        assert (t.diff() < 0).all()
        assert t[0] == start
        assert t[-1] == (0 if finish else end)
        if finish and end > 0 and steps > 1:
            assert t[-2] == end

    holds()


def test_uniform_is_the_published_grid():
    t = Uniform(30, end=0.03).times(OUVE())
    torch.testing.assert_close(t[:-1], torch.linspace(1, 0.03, 30, dtype=torch.float64))
    assert t[-1] == 0


def test_cosine_is_that_of_flow_matching_for_speech():
    """CosyVoice: their time rises from noise to data over 1 - cos(pi u / 2)."""
    theirs = 1 - np.cos(0.5 * np.pi * np.linspace(0, 1, 11))
    ours = Cosine(10, end=0.0).times(FlowMatching()).numpy()
    np.testing.assert_allclose(ours, 1 - theirs, atol=1e-15)
    first, last = Cosine(10, 0.9, 0.1, finish=False).times(VP()).diff()[[0, -1]]
    assert first.abs() < 0.1 * last.abs()


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_is_the_published_grid(rho):
    """Karras et al. 2022, eq. 5, with sigma the time, and 0 at the end."""
    low, high, n = 0.002, 80.0, 18
    i = np.arange(n)
    step = i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))
    sigmas = (high ** (1 / rho) + step) ** rho
    ours = Karras(n, end=low / high, rho=rho).times(LinearVE(sigma_max=high))
    np.testing.assert_allclose(high * ours[:-1].numpy(), sigmas, rtol=1e-10)
    assert ours[-1] == 0


def test_karras_steps_are_equal(sde):
    t = Karras(12, start=0.95, end=0.05, finish=False, rho=5.0).times(sde)
    steps = (-sde.log_snr(t) / 5).exp().diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-9, atol=0)


def test_karras_nears_log_snr():
    ours, theirs = (g.times(VP()) for g in (Karras(9, rho=1e9), LogSNR(9)))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=0)


def test_log_snr_steps_are_equal(sde):
    steps = sde.log_snr(LogSNR(12, start=0.95, end=0.05, finish=False).times(sde)).diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-9, atol=0)


def test_log_snr_inside_infinite_ends():
    """The first step of a bridge and the last of VP are uniform, those between equal."""
    for sde, start, end, inside in [
        (SBVE(), 1.0, 0.05, slice(1, None)),
        (VP(), 0.95, 0.0, slice(None, -1)),
        (SBVE(), 1.0, 0.0, slice(1, -1)),
    ]:
        t = LogSNR(10, start, end).times(sde)[: 11 if end == 0 else -1]
        uniform = torch.linspace(start, end, len(t), dtype=torch.float64)
        torch.testing.assert_close(t[[0, -1]], uniform[[0, -1]])
        torch.testing.assert_close(t[inside][[0, -1]], uniform[inside][[0, -1]])
        steps = sde.log_snr(t[inside]).diff()
        torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-8, atol=0)


def test_log_snr_is_inverted(sde):
    t = times(0.05, 0.3, 0.6, 0.95)
    torch.testing.assert_close(time_of(sde, sde.log_snr(t)), t, rtol=0, atol=1e-10)


def test_log_snr_is_inverted_near_zero():
    """To the last digits of the time itself, where 2^-60 would be too coarse."""
    t = times(1e-25, 1e-15, 1e-5)
    for sde in (OUVE(), SBVE(), LinearVE()):
        torch.testing.assert_close(time_of(sde, sde.log_snr(t)), t, rtol=1e-12, atol=0)


FITTED = Fitted(3, 0.9, 0.1, points=(0.9, 0.5, 0.1, 0.0))


def test_fitted_gives_its_points():
    for grid in (
        FITTED,
        Fitted(3, 0.9, 0.0, points=(0.9, 0.5, 0.1, 0.0)),
        Fitted(3, 0.9, 0.0, finish=False, points=(0.9, 0.5, 0.1, 0.0)),
        Fitted(2, 0.9, 0.1, finish=False, points=(0.9, 0.5, 0.1)),
        Fitted(1, 0.9, 0.1, points=(0.9, 0.0)),
        Fitted(1, 0.9, 0.1, finish=False, points=(0.9, 0.1)),
    ):
        t = grid.times(VE())
        assert t.dtype == torch.float64
        assert tuple(t.tolist()) == grid.points


def test_fitted_is_saved_and_loaded():
    written = to_plain(FITTED, CLASSES)
    assert written["points"] == [0.9, 0.5, 0.1, 0.0]
    assert from_plain(Grid, written, CLASSES) == FITTED
    assert hash(from_plain(Grid, written, CLASSES)) == hash(FITTED)


@pytest.mark.parametrize(
    "change", [{"steps": 5}, {"start": 1.0}, {"end": 0.05}, {"finish": False}], ids=repr
)
def test_fitted_fits_nothing_else(change):
    with pytest.raises(ValueError, match="fit again for these, or take another grid"):
        replace(FITTED, **change)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ((0.9, 0.5, 0.5, 0.0), "must descend"),
        ((0.9, 0.1, 0.5, 0.0), "must descend"),
        ((0.9, float("nan"), 0.1, 0.0), "points must be finite, not nan"),
    ],
    ids=str,
)
def test_fitted_times_descend(points, message):
    with pytest.raises(ValueError, match=message):
        replace(FITTED, points=points)


def test_no_steps_stay_at_the_start():
    for grid in (Uniform(steps=0), Uniform(steps=0, end=0.0, start=0.7), LogSNR(steps=0)):
        assert grid.times(OUVE()).tolist() == [grid.start]


def test_rho_is_positive():
    for rho in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"Karras: rho must be positive, not {rho}"):
            Karras(rho=rho)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps must be at least 0, not -1"),
        ({"start": 1.1}, "0 <= end < start <= 1, not end 0.03, start 1.1"),
        ({"start": 0.03}, "end < start"),
        ({"end": -0.1}, "end -0.1"),
        ({"start": float("nan")}, "start nan"),
    ],
)
def test_refused(grid, arguments, message):
    with pytest.raises(ValueError, match=message):
        replace(grid, **arguments)


def test_polynomial_steps_are_equal_in_the_root():
    root = Polynomial(8, end=0.01, rho=3.0, finish=False).times(OUVE()) ** (1 / 3)
    torch.testing.assert_close(root.diff(), root.diff().mean().expand(8), rtol=1e-9, atol=0)
    uniform = Uniform(8).times(OUVE())
    torch.testing.assert_close(Polynomial(8, rho=1.0).times(OUVE()), uniform)


@together(sde=SDES, scale=[0.25, 1.0, 4.0])
def test_asinh_steps_are_equal(sde, scale):
    t = AsinhSNR(12, start=0.95, end=0.05, finish=False, scale=scale).times(sde)
    a, _, sigma = sde.scales(t)
    steps = torch.asinh(scale * a / sigma).diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-7, atol=0)


def test_asinh_steps_leave_a_bridge_at_once():
    """The first step too is one of the equal ones, from kappa = 0."""
    for sde in (SBVE(), FlowMatching(), CosineVP()):
        t = AsinhSNR(10, end=0.01, finish=False).times(sde)
        a, _, sigma = sde.scales(t[1:])
        kappa = torch.asinh(a / sigma)
        steps = torch.cat([kappa[:1], kappa.diff()])
        torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-7, atol=0)


def test_every_process_is_the_same_turn(sde):
    """(x - b y) / r = tanh(kappa) x0 / scale + sech(kappa) z, as AsinhSNR says."""
    t, scale = AsinhSNR(6, finish=False).times(sde), 0.3
    a, _, sigma = sde.scales(t)
    r = ((scale * a) ** 2 + sigma**2).sqrt()
    there = r > 0  # not at the end of a bridge
    kappa = torch.asinh(scale * a / sigma)[there]
    torch.testing.assert_close((scale * a / r)[there], kappa.tanh())
    torch.testing.assert_close((sigma / r)[there], 1 / kappa.cosh())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polynomial(rho=0.0), "Polynomial: rho must be positive, not 0"),
        (lambda: AsinhSNR(scale=-1.0), "AsinhSNR: scale must be positive, not -1"),
    ],
)
def test_refused_constants_of_the_warps(make, message):
    with pytest.raises(ValueError, match=message):
        make()
