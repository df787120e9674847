"""Which recordings a report lets one listen to: those that got worst, and some of the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from sgmse.data.pairs import evenly_spaced
from sgmse.errors import ArgumentError
from sgmse.scoring.journal import Recording
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table


@dataclass(frozen=True)
class Selection:
    """Recordings: those that got worst first, then others, evenly spaced from the worst upwards."""

    worst: Sequence[Recording]
    others: Sequence[Recording]

    def __len__(self) -> int:
        return len(self.worst) + len(self.others)

    @property
    def recordings(self) -> list[Recording]:
        """All of them, in their order."""
        return [*self.worst, *self.others]

    def fewer(self, count: int) -> "Selection":
        """`count` of them, half of each kind as far as there are so many."""
        worst = self.worst[: max((count + 1) // 2, count - len(self.others))]
        return Selection(worst, evenly_spaced(self.others, count - len(worst)))


def select(table: Table, recordings: Iterable[Recording], count: int) -> Selection:
    """`count` of the recordings by the first measure, half of them those that got worst.

    First comes the worst of each system against the baseline, then the second of each, and so on;
    of these the worst first. The others are evenly spaced, see `select_by_score`.
    """
    available = list(dict.fromkeys(recordings))
    worst = select_worst(table, available)[: (count + 1) // 2]
    rest = [recording for recording in available if recording not in worst]
    return Selection(worst, select_by_score(table.scores, rest, count - len(worst)))


def select_worst(table: Table, recordings: Iterable[Recording]) -> list[Recording]:
    """The recordings that got worst by the first measure: those of all systems, then the next."""
    measure = table.scores.measures[0].name
    available = set(recordings)
    places = zip_longest(*(own[measure] for own in table.changes.values()))
    ordered = chain.from_iterable(
        sorted((c for c in place if c is not None), key=lambda c: c.gain) for place in places
    )
    return [r for r in dict.fromkeys(c.recording for c in ordered) if r in available]


def select_by_score(scores: Scores, recordings: Iterable[Recording], count: int) -> list[Recording]:
    """`count` recordings, evenly spaced from the worst upwards.

    Their order is that of the mean over systems of the first measure; recordings without a value
    are not chosen.
    """
    measure = scores.measures[0]
    values: dict[Recording, list[float]] = {}
    for system in scores.systems:
        for recording, value in scores.values(system, measure.name).items():
            values.setdefault(recording, []).append(value)
    sign = 1 if measure.higher_is_better else -1
    scored = [recording for recording in dict.fromkeys(recordings) if recording in values]
    ranked = sorted(scored, key=lambda r: (sign * float(np.mean(values[r])), r))
    return evenly_spaced(ranked, count)


def select_by_name(recordings: Iterable[Recording], names: Iterable[str]) -> list[Recording]:
    """The recordings of these names, "name" or "set/name", each once, in the order of the names.

    Raises `ArgumentError` for a name that none has.
    """
    known = list(recordings)
    selected: list[Recording] = []
    for name in names:
        matches = [key for key in known if name in (key[1], "/".join(key))]
        if not matches:
            raise ArgumentError(
                f"there is no recording {name!r} to listen to; names have no suffix, such as "
                + ", ".join(repr(key[1]) for key in known[:3])
            )
        selected += matches
    return list(dict.fromkeys(selected))
