"""The scores that pages quote, from the committed results: python benchmarks/pages.py

Puts the tables of corpus-test, settings and clean-in in benchmarks/results into README.md and into
the card of the default model, between the comments `<!-- NAME -->` and `<!-- end -->`. With --check
it changes nothing and fails where a page differs.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sgmse.scoring.intervals import paired, stars

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
SCORES = RESULTS / "corpus-test" / "scores.csv"  # of each recording
README, CARD = ROOT / "README.md", ROOT / "sgmse" / "pretrained" / "default" / "README.md"
MEASURES = {"PESQ-WB": 3, "STOI": 3, "ESTOI": 3, "SI-SDR": 2, "DNSMOS-OVRL": 2}
HEADS = ("PESQ-WB", "STOI", "ESTOI", "SI-SDR [dB]", "DNSMOS")
NAMES = {"default": "**sgmse**, default", "Wiener": "Wiener (Lim and Oppenheim)"}

Systems = Mapping[str, Mapping[str, Mapping[str, float]]]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("|  |", "| |")


def beside_peers(told: Mapping[str, Any]) -> str:
    """Every system, the best PESQ first but for the recordings as they are; the best in bold."""
    systems: Systems = told["systems"]
    costs = told["costs"]
    order = sorted(systems, key=lambda name: (name != "noisy", -systems[name]["PESQ-WB"]["mean"]))
    tops = {m: max(of[m]["mean"] for of in systems.values()) for m in MEASURES}
    rows = []
    for name in order:
        row = [NAMES.get(name, name)]
        for measure, digits in MEASURES.items():
            mean = systems[name][measure]["mean"]
            row.append(f"**{mean:.{digits}f}**" if mean == tops[measure] else f"{mean:.{digits}f}")
        rows.append([*row, f"{costs[name]['real_time_factor']:.3f}" if name in costs else ""])
    return markdown(["system", *HEADS[:-1], "DNSMOS overall", "real-time factor"], rows)


def cells(of: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Means with half the width of their intervals."""
    return [
        f"{of[m]['mean']:.{d}f} ± {(of[m]['high'] - of[m]['low']) / 2:.{d}f}"
        for m, d in MEASURES.items()
    ]


def with_intervals(told: Mapping[str, Any]) -> str:
    """The recordings and the model."""
    rows = [[name, *cells(told["systems"][name])] for name in ("noisy", "default")]
    return markdown(["system", *HEADS], rows)


def unharmed(sets: Mapping[str, Any]) -> str:
    """Recordings that are clean, and what the model makes of them, set by set."""
    rows = []
    for name, told in sets.items():
        # Of two equal recordings SI-SDR has no bound, and the others are known.
        untouched = told["systems"]["noisy"]["DNSMOS-OVRL"]["mean"]
        rows.append([name, *cells(told["systems"]["default"]), f"{untouched:.2f}"])
    return markdown(["recordings", *HEADS, "DNSMOS, untouched"], rows)


def sets_of(name: str) -> Mapping[str, Any]:
    """Committed results by test set."""
    return json.loads((RESULTS / name / "summary.json").read_text(encoding="utf-8"))["sets"]


def broken_down(told: Mapping[str, Any], by: str, title: str) -> str:
    """The model's scores for each value of a column, with what they were before."""
    groups: Mapping[str, Systems] = told["by"][by]
    rows = []
    for value, systems in groups.items():
        row = [value.replace("_", " ").replace("-", " ") if by != "snr_db" else value]
        for measure, digits in MEASURES.items():
            before, after = (systems[name][measure]["mean"] for name in ("noisy", "default"))
            row.append(f"{before:.{digits}f} → {after:.{digits}f}")
        rows.append([*row, str(systems["default"]["PESQ-WB"]["count"])])
    return markdown([title, *HEADS, "recordings"], rows)


def against_peers(told: Mapping[str, Any]) -> str:
    """What the model's scores are above those of each peer, recording by recording."""
    with SCORES.open(encoding="utf-8", newline="") as file:
        scores = {(row["system"], row["name"]): row for row in csv.DictReader(file)}
    names = sorted({name for _, name in scores})
    systems: Systems = told["systems"]
    rows = []
    for peer in sorted(systems, key=lambda system: -systems[system]["PESQ-WB"]["mean"]):
        if peer in ("default", "noisy"):
            continue
        ours, theirs = (
            {m: [float(scores[system, name][m]) for name in names] for m in MEASURES}
            for system in ("default", peer)
        )
        found = {m: asdict(paired(ours[m], theirs[m])) for m in MEASURES}
        rows.append([NAMES.get(peer, peer), *differences(found)])
    return markdown(["default less", *HEADS], rows)


def differences(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Means of differences with half the width of their intervals, and stars."""
    parts = []
    for measure, digits in MEASURES.items():
        about = found[measure]
        half = (about["high"] - about["low"]) / 2
        text = f"{about['mean']:+.{digits}f} ± {half:.{digits}f} {stars(about['p'])}"
        parts.append(text.rstrip())
    return parts


def against_the_default(told: Mapping[str, Any]) -> str:
    """What other settings of the model change, recording by recording."""
    costs = {name: f"{of['real_time_factor']:.3f}" for name, of in told["costs"].items()}
    rows = [["the default", *[""] * len(HEADS), costs["default"]]]
    rows += [
        [name, *differences(found), costs[name]]
        for name, found in told["differences"].items()
        if name != "noisy"
    ]
    return markdown(["less the default", *HEADS, "real-time factor"], rows)


def pages() -> dict[Path, str]:
    """Each page as it should be."""
    told = sets_of("corpus-test")["corpus-test"]
    tables = {
        README: {"scores": beside_peers(told)},
        CARD: {
            "scores": with_intervals(told),
            "settings": against_the_default(sets_of("settings")["valid"]),
            "clean": unharmed(sets_of("clean-in")),
            "differences": against_peers(told),
            "by SNR": broken_down(told, "snr_db", "SNR [dB]"),
            "by noise": broken_down(told, "noise", "noise"),
        },
    }
    made = {}
    for page, parts in tables.items():
        text = page.read_text(encoding="utf-8")
        for name, table in parts.items():
            start, end = f"<!-- {name} -->\n", "\n<!-- end -->"
            pattern = re.escape(start) + ".*?" + re.escape(end)
            text, count = re.subn(
                pattern, lambda _, t=table, s=start, e=end: s + t + e, text, flags=re.DOTALL
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
