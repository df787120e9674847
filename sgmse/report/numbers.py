"""Numbers as they are printed, in text and on pages: "1.23 ± 0.04", "+0.12 ± 0.03 **", "-"."""

from collections.abc import Sequence

from sgmse.metrics.measures import Measure
from sgmse.scoring.intervals import Difference, Interval, stars
from sgmse.scoring.journal import Recording
from sgmse.scoring.outcomes import Change, Outcomes

NOTHING = "-"  # in place of a number that is not known
EXPLAINED = (
    "Differences over the files that all systems have in all measures, ± half a 95 % bootstrap "
    "interval; Wilcoxon signed rank, corrected for all comparisons of a table (Holm): * p < 0.05, "
    "** p < 0.01, *** p < 0.001."
)


def heading(measure: Measure, lower: str = " ↓") -> str:
    """Of the column of a measure; `lower` follows where lower is better: "LSD ↓", "SI-SDR [dB]"."""
    unit = f" [{measure.unit}]" if measure.unit else ""
    return measure.name + unit + ("" if measure.higher_is_better else lower)


def mean(measure: Measure, interval: Interval, files: int | None = None) -> str:
    """A mean, half the width of its interval and, if it is over fewer than all files, how many.

    One file has no interval.
    """
    if interval.count == 0:
        return NOTHING
    fewer = f" ({interval.count})" if files is not None and interval.count < files else ""
    digits = measure.digits
    half = f" ± {interval.half_width:.{digits}f}" if interval.count > 1 else ""
    return f"{interval.mean:.{digits}f}{half}{fewer}"


def change(measure: Measure, difference: Difference | None) -> str:
    """A difference from the baseline, half the width of its interval, and the stars of `p_holm`."""
    if difference is None:
        return NOTHING
    digits = measure.digits
    half = f" ± {difference.half_width:.{digits}f}" if difference.count > 1 else ""
    return f"{difference.mean:+.{digits}f}{half} {stars(difference.p_holm)}".rstrip()


def outcome(outcomes: Outcomes | None) -> str:
    """The share that got better, its interval, how many got worse: "92 % (84 to 96), 3 worse"."""
    if outcomes is None:
        return NOTHING
    share, low, high = (
        f"{100 * s:.0f}" for s in (outcomes.share, outcomes.share_low, outcomes.share_high)
    )
    return f"{share} % ({low} to {high}), {outcomes.worse} worse"


def gain(measure: Measure, change: Change) -> str:
    """What a score is above that of the baseline: "-0.123"."""
    return f"{change.value - change.baseline:+.{measure.digits}f}"


def place(recording: Recording, several: bool) -> str:
    """A recording by its name, with its set where there are several: "corpus/007"."""
    return "/".join(recording) if several else recording[1]


def noise(measures: Sequence[Measure]) -> str:
    """What counts as better and as worse, in words."""
    known = [f"{m.name} {m.noise:g}{' ' + m.unit if m.unit else ''}" for m in measures if m.noise]
    unknown = [m.name for m in measures if not m.noise]
    every = f"; of {', '.join(unknown)}, whose noise is not known, any change counts"
    return (
        "Share of the recordings that got better with its 95 % interval (Wilson), and how many got "
        "worse, by more than the noise of the measure: what it moves where the start of both files "
        f"is cut by milliseconds ({', '.join(known) or 'not known'}{every if unknown else ''})."
    )


def rank(interval: Interval) -> str:
    """A mean rank with its interval: "1.4 (1.2 to 1.9)"."""
    return f"{interval.mean:.1f} ({interval.low:.1f} to {interval.high:.1f})"


def number(value: float | None, form: str) -> str:
    """A number in a format of Python's."""
    return NOTHING if value is None else f"{value:{form}}"
