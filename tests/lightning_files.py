"""Checkpoints as the published training scripts write them, with weights of our networks."""

import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from sgmse.networks import NCSNpp, Network

SETTINGS = {
    **{"backbone": "ncsnpp", "nf": 8, "ch_mult": [1, 2], "num_res_blocks": 1, "image_size": 32},
    **{"sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5},
    **{"n_fft": 62, "hop_length": 16, "base_dir": "/data", "batch_size": 8},
}


def contents(
    network: Network,
    keys: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    prefix: str = "dnn.",
    ema: Literal["all", "trained"] | None = "all",
) -> dict[str, Any]:
    """What such a file holds; the averaged weights are 1.25 times the others."""
    names = {ours: prefix + theirs for ours, theirs in keys.items()}
    state = network.state_dict()
    held: dict[str, Any] = {
        "epoch": 7,
        "global_step": 1234,
        "pytorch-lightning_version": "1.6.5",
        "state_dict": OrderedDict((theirs, state[ours]) for ours, theirs in names.items()),
        "hyper_parameters": dict(settings),
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []}],
    }
    if ema is not None:
        shadow = [
            1.25 * p.detach()
            for _, p in network.named_parameters()
            if ema == "all" or p.requires_grad
        ]
        held["ema"] = {"decay": 0.999, "num_updates": 3, "shadow_params": shadow}
    return held


def official_network() -> NCSNpp:
    """The network of `SETTINGS`; that of `ncsnpp_v2` has the same weights."""
    torch.manual_seed(0)
    return NCSNpp.v1(channels=8, multipliers=(1, 2), blocks=1, bins=32)


def official(ema: Literal["all", "trained"] | None = "all", **changes: Any) -> dict[str, Any]:
    """What a file of sp-uhh's sgmse holds; settings that are None are left out."""
    net = official_network()
    settings = {name: v for name, v in (SETTINGS | changes).items() if v is not None}
    return contents(net, net.published_keys(), settings, ema=ema)


def parity_contents(weights: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a file with published weights holds, without averages."""
    state = OrderedDict((f"dnn.{name}", value) for name, value in weights.items())
    return {"state_dict": state, "hyper_parameters": dict(settings), "epoch": 1, "global_step": 2}


def with_data_module(
    held: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool = False
) -> Path:
    """The file, with the reference to a class of the training code that all of them have."""
    module = ModuleType("sgmse.data_module")
    module.SpecsDataModule = type("SpecsDataModule", (), {"__module__": "sgmse.data_module"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sgmse.data_module", module)
        settings = held["hyper_parameters"] | {"data_module_cls": module.SpecsDataModule}
        torch.save(
            held | {"hyper_parameters": settings},
            path,
            _use_new_zipfile_serialization=not legacy,
        )
    return path
