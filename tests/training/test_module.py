import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from lightning.pytorch import Trainer

from sgmse.checkpoints import load, save
from sgmse.errors import RecipeError
from sgmse.estimates import Estimate
from sgmse.training.losses import Truth
from sgmse.training.module import Training
from sgmse.training.recipe import Recipe
from sgmse.training.recipe_files import load_recipe
from sgmse.training.state import Position, fill


@pytest.fixture
def training(recipe_file, corpus, tmp_path):
    def make(*overrides: str) -> Training:
        recipe = load_recipe(recipe_file, overrides)
        cache, rate = tmp_path / "cache", recipe.front.sample_rate
        pairs = recipe.data.open(corpus, cache, rate, recipe.trainer.seed)
        return Training(recipe, pairs)

    return make


def fit(module: Training) -> Training:
    Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module)
    return module


def generator_of(step: int) -> torch.Generator:
    seed = np.random.SeedSequence([0, step, 0, 2]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def drawn(module: Training, step: int = 0) -> tuple[Truth, torch.Tensor, torch.Generator]:
    """The truth of a step with two pairs, the noisy spectrograms, and the generator after it."""
    recipe, generator = module.recipe, generator_of(step)
    pairs = [module.pairs[step * 2 + j] for j in range(2)]
    clean, noisy = (torch.stack(side) for side in zip(*pairs, strict=True))
    x0, y = (recipe.front.transform.forward(audio)[:, None] for audio in (clean, noisy))
    t = recipe.times.draw(2, generator, recipe.sde)
    z = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
    return Truth(x0, z, clean, recipe.front.transform, t, recipe.sde), y, generator


def by_hand(recipe: Recipe, module: Training) -> tuple[torch.nn.Module, torch.nn.Module]:
    """(network, average) after the steps of a recipe, from its formulas."""
    network, average = recipe.build_model().network, recipe.build_model().network
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.optimiser.weight_decay)
    steps = recipe.trainer.steps
    for step in range(steps):
        truth, y, _ = drawn(module, step)
        a, b, sigma = (s[:, None, None, None] for s in recipe.sde.scales(truth.t))
        x = network(a * truth.x0 + b * y + sigma * truth.z, y, truth.t)
        loss = recipe.loss(Estimate(x, truth.z), truth)["loss"]
        optimiser.zero_grad()
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
        for p in network.parameters():
            p.grad *= min(1.0, recipe.trainer.clip / float(gradients.norm()))
        optimiser.param_groups[0]["lr"] = 1e-3 * recipe.schedule.factor(step, step / steps)
        optimiser.step()
        d = 0.0 if step == 0 else min(0.999, (2 + step) / (11 + step))
        for p, q in zip(average.parameters(), network.parameters(), strict=True):
            p.data = d * p.data + (1 - d) * q.data
    return network, average


def test_steps_are_their_formulas(training):
    module = fit(training("trainer.steps=4", "trainer.clip=0.5"))
    network, average = by_hand(module.recipe, module)
    # float32, and sums in another order where a memory format differs; Adam divides small gradients
    # by their own size
    close = {"rtol": 1e-3, "atol": 2e-5}
    for name, value in network.state_dict().items():
        torch.testing.assert_close(module.model.network.state_dict()[name], value, **close)
    for name, value in average.state_dict().items():
        torch.testing.assert_close(module.averaged.network.state_dict()[name], value, **close)
    started = module.recipe.build_model().network.state_dict()
    moved = [float((network.state_dict()[n] - v).abs().max()) for n, v in started.items()]
    assert max(moved) > 1e-3  # so that the comparison says something


def test_bf16_is_near_fp32_and_not_the_same(training):
    one, two = (
        fit(training("trainer.steps=3", f"trainer.precision={p}")) for p in ("fp32", "bf16")
    )
    # at first the network returns y whatever the precision
    loss, rough = (float(m.curves[-1]["loss"]) for m in (one, two))
    assert loss != rough
    assert loss == pytest.approx(rough, rel=0.05)  # 8 bits, through a few layers
    assert all(p.dtype == torch.float32 for p in two.model.parameters())


