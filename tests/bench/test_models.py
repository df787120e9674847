from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tiny
from recordings import RATE

from sgmse.audio import Info, read
from sgmse.bench.models import Model, pieces
from sgmse.checkpoints import Quality, save
from sgmse.enhancer import Enhancer
from sgmse.estimates import Data
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, SamplerRange, Uniform


@pytest.fixture(autouse=True)
def folder(stereo: Path) -> Path:
    """The working folder, with a recording of two channels and a model."""
    save(tiny.checkpoint(), "model")
    return stereo


def test_a_model_is_its_enhancer():
    system = Model("model")
    system.require()
    assert not system.seeded
    work = system.load()(Path("noisy.flac"), Path("out.wav"), 0)
    expected = Enhancer.of(tiny.checkpoint())(read("noisy.flac")[0], RATE)
    np.testing.assert_allclose(read("out.wav")[0], expected, atol=1e-5)
    assert work.evaluations == 1
    assert work.seconds > 0


@pytest.mark.parametrize(
    ("system", "evaluations"),
    [
        (Model("model", steps=3), 3),
        (Model("model", grid=Uniform(4, end=0.0)), 4),
        (Model("model", solver=Exponential(eta=1.0), steps=2), 2),
    ],
)
def test_samplers(system, evaluations):
    assert system.load()(Path("noisy.flac"), Path("out.wav"), 0).evaluations == evaluations


def assert_kept(some: Model, none: Model) -> None:
    """A system keeps a quarter of the recording, as its conditions say."""
    for system, name in ((some, "some.wav"), (none, "none.wav")):
        system.load()(Path("noisy.flac"), Path(name), 0)
    noisy, own, clean = (read(name)[0] for name in ("noisy.flac", "some.wav", "none.wav"))
    np.testing.assert_allclose(own, 0.75 * clean + 0.25 * noisy, atol=1e-6)
    assert "0.25 of the recording" in some.conditions()["sampler"]
    assert "0.25 of the recording" in some.about(some.conditions()).what
    assert "of the recording" not in none.conditions()["sampler"]


def test_a_quality_is_what_its_model_says():
    tiny_model = tiny.checkpoint()
    offered = {
        "fast": Quality(replace(tiny_model.sampler, shifts=3)),
        "best": Quality(model="live"),
    }
    save(replace(tiny_model, qualities=offered), "offering")
    plain, fast, best = (Model("offering", quality=q) for q in (None, "fast", "best"))
    assert fast.load()(Path("noisy.flac"), Path("out.wav"), 0).evaluations == 3
    digests = [system.conditions()["weights"] for system in (Model("model"), plain, fast, best)]
    assert digests[0] == digests[1] == digests[2]  # what is offered changes no sound
    assert digests[3] == Model("live").conditions()["weights"]
    said = best.about(best.conditions())
    assert (said.what.split(":")[0], said.licence) == ("live", "cc-by-sa-4.0")
    assert len({system.conditions()["sampler"] for system in (plain, fast, best)}) == 3
    assert_kept(replace(plain, dry=0.25), plain)
    with pytest.raises(ValueError, match="has no quality 'balanced'"):
        Model("offering", quality="balanced").require()


def test_the_predictor_is_evaluated_too():
    first = tiny.network()
    second = SlimUNet(**first.config | {"observations": 2})
    model = Regeneration(first, ScoreModel(second, SBVE(), Data()))
    save(replace(tiny.checkpoint(), model=model, samplers=(SamplerRange(steps=(0, 1, 2)),)), "both")
    for steps in (0, 2):
        usage = Model("both", steps=steps).load()(Path("noisy.flac"), Path("out.wav"), 0)
        assert usage.evaluations == steps + 1


@pytest.mark.parametrize(("channels", "sample_rate"), [(1, 16000), (5, 16000), (2, 44100)])
def test_evaluations_are_those_of_a_piece(channels, sample_rate):
    network, calls = tiny.Pointwise(), []
    enhancer = replace(tiny.enhancer(network), segment=0.2, overlap=0.05)
    network.register_forward_hook(lambda *_: calls.append(1))
    samples = 7 * sample_rate // 10
    enhancer(np.ones((channels, samples), np.float32), sample_rate)
    assert len(calls) > 3
    assert pieces(enhancer, Info(sample_rate, channels, samples)) == len(calls)


def test_what_draws_noise_has_seeds():
    system = Model("model", solver=Exponential(eta=1.0), steps=2)
    assert system.seeded
    enhance, made = system.load(), []
    for seed in (0, 0, 1):
        enhance(Path("noisy.flac"), Path("out.wav"), seed)
        made.append(read("out.wav")[0])
        np.testing.assert_allclose(
            made[-1], system.enhancer()(read("noisy.flac")[0], RATE, seed=seed), atol=1e-5
        )
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.allclose(made[0], made[2])


def test_conditions_tell_weights_and_samplers_apart():
    first = Model("model").conditions()
    assert first == Model("model", steps=1).conditions()  # as recommended
    assert first != Model("model", steps=2).conditions()
    checkpoint = tiny.checkpoint()
    with_other = checkpoint.model.parts["network"]
    with_other.head.bias.data[1] += 1
    save(checkpoint, "model")
    assert first != Model("model").conditions()


def test_what_the_sound_depends_on_is_in_the_conditions():
    """They are in the fingerprints of journals: what was made in another way is made again."""
    assert Model("model", device="cpu").conditions()["sampler"] == (
        "Exponential(eta=0.0, start=0.0, whole=False, unknown=None) "
        "on Uniform(steps=1, start=1.0, end=0.0, finish=True), "
        "10.0 s, 1.0 s, zero, 1, cover, kept, 1, cpu"
    )


def test_what_is_told_of_a_model():
    save(replace(tiny.checkpoint(), licence="CC0"), "model")
    model = Model(str(Path("model").absolute()), steps=3)
    about = model.about(conditions := model.conditions())
    assert about.what == (
        "model: Exponential(eta=0.0, start=0.0, whole=False, unknown=None) "
        "on Uniform(steps=3, start=1.0, end=0.0, finish=True)"
    )
    weights = conditions["weights"][:8]
    assert about.version == f"sgmse-toolkit {version('sgmse-toolkit')}, weights {weights}"
    assert about.licence == "CC0"


def test_models_are_found():
    assert Model("model").rooted(Path("a")).model == str(Path("a/model"))
    assert Model("default").rooted(Path("a")).model == "default"
    assert Model("hf://a/b").rooted(Path("a")).model == "hf://a/b"
    with pytest.raises(ValueError, match="no model 'absent'"):
        Model("absent").require()
    with pytest.raises(ValueError, match="not both"):
        Model("model", steps=2, grid=Uniform(2))
