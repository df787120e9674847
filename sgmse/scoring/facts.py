"""Facts of recordings, such as their SNR: which of them tell something, and numbers in bins."""

import math
from dataclasses import replace

from sgmse.scoring.scores import Scores

LABELS = 12  # different labels of a fact that is worth a chart; more numbers are put into bins
BINS = 6


def telling(scores: Scores) -> list[str]:
    """The facts with 2 to `LABELS` labels, or more of an SNR, that are the same for all systems.

    What a system took is a fact of a row, too, but not of the recording.
    """
    return [fact for fact in scores.facts if _is_telling(scores, fact)]


def number(label: str) -> float | None:
    """The finite number that a label is, if it is one."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def binned(scores: Scores, fact: str) -> Scores:
    """The scores with the many numbers of a fact replaced by the centres of `BINS` equal bins."""
    labels = _labels(scores, fact)
    numbers = {label: value for label in labels if (value := number(label)) is not None}
    if len(labels) <= LABELS or len(numbers) < len(labels):
        return scores
    low, high = min(numbers.values()), max(numbers.values())
    size = (high - low) / BINS
    rows = []
    for row in scores.rows:
        if row.facts.get(fact):
            place = min(int((numbers[row.facts[fact]] - low) / size), BINS - 1)
            row = replace(row, facts={**row.facts, fact: f"{low + (place + 0.5) * size:.4g}"})
        rows.append(row)
    return replace(scores, rows=tuple(rows))


def _labels(scores: Scores, fact: str) -> list[str]:
    return [label for label in scores.labels(fact) if label]


def _is_telling(scores: Scores, fact: str) -> bool:
    count = len(_labels(scores, fact))
    if count < 2 or (count > LABELS and "snr" not in fact.lower()):
        return False
    different = {(row.recording, row.facts.get(fact, "")) for row in scores.rows}
    return len(different) == len({row.recording for row in scores.rows})
