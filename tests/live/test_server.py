"""A server gives each connection its own stream, in bounded memory, and says what cannot be."""

import asyncio
import json
import socket as sockets
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny

from sgmse.audio import Pcm
from sgmse.errors import ArgumentError
from sgmse.live import Limits, Place, Server, Stream
from sgmse.live._server import QUEUE
from sgmse.networks import CausalUNet

client = pytest.importorskip("websockets.asyncio.client", reason="needs the extra serve")
exceptions = pytest.importorskip("websockets.exceptions")

RATE = 16000
ANY = Place(port=0)


@pytest.fixture(scope="module")
def enhancer():
    return tiny.enhancer()


def run(test, enhancer, limits: Limits | None = None, place: Place = ANY, most: float = 20.0):
    """`await test(server)` while a server listens: its result, and what the server said."""
    said: list[str] = []

    async def served():
        async with asyncio.timeout(most), Server(enhancer, place, limits, said.append) as server:
            return await test(server)

    return asyncio.run(served()), said


def connect(server: Server, **options):
    # Who sends ahead waits for its pongs, too.
    return client.connect(server.address, compression=None, ping_interval=None, **options)


def sound(number: int, samples: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(number)
    swell = 0.3 + np.sin(np.linspace(0, 9 + number, samples)) ** 2
    return 0.03 * swell * rng.standard_normal((channels, samples))


async def started(socket, **said) -> dict:
    await socket.send(json.dumps({"type": "start", "rate": RATE, "latency": 0.2} | said))
    answer = json.loads(await socket.recv())
    assert answer["type"] == "started", answer
    return answer


async def streamed(socket, content: bytes, sizes, **said) -> tuple[bytes, dict]:
    """All that comes for a recording in messages of such sizes, and what is said of its end."""
    answer = await started(socket, **said)
    pcm = Pcm(answer["coding"], answer["rate"], answer["channels"])
    made, start, number = [], 0, 0
    while start < len(content):
        part = content[start : start + sizes[number % len(sizes)]]
        await socket.send(part)
        made.append(await socket.recv())
        start, number = start + len(part), number + 1
        assert sum(map(len, made)) == start // pcm.frame * pcm.frame
    await socket.send('{"type": "flush"}')
    made.append(await socket.recv())
    silence = answer["delay"] * pcm.frame
    whole = b"".join(made)
    assert not np.any(pcm.samples(whole[:silence]))
    return whole[silence:], json.loads(await socket.recv())


def expected(enhancer, content: bytes, pcm: Pcm, latency: float = 0.2, **options) -> bytes:
    stream = Stream(enhancer, pcm.sample_rate, latency, **options)
    return pcm.content(stream.whole(pcm.samples(content)))


def test_each_connection_has_its_own_stream(enhancer):
    """Different sounds, forms, rates, options and messages at once; equal to the bit."""
    forms = [("s16", RATE, 1), ("f32", 48000, 2), ("s24", 44100, 1), ("u8", 8000, 2)]
    options = [
        {},
        {"dry": 0.3, "upper_band": False},
        {"max_attenuation": 6.0},
        {"strength": 0.5, "seed": 3},
    ]
    sizes = [(1, 333, 4001), (9000,), (77, 1024), (2, 5000)]
    pcms = [Pcm(*form) for form in forms]
    contents = [
        pcm.content(sound(n, pcm.sample_rate // 8 + n, pcm.channels)) for n, pcm in enumerate(pcms)
    ]

    async def test(server):
        async def one(n: int):
            pcm = pcms[n]
            said = {"coding": pcm.coding, "rate": pcm.sample_rate, "channels": pcm.channels}
            async with connect(server) as socket:
                return await streamed(socket, contents[n], sizes[n], **said, **options[n])

        return await asyncio.gather(*map(one, range(4)))

    results, said = run(test, enhancer, Limits(connections=4, threads=2))
    assert said == []
    for n, (made, end) in enumerate(results):
        assert made == expected(enhancer, contents[n], pcms[n], **options[n]), n
        frames = len(contents[n]) // pcms[n].frame
        assert end == {"type": "flushed", "frames": frames, "bytes_left_out": 0, "clipped": False}


def test_a_connection_goes_on_with_another_recording_and_form(enhancer):
    pcm = Pcm("s16", RATE)
    content = pcm.content(sound(1, 5000))
    other = Pcm("f64", 24000)

    async def test(server):
        async with connect(server) as socket:
            whole = expected(enhancer, content, pcm)
            for _ in range(2):
                assert (await streamed(socket, content, (1000,)))[0] == whole
            await socket.send(content[:3001])
            await socket.recv()
            await socket.send('{"type": "reset"}')
            assert json.loads(await socket.recv()) == {"type": "reset"}
            form = {"coding": "f64", "rate": 24000}
            made, end = await streamed(
                socket, other.content(sound(2, 4000)) + b"abc", (999,), **form
            )
            assert made == expected(enhancer, other.content(sound(2, 4000)), other)
            assert (end["frames"], end["bytes_left_out"]) == (4000, 3)
            await socket.send('{"type": "flush"}')  # of nothing
            assert await socket.recv() == b""
            assert json.loads(await socket.recv())["frames"] == 0

    run(test, enhancer)


NAN = Pcm("f32", RATE).content(np.full((1, 3), np.nan))


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([b"1234"], 1008, 'the first message must say what comes: {"type": "start"'),
        (['{"type": "flush"}'], 1008, "the first message must say"),
        (["hello"], 1007, "a text is no JSON"),
        (["[" * 4000], 1007, "a text is no JSON"),
        (["[1]"], 1007, "a text must be an object of JSON, not [1]"),
        ([" " * 5000], 1008, "a text is 5000 characters long, and may be 4096"),
        (['{"type": "strat"}'], 1003, "type must be start, flush or reset, not 'strat' (did you"),
        (['{"rate": 16000}'], 1003, "type must be start, flush or reset, not None"),
        ([{}], 1008, "start needs a rate"),
        ([{"rate": 16001}], 1008, "rate must be one of 8000, 11025"),
        ([{"rate": "16000"}], 1008, "rate must be a whole number, not '16000'"),
        ([{"rate": RATE, "coding": "s61"}], 1008, "not 's61' (did you mean 's16'?)"),
        ([{"rate": RATE, "channels": 3}], 1008, "channels must lie between 1 and 2, not 3"),
        ([{"rate": RATE, "latency": 1e9}], 1008, "latency must lie between 0 and 5"),
        ([{"rate": RATE, "latency": 0.001}], 1008, "latency must be at least 0.0"),
        ([{"rate": RATE, "dry": 2}], 1008, "dry must lie between 0 and 1, not 2"),
        ([{"rate": RATE, "dri": 1}], 1008, "start has no 'dri' (did you mean 'dry'?)"),
        ([{"rate": RATE}, b"1234", {"rate": RATE}], 1008, "start within a recording"),
        ([{"rate": RATE}, '{"type": "flush", "x": 1}'], 1003, "flush has no 'x'"),
        ([{"rate": RATE, "coding": "f32"}, NAN], 1007, "after 0.00 s, block holds nan"),
    ],
)
def test_what_cannot_be_is_said_before_the_end(enhancer, messages, code, words):
    async def test(server):
        async with connect(server) as socket:
            for message in messages:
                if isinstance(message, dict):
                    message = json.dumps({"type": "start", **message})
                await socket.send(message)
            answers = [answer async for answer in _until_closed(socket)]
            return json.loads(answers[-1]), socket.close_code, socket.close_reason

    (error, closed, reason), said = run(test, enhancer)
    assert (error["type"], error["code"], closed) == ("error", code, code)
    assert words in error["message"]
    assert error["message"].startswith(reason)
    assert len(said) == 1
    assert words in said[0]


async def _until_closed(socket):
    try:
        while True:
            yield await socket.recv()
    except exceptions.ConnectionClosed:
        return


def test_a_message_that_is_too_long_ends_a_connection(enhancer):
    async def test(server):
        async with connect(server) as socket:
            await started(socket)
            await socket.send(bytes(2000))
            assert len(await socket.recv()) == 2000
            await socket.send(bytes(3000))
            assert [answer async for answer in _until_closed(socket)] == []
            return socket.close_code

    assert run(test, enhancer, Limits(message=2048))[0] == 1009


def test_more_than_there_may_be_are_told_so(enhancer):
    async def test(server):
        async with connect(server) as first:
            await started(first)
            async with connect(server) as second:
                error = json.loads(await second.recv())
                assert error["message"].startswith("there are 1 connections already")
                assert [answer async for answer in _until_closed(second)] == []
                assert second.close_code == error["code"] == 1013
            await first.send(bytes(10))
            assert await first.recv() == bytes(10)
        while server.connections:
            await asyncio.sleep(0.01)
        async with connect(server) as third:
            await started(third)

    run(test, enhancer, Limits(connections=1))


@pytest.mark.slow
def test_who_says_nothing_is_sent_away(enhancer):
    async def test(server):
        async with connect(server) as silent, connect(server) as busy:
            await started(silent)
            await started(busy)
            for _ in range(8):
                await asyncio.sleep(0.05)
                await busy.send(bytes(2))
                await busy.recv()
            error = json.loads(await silent.recv())
            assert error["message"] == "nothing came for 0.2 s"
            assert server.connections == 1

    run(test, enhancer, Limits(idle=0.2))


def test_pages_of_other_origins_are_refused(enhancer):
    async def test(server):
        for origin in ("http://evil.example", "null", "https://example.org.evil"):
            with pytest.raises(exceptions.InvalidStatus, match="403"):
                await connect(server, origin=origin)
        async with connect(server, origin="https://example.org") as socket:
            await started(socket)

    _, said = run(test, enhancer, place=Place(port=0, origins=("https://Example.org",)))
    assert said[0] == (
        "a page of http://evil.example was refused; --origin http://evil.example would let it in"
    )
    with pytest.raises(ArgumentError, match=r"an origin is as https://example\.org, without"):
        Place(origins=("https://example.org/page",))


def test_at_the_end_each_gets_its_rest_and_is_told(enhancer):
    pcm = Pcm("s16", RATE)
    content = pcm.content(sound(5, 3001))

    async def test():
        async with Server(enhancer, ANY) as server:
            first, second = await connect(server), await connect(server)
            await started(second)
            answer = await started(first)
            await first.send(content)
            made = await first.recv()
            address = server.address
        made += await first.recv()
        assert made[2 * answer["delay"] :] == expected(enhancer, content, pcm)
        assert json.loads(await first.recv())["frames"] == 3001
        assert [answer async for answer in _until_closed(first)] == []
        assert first.close_code == second.close_code == 1001
        assert first.close_reason == "the server ends"
        with pytest.raises(OSError, match=r"refused|Connect"):
            await client.connect(address)

    asyncio.run(asyncio.wait_for(test(), 20))


def test_who_vanishes_leaves_nothing(enhancer):
    """In the middle of a message, of a header, and with all that it has sent unread."""

    async def test(server):
        async with connect(server) as other:
            await started(other)
            for content in (b"", b"\x82\xfe\xff\xff1234abc", b"nonsense"):
                socket = await connect(server)
                await started(socket)
                await socket.send(bytes(200000))
                raw = socket.transport.get_extra_info("socket")
                raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                socket.transport.write(content)
                await asyncio.sleep(0.01)
                socket.transport.abort()
            while server.connections > 1:
                await asyncio.sleep(0.01)
            await other.send(bytes(4))
            assert await other.recv() == bytes(4)

    _, said = run(test, enhancer)
    assert said == []


def test_a_failure_is_that_of_one_connection(enhancer, monkeypatch):
    from sgmse.live._session import Session

    heard = Session.heard

    def failing(self, content: bytes) -> bytes:
        if content == b"bad!":
            raise ZeroDivisionError("by nothing")
        return heard(self, content)

    monkeypatch.setattr(Session, "heard", failing)

    async def test(server):
        async with connect(server) as good, connect(server) as bad:
            await started(good)
            await started(bad)
            await bad.send(b"bad!")
            assert json.loads(await bad.recv())["message"] == "this is a fault of the server"
            assert [answer async for answer in _until_closed(bad)] == []
            assert bad.close_code == 1011
            await good.send(bytes(4))
            assert await good.recv() == bytes(4)

    _, said = run(test, enhancer)
    assert said[0].endswith("ZeroDivisionError: by nothing")


def test_noise_of_a_model_is_said(enhancer):
    class Wrong(tiny.Identity):
        def forward(self, x, y, t):
            return y * float("nan")

    async def test(server):
        async with connect(server) as socket:
            await started(socket)
            await socket.send(Pcm("s16", RATE).content(sound(1, 9000)))
            return json.loads(await socket.recv())

    error, _ = run(test, tiny.enhancer(Wrong()))
    assert "not finite" in error["message"]
    assert error["code"] == 1011


@pytest.mark.slow
def test_who_does_not_read_is_slowed_and_then_cut_off(enhancer):
    """It is not read from either, so that what waits of it is bounded; the others go on."""
    message = 1 << 16

    def little(server: Server) -> sockets.socket:
        """A socket in which little waits."""
        made = sockets.socket()
        for kind in (sockets.SO_RCVBUF, sockets.SO_SNDBUF):
            made.setsockopt(sockets.SOL_SOCKET, kind, 4096)
        made.connect(("127.0.0.1", int(server.address.rsplit(":", 1)[1])))
        return made

    async def test(server):
        async with connect(server) as other:
            await started(other)
            greedy = await connect(server, sock=little(server))
            await started(greedy, coding="f64")
            greedy.transport.pause_reading()
            sent = 0

            async def flood():
                nonlocal sent
                while True:
                    await greedy.send(bytes(message))
                    sent += message

            flooding = asyncio.ensure_future(flood())
            longest = 0.0
            while server.connections > 1:
                start = asyncio.get_running_loop().time()
                await other.send(bytes(4))
                assert await other.recv() == bytes(4)
                longest = max(longest, asyncio.get_running_loop().time() - start)
                await asyncio.sleep(0.01)
            flooding.cancel()
            return sent, longest

    limits = Limits(idle=0.5, message=message)
    (sent, longest), said = run(test, tiny.enhancer(tiny.Identity()), limits)
    # What waits in the queue and in the kernel, of which more would go within half a second.
    assert (QUEUE + 1) * message <= sent < (QUEUE + 2) * message + 5e6
    assert longest < 1
    assert "does not read for 0.5 s, and is cut off" in said[0]


def test_what_is_asked_of_a_server_is_checked(enhancer):
    for wrong in ({"connections": 0}, {"threads": 0}, {"idle": 0.0}, {"message": 10}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            Limits(**wrong)
    with pytest.raises(ArgumentError, match="port"):
        Place(port=70000)
    assert Place("::1").on_loopback
    assert not Place("0.0.0.0").on_loopback

    async def twice(server):
        port = int(server.address.rsplit(":", 1)[1])
        taken = r"cannot listen at 127\.0\.0\.1, port \d+: address already in use; take another"
        with pytest.raises(ArgumentError, match=taken):
            await Server(enhancer, Place(port=port)).__aenter__()

    run(twice, enhancer)
    assert not [thread for thread in threading.enumerate() if "sgmse-serve" in thread.name]


def test_a_thread_that_fails_at_the_start_lets_no_other_wait(enhancer, monkeypatch):
    failed = threading.Event()

    def failing(self, audio):
        if failed.is_set():
            return audio
        failed.set()
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Stream, "whole", failing)
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        run(None, enhancer, Limits(threads=3))
    assert not [thread for thread in threading.enumerate() if "sgmse-serve" in thread.name]


@pytest.mark.slow
def test_who_does_not_take_the_rest_is_said(enhancer, monkeypatch):
    monkeypatch.setattr("sgmse.live._server.GRACE", 0.05)

    async def test(server):
        socket = await connect(server)
        await started(socket)
        for connection in server._open:
            monkeypatch.setattr(connection, "close", slow)

    async def slow(*_):
        await asyncio.sleep(0.3)

    _, said = run(test, enhancer)
    assert said == ["1 connections did not take their rest in 0.05 s"]


def test_streams_have_the_weights_of_a_causal_model_in_common(monkeypatch):
    made: list[float] = []
    prepared = CausalUNet.advancing

    def counted(network, t):
        made.append(t)
        return prepared(network, t)

    monkeypatch.setattr(CausalUNet, "advancing", counted)
    enhancer, pcm = tiny.causal(), Pcm("s16", RATE)
    contents = [pcm.content(sound(n, 200 + n)) for n in range(3)]

    async def all_of_them(server):
        async def one(content: bytes) -> bytes:
            async with connect(server) as socket:
                return (await streamed(socket, content, (100,)))[0]

        return await asyncio.gather(*map(one, contents))

    results, _ = run(all_of_them, enhancer, Limits(connections=3, threads=2))
    assert made == [1.0]
    for content, result in zip(contents, results, strict=True):
        assert result == expected(enhancer, content, pcm)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("causal", [False, True])
def test_memory_stays_as_connections_come_and_go(causal):
    """While one of them goes on all the time: the second half holds what the first held."""
    enhancer = tiny.causal() if causal else tiny.enhancer()
    content = Pcm("s16", RATE).content(sound(0, 200 if causal else 4000))
    held: list[float] = []

    async def come_and_go(server):
        async with connect(server) as lasting:
            await started(lasting)
            for _ in range(80):
                await lasting.send(content)
                await lasting.recv()

                async def one() -> None:
                    async with connect(server) as socket:
                        await streamed(socket, content, (300, 77))

                async def gone() -> None:
                    async with connect(server) as socket:
                        await started(socket)
                        await socket.send(content)
                        socket.transport.abort()

                await asyncio.gather(one(), one(), gone())
                held.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6)

    run(come_and_go, enhancer, Limits(connections=8, threads=2), most=300)
    assert max(held[40:]) - max(held[:40]) < 6  # MB, of which a leak of a stream would have 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("causal", [False, True])
