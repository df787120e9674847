"""docs/choosing-a-solver.md: each statement of the guide is what the committed runs say."""

import csv
import importlib
import json
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
GUIDE = (REPOSITORY / "docs" / "choosing-a-solver.md").read_text("utf-8")


def found(name: str):
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def quality():
    """The script, and what it found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "benchmarks"))
        yield importlib.import_module("solver_quality"), found("solver-quality")


def numbers(pattern: str) -> list[float]:
    """Those of the one place of the guide that reads so."""
    text = " ".join(GUIDE.split())
    (match,) = re.finditer(pattern, text)
    return [float(number) for number in match.groups()]


ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", GUIDE, re.M)


def test_the_duels_are_told():
    assert len(ROWS) >= 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_a_duel_is_that_of_the_run(quality, row):
    script, results = quality
    first, second, budget, *told = row
    duel = script.duel(results, first, second, int(budget))
    assert [len(duel[key]) for key in ("better", "worse", "neither")] == [int(n) for n in told]


def test_what_a_second_network_brings():
    with (RESULTS / "qualities" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    def mean(system: str, measure: str) -> float:
        values = [float(row[measure]) for row in rows if row["system"] == system]
        return sum(values) / len(values)

    told = numbers(r"brings PESQ ([\d.]+) and DNSMOS ([\d.]+), and the mean")
    for number, measure, tolerance in zip(
        told, ("PESQ-WB", "DNSMOS-OVRL"), (6e-4, 6e-3), strict=True
    ):
        found = mean("balanced", measure) - mean("fast", measure)
        assert found == pytest.approx(number, abs=tolerance)
    assert mean("best", "PESQ-WB") > mean("4 evaluations", "PESQ-WB")


def test_where_noise_in_the_middle_and_restart_are_nearer(quality):
    script, results = quality
    between, restart = (
        script.duel(results, first, "Multistep()", 10)["better"]
        for first in ("Multistep(eta=Between(low=0.2, high=0.8))", "Restart()")
    )
    assert {f"OUVE(): {law}" for law in script.LAWS} <= {*between} & {*restart}
    others = [place for place in restart if not place.startswith("OUVE")]
    assert others
    assert all(place.endswith((", shrunk", ", rough")) for place in others)


def test_second_order_against_first():
    errors = found("solver-order")["errors"]
    (least,) = numbers(r"error of `Multistep\(\)` at 32 steps is at most 1/(\d+) of that of")
    ratios = [
        mine[0] / other[0]
        for mine, other in zip(
            errors["Multistep()"].values(), errors["Exponential()"].values(), strict=True
        )
        if mine and other
    ]
    assert len(ratios) > 10
    assert max(ratios) <= 1 / least


def test_a_model_of_one_step_is_sampled_in_one():
    settings = {row["name"]: row for row in found("solver-study/study")["settings"]}
    pesq = [settings[f"Exponential eta 0 Uniform, {n} steps"]["PESQ-WB"] for n in (2, 4, 8)]
    own = settings["own sampler"]["PESQ-WB"]
    assert own == max(row["PESQ-WB"] for row in settings.values() if row["PESQ-WB"] is not None)
    assert numbers(r"PESQ ([\d.]+) in one step, ([\d.]+) in two, ([\d.]+) in eight") == [
        *(round(score, 3) for score in (own, pesq[0], pesq[2])),
    ]
    for solver in ("Exponential", "Multistep", "UniPC", "Singlestep"):
        for grid in ("Uniform", "AsinhSNR"):
            for steps in (4, 8):
                rows = [settings[f"{solver} eta {eta} {grid}, {steps} steps"] for eta in (0, 1)]
                assert rows[1]["PESQ-WB"] < rows[0]["PESQ-WB"]
                assert rows[1]["SI-SDR"] < rows[0]["SI-SDR"]


def test_the_order_is_heard_on_a_score_model():
    settings = {row["name"]: row for row in found("score-study/study")["settings"]}
    told = [
        numbers(
            rf"{name} in (\d+),? .*?(?:PESQ|at|has|converged,) ([\d.]+) and (?:SI-SDR )?([\d.]+)"
        )
        for name in (r"`Multistep\(\)`", "Heun's method", r"`Exponential\(\)` is")
    ]
    names = (
        "Multistep eta 0 LogSNR, 8 steps",
        "Heun LogSNR, 16 steps",
        "Exponential eta 0 LogSNR, 16 steps",
    )
    told.append(numbers(r"predictor-corrector has ([\d.]+) and ([\d.]+) in (\d+)"))
    told[-1] = [told[-1][2], *told[-1][:2]]
    for (evaluations, pesq, ratio), name in zip(told, (*names, "reference"), strict=True):
        row = settings[name]
        assert row["evaluations"] == evaluations
        assert row["PESQ-WB"] == pytest.approx(pesq, abs=6e-4)
        assert row["SI-SDR"] == pytest.approx(ratio, abs=6e-3)
    few = settings["Exponential eta 0 LogSNR, 2 steps"]
    pesq, ratio = numbers(r"score higher, ([\d.]+) and ([\d.]+) in two")
    assert (few["PESQ-WB"], few["SI-SDR"]) == (
        pytest.approx(pesq, abs=6e-4),
        pytest.approx(ratio, abs=6e-3),
    )


def test_the_default_model_refuses_what_it_is_not_made_for():
    rows = found("samplers")["rows"]
    taken = [row for row in rows if not row["refused"]]
    steps = {int(re.search(r"steps=(\d+)", row["grid"])[1]) for row in taken}
    assert steps == {1, 3}
    # What is refused brings nothing, or harms.
    others = [row["si_sdr"] for row in rows if row["refused"]]
    assert len(others) > 40
    assert max(others) < min(row["si_sdr"] for row in taken) + 0.05
    (heun,) = (r for r in rows if r["solver"].startswith("`Heun") and "steps=2" in r["grid"])
    (lost,) = numbers(r"Heun's method in two steps takes (\d+) dB")
    assert found("samplers")["noisy"] - heun["si_sdr"] == pytest.approx(lost, abs=0.5)


@pytest.mark.parametrize(
    "named", ["solver-quality.md", "solver-order.md", "samplers.md", "study.md"]
)
def test_the_runs_are_linked(named):
    assert named in GUIDE


def test_the_grids_are_those_of_the_run(quality):
    script, results = quality
    told = dict(re.findall(r"^\| `(.+?)` \| (\d+) \|$", GUIDE, re.M))
    counts = script.good_grids(results)
    assert len(told) == len(counts) == 10
    assert {name: int(count) for name, count in told.items()} == counts
