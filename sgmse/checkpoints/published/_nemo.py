"""The audio models of NVIDIA NeMo with its NCSN++ network: scores, bridges and flows.

    ScoreBasedGenerativeAudioToAudioModel       OUVE, score
    SchroedingerBridgeAudioToAudioModel         SBVE or SBVP, data (arXiv:2407.16074)
    FlowMatchingAudioToAudioModel               from noise, velocity or data

of `.nemo` archives (`_archives.unpack`), whose config says how NeMo builds the model. Their flow
matching models with a transformer are refused. The recording is divided by its peak, as `Enhancer`
does; the frames at the ends hear zeros beyond them. NeMo gives back silence for the samples behind
the last whole hop, here they are enhanced.

The sampler is that of the config, exact. With compat = "sgmse" it is what NeMo computes:

    score       every step is 1 / N long, also the last one, which leads from time_min to 0
    bridge      a last state at time_min, whose noise is left in; epsilons of 1e-8, which count in
                the first step of the ODE (`SBODE`); and the estimate at the time stepped to, where
                the config says estimator_time = current
    flow        sigma_end = 1e-4 of the estimated noise is left in at the end
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from typing_extensions import override

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published._family import Contents, Family
from sgmse.checkpoints.published._settings import Settings, table
from sgmse.checkpoints.published._weights import build, fill, negate, refuse_others
from sgmse.compat import SBODE, SBSDE, FlowEuler
from sgmse.errors import CheckpointError
from sgmse.estimates import Data, Parametrization, Score, Velocity
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import NemoNCSNpp
from sgmse.sdes import OUVE, SBVE, SBVP, SDE, FlowMatching, Scaled
from sgmse.solvers import (
    AnnealedLangevin,
    EulerMaruyama,
    Exponential,
    PredictorCorrector,
    Sampler,
    SamplerRange,
    Solver,
    Uniform,
)
from sgmse.transforms import Power, Spectrogram

NETWORK = "SpectrogramNoiseConditionalScoreNetworkPlusPlus"
#: Parts of the state_dict; those beside the estimator have no weights of their own.
PARTS = (
    *("estimator.", "sampler.", "encoder.", "decoder.", "sde.", "noise_schedule."),
    *("flow.", "loss", "metrics.", "ssl_pretrain_masking."),
)
MOST_BLOCKS = 64

T = TypeVar("T")


class Described(NamedTuple):
    """What a config says of a model beside its network and its transform."""

    sde: SDE
    parametrization: Parametrization
    sampler: Sampler
    #: The first time of a flow that runs from noise to data.
    from_noise: float | None = None
    #: What else it may be sampled with, as of `Checkpoint`.
    samplers: tuple[SamplerRange, ...] | None = None


class Part(Settings):
    """A part of the config, and the name of the class that NeMo makes of it."""

    def __init__(self, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise CheckpointError(f"its config has no {name}")
        super().__init__({key: value for key, value in values.items() if isinstance(key, str)})
        self.name = name
        self.kind = str(self.values.get("_target_", "")).rpartition(".")[2]

    def part(self, name: str, *kinds: str) -> "Part":
        """A part of the part, of one of these classes."""
        self.taken.add(name)
        part = Part(name, self.values.get(name))
        if kinds and part.kind not in kinds:
            raise CheckpointError(f"its {name} is a {part.kind:.80}; known are {_all(kinds)}")
        return part

    def need(self, name: str, kind: type[T]) -> T:
        """A setting for which there is no default."""
        if self.values.get(name) is None:
            raise CheckpointError(f"its {self.name} has no {name}")
        return self.take(name, None, kind)  # type: ignore[return-value]

    def done(self) -> None:
        """Refuse settings that were not asked for: NeMo refuses them, too."""
        if odd := [name for name in self.values.keys() - self.taken if name[:1] != "_"]:
            raise CheckpointError(
                f"its {self.name} has unknown settings: {_all(sorted(odd))[:200]}"
            )


def _transform(config: Part) -> Spectrogram:
    encoder = config.part("encoder", "AudioToSpectrogram", "AudioToSpectrogramTA")
    decoder = config.part("decoder", "SpectrogramToAudio", "SpectrogramToAudioTA")
    transforms = []
    for part in (encoder, decoder):
        n_fft, hop = part.need("fft_length", int), part.need("hop_length", int)
        compression = Power(part.take("magnitude_power", 1.0), part.take("scale", 1.0))
        if not part.take("center", True):
            raise CheckpointError(f"its {part.name} is not centred; such models cannot be read")
        part.done()
        transforms.append(Spectrogram(n_fft, hop, compression, ends="zero"))
    if transforms[0] != transforms[1]:
        raise CheckpointError(f"its encoder {transforms[0]} and its decoder {transforms[1]} differ")
    return transforms[0]


def _network(estimator: Part, from_noise: float | None) -> NemoNCSNpp:
    if estimator.kind != NETWORK:
        raise CheckpointError(
            f"its network is a {estimator.kind:.80}; of NeMo's networks only {NETWORK} can be read"
        )
    estimator.take("nonlinearity", "swish", choices=("swish", "silu"))
    channels = estimator.take("channels", (128, 128, 256, 256, 256))
    levels, blocks = estimator.take("num_resolutions", 4), estimator.take("num_res_blocks", 2)
    if len(channels) != levels + 1 or blocks > MOST_BLOCKS:
        raise CheckpointError(
            f"its network has {levels} levels, {blocks} blocks and the channels {channels}; "
            f"it needs a width more than levels, and at most {MOST_BLOCKS} blocks"
        )
    observed = estimator.take("in_channels", 1), estimator.take("out_channels", 1)
    if observed != (2, 1) or not estimator.take("conditioned_on_time", False):
        raise CheckpointError(
            f"its network makes {observed[1]} signals of {observed[0]}; those can be read that "
            "make 1 of 2, the state and the recording, and know the time"
        )
    # Others, of the training or of no class, NeMo ignores.
    padding = [
        estimator.take(name, None, int) or 2**levels for name in ("pad_time_to", "pad_dimension_to")
    ]
    return build(
        lambda: NemoNCSNpp(
            channels=channels,
            blocks=blocks,
            pad_frames=padding[0],
            pad_frequencies=padding[1],
            from_noise=from_noise,
        )
    )


def _span(sampler: Part, process: Part, first: float) -> tuple[float, float]:
    """The latest and the earliest time of a sampler, by default those of its process."""
    latest, earliest = process.take("time_max", 1.0), process.take("time_min", first)
    process.take("num_steps", 100)  # of the training
    given = sampler.take("time_max", None, float), sampler.take("time_min", None, float)
    return latest if given[0] is None else given[0], earliest if given[1] is None else given[1]


def _score(config: Part, compat: str | None) -> Described:
    sde, sampler = (
        config.part("sde", "OrnsteinUhlenbeckVarianceExplodingSDE"),
        config.part("sampler", "PredictorCorrectorSampler"),
    )
    low, high = sde.need("std_min", float), sde.need("std_max", float)
    eps = sde.take("eps", 1e-8)
    if compat:
        high *= low / (low + eps)  # so that high / low is theirs
    process = OUVE(sde.need("stiffness", float), low, high)
    latest, earliest = _span(sampler, sde, 0.03)
    sampler.take("predictor", "reverse_diffusion", choices=("reverse_diffusion",))
    sampler.take("corrector", "annealed_langevin_dynamics", choices=("annealed_langevin_dynamics",))
    corrector = AnnealedLangevin(sampler.take("snr", 0.5), sampler.take("num_corrector_steps", 1))
    ending = sampler.take("output_type", "mean", choices=("mean", "state"))
    grid = Uniform(sampler.take("num_steps", 50), latest, earliest)
    sde.done()
    sampler.done()
    predictor = EulerMaruyama(stepsize=latest / grid.steps if compat else None)
    solver = PredictorCorrector(predictor, corrector, denoise=ending == "mean")
    return Described(process, Score(), Sampler(solver, grid))


def _bridge(config: Part, compat: str | None) -> Described:
    config.take("estimator_output", "data_prediction", choices=("data_prediction",))
    schedule, sampler = (
        config.part("noise_schedule", "SBNoiseScheduleVE", "SBNoiseScheduleVP"),
        config.part("sampler", "SBSampler"),
    )
    latest, earliest = _span(sampler, schedule, 0.0)
    if latest != 1:
        raise CheckpointError(f"its time_max is {latest:g}; bridges that end at 1 can be read")
    eps = schedule.take("eps", 1e-8), sampler.take("eps", 1e-8)
    estimator_time = sampler.take("estimator_time", "previous", choices=("previous", "current"))
    told: Any = "target" if estimator_time == "current" else "state"
    kind = sampler.take("process", "sde", choices=("sde", "ode"))
    steps = sampler.take("num_steps", 50)
    grid = Uniform(steps, end=earliest, finish=False) if compat else Uniform(steps, end=0.0)
    process: SDE
    if schedule.kind == "SBNoiseScheduleVE":
        process = SBVE(schedule.need("k", float), schedule.need("c", float))
    else:
        low, high = schedule.need("beta_0", float), schedule.need("beta_1", float)
        process = SBVP(beta_min=low, beta_max=high, c=schedule.take("c", 1.0))
        if compat:
            raise CheckpointError(
                "of its bridge, SBVP, only the exact sampler is there: leave out compat"
            )
    schedule.done()
    sampler.done()
    solver: Solver
    if not compat:
        solver = Exponential(eta=1.0) if kind == "sde" else Exponential(start=0.0)
    elif eps[0] != eps[1]:
        raise CheckpointError(f"its schedule and its sampler have other eps: {eps[0]}, {eps[1]}")
    elif kind == "sde":
        solver = SBSDE(eps[1], 0.0, told)
    else:
        solver = SBODE(eps[1], told)
    # It says what the data is at any time, and serves in few steps, too (arXiv:2407.16074).
    return Described(process, Data(), Sampler(solver, grid), samplers=(SamplerRange(),))


def _flow(config: Part, compat: str | None) -> Described:
    flow, sampler = (
        config.part("flow", "OptimalTransportFlow"),
        config.part("sampler", "ConditionalFlowMatchingEulerSampler"),
    )
    noise, rest = flow.take("sigma_start", 1.0), flow.take("sigma_end", 1e-4)
    flow.take("time_min", 1e-8)  # of the training
    if (latest := (flow.take("time_max", 1.0), sampler.take("time_max", 1.0))) != (1, 1):
        raise CheckpointError(f"its time_max is {latest}; flows that end at 1 can be read")
    targets = "conditional_vector_field", "data"
    meant = config.take("estimator_target", targets[0], choices=targets)
    if meant != sampler.take("estimator_target", targets[0], choices=targets):
        raise CheckpointError(f"its sampler has another estimator_target than its model, {meant!r}")
    if config.take("p_cond", 1.0) == 0:
        raise CheckpointError("its p_cond is 0: it makes speech of noise, whatever it is given")
    first = sampler.take("time_min", 1e-8)
    grid = Uniform(sampler.take("num_steps", 5), 1 - first, 0.0)
    flow.done()
    sampler.done()
    process: SDE = FlowMatching(rest / noise if noise else 0.0)
    if noise != 1:
        process = Scaled(process, noise)
    parametrization = Data() if meant == "data" else Velocity()
    solver = FlowEuler() if compat else Exponential()
    return Described(process, parametrization, Sampler(solver, grid), from_noise=first)


MODELS: Mapping[str, Callable[[Part, str | None], Described]] = {
    "ScoreBasedGenerativeAudioToAudioModel": _score,
    "SchroedingerBridgeAudioToAudioModel": _bridge,
    "FlowMatchingAudioToAudioModel": _flow,
}


class NeMo(Family):
    """Archives of NeMo with a model of `MODELS`."""

    @override
    def recognises(self, contents: Contents) -> bool:
        return "model_config" in contents and "state_dict" in contents

    @override
    def read(self, contents: Contents, compat: str | None) -> Checkpoint:
        config = Part("config", contents["model_config"])
        name = str(config.values.get("target") or "model without a target").rpartition(".")[2]
        if name not in MODELS:
            raise CheckpointError(
                f"it is NeMo's {name:.80}; those that can be read are {_all(MODELS)}"
            )
        if not config.take("normalize_input", False):
            raise CheckpointError(
                "its normalize_input is false: such a model hears recordings at their own level, "
                "and here they are always divided by their peak"
            )
        if config.take("num_outputs", 1) != 1:
            raise CheckpointError(
                "its num_outputs is more than 1; models of one channel can be read"
            )
        described = MODELS[name](config, compat)
        network = _network(config.part("estimator"), described.from_noise)
        state = table(contents, "state_dict")
        refuse_others(state, PARTS)
        fill(network, state, "estimator.")
        if isinstance(described.parametrization, Velocity):
            negate(network.output)  # their velocity is that of a time that runs the other way
        version = config.values.get("nemo_version")
        facts = {"nemo_version": version} if isinstance(version, str) else {}
        return Checkpoint(
            ScoreModel(network, described.sde, described.parametrization),
            FrontEnd(_transform(config), config.need("sample_rate", int), level="published"),
            described.sampler,
            training={"family": f"NVIDIA NeMo, {name}"} | facts,
            samplers=described.samplers,
        )


def _all(names: Iterable[str]) -> str:
    return ", ".join(names)
