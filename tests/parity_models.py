"""The published models of the parity vectors, as objects of this library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import torch
from problems import vectors
from safetensors.torch import load_file
from torch import Tensor

from sgmse.estimates import Data, Parametrization, Preconditioned, Score
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp, Network
from sgmse.sdes import OUVE, SBVE, SDE, Scales
from sgmse.training.losses import Denoising, Loss, Reconstruction, ScoreMatching
from sgmse.training.losses.weightings import EDMWeighting, SigmaSquared, Unweighted

CONFIGS = [
    "score_sigma2",
    "score_1oversigma",
    "score_1overt",
    "score_cout_sigma",
    "score_cout_1oversigma",
    "denoiser_1",
    "denoiser_sigma2",
    "denoiser_edm",
    "data_plain",
    "data_edm",
]


@dataclass(frozen=True)
class PublishedSBVE(SDE):
    """The published scales of SBVE, of which 1e-8 keeps zeros away."""

    k: float
    c: float

    def scales(self, t: Tensor) -> Scales:
        exact, eps = SBVE(self.k, self.c).scales(t), 1e-8
        total = self.c * (self.k**2 - 1) / (2 * log(self.k))
        done, left = exact.b * total, exact.a * total + eps
        return Scales(
            left / (total + eps),
            done / (total + eps) / (1 + eps),
            (done * left).sqrt() / (total**0.5 + eps),
        )


def configurations(parity: Path) -> tuple[dict, dict[str, Tensor]]:
    """Configurations, with their defaults, and arrays."""
    settings, arrays = vectors(parity / "scoremodel_forward_and_loss.npz")
    configs = {name: settings["defaults"] | c for name, c in settings["configs"].items()}
    return settings | {"configs": configs}, arrays


def sde_of(config: dict) -> SDE:
    return {"ouve": OUVE, "sbve": PublishedSBVE}[config["sde"]](**config["sde_params"])


def parametrization_of(config: dict) -> Parametrization:
    return Preconditioned(
        of={"score_matching": "score", "denoiser": "mean", "data_prediction": "data"}[
            config["loss_type"]
        ],
        c_in=config["c_in"],
        c_out=config["c_out"],
        c_skip=config["c_skip"],
        scaling=config["network_scaling"] or "1",
        sigma_data=config["sigma_data"],
    )


#: The simpler parametrizations that are the same as a published one.
SIMPLER = {
    "score_sigma2": Score(),
    "score_1oversigma": Score(scaling="1/sigma"),
    "score_cout_1oversigma": Score(scaling="1/sigma"),
    "data_plain": Data(),
}


def filled(network: Network, weights: Mapping[str, Tensor]) -> Network:
    """A network with weights by their published names, all of which are its own."""
    keys = network.published_keys()
    assert set(keys.values()) == set(weights)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in keys.items()})
    return network.eval()


def seeded(shapes: dict[str, list[int]], seed: int) -> dict[str, Tensor]:
    """The weights with which the published code made the vectors."""
    random, weights = np.random.RandomState(seed), {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(0)
            continue
        values = random.uniform(-1, 1, shape)
        if len(shape) > 1:
            values *= np.sqrt(3 / np.prod(shape[1:]))
        elif name.endswith(".W"):
            values *= 16
        elif name.endswith(
            ("running_var", "norm.re_module.weight", "norm.im_module.weight", "Wrr", "Wii")
        ):
            values = 1 + values / 2
        else:
            values *= 0.5
        weights[name] = torch.from_numpy(values.astype(np.float32))
    return weights


def ncsnpp(layout: Callable[..., NCSNpp], kwargs: dict, weights: Path) -> NCSNpp:
    """An NCSN++ with the published names of its sizes and of its weights, in that file."""
    network = layout(
        channels=kwargs["nf"],
        multipliers=kwargs["ch_mult"],
        blocks=kwargs["num_res_blocks"],
        attention_resolutions=kwargs["attn_resolutions"],
        bins=kwargs["image_size"],
    )
    return filled(network, load_file(weights))


def network_of(parity: Path, settings: dict) -> NCSNpp:
    return ncsnpp(NCSNpp.v2, settings["net_kwargs"], parity / settings["weights"]).double()


def sampler_network(parity: Path, settings: dict) -> NCSNpp:
    """That of the vectors of samplers."""
    file = parity / "sampler_net_ncsnpp.safetensors"
    return ncsnpp(NCSNpp.v1, settings["net_kwargs"], file).double()


def model_of(parity: Path, settings: dict, name: str) -> ScoreModel:
    config = settings["configs"][name]
    network = network_of(parity, settings)
    return ScoreModel(network, sde_of(config), parametrization_of(config))


def loss_of(config: dict, points: int, factor: float) -> tuple[Loss, float]:
    """Our loss and what the published one is a multiple of it by.

    The published losses of score and mean are half a sum over the points of an item, that of the
    data takes halves of means, and no notice of the factor of the compression.
    """
    weighting = {
        "sigma^2": SigmaSquared(),
        "1": Unweighted(),
        "edm": EDMWeighting(config["sigma_data"]),
    }[config["loss_weighting"]]
    if config["loss_type"] == "score_matching":
        return ScoreMatching(weighting), points / 2
    if config["loss_type"] == "denoiser":
        return Denoising("mean", weighting), points / 2
    return Reconstruction(complex=factor**2, waveform=config["l1_weight"] / 2), 1.0
