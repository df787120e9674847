"""The models of FlowSE, as https://github.com/seongq/flowmse saves them.

Lee et al. 2025 (doi:10.1109/ICASSP49660.2025.10888274): the flow of `StraightFlow`, whose time runs
from clean audio (t = 0) to the observation with noise (t = 1) as here, and a network `ncsnpp`,
divided by t inside as that of SGMSE+, minus whose output is the velocity y - x0 + sigma' z. Its
last layer is read with the sign turned, so that the output is the velocity itself.

The sampler is Euler's, with 5 steps from T_rev to t_eps and on to 0, which is Exponential(). The
published arithmetic, compat="sgmse", is the same to rounding for sigma_min = 0 and T_rev = 1, the
defaults; elsewhere `FlowEuler` says how it differs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from sgmse.checkpoints.published._family import Contents
from sgmse.checkpoints.published._lightning import Lightning, Model, network_of
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._weights import negate
from sgmse.compat import FlowEuler
from sgmse.estimates import Velocity
from sgmse.model import ScoreModel
from sgmse.sdes import StraightFlow
from sgmse.solvers import Exponential, Sampler, Uniform


class FlowSE(Lightning):
    """Files that name a flow in place of a process."""

    name = "flowse"
    kept: ClassVar[tuple[str, ...]] = (
        *("loss_type", "lr", "ema_decay", "batch_size", "num_frames", "normalize"),
    )

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("ode") == "flowmatching" and not {"sde", "use_mfse"} & set(settings)

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        take = settings.take
        network = network_of(settings, take("backbone", "ncsnpp", choices=("ncsnpp",)))
        sde = StraightFlow(take("sigma_min", 0.0), take("sigma_max", 0.487))
        return ScoreModel(network, sde, Velocity(), take("T_rev", 1.0))

    @override
    def fill(self, model: Model, contents: Contents) -> None:
        super().fill(model, contents)
        negate(model.network.get_submodule("output"))

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        grid = Uniform(5, start=model.latest, end=settings.take("t_eps", 0.03))
        return Sampler(FlowEuler() if compat else Exponential(), grid)