def test_progress_is_by_steps_or_by_the_clock(training):
    module = training("trainer.steps=8")
    module.position = Position(step=2)
    assert module.progress == 0.25
    module = training("trainer.steps=8", "trainer.hours=1")
    module.trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    module.position = Position(step=2, spent=1800)
    assert module.progress == pytest.approx(0.5, abs=1e-3)
    module.position = Position(step=6, spent=1800)
    assert module.progress == 0.75


def test_the_average_is_what_enhances(training):
    module = training()
    with torch.no_grad():
        for p in module.model.network.parameters():
            p.zero_()
    noisy = module.pairs[0][1].numpy()
    # An untrained network returns what it is given, one of zeros silence.
    np.testing.assert_allclose(module.enhancer()(noisy, 8000), noisy, atol=1e-4)
    assert not module.enhancer().model.training


def test_weights_of_another_network_are_refused(training):
    with pytest.raises(RecipeError, match="do not fit the recipe's network"):
        fill(training().model.trained, {"no": torch.zeros(1)})


@pytest.mark.parametrize("loss", ["MeanFlow", "Composition"])
def test_a_loss_says_what_it_asks_the_model(training, loss):
    """Of whole steps, also where each item has a weight of its own, which here is 1."""
    network = "{class: NCSNpp, channels: 4, multipliers: [1, 2], blocks: 1, bins: 64, end: length}"
    ways = [
        f"network={network}",
        "sde={class: StraightFlow}",
        "parametrization={class: Velocity}",
        f"loss={{class: {loss}, share: 0.5}}",
        "sampler.solver={class: Exponential, whole: true}",
        "times={low: 0.02, high: 1}",
        "trainer.steps=2",
    ]
    plain, weighed = training(*ways), training(*ways, "times.weighting={class: EvenTime}")
    for module in (plain, weighed):
        fit(module)
        assert set(module.curves[0]) == {"loss", "velocity", "gradient", "lr"}
    for one, other in zip(plain.curves, weighed.curves, strict=True):
        torch.testing.assert_close(one["velocity"], other["velocity"])
        torch.testing.assert_close(one["loss"], other["loss"])
    recipe, (truth, y, generator) = plain.recipe, drawn(plain)
    model = recipe.build_model()
    terms = recipe.loss(*recipe.loss.ask(model, y, truth, generator))
    torch.testing.assert_close(plain.curves[0]["loss"], terms["loss"].detach())
    assert plain.enhancer().sampler.solver.whole


UNCERTAIN = "loss={class: Denoising, weighting: {class: Uncertainty, of: {class: EDMWeighting}}}"


def test_what_the_loss_learns_is_trained_beside_the_network(training):
    module = training("trainer.steps=3", "optimiser.weight_decay=0.5", UNCERTAIN)
    assert not module.learned.weights.any()
    network = len(module.weights)
    groups = module.optimiser.param_groups
    assert [len(group["params"]) for group in groups] == [network, 1]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    fit(module)
    assert module.learned.weights.all()
    assert all(group["lr"] == groups[0]["lr"] for group in groups)
    assert all(name.startswith("network.") for name in module.averaged.state_dict())
    assert set(module.state().learned) == {"weights"}


def test_the_first_step_of_u_is_its_formula(training):
    """Adam's first step is lr in the direction of the gradient, and u = 0 before it."""
    module = training("trainer.steps=1", "schedule.warmup=0", "schedule.decay=0", UNCERTAIN)
    recipe, (truth, y, _) = module.recipe, drawn(module)
    x0, t = truth.x0, truth.t
    with torch.no_grad():
        estimate = module.model(recipe.sde.sample(x0, y, t, truth.z), y, t)
    weights = 1 / 0.1**2 + (2 * recipe.sde.log_snr(t)).exp()
    losses = weights * (estimate.x0 - x0).abs().square().flatten(1).mean(1)
    k = torch.arange(16)
    gradient = ((1 - losses)[:, None] * (torch.pi * t[:, None] * k).cos()).mean(0)
    fit(module)
    torch.testing.assert_close(
        module.learned.weights.detach(), -1e-3 * gradient.sign(), rtol=1e-3, atol=0
    )


