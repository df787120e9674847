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
training had is not saved, and where it had others these are to be given.

The published arithmetic of both is exactly that of our solvers: compat="sgmse" changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published import official
from sgmse.checkpoints.published.pickles import mapping
from sgmse.checkpoints.published.settings import Settings, load_weights, table
from sgmse.compat import CorrectedReverse
from sgmse.errors import CheckpointError
from sgmse.estimates import Score
from sgmse.model import ScoreModel
from sgmse.sdes import BBED, SDE
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Grid,
    PredictorCorrector,
    Solver,
    Uniform,
)

__all__ = ["read", "recognises"]

BACKBONES = ("ncsnpp", "dcunet")
SDES = ("bbed", "bbve", "ouve")
PREFIX = "dnn."
RATE = 16000
KEPT = (
    *("loss_type", "lr", "ema_decay", "batch_size", "num_frames", "normalize", "sde_n"),
    *("T_sampling", "output_scale"),
)


def recognises(contents: Mapping[Any, Any]) -> bool:
    """Whether a file is of this family: a bridge, or fine-tuned for a few steps."""
    settings = mapping(contents.get("hyper_parameters")) or {}
    return settings.get("sde") in SDES[:2] or corrected(settings)


def corrected(settings: Mapping[Any, Any]) -> bool:
    """Whether a network was fine-tuned for a few steps."""
    return settings.get("sde") in SDES and "inference_N" in settings


def read(contents: Mapping[Any, Any], compat: str | None) -> Checkpoint:
    """The model in a file of this family."""
    settings = Settings(table(contents, "hyper_parameters"))
    few = corrected(settings.values)
    backbone = settings.take("backbone", "ncsnpp", choices=("ncsnpp",) if few else BACKBONES)
    sde, latest = process(settings)
    dcunet = backbone == "dcunet"
    network, keys = official.dcunet(settings) if dcunet else official.ncsnpp(settings, backbone)
    model = ScoreModel(network, sde, Score(sign=-1), latest)
    load_weights(network, contents, keys, PREFIX)
    solver, grid = few_steps(settings) if few else sampler(settings, latest)
    return Checkpoint(
        model=model,
        transform=official.spectrogram(settings),
        sample_rate=RATE,
        solver=solver,
        grid=grid,
        frames=64,
        training=official.trained("crp" if few else "bbed", contents, settings, KEPT),
    )


def process(settings: Settings) -> tuple[SDE, float]:
    """The process, with the published defaults, and the latest time of training."""
    take = settings.take
    name = take("sde", "bbed", choices=SDES)
    if name == "ouve":
        return official.process(settings), 1.0
    latest = take("T_sampling", 0.999)
    if name == "bbed":
        return BBED(take("theta", 0.52), take("k", 2.6)), latest
    low, high = take("sigma_min", 1.0), take("sigma_max", 2.6)
    if low <= 0:
        raise CheckpointError(f"its sigma_min is {low}, and must be positive")
    return BBED(take("theta", 0.53) * low**2, high / low), latest


def sampler(settings: Settings, latest: float) -> tuple[Solver, Grid]:
    """The sampler of BBED."""
    solver = PredictorCorrector(EulerMaruyama(), AnnealedLangevin(0.5))
    return solver, Uniform(30, start=latest, end=settings.take("t_eps", 0.03))


def few_steps(settings: Settings) -> tuple[Solver, Grid]:
    """The sampler of a corrected reverse process; its script always ends at 0.03."""
    steps, start = settings.take("inference_N", 1), settings.take("inference_start", 0.5)
    return CorrectedReverse(), Uniform(steps, start=start, end=0.03)
