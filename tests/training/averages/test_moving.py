import pytest
import torch
from torch import nn

from sgmse.training.averages import EMA


@pytest.mark.parametrize("warmup", [True, False])
def test_average_is_its_formula(warmup):
    layer = nn.Linear(3, 2)
    ema = EMA(0.9, warmup)
    average = ema.of(layer)
    assert not any(p.requires_grad for p in average.parameters())
    expected = None
    for n in range(1, 30):
        with torch.no_grad():
            layer.weight.add_(torch.randn(2, 3, generator=torch.Generator().manual_seed(n)))
        average.update_parameters(layer)
        d = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
        now = layer.weight.detach().clone()
        # the first update takes the weights as they are
        expected = now if expected is None else d * expected + (1 - d) * now
        torch.testing.assert_close(average.module.weight, expected)
