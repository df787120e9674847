"""The models of SB-CTM, as https://github.com/sony/sbctm saves them.

Nishigori et al. 2025 (arXiv:2507.11925): consistency trajectory models of the Schroedinger bridge
`SBVE`. An `ncsnpp-ctm_v2` of two times, which is `ncsnpp_v2` with a second embedding, says

    g(x_t, y, t, s),      x_s = (s / t) x_t + (1 - s / t) g,

and g(x_t, y, t, t) was trained as the data: the solvers of all bridges serve it, too. That step is
`ConsistencyTrajectory`, from x_1 = y to 1e-4, in one step, as its page names none; several are on
times of equal length in t^(1/7). Weights are those of the network that the training follows with
an average, `dnn_tgt`. compat="sgmse" changes nothing.

Files of the other training, `cm`, of which only steps to the end were trained, those of the 48 kHz
networks and of OUVE are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from sgmse.checkpoints.published._family import Contents
from sgmse.checkpoints.published._lightning import FIXED, Lightning, Model, fix, process, sizes
from sgmse.checkpoints.published._settings import Settings, table
from sgmse.checkpoints.published._weights import build, fill, refuse_others
from sgmse.compat import ConsistencyTrajectory
from sgmse.errors import CheckpointError
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp
from sgmse.solvers import Polynomial, Sampler, SamplerRange

FOLLOWING = "dnn_tgt."
#: Of the network that is trained, and of the one that taught it.
OTHERS = ("dnn.", "teacher.")
EARLIEST = 1e-4


class SBCTM(Lightning):
    """Files whose backbone is a consistency trajectory model."""

    name = "sbctm"
    kept = ("opt", "ctm_lr", "ctm_rec_w", "ctm_psq_w", "dsm_rec_w", "dsm_psq_w", "cm", "batch_size")

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        backbone = settings.get("backbone")
        return isinstance(backbone, str) and backbone.startswith("ncsnpp-ctm")

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        settings.take("backbone", "ncsnpp-ctm_v2", choices=("ncsnpp-ctm_v2",))
        settings.take("sde", "sbve", choices=("sbve",))
        fix(settings, {**FIXED, "cm": False})
        layout = sizes(settings)
        network = build(lambda: NCSNpp(end="end", floor=EARLIEST, **layout))
        return ScoreModel(network, process(settings), Data())

    @override
    def fill(self, model: Model, contents: Contents) -> None:
        state = table(contents, "state_dict")
        if not any(name.startswith(FOLLOWING) for name in state):
            raise CheckpointError(f"its state_dict has no weights {FOLLOWING}*")
        fill(model.network, state, FOLLOWING)
        refuse_others(state, [FOLLOWING, *OTHERS])

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        grid = Polynomial(1, end=EARLIEST, finish=False, rho=7.0)
        return Sampler(ConsistencyTrajectory(), grid)

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        return (SamplerRange(),)  # at s = t it says what the data is at any time

    @override
    def front(self, settings: Settings) -> FrontEnd:
        return replace(super().front(settings), padding="reflect")
