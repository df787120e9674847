"""Bundles and their modules: what the enhancer gives, as programs of modules want it."""

import pytest
import torch
from sounds import speechlike

import sgmse
from sgmse.errors import ArgumentError
from sgmse.pipelines import Bundle


@pytest.fixture(scope="module")
def model():
    return sgmse.pipelines.FAST.get_model()


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    speech = torch.as_tensor(speechlike(0.5), dtype=torch.float32)
    noise = torch.randn(2, len(speech), generator=torch.Generator().manual_seed(0))
    return 0.3 * speech / speech.abs().max() + 0.02 * noise


@pytest.mark.slow
def test_a_module_gives_what_the_enhancer_gives(model, waves):
    assert model.sample_rate == sgmse.pipelines.FAST.sample_rate == 16000
    before = waves.clone()
    clean = model(waves)
    enhancer = sgmse.load(quality="fast")
    for own, row in zip(clean, waves, strict=True):  # each row is a recording of its own
        torch.testing.assert_close(own, enhancer(row, 16000), rtol=0, atol=1e-5)
    torch.testing.assert_close(waves, before, rtol=0, atol=0)


def test_any_shape_and_no_gradients(model, waves):
    deep = waves[:1, None, None, :2000].clone().requires_grad_()
    clean = model(deep)
    assert clean.shape == deep.shape
    assert not clean.requires_grad
    assert model(waves[0, :2000].double()).dtype == torch.float64


def test_it_is_a_module_of_the_model(model):
    names = set(model.state_dict())
    assert names == {f"model.{name}" for name in model.enhancer.model.state_dict()}
    assert next(model.parameters()) is next(model.enhancer.model.parameters())


@pytest.mark.slow
def test_bundles_name_models_and_qualities():
    assert Bundle("default") == sgmse.pipelines.DEFAULT
    best = sgmse.pipelines.BEST.get_model(sample_rate=44100)
    assert best.sample_rate == 44100
    usual = sgmse.pipelines.DEFAULT.get_model()
    assert best.enhancer.sampler.shifts > usual.enhancer.sampler.shifts
    with pytest.raises(ValueError, match="quality"):
        Bundle(quality="bset").get_model()
    with pytest.raises(ValueError, match="sample_rate"):
        sgmse.pipelines.DEFAULT.get_model(sample_rate=0)


@pytest.mark.parametrize(
    ("waves", "error"),
    [
        (torch.zeros(3, 0), ArgumentError),
        (torch.full((100,), float("nan")), ValueError),
        (torch.zeros(100, dtype=torch.int16), TypeError),
        ([0.0] * 100, TypeError),
    ],
)
def test_what_is_no_wave_is_refused(model, waves, error):
    with pytest.raises(error):
        model(waves)
