"""Sound above the band of a model, with the gains of a network: the same at all rates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt
from tiny import Identity, checkpoint, enhancer

from sgmse.checkpoints import load, save
from sgmse.enhancer import Enhancer
from sgmse.networks import BandGains
from sgmse.postprocessing import UpperBand

RATES = [22050, 24000, 32000, 44100, 48000, 96000]
MODEL = 16000


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


class Fixed(BandGains):
    """The same gains at all times, whatever is heard."""

    def __init__(self, *gains: float) -> None:
        super().__init__(upper=len(gains))
        self.gains = torch.tensor(gains)

    def forward(self, below, above):
        return self.gains[None, :, None].expand(above.shape)


def power(audio: np.ndarray, rate: int, low: float, high: float | None = None) -> float:
    """In a band, without the ends."""
    inside = audio[..., rate // 20 : -(rate // 20)]
    spectrum = np.abs(np.fft.rfft(inside * np.hanning(inside.shape[-1]))) ** 2
    f = np.fft.rfftfreq(inside.shape[-1], 1 / rate)
    return float(spectrum[..., (f > low) & (f < (high or rate))].sum())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("segment", [0.1, 20.0])
def test_what_the_network_leaves_alone_stays_whole(rate, segment):
    model = replace(
        enhancer(Identity()), segment=segment, overlap=0.02, upper_band=Fixed(*[1.0] * 24)
    )
    audio = noise(2, rate // 2)
    out = model(audio, rate)
    inside = slice(rate // 20, -rate // 20)  # the filters ring at the ends
    error = np.sum((out - audio)[:, inside] ** 2) / np.sum(audio[:, inside] ** 2)
    assert 10 * np.log10(error) < -60


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 96000])
def test_each_band_has_its_gain(rate):
    """Halfway between the middles of two bands it is halfway between their gains."""
    audio, top = noise(rate), min(rate / 2, 24000)
    gains = Fixed(0.8, *[0.1] * 14, *[1.0] * 9)  # bands of 667 Hz
    out = replace(enhancer(Identity()), upper_band=gains)(audio, rate)
    for low, high, gain in ((9500, 15000, 0.1), (18500, top, 1.0)):
        if low < top:
            ratio = power(out, rate, low, high) / power(audio, rate, low, high)
            assert np.sqrt(ratio) == pytest.approx(gain, rel=0.02)
    assert power(out, rate, 100, 7000) == pytest.approx(power(audio, rate, 100, 7000), rel=1e-3)


def test_above_the_last_band_its_gain_holds():
    audio = noise(96000)
    out = replace(enhancer(Identity()), upper_band=Fixed(1.0, 0.1))(audio, 96000)
    ratio = power(out, 96000, 26000, 47000) / power(audio, 96000, 26000, 47000)
    assert np.sqrt(ratio) == pytest.approx(0.1, rel=0.01)


def test_what_is_to_stay_stays():
    """A limit of the attenuation holds there, too."""
    audio = noise(48000)
    model = replace(enhancer(Identity()), upper_band=Fixed(*[0.0] * 24))
    out = model(audio, 48000, max_attenuation=20)
    ratio = power(out, 48000, 9000) / power(audio, 48000, 9000)
    assert np.sqrt(ratio) == pytest.approx(0.1, rel=0.01)
    assert power(model(audio, 48000), 48000, 9000) < 1e-6 * power(audio, 48000, 9000)


@pytest.mark.parametrize("rate", [24000, 44100, 48000])
def test_the_network_hears_the_same_at_all_rates(rate):
    """A tone and a hiss below 11 kHz: levels in decibels of full scale."""
    t = np.arange(rate) / rate
    sos = butter(8, [8500, 10500], "band", fs=rate, output="sos")
    tone = 0.5 * np.sin(2 * np.pi * 1010 * t)[None]
    hiss = sosfilt(sos, 0.5 * np.sin(2 * np.pi * 9000 * t))[None]
    band = UpperBand(BandGains(), rate, MODEL)
    x, v, u = (band.spectra.forward(a.astype(np.float32)) for a in (tone, 0.1 * tone, hiss))
    below, above = (e[0].mean(dim=-1) for e in band.features(x, v, u))
    assert int(below[0].argmax()) == int(below[1].argmax()) == 2  # 1,000 to 1,500 Hz
    assert int(above.argmax()) == 1  # 8,667 to 9,333 Hz
    # A sine of half of full scale has -6 dB, of which the window spreads some to other bins.
    assert float(below[0].max()) == pytest.approx(-6, abs=2)
    assert float((below[0] - below[1])[2]) == pytest.approx(20, abs=0.1)
    assert float(above[1]) == pytest.approx(-6, abs=2)
    assert (above[6:] < -60).all()


def test_it_is_saved_with_its_model_and_works_from_there(tmp_path):
    torch.manual_seed(0)
    network = BandGains(hidden=8)
    torch.nn.init.normal_(network.out.weight, std=0.3)
    whole = replace(checkpoint(), upper_band=network.eval())
    plain = load(save(checkpoint(), tmp_path / "plain"))
    again = load(save(whole, tmp_path / "whole"))
    assert plain.upper_band is None
    assert again.upper_band.config == network.config
    assert not any(p.requires_grad for p in again.upper_band.parameters())
    for name, value in network.state_dict().items():
        assert torch.equal(again.upper_band.state_dict()[name], value)
    audio = noise(24000)
    results = [Enhancer.of(c)(audio, 48000) for c in (whole, again, plain)]
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)  # float32
    assert not np.allclose(results[0], results[2])
    # The band of the model is what it is without.
    low = butter(16, 6000, "low", fs=48000, output="sos")
    error = sosfilt(low, results[0] - results[2])
    assert np.abs(error[2400:-2400]).max() < 2e-3 * np.abs(results[2]).max()


def test_a_damaged_upper_band_is_found(tmp_path):
    from safetensors.torch import load_file, save_file

    from sgmse.errors import CheckpointError

    folder = save(replace(checkpoint(), upper_band=BandGains(hidden=8)), tmp_path / "m")
    weights = load_file(folder / "upper_band.safetensors")
    save_file(
        {k: v for k, v in weights.items() if k != "out.bias"},
        folder / "upper_band.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"upper_band.safetensors does not fit .*out\.bias"):
        load(folder)
