"""What is said of the cost of a latency is what was measured."""

import json
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
PAGE = (REPOSITORY / "docs" / "live.md").read_text("utf-8")


def test_the_guide_has_the_table_of_the_benchmark():
    table = re.search(r"<!-- table -->\n(.*?)<!-- end -->", PAGE, re.S)[1]
    assert "| 0.5 s | 0.4" in table
    assert table in (RESULTS / "live.md").read_text("utf-8")


def test_no_latency_makes_means_worse_than_the_noisy_ones():
    noisy, *others = json.loads((RESULTS / "live.json").read_text())
    whole = others[-1]
    assert noisy["name"] == "noisy"
    for row in others:
        for name, score in row["scores"].items():
            assert score > noisy["scores"][name], (row["name"], name)
        if row["latency"] is not None and row["latency"] > 0.4:
            assert row["scores"]["PESQ-WB"] > whole["scores"]["PESQ-WB"] - 0.15
            assert row["worse"]["SI-SDR"] == row["worse"]["ESTOI"] == 0
