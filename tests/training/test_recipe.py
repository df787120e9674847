from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sgmse.checkpoints import load, locate
from sgmse.data.degradations import Clip, Room
from sgmse.errors import RecipeError
from sgmse.model import Regeneration
from sgmse.solvers import SamplerRange
from sgmse.training.belonging import model_of
from sgmse.training.classes import RECIPE_CLASSES
from sgmse.training.losses import Denoising, Reconstruction
from sgmse.training.losses.weightings import EDMWeighting, SigmaSquared, Uncertainty, Unweighted
from sgmse.training.recipe_files import dump_recipe, load_recipe, shipped
from sgmse.training.times import EvenTime, LogNormal, LossAware, Times
from sgmse.training.unrolled import Unrolled
from sgmse.transforms import Log


def test_two_recipes_are_the_default_model():
    """`default` makes the predictor, `refine` the network that corrects it."""
    first, second = load_recipe("default"), load_recipe("refine")
    shipped_model = load(locate("default"))
    assert second.model == model_of(shipped_model)
    assert first.model["network"] == second.model["predictor"]
    assert first.model["sde"] == second.model["sde"]
    assert first.front == second.front == shipped_model.front
    assert replace(second.sampler, shifts=1) == shipped_model.sampler
    assert first.licence == second.licence == shipped_model.licence
    assert first.strength == second.strength == shipped_model.strength


def test_everything_can_start_from_the_default_model():
    recipe, default = load_recipe("everything"), load_recipe("default")
    assert recipe.model == default.model
    assert recipe.sampler == default.sampler


@pytest.mark.parametrize("name", ["live", "restore", "prior"])
def test_a_recipe_is_that_of_the_model_of_its_name(name):
    recipe, shipped_model = load_recipe(name), load(locate(name))
    assert recipe.model == model_of(shipped_model)
    assert recipe.front == shipped_model.front
    assert recipe.sampler == shipped_model.sampler
    assert recipe.licence == shipped_model.licence
    assert recipe.strength == shipped_model.strength


def test_a_prior_has_nothing_to_validate():
    assert load_recipe("prior").network.observations == 0
    scored = "validation={clean: valid/clean, noisy: valid/noisy, every: 10}"
    with pytest.raises(RecipeError, match="validation: the network sees no recording"):
        load_recipe("prior", [scored])


def test_a_telephone_is_learnt_from_the_prior_and_heard_as_it_is():
    """So that one transfers to the other; the telephone is in the target itself."""
    recipe, prior = load_recipe("telephone"), load_recipe("prior")
    assert (recipe.model, recipe.sampler) == (prior.model, prior.sampler)
    rng, rate = np.random.default_rng(0), recipe.front.sample_rate
    target = rng.standard_normal(2 * rate).astype(np.float32)
    for change in recipe.data.clean_changes:
        target = change(target, rng, rate)
    power, hertz = np.abs(np.fft.rfft(target)) ** 2, np.fft.rfftfreq(len(target), 1 / rate)
    inside = power[(hertz > 400) & (hertz < 3000)].mean()
    for outside in (hertz < 100, hertz > 4100):
        assert power[outside].mean() < 1e-2 * inside


def test_what_is_lost_is_learnt_from_the_default_model():
    recipe, default = load_recipe("restore"), load_recipe("default")
    assert recipe.model == default.model
    assert recipe.sampler == default.sampler


def test_fine_tuning_has_the_loss_of_the_default_model():
    tuning, default = (
        yaml.safe_load(shipped()[name].read_text()) for name in ("fine_tune", "default")
    )
    for section in ("loss", "times"):
        assert tuning[section] == default[section]


