from dataclasses import replace
from itertools import product

import pytest
import torch
from problems import times

from sgmse.sdes import OUVE, SBVE, VP
from sgmse.solvers import LogSNR, Uniform
from sgmse.solvers.grids import time_of


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
def test_descends_from_start_to_end(sde, grid, steps):
    for start, end, finish in product((1.0, 0.8), (0.03, 1e-4, 0.0), (True, False)):
        t = replace(grid, steps=steps, start=start, end=end, finish=finish).times(sde)
        assert t.dtype == torch.float64
        assert t.shape == (steps + 1,)
        assert (t.diff() < 0).all()
        assert t[0] == start
        assert t[-1] == (0 if finish else end)
        if finish and end > 0 and steps > 1:
            assert t[-2] == end


def test_uniform_is_the_published_grid():
    t = Uniform(30, end=0.03).times(OUVE())
    torch.testing.assert_close(t[:-1], torch.linspace(1, 0.03, 30, dtype=torch.float64))
    assert t[-1] == 0


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"start": 1.1}, "0 <= end < start <= 1, not end 0.03, start 1.1"),
        ({"start": 0.03}, "end < start"),
        ({"end": -0.1}, "end -0.1"),
        ({"start": float("nan")}, "start nan"),
    ],
)
def test_refused(grid, arguments, message):
    with pytest.raises(ValueError, match=message):
        replace(grid, **arguments)