def test_a_training_whose_loss_learned_something_else_is_not_resumed(training):
    plain, uncertain = training(), training(UNCERTAIN)
    for module, state in ((plain, uncertain.state()), (uncertain, plain.state())):
        with pytest.raises(RecipeError, match="learns something else than the one the run was"):
            module.restore(state)
    other = training(UNCERTAIN.replace("of:", "terms: 3, of:"))
    with pytest.raises(RecipeError, match="learns something else"):
        other.restore(uncertain.state())


def test_a_training_that_kept_other_averages_is_not_resumed(training):
    plain, averaged = training(), training("averages={lengths: [0.1]}")
    assert plain.state().averages == {}
    for module, state in ((plain, averaged.state()), (averaged, plain.state())):
        with pytest.raises(RecipeError, match=r"averages\.lengths: the run was started with"):
            module.restore(state)
    averaged.restore(averaged.state())


def weights_after(module: Training) -> dict[str, torch.Tensor]:
    return dict(fit(module).model.trained.state_dict())


def test_one_unrolled_step_from_the_end_is_training_at_the_end(training):
    sampler = [
        "sampler.solver={class: Exponential, start: 0}",
        "sampler.grid={class: Uniform, steps: 1, end: 0}",
    ]
    sampler.append("trainer.steps=3")
    one = weights_after(training(*sampler, "unrolled={steps: [1]}"))
    two = weights_after(training(*sampler, "times.at_one=1"))
    assert all(torch.equal(one[name], value) for name, value in two.items())


UNROLLED = (
    "sampler.solver={class: Exponential, eta: 1}",
    "sampler.grid={class: Uniform, steps: 4, end: 0.1}",
    "trainer.steps=1",
    "trainer.clip=null",
)


@pytest.mark.parametrize("gradient_steps", [1, 2, None])
def test_an_unrolled_update_is_its_formula(training, gradient_steps):
    """Three steps of the SDE written out, with the draws of the step after those of t and z."""
    own = f"{{steps: [3], gradient_steps: {gradient_steps or 'null'}}}"
    module = training(*UNROLLED, f"unrolled={own}")
    recipe, (truth, y, generator) = module.recipe, drawn(module)
    network = awake(module, 1e-2).network
    x, times = y, [1.0, 0.55, 0.1, 0.0]
    for i, (t, s) in enumerate(pairwise(times)):
        if gradient_steps is not None and i == 3 - gradient_steps:
            x = x.detach()
        estimate = network(x, y, torch.full((2,), t))
        a_t, b_t, sigma_t = (float(v) for v in recipe.sde.scales(torch.tensor([t])))
        a, b, sigma = (float(v) for v in recipe.sde.scales(torch.tensor([s])))
        noise = (x - a_t * estimate - b_t * y) / sigma_t if sigma_t else torch.zeros_like(x)
        shrink = a_t * sigma / (a * sigma_t) if sigma_t else 0.0
        tau = sigma * (1 - shrink**2) ** 0.5
        z = torch.randn(y.shape, dtype=y.dtype, generator=generator)
        x = a * estimate + b * y + (sigma**2 - tau**2) ** 0.5 * noise + tau * z
    loss = recipe.loss(Estimate(x, z), truth._replace(t=torch.ones(2)))["loss"]
    loss.backward()
    fit(module)
    for name in ("loss", "loss of 3 steps"):
        torch.testing.assert_close(module.curves[0][name], loss.detach(), rtol=1e-4, atol=0)
    assert_same_gradients(module.model.network, network)


@pytest.mark.slow
def test_updates_of_several_kinds_take_turns(training):
    module = fit(training(*UNROLLED, "trainer.steps=12", "unrolled={steps: [1, 2], share: 0.7}"))
    kinds = [tuple(n for n in curve if n.startswith("loss of")) for curve in module.curves]
    drawn = [module.recipe.unrolled.draw([0, step, 3]) for step in range(12)]
    assert kinds == [() if n is None else (f"loss of {n} steps",) for n in drawn]
    assert set(drawn) == {None, 1, 2}
    assert "steps=(1, 2)" in module.checkpoint({}).training["unrolled"]


