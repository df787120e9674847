"""The recipes of the package: what was published, and that each of them trains."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
import yaml

from sgmse.checkpoints import load
from sgmse.checkpoints.published._bbed import Bridge, Corrected
from sgmse.checkpoints.published._flowse import FlowSE
from sgmse.checkpoints.published._lightning import spectrogram
from sgmse.checkpoints.published._meanflowse import MeanFlowSE
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._settings import Settings
from sgmse.checkpoints.published._storm import Storm
from sgmse.data.paired import Paired
from sgmse.enhancer import Enhancer
from sgmse.estimates import Additive, Estimate, Parametrization, Preconditioned
from sgmse.metrics import si_sdr
from sgmse.networks import MagnitudePreservingUNet, NCSNpp, Network
from sgmse.prior import Prior
from sgmse.sdes import SBVE, SDE, Scaled
from sgmse.solvers import Exponential, Sampler, Uniform
from sgmse.training import train
from sgmse.training.averages import EMA
from sgmse.training.losses import (
    Denoising,
    MeanFlow,
    Reconstruction,
    ScoreMatching,
    Truth,
    VelocityMatching,
)
from sgmse.training.losses.weightings import EDMWeighting, Uncertainty
from sgmse.training.optimisation import Schedule
from sgmse.training.recipe import Recipe
from sgmse.training.recipe_files import dump_recipe, load_recipe, shipped
from sgmse.training.state import load_state
from sgmse.training.times import Times
from sgmse.training.unrolled import Unrolled
from sgmse.transforms import Power, Spectrogram

RECIPES = sorted(shipped().keys() - {"fine_tune", "upper_band"})  # which have no model
#: Of clean recordings alone: `test_ddpm.py` and `test_prior.py` have what they generate.
PRIORS = {"ddpm", "prior", "telephone"}
#: Published numbers of parameters; of EDM2SE, without those that it never uses.
SIZES = {
    "sgmse_plus_16k": 65_590_822,
    "sgmse_plus_48k": 64_739_854,
    "bbed": 65_590_822,
    "crp": 65_590_822,
    "sb_ve": 65_590_822,
    "sb_ve_pesq": 65_590_822,
    "flowse": 65_590_822,
    "meanflow": 65_985_190,
    "edm": 65_590_822,
    "edm2se": 62_470_342,
    "storm": 27_776_038,
}
#: Settings of the published command lines, by their published names.
SETTINGS: dict[str, dict[str, Any]] = {
    "sgmse_plus_16k": {"backbone": "ncsnpp"},
    "sgmse_plus_48k": {
        **{"backbone": "ncsnpp_48k", "n_fft": 1534, "hop_length": 384, "theta": 2.0},
        **{"spec_factor": 0.065, "spec_abs_exponent": 0.667, "sigma_min": 0.1, "sigma_max": 1.0},
    },
    "sb_ve": {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"},
    "sb_ve_pesq": {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"},
    "bbed": {"sde": "bbed", "k": 2.6, "theta": 0.51},
    "crp": {"sde": "bbed", "k": 2.6, "theta": 0.51, "inference_N": 1, "inference_start": 0.5},
    "flowse": {},
    "meanflow": {"use_mfse": True},
    "edm": {"backbone": "ncsnpp_v2"},
    "storm": {"spec_factor": 0.33, "condition": "both"},
}


@cache
def recipe_of(name: str) -> Recipe:
    return load_recipe(name)


class Published(NamedTuple):
    network: Network
    sde: SDE
    parametrization: Parametrization
    transform: Spectrogram
    sampler: Sampler
    latest: float = 1.0


def published(name: str) -> Published:
    """What the reader of published files makes of these settings."""
    if name == "edm2se":  # whose files have no settings
        with torch.device("meta"):
            network = MagnitudePreservingUNet(attention_resolutions=(16,))
        bridge = Scaled(SBVE(2.6, 0.4), 2**0.5)
        sampler = Sampler(Exponential(start=0.0), Uniform(50, end=0.0))
        transform = Spectrogram(510, 128, Power(0.5, 0.15 * 0.5 / 0.08))
        return Published(network, bridge, Additive(), transform, sampler)
    families = {
        **{"bbed": Bridge(), "crp": Corrected(), "storm": Storm(), "flowse": FlowSE()},
        "meanflow": MeanFlowSE(),
    }
    family, settings = families.get(name, Official()), Settings(SETTINGS[name])
    model, transform = family.model(settings, None), spectrogram(settings)
    parametrization = model.parametrization
    if name == "edm":  # of the paper; the published code has no c_out and c_skip here
        parametrization = Preconditioned("mean", "edm", "edm", "edm")
    sampler = family.sampler(settings, model, None)
    return Published(model.network, model.sde, parametrization, transform, sampler, model.latest)


@pytest.mark.parametrize("name", SIZES)
def test_the_model_and_its_sampler_are_those_of_published_files(name):
    r, p = recipe_of(name), published(name)
    assert r.network.config == p.network.config
    assert (r.sde, r.parametrization, r.latest) == (p.sde, p.parametrization, p.latest)
    assert r.front.transform == p.transform
    assert r.sampler == p.sampler
    assert r.front.sample_rate == (48000 if name == "sgmse_plus_48k" else 16000)
    assert sum(q.numel() for q in r.network.parameters()) == SIZES[name]
    # backbones whose published frames are padded by reflection
    mirrored = ("sgmse_plus_48k", "sb_ve", "sb_ve_pesq", "edm", "edm2se")
    assert r.front.padding == ("reflect" if name in mirrored else "zero")


@pytest.mark.parametrize("name", SIZES)
def test_the_training_is_the_published_one(name):
    r = recipe_of(name)
    assert r.front.transform.frames(r.data.samples) == 256
    assert r.data.peak == (0, 0)  # normalised by the peak of the noisy audio
    assert r.times.at_one == 0
    low, high = {"bbed": (0.03, 0.999), "edm2se": (0.02, 1.0)}.get(name, (0.03, 1.0))
    assert r.times == Times(low, high)
    assert isinstance(r.data, Paired)
    c2 = 0.15**2
    perceptual = Reconstruction(complex=c2, waveform=5e-4, perceptual=5e-4)
    losses = {
        "crp": Reconstruction(),
        "sb_ve": Reconstruction(complex=c2, waveform=5e-4),
        "sb_ve_pesq": perceptual,
        "flowse": VelocityMatching(),
        "meanflow": MeanFlow(share=0.25),
        "edm": Denoising("mean", EDMWeighting(0.1)),
        "edm2se": Denoising("data", Uncertainty()),
    }
    assert r.loss == losses.get(name, ScoreMatching())
    assert r.unrolled == (Unrolled((1,), None, 1, 1.0) if name == "crp" else None)
    assert r.optimiser.lr == {"crp": 1e-5, "edm2se": 2.5e-3}.get(name, 1e-4)
    assert r.ema == (EMA(0.0, False) if name == "edm2se" else EMA(0.999))
    rate = Schedule(warmup=62500, settle=30000) if name == "edm2se" else Schedule()
    assert r.schedule == rate
    batches = dict.fromkeys(("bbed", "crp", "sb_ve", "sb_ve_pesq", "edm2se"), 16)
    assert r.trainer.batch == batches.get(name, 8)


def test_storm_has_its_predictor():
    r = recipe_of("storm")
    with torch.device("meta"):
        assert r.predictor.network.config == NCSNpp.storm(predictive=True).config
    assert sum(p.numel() for p in r.predictor.network.parameters()) == 27_342_350 - 2_364_032
    assert r.predictor.conditioning == "both"
    # as much as the loss of the score: mean |X - X0|^2
    assert r.predictor.loss == Reconstruction(complex=0.2178)
    assert pytest.approx(2 * 0.33**2) == 0.2178


def test_the_loss_of_the_bridge_is_the_published_sum():
    """|X - X0|^2 / 2 + 0.001 |x - x0| / 2, means over points and samples."""
    r = recipe_of("sb_ve")
    audio = torch.randn(2, 4000, dtype=torch.float64)
    x0 = r.front.transform.forward(audio)[:, None]
    truth = Truth(x0, torch.zeros_like(x0), audio, r.front.transform, torch.ones(2), r.sde)
    estimate = x0 + 0.01 * torch.randn_like(x0)
    heard = r.front.transform.inverse(estimate[:, 0], 4000)
    expected = (estimate - x0).abs().square().mean() / 2 + 1e-3 * (heard - audio).abs().mean() / 2
    loss = r.loss(Estimate(estimate, torch.zeros_like(x0)), truth)["loss"]
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", shipped())
def test_a_recipe_says_how_to_run_it_and_on_what(name):
    text = shipped()[name].read_text()
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert text.startswith("# ")
    start = "--from" if name == "fine_tune" else f"{name} --"
    assert any(line.startswith(f"#   sgmse train {start}") for line in comment)
    assert any("FOLDER holds" in line for line in comment)
    assert max(map(len, text.splitlines())) <= 110


SHRUNK: dict[str, dict[str, Any]] = {
    "NCSNpp": {"channels": 16, "multipliers": [1, 2], "blocks": 1, "bins": 32},
    "MagnitudePreservingUNet": {
        **{"channels": 16, "multipliers": [1, 2], "blocks": 1, "bins": 32, "head_channels": 16}
    },
    "SlimUNet": {"channels": [16, 24], "blocks": [1, 1], "dual_paths": 1, "embedding": 8},
    "CausalUNet": {"frequencies": 32, "channels": [16, 24], "paths": 1, "hidden": 16},
    "WaveNet": {"channels": 16, "layers": 10, "cycle": 5},
}


def small(name: str) -> list[str]:
    """Overrides: the recipe on three recordings of a second, for a processor."""
    values = yaml.safe_load(shipped()[name].read_text())
    networks = {"network": values["network"]}
    if "predictor" in values:
        networks["predictor.network"] = values["predictor"]["network"]
    sizes = [
        f"{key}.{setting}={value}"
        for key, network in networks.items()
        for setting, value in SHRUNK[network["class"]].items()
    ]
    if "predictor" in values:  # which the process otherwise outweighs for longer than a minute
        sizes.append("predictor.loss={class: Reconstruction, complex: 20}")
        # One that is not trained would need a model to start from, as in test_fine_tune.
        sizes += ["predictor.trained=true", "predictor.inherited=false"]
    if values.get("inherited"):
        sizes.append("inherited=false")
    transform = recipe_of(name).front.transform
    steps = 1000 if name == "score" else 250  # noise of every level, and a network without blocks
    if isinstance(transform, Spectrogram):
        power = transform.compression
        factor = power.factor * (transform.n_fft / 62) ** power.exponent  # a tone's in full frames
        sizes += [
            *("front.transform.n_fft=62", "front.transform.hop=16"),
            f"front.transform.compression.factor={factor}",
        ]
    return [
        *sizes,
        # the rate of the recordings, unless the loss follows PESQ
        f"front.sample_rate={16000 if recipe_of(name).loss.sample_rates else 8000}",
        "data={class: Paired, clean: clean, noisy: noisy, samples: 1008, peak: [0, 0]}",
        "validation=null",
        "ema={decay: 0.98}",
        "schedule={warmup: 20}",
        f"optimiser.lr={2e-3 if networks['network']['class'] == 'WaveNet' else 5e-3}",
        f"trainer={{batch: 4, steps: {steps}, clip: 1, accelerator: cpu, workers: 0, threads: 1,"
        " log_every: 10}",
    ]


def losses_of(folder: Path) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.value for event in events.Scalars("training/loss")]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*RECIPES} - PRIORS))
def test_it_learns_a_handful_by_heart(name, handful, tmp_path):
    pytest.importorskip("lightning")
    folder = train(name, data=handful, output=tmp_path / "run", overrides=small(name))
    first, *_, last = losses_of(folder)
    if recipe_of(name).loss.learned() is not None:  # about 1 + the logarithm of the weighted loss
        first, last = np.exp([first, last])
    whole = recipe_of(name).loss.two_times
    # A loss of whole steps weighs items by their size, and is near 1 for any.
    assert last < (first if whole else 0.5 * first)
    # Half-way, as a network of minutes cannot start from the end of a bridge.
    checkpoint = load(folder / "best")
    if recipe_of(name).unrolled is None:
        grid = Uniform(1 if whole else 5, start=0.5, end=0.0)
        checkpoint = replace(checkpoint, sampler=Sampler(Exponential(whole=whole), grid))
    enhancer = Enhancer.of(checkpoint)
    enhancer = replace(enhancer, force=True)  # where networks of minutes make some noise
    gains = []
    for i in range(3):
        clean, noisy = (
            soundfile.read(handful / kind / f"{i}.wav", dtype="float32")[0]
            for kind in ("clean", "noisy")
        )
        gains.append(si_sdr(clean, enhancer(noisy, 8000), 8000) - si_sdr(clean, noisy, 8000))
    print(name, first, last, np.round(gains, 2))
    assert min(gains) > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sgmse.errors.ResultWarning")
def test_the_waveform_network_is_a_vocoder_by_overrides(handful, tmp_path):
    """As the recipe and docs/training.md say, on the mels of a recording of itself."""
    pytest.importorskip("lightning")
    own = [
        "data={class: Paired, clean: clean, noisy: clean, samples: 1024, peak: [0, 0]}",
        "network.mels=16",
        "network.n_fft=128",
        "network.sample_rate=8000",
        "network.strides=[4, 8]",
        "sde={class: FlowMatching}",  # whose start holds nothing of the recording
        "times={low: 0.02, high: 1.0}",
        "parametrization={class: Velocity}",
        "loss={class: VelocityMatching}",
        "sampler={solver: {class: Exponential}, grid: {class: Uniform, steps: 20, end: 0.02}}",
    ]
    folder = train(
        "wavenet", data=handful, output=tmp_path / "run", overrides=[*small("wavenet"), *own]
    )
    first, *_, last = losses_of(folder)
    assert last < 0.7 * first
    enhancer = replace(Enhancer.of(load(folder / "best")), force=True)
    clean, rate = soundfile.read(handful / "clean" / "0.wav", dtype="float32")
    made, again = (enhancer(clean, rate, seed=1) for _ in range(2))
    assert np.array_equal(made, again)
    # The spectrum of the recording is there, the same samples are not.
    window = np.hanning(128)[:, None]

    def spectrum(x):
        frames = np.lib.stride_tricks.sliding_window_view(x, 128)[::64].T * window
        return np.abs(np.fft.rfft(frames, axis=0)).mean(axis=1)

    print(
        first, last, np.corrcoef(spectrum(clean), spectrum(made))[0, 1], si_sdr(clean, made, rate)
    )
    assert np.corrcoef(spectrum(clean), spectrum(made))[0, 1] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_interrupted_it_goes_on_as_if_it_had_not_been(name, handful, tmp_path, interrupt_at):
    pytest.importorskip("lightning")
    options = {"data": handful, "overrides": [*small(name), "trainer.steps=5"]}
    train(name, output=tmp_path / "whole", **options)
    with interrupt_at(2):
        train(name, output=tmp_path / "parts", **options)
    assert load_state(tmp_path / "parts" / "training_state.pt").step == 3
    train(name, output=tmp_path / "parts", resume=True, **options)
    whole, parts = (load_state(tmp_path / n / "training_state.pt") for n in ("whole", "parts"))
    for kind in ("network", "average", "learned"):
        one, two = getattr(whole, kind), getattr(parts, kind)
        assert all(torch.equal(one[n], value) for n, value in two.items()), kind
    # and the sampler that the checkpoint recommends runs
    made = load(tmp_path / "parts" / "best")
    if name in PRIORS:
        prior = Prior.of(made)
        assert prior.sampler == recipe_of(name).sampler
        assert prior.generate(0.05).isfinite().all()
        return
    enhancer, tone = Enhancer.of(made), np.sin(np.arange(1600.0))
    enhancer = replace(enhancer, force=True)  # what networks of five steps make is noise
    assert enhancer.sampler == recipe_of(name).sampler
    assert np.isfinite(enhancer(tone.astype(np.float32), 8000)).all()


def test_crp_starts_from_a_bbed():
    crp, first = recipe_of("crp"), recipe_of("bbed")
    crp.check_model(first.model, "it has", "leave it")
    assert "unrolled" in dump_recipe(crp)
