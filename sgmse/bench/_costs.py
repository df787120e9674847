"""What each enhanced file of a benchmark took; a `Journal` keeps it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sgmse.scoring.journal import Key


@dataclass(frozen=True)
class Run:
    """A recording that went through a system.

    Args:
        set, system, seed, name: which; the seed is None for a system that draws nothing.
        fingerprint: of all that the enhanced file depends on.
        digest: of the enhanced file; "" where there is none.
        duration: of the recording, in seconds.
        seconds: that enhancing took, without reading, writing and loading.
        evaluations: of the network that refines, for each piece of the recording; None where they
            are not counted.
        memory: bytes that the process held at most until then; None where that is not known.
        at_once: recordings that were enhanced at the same time, and share the seconds.
        problem: why there is no enhanced file.
    """

    set: str
    system: str
    seed: int | None
    name: str
    fingerprint: str
    digest: str = ""
    duration: float = 0.0
    seconds: float = 0.0
    evaluations: float | None = None
    memory: int | None = None
    at_once: int = 1
    problem: str = ""

    @property
    def key(self) -> Key:
        """What no other run of a benchmark has."""
        return self.set, self.system, self.seed, self.name

    @property
    def facts(self) -> dict[str, str]:
        """What it took, as columns of a table of files."""
        if not self.duration:
            return {}
        counted = {} if self.evaluations is None else {"evaluations": f"{self.evaluations:g}"}
        return {"real_time_factor": f"{self.seconds / self.duration:.6g}", **counted}


@dataclass(frozen=True)
class Costs:
    """Of a system: seconds for a second of audio, evaluations of its network, bytes of memory.

    `at_once` is how many recordings shared the seconds at most.
    """

    real_time_factor: float | None = None
    evaluations: float | None = None
    memory: int | None = None
    at_once: int = 1

    @classmethod
    def of(cls, runs: Iterable[Run]) -> "Costs":
        """Over those that made a file: their mean times and evaluations, and their most memory."""
        made = [run for run in runs if not run.problem]
        audio = sum(run.duration for run in made)
        counts = [run.evaluations for run in made if run.evaluations is not None]
        return cls(
            sum(run.seconds for run in made) / audio if audio else None,
            sum(counts) / len(counts) if counts else None,
            max((run.memory for run in made if run.memory is not None), default=None),
            max((run.at_once for run in made), default=1),
        )
