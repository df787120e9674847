"""Jobs given to the workers of a cluster: see `sgmse.corpus.crew`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from typing_extensions import override

from sgmse._files import is_part
from sgmse.corpus.cluster import Cluster
from sgmse.corpus.crew import Crew, Member, Ticket, connection_named
from sgmse.corpus.jobs import STANDARD, Job, Outcome
from sgmse.corpus.settings import Settings
from sgmse.corpus.workers import Done, Station, Worker, decode, encode, fits
from sgmse.enhancer import Enhancer, Progress
from sgmse.errors import ArgumentError, WorkerError

KEPT = "what is done is kept, and --skip-existing goes on"


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
        dispatch = _Dispatch(ray, cluster, enhancer, settings, tell)
        by_length = sorted(jobs, key=lambda job: -job.seconds)  # stable, so else in their order
        with connection_named(ray, cluster, KEPT), closing(dispatch):
            for outcome in dispatch.run(by_length):
                progress(outcome.job.seconds)  # that of a shard is known by now
                yield outcome


class _Dispatch(Crew[Job, Outcome]):
    """Who does which job at the moment."""

    def __init__(
        self,
        ray: ModuleType,
        cluster: Cluster,
        enhancer: Enhancer,
        settings: Settings,
        tell: Callable[[str], object],
    ) -> None:
        super().__init__(ray, cluster, tell, KEPT)
        self.settings = settings
        threads = max(1, self.places.cores)
        self.station = Station(Path.cwd(), self.places.device, threads, cluster.backend)
        self.enhancer = ray.put(enhancer)
        self.decode = ray.remote(num_cpus=1)(decode)
        self.encode = ray.remote(num_cpus=1)(encode)

    @override
    def hire(self, options: dict[str, Any], at_once: int) -> Any:
        worker = self.ray.remote(**options)(Worker).options(max_concurrency=at_once)
        return worker.remote(self.enhancer, self.station)

    @override
    def begin(self, member: Member[Job], ticket: Ticket[Job]) -> Any:
        """Let a worker do a job, and perhaps others a part of it."""
        # One that died may have written the result and not said so: it is made again, the same.
        settings = replace(self.settings, overwrite=self.settings.overwrite or ticket.deaths > 0)
        job = ticket.item
        if not (self.places.apart and fits(job)):
            return member.actor.enhance.remote(job, settings)
        sound = self.decode.remote(job, self.station)
        made = member.actor.enhance_sound.remote(job, settings, sound)
        return self.encode.remote(job, settings, self.station, made)

    @override
    def result(self, ticket: Ticket[Job], ended: Done) -> Outcome:
        if ticket.deaths:
            _clear(ticket.item)
        return Outcome.of(ticket.item, ended.error, ended.warnings, ended.elapsed, ended.made)

    @override
    def name(self, item: Job) -> str:
        return str(item.source)

    @override
    def failed(self, ticket: Ticket[Job], why: str) -> Outcome:
        return self.result(ticket, Done(WorkerError(f"{why}; see whether memory suffices")))

    @override
    def close(self) -> None:
        """End all work; what was under way leaves nothing behind."""
        super().close()
        for ticket in (*self.suspects, *(ticket for _, ticket in self.working.values())):
            _clear(ticket.item)


def _clear(job: Job) -> None:
    """Take away hidden parts of a result, which a worker that died has left."""
    for path in (job.target, job.picture):
        if path is not None and path.parent.is_dir():
            for part in path.parent.glob(".*.part"):
                if is_part(part, path.name):
                    part.unlink(missing_ok=True)