def test_a_recipe_of_an_earlier_version_is_read(recipe_file, tmp_path):
    values, flat = yaml.safe_load(recipe_file.read_text()), tmp_path / "flat.yaml"
    values |= {**values.pop("front"), **values.pop("sampler")}
    values |= {"padding": "reflect", "frames": 4, "shifts": 2}
    flat.write_text(yaml.safe_dump(values))
    recipe, now = load_recipe(flat), load_recipe(recipe_file)
    tail = {"padding": "reflect", "multiple": 4, "tail": "published"}
    assert recipe.front == replace(now.front, **tail)
    assert recipe.sampler == replace(now.sampler, shifts=2)
    assert load_recipe(flat, ["sampler.grid.steps=4"]).sampler.grid.steps == 4
    with pytest.raises(RecipeError, match=r"grid is sampler\.grid now; write it so"):
        load_recipe(flat, ["grid.steps=4"])
    flat.write_text(recipe_file.read_text() + "sample_rate: 16000\n")
    with pytest.raises(RecipeError, match=r"flat\.yaml: sample_rate is front\.sample_rate now"):
        load_recipe(flat)


PREDICTOR = "{network: {class: SlimUNet, channels: [4, 8], blocks: [1, 1]}, conditioning: post}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["predictor.conditioning=both"], "'both' needs a network of 2 observations, not 1"),
        (["predictor.conditioning=late"], "predictor.conditioning must be 'noisy' or 'post'"),
        (
            ["predictor.loss={class: ScoreMatching}"],
            "predictor.loss.class: unknown 'ScoreMatching'",
        ),
        (
            ["predictor.loss={class: Reconstruction, weighting: {class: EDMWeighting}}"],
            "predictor: a result has no time to be weighted by; leave out EDMWeighting",
        ),
        (
            ["predictor.loss={class: Reconstruction, perceptual: 1}"],
            "predictor.loss: its perceptual part .* set predictor.loss.perceptual=0",
        ),
        (
            [f"predictor.network={{class: NCSNpp, multipliers: {[1] * 8}}}"],
            "front.transform.n_fft: 126 .* multiple of 128; 254 would do",
        ),
    ],
)
def test_what_is_wrong_with_a_predictor_is_named(recipe_file, overrides, message):
    load_recipe(recipe_file, [f"predictor={PREDICTOR}"])
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_file, [f"predictor={PREDICTOR}", *overrides])


def test_a_predictor_is_a_part_of_the_model(recipe_file):
    without, with_one = (
        load_recipe(recipe_file),
        load_recipe(recipe_file, [f"predictor={PREDICTOR}"]),
    )
    with pytest.raises(RecipeError, match=r"it has predictor None, the recipe has .*Slim"):
        with_one.check_model(without.model, "it has", "leave it")
    with pytest.raises(RecipeError, match="the recipe has None"):
        without.check_model(with_one.model, "it has", "leave it")
    old = {name: part for name, part in without.model.items() if name != "predictor"}
    without.check_model(old, "it has", "leave it")
    assert isinstance(with_one.build_model(), Regeneration)
    # the network of the process has the same first weights with a predictor as without
    ours, theirs = (r.build_model().network.parameters() for r in (with_one, without))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped().keys() - {"fine_tune", "upper_band"}))
def test_a_recipe_that_was_written_reads_the_same(name, tmp_path):
    recipe = load_recipe(name)
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert dump_recipe(load_recipe(path)) == dump_recipe(recipe)
    assert yaml.safe_load(path.read_text())["sde"]["class"] == type(recipe.sde).__name__


