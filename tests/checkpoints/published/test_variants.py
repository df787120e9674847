"""Settings that the published code has and no recipe of its authors changes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import parity_contents
from parity_models import filled, seeded
from torch import Tensor
from torch.nn.functional import pad

from sgmse.checkpoints.published._lightning import network_of, spectrogram
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._settings import Settings
from sgmse.networks import DCUNet, Network

VECTORS = Path(__file__).parents[2] / "data" / "parity" / "official_variants.npz"
with np.load(VECTORS) as file:
    SETTINGS = json.loads(str(file["settings_json"]))
    ARRAYS = {name: torch.from_numpy(file[name]) for name in file.files if name[-4:] != "json"}
NETWORKS = [name for name, settings in SETTINGS.items() if "backbone" in settings]
TRANSFORMS = [name for name in SETTINGS if name not in NETWORKS]


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def read(settings: dict) -> Network:
    """The network of a file with these settings and weights."""
    weights = seeded(settings["shapes"], settings["seed"])
    backbone, kwargs = settings["backbone"], settings["kwargs"]
    if backbone != "dcunet":
        held = parity_contents(weights, {"backbone": backbone, "sde": "ouve"} | kwargs)
        return Official().read(held, None).model.network
    # Tiny levels have no published name.
    network = network_of(Settings(kwargs | {"dcunet_architecture": "DCUNet-10"}), "dcunet")
    return filled(DCUNet(**network.config | {"levels": settings["levels"]}), weights)


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_networks(name, dtype, tolerance):
    """`progressive_combine`, `fir`, and frames that DCUNet trims: its output is 0 there."""
    settings = SETTINGS[name]
    network = read(settings)
    assert list(network.published_keys().values()) == list(settings["shapes"])
    again = type(network)(**json.loads(json.dumps(network.config)))
    again.load_state_dict(network.state_dict())
    items, bins, frames = settings["size"]
    parts = np.random.RandomState(settings["seed"]).standard_normal((2, items, 1, bins, frames, 2))
    x, y = torch.view_as_complex(torch.from_numpy(parts).float()).to(dtype.to_complex())
    t = torch.from_numpy(np.linspace(0.2, 0.9, items).astype(np.float32)).to(dtype)
    for net in (network, again):
        output = net.eval().to(dtype)(x, y, t)
        assert output.shape == x.shape
        assert relative(output[:, :, :: settings["every"]], ARRAYS[name]) < tolerance


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_transforms(name, dtype, tolerance):
    """Windows, and frames that overlap by less than half; 64 frames sound, as published."""
    settings = SETTINGS[name]
    transform = spectrogram(Settings(settings))
    assert (transform.hop, transform.window) == (settings["hop_length"], settings["window"])
    samples = settings["samples"]
    draws = np.random.RandomState(settings["seed"]).standard_normal((1, samples)) * 0.1
    x = transform.forward(torch.from_numpy(draws.astype(np.float32)).to(dtype))
    assert relative(x[:, ::59], ARRAYS[f"{name}_spec"]) < tolerance
    factor = 1 + 0.3 * torch.arange(transform.frequencies, dtype=dtype).cos()[:, None]
    audio = transform.inverse(pad(x, (0, -x.shape[2] % 64)) * factor, samples)
    assert relative(audio, ARRAYS[f"{name}_mod"]) < tolerance
