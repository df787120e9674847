"""The models of FlowSE, as https://github.com/seongq/flowmse saves them.

Lee et al. 2025 (doi:10.1109/ICASSP49660.2025.10888274): the flow of `StraightFlow`, whose time runs
from clean audio (t = 0) to the observation with noise (t = 1) as here, and a network `ncsnpp`,
divided by t inside as that of SGMSE+, minus whose output is the velocity y - x0 + sigma' z. Its
last layer is read with the sign turned, so that the output is the velocity itself.

The sampler is Euler's, with 5 steps from T_rev to t_eps and on to 0, which is Exponential(). The
published arithmetic, compat="sgmse", is the same to rounding for sigma_min = 0 and T_rev = 1, the
defaults; elsewhere `FlowEuler` says how it differs.
"""

from collections.abc import Mapping
from typing import Any

import torch

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published import official
from sgmse.checkpoints.published.pickles import mapping
from sgmse.checkpoints.published.settings import Settings, load_weights, table
from sgmse.compat import FlowEuler
from sgmse.estimates import Velocity
from sgmse.model import ScoreModel
from sgmse.sdes import StraightFlow
from sgmse.solvers import Exponential, Uniform

__all__ = ["read", "recognises"]

PREFIX = "dnn."
RATE = 16000
STEPS = 5
KEPT = ("loss_type", "lr", "ema_decay", "batch_size", "num_frames", "normalize")


def recognises(contents: Mapping[Any, Any]) -> bool:
    """Whether a file is of this family: it names a flow in place of a process."""
    settings = mapping(contents.get("hyper_parameters")) or {}
    return settings.get("ode") == "flowmatching" and "sde" not in settings


def read(contents: Mapping[Any, Any], compat: str | None) -> Checkpoint:
    """The model in a file of this family."""
    settings = Settings(table(contents, "hyper_parameters"))
    take = settings.take
    backbone = take("backbone", "ncsnpp", choices=("ncsnpp",))
    network, keys = official.ncsnpp(settings, backbone)
    sde = StraightFlow(take("sigma_min", 0.0), take("sigma_max", 0.487))
    start, end = take("T_rev", 1.0), take("t_eps", 0.03)
    model = ScoreModel(network, sde, Velocity(), start)
    load_weights(network, contents, keys, PREFIX)
    with torch.no_grad():
        for parameter in network.output.parameters():
            parameter.neg_()
    return Checkpoint(
        model=model,
        transform=official.spectrogram(settings),
        sample_rate=RATE,
        solver=FlowEuler() if compat else Exponential(),
        grid=Uniform(STEPS, start=start, end=end),
        frames=64,
        training=official.trained("flowse", contents, settings, KEPT),
    )