def test_a_predictor_is_trained_through_the_unrolled_process(training):
    own = "predictor.loss={class: Reconstruction, complex: 1e-9}"
    result = "loss={class: Reconstruction}"
    module = training(
        *STORM, own, result, "trainer.steps=1", "unrolled={steps: [2]}", "sampler.grid.end=0.1"
    )
    awake(module)
    fit(module)
    gradients = [p.grad for p in module.model.predictor.parameters() if p.requires_grad]
    assert max(float(g.abs().max()) for g in gradients) > 1e-3


ADVERSARIAL = (
    "adversarial={weight: 0.5, features: 2, rise: 0, "
    "discriminators: {windows: [64, 128], channels: [4]}}"
)


def test_discriminators_add_to_the_loss_from_their_start_on(training):
    """Before it, all is as without them, to the bit."""
    options = ("trainer.steps=4", "trainer.clip=null", "times.at_one=1")
    plain = fit(training(*options)).curves
    module = fit(training(*options, ADVERSARIAL, "adversarial.start=2"))
    judged = module.curves
    for one, two in zip(plain[:2], judged[:2], strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert judged[2].keys() - plain[2].keys() == {"adversarial", "features", "discriminator"}
    for name in ("complex", "magnitude", "si_sdr"):
        assert torch.equal(judged[2][name], plain[2][name])
    more = 0.5 * judged[2]["adversarial"] + 2 * judged[2]["features"]
    torch.testing.assert_close(judged[2]["loss"], plain[2]["loss"] + more)
    assert not torch.equal(judged[2]["gradient"], plain[2]["gradient"])
    assert not torch.equal(judged[3]["complex"], plain[3]["complex"])
    # of the plateau in a decay of the second half, the third step after a warm-up of two
    rates = [group["lr"] for group in module.adversary.optimiser.param_groups]
    assert rates == pytest.approx([2e-4 * (1 - 0.5 * 0.9)])
    assert not any("adversary" in name or "discrim" in name for name in module.state_dict())
    assert "windows=(64, 128)" in module.checkpoint({}).training["adversarial"]
    assert "adversarial" not in training().record


@pytest.mark.slow
def test_only_results_are_judged(training):
    """Of a batch, the items at t = 1; of unrolled updates, all; of others none."""
    shares = []

    def watch(module: Training) -> Training:
        learn = module.adversary.learn

        def watched(pair, share, average):
            shares.append(share)
            return learn(pair, share, average)

        module.adversary.learn = watched
        return fit(module)

    module = watch(training("trainer.steps=8", "times.at_one=0.7", ADVERSARIAL))
    drawn = [module.recipe.times.draw(2, generator_of(step)) for step in range(8)]
    assert shares == [float((t == 1).float().mean()) for t in drawn]
    assert set(shares) == {0, 0.5, 1}
    assert ["features" in curve for curve in module.curves] == [share > 0 for share in shares]
    shares.clear()
    module = watch(
        training(*UNROLLED, "trainer.steps=8", "unrolled={steps: [2], share: 0.5}", ADVERSARIAL)
    )
    assert shares == ["loss of 2 steps" in curve for curve in module.curves]
    assert set(shares) == {0, 1}


def test_a_training_with_other_discriminators_is_not_resumed(training):
    plain, judged = training(), training(ADVERSARIAL)
    assert plain.state().adversary == {}
    for module, state, how in ((plain, judged, "with"), (judged, plain, "without")):
        with pytest.raises(RecipeError, match=f"adversarial: the run was started {how} it; resume"):
            module.restore(state.state())
    other = training(ADVERSARIAL, "adversarial.discriminators.windows=[64]")
    with pytest.raises(RecipeError, match="started with others than Discriminators"):
        other.restore(judged.state())
    judged.restore(judged.state())


LIKELIHOOD = (
    "sde={class: OUVE}",
    "parametrization={class: Score, sign: -1}",
    "loss={class: ScoreMatching}",
    "times={low: 0.03, law: {class: LogitNormal}, weighting: {class: Likelihood}}",
    "trainer.steps=1",
    "trainer.clip=null",
)


def test_losses_count_by_the_weights_of_their_times(training):
    module = training(*LIKELIHOOD)
    recipe, model, generator = module.recipe, awake(module), generator_of(0)
    truth, y, _ = drawn(module)
    t, weights, *_ = recipe.times.sample(2, generator, recipe.sde)
    truth = truth._replace(t=t, z=torch.randn(y.shape, dtype=y.dtype, generator=generator))
    estimate = model(recipe.sde.sample(truth.x0, y, t, truth.z), y, t)
    squares = (estimate.noise - truth.z).abs().square().mean((1, 2, 3))
    loss = (weights * squares).mean()
    loss.backward()
    fit(module)
    torch.testing.assert_close(module.curves[0]["loss"].double(), loss.detach(), rtol=1e-4, atol=0)
    assert_same_gradients(module.model.network, model.network)


def test_a_run_goes_on_with_the_bins_it_was_started_with(training):
    def aware(bins: int) -> Training:
        return training(f"times.loss_aware={{bins: {bins}, history: 1}}", "trainer.steps=20")

    plain, some, others = training(), aware(4), aware(5)
    for module, state, how in ((plain, some, "with"), (some, plain, "without")):
        with pytest.raises(RecipeError, match=f"times.loss_aware: .* started {how} it; resume"):
            module.restore(state.state())
    with pytest.raises(RecipeError, match=r"times.loss_aware: losses of other bins"):
        others.restore(some.state())


TWO_DEVICES = """
import sys
from pathlib import Path
import torch
from lightning.pytorch import Trainer
from sgmse.training.module import Training
from sgmse.training.recipe_files import load_recipe

recipe_file, *folders = sys.argv[1:4]
corpus, folder = map(Path, folders)
recipe = load_recipe(recipe_file, sys.argv[4:])
module = Training(recipe, recipe.data.open(corpus, folder / "cache", recipe.front.sample_rate, 0))
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    use_distributed_sampler=False)
trainer.fit(module)
gradients = [float(curve["gradient"]) for curve in module.curves]
history = module.history.state() if module.history else None
kept = (module.model.state_dict(), module.adversary.state(), gradients, history)
torch.save(kept, folder / f"{trainer.global_rank}.pt")
"""


@pytest.mark.slow
def test_two_devices_learn_as_one(training, recipe_file, corpus, tmp_path):
    """Each has pairs, times and shares of its own; weights and gradients are the same."""
    script = tmp_path / "script.py"
    script.write_text(TWO_DEVICES)
    aware = "times.loss_aware={bins: 2, history: 1}"
    overrides = ["trainer.steps=6", "trainer.batch=1", "times.at_one=0.5", ADVERSARIAL, aware]
    training(*overrides).pairs[0]  # the cache, which both would write
    command = [sys.executable, script, recipe_file, corpus, tmp_path, *overrides]
    subprocess.run(command, check=True, capture_output=True)
    (one, adversary, gradients, kept), (two, other, others, same) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in range(2)
    )
    assert gradients == others
    assert all(torch.equal(kept[name], same[name]) for name in kept)
    assert kept["counts"].sum() > 0
    first = training(*overrides)
    for ours, theirs, start in (
        (one, two, first.model.state_dict()),
        (
            adversary["discriminators"],
            other["discriminators"],
            first.state().adversary["discriminators"],
        ),
    ):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert not all(torch.equal(ours[name], start[name]) for name in ours)