def test_overrides_set_nested_values_and_sections(recipe_file):
    recipe = load_recipe(
        recipe_file,
        [
            "trainer.steps=5",
            "optimiser.lr=3e-4",
            "data.room={rt60: [0.2, 0.3]}",
            "data.degradations=[{class: Clip, probability: 1}]",
            "front.transform.compression={class: Log, factor: 2}",
            "validation=null",
        ],
    )
    assert recipe.trainer.steps == 5
    assert recipe.optimiser.lr == 3e-4
    assert recipe.data.room == Room(rt60=(0.2, 0.3))
    assert recipe.data.degradations == (Clip(1.0),)
    assert recipe.front.transform.compression == Log(2.0)
    assert recipe.validation is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("colour=1", "Recipe does not take 'colour'; it takes data, network"),
        ("trainer.step=1", r"trainer \(Trainer\) does not take 'step' \(did you mean 'steps'"),
        ("sde.kk=3", r"sde \(SBVE\) does not take 'kk' .*; it takes k, c"),
        ("sde.class=OVE", "sde.class: unknown 'OVE' .*'OUVE'.* BBED, BrownianBridge, "),
        ("sde={class: Data}", "sde.class: unknown 'Data'"),
        ("sde=SBVE", "sde: write {class: NAME"),
        ("sde.k=1", "sde: SBVE: k must not be 1"),
        ("loss.complex=much", "loss.complex must be a number, not 'much'"),
        ("trainer.batch=1.5", "trainer.batch must be a whole number, not 1.5"),
        ("trainer.batch=true", "trainer.batch must be a whole number"),
        ("trainer.clip=.inf", "trainer.clip must be a finite number"),
        ("trainer.precision=fp16", "trainer.precision must be 'fp32' or 'bf16'"),
        ("trainer.channels_last=1", "trainer.channels_last must be true or false"),
        ("trainer.steps=0", "trainer: steps must be at least 1"),
        ("trainer.steps=null", "trainer: say when to end"),
        ("data.snr=[1]", "data.snr must be a list of 2"),
        ("data.snr=[5, 1]", "data: MixedSpeech: snr must be two rising numbers"),
        ("data.clean=3", "data.clean must be a path"),
        ("data.degradations=[{class: Clip}, {class: Cli}]", r"data.degradations\[1\].class"),
        ("data={class: Paired, clean: a, samples: 2016}", r"data \(Paired\) lacks 'noisy'"),
        ("loss.perceptual=1", "loss: its perceptual part is defined at 16000 Hz, not at 8000"),
        ("network.channels=[4, x]", r"network.channels\[1\] must be a whole number"),
        ("network.channels=[4]", "network: channels .* must name the same levels"),
        ("parametrization={class: Noise}", "use a parametrization that estimates the data"),
        ("parametrization={class: Velocity}", "is infinite at t = 1 .*estimates the data"),
        ("parametrization={class: EDM, sigma_data: 0}", "EDM: sigma_data must be positive"),
        ("parametrization={class: Score, scaling: 1}", "scaling must be '1' or '1/sigma' or"),
        ("loss={class: Denoising, of: mean_}", "loss.of must be 'data' or 'mean', not 'mean_'"),
        ("loss={class: ScoreMatching, weighting: EDM}", "one of EDMWeighting, SigmaSquared, Unc"),
        ("loss.weighting={class: SigmaSquared}", "loss: SigmaSquared.* infinite at t = 1 of SBVE"),
        ("sampler.solver={class: PredictorCorrector}", "sampler.grid.start: .*start=0.999"),
        ("latest=0.9", r"sampler.grid.start: .* \(latest\), not 1; set sampler.grid.start=0.9"),
        ("latest=0", "latest must lie between 0 and 1"),
        ("loss={class: VelocityMatching}", "loss: VelocityMatching: .* infinite at t = 1"),
        ("unrolled={steps: [0]}", "unrolled: steps must be different numbers of at least 1"),
        ("unrolled={step: [1]}", r"does not take 'step' \(did you mean 'steps'"),
        ("schedule.settle=0", "settle must be at least 1"),
        ("front.transform.n_fft=128", "front.transform.n_fft: 128 .* multiple of 2; 126 would do"),
        ("data.samples=2048", "data.samples: 2048 give 65 frames, .* of 2; 2080 would do"),
        ("validation.best=estoi", "validation: best is estoi, which scores .* lack"),
        ("validation.scores=[si_sdr, pesq_wb]", "pesq_wb is not defined at 8000 Hz"),
        ("validation.scores=[mos]", "validation: no measure is called 'mos'"),
        ("trainer.steps", "write key.sub=value"),
        ("front.sample_rate.x=1", "front.sample_rate is no section"),
        ("sde={k: 2, k: 3}", "'k' is set twice"),
        ("sde=[", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(recipe_file, override, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(recipe_file, [override])
    assert "\n" not in str(caught.value)


def test_a_change_that_is_wrong_is_named_and_no_other(recipe_file):
    changes = ["trainer.clip=2", "data.batch=2", "trainer.batch=x"]
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, changes)
    first, second = caught.value.parts
    assert first.startswith(f"{recipe_file}, changed by data.batch=2, trainer.batch=x: data (")
    assert second.endswith(": trainer.batch must be a whole number, not 'x'")


BRIDGE = (
    "sde={class: BBED}",
    "parametrization={class: Score, sign: -1}",
    "loss={class: ScoreMatching}",
    "latest=0.9",
    "times={high: 0.9}",
    "sampler.grid={class: Uniform, start: 0.9}",
)


def test_a_score_of_a_bridge_is_asked_before_its_end(recipe_file):
    recipe = load_recipe(recipe_file, BRIDGE)
    assert recipe.latest == recipe.build_model().latest == 0.9
    for changed, message in (
        ("latest=1.0", r"a\(1\) = 0; .* latest=0.999, times.high and sampler.grid.start alike"),
        (
            "times.high=0.95",
            r"times.high: .* up to t = 0.9 \(latest\), not 0.95; set times.high=0.9",
        ),
        (
            "times.at_one=0.5",
            r"times.at_one: .* up to t = 0.9 \(latest\), not 1; set times.at_one=0",
        ),
    ):
        with pytest.raises(RecipeError, match=message):
            load_recipe(recipe_file, [*BRIDGE, changed])
    # where all updates are unrolled, times are not asked
    result = "loss={class: Reconstruction}"
    load_recipe(recipe_file, [*BRIDGE, result, "times={}", "unrolled={}"])
    with pytest.raises(RecipeError, match=r"times.high: .* set times.high=0.9"):
        load_recipe(recipe_file, [*BRIDGE, result, "times={}", "unrolled={share: 0.5}"])


def test_the_latest_time_is_a_part_of_the_model(recipe_file):
    recipe = load_recipe(recipe_file, BRIDGE)
    with pytest.raises(RecipeError, match=r"it has latest 0\.99, the recipe has 0\.9; leave it"):
        recipe.check_model(recipe.model | {"latest": 0.99}, "it has", "leave it")
    before = {name: part for name, part in recipe.model.items() if name != "latest"}
    with pytest.raises(RecipeError, match=r"it has latest 1\.0, the recipe has 0\.9"):
        recipe.check_model(before, "it has", "leave it")
    whole = load_recipe(recipe_file)
    whole.check_model({n: p for n, p in whole.model.items() if n != "latest"}, "it", "leave it")


def test_results_of_the_sampler_are_trained_by_losses_that_judge_them(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, ["unrolled={steps: [1, 4], weights: [1, 2.5], share: 0.5}"])
    assert recipe.unrolled == Unrolled((1, 4), (1.0, 2.5), 1, 0.5)
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path).unrolled == recipe.unrolled
    every = load_recipe(recipe_file, ["unrolled={gradient_steps: null}"])
    assert every.unrolled == Unrolled((1,), None, None)
    points = "sampler.grid={class: Fitted, steps: 1, end: 0.5, points: [1.0, 0.0]}"
    for overrides, message in (
        (["loss={class: Denoising}"], "loss: unrolled .* use Reconstruction"),
        (["loss.weighting={class: EDMWeighting}"], "leave out EDMWeighting"),
        ([points, "unrolled.steps=[1, 2]"], r"unrolled.steps: a grid fitted .* fit again"),
    ):
        with pytest.raises(RecipeError, match=message):
            load_recipe(recipe_file, ["unrolled={steps: [1]}", *overrides])


