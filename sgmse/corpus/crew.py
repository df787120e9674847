"""Work given to the workers of a cluster, and given again where a worker is lost.

An item is with one worker at a time. When that dies, whatever it had goes back and is done by
another one, after all others and alone, so that who kills workers is found; after
`Cluster.attempts` deaths an item has failed. Machines that join get workers, those that leave are
done without.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic, sleep
from types import ModuleType
from typing import Any, Generic, TypeVar

from sgmse import __version__
from sgmse.corpus.cluster import Cluster
from sgmse.errors import SgmseError, WorkerError

LOOK = 2.0  # seconds between looks at the machines
STARTS = 3  # workers that may die before they work, one after the other
AHEAD = 2  # times as many items as are worked on are read and written meanwhile

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class Ticket(Generic[Item]):
    """An item, and how many workers died over it."""

    item: Item
    deaths: int = 0


@dataclass(eq=False)
class Member(Generic[Item]):
    """A worker, what it was given, and whether it has said that it is ready."""

    actor: Any
    most: int
    ready: bool = False
    busy: list[Ticket[Item]] = field(default_factory=list)

    def takes(self, suspect: bool) -> bool:
        """Whether it may be given one more; of those over which others died, one alone."""
        if not self.ready or any(ticket.deaths for ticket in self.busy):
            return False
        return not self.busy if suspect else len(self.busy) < self.most


@contextmanager
def connection_named(ray: ModuleType, cluster: Cluster, kept: str) -> Iterator[None]:
    """Say that the cluster cannot be reached any more, where that is why something failed."""
    try:
        yield
    except Exception as error:
        if isinstance(error, SgmseError) or ray.is_initialized():
            raise
        raise WorkerError(
            f"the connection to the Ray cluster {cluster.address} is lost; {kept}"
        ) from error


class Crew(ABC, Generic[Item, Result]):
    """Who does what at the moment.

    Args:
        ray: connected.
        cluster: the machines, which have a place.
        tell: called with a line where it should be known why work stands still or is done again.
        kept: what remains of work that ends early, and how it goes on.

    Raises:
        WorkerError: no machine has a place for a worker.
    """

    def __init__(
        self, ray: ModuleType, cluster: Cluster, tell: Callable[[str], object], kept: str
    ) -> None:
        self.ray, self.tell, self.kept = ray, tell, kept
        self.places = cluster.places(ray)
        if not self.places.count:
            raise cluster.none()
        self.cluster = replace(cluster, device=self.places.device)  # whatever comes and goes
        self.fresh: deque[Ticket[Item]] = deque()
        self.suspects: deque[Ticket[Item]] = deque()  # over which workers died
        self.members: list[Member[Item]] = []
        self.starting: dict[Any, Member[Item]] = {}
        self.working: dict[Any, tuple[Member[Item], Ticket[Item]]] = {}
        self.failed_starts = 0
        self.looked = -LOOK
        self.alone_since: float | None = None
        self.idle_since: float | None = monotonic()

    # What the work is

    @abstractmethod
    def hire(self, options: dict[str, Any], at_once: int) -> Any:
        """A worker in a process of its own, an actor of Ray that can say `ready`."""

    @abstractmethod
    def begin(self, member: Member[Item], ticket: Ticket[Item]) -> Any:
        """Let a worker do an item; what Ray refers to its end by."""

    @abstractmethod
    def result(self, ticket: Ticket[Item], ended: Any) -> Result:
        """What becomes of an item, of what its worker has said at its end."""

    def name(self, item: Item) -> str:
        """What it is called where something is said of it."""
        return str(item)

    @abstractmethod
    def failed(self, ticket: Ticket[Item], why: str) -> Result:
        """What becomes of an item over which so many workers died that no other one may."""

    def run(self, items: Sequence[Item]) -> Generator[Result, None, None]:
        """Until each item has its result; begun in their order."""
        fresh, suspects = self.fresh, self.suspects
        fresh.extend(map(Ticket, items))
        while fresh or suspects or self.working:
            self.look(len(fresh) + len(suspects) + len(self.working))
            for member in self.members:
                while fresh and member.takes(suspect=False):
                    self.give(member, fresh.popleft())
                # Those come last, and never two at once to a worker.
                if suspects and not fresh and member.takes(suspect=True):
                    self.give(member, suspects.popleft())
            refs = [*self.working, *self.starting]
            if not refs:  # no machine is left
                sleep(LOOK / 10)
                continue
            if self.ray.wait(refs, num_returns=1, timeout=LOOK)[0]:  # one, and all others by now
                ended, _ = self.ray.wait(refs, num_returns=len(refs), timeout=0)
            else:
                ended = []
            for ref in ended:
                if ref in self.starting:
                    self.started(ref)
                elif ref in self.working:
                    ticket, results = self.taken(ref)
                    if not results:
                        suspects.append(ticket)
                    yield from results

    # Workers

    def look(self, items: int) -> None:
        """As many workers as there are places now, and not more than items."""
        if monotonic() - self.looked < LOOK:
            return
        self.looked = monotonic()
        count = self.cluster.places(self.ray).count
        for _ in range(min(count, items) - len(self.members)):
            self.start()
        self.wait_for_machines(count)

    def wait_for_machines(self, count: int) -> None:
        """Say why nothing goes on, and end it when that lasts."""
        now = monotonic()
        if count or self.working:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = now
            self.tell("no machine is left in the cluster; waiting for another one")
        elif now - self.alone_since >= self.cluster.patience:
            raise WorkerError(
                f"no machine of the Ray cluster {self.cluster.address} is left; {self.kept}"
            )
        if any(member.ready for member in self.members):
            self.idle_since = None
        elif self.idle_since is not None and now - self.idle_since > self.cluster.patience:
            self.idle_since = None
            self.tell("no worker is ready yet; others may have the cores of the cluster")

    def start(self) -> None:
        """A worker, wherever there is a place."""
        most = self.places.at_once
        actor = self.hire({**self.places.resources, "max_restarts": 0}, most)
        member: Member[Item] = Member(actor, most * AHEAD if self.places.apart else most)
        self.members.append(member)
        self.starting[actor.ready.remote(__version__)] = member

    def started(self, ref: Any) -> None:
        """Take what a worker says that was started, or see that it died."""
        member = self.starting.pop(ref)
        try:
            problem = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            self.drop(member)
            self.failed_starts += 1
            if self.failed_starts >= STARTS:
                raise WorkerError(
                    f"workers of the Ray cluster {self.cluster.address} cannot start "
                    f"({_reason(error)}); install the same sgmse and its packages on all machines, "
                    "and see that memory suffices"
                ) from error
            return
        if problem is not None:
            raise problem
        member.ready, self.failed_starts = True, 0

    def drop(self, member: Member[Item]) -> None:
        """Do without a worker."""
        if member in self.members:
            self.members.remove(member)
            self.ray.kill(member.actor)
        self.looked = -LOOK  # there is a place again

    # Items

    def give(self, member: Member[Item], ticket: Ticket[Item]) -> None:
        """Let a worker do an item."""
        ref = self.begin(member, ticket)
        member.busy.append(ticket)
        self.working[ref] = member, ticket

    def taken(self, ref: Any) -> tuple[Ticket[Item], list[Result]]:
        """What became of an item; nothing if it is to be done again."""
        member, ticket = self.working.pop(ref)
        member.busy.remove(ticket)
        try:
            ended = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            ticket.deaths += 1
            if isinstance(error, self.ray.exceptions.RayActorError):
                self.drop(member)
            if ticket.deaths < self.cluster.attempts:
                self.tell(f"{self.name(ticket.item)}: {_reason(error)}; it is done again")
                return ticket, []
            why = f"{ticket.deaths} workers died over it, the last one since {_reason(error)}"
            return ticket, [self.failed(ticket, why)]
        return ticket, [self.result(ticket, ended)]

    def close(self) -> None:
        """End all work."""
        if self.ray.is_initialized():  # else the connection is lost, and Ray ends what was ours
            for member in self.members:
                self.ray.kill(member.actor)
            refs = list(self.working)
            for ref in refs if self.places.apart else []:
                self.ray.cancel(ref, force=True)
            if refs:  # each ends with an error, when its process has
                self.ray.wait(refs, num_returns=len(refs), timeout=10.0)


def _reason(error: BaseException) -> str:
    """Why a worker was lost, in a line, of the many that Ray has."""
    text = str(error)
    if "low on memory" in text:
        return "memory ran out"
    if "creation task" in text:
        return text.strip().splitlines()[-1]
    return "its machine was lost" if "node has died" in text else "its worker died"
