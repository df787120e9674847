"""The models of StoRM, as https://github.com/sp-uhh/storm saves them.

Lemercier et al. 2023 (arXiv:2212.11851). A file is one of three:

    keys                          model
    denoiser_net.*, score_net.*   `Regeneration`: a predictor, and a process to what it predicts
    dnn.*                         `ScoreModel`: as those of `official`, with smaller networks
    dnn.*, discriminative         the predictor alone: a bridge whose first evaluation is the result

In the second and third the setting `spatial_channels`, which only this family has, tells them from
others. The networks are NCSN++ of four levels that take twice their input less 1; those of the
branch for torch 2, whose files name Lightning 2, take it as it is.

The sampler is that of the published script: predictor-corrector, 50 steps, snr 0.5, down to t_eps;
for `ouvp`, where it has no corrector, the predictor alone. With compat="sgmse" its steps have the
length 1/N wherever they lead, as published.
"""

from collections.abc import Mapping
from typing import Any

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published import official
from sgmse.checkpoints.published.official import process, spectrogram, trained
from sgmse.checkpoints.published.pickles import mapping
from sgmse.checkpoints.published.settings import Settings, averaged, built, fill, only, table
from sgmse.estimates import Data, Score
from sgmse.model import Conditioning, Regeneration, ScoreModel
from sgmse.networks import NCSNpp
from sgmse.networks.ncsnpp import published_keys
from sgmse.sdes import OUVE, SDE, BrownianBridge
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Exponential,
    Grid,
    PredictorCorrector,
    Solver,
    Uniform,
)

__all__ = ["read", "recognises"]

DENOISER, SCORE, ONLY = "denoiser_net.", "score_net.", "dnn."
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
KEPT = (
    *("mode", "loss_type", "loss_type_denoiser", "loss_type_score", "weighting_denoiser_to_score"),
    *("lr", "ema_decay", "batch_size", "num_frames", "format", "sde_n"),
)
#: Of the networks: only with these values were any trained, and only these are built here.
FIXED: Mapping[str, Any] = official.FIXED | {
    "progressive": "output_skip",
    "progressive_input": "input_skip",
    "spatial_channels": 1,
}


def recognises(contents: Mapping[Any, Any]) -> bool:
    """Whether a file is of this family: by its networks' names, or by a setting of its own."""
    state = mapping(contents.get("state_dict")) or {}
    settings = mapping(contents.get("hyper_parameters")) or {}
    names = [key for key in state if isinstance(key, str)]
    if any(name.startswith((DENOISER, SCORE)) for name in names):
        return True
    return "spatial_channels" in settings and any(name.startswith(ONLY) for name in names)


def read(contents: Mapping[Any, Any], compat: str | None) -> Checkpoint:
    """The model in a file of this family."""
    settings = Settings(table(contents, "hyper_parameters"))
    state = weights(contents)
    centred = settings.take("centered", modern(contents))
    if "backbone" in settings.values:
        predictive = settings.take("discriminative", False)
        net = ncsnpp(settings, "backbone", centred, predictive=predictive)
        names = {ONLY: net}
        model: ScoreModel | Regeneration = (
            alone(net) if predictive else ScoreModel(net, process(settings), Score(sign=-1))
        )
    else:
        predictor = ncsnpp(settings, "backbone_denoiser", centred, predictive=True)
        names = {DENOISER: predictor}
        if settings.take("backbone_score", "ncsnpp") == "none":
            model = alone(predictor)
        else:
            known = tuple(CONDITIONING)
            conditioning = CONDITIONING[settings.take("condition", "both", choices=known)]
            sights = 2 if conditioning == "both" else 1
            net = ncsnpp(settings, "backbone_score", centred, observations=sights)
            names[SCORE] = net
            refiner = ScoreModel(net, process(settings), Score(sign=-1))
            model = Regeneration(predictor, refiner, conditioning)
    for prefix, network in names.items():
        fill(network, used(state, prefix, network), published_keys(network), prefix)
    only(state, list(names))
    solver, grid = sampler(settings, model.sde, compat)
    return Checkpoint(
        model=model,
        transform=spectrogram(settings),
        sample_rate=16000,
        solver=solver,
        grid=grid,
        frames=64,
        training=trained("storm", contents, settings, KEPT),
    )


def ncsnpp(settings: Settings, backbone: str, centred: bool, **changes: Any) -> NCSNpp:
    """An NCSN++ of the sizes in the settings, without weights."""
    take = settings.take
    for name, value in FIXED.items():
        take(name, value, choices=(value,))
    chosen = take(backbone, "ncsnpp", choices=tuple(BACKBONES))
    channels, multipliers, blocks, attention = BACKBONES[chosen]
    layout: dict[str, Any] = {
        "channels": take("nf", channels, most=2**14),
        "multipliers": take("ch_mult", multipliers, most=64),
        "blocks": take("num_res_blocks", blocks, most=16),
        "attention_resolutions": [n for n in take("attn_resolutions", attention) if n > 0],
        "bins": take("image_size", 256),
        "centred": centred,
    }
    if not changes.get("predictive") and not take("scale_by_sigma", True):
        layout["divide_by_t"] = None
    return built(lambda: NCSNpp.storm(**layout | changes))


def modern(contents: Mapping[Any, Any]) -> bool:
    """Whether a file is of the branch for torch 2, whose networks take their input as it is."""
    version = contents.get("pytorch-lightning_version")
    major = version.partition(".")[0] if isinstance(version, str) else ""
    return major.isdecimal() and int(major) >= 2


def alone(predictor: NCSNpp) -> ScoreModel:
    """A model whose one evaluation, where the process is at y, is what the network predicts."""
    return ScoreModel(predictor, BrownianBridge(), Data())


def weights(contents: Mapping[Any, Any]) -> dict[str, Any]:
    """The state_dict with the moving averages, which are one list over all networks."""
    state = table(contents, "state_dict")
    own = [name for name in state if name.startswith((DENOISER, SCORE, ONLY))]
    return averaged(contents, {name: not name.endswith(".all_modules.0.W") for name in own})


def used(state: Mapping[str, Any], prefix: str, network: NCSNpp) -> dict[str, Any]:
    """The state_dict without what a predictive network stores and never uses: see its keys."""
    if not network.predictive:
        return dict(state)
    return {
        name: value
        for name, value in state.items()
        if not (
            name.startswith(prefix) and (name == f"{prefix}all_modules.0.W" or ".Dense_0." in name)
        )
    }


def sampler(settings: Settings, sde: SDE, compat: str | None) -> tuple[Solver, Grid]:
    """The sampler of the published script, exact or as published."""
    if sde.pinned:  # the predictor alone
        return Exponential(start=0.0), Uniform(1, end=0.0)
    steps = 50
    corrector = AnnealedLangevin(0.5) if isinstance(sde, OUVE) else None
    predictor = EulerMaruyama(stepsize=1 / steps if compat else None)
    return PredictorCorrector(predictor, corrector), Uniform(
        steps, end=settings.take("t_eps", 0.03)
    )