def test_losses_name_their_weightings(recipe_file, tmp_path):
    nested = "weighting: {class: Uncertainty, of: {class: EDMWeighting, sigma_data: 0.3}, terms: 8}"
    recipe = load_recipe(recipe_file, [f"loss={{class: Denoising, {nested}}}"])
    assert recipe.loss == Denoising(weighting=Uncertainty(EDMWeighting(0.3), 8))
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path).loss == recipe.loss
    recipe = load_recipe(recipe_file, ["loss.weighting={class: EDMWeighting}"])
    assert recipe.loss == Reconstruction(10, 10, si_sdr=1, weighting=EDMWeighting(0.1))


def test_recipes_without_a_weighting_mean_what_they_did(recipe_file):
    assert load_recipe(recipe_file).loss.weighting == Unweighted()
    assert load_recipe("sgmse_plus_16k").loss.weighting == SigmaSquared()


def test_weightings_are_finite_at_the_times_of_training(recipe_file):
    # the error of x0 at a level that grows beyond all bounds towards t = 1
    load_recipe(recipe_file, ["loss.weighting={class: SigmaSquared}", "times.at_one=0"])


def test_suggested_sizes_do(recipe_file):
    load_recipe(recipe_file, ["data.samples=2080"])
    load_recipe(recipe_file, ["front.transform.n_fft=126"])


