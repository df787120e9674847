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

Frames are padded to a multiple of 64, and the padded ones are heard in the inverse transform.

The sampler of `ouve` is that of the published script: predictor-corrector, 30 steps, snr 0.5, down
to t_eps; for files trained on the folders of WSJ0-REVERB the 50 steps and snr 0.33 of its page. For
`sbve` it is the ODE or SDE that the file names, exact; with compat="sgmse" as published.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published.pickles import mapping
from sgmse.checkpoints.published.settings import Settings, built, load_weights, plain, table
from sgmse.compat import SBODE, SBSDE, PublishedOUVP
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Parametrization, Preconditioned, Score
from sgmse.model import ScoreModel
from sgmse.networks import NCSNpp
from sgmse.networks.dcunet import DCUNet
from sgmse.networks.dcunet import published_keys as dcunet_keys
from sgmse.networks.ncsnpp import published_keys as ncsnpp_keys
from sgmse.sdes import OUVE, SBVE, SDE
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Exponential,
    Grid,
    PredictorCorrector,
    Solver,
    Uniform,
)
from sgmse.transforms import Log, Power, Spectrogram

__all__ = ["FIXED", "ncsnpp", "read", "recognises", "spectrogram", "trained"]

BACKBONES = ("ncsnpp", "ncsnpp_v2", "ncsnpp_48k", "dcunet")
SDES = ("ouve", "sbve", "ouvp")
PREFIX = "dnn."
#: Settings of the training that are kept beside the model.
KEPT = (
    *("loss_type", "loss_weighting", "l1_weight", "pesq_weight", "lr", "ema_decay", "batch_size"),
    *("num_frames", "format", "normalize", "sde_n"),
)
#: Of the networks: only with these values were any trained, and only these are built here.
FIXED: dict[str, Any] = {
    "nonlinearity": "swish",
    "resamp_with_conv": True,
    "conditional": True,
    "fir": True,
    "skip_rescale": True,
    "resblock_type": "biggan",
    "progressive_combine": "sum",
    "embedding_type": "fourier",
}


def recognises(contents: Mapping[Any, Any]) -> bool:
    """Whether a file is of this family: its backbone, its process and its one network."""
    settings = mapping(contents.get("hyper_parameters")) or {}
    state = mapping(contents.get("state_dict")) or {}
    return (
        settings.get("backbone") in BACKBONES
        and settings.get("sde") in SDES
        and "inference_N" not in settings  # fine-tuned for a few steps: see `bbed`
        and any(isinstance(key, str) and key.startswith(PREFIX) for key in state)
    )


def read(contents: Mapping[Any, Any], compat: str | None) -> Checkpoint:
    """The model in a file of this family."""
    settings = Settings(table(contents, "hyper_parameters"))
    backbone = settings.take("backbone", "ncsnpp", choices=BACKBONES)
    sde = process(settings)
    network, keys = dcunet(settings) if backbone == "dcunet" else ncsnpp(settings, backbone)
    model = ScoreModel(network, sde, parametrization(settings, backbone, sde))
    load_weights(network, contents, keys, PREFIX)
    solver, grid = sampler(settings, sde, compat)
    return Checkpoint(
        model=model,
        transform=spectrogram(settings),
        sample_rate=rate(settings, backbone),
        solver=solver,
        grid=grid,
        padding="reflect" if backbone in ("ncsnpp_v2", "ncsnpp_48k") else "zero",
        frames=64,
        training=trained("sgmse", contents, settings, KEPT),
    )


def process(settings: Settings) -> SDE:
    """The process, with the published defaults."""
    name = settings.take("sde", "ouve", choices=SDES)
    take = settings.take
    if name == "sbve":
        return SBVE(k=take("k", 2.6), c=take("c", 0.4))
    if name == "ouvp":
        betas = take("beta_min", 0.1), take("beta_max", 10.0)
        return PublishedOUVP(*betas, stiffness=take("stiffness", 1.0))
    sigmas = take("sigma_min", 0.05), take("sigma_max", 0.5)
    return OUVE(take("theta", 1.5), *sigmas)


def ncsnpp(settings: Settings, backbone: str) -> tuple[NCSNpp, dict[str, str]]:
    """An NCSN++ of the sizes in the settings, without weights, and its published keys."""
    take = settings.take
    for name, value in FIXED.items():
        take(name, value, choices=(value,))
    full = backbone == "ncsnpp_48k"
    layout = {"ncsnpp": NCSNpp.v1, "ncsnpp_v2": NCSNpp.v2, "ncsnpp_48k": NCSNpp.v48k}[backbone]
    skips = {
        "output_skip": take("progressive", "none" if full else "output_skip").lower(),
        "input_skip": take("progressive_input", "none" if full else "input_skip").lower(),
    }
    for name, value in skips.items():
        if value not in (name, "none"):
            raise CheckpointError(f"its network has the connections {value!r}, unknown here")
    changes: dict[str, Any] = {
        "channels": take("nf", 128, most=2**14),
        "multipliers": take("ch_mult", (1, 1, 2, 2, 2, 2, 2), most=64),
        "blocks": take("num_res_blocks", 2, most=16),
        "attention_resolutions": take("attn_resolutions", () if full else (16,)),
        "bins": take("image_size", 256),
        "centred": take("centered", True),
    } | {name: value == name for name, value in skips.items()}
    if backbone != "ncsnpp_v2" and not take("scale_by_sigma", True):
        changes["divide_by_t"] = None
    network = built(lambda: layout(**changes))
    return network, ncsnpp_keys(network)


