"""The scores that pages quote, from the committed results: python benchmarks/pages.py

Puts the tables of corpus-test, corpus48-test, settings and clean-in in
benchmarks/results into README.md and into the card of the default model, between the comments
`<!-- NAME -->` and `<!-- end -->`, and into its config what its qualities cost and bring; the
other results into the pages that quote them and the configs of their models. A place whose suite
has no committed results yet stays as it is. With --check it changes nothing and fails where a page
differs.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from sgmse.metrics.measures import Measure, select
from sgmse.report import numbers
from sgmse.scoring.intervals import Difference, Interval, corrected, paired

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
README, CARD = ROOT / "README.md", ROOT / "sgmse" / "pretrained" / "default" / "README.md"
CONFIG = CARD.with_name("config.json")
SCORE = ROOT / "sgmse" / "pretrained" / "score" / "README.md"
LIVE = ROOT / "sgmse" / "pretrained" / "live" / "README.md"
PRIOR = ROOT / "sgmse" / "pretrained" / "prior" / "README.md"
RESTORE = ROOT / "sgmse" / "pretrained" / "restore" / "README.md"
MEASURES = select(["pesq-wb", "stoi", "estoi", "si-sdr", "dnsmos-ovrl"])
FULL_BAND = select(["pesq-wb", "stoi", "estoi", "si-sdr", "lsd-8k", "dnsmos-ovrl"])
QUALITIES = ("fast", "balanced", "best")
WORTH = select(["pesq-wb", "estoi", "si-sdr", "dnsmos-ovrl", "distillmos", "phonesim"])
#: Numbers of evaluations of the same weights, and with which they are compared.
EVALUATIONS = (
    ("balanced", "fast"),
    ("best", "balanced"),
    ("4 evaluations", "balanced"),
    ("best", "4 evaluations"),
)
KNOWN = ("mean", "low", "high", "count", "p")  # of a difference
#: Of the test set, by corpus.
LANGUAGES = {
    "samromur": "Icelandic",
    "librispeech": "English",
    "speechocean762": "English of Mandarin speakers",
}
STRONGEST = "DeepFilterNet3"
HEADS = (*map(numbers.heading, MEASURES[:-1]), "DNSMOS")
NAMES = {
    "default": "**sgmse**, default",
    "live": "**sgmse**, live",
    "Wiener": "Wiener (Lim and Oppenheim)",
}

Systems = Mapping[str, Mapping[str, Mapping[str, float]]]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("|  |", "| |")


def beside_peers(results: Mapping[str, Any], measures: Sequence[Measure] = MEASURES) -> str:
    """Every system, the best PESQ first but for the recordings as they are; the best in bold."""
    systems: Systems = results["systems"]
    costs = results["costs"]
    order = sorted(systems, key=lambda name: (name != "noisy", -systems[name]["PESQ-WB"]["mean"]))
    tops = {
        m: (max if m.higher_is_better else min)(own[m.name]["mean"] for own in systems.values())
        for m in measures
    }
    rows = []
    for name in order:
        row = [NAMES.get(name, name)]
        for measure in measures:
            mean = systems[name][measure.name]["mean"]
            text = f"{mean:.{measure.digits}f}"
            row.append(f"**{text}**" if mean == tops[measure] else text)
        rows.append([*row, f"{costs[name]['real_time_factor']:.3f}" if name in costs else ""])
    heads = [*map(numbers.heading, measures[:-1]), "DNSMOS overall"]
    return markdown(["system", *heads, "real-time factor"], rows)


def means(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Means with half the width of their intervals."""
    return [numbers.mean(m, Interval(**scores[m.name])) for m in MEASURES]


def change_cells(
    rows: Mapping[str, Sequence[Difference]], measures: Sequence[Measure] = MEASURES
) -> dict[str, list[str]]:
    """Differences of measures as cells, with the stars of all rows corrected together."""
    together = iter(corrected([difference for row in rows.values() for difference in row]))
    return {name: [numbers.change(m, next(together)) for m in measures] for name in rows}