def test_numbers_may_be_written_as_everyone_does(tmp_path, recipe_file):
    text = recipe_file.read_text()
    recipe_file.write_text(text.replace("lr: 1e-3", "lr: 2E-5"))
    assert load_recipe(recipe_file).optimiser.lr == 2e-5


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "just text"])
def test_a_file_that_is_no_recipe(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="it has no keys"):
        load_recipe(path)


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"no recipe nothing; .* default, .*, sgmse_plus_16k"):
        load_recipe("nothing")


def test_a_recipe_costs_no_weights_and_builds_them_from_its_seed(recipe_file):
    recipe = load_recipe(recipe_file)
    assert all(p.is_meta for p in recipe.network.parameters())
    before = torch.get_rng_state()
    one, two = (list(recipe.build_model().parameters()) for _ in range(2))
    other = list(load_recipe(recipe_file, ["trainer.seed=1"]).build_model().parameters())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_weights_of_another_model_are_refused_with_what_differs(recipe_file):
    recipe = load_recipe(recipe_file)
    recipe.check_model(recipe.model, "it has", "leave it")
    for name, value in recipe.model.items():
        other = {**recipe.model, name: 16000}
        with pytest.raises(RecipeError) as caught:
            recipe.check_model(other, "it has", "leave it")
        assert str(caught.value) == f"it has {name} 16000, the recipe has {value}; leave it"


@pytest.mark.slow
def test_weights_from_before_a_setting_was_added_are_still_those_of_the_model():
    recipe = load_recipe("sgmse_plus_16k")
    model = recipe.model
    assert model["parametrization"].pop("scaling") == "1"
    recipe.check_model(model, "it has", "leave it")
    for added in ("observations", "predictive", "centred"):
        del model["network"][added]
    recipe.check_model(model, "it has", "leave it")
    for odd in ({"class": "Score", "colour": 1}, {"class": "Scor"}, {"sign": -1}, None, [1]):
        with pytest.raises(RecipeError, match="it has parametrization"):
            recipe.check_model(model | {"parametrization": odd}, "it has", "leave it")


def test_folders_can_be_made_absolute(recipe_file):
    recipe = load_recipe(recipe_file, ["trainer.cache=decoded"]).below(Path("/place"))
    assert recipe.data.noise == Path("/place/noise")
    assert recipe.validation.noisy == Path("/place/valid/noisy")
    assert recipe.trainer.cache == Path("/place/decoded")
    assert load_recipe(recipe_file, ["validation=null"]).below(Path("/x")).validation is None


