"""The models of StoRM, as https://github.com/sp-uhh/storm saves them.

Lemercier et al. 2023 (arXiv:2212.11851). A file is one of three:

    keys                          model
    denoiser_net.*, score_net.*   `Regeneration`: a predictor, and a process to what it predicts
    dnn.*                         `ScoreModel`: as those of `_official`, with smaller networks
    dnn.*, discriminative         the predictor alone: a bridge whose first evaluation is the result

In the second and third the setting `spatial_channels`, which only this family has, tells them from
others. The networks are NCSN++ of four levels that take twice their input less 1; those of the
branch for torch 2, whose files name Lightning 2, take it as it is.

The sampler is that of the published script: predictor-corrector, 50 steps, snr 0.5, down to t_eps;
for `ouvp`, where it has no corrector, the predictor alone. With compat="sgmse" its steps have the
length 1/N wherever they lead, as published.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from sgmse.checkpoints.published._family import Contents
from sgmse.checkpoints.published._lightning import (
    FIXED,
    ONLY,
    Lightning,
    Model,
    fix,
    process,
    sizes,
)
from sgmse.checkpoints.published._settings import Settings, table
from sgmse.checkpoints.published._weights import averaged, build, fill, refuse_others
from sgmse.estimates import Data, Score
from sgmse.model import Conditioning, Regeneration, ScoreModel
from sgmse.networks import NCSNpp
from sgmse.sdes import OUVE, BrownianBridge
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Exponential,
    PredictorCorrector,
    Sampler,
    SamplerRange,
    Uniform,
)

DENOISER, SCORE = "denoiser_net.", "score_net."
PREFIXES = (DENOISER, SCORE, ONLY)
#: Weights that a predictive network stores and never uses: see its keys.
UNUSED = re.compile(r"all_modules\.0\.W|.*\.Dense_0\..*")
#: nf, ch_mult, num_res_blocks, attn_resolutions.
BACKBONES: Mapping[str, tuple[int, tuple[int, ...], int, tuple[int, ...]]] = {
    "ncsnpp": (128, (1, 2, 2, 2), 1, (0,)),
    "ncsnpplarge": (128, (1, 1, 2, 2, 2, 2, 2), 2, (16,)),
    "ncsnpp12M": (96, (1, 2, 2, 1), 1, (0,)),
    "ncsnpp6M": (96, (1, 1, 1, 1), 1, (0,)),
}
CONDITIONING: Mapping[str, Conditioning] = {
    "noisy": "noisy",
    "post_denoiser": "post",
    "both": "both",
}
SKIPS: Mapping[str, Any] = {
    "progressive": "output_skip",
    "progressive_input": "input_skip",
    "spatial_channels": 1,
}


class Storm(Lightning):
    """Files with networks of these names, or with `spatial_channels`."""

    name = "storm"
    kept = (
        *("mode", "loss_type", "loss_type_denoiser", "loss_type_score"),
        *("weighting_denoiser_to_score", "lr", "ema_decay", "batch_size", "num_frames", "format"),
        "sde_n",
    )

    @override
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        if any(name.startswith((DENOISER, SCORE)) for name in weights):
            return True
        return "spatial_channels" in settings and any(name.startswith(ONLY) for name in weights)

    @override
    def settings(self, contents: Contents) -> Settings:
        version = contents.get("pytorch-lightning_version")
        major = version.partition(".")[0] if isinstance(version, str) else ""
        modern = major.isdecimal() and int(major) >= 2
        return Settings({"centered": modern} | table(contents, "hyper_parameters"))

    @override
    def model(self, settings: Settings, compat: str | None) -> Model:
        take = settings.take
        if "backbone" in settings.values:
            if take("discriminative", False):
                return _alone(_ncsnpp(settings, "backbone", predictive=True))
            return ScoreModel(_ncsnpp(settings, "backbone"), process(settings), Score(sign=-1))
        predictor = _ncsnpp(settings, "backbone_denoiser", predictive=True)
        if take("backbone_score", "ncsnpp") == "none":
            return _alone(predictor)
        conditioning = CONDITIONING[take("condition", "both", choices=tuple(CONDITIONING))]
        sights = 2 if conditioning == "both" else 1
        network = _ncsnpp(settings, "backbone_score", observations=sights)
        refiner = ScoreModel(network, process(settings), Score(sign=-1))
        return Regeneration(predictor, refiner, conditioning)

    @override
    def fill(self, model: Model, contents: Contents) -> None:
        # The moving averages are one list over all networks.
        names = [name for name in table(contents, "state_dict") if name.startswith(PREFIXES)]
        trained = {name: not name.endswith(".all_modules.0.W") for name in names}
        state = averaged(contents, trained)
        networks = {ONLY if names and names[0].startswith(ONLY) else DENOISER: model.network}
        if isinstance(model, Regeneration):
            networks = {DENOISER: model.predictor, SCORE: model.network}
        for prefix, network in networks.items():
            fill(network, state, prefix, UNUSED)
        refuse_others(state, list(networks))

    @override
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        if model.sde.pinned:  # the predictor alone
            return Sampler(Exponential(start=0.0), Uniform(1, end=0.0))
        steps = 50
        corrector = AnnealedLangevin(0.5) if isinstance(model.sde, OUVE) else None
        predictor = EulerMaruyama(stepsize=1 / steps if compat else None)
        grid = Uniform(steps, end=settings.take("t_eps", 0.03))
        return Sampler(PredictorCorrector(predictor, corrector), grid)

    @override
    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        usual = super().samplers(model, sampler)
        if isinstance(model, Regeneration):  # the paper's point: the refiner takes far fewer steps
            return tuple(replace(one, fewest=min(one.fewest, 10)) for one in usual)
        return usual


def _ncsnpp(settings: Settings, backbone: str, **changes: Any) -> NCSNpp:
    """An NCSN++ of the sizes in the settings, without weights."""
    take = settings.take
    fix(settings, {**FIXED, **SKIPS})
    layout = sizes(settings, *BACKBONES[take(backbone, "ncsnpp", choices=tuple(BACKBONES))])
    layout["attention_resolutions"] = [n for n in layout["attention_resolutions"] if n > 0]
    layout["centred"] = take("centered", False)
    if not changes.get("predictive") and not take("scale_by_sigma", True):
        layout["divide_by_t"] = None
    return build(lambda: NCSNpp.storm(**layout | changes))


def _alone(predictor: NCSNpp) -> ScoreModel:
    """A model whose one evaluation, where the process is at y, is what the network predicts."""
    return ScoreModel(predictor, BrownianBridge(), Data())
