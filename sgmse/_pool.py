"""Where items are worked on when that is not in this process: other machines, say.

What spreads work over processes takes a `Pool` in place of their number. `sgmse.corpus.workers_of`
has one of the machines of a Ray cluster.
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# What else than the work itself ends a process: the system where memory is short, and people.
KILLED = {getattr(signal, name, None) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")}


@dataclass(frozen=True)
class Death:
    """How a worker process ended over an item; as text by what: "SIGSEGV", "exit code 3".

    Args:
        exitcode: of a process of this machine.
        elsewhere: what is known of one of another machine, of which there is no exit code.
    """

    exitcode: int | None
    elsewhere: str = ""

    @property
    def by_system(self) -> bool:
        """Whether the process was killed, as for want of memory, and not by what it did itself.

        Of another machine that is not known, and taken to be so: the item may be tried again.
        """
        if self.elsewhere:
            return True
        return self.exitcode is not None and -self.exitcode in KILLED

    def __str__(self) -> str:
        if self.elsewhere:
            return self.elsewhere
        try:
            return signal.Signals(-(self.exitcode or 0)).name
        except ValueError:
            return f"exit code {self.exitcode}"


class Pool(ABC):
    """Workers that do items, each one at a time, in an order of their own."""

    @property
    @abstractmethod
    def processes(self) -> int:
        """How many there are, as far as that is known; at least 1."""

    @abstractmethod
    def map_unordered(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        died: Callable[[Item, Death], Result] | None = None,
    ) -> Generator[tuple[Item, Result], None, None]:
        """(item, function(item)) of each item, as they are done; closing it ends all work.

        Args:
            function: can be pickled, as are items and results; what it raises is raised here.
            items: which differ from each other.
            died: gives the result of an item over which workers died; an error if absent.
        """
