"""A WebSocket server: a stream for each connection, one model for all (extra `serve`).

    async with Server(sgmse.load(quality="fast")) as server:
        print(server.address)
        await asyncio.Future()

What is said is in `sgmse.live._session`. A message is answered before the next one is read, so that
who sends faster than the work is done, or does not read, waits: what is held of a connection is
`QUEUE` messages, one that is worked on, and its stream. Work is done by threads in turns of
`TURN` seconds of sound. What cannot be is told as {"type": "error", "message": ...} before the
connection is closed.
"""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import torch

from sgmse._checks import an
from sgmse._extras import imported
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, SgmseError
from sgmse.live._frames import shared
from sgmse.live._limits import Limits, Place
from sgmse.live._session import ENDED, FAILED, NOT_ALLOWED, TOO_MANY, Refused, Session
from sgmse.live._stream import Stream

if TYPE_CHECKING:
    from websockets.asyncio.server import Server as Listening, ServerConnection
    from websockets.http11 import Request, Response

T = TypeVar("T")

QUEUE = 4  # messages that wait in a connection, before it is read no further
OPENING = 10.0  # seconds in which a connection has to open
CLOSING = 5.0  # seconds in which a connection has to close
GRACE = 10.0  # seconds in which connections have to take their rest, when the server ends
SPARE = 16  # connections beyond the limit that are told so at the same time


