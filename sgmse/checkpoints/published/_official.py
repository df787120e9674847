"""The models of SGMSE+ and its successors, as https://github.com/sp-uhh/sgmse saves them.

Welker et al. 2022 (arXiv:2203.17004), Richter et al. 2023 (arXiv:2208.05830) and 2024
(arXiv:2406.06185, 48 kHz; arXiv:2409.10753, Schroedinger bridges and preconditioning): networks
`ncsnpp`, `ncsnpp_v2`, `ncsnpp_48k`, `dcunet`; processes `ouve`, `sbve` and, in the first version of
the repository, `ouvp`. The settings of a file that belong together:

    backbone     what the output is       frames padded with   rate
    ncsnpp       minus the score          zeros                16 kHz
    ncsnpp_v2    see `Preconditioned`     reflection           that of `sr`
    ncsnpp_48k   minus the score          reflection           48 kHz
    dcunet       minus the score          zeros                16 kHz

The sampler of `ouve` is that of the published script: predictor-corrector, 30 steps, snr 0.5, down
to t_eps; for files trained on the folders of WSJ0-REVERB the 50 steps and snr 0.33 of its page. For
`sbve` it is the ODE or SDE that the file names, exact; with compat="sgmse" as published, and so is
the sigma by which the network is preconditioned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, ClassVar, Literal

from typing_extensions import override

from sgmse.checkpoints.published._lightning import ONLY, Lightning, Model, network_of, process
from sgmse.checkpoints.published._settings import Settings
from sgmse.compat import SBODE, SBSDE, PublishedPreconditioning
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Parametrization, Preconditioned, Score
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.sdes import SBVE, SDE
from sgmse.solvers import (
    AnnealedLangevin,
    Exponential,
    PredictorCorrector,
    Sampler,
    SamplerRange,
    Uniform,
)

BACKBONES = ("ncsnpp", "ncsnpp_v2", "ncsnpp_48k", "dcunet")


class Official(Lightning):
    """Files with one network, and a `backbone` and an `sde` of these."""

    name = "sgmse"
    kept: ClassVar[tuple[str, ...]] = (
        *("loss_type", "loss_weighting", "l1_weight", "pesq_weight", "lr", "ema_decay"),
        *("batch_size", "num_frames", "format", "normalize", "sde_n"),
    )

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        return (
            settings.get("backbone") in BACKBONES
            and settings.get("sde") in ("ouve", "sbve", "ouvp")
            and settings.get("loss_type") != "precond_denoiser"  # `RoseCD`
            and "inference_N" not in settings  # fine-tuned for a few steps: `Corrected`
            and any(name.startswith(ONLY) for name in weights)
        )

    @override
    def model(self, settings: Settings, compat: str | None) -> ScoreModel:
        backbone, sde = self.backbone(settings), process(settings)
        network = network_of(settings, backbone)
        meaning = _parametrization(settings, backbone, sde)
        if compat and isinstance(sde, SBVE) and isinstance(meaning, Preconditioned):
            meaning = PublishedPreconditioning(*astuple(meaning))
        return ScoreModel(network, sde, meaning)

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        take = settings.take
        if isinstance(model.sde, SBVE):
            steps, kind = take("N", 50), take("sampler_type", "ode", choices=("ode", "sde", "pc"))
            if compat:
                published = SBSDE(end=1e-4) if kind == "sde" else SBODE()
                return Sampler(published, Uniform(steps, end=1e-4, finish=False))
            exact = Exponential(eta=1.0) if kind == "sde" else Exponential(start=0.0)
            return Sampler(exact, Uniform(steps, end=0.0))
        reverberant = take("format", "default") == "reverb"
        steps, snr = take("N", 50 if reverberant else 30), 0.33 if reverberant else 0.5
        solver = PredictorCorrector(corrector=AnnealedLangevin(snr))
        return Sampler(solver, Uniform(steps, end=take("t_eps", 0.03)))

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        # Bridges say what the data is at any time, and serve in few steps, too (arXiv:2407.16074).
        return (SamplerRange(),) if model.sde.pinned else super().samplers(model, sampler)

    @override
    def front(self, settings: Settings) -> FrontEnd:
        backbone, rate = self.backbone(settings), settings.take("sr", 16000)
        if backbone == "ncsnpp_48k" and rate == 16000:
            rate = 48000  # these carry it wrongly or not at all
        reflects = backbone in ("ncsnpp_v2", "ncsnpp_48k")
        padding: Literal["zero", "reflect"] = "reflect" if reflects else "zero"
        return replace(super().front(settings), sample_rate=rate, padding=padding)

    def backbone(self, settings: Settings) -> str:
        """The name of the network."""
        return settings.take("backbone", "ncsnpp", choices=BACKBONES)


def _parametrization(settings: Settings, backbone: str, sde: SDE) -> Parametrization:
    """What the output of the network is."""
    take = settings.take
    old = {"mse": "score_matching", "mae": "score_matching"}
    kind = take("loss_type", "score_matching")
    kind = old.get(kind, kind)
    targets: dict[str, Literal["score", "mean", "data"]] = {
        "score_matching": "score",
        "denoiser": "mean",
        "data_prediction": "data",
    }
    if kind not in targets:
        known = ", ".join((*old, *targets))
        raise CheckpointError(f"its loss_type is {kind!r:.60}; known are {known}")
    target = targets[kind]
    if isinstance(sde, SBVE) and (backbone != "ncsnpp_v2" or target != "data"):
        raise CheckpointError(
            f"its sde is 'sbve' with backbone {backbone!r} and loss_type {kind!r}, which the "
            "published sampler cannot use either; only ncsnpp_v2 with data_prediction"
        )
    if backbone != "ncsnpp_v2":
        if target != "score":
            raise CheckpointError(f"its loss_type is {kind!r}, and {backbone} has score_matching")
        return Score(sign=-1)
    scalings: dict[str, Any] = {
        "c_in": take("c_in", "1"),
        "c_out": take("c_out", "1"),
        "c_skip": take("c_skip", "0"),
        "scaling": take("network_scaling", None, str) or "1",
    }
    if target == "mean":  # the published denoiser takes no notice of these
        scalings |= {"c_out": "1", "c_skip": "0"}
    made = Preconditioned(target, **scalings, sigma_data=take("sigma_data", 0.1))
    plainly = Preconditioned("data", sigma_data=made.sigma_data)
    return Data() if made == plainly else made
