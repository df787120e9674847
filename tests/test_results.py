"""The numbers that are quoted are those that the committed script gave, and gives again."""

import csv
import hashlib
import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest
from conftest import SOLVERS
from problems import slope
from proofs import strength

from sgmse.bench import Model, load_suite, run_suite
from sgmse.bench.models import model_digest
from sgmse.checkpoints import load_model, locate
from sgmse.metrics.measures import MEASURES
from sgmse.scoring.intervals import Difference, paired

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
CORPUS = RESULTS / "corpus-test"
SUITES = (
    *("corpus-test", "corpus48-test", "settings", "clean-in", "qualities", "gentle"),
    "live-test",
)
# Rounding in another order moves a recording's PESQ now and then; means over 95 stay within these.
TOLERANCES = {"PESQ-WB": 0.01, "STOI": 0.002, "ESTOI": 0.002, "SI-SDR": 0.05}
#: A path of a machine.
HERE = r"(?<![\w.*])/(?:tmp|home|root|work|mnt|Users)/\S*"
SHOWN = ("PESQ-WB", "STOI", "ESTOI", "SI-SDR", "DNSMOS-OVRL")
#: Measured before there was a benchmark, each peer by a script of its own.
PEERS = {
    "noisy": (1.332, 0.640, 5.16),
    "noisereduce": (1.204, 0.646, 2.85),
    "RNNoise": (1.564, 0.711, 8.53),
    "DeepFilterNet3": (1.908, 0.748, 11.31),
}


def means(file: Path, of: str = "corpus-test") -> dict[str, dict[str, float]]:
    """By system and measure, of a test set."""
    systems = json.loads(file.read_text())["sets"][of]["systems"]
    return {s: {name: about["mean"] for name, about in own.items()} for s, own in systems.items()}


def test_pages_quote_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    pages = importlib.import_module("pages").pages()
    assert {page.relative_to(REPOSITORY).as_posix() for page in pages} == {
        *("README.md", "sgmse/pretrained/default/README.md"),
        *("sgmse/pretrained/score/README.md", "sgmse/pretrained/live/README.md"),
        *("sgmse/pretrained/restore/README.md", "sgmse/pretrained/prior/README.md"),
        *(f"sgmse/pretrained/{name}/config.json" for name in ("default", "live", "restore")),
        "sgmse/pretrained/score/config.json",
    }
    for page, text in pages.items():
        assert page.read_text("utf-8") == text, f"{page}: run python benchmarks/pages.py"


@pytest.mark.parametrize("name", [name for name in SUITES if (RESULTS / name).exists()])
def test_the_committed_results_are_those_of_the_committed_weights(name):
    told = json.loads((RESULTS / name / "summary.json").read_text())["systems"]
    ours = load_suite(REPOSITORY / "benchmarks" / f"{name.replace('-', '_')}.yaml").systems
    models = {system: own for system, own in ours.items() if isinstance(own, Model)}
    assert models
    for system, own in models.items():
        assert told[system]["weights"] == own.conditions()["weights"], system
        if name == "corpus48-test":  # the others are at the rate of the model
            assert told[system]["upper band"] == own.conditions()["upper band"], system


def test_the_table_of_restorers_is_that_of_the_committed_weights():
    told = found("restoration")["weights"]
    assert told == {name: Model(name).conditions()["weights"] for name in ("default", "restore")}


def test_the_effect_of_the_score_model_is_that_of_its_own_sampler():
    study = json.loads((RESULTS / "score-study" / "study.json").read_text())
    name, own = "Exponential eta 0 LogSNR, 2 steps", load_model("score")
    (row,) = (setting for setting in study["settings"] if setting["name"] == name)
    assert own.effect.after["PESQ-WB"] == round(row["PESQ-WB"], 3)
    assert not own.model.sde.pinned  # where alone it matters how a solver starts
    assert row["sampler"] == f"{replace(own.sampler.solver, start=0.0)} on {own.sampler.grid}"


def test_what_the_prior_restores_is_of_the_committed_weights():
    content = (locate("prior") / "model.safetensors").read_bytes()
    told = found("priors")
    assert told["weights"] == hashlib.sha256(content).hexdigest()[:12]
    # What the card says of it in words.
    gained = {kind: told[f"{kind}: prior"] for kind in ("gaps", "clipped", "known room")}
    assert all(own[name]["low"] > 0 for own in gained.values() for name in ("PESQ-WB", "ESTOI"))
    assert told["narrow band: prior"]["SI-SDR"]["mean"] < 0
    for noise in ("white noise", "pink noise"):
        own, other = told[f"{noise}: prior"], told[f"{noise}: default"]
        assert own["ESTOI"]["mean"] < 0 < own["PESQ-WB"]["mean"] < other["PESQ-WB"]["mean"]
    bits = {name: told[f"bits: {name}"]["mean"] for name in ("clean speech", "white noise")}
    assert bits["clean speech"] < bits["white noise"] - 1


