"""The models of ROSE-CD, as the repository of its authors saves them.

Xu, Yan and Kleijn 2025 (arXiv:2507.05688), https://github.com/LiangXu123 (the repository named
Robust-One-step-Speech-Enhancement-via-Consistency-Distillation-ROSE-CD-): the code of SGMSE+ with a
loss_type `precond_denoiser`, whose value

    D = c_skip x_t + c_out F(c_in x_t, c_in y, t)

a consistency training leads to the clean spectrogram, from any time of `ouve`; in the first of the
two trainings, without the losses in the time domain (`sisdr_weight`, `pesq_weight`), it is the mean
of x_t. Files do not say which one it was but by these weights.

A consistency model is sampled in one step from t = 1, whose draw is that of the process; the
published one in several steps adds noise of its own size and is left out. The other is sampled as
SGMSE+. The published arithmetic is that of our solvers: compat="sgmse" changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from sgmse.checkpoints.published._lightning import ONLY, Model, network_of, process
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._settings import Settings
from sgmse.estimates import Preconditioned
from sgmse.model import ScoreModel
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform

LOSS = "precond_denoiser"


class RoseCD(Official):
    """Files with the loss of preconditioned denoising."""

    name = "rosecd"
    kept = (*Official.kept, "sisdr_weight", "consistency_weight")

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("loss_type") == LOSS and any(name.startswith(ONLY) for name in weights)

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        take = settings.take
        backbone = take("backbone", "ncsnpp_v2", choices=("ncsnpp_v2",))
        take("sde", "ouve", choices=("ouve",))
        scalings: dict[str, Any] = {
            "c_in": take("c_in", "1"),
            "c_out": take("c_out", "1"),
            "c_skip": take("c_skip", "0"),
            "scaling": take("network_scaling", None, str) or "1",
            "sigma_data": take("sigma_data", 0.1),
        }
        meaning = Preconditioned("data" if _consistent(settings) else "mean", **scalings)
        return ScoreModel(network_of(settings, backbone), process(settings), meaning)

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        if _consistent(settings):
            return Sampler(Exponential(), Uniform(1, end=0.0))
        return super().sampler(settings, model, compat)

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        if isinstance(sampler.solver, Exponential):
            return (SamplerRange.of(sampler),)
        return super().samplers(model, sampler)


def _consistent(settings: Settings) -> bool:
    """Whether a file is of the second training."""
    return settings.take("sisdr_weight", 0.0) > 0 or settings.take("pesq_weight", 0.0) > 0
