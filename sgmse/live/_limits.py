"""Where a server listens, and what it takes."""

import re
from dataclasses import dataclass

from sgmse._checks import is_loopback, kinds, number, whole
from sgmse.errors import ArgumentError

PORT = 8765


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Args:
        connections: at once; others are told to try again later.
        threads: that enhance, of one core each.
        idle: seconds after which a connection ends that says nothing, or does not read.
        message: bytes of a message.
    """

    connections: int = 8
    threads: int = 1
    idle: float = 60.0
    message: int = 1 << 20

    def __post_init__(self) -> None:
        kinds(self)
        whole("connections", self.connections, 1)
        whole("threads", self.threads, 1)
        number("idle", self.idle, 0.001)
        whole("message", self.message, 1024)


@dataclass(frozen=True)
class Place:
    """Where a server listens, and which pages may reach it.

    Args:
        host: another one than loopback lets in whoever reaches this machine.
        port: 0 for any that is free.
        origins: of pages whose scripts may connect, such as "https://example.org"; by default none
            may, as any page that is open in a browser reaches what listens on its machine. Programs
            that are no browsers say none, and are let in.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds(self)
        whole("port", self.port, 0, 65535)
        for origin in self.origins:
            if not re.fullmatch(r"null|[a-z][a-z0-9+.-]*://[^/\s]+", origin):
                raise ArgumentError(
                    f"an origin is as https://example.org, without a path, or null, not {origin!r}"
                )

    @property
    def on_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return is_loopback(self.host)
