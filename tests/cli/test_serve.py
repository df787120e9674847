"""sgmse serve: a stream for each connection, until somebody ends it."""

import asyncio
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import tiny

from sgmse import _extras
from sgmse.audio import Pcm
from sgmse.cli.main import parsed
from sgmse.live import Stream

client = pytest.importorskip("websockets.asyncio.client", reason="needs the extra serve")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--origin", "example.org"), "an origin is as https://example.org, without a path"),
        (("--port", "70000"), "port must lie between 0 and 65535, not 70000"),
        (("--host", "256.1.1.1", "--port", "0"), "cannot listen at 256.1.1.1, port 0: "),
        (("--model", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(call, model, arguments, words):
    code, out, err = call("serve", "--model", str(model), *arguments)
    assert (code, out) == (1, "")
    assert words in err[-1]
    assert err[-1].startswith("sgmse: error: ")


def test_without_the_package_its_extra_is_named(call, monkeypatch):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    code, _, (line,) = call("serve")
    assert code == 1
    assert "needs the package 'websockets': pip install 'sgmse-toolkit[serve]'" in line


def test_as_many_connections_as_threads():
    options = parsed(["serve", "--threads", "3"])
    assert (options.threads, options.connections) == (3, None)
    assert options.origins == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_ended_and_then_gives_the_rest(model, number):
    command = [sys.executable, "-m", "sgmse", "serve", "--model", str(model), "--port", "0"]
    command += ["--host", "127.0.0.1", "--connections", "1"]
    pcm = Pcm("s16", 16000)
    content = pcm.content(0.05 * np.random.default_rng(0).standard_normal((1, 6000)))

    async def talk(process: subprocess.Popen, address: str):
        async with client.connect(address) as socket:
            await socket.send(json.dumps({"type": "start", "rate": 16000, "latency": 0.2}))
            delay = json.loads(await socket.recv())["delay"]
            await socket.send(content)
            made = await socket.recv()
            process.send_signal(number)
            made += await socket.recv()
            assert json.loads(await socket.recv())["frames"] == 6000
            return made[2 * delay :]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            assert line.startswith("sgmse: listening at ws://127.0.0.1:")
            made = asyncio.run(asyncio.wait_for(talk(process, line.split()[3]), 30))
            err = process.stderr.read()
        finally:
            process.kill()
    assert process.returncode == 130
    assert err == "sgmse: interrupted; the server has ended\n"
    stream = Stream(tiny.enhancer(), 16000, 0.2)
    assert made == pcm.content(stream.whole(pcm.samples(content)))