def dcunet(settings: Settings) -> tuple[DCUNet, dict[str, str]]:
    """A DCUNet of the published settings, without weights, and its published keys."""
    take = settings.take
    values: dict[str, Any] = {
        "dcunet_architecture": take("dcunet_architecture", "DilDCUNet-v2"),
        "dcunet_time_embedding": take("dcunet_time_embedding", "gfp"),
        "dcunet_temb_layers_global": take("dcunet_temb_layers_global", 2, most=16),
        "dcunet_temb_layers_local": take("dcunet_temb_layers_local", 1, most=16),
        "dcunet_temb_activation": take("dcunet_temb_activation", "silu"),
        "dcunet_time_embedding_complex": take("dcunet_time_embedding_complex", False),
        "dcunet_fix_length": take("dcunet_fix_length", "pad"),
        "dcunet_mask_bound": take("dcunet_mask_bound", "none"),
        "dcunet_norm_type": take("dcunet_norm_type", "bN"),
        "dcunet_activation": take("dcunet_activation", "relu"),
        "embed_dim": take("embed_dim", 128),
    }
    network = built(lambda: DCUNet.published(**values))
    return network, dcunet_keys(network)


def parametrization(settings: Settings, backbone: str, sde: SDE) -> Parametrization:
    """What the output of the network is."""
    take = settings.take
    old = {"mse": "score_matching", "mae": "score_matching"}
    kind = take("loss_type", "score_matching")
    kind = old.get(kind, kind)
    of: dict[str, Literal["score", "mean", "data"]] = {
        "score_matching": "score",
        "denoiser": "mean",
        "data_prediction": "data",
    }
    if kind not in of:
        raise CheckpointError(f"its loss_type is {kind!r:.60}; known are {', '.join((*old, *of))}")
    if isinstance(sde, SBVE) and (backbone != "ncsnpp_v2" or of[kind] != "data"):
        raise CheckpointError(
            f"its sde is 'sbve' with backbone {backbone!r} and loss_type {kind!r}, which the "
            "published sampler cannot use either; only ncsnpp_v2 with data_prediction"
        )
    if backbone != "ncsnpp_v2":
        if of[kind] != "score":
            raise CheckpointError(f"its loss_type is {kind!r}, and {backbone} has score_matching")
        return Score(sign=-1)
    scalings: dict[str, Any] = {
        "c_in": take("c_in", "1"),
        "c_out": take("c_out", "1"),
        "c_skip": take("c_skip", "0"),
        "scaling": take("network_scaling", None, str) or "1",
    }
    if of[kind] == "mean":  # the published denoiser takes no notice of these
        scalings |= {"c_out": "1", "c_skip": "0"}
    made = Preconditioned(of[kind], **scalings, sigma_data=take("sigma_data", 0.1))
    plainly = Preconditioned("data", sigma_data=made.sigma_data)
    return Data() if made == plainly else made


def spectrogram(settings: Settings) -> Spectrogram:
    """The transform, with the published defaults, which several families share."""
    take = settings.take
    kind = take("transform_type", "exponent", choices=("exponent", "log", "none"))
    factor, exponent = take("spec_factor", 0.15), take("spec_abs_exponent", 0.5)
    take("window", "hann", choices=("hann",))
    n_fft, hop = take("n_fft", 510), take("hop_length", 128)
    if kind == "log":
        return Spectrogram(n_fft, hop, Log(factor))
    return Spectrogram(n_fft, hop, Power(exponent, factor) if kind == "exponent" else Power(1, 1))


def rate(settings: Settings, backbone: str) -> int:
    """Samples a second: `sr`, which the 48 kHz models carry wrongly or not at all."""
    stated = settings.take("sr", 16000)
    return 48000 if backbone == "ncsnpp_48k" and stated == 16000 else stated


def sampler(settings: Settings, sde: SDE, compat: str | None) -> tuple[Solver, Grid]:
    """The sampler of the published script, exact or as published."""
    take = settings.take
    if isinstance(sde, SBVE):
        steps, kind = take("N", 50), take("sampler_type", "ode", choices=("ode", "sde", "pc"))
        if compat:
            published = Uniform(steps, end=1e-4, finish=False)
            return (SBSDE(end=published.end) if kind == "sde" else SBODE()), published
        exact = Exponential(eta=1.0) if kind == "sde" else Exponential(start=0.0)
        return exact, Uniform(steps, end=0.0)
    reverberant = take("format", "default") == "reverb"
    steps, snr = take("N", 50 if reverberant else 30), 0.33 if reverberant else 0.5
    return PredictorCorrector(EulerMaruyama(), AnnealedLangevin(snr)), Uniform(
        steps, end=take("t_eps", 0.03)
    )


def trained(
    family: str, contents: Mapping[Any, Any], settings: Settings, kept: tuple[str, ...]
) -> dict[str, Any]:
    """What is known of the training, in plain values."""
    counts = {"epoch": contents.get("epoch"), "step": contents.get("global_step")}
    values = counts | {name: settings.values.get(name) for name in kept}
    return {"family": family} | {k: v for k, v in values.items() if v is not None and plain(v)}
