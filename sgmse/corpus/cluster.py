"""The machines of a Ray cluster, and how many workers find a place there."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from sgmse._checks import kinds
from sgmse._extras import imported
from sgmse.errors import ArgumentError, WorkerError
from sgmse.export import Backend

LOCAL, AUTO = "local", "auto"
CLIENT = "ray://"
REACHED = 5.0  # seconds in which a machine answers, if it does


@dataclass(frozen=True)
class Cluster:
    """The machines that work, and how each is shared.

    Args:
        address: "local" for the cores of this machine, "auto" for the Ray cluster that it belongs
            to, "HOST:PORT" of the head of that cluster, "ray://HOST:PORT" for one that it does not
            belong to.
        device: "cuda" for a worker on each GPU, "cpu" for workers on cores; if absent, the first
            where there is a GPU in the cluster, else the second.
        backend: what computes the network of a worker without a GPU; see
            `sgmse.export.accelerated`. Its graphs are made on each machine.
        cores: of each worker without a GPU.
        at_once: recordings that a worker does at the same time; one on cores and 16 on a GPU if
            absent.
        apart: whether files are read and written by tasks of their own, on whichever machine has a
            free core; if absent, where workers have GPUs, which files would keep waiting.
        attempts: workers that may die over a recording before it is given up.
        patience: seconds to wait for a machine when the last one is gone.
    """

    address: str = LOCAL
    device: Literal["cpu", "cuda"] | None = None
    backend: Backend = "torch"
    cores: int = 1
    at_once: int | None = None
    apart: bool | None = None
    attempts: int = 3
    patience: float = 60.0

    def __post_init__(self) -> None:
        kinds(self)
        for name in ("cores", "at_once", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"{name} must be at least 1, not {value}")
        if not self.patience >= 0:
            raise ArgumentError(f"patience must be a number of seconds, not {self.patience}")
        if self.backend != "torch" and self.device == "cuda":
            raise ArgumentError(
                f"backend {self.backend!r} computes on the CPU; use --device cpu, or leave it out"
            )
        if self.address not in (LOCAL, AUTO):
            self._host_and_port()

    def _host_and_port(self) -> tuple[str, int]:
        host, _, port = self.address.removeprefix(CLIENT).rpartition(":")
        if not host or not port.isdecimal() or "/" in host or int(port) > 0xFFFF:
            raise ArgumentError(
                f"{self.address!r} is no address of a Ray cluster; use local, auto, HOST:PORT of "
                "its head or ray://HOST:PORT"
            )
        return host.strip("[]"), int(port)

    def check(self) -> None:
        """See at once whether Ray is installed and somebody answers at the address.

        Raises:
            MissingPackageError: Ray is not installed.
            ArgumentError: nobody answers.
        """
        _ray()
        if self.address in (LOCAL, AUTO):
            return
        try:
            socket.create_connection(self._host_and_port(), REACHED).close()
        except OSError as error:
            port = "10001" if self.address.startswith(CLIENT) else "6379"
            raise ArgumentError(
                f"no Ray cluster answers at {self.address} ({error.strerror or error}); check the "
                f"address (the port is usually {port}), or start one there: ray start --head"
            ) from error

    @contextmanager
    def connected(self) -> Iterator[ModuleType]:
        """Ray, connected to the cluster; a connection that this program has already is kept.

        Raises:
            MissingPackageError, ArgumentError: as `check`, and what Ray says.
        """
        ray = _ray()
        if ray.is_initialized():
            with _silent(ray):
                yield ray
            return
        self.check()
        # Threads of torch that wait for each other leave the cores to others meanwhile.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            with _own_ends():
                if self.address == LOCAL:
                    ray.init("local", include_dashboard=False, **quiet)
                else:
                    ray.init(self.address, **quiet)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            why = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ArgumentError(
                f"no Ray cluster can be used at {self.address} ({why.rstrip('.')}); use "
                "ray://HOST:10001 from a machine that is not in it, or --ray local"
            ) from error
        try:
            with _silent(ray):
                yield ray
        finally:
            ray.shutdown()

    def places(self, ray: ModuleType) -> "Places":
        """How many workers the machines that are there have room for."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        if self.device == "cuda" or (self.device is None and gpus and self.backend == "torch"):
            return Places(gpus, "cuda", 0, self.apart is not False, self.at_once or 16)
        apart = self.apart is True
        # A core of each machine is left to who reads and writes.
        free = [int(node.get("CPU", 0)) - apart for node in nodes]
        count = sum(max(0, cores // self.cores) for cores in free)
        return Places(count, "cpu", self.cores, apart, self.at_once or 1)

    def none(self) -> WorkerError:
        """What to do about machines that have no place for a worker."""
        if self.device == "cuda":
            return WorkerError(f"the Ray cluster {self.address} has no GPU; use --device cpu")
        need = f"{self.cores} core{'s' * (self.cores > 1)}"
        need += " beside one for reading and writing" if self.apart else ""
        return WorkerError(
            f"the Ray cluster {self.address} has no machine with {need} for a worker; use fewer "
            "cores for each (--threads 1), or add a machine"
        )


@dataclass(frozen=True)
class Places:
    """Room for workers: how many, on which device, with how many cores and recordings each."""

    count: int
    device: Literal["cpu", "cuda"]
    cores: int
    apart: bool
    at_once: int

    @property
    def resources(self) -> dict[str, Any]:
        """What Ray keeps for a worker. Beside a GPU its threads mostly wait for that."""
        gpu = {"num_gpus": 1, "num_cpus": 0}
        return gpu if self.device == "cuda" else {"num_cpus": self.cores}


def _ray() -> ModuleType:
    return imported("ray", "a Ray cluster", "ray")


@contextmanager
def _own_ends() -> Iterator[None]:
    """A request to end is heard as before: Ray would answer it by a crash."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _silent(ray: ModuleType) -> Iterator[None]:
    """What Ray tells of its processes stays in its logs: it would go to stdout, among results."""
    worker = imported("ray._private.worker", "a Ray cluster", "ray")
    before = vars(worker).get("_worker_logs_enabled", True)
    vars(worker)["_worker_logs_enabled"] = False
    try:
        yield
    finally:
        vars(worker)["_worker_logs_enabled"] = before
