"""Scores, mixtures, runs of a suite: items of any function on the machines of a cluster.

    with workers_of(Cluster("auto")) as workers:
        scores = score("clean/", "enhanced/", workers=workers)

Files are read and written there, so that all machines need them under the same names.
"""

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from typing_extensions import override

from sgmse._pool import Death, Item, Pool, Result
from sgmse.corpus.cluster import Cluster
from sgmse.corpus.crew import Crew, Member, Ticket, connection_named
from sgmse.corpus.workers import Answer, Hand, Station
from sgmse.errors import RecordingWarning, WorkerError

KEPT = "what was done before is kept where it was to be kept; call again"


@contextmanager
def workers_of(
    cluster: Cluster, tell: Callable[[str], object] = lambda text: None
) -> Iterator[Pool]:
    """The machines of a cluster, for what takes a `Pool` in place of a number of processes.

    Each worker has one core, or with `Cluster(device="cuda")` a GPU, and does one item at a time.
    An item over which `cluster.attempts` workers died has failed. The connection is made when there
    is something to do.

    Args:
        cluster: the machines.
        tell: called with a line where it should be known why work stands still or is done again.

    Raises:
        MissingPackageError: Ray is not installed.
        ArgumentError: no cluster at the address.
    """
    cluster.check()
    device = cluster.device or "cpu"
    with ExitStack() as held:
        yield _Machines(replace(cluster, device=device, at_once=1, apart=False), tell, held)


class _Machines(Pool):
    """Workers wherever there is a place, started anew for each function."""

    def __init__(self, cluster: Cluster, tell: Callable[[str], object], held: ExitStack) -> None:
        self.cluster, self.tell, self.held = cluster, tell, held
        self.ray: ModuleType | None = None
        self.places = 1

    @property
    @override
    def processes(self) -> int:
        return self.places

    @override
    def map_unordered(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        died: Callable[[Item, Death], Result] | None = None,
    ) -> Generator[tuple[Item, Result], None, None]:
        """As `Pool` has it.

        Raises:
            WorkerError: no machine has a place for a worker, workers cannot start, the last machine
                is gone for longer than `cluster.patience`, an item has failed and nobody says what
                is to become of it.
        """
        listed = list(items)
        if not listed:
            return
        if self.ray is None:
            self.ray = self.held.enter_context(self.cluster.connected())
        hands = _Hands(self.ray, self.cluster, self.tell, function, died)
        self.places = hands.places.count
        with connection_named(self.ray, self.cluster, KEPT), closing(hands):
            yield from hands.run(listed)


class _Hands(Crew[Item, tuple[Item, Result]]):
    """Who does which item at the moment."""

    def __init__(
        self,
        ray: ModuleType,
        cluster: Cluster,
        tell: Callable[[str], object],
        function: Callable[[Item], Result],
        died: Callable[[Item, Death], Result] | None,
    ) -> None:
        super().__init__(ray, cluster, tell, KEPT)
        self.station = Station(Path.cwd(), self.places.device, max(1, self.places.cores))
        self.function, self.died = ray.put(function), died

    @override
    def hire(self, options: dict[str, Any], at_once: int) -> Any:
        return self.ray.remote(**options)(Hand).remote(self.function, self.station)

    @override
    def begin(self, member: Member[Item], ticket: Ticket[Item]) -> Any:
        return member.actor.do.remote(ticket.item)

    @override
    def result(self, ticket: Ticket[Item], ended: Answer) -> tuple[Item, Result]:
        for line in ended.warnings:
            warnings.warn(line, RecordingWarning, stacklevel=2)
        if ended.error is not None:
            raise ended.error
        return ticket.item, ended.value

    @override
    def failed(self, ticket: Ticket[Item], why: str) -> tuple[Item, Result]:
        if self.died is None:
            raise WorkerError(f"{self.name(ticket.item)}: {why}; see whether memory suffices")
        return ticket.item, self.died(ticket.item, Death(None, why))
