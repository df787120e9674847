"""Jobs given to the workers of a cluster, and given again where a worker is lost.

A job is with one worker at a time. When that dies, whatever it had goes back and is done by another
one, after all others and alone, so that who kills workers is found; after `Cluster.attempts` deaths
a job has failed. Machines that join get workers, those that leave are done without.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from typing import Any

from sgmse import __version__
from sgmse._files import is_part
from sgmse.corpus.cluster import Cluster, Places
from sgmse.corpus.jobs import STANDARD, Job, Outcome
from sgmse.corpus.settings import Settings
from sgmse.corpus.workers import Done, Station, Worker, decode, encode, fits
from sgmse.enhancer import Enhancer, Progress
from sgmse.errors import ArgumentError, SgmseError, WorkerError

LOOK = 2.0  # seconds between looks at the machines
STARTS = 3  # workers that may die before they work, one after the other
AHEAD = 2  # times as many recordings as are enhanced are read and written meanwhile


@dataclass(eq=False)
class _Ticket:
    """A job, and how many workers died over it."""

    job: Job
    deaths: int = 0


@dataclass(eq=False)
class _Member:
    """A worker, what it was given, and whether it has said that it is ready."""

    actor: Any
    most: int
    ready: bool = False
    busy: list[_Ticket] = field(default_factory=list)

    def takes(self, suspect: bool) -> bool:
        """Whether it may be given one more; of those over which others died, one alone."""
        if not self.ready or any(ticket.deaths for ticket in self.busy):
            return False
        return not self.busy if suspect else len(self.busy) < self.most


def run_on_cluster(
    jobs: Sequence[Job],
    enhancer: Enhancer,
    cluster: Cluster | None = None,
    settings: Settings | None = None,
    *,
    progress: Progress = lambda seconds: None,
    tell: Callable[[str], object] = lambda text: None,
) -> Generator[Outcome, None, None]:
    """Do the jobs on the machines of a cluster, and yield what became of each as it ends.

    Files are read and written there, so that all machines need them under the same names. Results
    are those of `enhancer.enhance_file` on one machine, whatever worker dies and however often a
    job is done; each is yielded once. Closing the iterator, which Ctrl-C does too, ends all work.

    Args:
        jobs: what to do, from files to files; long recordings are done first.
        enhancer: on the CPU; each worker has a copy.
        cluster: the machines; this one alone if absent.
        settings: of all results; those that `enhance_file` has by itself if absent.
        progress: called with seconds done; they add up to the length of the jobs.
        tell: called with a line where it should be known why work stands still or is done again.

    Raises:
        MissingPackageError: Ray is not installed.
        ArgumentError: no cluster at the address; jobs from stdin or to stdout.
        WorkerError: no machine has a place for a worker, workers cannot start, or the last machine
            is gone for longer than `cluster.patience`.
    """
    if any(job.opened is not None or job.target in (None, STANDARD) for job in jobs):
        raise ArgumentError("a cluster works from files to files; name them")
    cluster, settings = cluster or Cluster(), settings or Settings()
    with cluster.connected() as ray:
        places = cluster.places(ray)
        if not places.count:
            raise cluster.none()
        same = replace(cluster, device=places.device)  # whatever machines come and go
        dispatch = _Dispatch(ray, same, places, enhancer, settings, tell)
        with _connection_named(ray, same), closing(dispatch):
            for outcome in dispatch.run(jobs):
                progress(outcome.job.seconds)  # that of a shard is known by now
                yield outcome


@contextmanager
def _connection_named(ray: ModuleType, cluster: Cluster) -> Iterator[None]:
    """Say that the cluster cannot be reached any more, where that is why something failed."""
    try:
        yield
    except Exception as error:
        if isinstance(error, SgmseError) or ray.is_initialized():
            raise
        raise WorkerError(
            f"the connection to the Ray cluster {cluster.address} is lost; what is done is kept, "
            "and --skip-existing goes on"
        ) from error


class _Dispatch:
    """Who does what at the moment."""

    def __init__(
        self,
        ray: ModuleType,
        cluster: Cluster,
        places: Places,
        enhancer: Enhancer,
        settings: Settings,
        tell: Callable[[str], object],
    ) -> None:
        self.ray, self.cluster, self.places = ray, cluster, places
        self.settings, self.tell = settings, tell
        threads = max(1, places.cores)
        self.station = Station(Path.cwd(), places.device, threads, cluster.backend)
        self.enhancer = ray.put(enhancer)
        self.fresh: deque[_Ticket] = deque()
        self.suspects: deque[_Ticket] = deque()  # over which workers died
        self.members: list[_Member] = []
        self.starting: dict[Any, _Member] = {}
        self.working: dict[Any, tuple[_Member, _Ticket]] = {}
        self.failed_starts = 0
        self.looked = -LOOK
        self.alone_since: float | None = None
        self.idle_since: float | None = monotonic()
        self.decode = ray.remote(num_cpus=1)(decode)
        self.encode = ray.remote(num_cpus=1)(encode)

    def run(self, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        """Until each job has its outcome."""
        fresh, suspects = self.fresh, self.suspects
        by_length = sorted(jobs, key=lambda job: -job.seconds)  # stable, so else in their order
        fresh.extend(map(_Ticket, by_length))
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
                    ticket, outcome = self.taken(ref)
                    if outcome is None:
                        suspects.append(ticket)
                    else:
                        yield outcome

    # Workers

    def look(self, jobs: int) -> None:
        """As many workers as there are places now, and not more than jobs."""
        if monotonic() - self.looked < LOOK:
            return
        self.looked = monotonic()
        count = self.cluster.places(self.ray).count
        for _ in range(min(count, jobs) - len(self.members)):
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
                f"no machine of the Ray cluster {self.cluster.address} is left; what is done is "
                "kept, and --skip-existing goes on"
            )
        if any(member.ready for member in self.members):
            self.idle_since = None
        elif self.idle_since is not None and now - self.idle_since > self.cluster.patience:
            self.idle_since = None
            self.tell("no worker is ready yet; others may have the cores of the cluster")

    def start(self) -> None:
        """A worker, wherever there is a place."""
        options = {**self.places.resources, "max_restarts": 0}
        most = self.places.at_once
        actor = (
            self.ray.remote(**options)(Worker)
            .options(max_concurrency=most)
            .remote(self.enhancer, self.station)
        )
        member = _Member(actor, most * AHEAD if self.places.apart else most)
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

    def drop(self, member: _Member) -> None:
        """Do without a worker."""
        if member in self.members:
            self.members.remove(member)
            self.ray.kill(member.actor)
        self.looked = -LOOK  # there is a place again

    # Jobs

    def give(self, member: _Member, ticket: _Ticket) -> None:
        """Let a worker do a job, and perhaps others a part of it."""
        # One that died may have written the result and not said so: it is made again, the same.
        settings = replace(self.settings, overwrite=self.settings.overwrite or ticket.deaths > 0)
        job = ticket.job
        if self.places.apart and fits(job):
            sound = self.decode.remote(job, self.station)
            made = member.actor.enhance_sound.remote(job, settings, sound)
            ref = self.encode.remote(job, settings, self.station, made)
        else:
            ref = member.actor.enhance.remote(job, settings)
        member.busy.append(ticket)
        self.working[ref] = member, ticket

    def taken(self, ref: Any) -> tuple[_Ticket, Outcome | None]:
        """What became of a job; none if it is to be done again."""
        member, ticket = self.working.pop(ref)
        member.busy.remove(ticket)
        try:
            done: Done = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            ticket.deaths += 1
            if isinstance(error, self.ray.exceptions.RayActorError):
                self.drop(member)
            if ticket.deaths < self.cluster.attempts:
                self.tell(f"{ticket.job.source}: {_reason(error)}; it is done again")
                return ticket, None
            why = f"{ticket.deaths} workers died over it, the last one since {_reason(error)}"
            done = Done(WorkerError(f"{why}; see whether memory suffices"))
        if ticket.deaths:
            _clear(ticket.job)
        return ticket, Outcome.of(ticket.job, done.error, done.warnings, done.elapsed, done.made)

    def close(self) -> None:
        """End all work; what was under way leaves nothing behind."""
        if self.ray.is_initialized():  # else the connection is lost, and Ray ends what was ours
            for member in self.members:
                self.ray.kill(member.actor)
            refs = list(self.working)
            for ref in refs if self.places.apart else []:
                self.ray.cancel(ref, force=True)
            if refs:  # each ends with an error, when its process has
                self.ray.wait(refs, num_returns=len(refs), timeout=10.0)
        for ticket in (*self.suspects, *(ticket for _, ticket in self.working.values())):
            _clear(ticket.job)


def _clear(job: Job) -> None:
    """Take away hidden parts of a result, which a worker that died has left."""
    for path in (job.target, job.picture):
        if path is not None and path.parent.is_dir():
            for part in path.parent.glob(".*.part"):
                if is_part(part, path.name):
                    part.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    """Why a worker was lost, in a line, of the many that Ray has."""
    text = str(error)
    if "low on memory" in text:
        return "memory ran out"
    if "creation task" in text:
        return text.strip().splitlines()[-1]
    return "its machine was lost" if "node has died" in text else "its worker died"
