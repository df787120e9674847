import math

import pytest
import torch

from sgmse.training.times import Times


def test_times_are_uniform_and_one():
    t = Times(0.2, 0.8, at_one=0.25).draw(20000, torch.Generator().manual_seed(0))
    inside = t[t < 1]
    # 5 standard deviations of a share and of a mean
    assert float((t == 1).float().mean()) == pytest.approx(0.25, abs=0.016)
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.008)
    assert float(inside.std()) == pytest.approx(0.6 / math.sqrt(12), rel=0.03)
    assert inside.min() >= 0.2
    assert inside.max() <= 0.8


def test_times_are_the_generators():
    one, two = (Times().draw(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
