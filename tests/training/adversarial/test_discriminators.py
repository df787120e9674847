import numpy as np
import torch

from sgmse.training.adversarial.discriminators import Discriminator, Discriminators, spectra


def test_spectra_are_their_formula():
    audio = torch.randn(2, 300, dtype=torch.float64)
    n, window = 32, np.hanning(33)[:-1]
    window = window / np.linalg.norm(window)
    padded = np.pad(audio.numpy(), ((0, 0), (n // 2, n // 2)))
    frames = np.stack([padded[:, s : s + n] for s in range(0, 301, n // 4)], axis=-1)
    x = np.fft.rfft(window[:, None] * frames, axis=1)
    size = np.sqrt(np.abs(x) ** 2 + 1e-6)
    theirs = np.stack([x.real * size**-0.7, x.imag * size**-0.7, size**0.3], axis=1)
    np.testing.assert_allclose(spectra(audio, n).numpy(), theirs, rtol=1e-6, atol=1e-9)


def test_silence_has_a_finite_slope():
    silence = torch.zeros(1, 200, requires_grad=True)
    (slope,) = torch.autograd.grad(spectra(silence, 32)[:, :2].sum(), silence)
    assert slope.isfinite().all()
    assert slope.any()


def test_layers_take_fewer_bins_and_all_frames():
    maps = Discriminator((4, 6, 5))(torch.randn(3, 3, 65, 10))
    bins = [m.shape[2] for m in maps]
    assert [m.shape[1] for m in maps] == [4, 6, 5, 1]
    assert bins == [17, 9, 5, 5]
    assert all(m.shape[3] == 10 for m in maps)
    # all but the judgement are behind the activation: the negative side is small
    assert all(m.min() < 0 and m.max() > -2 * m.min() for m in maps[:-1])


def test_weights_are_a_function_of_the_seed_and_normalised():
    settings = Discriminators(windows=(32, 64), channels=(4,))
    state = torch.random.get_rng_state()
    one, again, other = (settings.build(seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    layer = settings.build(0)[0].layers[0]
    with torch.no_grad():
        before = layer.weight.clone()
        layer.parametrizations.weight.original1 *= 3  # the direction, whose length is nothing
    torch.testing.assert_close(layer.weight, before)