NCSN = "class: NCSNpp, channels: 4, multipliers: [1, 2], blocks: 1, bins: 64"
STORM = (
    f"predictor={{network: {{{NCSN}, predictive: true}}, loss: {{class: Reconstruction}}}}",
    f"network={{{NCSN}, observations: 2, divide_by_t: features}}",
    "sde={class: OUVE}",
    "parametrization={class: Score, sign: -1}",
    "loss={class: ScoreMatching}",
    "times={low: 0.03}",
)


@pytest.mark.parametrize("predicted", [0.0, 3.0])
def test_a_predictor_is_trained_on_its_own_loss_and_on_that_of_the_process(training, predicted):
    """The sum of the losses of the paper, and where its gradients arrive."""
    own = f"predictor.loss={{class: Reconstruction, complex: {predicted or 1e-9}}}"
    module = training(*STORM, own, "trainer.steps=1", "trainer.clip=null")
    recipe, model, (truth, y, _) = module.recipe, awake(module), drawn(module)
    x0, z, t = truth.x0, truth.z, truth.t
    a, b, sigma = (s[:, None, None, None] for s in recipe.sde.scales(t))
    anchor = model.predictor(y, y, torch.ones(2))
    x_t = a * x0 + b * anchor + sigma * z
    score = -model.network(x_t, torch.cat([y, anchor], dim=1), t)
    c = recipe.front.transform.compression.factor
    parts = {
        "refiner/loss": (sigma * score + z).abs().square().mean(),
        "predictor/complex": (anchor - x0).abs().square().mean() / (2 * c**2),
    }
    loss = parts["refiner/loss"] + predicted * parts["predictor/complex"]
    loss.backward()
    fit(module)
    curves = module.curves[0]
    for name, value in parts.items():
        torch.testing.assert_close(curves[name], value.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(curves["loss"], loss.detach(), rtol=1e-4, atol=0)
    for name in ("predictor", "network"):
        assert_same_gradients(getattr(module.model, name), getattr(model, name))


def test_what_is_refined_in_moved_frames_is_compared_there(training):
    """The loss of its formulas, with speech, noise and prediction half a hop later."""
    module = training(*STORM, "predictor.moved=0.5", "trainer.steps=1", "trainer.clip=null")
    recipe, model, (_, y, _) = module.recipe, awake(module), drawn(module)
    transform, hop = recipe.front.transform, recipe.front.transform.hop
    pairs = [module.pairs[j] for j in range(2)]
    clean, noisy = (torch.stack(side) for side in zip(*pairs, strict=True))
    samples = clean.shape[-1]
    said = transform.inverse(model.predictor(y, y, torch.ones(2))[:, 0], samples)
    later = [
        transform.forward(torch.cat([torch.zeros(2, hop // 2), a], 1)[:, :samples])[:, None]
        for a in (clean, noisy, said)
    ]
    generator = generator_of(0)
    t = recipe.times.draw(2, generator, recipe.sde)
    z = torch.randn(y.shape, dtype=y.dtype, generator=generator)
    x0, y, anchor = later
    a, b, sigma = (s[:, None, None, None] for s in recipe.sde.scales(t))
    score = -model.network(a * x0 + b * anchor + sigma * z, torch.cat([y, anchor], dim=1), t)
    loss = (sigma * score + z).abs().square().mean()
    fit(module)
    torch.testing.assert_close(module.curves[0]["refiner/loss"], loss.detach(), rtol=1e-4, atol=0)


def assert_same_gradients(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    one, two = (
        torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad])
        for network in (ours, theirs)
    )
    assert two.abs().max() > 1e-4
    assert (one - two).abs().max() <= 1e-3 * two.abs().max()


def awake(module: Training, moved: float | None = None) -> torch.nn.Module:
    """A copy of its model, both with weights, new or moved, through which all gradients pass."""
    torch.manual_seed(1)
    for parameter in module.model.parameters():
        if parameter.requires_grad:
            new = torch.randn_like(parameter)
            parameter.data = 0.2 * new if moved is None else parameter.data + moved * new
    model = module.recipe.build_model()
    model.load_state_dict(module.model.state_dict())
    return model


@pytest.mark.slow
def test_a_model_with_a_predictor_is_averaged_saved_and_restored(training, tmp_path):
    module = fit(training(*STORM, "trainer.steps=2"))
    save(module.checkpoint({}), tmp_path)
    again, average = load(tmp_path).model.state_dict(), module.averaged.state_dict()
    assert again.keys() == average.keys()
    assert all(torch.equal(again[name], value) for name, value in average.items())
    other = training(*STORM)
    other.restore(module.state())
    for one, two in ((module.model, other.model), (module.averaged, other.averaged)):
        ours, theirs = one.state_dict(), two.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    noisy = module.pairs[0][1].numpy()
    assert np.isfinite(module.enhancer().with_sampler(steps=10, force=True)(noisy, 8000)).all()