class Server:
    """Listens while its block lasts; at the end each connection gets its rest, and is told so.

    Args:
        enhancer: which all streams share.
        place: where it listens.
        limits: what it takes.
        say: is told in a line of connections that are refused or fail.

    Raises:
        MissingPackageError: websockets is not installed.
        ArgumentError: the address cannot be had.
    """

    def __init__(
        self,
        enhancer: Enhancer,
        place: Place | None = None,
        limits: Limits | None = None,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        an("enhancer", enhancer, Enhancer, "sgmse.load()")
        self.enhancer, self.say = shared(enhancer), say
        self.place, self.limits = place or Place(), limits or Limits()
        self._websockets: Any = imported("websockets.asyncio.server", "the server", "serve")
        self._closed: Any = imported("websockets.exceptions", "the server", "serve")
        self.seconds = 0.0  # that the threads have worked
        self._open: dict[ServerConnection, asyncio.Timeout | None] = {}
        self._told = 0  # connections that are being refused
        self._ending = False

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._open)

    @property
    def address(self) -> str:
        """Of the server, as clients take it."""
        host, port, *_ = self._listening.sockets[0].getsockname()
        return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"

    async def __aenter__(self) -> Self:
        self._ending = False
        self._pool = ThreadPoolExecutor(self.limits.threads, "sgmse-serve", _one_core)
        try:
            await self._listen()
        except BaseException:  # after which nobody leaves the block
            self._pool.shutdown(cancel_futures=True)
            raise
        return self

    async def _listen(self) -> None:
        await self._warm()
        listening = self._websockets.serve(
            self._connected,
            self.place.host,
            self.place.port,
            process_request=self._unwanted,
            compression=None,  # which gains nothing of samples, and whose tables take memory
            # A pong would wait behind the messages of who is slowed; `idle` ends who is gone.
            ping_interval=None,
            open_timeout=OPENING,
            close_timeout=CLOSING,
            max_size=self.limits.message,
            max_queue=QUEUE,
            server_header=None,
            logger=_SILENT,
        )
        try:
            self._listening: Listening = await listening
        except (OSError, OverflowError) as error:  # which names ways of Python to say it
            raise ArgumentError(
                f"cannot listen at {self.place.host}, port {self.place.port}: "
                f"{_plainly(error)}; take another host or port"
            ) from error

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        self._listening.close(close_connections=False)
        for waiting in self._open.values():
            if waiting is not None and not waiting.expired():
                waiting.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(GRACE):
                await self._listening.wait_closed()
        except TimeoutError:
            self.say(f"{len(self._open)} connections did not take their rest in {GRACE:g} s")
            for socket in list(self._open):
                socket.transport.abort()
            await self._listening.wait_closed()
        self._pool.shutdown()

    async def _warm(self) -> None:
        """Start all threads, with what takes longer the first time, before somebody waits."""
        ready = threading.Barrier(self.limits.threads)  # an idle thread would take the next one

        def work() -> None:
            rate = self.enhancer.front.sample_rate
            try:
                stream = Stream(self.enhancer, rate)
                noise = np.random.default_rng(0).standard_normal(2 * stream.due, np.float32)
                with suppress(SgmseError):  # which who comes is told
                    stream.whole(0.01 * noise)
            except BaseException:
                ready.abort()  # or the others would wait for this one
                raise
            with suppress(threading.BrokenBarrierError):  # by one that says why
                ready.wait()

        await asyncio.gather(*(self._work(work) for _ in range(self.limits.threads)))

    def _unwanted(self, socket: "ServerConnection", request: "Request") -> "Response | None":
        """What is answered to a page that is not wanted, or to too many at once."""
        for origin in request.headers.get_all("Origin"):
            if origin.lower() not in map(str.lower, self.place.origins):
                self.say(f"a page of {origin} was refused; --origin {origin} would let it in")
                return socket.respond(
                    HTTPStatus.FORBIDDEN, "pages of this origin are not let in, see --origin\n"
                )
        if self._told >= SPARE:
            return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
        return None

    async def _connected(self, socket: "ServerConnection") -> None:
        """From the first message to the last."""
        most = self.limits.connections
        try:
            if len(self._open) >= most:
                text = f"there are {most} connections already, which is the limit; try again later"
                self._told += 1
                try:
                    await self._refuse(socket, Refused(TOO_MANY, text))
                finally:
                    self._told -= 1
                return
            self._open[socket] = None
            await self._converse(socket)
        except self._closed.ConnectionClosed:
            pass  # by who has enough of it, or is gone
        except Refused as error:
            with suppress(self._closed.ConnectionClosed):
                await self._refuse(socket, error)
        except Exception as error:  # of one connection, and the others go on
            self.say(f"{_peer(socket)}: {type(error).__name__}: {error}")
            with suppress(self._closed.ConnectionClosed):
                await self._tell(socket, "this is a fault of the server", FAILED)
        finally:
            self._open.pop(socket, None)

    async def _converse(self, socket: "ServerConnection") -> None:
        """Answer each message."""
        session = Session(self.enhancer)
        while (message := await self._next(socket)) is not None:
            if isinstance(message, str):
                for answer in await self._work(session.told, message):
                    await self._send(socket, answer)
                continue
            parts = []
            for part in session.turns(message):
                if session.light(part):  # to a thread and back would take longer
                    parts.append(session.heard(part))
                else:
                    parts.append(await self._work(session.heard, part))
                if socket.close_code is not None:
                    return  # nobody waits for the others
            await self._send(socket, b"".join(parts))
        if session.begun:
            for answer in await self._work(session.rest):
                await self._send(socket, answer)
        await self._close(socket, ENDED, "the server ends")

    async def _next(self, socket: "ServerConnection") -> str | bytes | None:
        """The next message; None if there is to be none. Raises `Refused`."""
        if self._ending:
            return None
        try:
            async with asyncio.timeout(self.limits.idle) as self._open[socket]:
                message: str | bytes = await socket.recv()
                return message
        except TimeoutError:
            if self._ending:
                return None
            text = f"nothing came for {self.limits.idle:g} s"
            raise Refused(NOT_ALLOWED, text) from None
        finally:
            self._open[socket] = None

    async def _send(self, socket: "ServerConnection", answer: str | bytes) -> None:
        """Hand it over; who does not take it is cut off."""
        try:
            async with asyncio.timeout(self.limits.idle):
                await socket.send(answer)
        except TimeoutError:
            self.say(f"{_peer(socket)}: does not read for {self.limits.idle:g} s, and is cut off")
            socket.transport.abort()
            await socket.wait_closed()

    async def _work(self, function: Callable[..., T], *values: Any) -> T:
        """What a thread makes of it."""

        def timed() -> tuple[T, float]:
            start = perf_counter()
            return function(*values), perf_counter() - start

        made, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, timed)
        self.seconds += seconds
        return made

    async def _refuse(self, socket: "ServerConnection", why: Refused) -> None:
        self.say(f"{_peer(socket)}: {why}")
        await self._tell(socket, str(why), why.code)

    async def _tell(self, socket: "ServerConnection", text: str, code: int) -> None:
        """Say why, in full and with the close code."""
        await self._send(socket, json.dumps({"type": "error", "code": code, "message": text}))
        await self._close(socket, code, text)

    async def _close(self, socket: "ServerConnection", code: int, text: str) -> None:
        short = text.encode()[:120].decode(errors="ignore")  # of the 123 bytes that it may have
        try:
            async with asyncio.timeout(CLOSING + 1):
                await socket.close(code, short)
        except TimeoutError:  # what was sent before is not read
            socket.transport.abort()


def _one_core() -> None:
    """Of a thread: others work beside it."""
    torch.get_num_threads()  # the first question sets a thread to the number of all threads
    torch.set_num_threads(1)


def _peer(socket: "ServerConnection") -> str:
    address = socket.remote_address
    return f"{address[0]}:{address[1]}" if address else "a connection"


#: What goes wrong with a connection is the client's to see, and `say`'s.
_SILENT = logging.getLogger("sgmse.live.server")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def _plainly(error: OSError | OverflowError) -> str:
    """Why an address is not to be had, in the words of the system."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error)