def test_fifty_connections_at_once_mix_up_and_lose_nothing(causal):
    """Each with its own sound and messages of its own random lengths, several before an answer."""
    enhancer = tiny.causal() if causal else tiny.enhancer()
    pcm, count, samples = Pcm("s16", RATE), 50, 300 if causal else 7000

    def content(number: int) -> bytes:
        return pcm.content(sound(number, samples + 10 * number))

    async def one(server: Server, number: int) -> bytes:
        rng, whole = np.random.default_rng(number), content(number)
        async with connect(server) as socket:
            answer = await started(socket)
            sizes = []

            async def send():
                start = 0
                while start < len(whole):
                    part = whole[start : start + int(rng.integers(1, 300 if causal else 1500))]
                    sizes.append(len(part))
                    await socket.send(part)
                    start += len(part)
                    await asyncio.sleep(rng.random() / 100)
                await socket.send('{"type": "flush"}')

            sending, made = asyncio.ensure_future(send()), []
            while not isinstance(message := await socket.recv(), str):
                made.append(message)
            await sending
            assert json.loads(message)["frames"] == len(whole) // 2
            assert len(made) == len(sizes) + 1  # an answer a message, and the rest
            assert abs(sum(map(len, made[:-1])) - len(whole)) <= 1
            return b"".join(made)[2 * answer["delay"] :]

    async def all_of_them(server):
        results = await asyncio.gather(*(one(server, number) for number in range(count)))
        assert server.connections <= count
        return results

    limits = Limits(connections=count, threads=2)
    results, said = run(all_of_them, enhancer, limits, most=300)
    assert said == []
    for number, made in enumerate(results):
        assert made == expected(enhancer, content(number), pcm), number
