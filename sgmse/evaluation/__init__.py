"""The benchmark: recordings of any enhancer scored, side by side, with error bars.

    from sgmse.evaluation import score, summary, write

    scores = score("clean/", ["noisy/", "enhanced/"], workers=4)
    print(summary(scores, by=["snr_db"]))
    write(scores, "scores/")

Importing this is light; its modules are imported when first asked for.
"""

import typing as _typing

__all__ = [
    "LAYOUTS",
    "MEASURES",
    "Layout",
    "Measure",
    "Mixing",
    "Outcome",
    "Pair",
    "Row",
    "Scores",
    "Study",
    "Suite",
    "System",
    "Task",
    "Threshold",
    "Unmatched",
    "chosen",
    "detect",
    "failures",
    "interval",
    "latex",
    "listed",
    "load_suite",
    "match",
    "mix",
    "paired",
    "run_study",
    "run_suite",
    "score",
    "score_tasks",
    "summary",
    "to_csv",
    "to_json",
    "word_errors",
    "write",
    "write_report",
]

if _typing.TYPE_CHECKING:
    from sgmse.evaluation.bench import run_suite
    from sgmse.evaluation.clips import listed
    from sgmse.evaluation.gates import Threshold, failures
    from sgmse.evaluation.journal import Row
    from sgmse.evaluation.layouts import LAYOUTS, Layout, detect
    from sgmse.evaluation.measures import MEASURES, Measure, chosen, word_errors
    from sgmse.evaluation.mixing import Mixing, mix
    from sgmse.evaluation.outcomes import Outcome
    from sgmse.evaluation.pairs import Pair, Unmatched, match
    from sgmse.evaluation.report import write_report
    from sgmse.evaluation.scoring import Scores, Task, score, score_tasks
    from sgmse.evaluation.statistics import interval, paired
    from sgmse.evaluation.study import Study, run_study
    from sgmse.evaluation.suites import Suite, load_suite
    from sgmse.evaluation.systems import System
    from sgmse.evaluation.tables import latex, summary, to_csv, to_json, write
else:
    _PLACES = {
        "bench": ("run_suite",),
        "clips": ("listed",),
        "gates": ("Threshold", "failures"),
        "journal": ("Row",),
        "layouts": ("LAYOUTS", "Layout", "detect"),
        "measures": ("MEASURES", "Measure", "chosen", "word_errors"),
        "mixing": ("Mixing", "mix"),
        "outcomes": ("Outcome",),
        "pairs": ("Pair", "Unmatched", "match"),
        "report": ("write_report",),
        "scoring": ("Scores", "Task", "score", "score_tasks"),
        "statistics": ("interval", "paired"),
        "study": ("Study", "run_study"),
        "suites": ("Suite", "load_suite"),
        "systems": ("System",),
        "tables": ("latex", "summary", "to_csv", "to_json", "write"),
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _PLACES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
