"""The models of BBED and of the corrected reverse process, of two repositories of one house.

https://github.com/sp-uhh/sgmse-bbed (Lay et al. 2023, arXiv:2302.14748): a score network, minus the
output of `ncsnpp` or `dcunet`, of the process `bbed`, or `bbve`, as it was called at first, with

    g = sqrt(theta) sigma_min (sigma_max / sigma_min)^t,     so that it is
    BBED(theta sigma_min^2, sigma_max / sigma_min)

A bridge has no score at its end, so that training and sampling begin at `T_sampling`, 0.999. The
sampler is that of its `enhance`: predictor-corrector, 30 steps, snr 0.5, down to t_eps. The page
also shows 15 steps from t = 0.5. (The script starts at 1 unless told otherwise, which gives NaN.)

https://github.com/sp-uhh/sgmse_crp (Lay et al. 2024, arXiv:2309.09677): such a network, of `bbed`,
`bbve` or `ouve`, fine-tuned on the few steps that it is used with, see `CorrectedReverse`. Files
have `inference_N` and `inference_start`, but always the defaults, one step from t = 0.5: what the
training had is not saved, and where it had others these are to be given. Its script always ends at
0.03.

The published arithmetic of both is exactly that of our solvers: compat="sgmse" changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from sgmse.checkpoints.published._lightning import Lightning, Model, network_of, process
from sgmse.checkpoints.published._settings import Settings
from sgmse.compat import CorrectedReverse
from sgmse.errors import CheckpointError
from sgmse.estimates import Score
from sgmse.model import ScoreModel
from sgmse.sdes import BBED, SDE
from sgmse.solvers import AnnealedLangevin, PredictorCorrector, Sampler, SamplerRange, Uniform


class Bridge(Lightning):
    """Files of BBED."""

    name = "bbed"
    kept = (
        *("loss_type", "lr", "ema_decay", "batch_size", "num_frames", "normalize", "sde_n"),
        *("T_sampling", "output_scale"),
    )
    backbones: ClassVar[tuple[str, ...]] = ("ncsnpp", "dcunet")

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("sde") in ("bbed", "bbve") and "inference_N" not in settings

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        backbone = settings.take("backbone", "ncsnpp", choices=self.backbones)
        sde, latest = _process(settings)
        return ScoreModel(network_of(settings, backbone), sde, Score(sign=-1), latest)

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        solver = PredictorCorrector(corrector=AnnealedLangevin(0.5))
        end = settings.take("t_eps", 0.03)
        return Sampler(solver, Uniform(30, start=model.latest, end=end))


class Corrected(Bridge):
    """Files of networks that were fine-tuned for a few steps."""

    name = "crp"
    backbones = ("ncsnpp",)

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return settings.get("sde") in ("bbed", "bbve", "ouve") and "inference_N" in settings

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        steps, start = settings.take("inference_N", 1), settings.take("inference_start", 0.5)
        return Sampler(CorrectedReverse(), Uniform(steps, start=start, end=0.03))

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        # On how few steps, and from where, is not in the file; on this solver alone.
        return (SamplerRange((sampler.solver,), latest=model.latest),)


def _process(settings: Settings) -> tuple[SDE, float]:
    """The process and the latest time of training, with the published defaults."""
    take = settings.take
    name = take("sde", "bbed", choices=("bbed", "bbve", "ouve"))
    if name == "ouve":
        return process(settings), 1.0
    latest = take("T_sampling", 0.999)
    if name == "bbed":
        return BBED(take("theta", 0.52), take("k", 2.6)), latest
    low, high = take("sigma_min", 1.0), take("sigma_max", 2.6)
    if low <= 0:
        raise CheckpointError(f"its sigma_min is {low}, and must be positive")
    return BBED(take("theta", 0.53) * low**2, high / low), latest
