"""Times of training: their laws, what they count, and importance that alters the variance alone."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import FAMILIES

from sgmse.errors import ArgumentError
from sgmse.sdes import OUVE, SBVE, VP
from sgmse.training.losses import Denoising, ScoreMatching, Uncertainty
from sgmse.training.times import (
    EvenTime,
    Likelihood,
    LogitNormal,
    LogNormal,
    LossAware,
    MinSNR,
    Times,
    UniformLogSNR,
    UniformTime,
)

LAWS = [
    UniformTime(),
    LogNormal(mean=-0.5),
    LogNormal(mean=-3.0, std=1.5),
    LogitNormal(),
    LogitNormal(-1.0, 0.5),
    UniformLogSNR(),
]
INSIDE = Times(low=0.03, high=0.97)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_times_are_uniform_and_one():
    t = Times(0.2, 0.8, at_one=0.25).draw(20000, seeded())
    inside = t[t < 1]
    # 5 standard deviations of a share and of a mean
    assert float((t == 1).float().mean()) == pytest.approx(0.25, abs=0.016)
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.008)
    assert float(inside.std()) == pytest.approx(0.6 / math.sqrt(12), rel=0.03)
    assert inside.min() >= 0.2
    assert inside.max() <= 0.8


def test_times_are_the_generators():
    one, two = (Times().draw(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


def test_plain_times_are_to_the_bit_what_they_were():
    """The formula of the first version, so that runs of it go on as they were."""
    times = Times(0.02, 0.99, at_one=0.85)
    chance, t = torch.rand(2, 64, generator=seeded(5))
    expected = torch.where(chance < 0.85, 1.0, 0.02 + (0.99 - 0.02) * t)
    drawn = times.sample(64, seeded(5), SBVE())
    assert torch.equal(drawn.t, expected)
    assert drawn.weights is drawn.bins is None


def cdf(law, t, sde):
    """The distribution of a law between the ends of INSIDE, in closed form, at times of float64."""
    t = torch.cat([torch.tensor([INSIDE.low, INSIDE.high], dtype=torch.float64), t])
    if isinstance(law, UniformTime):
        f = t
    elif isinstance(law, UniformLogSNR):
        f = -sde.log_snr(t)
    else:
        number = torch.logit(t) if isinstance(law, LogitNormal) else -sde.log_snr(t)
        f = torch.special.erf((number - law.mean) / law.std / 2**0.5) / 2
    return (f[2:] - f[0]) / (f[1] - f[0])


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("sde", FAMILIES, ids=str)
def test_times_have_their_law(law, sde):
    """Kolmogorov and Smirnov: by chance alone the distance is above 1.95 / sqrt(n) once in 1000."""
    n = 4000
    times = replace(INSIDE, law=law, at_one=0.2)
    assert times.refusal(ScoreMatching(), sde) is None
    t = times.draw(n, seeded(1), sde)
    assert t.dtype == torch.float32
    inside = t[t < 1].double().sort().values
    assert float((t == 1).double().mean()) == pytest.approx(0.2, abs=5 * 0.4 / n**0.5)
    f = cdf(law, inside, sde)
    steps = torch.arange(len(f) + 1, dtype=torch.float64) / len(f)
    distance = torch.maximum((f - steps[:-1]).abs(), (f - steps[1:]).abs()).max()
    assert float(distance) < 1.95 / len(f) ** 0.5


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("sde", FAMILIES, ids=str)
def test_densities_are_the_slopes_of_their_laws(law, sde):
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    slope = (cdf(law, t + 1e-5, sde) - cdf(law, t - 1e-5, sde)) / 2e-5
    density = law.density(t, INSIDE.low, INSIDE.high, sde)
    torch.testing.assert_close(density, slope, rtol=1e-6, atol=1e-9)  # differences of 1e-5


def test_strata_cover_all_times_and_vary_less():
    """The mean of a smooth loss over n strata varies by n^-3, of independent times by n^-1."""
    n, draws = 8, 500
    plain, strata = Times(0.1, 0.9), Times(0.1, 0.9, stratified=True)
    means = {}
    for times in (plain, strata):
        generator = seeded(2)
        t = torch.stack([times.draw(n, generator, OUVE()) for _ in range(draws)])
        means[times.stratified] = t.mean(1).var()
        assert float(t.mean()) == pytest.approx(0.5, abs=5 * 0.8 / (12 * n * draws) ** 0.5)
    # one in each part, whatever the draw, in any order
    parts = ((t - 0.1) / 0.8 * n).floor().clamp(max=n - 1)
    assert torch.equal(parts.sort(1).values, torch.arange(8.0).expand(draws, n))
    assert len({tuple(row.tolist()) for row in parts}) > draws / 2
    # 64 times less; an estimate of a variance from 500 draws is off by 6 %, a ratio by 9 %
    assert float(means[False] / means[True]) == pytest.approx(n**2, rel=0.3)


def test_strata_of_two_devices_are_strata_of_both():
    times = Times(0.01, 1.0, stratified=True)
    both = [times.sample(4, seeded(r), OUVE(), rank=r, world=2).t for r in range(2)]
    parts = ((torch.cat(both) - 0.01) / 0.99 * 8).floor()
    assert sorted(parts.tolist()) == list(range(8))


def test_strata_hold_the_share_at_one():
    """Of 10 items 2.5 in the mean: 2 or 3, where independent draws give any number."""
    times = Times(0.1, 0.9, at_one=0.25, stratified=True, law=LogitNormal())
    generator = seeded()
    t = torch.stack([times.draw(10, generator, OUVE()) for _ in range(400)])
    ones = (t == 1).sum(1)
    assert set(ones.tolist()) == {2, 3}
    assert float(ones.double().mean()) == pytest.approx(2.5, abs=5 * 0.5 / 20)
    assert t[t < 1].max() <= 0.9


@pytest.mark.parametrize("sde", FAMILIES, ids=str)
def test_likelihood_has_one_weight_by_its_law(sde):
    """Its integral is 2 (lambda(low) - lambda(high)) for every process, and no draw is off it."""
    times = replace(INSIDE, law=UniformLogSNR(), weighting=Likelihood())
    drawn = times.sample(1000, seeded(), sde)
    ends = torch.tensor([times.low, times.high], dtype=torch.float64)
    first, last = sde.log_snr(ends).tolist()
    exact = 2 * (first - last) / (times.high - times.low)
    torch.testing.assert_close(
        drawn.weights, torch.full_like(drawn.weights, exact), rtol=1e-9, atol=0
    )
    # g^2 / sigma^2 as the process has it, and its integral by the trapezium rule
    t = torch.linspace(*ends.tolist(), 20001, dtype=torch.float64)
    w = Likelihood()(t, sde)
    torch.testing.assert_close(w, (sde.coefficients(t).g / sde.scales(t).sigma) ** 2)
    assert float(torch.trapezoid(w, t)) == pytest.approx(2 * (first - last), rel=1e-5)
    # by another law the mean is the same, with variance
    plain = replace(times, law=UniformTime()).sample(4000, seeded(1), sde).weights
    error = float(plain.std()) / 4000**0.5
    assert float(plain.mean()) == pytest.approx(exact, abs=4 * error)
    assert float(plain.std()) > 0.3 * exact


@pytest.mark.parametrize("law", [UniformTime(), LogNormal(-1.0, 1.5), LogitNormal(0, 1.5)], ids=str)
@pytest.mark.parametrize("weighting", [EvenTime(), MinSNR(3.0)], ids=str)
def test_a_weighting_holds_whatever_the_law(law, weighting):
    sde, n = VP(), 20000
    times = replace(INSIDE, law=law, weighting=weighting, at_one=0.1)
    drawn = times.sample(n, seeded(4), sde)
    loss = torch.where(drawn.t == 1, 7.0, 1 + drawn.t**2).double()
    t = torch.linspace(times.low, times.high, 10001, dtype=torch.float64)
    w = (
        torch.ones_like(t)
        if weighting == EvenTime()
        else (3 * (sde.scales(t).sigma / sde.scales(t).a) ** 2).clamp(max=1)
    )
    inside = torch.trapezoid(w * (1 + t**2), t) / (times.high - times.low)
    values = drawn.weights * loss
    exact = 0.9 * float(inside) + 0.1 * 7
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / n**0.5)
    assert torch.equal(drawn.weights[drawn.t == 1], torch.ones(int((drawn.t == 1).sum())).double())


def steep(t):
    """A loss that is large at late times."""
    return (t.double() / 0.1).exp() + 1


def learned(times: Times, seed: int = 0):
    """A history of the losses of many batches."""
    generator, history = seeded(seed), times.loss_aware.build()
    for _ in range(400):
        drawn = times.sample(16, generator, OUVE(), history)
        history.record(drawn.bins, steep(drawn.t) * drawn.scale)
    return history


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("law", [UniformTime(), LogitNormal()], ids=str)
def test_loss_aware_times_leave_the_mean_and_vary_less(law, stratified):
    times = Times(0.1, 0.9, law=law, loss_aware=LossAware(bins=16), stratified=stratified)
    history, n = learned(times), 20000
    p = history.probabilities
    assert float(p.sum()) == pytest.approx(1)
    assert p[-1] > 3 * p[0]
    aware = times.sample(n, seeded(9), OUVE(), history)
    u = (torch.arange(200000, dtype=torch.float64) + 0.5) / 200000
    exact = float(steep(law.quantile(u, 0.1, 0.9, OUVE())).mean())
    values = aware.weights * steep(aware.t)
    assert float(values.mean()) == pytest.approx(exact, abs=4 * float(values.std()) / n**0.5)
    plain = steep(replace(times, loss_aware=None).draw(n, seeded(9), OUVE()))
    # a density in proportion to the loss has no variance; that within a bin is left
    assert float(values.std()) < 0.3 * float(plain.std())


def test_bins_are_drawn_alike_until_each_has_its_losses():
    history = LossAware(bins=2, history=3, uniform=0.1).build()
    for loss in (3.0, 3.0, 3.0, 9.0):
        history.record(torch.tensor([0]), torch.tensor([loss]))
    history.record(torch.tensor([1, 1, -1, 1]), torch.tensor([1.0, 1.0, 100.0, math.nan]))
    assert history.probabilities.tolist() == [0.5, 0.5]
    history.record(torch.tensor([1]), torch.tensor([1.0]))
    # eq. 18: sqrt(E L^2), of the last three: 3, 3, 9 and 1, 1, 1
    root = math.sqrt((9 + 9 + 81) / 3)
    first = 0.9 * root / (root + 1) + 0.1 / 2
    assert history.probabilities.tolist() == pytest.approx([first, 1 - first])
    place = history.place(torch.tensor([0.0, first / 2, 1.0]))
    assert place.bins.tolist() == [0, 0, 1]
    assert place.u.tolist() == pytest.approx([0, 0.25, 1])
    assert place.weights.tolist() == pytest.approx([0.5 / first, 0.5 / first, 0.5 / (1 - first)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogNormal(std=0.0), "LogNormal: std must be positive"),
        (lambda: LogitNormal(mean=math.inf), "LogitNormal: mean must be finite"),
        (lambda: MinSNR(-1.0), "MinSNR: gamma must be positive"),
        (lambda: LossAware(bins=1), "bins must be at least 2"),
        (lambda: LossAware(uniform=0.0), r"uniform must lie in \(0, 1\)"),
        (lambda: Times(at_one=1.0, stratified=True), "at_one is 1, .* leave out stratified"),
        (lambda: Times(0.5, 0.5, law=LogitNormal()), "low is high, .* leave out law"),
        (lambda: Times(law=LogNormal()).draw(3, seeded()), "needs the process"),
        (
            lambda: Times(loss_aware=LossAware()).sample(3, seeded(), OUVE()),
            "needs a history",
        ),
        (lambda: LossAware(4).build().restore(LossAware(5).build().state()), "of other bins"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("times", "loss", "sde", "message"),
    [
        (Times(law=LogNormal(mean=9)), ScoreMatching(), OUVE(), "law: .* set mean between them"),
        (Times(law=UniformLogSNR()), ScoreMatching(), SBVE(), "set times.high=0.999"),
        (Times(weighting=Likelihood()), ScoreMatching(), SBVE(), "set times.high=0.999"),
        (Times(weighting=Likelihood()), Denoising(), OUVE(), r"set loss=\{class: ScoreMatching\}"),
        (Times(weighting=MinSNR()), Denoising(), OUVE(), "not Denoising as set"),
        (
            Times(loss_aware=LossAware()),
            Denoising(weighting=Uncertainty()),
            OUVE(),
            "loss_aware: .* is learned",
        ),
        (Times(weighting=EvenTime(), law=LogitNormal()), Denoising(), OUVE(), None),
        (Times(law=LogNormal()), ScoreMatching(), SBVE(), None),
    ],
)
def test_times_that_do_not_suit_the_process_or_the_loss_are_refused(times, loss, sde, message):
    why = times.refusal(loss, sde)
    if message is None:
        assert why is None
    else:
        with pytest.raises(ArgumentError, match=message):
            raise ArgumentError(why)
