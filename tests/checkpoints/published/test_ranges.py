"""With which samplers published models may be run: as their papers and scripts do."""

import pytest
import torch
from lightning_files import official
from tiny_published import read

from sgmse.checkpoints import load_model
from sgmse.compat import CorrectedReverse
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError
from sgmse.solvers import Heun, SamplerRange, Uniform


def enhancer(folder, compat=None, **settings) -> Enhancer:
    torch.save(official(**settings), folder / "file.ckpt")
    return Enhancer.of(load_model(folder / "file.ckpt", compat=compat))


def test_scores_take_half_of_the_published_steps(tmp_path):
    model = enhancer(tmp_path)
    assert model.samplers == (SamplerRange(fewest=15, earliest=0.03),)
    for solver in (None, "ode", "sde2", Heun()):
        assert model.with_sampler(solver, 15).sampler.grid.steps == 15
        with pytest.raises(ArgumentError, match=r"so few steps \(14\)"):
            model.with_sampler(solver, 14)


@pytest.mark.parametrize("compat", [None, "sgmse"])
def test_bridges_take_any(tmp_path, compat):
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"}
    model = enhancer(tmp_path, compat, **bridge)
    assert model.samplers == (SamplerRange(),)
    for steps in (1, 5, 200):
        assert model.with_sampler(steps=steps).sampler.grid.steps == steps


def test_bbed_starts_where_its_page_does(tmp_path):
    model = Enhancer.of(read("bbed", tmp_path))
    (own,) = model.samplers
    assert (own.fewest, own.latest) == (15, model.model.latest)
    grid = Uniform(15, start=0.5, end=own.earliest)
    assert model.with_sampler(grid=grid).sampler.grid == grid


def test_corrected_networks_take_their_solver_alone(tmp_path):
    model = Enhancer.of(read("crp", tmp_path))
    assert model.samplers[0].solvers == (CorrectedReverse(),)
    assert model.with_sampler(steps=4).sampler.grid.steps == 4
    with pytest.raises(ArgumentError, match="is not made for Exponential"):
        model.with_sampler("ode")


def test_flows_take_half_of_five(tmp_path):
    model = Enhancer.of(read("flowse", tmp_path))
    assert model.samplers[0].fewest == 3
    with pytest.raises(ArgumentError, match="so few steps"):
        model.with_sampler(steps=2)
