from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sgmse.errors import RecipeError
from sgmse.estimates import Estimate
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import Uniform
from sgmse.training.adversarial.adversary import (
    Adversarial,
    Adversary,
    levelled,
    matching,
    results,
    taken_for_clean,
    telling_apart,
)
from sgmse.training.adversarial.discriminators import Discriminators
from sgmse.training.losses import Truth
from sgmse.training.optimisation import AdamW, Schedule
from sgmse.training.recipe_files import dump_recipe, load_recipe
from sgmse.training.times import Times
from sgmse.transforms import Power, Spectrogram

SMALL = Discriminators(windows=(32, 64), channels=(4, 8))
QUICK = AdamW(lr=5e-3, betas=(0.8, 0.99))
TRANSFORM = Spectrogram(n_fft=62, hop=16, compression=Power(0.5, 0.3))


def adversary(**settings: float) -> Adversary:
    return Adversary(
        Adversarial(**{"rise": 0, **settings}, discriminators=SMALL, optimiser=QUICK), 0
    )


def alone(values: Tensor) -> Tensor:
    """The average of one device."""
    return values


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1024, generator=torch.Generator().manual_seed(seed))


def smooth(audio: Tensor) -> Tensor:
    """Without the upper half of its spectrum, as an estimate that regresses to the mean."""
    x = torch.fft.rfft(audio)
    x[:, x.shape[-1] // 2 :] = 0
    return torch.fft.irfft(x)


def opinion(judgement: list[float], *layers: list[float]) -> list[Tensor]:
    """Layers of one channel and one bin, of one recording, and the judgement."""
    return [torch.tensor(values)[None, None, None] for values in (*layers, judgement)]


def test_losses_of_values_by_hand():
    clean = [opinion([1.0, 0.0], [2.0, -4.0]), opinion([0.5, 0.5], [1.0, 1.0])]
    estimate = [opinion([0.0, 2.0], [2.0, -1.0]), opinion([1.0, 0.0], [3.0, 0.0])]
    # ((0 + 1) / 2 + (0 + 4) / 2 + 0.25 + (1 + 0) / 2) / 2
    assert float(telling_apart(clean, estimate)) == pytest.approx(3.25 / 2)
    # ((1 + 1) / 2 + (0 + 1) / 2) / 2
    assert float(taken_for_clean(estimate)) == pytest.approx(0.75)
    # (mean(0, 3) / mean(2, 4) + mean(2, 1) / mean(1, 1)) / 2
    assert float(matching(estimate, clean)) == pytest.approx((0.5 + 1.5) / 2)


def test_distances_are_relative_to_the_size_of_each_recording():
    f0, f = torch.rand(3, 4, 5, 6), torch.rand(3, 4, 5, 6)
    gain = torch.tensor([1.0, 100.0, 1e-3])[:, None, None, None]
    clean, estimate = [[[f0, f0]], [[f, f]]]
    scaled = matching([[gain * f, f]], [[gain * f0, f0]])
    torch.testing.assert_close(scaled, matching(estimate, clean))
    torch.testing.assert_close(
        scaled,
        torch.stack([(a - b).abs().mean() / b.mean() for a, b in zip(f, f0, strict=True)]).mean(),
    )


def test_level_is_that_of_the_clean_recording():
    clean, estimate = noise(2), noise(2, 1)
    gains = torch.tensor([[1e-2], [5.0]])
    x, x0 = levelled(gains * estimate, gains * clean)
    assert x0.square().mean(-1).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(x / x0, estimate / clean, rtol=1e-4, atol=1e-4)
    quiet, silent = levelled(1e-4 * estimate, torch.zeros(2, 1024))
    assert not silent.any()
    torch.testing.assert_close(quiet, estimate)


def batch(clean: Tensor, estimate: Tensor) -> tuple[Estimate, Truth]:
    x0, x = (TRANSFORM.forward(audio)[:, None] for audio in (clean, estimate))
    t = torch.ones(len(clean))
    nothing = torch.zeros_like(x)
    return Estimate(x, nothing), Truth(x0, nothing, clean, TRANSFORM, t, SBVE())


EVERY = torch.ones(4, dtype=torch.bool)


def test_quiet_recordings_count_alike():
    parts = []
    for gain in (1.0, 0.01):
        estimate, truth = batch(gain * noise(4), gain * smooth(noise(4)))
        parts.append(adversary()(estimate, truth, EVERY, 0, alone))
    assert parts[0].keys() == {"loss", "adversarial", "features", "discriminator"}
    for name, value in parts[0].items():
        torch.testing.assert_close(parts[1][name], value, rtol=1e-4, atol=1e-5)


def test_discriminators_tell_smooth_recordings_from_others_and_their_slope_makes_up_for_it():
    judge = adversary(features=0.0)
    losses = []
    for step in range(25):
        clean = noise(4, step)
        losses.append(float(judge.learn((smooth(clean), clean), 1.0, alone)))
    assert losses[-1] < 0.5 * losses[0]  # 0.5 is the best without telling them apart
    assert losses[-1] < 0.3
    clean = noise(4, 100)
    assert taken_for_clean(judge.hear(smooth(clean))) > 2 * taken_for_clean(judge.hear(clean))
    # A step along the slope is towards what is missing, the upper half of the spectrum.
    x = smooth(clean).requires_grad_()
    before = taken_for_clean(judge.hear(x))
    (slope,) = torch.autograd.grad(before, x)
    moved = (x - slope / slope.square().mean().sqrt() * 0.1).detach()
    assert taken_for_clean(judge.hear(moved)) < before
    upper = torch.fft.rfft(moved)[:, 257:].abs().square().sum()
    assert upper > 100 * torch.fft.rfft(smooth(clean))[:, 257:].abs().square().sum()


def test_the_slope_of_the_features_leads_to_the_truth():
    judge, clean = adversary(), noise(4)
    x = smooth(clean).requires_grad_()
    with torch.no_grad():
        truth = judge.hear(clean)
    assert float(matching(judge.hear(clean), truth)) < 1e-6
    (slope,) = torch.autograd.grad(matching(judge.hear(x), truth), x)
    assert float((slope * (x.detach() - clean)).sum()) > 0


def test_neither_update_leaves_a_trace_on_the_other():
    judge = adversary()
    clean, audio = noise(4), smooth(noise(4))
    estimate, truth = batch(clean, audio)
    x0 = estimate.x0.requires_grad_()
    parts = judge(Estimate(x0, estimate.noise), truth, EVERY, 0, alone)
    assert x0.grad is None  # after the update of the discriminators
    assert not parts["discriminator"].requires_grad
    learned = {name: value.clone() for name, value in judge.discriminators.state_dict().items()}
    parts["loss"].backward()
    assert x0.grad.abs().max() > 0
    for weight in judge.discriminators.parameters():
        assert weight.grad is None
        assert not weight.requires_grad
    for name, value in judge.discriminators.state_dict().items():
        assert torch.equal(value, learned[name])
    first = SMALL.build(0).state_dict()
    assert not any(torch.equal(value, first[name]) for name, value in learned.items())


def test_the_loss_is_its_formula():
    """What it returns is the judgement after the update, and before `start` there is nothing."""
    judge = adversary(weight=0.3, features=2.0, start=10, rise=4)
    estimate, truth = batch(noise(4), smooth(noise(4)))
    judged = torch.tensor([True, False, True, True])
    assert judge(estimate, truth, EVERY, 9, alone) == {}
    parts = judge(estimate, truth, judged, 11, alone)
    heard = TRANSFORM.inverse(estimate.x0[judged, 0], 1024)
    x, x0 = (judge.hear(audio) for audio in levelled(heard, truth.audio[judged]))
    adversarial, features = taken_for_clean(x), matching(x, x0)
    torch.testing.assert_close(parts["adversarial"], adversarial)
    torch.testing.assert_close(parts["features"], features)
    loss = 2 / 4 * 3 / 4 * (0.3 * adversarial + 2 * features)
    torch.testing.assert_close(parts["loss"], loss)


def test_the_weight_rises_from_the_start():
    a = Adversarial(start=10, rise=4)
    assert [a.share(step) for step in (0, 9, 10, 11, 13, 14)] == [0, 0, 0.25, 0.5, 1, 1]
    assert [Adversarial(start=2, rise=0).share(step) for step in (1, 2)] == [0, 1]


def test_the_rate_is_the_schedule_from_the_start_on():
    judge, schedule = adversary(start=10), Schedule(warmup=4, decay=0.5, final=0.1)
    for step, progress, factor in ((3, 0, 0.25), (10, 0.1, 0.25), (12, 0.2, 0.75), (20, 1, 0.1)):
        judge.set_rate(schedule, step, progress)
        assert judge.optimiser.param_groups[0]["lr"] == pytest.approx(5e-3 * factor)


def test_several_devices_learn_what_one_would():
    """Of unequal shares; a device without any item takes part in the average."""
    clean = noise(4)
    vectors = []

    def collect(values: Tensor) -> Tensor:
        vectors.append(values.clone())
        return values

    x, x0 = smooth(clean), clean
    for part in (slice(0, 3), slice(3, 4)):
        adversary().learn((x[part], x0[part]), (part.stop - part.start) / 3, collect)
    adversary().learn(None, 0.0, collect)
    mean = torch.stack(vectors).mean(0)
    several, one, none = adversary(), adversary(), adversary()
    several.learn(None, 0.0, lambda values: mean)
    assert none.learn(None, 0.0, alone) == 0
    gradients = []
    one.learn((x, x0), 1.0, lambda values: gradients.append(values) or values)
    torch.testing.assert_close(mean[:-1] / mean[-1], gradients[0][:-1], rtol=1e-4, atol=1e-7)
    for w, v in zip(several.optimiser.state.values(), one.optimiser.state.values(), strict=True):
        torch.testing.assert_close(w["exp_avg"], v["exp_avg"], rtol=1e-4, atol=1e-7)
    first = SMALL.build(0).state_dict()
    for name, value in one.discriminators.state_dict().items():
        # where a gradient is near 0 the first step of Adam may be anything up to its rate
        torch.testing.assert_close(
            several.discriminators.state_dict()[name], value, rtol=0, atol=1e-3
        )
        assert torch.equal(none.discriminators.state_dict()[name], first[name])
        assert not torch.equal(value, first[name])


def test_a_gradient_that_is_not_finite_is_left_out():
    judge, clean = adversary(), noise(4)
    x = clean.clone()
    x[0, 0] = torch.inf
    judge.learn((x, clean), 1.0, alone)
    assert not judge.optimiser.state
    first = SMALL.build(0).state_dict()
    for name, value in judge.discriminators.state_dict().items():
        assert torch.equal(value, first[name])


def test_half_precision_is_that_of_the_layers_alone():
    whole, half = adversary(), adversary()
    half.half = True
    a, b = whole.hear(noise(2)), half.hear(noise(2))
    for loss in (telling_apart(b, b), taken_for_clean(b), matching(b, b)):
        assert loss.dtype == torch.float32
    for one, two in zip(a[0], b[0], strict=True):
        assert (one.dtype, two.dtype) == (torch.float32, torch.bfloat16)
        torch.testing.assert_close(one, two.float(), rtol=0, atol=0.03 * float(one.abs().max()))


def test_a_state_goes_on_as_it_would_have():
    one, two = adversary(), adversary()
    for step in range(3):
        one.learn((smooth(noise(4, step)), noise(4, step)), 1.0, alone)
    two.restore(deepcopy(one.state()))
    two.to(torch.device("cpu"))
    for judge in (one, two):
        judge.learn((smooth(noise(4, 9)), noise(4, 9)), 1.0, alone)
    ours, theirs = (judge.discriminators.state_dict() for judge in (one, two))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    larger = Adversary(Adversarial(discriminators=replace(SMALL, channels=(4, 4))), 0)
    with pytest.raises(RecipeError, match=r"adversarial\.discriminators: the run was started with"):
        larger.restore(one.state())


def test_results_are_at_the_start_of_one_step():
    t = torch.tensor([1.0, 0.7, 0.3])
    assert results(t, Uniform(1), SBVE()).tolist() == [True, False, False]
    assert results(t, Uniform(1, start=0.7), SBVE()).tolist() == [False, True, False]
    assert not results(t, Uniform(2), SBVE()).any()
    # it stops before the clean audio
    assert not results(t, Uniform(1, finish=False), SBVE()).any()


@pytest.mark.parametrize(
    ("times", "grid", "judges"),
    [
        (Times(at_one=0.1), Uniform(1), True),
        (Times(), Uniform(1), False),
        (Times(low=1.0), Uniform(1), True),
        (Times(low=0.7, high=0.7), Uniform(1, start=0.7), True),
        (Times(low=0.7, high=0.7, at_one=1.0), Uniform(1, start=0.7), False),
        (Times(low=0.6, high=0.7), Uniform(1, start=0.7), False),
        (Times(at_one=0.1), Uniform(4), False),
        (None, Uniform(4), True),
    ],
)
def test_a_recipe_that_judges_nothing_is_refused(times, grid, judges):
    why = Adversarial().refusal(times, grid, OUVE(), 100, 4000)
    assert judges == (why is None)
    assert judges or "no update gives a result to judge" in why


SECTION = (
    "{discriminators: {windows: [64, 128], channels: [4]}, optimiser: {class: Adam, lr: 1e-3}}"
)


def test_a_recipe_has_it_and_says_so(recipe_file, tmp_path):
    assert load_recipe(recipe_file).adversarial is None
    recipe = load_recipe(recipe_file, [f"adversarial={SECTION}"])
    assert recipe.adversarial.discriminators == Discriminators((64, 128), (4,))
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path).adversarial == recipe.adversarial


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["times.at_one=0"], "adversarial: no update gives a result to judge, .* add unrolled"),
        (["sampler.grid.steps=2"], "adversarial: no update gives a result"),
        (["adversarial.start=8"], "ends after 8 steps, .* set adversarial.start below 8"),
        (["adversarial.discriminators={}"], "window of 2048 samples is longer .* of 2016; set"),
        (["adversarial.discriminators.windows=[5]"], "adversarial.discriminators: windows must"),
        (["adversarial.rise=-1"], "adversarial: rise must not be negative"),
        (["adversarial.optimiser.class=SGD"], "adversarial.optimiser.class: unknown 'SGD'"),
        (["adversarial.gan=1"], r"adversarial \(Adversarial\) does not take 'gan'"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(recipe_file, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe_file, [f"adversarial={SECTION}", *overrides])
    unrolled = "unrolled={steps: [2], share: 0.1}"
    load_recipe(recipe_file, [f"adversarial={SECTION}", "times.at_one=0", unrolled])
