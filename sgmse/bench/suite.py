"""A suite: which systems are compared on which sets of recordings, in one YAML file.

    sets:
      corpus: {clean: test/clean, noisy: test/noisy}
      VB-DMD: {root: /data/voicebank, layout: VoiceBank-DEMAND}
    systems:
      noisy: {class: Noisy}
      default: {class: Model}
      best: {class: Model, quality: best}
      RNNoise: {class: RNNoise}
      mine: {class: Command, line: "denoise {input} {output}"}
    seeds: [0, 1]
    measures: [pesq-wb, estoi, si-sdr]
    by: [snr_db]

Relative paths start at the folder of the file. It is read as a whole and checked before any work.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sgmse.bench._network_peers import DTLN, GTCRN, Hush
from sgmse.bench._peers import (
    DeepFilterNet3,
    LogMMSE,
    NoiseReduce,
    RNNoise,
    Speex,
    WebRTC,
    Wiener,
)
from sgmse.bench._programs import Command
from sgmse.bench._restorers import (
    WPE,
    LinearPrediction,
    LinearUpsampling,
    SplineDeclipping,
    SplineGaps,
)
from sgmse.bench._systems import Folder, Noisy, System, rooted_paths
from sgmse.bench.models import Model
from sgmse.checkpoints import CLASSES
from sgmse.config import Classes, errors_as, from_plain, read_yaml
from sgmse.data.layouts import Layout, detect, layout_named
from sgmse.data.pairs import (
    Pair,
    evenly_spaced,
    facts_beside,
    is_one,
    match_all,
    recordings_by_name,
)
from sgmse.errors import ArgumentError, MissingPackageError, SuiteError, Together, did_you_mean
from sgmse.metrics.measures import Measure, select
from sgmse.scoring.pair import TOLERANCE
from sgmse.scoring.scores import DEFAULT

#: The systems that a suite may name.
SYSTEMS: tuple[type[System], ...] = (
    *(Noisy, Folder, Command, Model),
    *(DeepFilterNet3, GTCRN, DTLN, Hush, RNNoise),
    *(WebRTC, Speex, NoiseReduce, LogMMSE, Wiener),
    *(SplineDeclipping, SplineGaps, LinearPrediction, LinearUpsampling, WPE),
)
#: With the classes of checkpoints, for solvers and grids.
SUITE_CLASSES: Classes = {
    **CLASSES,
    **{c.__name__: c for c in SYSTEMS},
    "Ours": Model,  # in suites of earlier versions
}
NAME = re.compile(r"[^\s./\\{}|][^/\\{}|\n]*")  # a folder is called so, and a cell of a table


@dataclass(frozen=True)
class NoisySet:
    """Noisy recordings with their references: two folders, or one in a known layout.

    Args:
        clean, noisy: folders with files of the same names, lists of the same ids, or two files; an
            index.csv beside them gives facts.
        root: the folder of a known set, in place of these.
        layout: of which set; found out if absent.
    """

    clean: Path | None = None
    noisy: Path | None = None
    root: Path | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        given = {name for name, value in vars(self).items() if value is not None}
        if given not in ({"clean", "noisy"}, {"root"}, {"root", "layout"}):
            raise ArgumentError("give clean and noisy, or root and perhaps layout")
        if self.layout is not None:
            layout_named(self.layout)

    def rooted(self, folder: Path) -> "NoisySet":
        """The same with its relative paths taken from a folder."""
        return replace(self, **rooted_paths(self, folder))

    def known(self) -> Layout | None:
        """The layout of a known set. Raises `LayoutError` where it is none."""
        if self.root is None:
            return None
        return detect(self.root) if self.layout is None else layout_named(self.layout)

    def pairs(self) -> list[Pair]:
        """Its pairs; what is scored of them is the noisy file. Raises `ValueError`."""
        if self.root is not None and (layout := self.known()) is not None:
            return layout.pairs(self.root)
        assert self.clean is not None
        assert self.noisy is not None
        clean, noisy = map(recordings_by_name, (self.clean, self.noisy))
        if is_one(self.clean) and is_one(self.noisy):  # a pair, whatever their names
            noisy = dict(zip(clean, noisy.values(), strict=True))
        return match_all(clean, noisy, facts_beside(self.clean))


@dataclass(frozen=True)
class Suite:
    """Systems x sets x seeds, and how they are scored.

    Args:
        sets: by name.
        systems: by name, in the order of the tables.
        seeds: what systems that draw noise are run with; others are run once.
        measures: names, see `sgmse.metrics.measures`, or measures of one's own.
        by: facts by which the tables are broken down, in sets that tell them.
        baseline: the system that others differ from; the first if absent.
        align: compensate the delay of each enhanced file before scoring.
        tolerance: in seconds; larger differences in length are problems.
        files: of each set, evenly spaced over the sorted names; all if absent.
    """

    sets: Mapping[str, NoisySet]
    systems: Mapping[str, System]
    seeds: tuple[int, ...] = (0,)
    measures: tuple[str | Measure, ...] = DEFAULT
    by: tuple[str, ...] = ()
    baseline: str | None = None
    align: bool = False
    tolerance: float = TOLERANCE
    files: int | None = None

    def __post_init__(self) -> None:
        wrong = Together()
        for kind, names in {"sets": self.sets, "systems": self.systems}.items():
            with wrong.part():
                _check_names(kind, names)
        for check in (self._check_seeds, self._check_baseline, self._check_numbers):
            with wrong.part():
                check()
        for measures in [[measure] for measure in self.measures] or [[]]:
            with wrong.part():
                select(measures)
        wrong.end()

    def _check_seeds(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise SuiteError(f"seeds must be different whole numbers of at least 0: {self.seeds}")

    def _check_baseline(self) -> None:
        if self.baseline is not None and self.baseline not in self.systems:
            known = ", ".join(self.systems)
            raise SuiteError(
                f"baseline: no system is called {self.baseline!r}"
                f"{did_you_mean(self.baseline, self.systems)}; there are {known}"
            )

    def _check_numbers(self) -> None:
        if self.tolerance < 0:
            raise SuiteError(f"tolerance must be at least 0 s, not {self.tolerance:g}")
        if self.files is not None and self.files < 1:
            raise SuiteError(f"files must be at least 1, not {self.files}")

    def rooted(self, folder: Path) -> "Suite":
        """The same with its relative paths taken from a folder."""
        return replace(
            self,
            sets={name: recordings.rooted(folder) for name, recordings in self.sets.items()},
            systems={name: system.rooted(folder) for name, system in self.systems.items()},
        )

    def pairs(self) -> dict[str, list[Pair]]:
        """The pairs of each set. Raises `SuiteError` for what is not there, and for `by`."""
        wrong = Together()
        sets: dict[str, list[Pair]] = {}
        for name, recordings in self.sets.items():
            with wrong.part(), located(f"sets.{name}"):
                sets[name] = evenly_spaced(recordings.pairs(), self.files)
        wrong.end()
        facts = dict.fromkeys(fact for ps in sets.values() for pair in ps for fact in pair.facts)
        for fact in self.by:
            if fact not in facts:
                known = ", ".join(facts) or "nothing"
                raise SuiteError(
                    f"by: no set tells {fact!r}{did_you_mean(fact, facts)} of its recordings; they "
                    f"tell {known}"
                )
        return sets


def _check_names(kind: str, names: Collection[str]) -> None:
    """Of sets or systems. Raises `SuiteError`."""
    if not names:
        raise SuiteError(f"{kind}: name at least one")
    for name in names:
        if not NAME.fullmatch(name):
            raise SuiteError(
                f"{kind}: {name!r} cannot be the name of a folder of results; leave out "
                "slashes, braces, bars and points at the start"
            )
    if len({name.lower() for name in names}) < len(names):
        raise SuiteError(f"{kind}: two names differ in case alone; rename one")


@contextmanager
def located(where: str) -> Iterator[None]:
    """What is raised within says where: of which system, of which set."""
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f"{where}: {error}") from error
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from error


def load_suite(path: str | Path) -> Suite:
    """The suite of a file.

    Raises `SuiteError` for a file that cannot be read, unknown keys, wrong types and values that do
    not go together. Whether sets and systems are there is asked later.
    """
    path = Path(path)
    with errors_as(SuiteError, path):
        suite: Suite = from_plain(Suite, read_yaml(path), SUITE_CLASSES)
    return suite.rooted(path.parent)
