"""What the files of sp-uhh/sgmse share with those of the codes that were made from it.

They are saved by Lightning: settings under "hyper_parameters", weights under "state_dict", averages
under "ema". Settings have the names and the defaults of the first code, sp-uhh/sgmse, unless a
family says otherwise. Frames are padded to a multiple of 64, and the padded ones are heard in the
inverse transform.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published._family import Contents, Family
from sgmse.checkpoints.published._settings import Settings, plain, table
from sgmse.checkpoints.published._unpickler import mapping
from sgmse.checkpoints.published._weights import build, fill_averaged
from sgmse.compat import PublishedOUVP
from sgmse.errors import CheckpointError
from sgmse.front import FrontEnd
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import DCUNET_LEVELS, DCUNet, NCSNpp, Network
from sgmse.sdes import OUVE, SBVE, SDE
from sgmse.solvers import Sampler, SamplerRange
from sgmse.transforms import Log, Power, Spectrogram, Window

Model = ScoreModel | Regeneration
#: The prefix of the weights of the only network of a file.
ONLY = "dnn."
#: Of an NCSN++, what no script of these codes has a flag for and no reader here builds.
FIXED: Mapping[str, Any] = {
    "nonlinearity": "swish",
    "resamp_with_conv": True,
    "conditional": True,
    "skip_rescale": True,
    "resblock_type": "biggan",
    "embedding_type": "fourier",
}


class Lightning(Family):
    """Such files; `name` and the settings that are `kept` tell of their training."""

    name: ClassVar[str]
    kept: ClassVar[tuple[str, ...]]

    @abstractmethod
    def tells(self, settings: Mapping[Any, Any], weights: Sequence[str]) -> bool:
        """Whether a file with these settings and names of weights is of this family."""

    @abstractmethod
    def model(self, settings: Settings, compat: str | None) -> Model:
        """The model, without its weights, exact or as published."""

    @abstractmethod
    def sampler(self, settings: Settings, model: Model, compat: str | None) -> Sampler:
        """The sampler of the published script, exact or as published."""

    def samplers(self, model: Model, sampler: Sampler) -> tuple[SamplerRange, ...]:
        """What else it may be sampled with: by any solver in half of the published steps."""
        return (SamplerRange.around(sampler, model.sde, model.latest),)

    def front(self, settings: Settings) -> FrontEnd:
        """What the model hears."""
        return FrontEnd(
            spectrogram(settings), 16000, multiple=64, tail="published", level="published"
        )

    def settings(self, contents: Contents) -> Settings:
        """The settings in a file."""
        return Settings(table(contents, "hyper_parameters"))

    def fill(self, model: Model, contents: Contents) -> None:
        """Give a model its weights; here, those of its only network."""
        fill_averaged(model.network, contents, ONLY)

    @override
    def recognises(self, contents: Contents) -> bool:
        settings = mapping(contents.get("hyper_parameters")) or {}
        weights = mapping(contents.get("state_dict")) or {}
        return self.tells(settings, [key for key in weights if isinstance(key, str)])

    @override
    def read(self, contents: Contents, compat: str | None) -> Checkpoint:
        settings = self.settings(contents)
        model = self.model(settings, compat)
        self.fill(model, contents)
        counts = {"epoch": contents.get("epoch"), "step": contents.get("global_step")}
        facts = counts | {name: settings.values.get(name) for name in self.kept}
        known = {name: fact for name, fact in facts.items() if fact is not None and plain(fact)}
        sampler = self.sampler(settings, model, compat)
        return Checkpoint(
            model=model,
            front=self.front(settings),
            sampler=sampler,
            samplers=self.samplers(model, sampler),
            training={"family": self.name} | known,
        )


def process(settings: Settings) -> SDE:
    """The process of the first code, of its name `sde`."""
    take = settings.take
    name = take("sde", "ouve", choices=("ouve", "sbve", "ouvp"))
    if name == "sbve":
        return SBVE(k=take("k", 2.6), c=take("c", 0.4))
    if name == "ouvp":
        betas = take("beta_min", 0.1), take("beta_max", 10.0)
        return PublishedOUVP(*betas, stiffness=take("stiffness", 1.0))
    sigmas = take("sigma_min", 0.05), take("sigma_max", 0.5)
    return OUVE(take("theta", 1.5), *sigmas)


def spectrogram(settings: Settings) -> Spectrogram:
    """The transform."""
    take = settings.take
    kind = take("transform_type", "exponent", choices=("exponent", "log", "none"))
    factor, exponent = take("spec_factor", 0.15), take("spec_abs_exponent", 0.5)
    windows: tuple[Window, ...] = ("hann", "sqrthann")
    window = take("window", windows[0], choices=windows)
    n_fft, hop = take("n_fft", 510), take("hop_length", 128)
    power = Power(exponent, factor) if kind == "exponent" else Power(1, 1)
    return Spectrogram(n_fft, hop, Log(factor) if kind == "log" else power, window=window)


def network_of(settings: Settings, backbone: str) -> Network:
    """The network of a backbone of the first code, of the sizes in the settings; no weights."""
    return _dcunet(settings) if backbone == "dcunet" else _ncsnpp(settings, backbone)


def fix(settings: Settings, values: Mapping[str, Any]) -> None:
    """Refuse other values of settings than these."""
    for name, value in values.items():
        settings.take(name, value, choices=(value,))


def sizes(
    settings: Settings,
    channels: int = 128,
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 2),
    blocks: int = 2,
    attention: tuple[int, ...] = (16,),
) -> dict[str, Any]:
    """The sizes and connections of an NCSN++, as its arguments; by default these."""
    take = settings.take
    return {
        "channels": take("nf", channels, most=2**14),
        "multipliers": take("ch_mult", multipliers, most=64),
        "blocks": take("num_res_blocks", blocks, most=16),
        "attention_resolutions": take("attn_resolutions", attention),
        "bins": take("image_size", 256),
        "combine": take("progressive_combine", "sum", choices=("sum", "cat")),
        "fir": take("fir", True),
    }


def _ncsnpp(settings: Settings, backbone: str) -> NCSNpp:
    take = settings.take
    fix(settings, FIXED)
    full = backbone == "ncsnpp_48k"
    layout = {"ncsnpp": NCSNpp.v1, "ncsnpp_v2": NCSNpp.v2, "ncsnpp_48k": NCSNpp.v48k}[backbone]
    skips = {
        "output_skip": take("progressive", "none" if full else "output_skip").lower(),
        "input_skip": take("progressive_input", "none" if full else "input_skip").lower(),
    }
    for name, value in skips.items():
        if value not in (name, "none"):
            raise CheckpointError(f"its network has the connections {value!r}, unknown here")
    changes = sizes(settings, attention=() if full else (16,))
    changes |= {name: value == name for name, value in skips.items()}
    changes["centred"] = take("centered", True)
    if backbone != "ncsnpp_v2" and not take("scale_by_sigma", True):
        changes["divide_by_t"] = None
    return build(lambda: layout(**changes))


def _dcunet(settings: Settings) -> DCUNet:
    take = settings.take
    waves: dict[str, Any] = {"gfp": "fourier", "ds": "steps", "none": None}
    norms: dict[str, Any] = {"bN": "separate", "CbN": "joint"}
    fit = take("dcunet_fix_length", "pad", choices=("pad", "trim", "none"))
    # The published code does not run with a bound.
    take("dcunet_mask_bound", "none", choices=("none",))
    architecture = take("dcunet_architecture", "DilDCUNet-v2", choices=tuple(DCUNET_LEVELS))
    changes: dict[str, Any] = {
        "levels": DCUNET_LEVELS[architecture],
        "width": take("embed_dim", 128),
        "waves": waves[take("dcunet_time_embedding", "gfp", choices=tuple(waves))],
        "complex_waves": take("dcunet_time_embedding_complex", False),
        "time_layers": take("dcunet_temb_layers_global", 2, most=16),
        "block_layers": take("dcunet_temb_layers_local", 1, most=16),
        "time_activation": take("dcunet_temb_activation", "silu"),
        "norm": norms[take("dcunet_norm_type", "bN", choices=tuple(norms))],
        "activation": take("dcunet_activation", "relu"),
        "fit": "trim" if fit == "trim" else "pad",  # with "none" it refuses what does not fit
    }
    return build(lambda: DCUNet(**changes))