def test_the_default_model_is_good_enough():
    """A mean above that of every peer in every score, small, fast, harmless to what is clean."""
    results = means(CORPUS / "summary.json")
    model = results.pop("default")
    for system, scores in results.items():
        assert all(model[name] > scores[name] for name in SHOWN), system
    assert model["PESQ-WB"] >= 2.15
    assert model["ESTOI"] >= 0.775
    assert model["SI-SDR"] >= 13
    told = json.loads((CORPUS / "summary.json").read_text())["sets"]["corpus-test"]
    assert told["costs"]["default"]["real_time_factor"] <= 0.4
    assert locate("default").joinpath("model.safetensors").stat().st_size <= 30e6
    clean = means(RESULTS / "clean-in" / "summary.json", "test")["default"]
    assert clean["PESQ-WB"] >= 4.0
    assert clean["SI-SDR"] >= 22


@pytest.mark.parametrize("system", PEERS)
def test_peers_score_what_is_known_of_them(system):
    scores = means(CORPUS / "summary.json")[system]
    # DeepFilterNet3, which hears each recording with a fresh state here, has 0.145 dB less than was
    # measured then; a state that has heard recordings before gives up to 0.5 dB more.
    decibels = 0.15 if system == "DeepFilterNet3" else 0.1
    names = {"PESQ-WB": 0.02, "ESTOI": 0.005, "SI-SDR": decibels}
    for known, (name, tolerance) in zip(PEERS[system], names.items(), strict=True):
        assert scores[name] == pytest.approx(known, abs=tolerance), name


