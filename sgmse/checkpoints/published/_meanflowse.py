"""The models of MeanFlowSE, as https://github.com/liduojia1/MeanFlowSE saves them.

Li et al. 2025 (arXiv:2509.14858): the flow of `StraightFlow` with an `ncsnpp` of two times, minus
whose output is the average velocity of a step from t to s,

    x_s = x_t - (t - s) u(x_t, y, t, s),      u(x, y, t, t) = v(x, y, t),

which on a straight flow is the first-order step with the estimate of the whole step,
Exponential(whole=True). The last layer is read with the sign turned, as for `FlowSE`, and nothing
is divided by t. The code takes no notice of `centered` and `scale_by_sigma`.

Files that were trained for average velocities (`use_mfse`) are sampled in one step from T_rev to 0,
as its page does, others in 5 steps of Euler along v. The published arithmetic, compat="sgmse", is
the same to rounding but for the noise that is left at the end: sigma(0) where sigma_min > 0 (0 is
the default), and of the 5 steps that at t_eps, where they end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from sgmse.checkpoints.published._flowse import FlowSE
from sgmse.checkpoints.published._lightning import FIXED, Model, fix, sizes
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._weights import build
from sgmse.compat import FlowEuler
from sgmse.estimates import Velocity
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp
from sgmse.sdes import StraightFlow
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform


class MeanFlowSE(FlowSE):
    """Files that say whether average velocities were trained."""

    name = "meanflowse"
    kept = (*FlowSE.kept, "use_mfse", "mf_weight_final", "mf_first_order_coef")

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("ode") == "flowmatching" and "use_mfse" in settings

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        take = settings.take
        take("backbone", "ncsnpp", choices=("ncsnpp",))
        fix(settings, FIXED)
        layout = sizes(settings)
        for skip in ("output_skip", "input_skip"):
            key = {"output_skip": "progressive", "input_skip": "progressive_input"}[skip]
            layout[skip] = take(key, skip, choices=(skip, "none")) == skip
        network = build(lambda: NCSNpp(end="length", **layout))
        sde = StraightFlow(take("sigma_min", 0.0), take("sigma_max", 0.487))
        return ScoreModel(network, sde, Velocity(), take("T_rev", 1.0))

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        whole = settings.take("use_mfse", False)
        solver = FlowEuler(grow=False, whole=whole) if compat else Exponential(whole=whole)
        if whole:
            return Sampler(solver, Uniform(1, start=model.latest, end=0.0))
        end = settings.take("t_eps", 0.03)
        return Sampler(solver, Uniform(5, start=model.latest, end=end, finish=not compat))

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        along = SamplerRange.around(
            Sampler(Exponential(), Uniform(5, start=model.latest, end=0.03)),
            model.sde,
            model.latest,
        )
        if not sampler.solver.whole:
            return (along,)
        # Average velocities were trained of steps of any length.
        return (SamplerRange((sampler.solver,), latest=model.latest), along)
