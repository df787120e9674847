"""The door before the page: what it lets in, and what it tells the browser."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from sgmse.app.server import PATHS, Door, Settings, _listening, require
from sgmse.errors import ArgumentError, MissingPackageError


def answer(path: str = "/", body: object = None, **headers: str) -> tuple[int, dict, list]:
    """Status and headers of an answer, and what came through the door."""
    came, sent = [], []
    content = b"" if body is None else json.dumps(body).encode()

    async def inner(scope, receive, send):
        came.append((scope["path"], (await receive())["body"]))
        headers = [(b"Content-Type", b"text/html"), (b"Content-Security-Policy", b"none")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"page"})

    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message):
        sent.append(message)

    every = {"host": "127.0.0.1:7860", **headers}
    scope = {
        "type": "http",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in every.items()],
    }
    asyncio.run(Door(inner, {"localhost", "127.0.0.1"}, Path())(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), came


def test_the_page_passes_and_is_told_to_ask_no_other_machine():
    status, headers, came = answer()
    assert (status, came) == (200, [("/", b"")])
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "connect-src 'self' data: blob:" in policy
    assert "http" not in policy
    assert len([name for name in headers if name.lower() == b"content-security-policy"]) == 1
    assert headers[b"referrer-policy"] == b"no-referrer"


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1"])
def test_names_of_this_machine(host):
    assert answer(host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""]
)
def test_other_names_are_those_of_other_pages(host):
    assert answer(host=host)[::2] == (421, [])


def test_other_pages_cannot_ask():
    assert answer(origin="http://127.0.0.1:7860")[0] == 200
    for origin in ("https://evil.example", "http://127.0.0.1:9999", "null"):
        assert answer(origin=origin)[::2] == (403, [])


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://evil.example",
        "/gradio_api/file=https://evil.example/a.wav",
        "/gradio_api/file=relative",
        "/gradio_api/info",
        "/gradio_api/call/x",
        "/gradio_api/vibe-code",
        "/gradio_api/process_recording",
        "/monitoring",
        "/login",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_the_page_does_not_need_is_not_there(path):
    assert answer(path)[::2] == (404, [])
    assert not PATHS.fullmatch(path)


def test_questions_that_name_an_address_are_refused():
    """Gradio would fetch it."""
    for path in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
        good = {"data": [[{"path": "/tmp/x/a.wav", "url": "http://127.0.0.1/"}], None, "http://x"]}
        assert answer(path, good)[::2] == (200, [(path, json.dumps(good).encode())])
        for place in ("http://10.0.0.1/secret", " https://evil.example", "file:///etc/passwd"):
            assert answer(path, {"data": [{"deep": [{"path": place}]}]})[::2] == (400, [])
    assert answer("/gradio_api/queue/join", {"data": "x" * (1 << 20)})[::2] == (400, [])


def test_a_port_is_the_next_that_is_free():
    with _listening(Settings()) as first, _listening(Settings()) as second:
        ports = [sock.getsockname()[1] for sock in (first, second)]
        assert ports[1] > ports[0] >= 7860
        message = rf"127.0.0.1:{ports[0]}: .*; choose another --port"
        with pytest.raises(ArgumentError, match=message), _listening(Settings(port=ports[0])):
            pass


def test_loopback():
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        assert Settings(host).on_loopback
    for host in ("0.0.0.0", "192.168.0.2", "example.org", "::"):
        assert not Settings(host).on_loopback


def test_gradio_is_asked_for(monkeypatch, call):
    monkeypatch.setitem(sys.modules, "gradio", None)
    says = "the page needs the package 'gradio': pip install 'sgmse-toolkit[app]'"
    with pytest.raises(MissingPackageError) as error:
        require()
    assert str(error.value) == says
    assert call("app") == (1, "", [f"sgmse: error: {says}"])


def test_the_command(monkeypatch, call):
    served = []
    monkeypatch.setattr("sgmse.app.require", lambda: None)
    monkeypatch.setattr("sgmse.app.serve", lambda settings, say: served.append(settings))
    assert call("app", "--no-browser", "--port", "8001", "--max-minutes", "2") == (0, "", [])
    (settings,) = served
    assert (settings.host, settings.port, settings.open_browser) == ("127.0.0.1", 8001, False)
    assert settings.limits.minutes == 2
    code, _, err = call("app", "--host", "0.0.0.0", "--model", "mine/")
    assert code == 0
    says = "sgmse: warning: 0.0.0.0 is no loopback address: whoever reaches it can use the page"
    assert err == [says]
    assert (served[1].open_browser, served[1].model) == (True, "mine/")
