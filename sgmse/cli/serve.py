"""Clean sound over WebSockets, for programs and pages: a stream for each connection.

A connection says once what it sends, {"type": "start", "coding": "s16", "rate": 48000}, and is told
the latency. Then for each message of samples it gets one of as many samples, later by that, and for
{"type": "flush"} the rest. Who sends faster than the model works, or does not read, is slowed. An
interrupt gives each connection its rest; a second one ends at once.

examples:
  sgmse serve                                  at ws://127.0.0.1:8765
  sgmse serve --threads 4 --connections 8
  sgmse serve --origin https://example.org     scripts of that site may connect, too
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sgmse._extras import require
from sgmse.cli import console
from sgmse.cli.options import Commands, command, count, positive, whole
from sgmse.cli.streaming import Ending, enhancer_of, model

if TYPE_CHECKING:
    from sgmse.live import Server

STATUS = 0.5  # seconds from one status line to the next


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "serve", run, __doc__)
    parser.quiet("errors")
    parser.group("where")
    parser.value("--port", "N", "to listen at, 0 for any that is free", whole, default=8765)
    parser.value(
        "--host",
        "ADDRESS",
        "to listen at; another one than loopback lets in whoever reaches this machine",
        default="127.0.0.1",
    )
    parser.values(
        "--origin",
        "ORIGIN",
        "of pages whose scripts may connect, such as https://example.org (default: of none; "
        "programs that are no browsers may)",
        dest="origins",
    )
    parser.group("limits")
    parser.value("--connections", "N", "at once (default: as many as threads)", count)
    parser.value("--threads", "N", "that enhance, of a core each (default: one a core)", count)
    parser.value(
        "--idle",
        "SECONDS",
        "after which a connection ends that says nothing, or does not read",
        positive,
        default=60.0,
    )
    parser.value("--max-kilobytes", "N", "of a message", count, default=1024)
    parser.group("model")
    model(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until somebody ends it."""
    require("websockets", "sgmse serve", "serve")
    threads = options.threads or _cores()
    from sgmse.live import Limits, Place, Server

    place = Place(options.host, options.port, tuple(options.origins))
    connections = options.connections or threads
    limits = Limits(connections, threads, options.idle, 1024 * options.max_kilobytes)
    enhancer = enhancer_of(options, 1)
    said = (lambda line: None) if options.quiet else console.warn
    server = Server(enhancer, place, limits, said)
    if not place.on_loopback:
        console.warn(f"{place.host} is no loopback address: whoever reaches it can connect")
    hidden = True if options.quiet else None  # None: where stderr is no terminal
    with tqdm(bar_format="{desc}", disable=hidden, leave=False, file=sys.stderr) as bar:
        asyncio.run(_served(server, bar, options.quiet))
    raise KeyboardInterrupt("the server has ended")


async def _served(server: "Server", bar: "tqdm[Any]", quiet: bool) -> None:
    """Listen until that is to end, and say how it is."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    with Ending(lambda: loop.call_soon_threadsafe(end.set)):
        async with server:
            if not quiet:
                console.say(f"listening at {server.address} (Ctrl-C ends it)")
            worked, then = server.seconds, perf_counter()
            while not end.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(end.wait(), STATUS if not bar.disable else None)
                now = perf_counter()
                load = (server.seconds - worked) / (now - then) / server.limits.threads
                worked, then = server.seconds, now
                count, most = server.connections, server.limits.connections
                bar.set_description_str(f"{count} of {most} connections, load {load:.0%}")


def _cores() -> int:
    """Those that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