def with_intervals(results: Mapping[str, Any]) -> str:
    """The recordings and the model."""
    rows = [[name, *means(results["systems"][name])] for name in ("noisy", "default")]
    return markdown(["system", *HEADS], rows)


def unharmed(sets: Mapping[str, Any]) -> str:
    """Recordings that are clean, and what the model makes of them, set by set."""
    rows = []
    for name, results in sets.items():
        # Of two equal recordings SI-SDR has no bound, and the others are known.
        untouched = results["systems"]["noisy"]["DNSMOS-OVRL"]["mean"]
        rows.append([name, *means(results["systems"]["default"]), f"{untouched:.2f}"])
    return markdown(["recordings", *HEADS, "DNSMOS, untouched"], rows)


def sets_of(name: str) -> Mapping[str, Any]:
    """Committed results by test set."""
    return json.loads((RESULTS / name / "summary.json").read_text(encoding="utf-8"))["sets"]


def broken_down(results: Mapping[str, Any], by: str, title: str) -> str:
    """The model's scores for each value of a column, with what they were before."""
    groups: Mapping[str, Systems] = results["by"][by]
    rows = []
    for value, systems in groups.items():
        row = [value.replace("_", " ").replace("-", " ") if by != "snr_db" else value]
        for m in MEASURES:
            before, after = (systems[name][m.name]["mean"] for name in ("noisy", "default"))
            row.append(f"{before:.{m.digits}f} → {after:.{m.digits}f}")
        rows.append([*row, str(systems["default"]["PESQ-WB"]["count"])])
    return markdown([title, *HEADS, "recordings"], rows)


