"""The page's server: on loopback, of one page, out of one folder, and of nothing else.

Gradio can do much more than this page asks of it: fetch addresses, answer for other machines, list
what it can do. A door before it lets in what the page needs, and tells the browser to ask no other
machine for anything.
"""

import json
import os
import re
import socket
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from sgmse._checks import is_loopback, number, whole
from sgmse._extras import imported, require as require_package
from sgmse.app.work import Limits, Models
from sgmse.errors import ArgumentError
from sgmse.plot import house
from sgmse.plot.spectra import picture

if TYPE_CHECKING:
    import uvicorn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
#: What the page asks its server for; all else is not there.
PATHS = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/(static|assets|svelte)/.*|"
    r"/gradio_api/(queue/(join|data)|run/predict|upload|upload_progress|heartbeat/\w+|startup-events|cancel|"
    r"reset/?|file=(?!\w+:)/.*)"
)
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's own, which is all there is
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}
LONGEST = 1 << 20  # bytes of a question of the page, files apart


@dataclass(frozen=True)
class Settings:
    """How a page is served.

    Args:
        host: the address to listen at; others than loopback let in whoever reaches this machine.
        port: where; the next free one is taken if it is not given and not free.
        model: one more model to offer, before those of the package.
        limits: what it takes at once.
        open_browser: show it.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    model: str | None = None
    limits: Limits = field(default_factory=Limits)
    open_browser: bool = False

    def __post_init__(self) -> None:
        if self.port is not None:
            whole("port", self.port, 0, 65535)
        for name in ("minutes", "megabytes"):
            number(name, getattr(self.limits, name), 0.001)

    @property
    def on_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return is_loopback(self.host)


def require() -> None:
    """Raise `MissingPackageError`, which names the remedy, unless the page can be served."""
    require_package("gradio", "the page", "app")
    house.require("the page", "app")


def serve(settings: Settings, say: Callable[[str], object] = print) -> None:
    """Serve the page until Ctrl-C; nothing of it is left on the disk then.

    Raises:
        ArgumentError: the address or port cannot be had.
        MissingPackageError: gradio is not installed.
        CheckpointError: there is no such model.
    """
    require()
    with running(settings) as (server, address, listening):
        say(f"the page is at {address} (Ctrl-C ends it)")
        if settings.open_browser:
            webbrowser.open(address)
        server.run(sockets=[listening])


@contextmanager
def running(settings: Settings) -> "Iterator[tuple[uvicorn.Server, str, socket.socket]]":
    """A server that is ready to run, its address, and the socket that it has; in its own folder."""
    with _listening(settings) as listening, TemporaryDirectory(prefix="sgmse-app-") as name:
        folder = Path(name).resolve()
        with _environment(folder):
            application = made(settings, folder)
        uvicorn: Any = imported("uvicorn", "the page", "app")
        config = uvicorn.Config(
            application, log_level="critical", access_log=False, timeout_graceful_shutdown=1
        )
        port = listening.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield uvicorn.Server(config), f"http://{host}:{port}/", listening


def made(settings: Settings, folder: Path) -> "Door":
    """The page behind its door, all of whose files lie in `folder`."""
    fastapi: Any = imported("fastapi", "the page", "app")
    gr: Any = imported("gradio", "the page", "app")
    from sgmse.app.page import build, head, theme

    models = Models(settings.model)
    models.draws(models.names[0])  # loads it: what is wrong with it is said now
    picture(np.ones((2, 2)), 1.0)  # and who comes first does not wait for Matplotlib
    inner = gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        build(models, settings.limits, folder),
        path="/",
        allowed_paths=[str(folder)],
        max_file_size=int(settings.limits.megabytes * 1e6),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        theme=theme(),
        head=head(),
    )
    hosts = {*LOOPBACK, settings.host} if settings.on_loopback else None
    return Door(inner, hosts, folder)


class Door:
    """Lets in what the page asks, from this machine's own pages; an ASGI application.

    Args:
        inner: what is behind it.
        hosts: names by which it may be called, None for any; other names are those of pages
            elsewhere that have found the way to this machine (DNS rebinding).
        folder: where what is behind it keeps its files.
    """

    def __init__(self, inner: App, hosts: set[str] | None, folder: Path) -> None:
        self.inner, self.hosts, self.folder = inner, hosts, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or say no."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.inner(scope, receive, send)
            return
        headers = {k.decode("latin1"): v.decode("latin1") for k, v in scope["headers"]}
        if why := self._refusal(scope["path"], headers):
            await _answer(send, *why)
            return
        if scope["path"] in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
            body = await _body(receive)
            if body is None or _asks_elsewhere(body):
                await _answer(send, 400, "no")
                return
            receive = _again(body, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.encode(): value.encode() for name, value in HEADERS.items()}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *own.items()]}
            await send(message)

        await self.inner(scope, receive, guarded)

    def _refusal(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and re.sub(r":\d+$", "", host) not in self.hosts:
            return 421, "this page is called by another name"
        origin = headers.get("origin", "")
        if origin and origin.partition("//")[2] != host:
            return 403, "this page answers itself only"
        return None if PATHS.fullmatch(path) else (404, "not here")


async def _answer(send: Send, code: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def _body(receive: Receive) -> bytes | None:
    """All that is sent; None if it is too long."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > LONGEST or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The same body for whoever asks next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _asks_elsewhere(body: bytes) -> bool:
    """Whether a question names a file by an address, which Gradio would fetch."""
    try:
        left = [json.loads(body)]
    except ValueError:
        return True
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if re.match(r"\s*\w+:", str(value.get("path", ""))):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the port that is asked for, or at the first free one from 7860 on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    ports = range(7860, 7880) if settings.port is None else [settings.port]
    for port in ports:
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, port))
            listening.listen(128)
        except OSError as error:
            listening.close()
            if port == ports[-1]:
                where = f"{settings.host}:{port}"
                raise ArgumentError(f"{where}: {error.strerror}; choose another --port") from error
            continue
        with listening:
            yield listening
        return


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What Gradio reads when it is loaded: where it keeps files, and that it calls nobody."""
    wanted = {
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
