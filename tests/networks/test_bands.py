"""Gains of the bands above: shapes, bounds, what they hear, and how many weights that takes."""

import pytest
import torch

from sgmse.errors import ArgumentError
from sgmse.networks import BandGains


def energies(batch: int = 2, frames: int = 30, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return -60 + 20 * torch.randn(batch, 2, 16, frames), -60 + 20 * torch.randn(batch, 24, frames)


def heard(network: BandGains) -> BandGains:
    """With weights that are not zero."""
    torch.manual_seed(1)
    torch.nn.init.normal_(network.out.weight, std=0.2)
    return network


def test_new_weights_keep_most():
    below, above = energies()
    gains = BandGains()(below, above)
    assert gains.shape == above.shape
    torch.testing.assert_close(gains, torch.full_like(gains, 1 / (1 + 2.718281828**-2)))


def test_it_has_no_more_weights_than_a_small_network():
    assert sum(p.numel() for p in BandGains().parameters()) < 150_000


def test_gains_lie_between_0_and_1_whatever_comes_in():
    network = heard(BandGains())
    below, above = energies()
    for factor in (1.0, 1e3):
        gains = network(factor * below, factor * above)
        assert ((gains >= 0) & (gains <= 1)).all()


def test_a_frame_hears_what_was_before_and_little_of_what_comes():
    network = heard(BandGains(around=7)).double()
    below, above = (x.double() for x in energies())
    before = network(below, above)
    changed = above.clone()
    changed[..., 20] += 10
    moved = (network(below, changed) - before).abs().amax(dim=(0, 1)) > 0
    assert moved.nonzero().min() == 17  # three frames earlier
    assert moved[17:].all()


@pytest.mark.parametrize("around", [1, 3, 7])
def test_one_frame_is_enough(around):
    below, above = energies(frames=1)
    assert BandGains(around=around)(below, above).shape == (2, 24, 1)


def test_arguments_are_checked():
    for given in ({"lower": 0}, {"upper": 0}, {"hidden": 0}, {"around": 4}):
        with pytest.raises(ArgumentError, match=next(iter(given))):
            BandGains(**given)


def test_the_config_rebuilds_it():
    network = BandGains(8, 12, 20, 5)
    assert BandGains(**network.config).config == network.config