def found(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def test_the_samplers_that_are_not_refused_are_better_than_the_recording():
    results = found("samplers")
    taken = [row for row in results["rows"] if not row["refused"]]
    assert len(taken) >= 2
    assert min(row["si_sdr"] for row in taken) > results["noisy"] + 3
    assert len(results["rows"]) - len(taken) > 50


def test_the_matrix_of_solvers_is_that_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    matrix = importlib.import_module("solver_order").matrix(found("solver-order")["ends"])
    assert matrix in (REPOSITORY / "docs" / "solvers.md").read_text()


def test_the_orders_are_at_least_the_declared_ones(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    script = importlib.import_module("solver_order")
    results = found("solver-order")
    assert set(SOLVERS) < set(script.ROWS)
    assert results["errors"].keys() == {script.named(solver) for solver in script.ROWS}
    measured = 0
    for solver in script.ROWS:
        order, name = script.declared(solver), script.named(solver)
        for errors in filter(None, results["errors"][name].values()):
            # At 64 and 128 steps: a first order within 8 %, a third within 10 %, and a fifth
            # where the errors are not yet roundings. DBMSolver has 1.80 there and 1.96 at 512.
            rate = slope(results["steps"][1:], errors[1:])
            least = order - (0.45 if order == 5 else 0.21 if "DBMSolver" in name else 0.1)
            assert rate > least or errors[-1] < 1e-12, solver
            measured += 1
        for errors in filter(None, results["erring"][name].values()):
            rate = slope(results["steps"][1:], errors)
            # What a churn of a step does is told from what its neighbours do with many steps only.
            low = order - (0.45 if order == 5 else 0.1)
            assert rate > low or errors[-1] < 1e-12 or strength(solver) is None, solver
    assert measured > 300


@pytest.mark.slow
def test_the_suite_gives_the_committed_scores_again(shared, tmp_path):
    """Of every fourth recording, whose means may be twice as far off as those of all."""
    measures = ("pesq-wb", "stoi", "estoi", "si-sdr")
    given = load_suite(REPOSITORY / "benchmarks" / "corpus_test.yaml")
    ours = {name: given.systems[name] for name in ("noisy", "default")}
    suite = replace(given, systems=ours, measures=measures, files=24)
    run_suite(suite, tmp_path, workers=2).write(tmp_path)
    again, committed = (by_recording(folder / "scores.csv") for folder in (tmp_path, CORPUS))
    assert len(again) == 2 * 24
    for system in ours:
        for name, tolerance in TOLERANCES.items():
            off = [
                float(row[name]) - float(committed[key][name])
                for key, row in again.items()
                if key[0] == system
            ]
            assert abs(sum(off) / 24) < 2 * tolerance, (system, name)


def by_recording(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of scores, by system and recording."""
    with file.open(newline="", encoding="utf-8") as stream:
        return {(row["system"], row["name"]): row for row in csv.DictReader(stream)}


def test_no_result_names_a_place_of_the_machine_that_made_it():
    texts = [p for s in (".md", ".json", ".csv", ".tex") for p in RESULTS.rglob(f"*{s}")]
    assert len(texts) > 20
    for path in texts:
        places = re.findall(HERE, path.read_text("utf-8"))
        assert not places, f"{path}: {places[0]}; name a folder that is relative, or none"


def test_the_gentle_quality_takes_no_phones_away():
    """From 7.5 dB on: in the mean at no ratio, and in one of twenty recordings at most."""
    with (RESULTS / "gentle" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ours = f"strength {load_model('default').qualities['gentle'].strength:g}"
    by = {(row["system"], row["name"]): row for row in rows}
    (noise,) = (measure.noise for measure in MEASURES if measure.name == "PhoneSim")
    changes: dict[float, list[float]] = {}
    for name in {row["name"] for row in rows}:
        before, after = (by[system, name] for system in ("noisy", ours))
        change = float(after["PhoneSim"]) - float(before["PhoneSim"])
        changes.setdefault(float(before["snr_db"]), []).append(change)
    high = {snr: found for snr, found in changes.items() if snr >= 7.5}
    assert len(high) == 3
    assert all(fmean(found) > 0 for found in high.values())
    every = [change for found in high.values() for change in found]
    assert sum(change < -noise for change in every) <= 0.05 * len(every)


@pytest.mark.parametrize(
    ("model", "suite", "least"),
    [("default", "strength", 0.05), ("live", "strength-live", 0.1)],
)
def test_the_strength_of_a_model_is_better_than_what_it_says(model, suite, least, tmp_path):
    """PESQ gains, the others lose at most what is not heard: 0.002 of ESTOI, 0.4 dB of SI-SDR."""
    told = json.loads((RESULTS / suite / "summary.json").read_text())
    shutil.copytree(locate(model), tmp_path / model)
    config = json.loads((tmp_path / model / "config.json").read_text())
    known = {model_digest(tmp_path / model)}  # measured with the strength, or before it was chosen
    own = f"strength {config.pop('strength'):g}"
    (tmp_path / model / "config.json").write_text(json.dumps(config))
    known.add(model_digest(tmp_path / model))
    assert told["systems"][own]["weights"] in known
    with (RESULTS / suite / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] in (own, "strength 1")]
    for name, bound in {"PESQ-WB": least, "ESTOI": -0.002, "SI-SDR": -0.4}.items():
        by = {(row["system"], row["name"]): float(row[name]) for row in rows}
        names = {row["name"] for row in rows}
        gain = [by[own, n] - by["strength 1", n] for n in names]
        assert fmean(gain) > bound, name
        assert name != "PESQ-WB" or fmean(gain) > 2 * stdev(gain) / len(gain) ** 0.5


def test_the_usual_pieces_cost_less_memory_and_no_quality():
    lengths = {own["segment"]: own for own in json.loads((RESULTS / "segments.json").read_text())}
    usual, longest = lengths[load_model("default").segment], lengths[max(lengths)]
    assert usual["megabytes"] < 0.7 * longest["megabytes"]
    for name, harm in {"PESQ-WB": 0.02, "ESTOI": 0.002, "SI-SDR": 0.2}.items():
        assert usual["differences"][name]["mean"] > -harm, name


def test_more_evaluations_are_better(monkeypatch):
    """The bars of the shipped models, recording by recording: two evaluations against one, four
    against two, in no measure worse by more than is heard."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    script = importlib.import_module("pages")
    scores = script.scores_of("qualities")
    names = sorted({name for _, name in scores})
    harm = {"PESQ-WB": 0.02, "ESTOI": 0.002, "SI-SDR": 0.2, "DNSMOS-OVRL": 0.02}
    harm |= {"DistillMOS": 0.02, "PhoneSim": 0.01}

    def change(more: str, fewer: str, measure: str) -> Difference:
        values = ([float(scores[s, n][measure]) for n in names] for s in (more, fewer))
        return paired(*values)

    two = change("balanced", "fast", "PESQ-WB")
    assert two.mean >= 0.05
    assert two.p < 0.01
    for four in ("best", "4 evaluations"):
        assert change(four, "balanced", "PESQ-WB").mean > -0.01
    for more, fewer in script.EVALUATIONS:
        for measure, most in harm.items():
            told = change(more, fewer, measure)
            assert told.mean > -most or told.p > 0.01, (more, fewer, measure)
    told = json.loads((RESULTS / "qualities" / "summary.json").read_text())["sets"]["corpus-test"]
    factors = {name: cost["real_time_factor"] for name, cost in told["costs"].items()}
    assert factors["best"] <= 0.5
    assert factors["fast"] < 0.65 * factors["balanced"]