def by_language(scores: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """The model's scores for each language, and how it differs there from the best of the peers."""
    rows, found = [], {}
    for corpus, language in LANGUAGES.items():
        names = sorted({n for (_, n), row in scores.items() if row["speech"] == corpus})
        columns = {
            system: [[float(scores[system, name][m.name]) for name in names] for m in MEASURES]
            for system in ("noisy", "default", STRONGEST)
        }
        cells = [
            f"{fmean(before):.{m.digits}f} → {fmean(after):.{m.digits}f}"
            for m, before, after in zip(MEASURES, columns["noisy"], columns["default"], strict=True)
        ]
        rows.append([language, *cells, str(len(names))])
        less = f"{language}, less {STRONGEST}"
        found[less] = list(map(paired, columns["default"], columns[STRONGEST]))
    rows += [[name, *cells, ""] for name, cells in change_cells(found).items()]
    return markdown(["language", *HEADS, "recordings"], rows)


def against_peers(results: Mapping[str, Any]) -> str:
    """What the model's scores are above those of each peer, recording by recording."""
    scores = scores_of("corpus-test")
    names = sorted({name for _, name in scores})
    systems: Systems = results["systems"]
    rows = {}
    for peer in sorted(systems, key=lambda system: -systems[system]["PESQ-WB"]["mean"]):
        if peer in ("default", "noisy"):
            continue
        cells = []
        for m in MEASURES:
            ours, theirs = (
                [float(scores[system, name][m.name]) for name in names]
                for system in ("default", peer)
            )
            cells.append(paired(ours, theirs))
        rows[NAMES.get(peer, peer)] = cells
    return markdown(["default less", *HEADS], [[n, *row] for n, row in change_cells(rows).items()])


def by_quality_of_speech(results: Mapping[str, Any]) -> str:
    """Every system with intervals, the best PESQ first but for the recordings as they are."""
    systems: Systems = results["systems"]
    order = sorted(systems, key=lambda name: (name != "noisy", -systems[name]["PESQ-WB"]["mean"]))
    rows = [[NAMES.get(name, name), *means(systems[name])] for name in order]
    return markdown(["system", *HEADS], rows)


def less_the_strongest(results: Mapping[str, Any]) -> str:
    """What the scores of streams are above those of the strongest peer."""
    found = {
        name: [
            Difference(**{key: own[m.name][key] for key in KNOWN}, p_holm=own[m.name]["p_holm"])
            for m in MEASURES
        ]
        for name, own in results["differences"].items()
    }
    rows = [[name, *map(numbers.change, MEASURES, own)] for name, own in found.items()]
    return markdown([f"less {STRONGEST}", *HEADS], rows)


def without(noise: str, scores: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """Means over the recordings with other noises."""
    rows = []
    for system in ("noisy", STRONGEST, "live"):
        own = [row for (s, _), row in scores.items() if s == system and row["noise"] != noise]
        means = [fmean(float(row[m.name]) for row in own) for m in MEASURES]
        cells = [f"{mean:.{m.digits}f}" for m, mean in zip(MEASURES, means, strict=True)]
        rows.append([NAMES.get(system, system), *cells])
    return markdown(["system", *HEADS], rows)


def by_quality(results: Mapping[str, Any]) -> str:
    """What each quality costs and brings."""
    rows = []
    for name in QUALITIES:
        cost, own = results["costs"][name], results["systems"][name]
        factor, evaluations = f"{cost['real_time_factor']:.3f}", f"{cost['evaluations']:g}"
        scores = [f"{own[m.name]['mean']:.{m.digits}f}" for m in WORTH]
        rows.append([f"`{name}`", evaluations, factor, *scores])
    heads = ["--quality", "evaluations", "real-time factor", *map(numbers.heading, WORTH)]
    return markdown(heads, rows)


def by_evaluations(scores: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """What more evaluations change, recording by recording."""
    names = sorted({name for _, name in scores})
    found = {
        f"{more} less {fewer}": [
            paired(*([float(scores[s, name][m.name]) for name in names] for s in (more, fewer)))
            for m in WORTH
        ]
        for more, fewer in EVALUATIONS
    }
    together = iter(corrected([difference for row in found.values() for difference in row]))
    rows = [[name, *(numbers.change(m, next(together)) for m in WORTH)] for name in found]
    return markdown(["", *map(numbers.heading, WORTH)], rows)


def measured(config: str, results: Mapping[str, Any]) -> str:
    """The config of the default model with what its qualities cost and bring."""
    values = json.loads(config)
    for name in QUALITIES:
        own = {"real-time factor": round(results["costs"][name]["real_time_factor"], 2)}
        means = results["systems"][name]
        own |= {m.name: round(means[m.name]["mean"], m.digits) for m in WORTH}
        values["qualities"][name]["measured"] = own
    if (RESULTS / "gentle").exists():
        valid = sets_of("gentle")["valid"]
        system = f"strength {values['qualities']['gentle']['strength']:g}"
        gentle = of_system(valid, system, "mixtures for validation")
        values["qualities"]["gentle"]["effect"] = gentle
    return json.dumps(values, indent=2) + "\n"


def effect(
    recordings: str, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, Any]:
    """What a model makes of some recordings, as configs have it."""
    known = {m.name: m.digits for m in (*MEASURES, *WORTH)}

    def shown(means: Mapping[str, float]) -> dict[str, float]:
        return {name: round(mean, known.get(name, 2)) for name, mean in means.items()}

    return {"recordings": recordings, "before": shown(before), "after": shown(after)}


def of_system(results: Mapping[str, Any], system: str, recordings: str) -> dict[str, Any]:
    """What a system makes of the recordings of a suite, or a sampler of those of a study."""
    systems = results["systems"]
    means = {
        name: {measure: own["mean"] for measure, own in systems[name].items()}
        for name in ("noisy", system)
    }
    count = max(own["count"] for own in systems[system].values())
    return effect(f"{count} {recordings}", means["noisy"], means[system])


def of_restorers(found: Mapping[str, Any], kind: str, recordings: str) -> dict[str, Any]:
    """What the model `restore` makes of a kind of loss; the distance of spectra is left out."""
    gained = found["less untouched"][f"{kind}: restore"]
    before = {name: mean for name, mean in found["untouched"][kind].items() if name != "LSD"}
    after = {name: mean + gained[name]["mean"] for name, mean in before.items()}
    count = max(own["count"] for own in gained.values())
    return effect(f"{count} {recordings}", before, after)


def effects() -> dict[Path, str]:
    """The configs of models with what each makes of the recordings that it was measured on."""
    validated = "mixtures for validation"
    found: dict[Path, dict[str, Any]] = {}
    if (RESULTS / "live-test").exists():
        streamed = sets_of("live-test")["corpus-test"]
        found[LIVE] = of_system(streamed, "live", "mixtures, those of the default")
    if (RESULTS / "score-study").exists():
        study = json.loads((RESULTS / "score-study" / "study.json").read_text(encoding="utf-8"))
        found[SCORE] = of_system(study, "Exponential eta 0 LogSNR, 2 steps", validated)
    if (RESULTS / "restoration.json").exists():
        restored = json.loads((RESULTS / "restoration.json").read_text(encoding="utf-8"))
        harms = "recordings in a room, clipped, at 8 kHz, with gaps and noise, all at once"
        found[RESTORE] = of_restorers(restored, "all of it", harms)
    made = {}
    for card, own in found.items():
        config = card.with_name("config.json")
        values = json.loads(config.read_text(encoding="utf-8")) | {"effect": own}
        made[config] = json.dumps(values, indent=2) + "\n"
    return made


def scores_of(name: str) -> dict[tuple[str, str], dict[str, str]]:
    """The committed scores of a suite by system and recording."""
    with (RESULTS / name / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["name"]): row for row in csv.DictReader(file)}


def against_the_default(results: Mapping[str, Any]) -> str:
    """What other settings of the model change, recording by recording."""
    costs = {name: f"{cost['real_time_factor']:.3f}" for name, cost in results["costs"].items()}
    rows = [["the default", *[""] * len(HEADS), costs["default"]]]
    found = {
        name: [
            Difference(**{key: own[m.name][key] for key in KNOWN}, p_holm=own[m.name]["p"])
            for m in MEASURES
        ]
        for name, own in results["differences"].items()
        if name != "noisy"
    }
    rows += [[name, *cells, costs[name]] for name, cells in change_cells(found).items()]
    return markdown(["less the default", *HEADS, "real-time factor"], rows)


def by_sampler(study: Mapping[str, Any]) -> str:
    """What samplers on one grid reach, by solver and evaluations, and less the reference."""
    measures = select(["pesq-wb", "estoi", "si-sdr"])
    shown = [
        own
        for own in study["settings"]
        if own["grid"] == "LogSNR" and own["same_as"] in (None, "own sampler")
    ]
    shown.sort(key=lambda own: (own["solver"], own["eta"] or 0.0, own["evaluations"]))
    run = {own["name"]: own["same_as"] or own["name"] for own in shown}
    differences = {name: study["differences"][name] for name in run.values()}
    found = {
        name: [
            Difference(**{key: own[m.name][key] for key in KNOWN}, p_holm=own[m.name]["p"])
            for m in measures
        ]
        for name, own in differences.items()
    }
    changes = change_cells(found, measures)

    def row(title: str, evaluations: str, name: str) -> list[str]:
        means = study["systems"][name]
        cells = [f"{means[m.name]['mean']:.{m.digits}f}" for m in measures]
        return [title, evaluations, *cells, changes[name][0] if name in changes else ""]

    reference = study["baseline"]
    counts = {
        own["name"]: f"{own['evaluations']:g}" for own in study["settings"] if own["evaluations"]
    }
    rows = [row("the recordings", "", "noisy")]
    rows += [row("predictor-corrector, 30 steps", counts[reference], reference)]
    rows += [row(name.replace(" LogSNR", ""), counts[own], own) for name, own in run.items()]
    heads = ["sampler", "evaluations", *map(numbers.heading, measures), "PESQ-WB less that"]
    return markdown(heads, rows)


def trained(card: Path) -> str:
    """What the config of a model says of its training."""
    told = json.loads(card.with_name("config.json").read_text(encoding="utf-8"))["training"]
    return (
        f"{told['steps']:,} steps ({told['hours of audio']} h of audio) in {told['hours']} hours "
        "of one busy CPU core, from scratch."
    )


def pages() -> dict[Path, str]:
    """Each page as it should be."""
    results = sets_of("corpus-test")["corpus-test"]
    tables = {
        README: {"scores": beside_peers(results)},
        CARD: {
            "scores": with_intervals(results),
            "settings": against_the_default(sets_of("settings")["valid"]),
            "clean": unharmed(sets_of("clean-in")),
            "differences": against_peers(results),
            "by SNR": broken_down(results, "snr_db", "SNR [dB]"),
            "by noise": broken_down(results, "noise", "noise"),
            "by language": by_language(scores_of("corpus-test")),
        },
    }
    if (RESULTS / "corpus48-test").exists():
        full_band = sets_of("corpus48-test")["corpus48-test"]
        tables[README]["full band"] = beside_peers(full_band, FULL_BAND)
    made = effects()
    if (RESULTS / "qualities").exists():
        found = sets_of("qualities")["corpus-test"]
        qualities = {"qualities": by_quality(found)}
        tables[README] |= qualities
        evaluations = {"evaluations": by_evaluations(scores_of("qualities"))}
        tables[CARD] |= qualities | evaluations
        made[CONFIG] = measured(CONFIG.read_text(encoding="utf-8"), found)
    if (RESULTS / "live-test").exists():
        streamed = sets_of("live-test")["corpus-test"]
        tables[LIVE] = {
            "scores": by_quality_of_speech(streamed),
            "differences": less_the_strongest(streamed),
            "without": without("northern_mountains", scores_of("live-test")),
        }
    if (RESULTS / "restoration.md").exists():
        text = (RESULTS / "restoration.md").read_text(encoding="utf-8")
        gains, less, worse = (part for part in text.split("\n\n") if part.startswith("| "))
        tables[RESTORE] = {"gains": gains, "less": less, "worse": worse.rstrip()}
    if (RESULTS / "priors.md").exists():
        text = (RESULTS / "priors.md").read_text(encoding="utf-8")
        found_tables = [part.rstrip() for part in text.split("\n\n") if part.startswith("| ")]
        names = ("gains", "verdict", "worse", "bits", "samples")
        tables[PRIOR] = dict(zip(names, found_tables, strict=True)) | {"trained": trained(PRIOR)}
    if (RESULTS / "score-study").exists():
        study = json.loads((RESULTS / "score-study" / "study.json").read_text(encoding="utf-8"))
        tables[SCORE] = {"samplers": by_sampler(study)}
    for page, parts in tables.items():
        text = page.read_text(encoding="utf-8")
        for name, table in parts.items():
            start, end = f"<!-- {name} -->", "<!-- end -->"
            pattern = re.escape(start) + ".*?" + re.escape(end)
            text, count = re.subn(
                pattern, lambda _, t=table, s=start, e=end: f"{s}\n{t}\n{e}", text, flags=re.DOTALL
            )
            if count != 1:
                raise SystemExit(f"{page} has {count} places {start.strip()} ... <!-- end -->")
        made[page] = text
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail where a page differs")
    check = parser.parse_args().check
    made = pages()
    different = [p for p, text in made.items() if p.read_text(encoding="utf-8") != text]
    if check:
        sys.exit(f"run python benchmarks/pages.py: {different} differ" if different else 0)
    for page, text in made.items():
        page.write_text(text, encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main()
