"""The models of COSE, as https://github.com/ICDM-UESTC/COSE saves them.

Yang et al. 2025 (arXiv:2509.15952): `FlowMatching` from noise to clean speech, with the observation
beside the state, and an `ncsnpp` of two times, divided by t and resampled without the filter, whose
output is the average velocity of a step from t to s. On this straight flow its displacement is the
first-order step with the estimate of the whole step, Exponential(whole=True), in one
step from t = 1, as the published script does. A step to 0 is told as one to 0.003.

compat="sgmse" changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from sgmse.checkpoints.published._lightning import FIXED, Lightning, Model, fix, sizes
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._weights import build
from sgmse.estimates import Velocity
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp
from sgmse.sdes import FlowMatching
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform

LEAST = 0.003


class COSE(Lightning):
    """Files whose process is a rectified flow."""

    name = "cose"
    kept = ("loss_type", "lr", "ema_decay", "batch_size", "num_frames", "normalize")

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("sde") == "rectified_flow"

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        take = settings.take
        take("backbone", "ncsnpp", choices=("ncsnpp",))
        fix(settings, FIXED)
        layout = sizes(settings) | {"centred": take("centered", True), "fir": take("fir", False)}
        if take("scale_by_sigma", True):
            layout["divide_by_t"] = "features"
        network = build(lambda: NCSNpp(end="joined", floor=LEAST, **layout))
        return ScoreModel(network, FlowMatching(), Velocity())

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        return Sampler(Exponential(whole=True), Uniform(1, end=0.0))

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        return (SamplerRange((sampler.solver,)),)