def test_classes_of_training_do_not_hide_those_of_checkpoints():
    from sgmse.checkpoints import CLASSES

    assert all(RECIPE_CLASSES[name] is kind for name, kind in CLASSES.items())


def test_times_name_their_laws(recipe_file, tmp_path):
    section = (
        "times={low: 0.02, high: 0.99, at_one: 0.5, law: {class: LogNormal, mean: -2, std: 1.5}, "
        "stratified: true, weighting: {class: EvenTime}, loss_aware: {bins: 4, history: 2}}"
    )
    recipe = load_recipe(recipe_file, [section, "trainer.steps=100"])
    assert recipe.times == Times(
        0.02, 0.99, 0.5, LogNormal(-2, 1.5), True, EvenTime(), LossAware(4, 2)
    )
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path).times == recipe.times
    assert load_recipe(recipe_file).times == Times(0.02, 0.99, 0.5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["times.law={class: LogNormel}"], "did you mean 'LogNormal'"),
        (["times.law={class: LogNormal, mean: 40}"], "times.law: .* set mean between them"),
        (["times.weighting={class: Likelihood}"], r"times.weighting: .* set loss=\{class: Score"),
        (["times.stratified=true", "trainer.batch=1", "trainer.devices=1"], "of one has no strata"),
        (["times.loss_aware={}"], "times.loss_aware: the training has 8 losses, .* first 320"),
        (["times.stratified=true", "unrolled={}"], "times.stratified: all updates are unrolled"),
        (["times.at_one=1", "times.stratified=true"], "at_one is 1"),
    ],
)
def test_times_that_have_no_effect_are_refused(recipe_file, overrides, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(recipe_file, overrides)
    assert "\n" not in str(caught.value)


#: In place of the network of the tiny recipe one of two times, sampled in whole steps.
WHOLE = [
    "network={class: NCSNpp, channels: 4, multipliers: [1, 2], blocks: 1, bins: 64, end: length}",
    "sde={class: StraightFlow}",
    "parametrization={class: Velocity}",
    "sampler.solver={class: Exponential, whole: true}",
]


@pytest.mark.parametrize("loss", ["MeanFlow", "Composition"])
def test_losses_of_whole_steps_need_a_network_of_two_times(recipe_file, loss):
    given = [*WHOLE, f"loss={{class: {loss}}}"]
    recipe = load_recipe(recipe_file, given)
    assert recipe.sampler.solver.whole
    assert recipe.covered == (SamplerRange(earliest=0.02, latest=1.0),)
    bridge = ["sde={class: SBVE}", "parametrization={class: Data}"]
    predictor = PREDICTOR.replace("8], ", "8], embedding: 8, ")
    for overrides, message in [
        (["network.end=null"], f"loss: {loss} trains estimates of whole steps, and the network "),
        (["network.end=null"], 'set network.end="length" of NCSNpp, or use another loss'),
        ([f"predictor={predictor}"], f"predictor: {loss} trains no refiner; leave it out"),
        (["adversarial={}"], f"adversarial: it judges no whole steps of {loss}; leave it out"),
        (["unrolled={}"], f"{loss} compares whole steps from a time; use Reconstruction"),
        (bridge, f"{loss}: the velocity of SBVE.* is infinite at t = 1; train and start at"),
    ]:
        with pytest.raises(RecipeError, match=message):
            load_recipe(recipe_file, [*given, *overrides])


def test_samplers_of_whole_steps_need_a_network_that_has_learned_them(recipe_file):
    with pytest.raises(
        RecipeError, match=r"sampler\.solver: it asks for whole steps, and the netw"
    ):
        load_recipe(recipe_file, WHOLE[-1:])
    with pytest.raises(
        RecipeError, match=r"the loss trains none; set solver\.whole=false, or loss="
    ):
        load_recipe(recipe_file, WHOLE)
    # of results of the sampler, whole steps are trained by any loss
    assert load_recipe(recipe_file, [*WHOLE, "unrolled={}"]).sampler.solver.whole
